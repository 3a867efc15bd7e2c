// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What becomes of a wait in io_pgetevents() that was broken off: a handler
 * ends it, a stop and a continue without one do not. In this, it differs from
 * io_getevents(), which ends with EINTR in both.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define HOUR (3600 * 1000L)

static void expect_eintr(int flags, struct timespec *timeout,
			 const sigset_t *mask)
{
	aio_handle ctx = new_context(1);
	unsigned int seen = signals_seen(SIGUSR1);
	struct waiter *waiter;
	struct io_event event;

	count_signal(SIGUSR1, flags);
	waiter = waiter_run_masked(ctx, 1, 1, &event, timeout, mask);
	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, SIGUSR1);
	EXPECT_ERR(EINTR, waiter_result(waiter));
	EXPECT_EQ(seen + 1, signals_seen(SIGUSR1));
}

CASE(io_pgetevents, restart_handler,
     "a signal with a handler ends the wait with EINTR",
     .clause = "io_pgetevents.restart.handler", .needs = "task_syscall")
{
	struct timespec hour = millis(HOUR);
	sigset_t none;

	sigemptyset(&none);
	expect_eintr(0, NULL, &none);
	expect_eintr(0, &hour, &none);
}

CASE(io_pgetevents, restart_handler_sa_restart,
     "SA_RESTART does not restart it: EINTR",
     .clause = "io_pgetevents.restart.handler", .needs = "task_syscall")
{
	struct timespec hour = millis(HOUR);
	sigset_t none;

	sigemptyset(&none);
	expect_eintr(SA_RESTART, NULL, &none);
	expect_eintr(SA_RESTART, &hour, &none);
}

/* What a child that waits shares with its parent. */
struct stopped {
	int64_t began;
	int64_t continued; /* a moment before */
	int64_t ended;
	long result;
	struct io_event event;
	struct iocb iocb;
	unsigned int seen;
};

/* Stop a child that waits, and continue it. False: it did not wait any more. */
static bool stop_and_continue(pid_t child, struct stopped *shared)
{
	int status;

	if (!wait_asleep_reaping(child, NULL))
		return false;
	REQUIRE(!kill(child, SIGSTOP));
	REQUIRE(waitpid(child, &status, WUNTRACED) == child);
	if (!WIFSTOPPED(status))
		return false;
	shared->continued = now_ns();
	REQUIRE(!kill(child, SIGCONT));
	return true;
}

/* False: on this machine, that time-out was over before the stop. */
static bool stopped_in_time(struct stopped *shared, long ms)
{
	struct timespec timeout = millis(ms);
	sigset_t none;
	pid_t child;

	sigemptyset(&none);
	child = child_fork();
	if (!child) {
		aio_handle ctx = new_context(1);

		shared->began = now_ns();
		shared->result = aio->pgetevents(ctx, 1, 1, &shared->event,
						 &timeout, &none);
		shared->ended = now_ns();
		child_exit(0);
	}
	if (!stop_and_continue(child, shared))
		return false;
	EXPECT_CHILD_OK(child);
	return shared->continued < shared->began + ms * NSEC_PER_MSEC;
}

CASE(io_pgetevents, restart_stop,
     "stopped and continued the wait begins anew, with its whole time-out",
     .clause = "io_pgetevents.restart.stop", .needs = "task_syscall")
{
	struct stopped *shared = shared_memory(sizeof(*shared));
	long ms = 60;

	while (!stopped_in_time(shared, ms))
		ms *= 2;
	EXPECT_EQ(0, shared->result);
	EXPECT_GE(shared->continued + ms * NSEC_PER_MSEC, shared->ended);
}

CASE(io_pgetevents, restart_stop_event,
     "stopped and continued the wait still ends with its event",
     .clause = "io_pgetevents.restart.stop", .needs = "eventfd task_syscall")
{
	struct stopped *shared = shared_memory(sizeof(*shared));
	sigset_t none;
	int fd = open_eventfd(0, 0);
	pid_t child;

	sigemptyset(&none);
	child = child_fork();
	if (!child) {
		aio_handle ctx = new_context(1);

		stage_submit(ctx, prep_poll(&shared->iocb, fd, POLLIN));
		shared->result =
			aio->pgetevents(ctx, 1, 1, &shared->event, NULL, &none);
		child_exit(0);
	}
	ASSERT_TRUE(stop_and_continue(child, shared));
	ASSERT_TRUE(wait_asleep_reaping(child, NULL));
	end_poll(fd);
	EXPECT_CHILD_OK(child);
	ASSERT_EQ(1, shared->result);
	EXPECT_EVENT(&shared->event, &shared->iocb, POLLIN);
}

CASE(io_pgetevents, restart_stop_null,
     "without a mask, too, the wait is taken up again",
     .clause = "io_pgetevents.restart.stop", .needs = "eventfd task_syscall",
     .flavours = RAW)
{
	struct stopped *shared = shared_memory(sizeof(*shared));
	int fd = open_eventfd(0, 0);
	pid_t child = child_fork();

	if (!child) {
		aio_handle ctx = new_context(1);

		stage_submit(ctx, prep_poll(&shared->iocb, fd, POLLIN));
		shared->result = aio->pgetevents_usig(ctx, 1, 1, &shared->event,
						      NULL, NULL);
		child_exit(0);
	}
	ASSERT_TRUE(stop_and_continue(child, shared));
	ASSERT_TRUE(wait_asleep_reaping(child, NULL));
	end_poll(fd);
	EXPECT_CHILD_OK(child);
	EXPECT_EQ(1, shared->result);
}

CASE(io_pgetevents, restart_stop_mask,
     "in the wait that is taken up again the mask is in force",
     .clause = "io_pgetevents.restart.stop", .needs = "task_syscall")
{
	struct stopped *shared = shared_memory(sizeof(*shared));
	sigset_t none;
	pid_t child;

	sigemptyset(&none);
	child = child_fork();
	if (!child) {
		count_signal(SIGUSR1, 0);
		block_signal(SIGUSR1);
		shared->result = aio->pgetevents(new_context(1), 1, 1,
						 &shared->event, NULL, &none);
		shared->seen = signals_seen(SIGUSR1);
		child_exit(0);
	}
	ASSERT_TRUE(stop_and_continue(child, shared));
	ASSERT_TRUE(wait_asleep_reaping(child, NULL));
	REQUIRE(!kill(child, SIGUSR1));
	EXPECT_CHILD_OK(child);
	EXPECT_ERR(EINTR, shared->result);
	EXPECT_EQ(1, shared->seen);
}

CASE(io_pgetevents, mask_kill_stop,
     "a mask of all signals keeps out neither SIGSTOP nor SIGKILL",
     .clause = "io_pgetevents.mask.kill_stop", .needs = "task_syscall")
{
	struct stopped *shared = shared_memory(sizeof(*shared));
	sigset_t all;
	pid_t child;
	int status;

	memset(&all, 0xff, sizeof(all));
	child = child_fork();
	if (!child) {
		shared->result = aio->pgetevents(new_context(1), 1, 1,
						 &shared->event, NULL, &all);
		child_exit(0);
	}
	ASSERT_TRUE(stop_and_continue(child, shared));
	ASSERT_TRUE(wait_asleep_reaping(child, NULL));
	REQUIRE(!kill(child, SIGTERM));
	ASSERT_TRUE(wait_asleep_reaping(child, NULL));
	REQUIRE(!kill(child, SIGKILL));
	status = child_wait(child);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(SIGKILL, WTERMSIG(status));
	EXPECT_EQ(0, shared->result);
}
