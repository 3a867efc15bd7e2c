// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POLL against what happens at the same moment on another CPU: the file
 * becomes ready, is closed, the request is cancelled, the context goes.
 *
 * A wake-up that is lost here is a server that stands still for ever; one that
 * counts twice is a freed request used again.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "case.h"

static void put_byte(int fd)
{
	REQUIRE(write(fd, "x", 1) == 1);
}

/* Another thread that does one thing in each round, at the same time. */
struct other {
	struct meeting start, end;
	unsigned int rounds;
	int fd;
	const char *path;
	void (*act)(struct other *other);
	struct thread *thread;
};

static void *do_rounds(void *arg)
{
	struct other *other = arg;
	unsigned int i;

	for (i = 0; i < other->rounds; i++) {
		meet(&other->start);
		other->act(other);
		meet(&other->end);
	}
	return NULL;
}

static void other_start(struct other *other)
{
	other->start.n = 2;
	other->end.n = 2;
	other->thread = thread_run(do_rounds, other);
}

static void count_eventfd_up(struct other *other)
{
	REQUIRE(!eventfd_write(other->fd, 1));
}

CASE(ops, poll_race_submit,
     "a file that becomes ready at the moment of submission: one event",
     .clause = "ops.poll.no_lost_wake", .needs = "eventfd cpus2")
{
	struct other other = {
		.rounds = 3000,
		.fd = open_eventfd(0, 0),
		.act = count_eventfd_up,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned int i;

	prep_poll(iocb, other.fd, POLLIN);
	other_start(&other);
	for (i = 0; i < other.rounds; i++) {
		meet(&other.start);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, POLLIN));
		meet(&other.end);
		eventfd_take(other.fd);
	}
	thread_join(other.thread);
	EXPECT_EQ(0, ring_unread(ctx));
}

/* The first writer's coming wakes plainly, its byte says what for. */
static void come_and_write(struct other *other)
{
	other->fd = open(other->path, O_WRONLY | O_CLOEXEC);
	REQUIRE(other->fd >= 0);
	put_byte(other->fd);
}

CASE(ops, poll_race_plain_wake,
     "data that comes while the kernel looks for a plain wake-up: one event",
     .clause = "ops.poll.plain_wake_race", .needs = "cpus2")
{
	struct other other = {
		.rounds = 1000,
		.path = scratch_path("fifo"),
		.act = come_and_write,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned int i;
	int reader;

	REQUIRE(!mkfifo(other.path, 0600));
	other_start(&other);
	for (i = 0; i < other.rounds; i++) {
		reader = open(other.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		REQUIRE(reader >= 0);
		prep_poll(iocb, reader, POLLIN);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		meet(&other.start);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb, event->res);
		EXPECT_EQ(POLLIN, event->res & ~POLLRDNORM);
		meet(&other.end);
		EXPECT_EQ(0, ring_unread(ctx));
		close(reader);
		close(other.fd);
	}
	thread_join(other.thread);
}

CASE(ops, poll_race_cancel,
     "cancelled at the moment that it becomes ready: one event",
     .clause = "ops.poll.one_shot", .needs = "eventfd cpus2")
{
	struct other other = {
		.rounds = 2000,
		.fd = open_eventfd(0, 0),
		.act = count_eventfd_up,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned int i;
	long result;

	prep_poll(iocb, other.fd, POLLIN);
	other_start(&other);
	for (i = 0; i < other.rounds; i++) {
		ASSERT_EQ(1, submit_one(ctx, iocb));
		meet(&other.start);
		result = aio->cancel(ctx, iocb, NULL);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		meet(&other.end);
		EXPECT_EVENT(event, iocb, event->res);
		/* who was still to be cancelled may have been found ready */
		EXPECT_TRUE(event->res == POLLIN ||
			    (event->res == 0 && result == -EINPROGRESS));
		EXPECT_TRUE(result == -EINPROGRESS || result == -EINVAL);
		EXPECT_EQ(0, ring_unread(ctx));
		eventfd_take(other.fd);
	}
	thread_join(other.thread);
}

static void drop_descriptor(struct other *other)
{
	close(other->fd);
}

CASE(ops, poll_race_close,
     "the descriptor closed at the moment of submission: refused, or complete",
     .clause = "ops.poll.fd_closed", .needs = "cpus2")
{
	struct other other = { .rounds = 1000, .act = drop_descriptor };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned int i;
	int ends[2];
	long result;

	other_start(&other);
	for (i = 0; i < other.rounds; i++) {
		REQUIRE(!pipe2(ends, O_CLOEXEC));
		other.fd = ends[0];
		prep_poll(iocb, ends[0], POLLIN);
		meet(&other.start);
		result = submit_one(ctx, iocb);
		meet(&other.end);
		if (result == 1) {
			EXPECT_EQ(0, ring_unread(ctx));
			/* the request still holds the pipe's reading end */
			put_byte(ends[1]);
			ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb,
						     POLLIN | POLLRDNORM));
		} else {
			EXPECT_EQ(-EBADF, result);
		}
		close(ends[1]);
	}
	thread_join(other.thread);
	EXPECT_EQ(0, ring_unread(ctx));
}

