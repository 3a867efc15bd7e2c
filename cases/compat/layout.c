// SPDX-License-Identifier: GPL-2.0-or-later
/* Structures and numbers that are the same, or known, in every program. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define EXPECT_FIELD(type, field, at, size)                     \
	do {                                                    \
		EXPECT_EQ(at, offsetof(type, field));           \
		EXPECT_EQ(size, sizeof(((type *)NULL)->field)); \
	} while (0)

CASE(compat, layout_iocb, "struct iocb is 64 bytes, its fields in their places",
     .clause = "compat.layout.iocb", .flavours = RAW)
{
	EXPECT_EQ(64, sizeof(struct iocb));
	EXPECT_FIELD(struct iocb, aio_data, 0, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	EXPECT_FIELD(struct iocb, aio_key, 8, 4);
	EXPECT_FIELD(struct iocb, aio_rw_flags, 12, 4);
#else
	EXPECT_FIELD(struct iocb, aio_rw_flags, 8, 4);
	EXPECT_FIELD(struct iocb, aio_key, 12, 4);
#endif
	EXPECT_FIELD(struct iocb, aio_lio_opcode, 16, 2);
	EXPECT_FIELD(struct iocb, aio_reqprio, 18, 2);
	EXPECT_FIELD(struct iocb, aio_fildes, 20, 4);
	EXPECT_FIELD(struct iocb, aio_buf, 24, 8);
	EXPECT_FIELD(struct iocb, aio_nbytes, 32, 8);
	EXPECT_FIELD(struct iocb, aio_offset, 40, 8);
	EXPECT_FIELD(struct iocb, aio_reserved2, 48, 8);
	EXPECT_FIELD(struct iocb, aio_flags, 56, 4);
	EXPECT_FIELD(struct iocb, aio_resfd, 60, 4);
}

CASE(compat, layout_event, "struct io_event is four fields of 8 bytes",
     .clause = "compat.layout.event", .flavours = RAW)
{
	EXPECT_EQ(32, sizeof(struct io_event));
	EXPECT_FIELD(struct io_event, data, 0, 8);
	EXPECT_FIELD(struct io_event, obj, 8, 8);
	EXPECT_FIELD(struct io_event, res, 16, 8);
	EXPECT_FIELD(struct io_event, res2, 24, 8);
}

CASE(compat, layout_ring, "the ring's header is eight fields of 4 bytes",
     .clause = "compat.layout.ring", .flavours = RAW)
{
	uint32_t *header = (uint32_t *)new_context(1);

	EXPECT_EQ(0, header[0]);
	EXPECT_EQ(ring_events_for(1), header[1]);
	EXPECT_EQ(0, header[2]);
	EXPECT_EQ(0, header[3]);
	EXPECT_EQ(AIO_RING_MAGIC, header[4]);
	EXPECT_EQ(AIO_RING_COMPAT_FEATURES, header[5]);
	EXPECT_EQ(AIO_RING_INCOMPAT_FEATURES, header[6]);
	EXPECT_EQ(sizeof(uint32_t) * 8, header[7]);
}

#if defined(__x86_64__)
enum {
	NR_SETUP = 206,
	NR_DESTROY,
	NR_GETEVENTS,
	NR_SUBMIT,
	NR_CANCEL,
	NR_PGETEVENTS = 333
};
#elif defined(__i386__)
enum {
	NR_SETUP = 245,
	NR_DESTROY,
	NR_GETEVENTS,
	NR_SUBMIT,
	NR_CANCEL,
	NR_PGETEVENTS = 385
};
#endif

#if defined(__x86_64__) || defined(__i386__)
static long by_number(long number, unsigned long ctx, long a, long b,
		      const void *c)
{
	struct timespec none = { 0 };
	long result = syscall(number, ctx, a, b, c, &none, NULL);

	return result < 0 ? -errno : result;
}

CASE(compat, numbers, "the calls answer under their published numbers",
     .clause = "compat.numbers", .flavours = RAW)
{
	aio_handle ctx = new_context(1), none = 1;
	struct io_event event;

	EXPECT_ERR(EINVAL, by_number(NR_SETUP, 1, (long)&none, 0, NULL));
	EXPECT_EQ(0, by_number(NR_SUBMIT, ctx, 0, 0, NULL));
	EXPECT_ERR(EINVAL, by_number(NR_SUBMIT, ctx, -1, 0, NULL));
	stage_complete(ctx, 1, 0);
	EXPECT_EQ(1, by_number(NR_GETEVENTS, ctx, 1, 1, &event));
	EXPECT_NUMBERED(&event, 1, 0);
	stage_complete(ctx, 1, 1);
	EXPECT_EQ(1, by_number(NR_PGETEVENTS, ctx, 1, 1, &event));
	EXPECT_NUMBERED(&event, 1, 1);
	EXPECT_ERR(EFAULT, by_number(NR_CANCEL, ctx, (long)nowhere(), 0, NULL));
	EXPECT_ERR(EINVAL, by_number(NR_DESTROY, 0, 0, 0, NULL));
	EXPECT_OK(by_number(NR_DESTROY, ctx, 0, 0, NULL));
	EXPECT_TRUE(!is_mapped((void *)ctx));
}
#endif

/* --- who looks on --- */

