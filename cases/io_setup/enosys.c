// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_setup() where a seccomp filter answers for the kernel, as in containers
 * that allow no native AIO: programs that fall back must see what it says.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "case.h"

/* From now on io_setup() fails with this, and nothing else does. */
static void filter_io_setup(int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
			 SECCOMP_RET_ERRNO | (unsigned int)error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {
		.len = sizeof(code) / sizeof(code[0]),
		.filter = code,
	};

	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void expect_filtered(int error)
{
	aio_handle before = new_context(1), ctx = 0;
	struct io_event event;

	filter_io_setup(error);
	EXPECT_ERR(error, aio->setup(1, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_ERR(error, aio->setup(1, nowhere()));
	EXPECT_EQ(1, maps_named("/[aio]"));
	EXPECT_EQ(0, aio->getevents(before, 0, 1, &event, NULL));
}

CASE(io_setup, enosys_filter, "a filter's ENOSYS is what the caller sees",
     .clause = "io_setup.enosys.filter", .needs = "seccomp")
{
	expect_filtered(ENOSYS);
}

CASE(io_setup, eperm_filter, "a filter's EPERM is what the caller sees",
     .clause = "io_setup.enosys.filter", .needs = "seccomp")
{
	expect_filtered(EPERM);
}
