// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes that end with contexts, in whatever state these are.
 */
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"
#include "slope.h"

#define CHILDREN 40 /* at a time: the exit of each waits */

/* Run body(n) in children, until it was asked for so many in all. */
static void in_children(void (*body)(unsigned int n), unsigned int times,
			unsigned int each)
{
	pid_t pids[CHILDREN];
	unsigned int i;

	while (times) {
		for (i = 0; i < CHILDREN && times; i++) {
			unsigned int n = times < each ? times : each;

			pids[i] = child_fork();
			if (!pids[i]) {
				body(n);
				child_exit(0);
			}
			times -= n;
		}
		while (i)
			EXPECT_CHILD_OK(pids[--i]);
	}
}

static void make_contexts(unsigned int n)
{
	while (n--)
		new_context(1);
}

static void contexts_of_exit(unsigned int times)
{
	in_children(make_contexts, times, 250);
}

CASE(leak, exit_contexts, "contexts left to exit leave nothing behind",
     .clause = "leak.exit", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .quota = 2000, .time_limit = 60)
{
	/* as many as it takes to see what each has for each CPU */
	EXPECT_NO_LEAK(contexts_of_exit, rounds(8000));
}

/* The last table of so many has place for 64, after ones of 4 and of 16. */
static void grow_table(unsigned int n)
{
	(void)n;
	make_contexts(17);
}

static void tables_of_exit(unsigned int times)
{
	in_children(grow_table, times, 1);
}

CASE(leak, table, "tables that have grown leave nothing behind",
     .clause = "leak.table", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(tables_of_exit, 240);
}

/* Refused before and after the request has its files, and one that is not. */
static void submit_bad(unsigned int n)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	(void)n;
	open_pipe(ends, 0);
	STAGE_EQ(-EBADF, submit_one(ctx, prep_poll(iocb, -1, POLLIN)));
	prep_poll(iocb, ends[0], POLLIN);
	STAGE_EQ(-EINVAL, submit_one(ctx, notify(iocb, ends[0])));
	prep_write(iocb, ends[1], "x", 1, -1);
	STAGE_EQ(-EINVAL, submit_one(ctx, iocb));
	prep_poll(iocb, ends[1], POLLOUT);
	STAGE_EQ(1, submit_one(ctx, iocb));
}

static void refusals_of_exit(unsigned int times)
{
	in_children(submit_bad, times, 1);
}

CASE(leak, exit_refused, "nor do refused requests hold a process's memory",
     .clause = "leak.exit", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(refusals_of_exit, 120);
}

/* In turns: unreaped events; a pending POLL; no ring; an exec. */
static void leave_busy(unsigned int n)
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx;
	int ends[2];

	open_pipe(ends, 0);
	while (n--) {
		ctx = new_context(1);
		switch (n % 3) {
		case 0:
			stage_complete(ctx, 5, 0);
			break;
		case 1:
			stage_submit(ctx, prep_poll(iocb, ends[0], 1));
			break;
		default:
			REQUIRE(!munmap((void *)ctx, PAGE_SIZE));
		}
	}
}

static void busy_exits(unsigned int times)
{
	in_children(leave_busy, times, 75);
}

CASE(leak, exit_busy,
     "unreaped events, pending POLLs and unmapped rings leave nothing behind",
     .clause = "leak.exit", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(busy_exits, 1200);
}

/* The program itself, which says how it is used to nobody. */
static void leave_by_exec(unsigned int n)
{
	char *const argv[] = { (char *)"aioabi-cases", (char *)"--help", NULL };

	leave_busy(n);
	REQUIRE(freopen("/dev/null", "w", stdout));
	execv("/proc/self/exe", argv);
	REQUIRE(!"exec");
}

static void busy_execs(unsigned int times)
{
	in_children(leave_by_exec, times, 75);
}

CASE(leak, exec_busy, "contexts left to exec leave nothing behind",
     .clause = "leak.exit", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(busy_execs, 1200);
}

/* Whoever ends first, parent or child, the child holds a copy of the rings. */
static void fork_with_rings(unsigned int n)
{
	struct gate *parent_left = shared_memory(sizeof(*parent_left));
	bool child_first = n % 2;
	pid_t pid;

	make_contexts(n);
	pid = child_fork();
	if (pid && child_first) {
		EXPECT_CHILD_OK(pid);
	} else if (!pid) {
		if (!child_first)
			gate_wait(parent_left);
		child_exit(0);
	}
	gate_open(parent_left);
}

static void forks(unsigned int times)
{
	in_children(fork_with_rings, times / 2, 50);
	in_children(fork_with_rings, times / 2, 51);
}

CASE(leak, fork, "fork with contexts leaves nothing behind",
     .clause = "leak.fork", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(forks, 1200);
}
