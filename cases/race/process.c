// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes that end while their threads are in the calls and their requests
 * are completing: the last one out has to find everything still in order.
 */
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "side.h"

#define POLLS 8

/* What the threads of a child use: made there, but for the eventfd. */
struct work {
	aio_handle ctx;
	struct iocb *iocbs;
	int eventfd;
	int pipe[2];
	atomic_uint at_work;
};

static void *keep_reaping(void *arg)
{
	struct work *work = arg;
	struct io_event events[POLLS];

	count_up(&work->at_work);
	for (;;)
		aio->getevents(work->ctx, 1, POLLS, events, NULL);
	return NULL;
}

/* A read of an empty pipe does not come back from io_submit(). */
static void *submit_for_ever(void *arg)
{
	struct work *work = arg;
	struct iocb iocb;
	char byte;

	count_up(&work->at_work);
	submit_one(work->ctx, prep_read(&iocb, work->pipe[0], &byte, 1, 0));
	return NULL;
}

static void *keep_submitting(void *arg)
{
	struct work *work = arg;
	struct iocb iocb;

	count_up(&work->at_work);
	for (;;) {
		submit_one(work->ctx, prep_poll(&iocb, work->eventfd, POLLIN));
		aio->cancel(work->ctx, &iocb, NULL);
	}
	return NULL;
}

static void *keep_making(void *arg)
{
	struct work *work = arg;
	aio_handle ctx;

	count_up(&work->at_work);
	for (;;) {
		ctx = 0;
		if (!aio->setup(1, &ctx))
			aio->destroy(ctx);
	}
	return NULL;
}

static void *(*const bodies[])(void *) = {
	keep_reaping,
	submit_for_ever,
	keep_submitting,
	keep_making,
};
#define BODIES (sizeof(bodies) / sizeof(bodies[0]))

/* In a child: a thread in each of the calls, and requests that pend. */
static void set_to_work(struct work *work)
{
	unsigned int i;

	work->ctx = new_context(4 * POLLS);
	work->iocbs = GUARDED_ARRAY(struct iocb, POLLS);
	work->eventfd = open_eventfd(0, 0);
	open_pipe(work->pipe, 0);
	for (i = 0; i < POLLS; i++)
		stage_submit(work->ctx,
			     prep_poll(&work->iocbs[i], work->eventfd, POLLIN));
	for (i = 0; i < BODIES; i++)
		thread_run(bodies[i], work);
	wait_until_ge(&work->at_work, BODIES);
}

#define TIMES 4

CASE(race, exit_threads, "a process with a thread in each call exits",
     .clause = "race.exit_threads", .needs = "eventfd", .flavours = RAW)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < TIMES; i++) {
		ROUND("round %u", i);
		pid = child_fork();
		if (!pid) {
			struct work work = { 0 };

			set_to_work(&work);
			child_exit(0);
		}
		EXPECT_CHILD_OK(pid);
	}
}

CASE(race, kill_threads, "a process with a thread in each call is killed",
     .clause = "race.exit_threads", .needs = "eventfd", .flavours = RAW)
{
	struct gate *at_work;
	unsigned int i;
	pid_t pid;

	for (i = 0; i < TIMES; i++) {
		ROUND("round %u", i);
		at_work = shared_memory(sizeof(*at_work));
		pid = child_fork();
		if (!pid) {
			struct work work = { 0 };

			set_to_work(&work);
			gate_open(at_work);
			for (;;)
				pause();
		}
		gate_wait(at_work);
		REQUIRE(!kill(pid, SIGKILL));
		EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(pid)));
	}
}

EXEC_BODY(race_leave)
{
	return (int)maps_named("/[aio]");
}

static void *execute(void *arg)
{
	child_exec("race_leave", 0);
}

CASE(race, exec_thread,
     "execve() in one thread ends those that are in the calls",
     .clause = "race.exec_thread", .needs = "eventfd", .flavours = RAW)
{
	unsigned int i;
	pid_t pid;

	for (i = 0; i < TIMES; i++) {
		ROUND("round %u", i);
		pid = child_fork();
		if (!pid) {
			struct work work = { 0 };

			set_to_work(&work);
			thread_run(execute, NULL);
			for (;;)
				pause();
		}
		EXPECT_CHILD_OK(pid);
	}
}

