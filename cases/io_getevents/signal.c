// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Signals while io_getevents() waits, and at its edges: what is there is
 * given, and EINTR says that nothing was.
 *
 * A call that said EINTR although it had stored events, or that gave 0 for a
 * signal, has made programs lose requests and miss their own shutdown.
 */
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define HOUR (3600 * 1000L)

static void expect_eintr(int flags, struct timespec *timeout)
{
	struct io_event *event = GUARDED(struct io_event);
	struct io_event untouched = *event;
	aio_handle ctx = new_context(1);
	unsigned int seen = signals_seen(SIGUSR1);
	struct waiter *waiter;

	count_signal(SIGUSR1, flags);
	waiter = waiter_run(ctx, 1, 1, event, timeout);
	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, SIGUSR1);
	EXPECT_ERR(EINTR, waiter_result(waiter));
	EXPECT_EQ(seen + 1, signals_seen(SIGUSR1));
	EXPECT_MEM(&untouched, event, sizeof(*event));
}

CASE(io_getevents, signal_eintr,
     "a signal while nothing was reaped ends the wait with EINTR",
     .clause = "io_getevents.signal.eintr", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec hour = millis(HOUR);

	expect_eintr(0, NULL);
	expect_eintr(0, &hour);
}

CASE(io_getevents, signal_eintr_leaves_nothing,
     "after EINTR the context works on, and can be destroyed",
     .clause = "io_getevents.signal.eintr", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct timespec hour = millis(HOUR);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct waiter *waiter;

	count_signal(SIGUSR1, 0);
	waiter = waiter_run(ctx, 1, 1, event, &hour);
	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, SIGUSR1);
	EXPECT_ERR(EINTR, waiter_result(waiter));

	waiter = waiter_run(ctx, 1, 1, event, &hour);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	ASSERT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(event, iocb, POLLIN);
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_getevents, signal_restart, "SA_RESTART does not restart it: EINTR",
     .clause = "io_getevents.signal.restart", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec hour = millis(HOUR);

	expect_eintr(SA_RESTART, NULL);
	expect_eintr(SA_RESTART, &hour);
}

/* Some events before the wait, some during it, and then the signal. */
static void expect_partial(unsigned int before, unsigned int during, int flags)
{
	const unsigned int n = before + during;
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, n);
	struct io_event *events = GUARDED_ARRAY(struct io_event, n + 1);
	struct io_event untouched = events[n];
	unsigned int seen = signals_seen(SIGUSR1), i;
	aio_handle ctx = new_context(n + 1);
	struct waiter *waiter;
	int fd = open_eventfd(0, 0);

	count_signal(SIGUSR1, flags);
	stage_events(ctx, before, iocbs);
	for (i = before; i < n; i++)
		stage_submit(ctx, prep_poll(&iocbs[i], fd, POLLIN));
	waiter = waiter_run(ctx, n + 1, n + 1, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, SIGUSR1);
	ASSERT_EQ(n, waiter_result(waiter));
	EXPECT_EQ(seen + 1, signals_seen(SIGUSR1));
	for (i = 0; i < n; i++)
		EXPECT_TRUE(find_event(events, n, &iocbs[i]));
	EXPECT_MEM(&untouched, &events[n], sizeof(untouched));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_getevents, signal_partial,
     "a signal after k of min_nr events ends the wait with k",
     .clause = "io_getevents.signal.partial", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_partial(1, 0, 0);
	expect_partial(3, 0, SA_RESTART);
}

CASE(io_getevents, signal_partial_during,
     "the k events may have come before the wait, during it, or both",
     .clause = "io_getevents.signal.partial", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_partial(0, 1, 0);
	expect_partial(0, 2, SA_RESTART);
	expect_partial(2, 1, 0);
}

/* A signal that does not concern the waiter: it must end with the event. */
static void expect_slept_through(int sig)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct waiter *waiter = waiter_run(ctx, 1, 1, event, NULL);

	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, sig);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	ASSERT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(event, iocb, POLLIN);
}

CASE(io_getevents, signal_ignored, "an ignored signal does not end the wait",
     .clause = "io_getevents.signal.ignored", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	REQUIRE(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	expect_slept_through(SIGUSR1);
	/* and one that is ignored by default */
	expect_slept_through(SIGURG);
}

CASE(io_getevents, signal_blocked, "a blocked signal does not end the wait",
     .clause = "io_getevents.signal.ignored", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	count_signal(SIGUSR1, 0);
	/* the waiter inherits the mask */
	block_signal(SIGUSR1);
	expect_slept_through(SIGUSR1);
	EXPECT_EQ(0, signals_seen(SIGUSR1));
}

/*
 * A call that is stopped where it reads its time-out gets its signal before it
 * looks at the ring. So only can a signal be pending when a call with a
 * time-out of 0 ends.
 */
static long signalled_on_entry(aio_handle ctx, struct timespec timeout,
			       struct io_event *event)
{
	struct timespec *page = io_buffer(PAGE_SIZE);
	struct timespec *content = io_buffer(PAGE_SIZE);
	struct trap *trap = trap_set(page, PAGE_SIZE);
	struct waiter *waiter;

	count_signal(SIGUSR1, 0);
	*content = timeout;
	waiter = waiter_run(ctx, 1, 1, event, page);
	trap_wait(trap);
	waiter_signal(waiter, SIGUSR1);
	trap_release(trap, content);
	waiter_result(waiter);
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	return waiter->result;
}

CASE(io_getevents, signal_timeout_zero,
     "a signal pending when nothing is found without waiting: EINTR",
     .clause = "io_getevents.signal.timeout_zero", .needs = "userfaultfd",
     .flavours = RAW | PGETEVENTS)
{
	struct io_event event;

	EXPECT_ERR(EINTR,
		   signalled_on_entry(new_context(1), millis(0), &event));
}

CASE(io_getevents, signal_timeout_zero_event,
     "a signal pending when an event is found without waiting: its count",
     .clause = "io_getevents.signal.timeout_zero",
     .needs = "userfaultfd eventfd", .flavours = RAW | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);

	stage_events(ctx, 1, iocb);
	ASSERT_EQ(1, signalled_on_entry(ctx, millis(0), event));
	EXPECT_EVENT(event, iocb, POLLIN);
}

