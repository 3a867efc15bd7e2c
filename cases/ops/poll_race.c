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

/*
 * Many rounds on a fast machine, the fewest on an emulated one: as many as fit
 * into the time.
 */
#define FEWEST 50
#define TIME   (NSEC_PER_SEC / 3)

struct rounds {
	struct meeting start, end;
	unsigned int done, most;
	int64_t until;
	bool over;
};

static void rounds_begin(struct rounds *rounds, unsigned int parties,
			 unsigned int most)
{
	rounds->start.n = parties;
	rounds->end.n = parties;
	rounds->most = most;
	rounds->until = now_ns() + TIME;
}

/* Who leads says whether there is one more: the others wait at its start. */
static bool another_round(struct rounds *rounds)
{
	if (rounds->done < rounds->most &&
	    (rounds->done < FEWEST || now_ns() < rounds->until)) {
		rounds->done++;
		return true;
	}
	rounds->over = true;
	meet(&rounds->start);
	return false;
}

/* Another thread that does one thing in each round, at the same time. */
struct other {
	struct rounds rounds;
	int fd;
	const char *path;
	void (*act)(struct other *other);
	struct thread *thread;
};

static void *do_rounds(void *arg)
{
	struct other *other = arg;

	for (;;) {
		meet(&other->rounds.start);
		if (other->rounds.over)
			return NULL;
		other->act(other);
		meet(&other->rounds.end);
	}
}

static void other_start(struct other *other, unsigned int most)
{
	rounds_begin(&other->rounds, 2, most);
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
		.fd = open_eventfd(0, 0),
		.act = count_eventfd_up,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, other.fd, POLLIN);
	other_start(&other, 3000);
	while (another_round(&other.rounds)) {
		meet(&other.rounds.start);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, POLLIN));
		meet(&other.rounds.end);
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
		.path = scratch_path("fifo"),
		.act = come_and_write,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	int reader;

	REQUIRE(!mkfifo(other.path, 0600));
	other_start(&other, 1000);
	while (another_round(&other.rounds)) {
		reader = open(other.path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
		REQUIRE(reader >= 0);
		prep_poll(iocb, reader, POLLIN);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		meet(&other.rounds.start);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb, event->res);
		EXPECT_EQ(POLLIN, event->res & ~POLLRDNORM);
		meet(&other.rounds.end);
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
		.fd = open_eventfd(0, 0),
		.act = count_eventfd_up,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	long result;

	prep_poll(iocb, other.fd, POLLIN);
	other_start(&other, 2000);
	while (another_round(&other.rounds)) {
		ASSERT_EQ(1, submit_one(ctx, iocb));
		meet(&other.rounds.start);
		result = aio->cancel(ctx, iocb, NULL);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		meet(&other.rounds.end);
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
	struct other other = { .act = drop_descriptor };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];
	long result;

	other_start(&other, 1000);
	while (another_round(&other.rounds)) {
		REQUIRE(!pipe2(ends, O_CLOEXEC));
		other.fd = ends[0];
		prep_poll(iocb, ends[0], POLLIN);
		meet(&other.rounds.start);
		result = submit_one(ctx, iocb);
		meet(&other.rounds.end);
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
		.fd = keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)),
		.act = expire,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, other.fd, POLLIN);
	other_start(&other, 2000);
	while (another_round(&other.rounds)) {
		meet(&other.rounds.start);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, POLLIN));
		meet(&other.rounds.end);
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
	struct rounds rounds;
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
	unsigned int i;

	for (;;) {
		meet(&crowd->rounds.start);
		if (crowd->rounds.over)
			return NULL;
		for (i = waker->first; i < FILES; i += WAKERS)
			REQUIRE(!eventfd_write(crowd->fds[i], 1));
		meet(&crowd->rounds.end);
	}
}

static void crowd_start(struct crowd *crowd, struct waker wakers[WAKERS],
			unsigned int most)
{
	unsigned int i;

	for (i = 0; i < FILES; i++)
		crowd->fds[i] = open_eventfd(0, 0);
	rounds_begin(&crowd->rounds, WAKERS + 1, most);
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
	struct crowd crowd = { 0 };
	struct waker wakers[WAKERS];
	aio_handle ctx = new_context(FILES);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, FILES);
	struct io_event *events = GUARDED_ARRAY(struct io_event, FILES);
	unsigned int i;

	crowd_start(&crowd, wakers, 100);
	for (i = 0; i < FILES; i++)
		prep_poll(&iocbs[i], crowd.fds[i], POLLIN);
	while (another_round(&crowd.rounds)) {
		/* the upper half while the wakers are at it */
		for (i = 0; i < FILES / 2; i++)
			ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
		meet(&crowd.rounds.start);
		for (i = FILES / 2; i < FILES; i++)
			ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
		ASSERT_EQ(FILES,
			  aio->getevents(ctx, FILES, FILES, events, NULL));
		meet(&crowd.rounds.end);
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
	struct crowd crowd = { 0 };
	struct waker wakers[WAKERS];
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, FILES);
	unsigned int i;
	aio_handle ctx;

	crowd_start(&crowd, wakers, 4);
	while (another_round(&crowd.rounds)) {
		ctx = new_context(FILES);
		for (i = 0; i < FILES; i++) {
			prep_poll(&iocbs[i], crowd.fds[i], POLLIN);
			ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
		}
		meet(&crowd.rounds.start);
		EXPECT_OK(aio->destroy(ctx));
		meet(&crowd.rounds.end);
		for (i = 0; i < FILES; i++)
			eventfd_take(crowd.fds[i]);
	}
	crowd_end(wakers);
}
