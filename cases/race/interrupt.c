// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests that an interrupt ends on the very CPU that is at work on their
 * context: a lock that is taken with interrupts on stops that CPU for good.
 *
 * A timerfd wakes who polls it from the timer's interrupt, on the CPU that has
 * set it.
 */
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "case.h"
#include "numbered.h"
#include "waiter.h"

#define TIMERS	 32
#define STEP	 (5 * 1000) /* ns from one timer to the next, at least */
#define ROUNDS	 300
#define IN_A_ROW 8
#define NUMBERS                                                      \
	1000000 /* of what the case completes itself: none is a poll \
		 */
#define ALL_THERE (1L << 16)

struct timers {
	aio_handle ctx;
	int fds[TIMERS];
	struct iocb *iocbs;
	struct io_event *events;
	int64_t took; /* the last time, to set and poll them */
};

static struct timers timers_new(unsigned int nr)
{
	struct timers timers = { .ctx = new_context(nr) };
	unsigned int i;

	pin_to_cpu(0);
	timers.iocbs = GUARDED_ARRAY(struct iocb, TIMERS);
	timers.events = GUARDED_ARRAY(struct io_event, ring_of(timers.ctx)->nr);
	for (i = 0; i < TIMERS; i++) {
		timers.fds[i] = keep(timerfd_create(
			CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
		prep_poll(&timers.iocbs[i], timers.fds[i], POLLIN);
	}
	return timers;
}

static void set_timer(int fd, int flags, int64_t ns)
{
	struct itimerspec at = { .it_value = { ns / NSEC_PER_SEC,
					       ns % NSEC_PER_SEC } };

	REQUIRE(!timerfd_settime(fd, flags, &at, NULL));
}

/*
 * Set them, and poll them all: they fire one after the other once that is done.
 * Gives when the last one is due.
 */
static int64_t timers_go(struct timers *timers)
{
	int64_t began = now_ns(), due = began + timers->took;
	int64_t step = timers->took / TIMERS;
	struct iocb *list[TIMERS];
	unsigned int i;

	step = step > STEP ? step : STEP;
	for (i = 0; i < TIMERS; i++, due += step) {
		set_timer(timers->fds[i], TFD_TIMER_ABSTIME, due);
		list[i] = &timers->iocbs[i];
	}
	ASSERT_EQ(TIMERS, aio->submit(timers->ctx, TIMERS, list));
	timers->took = now_ns() - began;
	return due;
}

/* Until each has fired. */
static void timers_wait(struct timers *timers)
{
	unsigned int i;

	for (i = 0; i < TIMERS; i++) {
		struct pollfd fd = { timers->fds[i], POLLIN, 0 };

		REQUIRE(poll(&fd, 1, -1) == 1);
	}
}

/* Whatever is there, and at least n. */
static long reap(struct timers *timers, long n)
{
	struct timespec none = { 0 };
	long got = aio->getevents(timers->ctx, n, ring_of(timers->ctx)->nr,
				  timers->events, n ? NULL : &none);

	ASSERT_TRUE(got >= n);
	return got;
}

CASE(race, interrupt_completes,
     "requests end by interrupts and by calls, and somebody waits for them",
     .clause = "race.interrupt", .needs = "timerfd task_syscall",
     .flavours = NATIVE)
{
	struct timers timers = timers_new(16 * TIMERS);
	struct io_event *all = GUARDED_ARRAY(struct io_event, ALL_THERE);
	struct waiter *waiter;
	unsigned int i, n = rounds(ROUNDS);
	int64_t due;

	waiter = waiter_run(timers.ctx, ALL_THERE, ALL_THERE, all, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		due = timers_go(&timers);
		do {
			ASSERT_EQ(IN_A_ROW,
				  complete_now(timers.ctx, IN_A_ROW, NUMBERS));
			reap(&timers, 0);
		} while (now_ns() < due);
		timers_wait(&timers);
		reap(&timers, 0);
	}
	EXPECT_OK(aio->destroy(timers.ctx));
	waiter_result(waiter);
}

CASE(race, interrupt_refill,
     "requests end by interrupts while others are refused for want of room",
     .clause = "race.interrupt", .needs = "timerfd", .flavours = NATIVE)
{
	struct timers timers = timers_new(4 * TIMERS);
	unsigned int i, n = rounds(ROUNDS);
	long there;
	int64_t due;

	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		due = timers_go(&timers);
		there = TIMERS;
		/* until there is no room, and on */
		do {
			while (complete_now(timers.ctx, 1, NUMBERS) == 1)
				there++;
		} while (now_ns() < due);
		for (; there; there -= reap(&timers, 1))
			;
	}
	EXPECT_WORKS(timers.ctx, 1);
}

struct firing {
	const int *fds;
	atomic_bool over;
};

/* All the time, so that some are due whenever the context is taken down. */
static void *keep_firing(void *arg)
{
	struct firing *firing = arg;
	unsigned int i;

	pin_to_cpu(0);
	while (!atomic_load(&firing->over))
		for (i = 0; i < TIMERS; i++)
			set_timer(firing->fds[i], 0, (i + 1) * STEP);
	return NULL;
}

CASE(race, interrupt_destroy,
     "a context is destroyed while interrupts wake what its requests poll",
     .clause = "race.interrupt", .needs = "timerfd", .flavours = NATIVE)
{
	struct timers timers = timers_new(1);
	struct firing firing = { .fds = timers.fds };
	struct iocb *list[TIMERS];
	unsigned int i, n = rounds(ROUNDS / 5);
	struct thread *thread;
	aio_handle ctx;

	/* for what it never is, so that it wakes them again and again */
	for (i = 0; i < TIMERS; i++)
		list[i] = prep_poll(&timers.iocbs[i], timers.fds[i], POLLPRI);
	thread = thread_run(keep_firing, &firing);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		ctx = new_context(TIMERS);
		ASSERT_EQ(TIMERS, aio->submit(ctx, TIMERS, list));
		EXPECT_OK(aio->destroy(ctx));
	}
	atomic_store(&firing.over, true);
	thread_join(thread);
}
