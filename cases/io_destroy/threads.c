// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A context belongs to the address space: any thread may use it, and any may
 * destroy it under the others.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"

#define THREADS 4
#define ROUNDS	25

struct shared {
	aio_handle ctx;
	struct meeting meeting;
	long results[THREADS];
	struct iocb iocb;
	struct io_event event;
	int fd;
	atomic_uint next;
};

static void *destroy_together(void *arg)
{
	struct shared *shared = arg;
	unsigned int me = atomic_fetch_add(&shared->next, 1);

	meet(&shared->meeting);
	shared->results[me] = aio->destroy(shared->ctx);
	return NULL;
}

CASE(io_destroy, one_of_many_wins, "of threads that destroy at once one does",
     .clause = "io_destroy.two_threads", .time_limit = 20)
{
	int round, i, won, lost;

	for (round = 0; round < ROUNDS; round++) {
		struct shared shared = { .meeting = { .n = THREADS } };
		struct thread *threads[THREADS];

		shared.ctx = new_context(8);
		for (i = 0; i < THREADS; i++)
			threads[i] = thread_run(destroy_together, &shared);
		for (i = 0; i < THREADS; i++)
			thread_join(threads[i]);
		for (won = lost = i = 0; i < THREADS; i++) {
			won += shared.results[i] == 0;
			lost += shared.results[i] == -EINVAL;
		}
		ASSERT_EQ(1, won);
		ASSERT_EQ(THREADS - 1, lost);
	}
	EXPECT_EQ(0, maps_named("/[aio]"));
}

static void *make_and_submit(void *arg)
{
	struct shared *shared = arg;

	shared->ctx = new_context(8);
	stage_submit(shared->ctx, prep_poll(&shared->iocb, shared->fd, POLLIN));
	return NULL;
}

CASE(io_destroy, maker_may_exit,
     "the thread that made a context may be gone; another reaps and destroys",
     .clause = "io_destroy.thread_exit")
{
	struct shared shared = { .fd = open_eventfd(0, 0) };
	uint64_t one = 1;

	thread_join(thread_run(make_and_submit, &shared));
	EXPECT_EQ(0, ring_unread(shared.ctx));
	REQUIRE(write(shared.fd, &one, sizeof(one)) == sizeof(one));
	EXPECT_EQ(1, aio->getevents(shared.ctx, 1, 1, &shared.event, NULL));
	EXPECT_EVENT(&shared.event, &shared.iocb, POLLIN);
	EXPECT_OK(aio->destroy(shared.ctx));
}

static void *outlive_the_first(void *arg)
{
	struct shared *shared = arg;
	uint64_t one = 1;

	WAIT_FOR(task_state(getpid()) == 'Z');
	REQUIRE(write(shared->fd, &one, sizeof(one)) == sizeof(one));
	EXPECT_EQ(1, aio->getevents(shared->ctx, 1, 1, &shared->event, NULL));
	EXPECT_EVENT(&shared->event, &shared->iocb, POLLIN);
	EXPECT_WORKS(shared->ctx, 1);
	EXPECT_OK(aio->destroy(shared->ctx));
	EXPECT_WORKS(new_context(1), 1);
	child_exit(0);
}

CASE(io_destroy, first_thread_may_exit,
     "a process whose first thread is gone goes on with its contexts",
     .clause = "io_destroy.thread_exit")
{
	static struct shared shared;
	pid_t pid;

	shared.fd = open_eventfd(0, 0);
	pid = child_fork();
	if (!pid) {
		make_and_submit(&shared);
		thread_run(outlive_the_first, &shared);
		syscall(SYS_exit, 0);
	}
	EXPECT_CHILD_OK(pid);
}

static void *use_and_destroy(void *arg)
{
	struct shared *shared = arg;

	EXPECT_EQ(1, submit_one(shared->ctx,
				prep_poll(&shared->iocb, shared->fd, POLLIN)));
	EXPECT_EQ(1, aio->getevents(shared->ctx, 1, 1, &shared->event, NULL));
	EXPECT_OK(aio->destroy(shared->ctx));
	return NULL;
}

CASE(io_destroy, any_thread_destroys, "a thread destroys what another made",
     .clause = "io_destroy.threads_share")
{
	struct shared shared = { .fd = open_eventfd(1, 0) };

	shared.ctx = new_context(8);
	thread_join(thread_run(use_and_destroy, &shared));
	EXPECT_EVENT(&shared.event, &shared.iocb, POLLIN);
	EXPECT_ERR(EINVAL, aio->destroy(shared.ctx));
}

