// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POLL on a wait queue that is freed before the file is.
 *
 * A signalfd waits on a queue that belongs to the signal handlers of the task
 * that polls. A task that has handlers of its own, and shares the memory and
 * the descriptors, takes the queue with it when it is gone, while context and
 * file live on. The kernel must complete what stands on it, and never look at
 * it again.
 */
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

#define STACK  (64 * 1024)
#define ROUNDS 100

struct short_life {
	aio_handle ctx;
	struct iocb *iocb;
	int signal; /* sent to itself before it goes; 0: none */
	long result;
	struct gate submitted, go;
};

/*
 * In the memory of the case, and in its thread-local storage too: who made
 * this task waits for it, or both keep off everything but system calls.
 */
static int submit_and_go(void *arg)
{
	struct short_life *life = arg;

	life->result = submit_one(life->ctx, life->iocb);
	if (life->signal)
		syscall(SYS_kill, syscall(SYS_getpid), life->signal);
	gate_open(&life->submitted);
	gate_wait(&life->go);
	syscall(SYS_exit, 0);
	return 0;
}

/* A stack for each: a task that has gone may still be leaving its own. */
static pid_t live(struct short_life *life, int flags)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	REQUIRE(stack != MAP_FAILED);
	pid = clone(submit_and_go, stack + STACK,
		    CLONE_VM | CLONE_FILES | flags | SIGCHLD, life);
	REQUIRE(pid > 0);
	return pid;
}

static int signalfd_of(int sig)
{
	sigset_t set;

	block_signal(sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	return keep(signalfd(-1, &set, SFD_CLOEXEC));
}

/* Live and die, all in one: on return the queue is freed. */
static void live_and_die(struct short_life *life)
{
	pid_t pid;

	gate_open(&life->go);
	pid = live(life, CLONE_VFORK);
	REQUIRE(waitpid(pid, NULL, 0) == pid);
}

CASE(ops, poll_free, "a wait queue that goes with its task completes its POLL",
     .clause = "ops.poll.pollfree.thread", .needs = "signalfd")
{
	struct short_life life = { .iocb = GUARDED(struct iocb) };
	struct io_event *event = GUARDED(struct io_event);

	life.ctx = new_context(1);
	prep_poll(life.iocb, signalfd_of(SIGUSR1), POLLIN);
	live_and_die(&life);
	ASSERT_EQ(1, life.result);
	ASSERT_EQ(1, aio->getevents(life.ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, life.iocb, event->res);
	EXPECT_EQ(POLLHUP, event->res & (POLLIN | POLLOUT | POLLERR | POLLHUP));
	EXPECT_ERR(EINVAL, aio->cancel(life.ctx, life.iocb, NULL));
	EXPECT_EQ(0, ring_unread(life.ctx));
	end_context(life.ctx);
}

CASE(ops, poll_free_many, "all that stand on the queue are completed",
     .clause = "ops.poll.pollfree.thread", .needs = "signalfd")
{
	enum { REQUESTS = 20 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	struct short_life life = { .ctx = new_context(REQUESTS) };
	struct io_event *event;
	int fd = signalfd_of(SIGUSR1), i;
	pid_t pids[REQUESTS];

	/* each by a task of its own, and all gone before the first look */
	for (i = 0; i < REQUESTS; i++) {
		struct short_life *one = GUARDED(struct short_life);

		*one = life;
		one->iocb = prep_poll(&iocbs[i], fd, POLLIN);
		gate_open(&one->go);
		pids[i] = live(one, CLONE_VFORK);
		ASSERT_EQ(1, one->result);
	}
	for (i = 0; i < REQUESTS; i++)
		REQUIRE(waitpid(pids[i], NULL, 0) == pids[i]);
	ASSERT_EQ(REQUESTS,
		  aio->getevents(life.ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++) {
		event = find_event(events, REQUESTS, &iocbs[i]);
		ASSERT_TRUE(event != NULL);
		EXPECT_EQ(POLLHUP, event->res & POLLHUP);
	}
	EXPECT_EQ(0, ring_unread(life.ctx));
}

CASE(ops, poll_free_while_looking,
     "so is one that the kernel looks at for a signal just then",
     .clause = "ops.poll.pollfree.thread", .needs = "signalfd memfd")
{
	struct io_event *event = GUARDED(struct io_event);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = signalfd_of(SIGUSR1), i;

	prep_poll(iocb, fd, POLLIN);
	for (i = 0; i < ROUNDS; i++) {
		struct short_life life = {
			.ctx = ctx,
			.iocb = iocb,
			.signal = SIGUSR1,
		};

		live_and_die(&life);
		ASSERT_EQ(1, life.result);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb, event->res);
		/* 0: the worker found that there is no queue any more */
		EXPECT_TRUE(event->res == 0 || event->res & POLLHUP);
	}
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_free_cancel, "cancelled while its queue goes: one event",
     .clause = "ops.poll.pollfree.cancel", .needs = "signalfd")
{
	struct io_event *event = GUARDED(struct io_event);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = signalfd_of(SIGUSR1), i;
	int64_t begin, took = 0;
	long result;

	/* nobody waits for the task: the queue goes as it does */
	REQUIRE(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	prep_poll(iocb, fd, POLLIN);
	for (i = 0; i < ROUNDS; i++) {
		struct short_life *life = GUARDED(struct short_life);

		life->ctx = ctx;
		life->iocb = iocb;
		live(life, 0);
		gate_wait(&life->submitted);
		ASSERT_EQ(1, life->result);
		begin = now_ns();
		gate_open(&life->go);
		if (i) { /* from at once to half as long again as it takes */
			spin_until(begin + took * 3 / 2 * i / ROUNDS);
			result = aio->cancel(ctx, iocb, NULL);
			EXPECT_TRUE(result == -EINPROGRESS ||
				    result == -EINVAL);
		}
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb, event->res);
		if (i)
			EXPECT_TRUE(
				event->res & POLLHUP ||
				(event->res == 0 && result == -EINPROGRESS));
		else
			took = now_ns() - begin;
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_free_destroy, "the context destroyed while the queue goes",
     .clause = "ops.poll.pollfree.cancel", .needs = "signalfd")
{
	enum { DESTROYS = 4 };
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = signalfd_of(SIGUSR1), i;

	REQUIRE(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
	prep_poll(iocb, fd, POLLIN);
	for (i = 0; i < DESTROYS; i++) {
		struct short_life *life = GUARDED(struct short_life);

		life->ctx = new_context(1);
		life->iocb = iocb;
		live(life, 0);
		gate_wait(&life->submitted);
		ASSERT_EQ(1, life->result);
		gate_open(&life->go);
		EXPECT_OK(aio->destroy(life->ctx));
	}
}
