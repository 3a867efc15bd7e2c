// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One POLL, and from three sides at once its wake-up, its cancellation and the
 * end of its context. Each of them takes the request off the others; who comes
 * second must see that, or the request is freed twice, or never.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "case.h"
#include "side.h"

struct one {
	aio_handle ctx;
	struct iocb *iocb;
	int fd;
	const char *path;
	long cancelled;
};

static void wake(void *arg)
{
	struct one *one = arg;

	REQUIRE(!eventfd_write(one->fd, 1));
}

static void cancel(void *arg)
{
	struct one *one = arg;
	struct io_event event;

	one->cancelled = aio->cancel(one->ctx, one->iocb, &event);
}

/* However it went, the request ended once; the wake-up may have been first. */
static void expect_one_end(struct one *one)
{
	struct io_event event;

	ASSERT_EQ(1, aio->getevents(one->ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, one->iocb, event.res);
	if (one->cancelled == -EINVAL)
		EXPECT_EQ(POLLIN, event.res & ~POLLRDNORM);
	else
		EXPECT_EQ(-EINPROGRESS, one->cancelled);
	EXPECT_EQ(0, ring_unread(one->ctx));
}

CASE(race, poll_wake_cancel, "wake-up against cancel: one event",
     .clause = "race.poll.wake_cancel", .needs = "eventfd cpus2")
{
	struct one one = { .ctx = new_context(1),
			   .iocb = GUARDED(struct iocb),
			   .fd = open_eventfd(0, 0) };
	struct side *side = side_start(wake, &one);
	unsigned int i, n = rounds(SIDE_ROUNDS);

	prep_poll(one.iocb, one.fd, POLLIN);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		stage_submit(one.ctx, one.iocb);
		side_go(side, i);
		cancel(&one);
		side_wait(side);
		expect_one_end(&one);
		eventfd_take(one.fd);
	}
	side_end(side);
}

/* Destroying takes its time: few rounds, and three sides. */
#define DESTROY_ROUNDS 8

CASE(race, poll_wake_cancel_destroy,
     "wake-up, cancel and destroy at once: all of them end",
     .clause = "race.poll.wake_cancel", .needs = "eventfd cpus2",
     .flavours = RAW)
{
	struct one one = { .iocb = GUARDED(struct iocb),
			   .fd = open_eventfd(0, 0) };
	struct side *waker = side_start(wake, &one);
	struct side *canceller = side_start(cancel, &one);
	unsigned int i;

	prep_poll(one.iocb, one.fd, POLLIN);
	for (i = 0; i < DESTROY_ROUNDS; i++) {
		ROUND("round %u", i);
		one.ctx = new_context(1);
		stage_submit(one.ctx, one.iocb);
		side_go(waker, i);
		side_go(canceller, i / 2);
		EXPECT_OK(aio->destroy(one.ctx));
		side_wait(waker);
		side_wait(canceller);
		EXPECT_TRUE(one.cancelled == -EINPROGRESS ||
			    one.cancelled == -EINVAL);
		eventfd_take(one.fd);
	}
	side_end(canceller);
	side_end(waker);
}

/* A writer that comes and goes wakes plainly, and leaves nothing to read. */
static void come_and_write(void *arg)
{
	struct one *one = arg;

	one->fd = open(one->path, O_WRONLY | O_CLOEXEC);
	REQUIRE(one->fd >= 0);
	REQUIRE(write(one->fd, "x", 1) == 1);
}

#define FIFO_ROUNDS 400

CASE(race, poll_plain_wake_cancel, "plain wake-ups against cancel: one event",
     .clause = "race.poll.plain_wake_cancel", .needs = "cpus2")
{
	struct one one = { .ctx = new_context(1),
			   .iocb = GUARDED(struct iocb),
			   .path = scratch_path("fifo") };
	struct side *side = side_start(come_and_write, &one);
	unsigned int i, n = rounds(FIFO_ROUNDS);
	int reader;

	REQUIRE(!mkfifo(one.path, 0600));
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		reader = open(one.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		REQUIRE(reader >= 0);
		prep_poll(one.iocb, reader, POLLIN);
		stage_submit(one.ctx, one.iocb);
		side_go(side, i);
		cancel(&one);
		side_wait(side);
		expect_one_end(&one);
		close(reader);
		close(one.fd);
	}
	side_end(side);
}

#define POLLS 16

struct many {
	aio_handle ctx;
	struct iocb *iocbs;
	int fds[POLLS];
};

static void wake_all(void *arg)
{
	struct many *many = arg;
	unsigned int i;

	for (i = 0; i < POLLS; i++)
		REQUIRE(!eventfd_write(many->fds[i], 1));
}

#define MANY_ROUNDS 200

