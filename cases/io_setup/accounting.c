// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fs.aio-nr, to the event: what io_setup() charges, io_destroy() and the end of
 * a process give back, and a failure leaves alone.
 *
 * It is one number for the whole machine: an error here denies service to
 * every other user of AIO, bit by bit, until the next boot.
 */
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define EVENTS 50
#define MANY   5

CASE(io_setup, accounting_requested,
     "fs.aio-nr grows by the events asked for, not by those of the ring",
     .clause = "io_setup.accounting.requested", .needs = "aio_sysctls",
     .quota = 2048, .serial = SERIAL_BODY)
{
	const unsigned int counts[] = { 1, 7, 62, 63, 128, 1000 };
	long charged = aio_nr();
	unsigned int i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		new_context(counts[i]);
		charged += counts[i];
		EXPECT_EQ(charged, aio_nr());
	}
}

CASE(io_setup, accounting_destroy,
     "io_destroy() takes off fs.aio-nr what io_setup() charged",
     .clause = "io_setup.accounting.destroy", .needs = "aio_sysctls",
     .serial = SERIAL_BODY)
{
	const unsigned int counts[] = { 1, 500, 63 };
	const unsigned int order[] = { 1, 0, 2 };
	long charged = aio_nr();
	aio_handle ctx[3];
	unsigned int i;

	for (i = 0; i < 3; i++) {
		ctx[i] = new_context(counts[i]);
		charged += counts[i];
	}
	for (i = 0; i < 3; i++) {
		EXPECT_OK(aio->destroy(ctx[order[i]]));
		charged -= counts[order[i]];
		EXPECT_EQ(charged, aio_nr());
	}
	EXPECT_QUOTA_BACK();
}

struct stay {
	struct gate made, leave;
};

/* A child with some contexts, that leaves when it is told to. */
static pid_t child_with_contexts(struct stay *stay)
{
	pid_t pid = child_fork();
	unsigned int i;

	if (pid) {
		gate_wait(&stay->made);
		return pid;
	}
	for (i = 1; i <= MANY; i++)
		new_context(i * EVENTS);
	gate_open(&stay->made);
	gate_wait(&stay->leave);
	child_exit(0);
}

#define CHILD_EVENTS (MANY * (MANY + 1) / 2 * EVENTS)

CASE(io_setup, accounting_exit, "a process that exits gives its quota back",
     .clause = "io_setup.accounting.exit", .needs = "aio_sysctls",
     .serial = SERIAL_BODY)
{
	struct stay *stay = shared_memory(sizeof(*stay));
	long before = aio_nr();
	pid_t pid = child_with_contexts(stay);

	EXPECT_EQ(before + CHILD_EVENTS, aio_nr());
	gate_open(&stay->leave);
	EXPECT_CHILD_OK(pid);
	/* who looks at the child in /proc keeps its memory for a moment */
	WAIT_FOR(aio_nr() == before);
	EXPECT_QUOTA_BACK();
}

CASE(io_setup, accounting_killed,
     "a process that is killed gives its quota back",
     .clause = "io_setup.accounting.exit", .needs = "aio_sysctls",
     .serial = SERIAL_BODY)
{
	struct stay *stay = shared_memory(sizeof(*stay));
	long before = aio_nr();
	pid_t pid = child_with_contexts(stay);

	EXPECT_EQ(before + CHILD_EVENTS, aio_nr());
	REQUIRE(!kill(pid, SIGKILL));
	EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(pid)));
	WAIT_FOR(aio_nr() == before);
	EXPECT_QUOTA_BACK();
}

CASE(io_setup, accounting_failed, "a call that fails leaves fs.aio-nr alone",
     .clause = "io_setup.accounting.failed", .needs = "aio_sysctls",
     .serial = SERIAL_BODY)
{
	struct rlimit limit, none;
	aio_handle ctx = 1, *ctxp = GUARDED(aio_handle);
	long result;

	EXPECT_ERR(EINVAL, aio->setup(EVENTS, &ctx));
	EXPECT_QUOTA_BACK();
	ctx = 0;
	EXPECT_ERR(EINVAL, aio->setup(0, &ctx));
	EXPECT_QUOTA_BACK();
	EXPECT_ERR(EINVAL, aio->setup(-1u, &ctx));
	EXPECT_QUOTA_BACK();
	EXPECT_ERR(EFAULT, aio->setup(EVENTS, nowhere()));
	EXPECT_QUOTA_BACK();
	read_only(ctxp, sizeof(*ctxp));
	EXPECT_ERR(EFAULT, aio->setup(EVENTS, ctxp));
	EXPECT_QUOTA_BACK();
	REQUIRE(!getrlimit(RLIMIT_AS, &limit));
	none = limit;
	none.rlim_cur = PAGE_SIZE;
	REQUIRE(!setrlimit(RLIMIT_AS, &none));
	result = aio->setup(EVENTS, &ctx);
	REQUIRE(!setrlimit(RLIMIT_AS, &limit));
	EXPECT_EQ(-ENOMEM, result);
	EXPECT_QUOTA_BACK();
}

CASE(io_setup, accounting_failed_quota,
     "a call refused by the quota leaves fs.aio-nr alone",
     .clause = "io_setup.accounting.failed", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;
	long charged;

	sysctl_set("fs/aio-max-nr", aio_nr() + EVENTS);
	new_context(1);
	charged = aio_nr();
	EXPECT_ERR(EAGAIN, aio->setup(EVENTS, &ctx));
	EXPECT_EQ(charged, aio_nr());
	EXPECT_ERR(EAGAIN, aio->setup(1000 * EVENTS, &ctx));
	EXPECT_EQ(charged, aio_nr());
}

#define OWN_WORLD                                                    \
	(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWNS | \
	 CLONE_NEWNET)

CASE(io_setup, accounting_namespaces,
     "a process in namespaces of its own counts against the same quota",
     .clause = "io_setup.accounting.namespaces", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	struct stay *stay = shared_memory(sizeof(*stay));
	long before = aio_nr();
	aio_handle ctx = 0;
	pid_t pid;

	sysctl_set("fs/aio-max-nr", before + 2 * EVENTS);
	pid = child_fork();
	if (!pid) {
		if (unshare(OWN_WORLD)) {
			gate_open(&stay->made);
			SKIP("no namespaces: %s", strerror(errno));
		}
		new_context(EVENTS);
		gate_open(&stay->made);
		gate_wait(&stay->leave);
		EXPECT_ERR(EAGAIN, aio->setup(1, &ctx));
		child_exit(0);
	}
	gate_wait(&stay->made);
	EXPECT_EQ(before + EVENTS, aio_nr());
	new_context(EVENTS);
	gate_open(&stay->leave);
	EXPECT_CHILD_OK(pid);
}