static void expire(struct other *other)
{
	const struct itimerspec at_once = { .it_value.tv_nsec = 1 };

	REQUIRE(!timerfd_settime(other->fd, 0, &at_once, NULL));
}

CASE(ops, poll_race_interrupt,
     "a timer that expires at the moment of submission: one event",
     .clause = "ops.poll.no_lost_wake", .needs = "timerfd cpus2")
{
	struct other other = {
		.rounds = 2000,
		.fd = keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)),
		.act = expire,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned int i;

	prep_poll(iocb, other.fd, POLLIN);
	other_start(&other);
	for (i = 0; i < other.rounds; i++) {
		meet(&other.start);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, POLLIN));
		meet(&other.end);
		eventfd_take(other.fd); /* a timer's count is read likewise */
	}
	thread_join(other.thread);
	EXPECT_EQ(0, ring_unread(ctx));
}

/* Many files of one context, woken by two threads, submitted by a third. */
#define FILES  32
#define WAKERS 2

struct crowd {
	int fds[FILES];
	struct meeting start, end;
	unsigned int rounds;
};

struct waker {
	struct crowd *crowd;
	unsigned int first;
	struct thread *thread;
};

static void *wake_some(void *arg)
{
	struct waker *waker = arg;
	struct crowd *crowd = waker->crowd;
	unsigned int round, i;

	for (round = 0; round < crowd->rounds; round++) {
		meet(&crowd->start);
		for (i = waker->first; i < FILES; i += WAKERS)
			REQUIRE(!eventfd_write(crowd->fds[i], 1));
		meet(&crowd->end);
	}
	return NULL;
}

static void crowd_start(struct crowd *crowd, struct waker wakers[WAKERS])
{
	unsigned int i;

	for (i = 0; i < FILES; i++)
		crowd->fds[i] = open_eventfd(0, 0);
	crowd->start.n = WAKERS + 1;
	crowd->end.n = WAKERS + 1;
	for (i = 0; i < WAKERS; i++) {
		wakers[i].crowd = crowd;
		wakers[i].first = i;
		wakers[i].thread = thread_run(wake_some, &wakers[i]);
	}
}

static void crowd_end(struct waker wakers[WAKERS])
{
	unsigned int i;

	for (i = 0; i < WAKERS; i++)
		thread_join(wakers[i].thread);
}

CASE(ops, poll_race_crowd,
     "requests of one context woken from two CPUs, among submissions: all",
     .clause = "ops.poll.no_lost_wake", .needs = "eventfd cpus2")
{
	struct crowd crowd = { .rounds = 100 };
	struct waker wakers[WAKERS];
	aio_handle ctx = new_context(FILES);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, FILES);
	struct io_event *events = GUARDED_ARRAY(struct io_event, FILES);
	unsigned int round, i;

	crowd_start(&crowd, wakers);
	for (i = 0; i < FILES; i++)
		prep_poll(&iocbs[i], crowd.fds[i], POLLIN);
	for (round = 0; round < crowd.rounds; round++) {
		/* the upper half while the wakers are at it */
		for (i = 0; i < FILES / 2; i++)
			ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
		meet(&crowd.start);
		for (i = FILES / 2; i < FILES; i++)
			ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
		ASSERT_EQ(FILES,
			  aio->getevents(ctx, FILES, FILES, events, NULL));
		meet(&crowd.end);
		for (i = 0; i < FILES; i++) {
			EXPECT_EVENT(find_event(events, FILES, &iocbs[i]),
				     &iocbs[i], POLLIN);
			eventfd_take(crowd.fds[i]);
		}
		EXPECT_EQ(0, ring_unread(ctx));
	}
	crowd_end(wakers);
}

CASE(ops, poll_race_destroy,
     "the context destroyed while its requests become ready",
     .clause = "ops.poll.one_shot", .needs = "eventfd cpus2")
{
	struct crowd crowd = { .rounds = 4 };
	struct waker wakers[WAKERS];
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, FILES);
	unsigned int round, i;
	aio_handle ctx;

	crowd_start(&crowd, wakers);
	for (round = 0; round < crowd.rounds; round++) {
		ctx = new_context(FILES);
		for (i = 0; i < FILES; i++) {
			prep_poll(&iocbs[i], crowd.fds[i], POLLIN);
			ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
		}
		meet(&crowd.start);
		EXPECT_OK(aio->destroy(ctx));
		meet(&crowd.end);
		for (i = 0; i < FILES; i++)
			eventfd_take(crowd.fds[i]);
	}
	crowd_end(wakers);
}