CASE(race, poll_submit_wake,
     "POLLs submitted while their files become ready all complete",
     .clause = "race.poll.submit_wake", .needs = "eventfd cpus2")
{
	struct many many = { .ctx = new_context(POLLS),
			     .iocbs = GUARDED_ARRAY(struct iocb, POLLS) };
	struct side *side = side_start(wake_all, &many);
	struct io_event events[POLLS];
	struct iocb *list[POLLS];
	unsigned int i, k, n = rounds(MANY_ROUNDS);

	for (i = 0; i < POLLS; i++) {
		many.fds[i] = open_eventfd(0, 0);
		list[i] = prep_poll(&many.iocbs[i], many.fds[i], POLLIN);
	}
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		side_go(side, i);
		ASSERT_EQ(POLLS, aio->submit(many.ctx, POLLS, list));
		ASSERT_EQ(POLLS,
			  aio->getevents(many.ctx, POLLS, POLLS, events, NULL));
		side_wait(side);
		for (k = 0; k < POLLS; k++) {
			EXPECT_EVENT(find_event(events, POLLS, list[k]),
				     list[k], POLLIN);
			eventfd_take(many.fds[k]);
		}
		EXPECT_EQ(0, ring_unread(many.ctx));
	}
	side_end(side);
}

static void write_byte(void *arg)
{
	struct one *one = arg;

	REQUIRE(write(one->fd, "x", 1) == 1);
}

/*
 * A FIFO open for both has two queues, which POLL refuses; but the wake-up of
 * the first may have ended the request before the kernel has seen the second.
 */
CASE(race, poll_two_queues_wake,
     "POLL of two queues against a wake-up: an error or an event, never both",
     .clause = "race.poll.two_queues", .needs = "cpus2 memfd")
{
	struct one one = { .ctx = new_context(1),
			   .iocb = GUARDED(struct iocb),
			   .path = scratch_path("fifo") };
	struct side *side = side_start(write_byte, &one);
	struct io_event event;
	unsigned int i, n = rounds(SIDE_ROUNDS);
	long result;
	char byte;

	REQUIRE(!mkfifo(one.path, 0600));
	one.fd = keep(open(one.path, O_RDWR | O_CLOEXEC));
	prep_poll(one.iocb, one.fd, POLLIN);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		side_go(side, i);
		result = submit_one(one.ctx, one.iocb);
		side_wait(side);
		EXPECT_TRUE(result == 1 || result == -EINVAL);
		if (result == 1) {
			ASSERT_EQ(1,
				  aio->getevents(one.ctx, 1, 1, &event, NULL));
			/* 0: the worker was told that it is cancelled */
			EXPECT_EVENT(&event, one.iocb, event.res);
			EXPECT_TRUE(event.res == 0 || event.res & POLLIN);
		}
		EXPECT_EQ(0, ring_unread(one.ctx));
		REQUIRE(read(one.fd, &byte, 1) == 1);
	}
	side_end(side);
	let_worker_look();
	EXPECT_EQ(0, ring_unread(one.ctx));
}

/* Once, so many nanoseconds from now: by an interrupt of this thread's CPU. */
static void arm(int fd, int64_t ns)
{
	struct itimerspec when = { .it_value.tv_nsec = ns > 0 ? ns : 1 };

	REQUIRE(!timerfd_settime(fd, 0, &when, NULL));
}

/*
 * The other races are between CPUs. Here the wake-up is an interrupt of the
 * CPU that is within the call: the locks that it takes must not be held open
 * to interrupts.
 */
static void timer_round(struct one *one, int64_t ns)
{
	uint64_t ticks;

	arm(one->fd, ns);
	stage_submit(one->ctx, one->iocb);
	cancel(one);
	expect_one_end(one);
	arm(one->fd, NSEC_PER_SEC - 1);
	if (read(one->fd, &ticks, sizeof(ticks)) < 0)
		REQUIRE(errno == EAGAIN);
}

#define TIMER_SWEEPS 20
#define TIMER_STEPS  100

CASE(race, poll_timer_cancel,
     "a timer that fires anywhere in submission or cancellation: one event",
     .clause = "race.poll.timer", .needs = "timerfd")
{
	struct one one = { .ctx = new_context(1),
			   .iocb = GUARDED(struct iocb),
			   .fd = keep(timerfd_create(CLOCK_MONOTONIC,
						     TFD_CLOEXEC |
							     TFD_NONBLOCK)) };
	unsigned int i, step, cancelled, n = rounds(TIMER_SWEEPS);
	int64_t reach = 10000; /* nanoseconds, from arming past both calls */

	pin_to_cpu(0);
	prep_poll(one.iocb, one.fd, POLLIN);
	for (i = 0; i < n; i++) {
		cancelled = 0;
		for (step = 0; step < TIMER_STEPS; step++) {
			ROUND("sweep %u, step %u", i, step);
			timer_round(&one, reach * step / TIMER_STEPS);
			cancelled += one.cancelled == -EINPROGRESS;
		}
		/* what a timer costs is the machine's: follow where they meet
		 */
		if (cancelled < TIMER_STEPS / 8)
			reach = reach * 3 / 2;
		else if (cancelled > TIMER_STEPS / 2)
			reach = reach * 2 / 3;
	}
	unpin();
}

/*
 * An inotify descriptor wakes without saying what for, so that a worker has to
 * look.
 */
struct watched {
	int watch, file;
};