#if defined(__x86_64__) || defined(__i386__)
#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_I386
#endif
#define ARGS_MAX 6

/* Calls that the kernel refuses, with arguments that no two have. */
static const struct seen_call {
	int nr;
	unsigned int args;
	unsigned long arg[ARGS_MAX];
} calls[] = {
	{ NR_SETUP, 2, { 11, 12 } },
	{ NR_DESTROY, 1, { 21 } },
	{ NR_GETEVENTS, 5, { 31, -32UL, 33, 34, 35 } },
	{ NR_SUBMIT, 3, { 41, -42UL, 43 } },
	{ NR_CANCEL, 3, { 51, 52, 53 } },
	{ NR_PGETEVENTS, 6, { 61, -62UL, 63, 64, 65, 66 } },
};
#define CALLS (sizeof(calls) / sizeof(calls[0]))

static long call_it(const struct seen_call *call)
{
	const unsigned long *arg = call->arg;
	long result = syscall(call->nr, arg[0], arg[1], arg[2], arg[3], arg[4],
			      arg[5]);

	return result < 0 ? -errno : result;
}

#define SEEN   EBADR /* errors that no call gives */
#define UNLIKE EBADE

/* Leave with this error unless the word at this offset is this one. */
static struct sock_filter *want_word(struct sock_filter *at, size_t offset,
				     uint32_t word, unsigned int otherwise)
{
	*at++ = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					     (uint32_t)offset);
	*at++ = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, word, 1,
					     0);
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, otherwise);
	return at;
}

/* From now on this call, with these arguments, fails with SEEN. */
static void filter_call(const struct seen_call *call)
{
	struct sock_filter code[3 * (2 + 2 * ARGS_MAX) + 1], *at = code;
	struct sock_fprog program = { .filter = code };
	unsigned int i;

	at = want_word(at, offsetof(struct seccomp_data, arch), ARCH,
		       SECCOMP_RET_ALLOW);
	at = want_word(at, offsetof(struct seccomp_data, nr),
		       (uint32_t)call->nr, SECCOMP_RET_ALLOW);
	for (i = 0; i < call->args; i++) {
		uint64_t value = call->arg[i];
		size_t low = offsetof(struct seccomp_data, args[i]);

		at = want_word(at, low, (uint32_t)value,
			       SECCOMP_RET_ERRNO | UNLIKE);
		at = want_word(at, low + 4, (uint32_t)(value >> 32),
			       SECCOMP_RET_ERRNO | UNLIKE);
	}
	*at++ = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
					     SECCOMP_RET_ERRNO | SEEN);
	program.len = (unsigned short)(at - code);
	REQUIRE(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	REQUIRE(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

CASE(compat, seccomp, "filters see numbers and arguments as they were given",
     .clause = "compat.seccomp", .needs = "seccomp", .flavours = RAW)
{
	unsigned int i;

	for (i = 0; i < CALLS; i++) {
		long refused = call_it(&calls[i]);

		ROUND("call %d", calls[i].nr);
		EXPECT_TRUE(refused == -EFAULT || refused == -EINVAL);
		filter_call(&calls[i]);
		EXPECT_ERR(SEEN, call_it(&calls[i]));
	}
}

/* In a child that is traced. */
static void make_calls(void)
{
	unsigned int i;

	REQUIRE(!ptrace(PTRACE_TRACEME, 0, NULL, NULL));
	raise(SIGSTOP);
	for (i = 0; i < CALLS; i++)
		call_it(&calls[i]);
	child_exit(0);
}

static void expect_seen(const struct __ptrace_syscall_info *info,
			const struct seen_call *call)
{
	unsigned int i;

	ROUND("call %d", call->nr);
	EXPECT_EQ(ARCH, info->arch);
	EXPECT_EQ(call->nr, info->entry.nr);
	for (i = 0; i < call->args; i++)
		EXPECT_EQ((uint64_t)call->arg[i], info->entry.args[i]);
}

CASE(compat, ptrace, "a tracer sees numbers and arguments as they were given",
     .clause = "compat.seccomp", .flavours = RAW)
{
	const int at_call = SIGTRAP | 0x80; /* PTRACE_O_TRACESYSGOOD */
	struct __ptrace_syscall_info info;
	unsigned int i = 0;
	pid_t pid = child_fork();
	int status;

	if (!pid)
		make_calls();
	REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	REQUIRE(!ptrace(PTRACE_SETOPTIONS, pid, NULL,
			PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL));
	while (i < CALLS) {
		REQUIRE(!ptrace(PTRACE_SYSCALL, pid, NULL, NULL));
		REQUIRE(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
		REQUIRE(WSTOPSIG(status) == at_call);
		REQUIRE(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info),
			       &info) > 0);
		/* the first that comes is the one, with others before it */
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY &&
		    info.entry.args[0] == calls[i].arg[0])
			expect_seen(&info, &calls[i++]);
	}
	ROUNDS_END();
	REQUIRE(!ptrace(PTRACE_DETACH, pid, NULL, NULL));
	EXPECT_CHILD_OK(pid);
}
#endif
