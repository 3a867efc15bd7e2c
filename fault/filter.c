// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A seccomp filter that answers for the kernel. It cannot be taken off again,
 * so the call is made by a thread that has it and ends.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "case.h"
#include "points.h"

struct filtered {
	const struct aio_args *args;
	int error;
	long result;
};

#define IS(nr, to_error) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), (to_error), 0)

static void *call_filtered(void *arg)
{
	struct filtered *call = arg;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		IS(SYS_io_setup, 6),
		IS(SYS_io_destroy, 5),
		IS(SYS_io_submit, 4),
		IS(SYS_io_cancel, 3),
		IS(SYS_io_getevents, 2),
		IS(SYS_io_pgetevents, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K,
			 SECCOMP_RET_ERRNO | (unsigned int)call->error),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	call->result = fault_make(call->args);
	return NULL;
}

long filter_answers(const struct aio_args *args, int info)
{
	struct filtered call = { args, info, 0 };

	thread_join(thread_run(call_filtered, &call));
	return call.result;
}