static void complete(void *arg)
{
	int *eventfd = arg;

	REQUIRE(!eventfd_write(*eventfd, 1));
}

#define EXITS 12

CASE(race, complete_exit, "requests that complete while their process exits",
     .clause = "race.complete_exit", .needs = "eventfd cpus2", .flavours = RAW)
{
	struct meeting *leaving = shared_memory(sizeof(*leaving));
	int eventfd = open_eventfd(0, 0);
	struct side *side = side_start(complete, &eventfd);
	struct iocb iocbs[POLLS];
	unsigned int i, k;
	aio_handle ctx;
	pid_t pid;

	leaving->n = 2;
	for (i = 0; i < EXITS; i++) {
		ROUND("round %u", i);
		pid = child_fork();
		if (!pid) {
			ctx = new_context(POLLS);
			for (k = 0; k < POLLS; k++)
				stage_submit(ctx, prep_poll(&iocbs[k], eventfd,
							    POLLIN));
			meet(leaving);
			child_exit(0);
		}
		meet(leaving);
		side_go(side, i);
		side_wait(side);
		EXPECT_CHILD_OK(pid);
		EXPECT_EQ(1, eventfd_take(eventfd));
	}
	side_end(side);
}

/* --- fork() against io_destroy() --- */

static void fork_and_touch(void *arg)
{
	aio_handle *ctx = arg;
	pid_t pid = child_fork();
	int status;

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGBUS, SIG_DFL);
		ring_of(*ctx)->head = ring_of(*ctx)->tail;
		child_exit(0);
	}
	status = child_wait(pid);
	EXPECT_TRUE(!status || WTERMSIG(status) == SIGSEGV ||
		    WTERMSIG(status) == SIGBUS);
}

CASE(race, fork_destroy,
     "children made while a ring is destroyed touch it and crash nothing",
     .clause = "race.fork_destroy", .needs = "cpus2", .flavours = RAW)
{
	aio_handle ctx;
	struct side *side = side_start(fork_and_touch, &ctx);
	unsigned int i;

	for (i = 0; i < EXITS; i++) {
		ROUND("round %u", i);
		ctx = new_context(1);
		side_go(side, i);
		EXPECT_OK(aio->destroy(ctx));
		side_wait(side);
	}
	side_end(side);
}

/* --- faults against the end of the ring --- */

#define FAULTERS     4
#define FAULT_ROUNDS 60

/*
 * Has the page of its copy mapped anew, over and over, until there is none.
 * Who tears the ring down comes in between wherever it likes, for this one is
 * pushed aside by everybody.
 */
static void fault_on(aio_handle ctx, unsigned int cpu)
{
	struct sched_param param = { 0 };

	pin_to_cpu(cpu);
	REQUIRE(!sched_setscheduler(0, SCHED_IDLE, &param));
	signal(SIGSEGV, SIG_DFL);
	signal(SIGBUS, SIG_DFL);
	for (;;) {
		madvise((void *)ctx, PAGE_SIZE, MADV_DONTNEED);
		/* a write: pages that are there are mapped for reading at once
		 */
		((volatile struct aio_ring *)ring_of(ctx))->head = 0;
	}
}

CASE(race, fork_faults,
     "children that fault in a ring while it goes get SIGBUS, and crash nothing",
     .clause = "race.fork_destroy", .needs = "cpus2", .flavours = RAW)
{
	unsigned int nr = cpus_usable(), round, i;
	struct sched_param param = { 0 };
	pid_t pids[FAULTERS];
	aio_handle ctx;
	int status;

	if (nr > FAULTERS)
		nr = FAULTERS;
	for (round = 0; round < rounds(FAULT_ROUNDS); round++) {
		ROUND("round %u", round);
		ctx = new_context(1);
		for (i = 0; i < nr; i++) {
			pids[i] = child_fork();
			if (!pids[i])
				fault_on(ctx, i);
		}
		EXPECT_OK(aio->destroy(ctx));
		for (i = 0; i < nr; i++) {
			/* it may be gone; on a busy machine it would be long */
			sched_setscheduler(pids[i], SCHED_OTHER, &param);
			status = child_wait(pids[i]);
			EXPECT_TRUE(WTERMSIG(status) == SIGSEGV ||
				    WTERMSIG(status) == SIGBUS);
		}
	}
}