static struct watched *watch_file(void)
{
	struct watched *watched = calloc(1, sizeof(*watched));
	static unsigned int files;
	const char *path;
	char name[20];

	snprintf(name, sizeof(name), "watched%u", files++);
	path = scratch_path(name);

	REQUIRE(watched);
	watched->file = keep(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	watched->watch = keep(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
	REQUIRE(inotify_add_watch(watched->watch, path, IN_ATTRIB) >= 0);
	return watched;
}

static void touch(void *arg)
{
	struct watched *watched = arg;

	REQUIRE(!fchmod(watched->file, 0600));
}

static void drain(struct watched *watched)
{
	char buf[512];

	while (read(watched->watch, buf, sizeof(buf)) > 0)
		;
	REQUIRE(errno == EAGAIN);
}

CASE(race, poll_submit_plain_wake,
     "plain wake-ups while a POLL is submitted: one event",
     .clause = "race.poll.submit_plain_wake", .needs = "inotify cpus2 memfd")
{
	struct watched *watched = watch_file();
	struct side *side = side_start(touch, watched);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;
	unsigned int i, n = rounds(SIDE_ROUNDS);

	prep_poll(iocb, watched->watch, POLLIN);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		side_go(side, i);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
		EXPECT_EVENT(&event, iocb, POLLIN);
		side_wait(side);
		EXPECT_EQ(0, ring_unread(ctx));
		drain(watched);
	}
	side_end(side);
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
	free(watched);
}

#define WALK	    512 /* POLLs that io_destroy() cancels one by one */
#define WALK_ROUNDS 60

struct walk {
	int fd;
	int64_t when;
};

static void wake_then(void *arg)
{
	struct walk *walk = arg;

	spin_until(walk->when);
	REQUIRE(!eventfd_write(walk->fd, 1));
}

/*
 * The kernel cancels them some time after the call has begun, when no CPU uses
 * the context any more: the wake-up is swept over the whole call.
 */
CASE(race, poll_wake_destroy_walk,
     "POLLs woken all at once while io_destroy() cancels them all end",
     .clause = "race.poll.wake_cancel", .needs = "eventfd cpus2",
     .flavours = NATIVE)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, WALK);
	struct walk walk = { .fd = open_eventfd(0, 0) };
	struct side *side = side_start(wake_then, &walk);
	unsigned int i, k, n = rounds(WALK_ROUNDS);
	struct iocb *list[WALK];
	int64_t begin, took = 0;
	aio_handle ctx;

	for (k = 0; k < WALK; k++)
		list[k] = prep_poll(&iocbs[k], walk.fd, POLLIN);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		ctx = new_context(WALK);
		STAGE_EQ(WALK, aio->submit(ctx, WALK, list));
		begin = now_ns();
		/* the first tells how long it takes when nobody disturbs it */
		walk.when = begin + took * i / n;
		if (i)
			side_go(side, 0);
		EXPECT_OK(aio->destroy(ctx));
		if (!i) {
			took = now_ns() - begin;
			continue;
		}
		side_wait(side);
		eventfd_take(walk.fd);
	}
	side_end(side);
}

#define WATCHES	      8
#define SUBMISSIONS   16
#define WORKER_ROUNDS 200

static void touch_all(void *arg)
{
	struct watched **watched = arg;
	unsigned int i;

	for (i = 0; i < WATCHES; i++)
		touch(watched[i]);
}

/*
 * A worker takes its request off the context's list while others come onto it
 * and go.
 */
CASE(race, poll_worker_list,
     "workers complete POLLs while others are submitted and cancelled",
     .clause = "race.poll.plain_wake_cancel", .needs = "inotify eventfd cpus2")
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, WATCHES + SUBMISSIONS);
	struct io_event events[WATCHES + SUBMISSIONS];
	aio_handle ctx = new_context(WATCHES + SUBMISSIONS);
	unsigned int i, k, n = rounds(WORKER_ROUNDS);
	struct watched *watched[WATCHES];
	int fd = open_eventfd(0, 0);
	struct side *side;

	for (k = 0; k < WATCHES; k++)
		watched[k] = watch_file();
	side = side_start(touch_all, watched);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		for (k = 0; k < WATCHES; k++)
			stage_submit(ctx, prep_poll(&iocbs[k],
						    watched[k]->watch, POLLIN));
		side_go(side, i);
		for (; k < WATCHES + SUBMISSIONS; k++) {
			stage_submit(ctx, prep_poll(&iocbs[k], fd, POLLIN));
			EXPECT_EQ(-EINPROGRESS,
				  aio->cancel(ctx, &iocbs[k], NULL));
		}
		stage_reap(ctx, WATCHES + SUBMISSIONS, events);
		for (k = 0; k < WATCHES + SUBMISSIONS; k++)
			EXPECT_EVENT(find_event(events, WATCHES + SUBMISSIONS,
						&iocbs[k]),
				     &iocbs[k], k < WATCHES ? POLLIN : 0);
		side_wait(side);
		for (k = 0; k < WATCHES; k++)
			drain(watched[k]);
	}
	side_end(side);
	for (k = 0; k < WATCHES; k++)
		free(watched[k]);
}