static void *wait_for_event(void *arg)
{
	struct shared *shared = arg;

	shared->results[0] =
		aio->getevents(shared->ctx, 1, 1, &shared->event, NULL);
	return NULL;
}

CASE(io_destroy, wakes_waiter, "a thread that waits for events gets EINVAL",
     .clause = "io_destroy.against.getevents", .needs = "task_syscall")
{
	struct shared shared = { .ctx = new_context(8) };
	struct thread *thread = thread_run(wait_for_event, &shared);

	wait_asleep_in(thread_tid(thread), SYS_io_getevents);
	EXPECT_OK(aio->destroy(shared.ctx));
	thread_join(thread);
	EXPECT_EQ(-EINVAL, shared.results[0]);
}

/* A wake-up of one of them would leave the others, and the call, asleep. */
CASE(io_destroy, wakes_waiters, "all that wait get EINVAL, however they wait",
     .clause = "io_destroy.against.getevents", .needs = "task_syscall")
{
	enum { WAITERS = 6 };
	aio_handle ctx = new_context(8);
	struct io_event *events = GUARDED_ARRAY(struct io_event, WAITERS);
	struct timespec hour = { .tv_sec = 3600 };
	struct waiter *waiters[WAITERS];
	sigset_t none;
	int i;

	sigemptyset(&none);
	for (i = 0; i < WAITERS; i++) {
		struct timespec *timeout = i % 2 ? &hour : NULL;

		if (i / 2 == 1)
			waiters[i] = waiter_run_masked(ctx, 1, 1, &events[i],
						       timeout, &none);
		else
			waiters[i] = waiter_run(ctx, 1, 1, &events[i], timeout);
		ASSERT_TRUE(waiter_asleep(waiters[i]));
	}
	EXPECT_OK(aio->destroy(ctx));
	for (i = 0; i < WAITERS; i++) {
		ROUND("waiter %d", i);
		EXPECT_EQ(-EINVAL, waiter_result(waiters[i]));
	}
}

/* Whatever the order, every submission counted is drained, none hangs. */
static void *submit_until_dead(void *arg)
{
	struct shared *shared = arg;
	struct iocb iocb;
	long result;

	meet(&shared->meeting);
	do {
		result = submit_one(shared->ctx,
				    prep_poll(&iocb, shared->fd, POLLIN));
		if (result == 1)
			shared->results[0]++;
	} while (result == 1 || result == -EAGAIN);
	shared->results[1] = result;
	return NULL;
}

CASE(io_destroy, against_submit, "a thread that submits gets EINVAL at last",
     .clause = "io_destroy.against.submit", .time_limit = 20)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		struct shared shared = { .meeting = { .n = 2 },
					 .fd = open_eventfd(0, 0) };
		struct thread *thread;

		shared.ctx = new_context(64);
		thread = thread_run(submit_until_dead, &shared);
		meet(&shared.meeting);
		ASSERT_OK(aio->destroy(shared.ctx));
		thread_join(thread);
		ASSERT_EQ(-EINVAL, shared.results[1]);
		drop(shared.fd);
	}
}

static void *cancel_until_dead(void *arg)
{
	struct shared *shared = arg;
	struct io_event event;
	long result;

	meet(&shared->meeting);
	do {
		result = aio->cancel(shared->ctx, &shared->iocb, &event);
		if (result == -EINPROGRESS)
			shared->results[0]++;
	} while (result == -EINPROGRESS);
	shared->results[1] = result;
	return NULL;
}

CASE(io_destroy, against_cancel, "a thread that cancels is told the truth",
     .clause = "io_destroy.against.cancel", .time_limit = 20)
{
	int round;

	for (round = 0; round < ROUNDS; round++) {
		struct shared shared = { .meeting = { .n = 2 },
					 .fd = open_eventfd(0, 0) };
		struct thread *thread;

		shared.ctx = new_context(8);
		stage_submit(shared.ctx,
			     prep_poll(&shared.iocb, shared.fd, POLLIN));
		thread = thread_run(cancel_until_dead, &shared);
		meet(&shared.meeting);
		ASSERT_OK(aio->destroy(shared.ctx));
		thread_join(thread);
		EXPECT_LE(1, shared.results[0]);
		ASSERT_EQ(-EINVAL, shared.results[1]);
		drop(shared.fd);
	}
}