CASE(io_getevents, signal_on_entry,
     "a signal that is pending when the wait begins ends it",
     .clause = "io_getevents.signal.eintr", .needs = "userfaultfd",
     .flavours = RAW | PGETEVENTS)
{
	struct io_event event;

	EXPECT_ERR(EINTR,
		   signalled_on_entry(new_context(1), millis(HOUR), &event));
}

CASE(io_getevents, signal_on_entry_event,
     "a signal that is pending before the call looks does not hide the event",
     .clause = "io_getevents.signal.partial", .needs = "userfaultfd eventfd",
     .flavours = RAW | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);

	stage_events(ctx, 1, iocb);
	ASSERT_EQ(1, signalled_on_entry(ctx, millis(HOUR), event));
	EXPECT_EVENT(event, iocb, POLLIN);
}

/* --- processes that wait --- */

/* A child of one thread that waits for an event that does not come. */
static pid_t child_waits(long *result)
{
	pid_t child = child_fork();
	struct io_event event;

	if (child) {
		ASSERT_TRUE(wait_asleep_reaping(child, NULL));
		return child;
	}
	*result = aio->getevents(new_context(1), 1, 1, &event, NULL);
	child_exit(0);
}

/* libaio may be built upon io_pgetevents(2), which is taken up again. */
CASE(io_getevents, signal_stop, "stopped and continued the wait ends in EINTR",
     .clause = "io_getevents.signal.stop", .needs = "task_syscall",
     .flavours = RAW)
{
	long *result = shared_memory(sizeof(*result));
	pid_t child = child_waits(result);
	int status;

	REQUIRE(!kill(child, SIGSTOP));
	REQUIRE(waitpid(child, &status, WUNTRACED) == child);
	REQUIRE(WIFSTOPPED(status));
	REQUIRE(!kill(child, SIGCONT));
	EXPECT_CHILD_OK(child);
	EXPECT_ERR(EINTR, *result);
}

static void expect_killed(int sig)
{
	long *result = shared_memory(sizeof(*result));
	pid_t child = child_waits(result);
	int status;

	REQUIRE(!kill(child, sig));
	status = child_wait(child);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_EQ(sig, WTERMSIG(status));
	EXPECT_EQ(0, *result);
}

CASE(io_getevents, signal_kill, "a process that waits can be killed",
     .clause = "io_getevents.signal.kill", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_killed(SIGKILL);
	expect_killed(SIGTERM);
}

CASE(io_getevents, signal_abort, "a process that waits can be aborted",
     .clause = "io_getevents.signal.kill", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	const struct rlimit no_core = { 0, 0 };

	REQUIRE(!setrlimit(RLIMIT_CORE, &no_core));
	expect_killed(SIGABRT);
}

CASE(io_getevents, signal_kill_threads,
     "a process that exits takes its waiting threads along",
     .clause = "io_getevents.signal.kill", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { WAITERS = 3 };
	struct io_event events[WAITERS];
	pid_t child = child_fork();
	struct waiter *waiter;
	aio_handle ctx;
	long i;

	if (!child) {
		ctx = new_context(WAITERS);
		for (i = 0; i < WAITERS; i++) {
			waiter = waiter_run(ctx, i + 1, WAITERS, events, NULL);
			ASSERT_TRUE(waiter_asleep(waiter));
		}
		child_exit(0);
	}
	EXPECT_CHILD_OK(child);
}

static void exit_thread(int sig)
{
	syscall(SYS_exit, sig);
}

/* The handler does not return: the thread leaves from within the wait. */
CASE(io_getevents, signal_kill_one_of_two,
     "when a waiting thread ends, the others wait on",
     .clause = "io_getevents.signal.kill", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct sigaction action = { .sa_handler = exit_thread };
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct waiter *stays, *goes;

	REQUIRE(!sigaction(SIGUSR1, &action, NULL));
	stays = waiter_run(ctx, 1, 1, &events[0], NULL);
	ASSERT_TRUE(waiter_asleep(stays));
	goes = waiter_run(ctx, 1, 1, &events[1], NULL);
	ASSERT_TRUE(waiter_asleep(goes));
	waiter_signal(goes, SIGUSR1);
	thread_join(goes->thread);
	EXPECT_TRUE(!waiter_done(goes));
	ASSERT_TRUE(waiter_asleep(stays));
	end_poll(fd);
	ASSERT_EQ(1, waiter_result(stays));
	EXPECT_EVENT(&events[0], iocb, POLLIN);
}
