// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How long io_getevents() waits: as long as it is told, not a nanosecond less,
 * and not at all when it is told so.
 *
 * Programs build their own timers upon it. One that ends early makes them spin,
 * one that never ends hangs them.
 */
#include "case.h"

#include <limits.h>
#include <sys/prctl.h>

#define HOUR (3600 * 1000L)

/* The largest number of seconds that a struct timespec holds. */
static struct timespec longest(void)
{
	struct timespec ts = millis(0);

	if (sizeof(ts.tv_sec) == sizeof(int64_t))
		ts.tv_sec = (time_t)INT64_MAX;
	else
		ts.tv_sec = (time_t)INT32_MAX;
	return ts;
}

CASE(io_getevents, timeout_null,
     "without a time-out it waits until min_nr events are there",
     .clause = "io_getevents.timeout.null", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	aio_handle ctx = new_context(2);
	struct waiter *waiter;
	int first, second;

	first = stage_poll(ctx, &iocbs[0]);
	second = stage_poll(ctx, &iocbs[1]);
	waiter = waiter_run(ctx, 2, 2, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(second);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(first);

	ASSERT_EQ(2, waiter_result(waiter));
	EXPECT_EVENT(&events[0], &iocbs[1], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[0], POLLIN);
}

/*
 * That a call did not sleep is known from the count of the thread's sleeps: a
 * time-out of 0 that were set up as a timer would add to it sooner or later.
 */
CASE(io_getevents, timeout_zero,
     "a time-out of 0 gives what is there, fewer than min_nr, without sleeping",
     .clause = "io_getevents.timeout.zero", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { ROUNDS = 32, MIN_NR = 3, THERE = 2 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, MIN_NR);
	struct timespec none = millis(0);
	aio_handle ctx = new_context(MIN_NR);
	long before, sleeps = LONG_MAX;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		stage_events(ctx, THERE, iocbs);
		before = own_sleeps();
		ASSERT_EQ(THERE,
			  aio->getevents(ctx, MIN_NR, MIN_NR, events, &none));
		sleeps = fewest_sleeps(sleeps, before);
		EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
		EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
	}
	EXPECT_EQ(0, sleeps);
}

CASE(io_getevents, timeout_zero_empty,
     "a time-out of 0 with nothing there gives 0 without sleeping",
     .clause = "io_getevents.timeout.zero",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { ROUNDS = 32 };
	struct timespec none = millis(0);
	aio_handle ctx = new_context(1);
	struct io_event event;
	long before, sleeps = LONG_MAX;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		before = own_sleeps();
		EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, &none));
		sleeps = fewest_sleeps(sleeps, before);
	}
	EXPECT_EQ(0, sleeps);
}

CASE(io_getevents, timeout_not_early,
     "a time-out is relative and never ends before its time",
     .clause = "io_getevents.timeout.not_early",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	static const long nanoseconds[] = { 1, 1000, 999999, 20000000 };
	aio_handle ctx = new_context(1);
	struct timespec timeout;
	struct io_event event;
	unsigned int i;
	int64_t began;

	for (i = 0; i < sizeof(nanoseconds) / sizeof(nanoseconds[0]); i++) {
		timeout = (struct timespec){ 0, nanoseconds[i] };
		began = now_ns();
		EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, &timeout));
		EXPECT_GE(began + nanoseconds[i], now_ns());
	}
}

/*
 * When a wait ends says little of when it should have, on a machine that has
 * other work; the kernel's own list of timers does, and nobody has to wait.
 */
static void expect_timer(aio_handle ctx, struct timespec timeout)
{
	int64_t span = (int64_t)timeout.tv_sec * NSEC_PER_SEC + timeout.tv_nsec;
	struct waiter *waiter;
	struct io_event event;
	struct iocb iocb;
	int fd = stage_poll(ctx, &iocb);
	int64_t before = now_ns();

	ROUND("%lld s and %ld ns", (long long)timeout.tv_sec,
	      (long)timeout.tv_nsec);
	waiter = waiter_run(ctx, 1, 1, &event, &timeout);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_TRUE(timer_between(before + span, now_ns() + span));
	end_poll(fd);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(&event, &iocb, POLLIN);
}

CASE(io_getevents, timeout_exact,
     "the timer is set for the time-out from the call on, and for no other",
     .clause = "io_getevents.timeout.exact",
     .needs = "eventfd task_syscall timer_list",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	static const struct timespec timeouts[] = {
		{ 15, 0 },	     { 40, 1 },		 { 60, 999 },
		{ 100, 999999999 },  { 250, 500000000 }, { 1000, 4000000 },
		{ 5000, 123456789 }, { 86400, 0 },	 { 1000000000, 7 },
	};
	aio_handle ctx = new_context(1);
	unsigned int i;

	for (i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++)
		expect_timer(ctx, timeouts[i]);
}

CASE(io_getevents, timeout_exact_nsec,
     "so it is for a tv_nsec of many seconds, and for one below zero",
     .clause = "io_getevents.timeout.exact",
     .needs = "eventfd task_syscall timer_list wide_long",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = new_context(1);
	unsigned int bit;

	for (bit = 34; bit < 62; bit++)
		expect_timer(ctx, (struct timespec){ 1, (long)(1ull << bit) });
	expect_timer(ctx, (struct timespec){ 40, -1 });
	expect_timer(ctx,
		     (struct timespec){ 1000, (long)(-NSEC_PER_SEC * 900) });
}

/* It may be late by so much, not early. */
CASE(io_getevents, timeout_within_slack,
     "a time-out below the timer slack of the task is waited for, too",
     .clause = "io_getevents.timeout.slack",
     .needs = "eventfd task_syscall wide_long",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec soon = millis(5), later = { .tv_sec = 100 };
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct waiter *waiter;
	int64_t began;

	/* the threads that it makes start with it */
	REQUIRE(!prctl(PR_SET_TIMERSLACK, 20 * NSEC_PER_MSEC));
	began = now_ns();
	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, event, &soon));
	EXPECT_GE(5 * NSEC_PER_MSEC, now_ns() - began);
	REQUIRE(!prctl(PR_SET_TIMERSLACK, 1000 * NSEC_PER_SEC));
	waiter = waiter_run(ctx, 1, 1, event, &later);
	REQUIRE(!prctl(PR_SET_TIMERSLACK, 0)); /* its own default */
	EXPECT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(event, iocb, POLLIN);
}

CASE(io_getevents, timeout_ends, "a time-out with nothing there ends with 0",
     .clause = "io_getevents.timeout.ends", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct io_event untouched = *event;
	struct timespec timeout = millis(5);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);

	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, event, &timeout));
	EXPECT_MEM(&untouched, event, sizeof(*event));
	EXPECT_EQ(0, ring_of(ctx)->head);

	/* nothing of the wait is left: the next one goes as if it were alone */
	end_poll(fd);
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, POLLIN);
	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, event, &timeout));
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_getevents, timeout_partial,
     "a time-out with fewer than min_nr there ends with those",
     .clause = "io_getevents.timeout.partial", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { THERE = 2, MIN_NR = 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, MIN_NR);
	struct io_event untouched = events[THERE];
	struct timespec timeout = millis(10);
	aio_handle ctx = new_context(MIN_NR);
	int64_t began;

	stage_events(ctx, THERE, iocbs);
	began = now_ns();
	ASSERT_EQ(THERE, aio->getevents(ctx, MIN_NR, MIN_NR, events, &timeout));
	EXPECT_GE(began + timeout.tv_nsec, now_ns());
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
	EXPECT_MEM(&untouched, &events[THERE], sizeof(untouched));
	EXPECT_EQ(0, ring_unread(ctx));
}

/* A POLL that is ended in time, and when it had ended. */
struct late {
	int fd;
	int64_t ended;
};

static void end_late(void *arg)
{
	struct late *late = arg;

	end_poll(late->fd);
	late->ended = now_ns();
}

/* False: on this machine the event came too late for that time-out. */
static bool came_in_time(long ms)
{
	enum { THERE = 1, MIN_NR = 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE + 1);
	struct io_event *events = GUARDED_ARRAY(struct io_event, MIN_NR);
	struct timespec timeout = millis(ms);
	aio_handle ctx = new_context(MIN_NR);
	struct errand *completer;
	struct late late;
	int64_t until;
	long result;

	stage_events(ctx, THERE, iocbs);
	late.fd = stage_poll(ctx, &iocbs[THERE]);
	completer = when_asleep(end_late, &late);
	until = now_ns() + ms * NSEC_PER_MSEC;
	result = aio->getevents(ctx, MIN_NR, MIN_NR, events, &timeout);
	EXPECT_GE(until, now_ns());
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	if (!errand_end(completer) || late.ended >= until)
		return false;
	EXPECT_EQ(THERE + 1, result);
	EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
	return true;
}

CASE(io_getevents, timeout_partial_later,
     "events that came during the wait, too few, are given at its end",
     .clause = "io_getevents.timeout.partial", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	long ms;

	for (ms = 40; !came_in_time(ms); ms *= 2)
		;
}

/*
 * Events come as long as the call does not end, each within the time-out of
 * the one before. A call that began to wait anew with each would never end.
 */
CASE(io_getevents, timeout_whole_wait,
     "the time-out is that of the whole wait, not of each event",
     .clause = "io_getevents.timeout.whole_wait", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS, .quota = 4096)
{
	enum { MANY = 2000 };
	struct io_event *events = GUARDED_ARRAY(struct io_event, MANY);
	struct iocb *iocb = GUARDED(struct iocb);
	struct timespec timeout = millis(60);
	aio_handle ctx = new_context(MANY);
	struct waiter *waiter;
	unsigned int given = 0;

	waiter = waiter_run(ctx, MANY, MANY, events, &timeout);
	while (given < MANY && !waiter_done(waiter)) {
		stage_events(ctx, 1, iocb);
		given++;
		breathe();
	}
	EXPECT_LT(MANY, waiter_result(waiter));
	EXPECT_GE(waiter->began + timeout.tv_nsec, waiter->ended);
}

CASE(io_getevents, timeout_unchanged, "the caller's timespec is not written",
     .clause = "io_getevents.timeout.unchanged", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec *timeout = io_buffer(sizeof(*timeout));
	struct iocb *iocb = GUARDED(struct iocb);
	struct timespec before = millis(3);
	aio_handle ctx = new_context(1);
	struct io_event event;

	*timeout = before;
	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, timeout));
	EXPECT_MEM(&before, timeout, sizeof(before));
	stage_events(ctx, 1, iocb);
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, timeout));
	EXPECT_MEM(&before, timeout, sizeof(before));
	/* it need not even be writable */
	read_only(timeout, sizeof(*timeout));
	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, timeout));
}

/* With this time-out a call sleeps, and ends with an event when it comes. */
static void expect_sleeps_until_event(const struct timespec *timeout)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct timespec copy = *timeout;
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct waiter *waiter = waiter_run(ctx, 1, 1, event, &copy);

	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	ASSERT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(event, iocb, POLLIN);
}

CASE(io_getevents, timeout_negative,
     "a negative time-out waits until the event is there",
     .clause = "io_getevents.timeout.negative", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_sleeps_until_event(&(const struct timespec){ -1, 0 });
	expect_sleeps_until_event(&(const struct timespec){ -3600, 0 });
}

CASE(io_getevents, timeout_negative_signal,
     "a wait with a negative time-out is ended by a signal",
     .clause = "io_getevents.timeout.negative", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec timeout = { -1, 0 };
	aio_handle ctx = new_context(1);
	struct waiter *waiter;
	struct io_event event;

	count_signal(SIGUSR1, 0);
	waiter = waiter_run(ctx, 1, 1, &event, &timeout);
	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, SIGUSR1);
	EXPECT_ERR(EINTR, waiter_result(waiter));
}

CASE(io_getevents, timeout_nsec_negative,
     "tv_nsec of -1 with tv_sec 0 is a negative time-out",
     .clause = "io_getevents.timeout.nsec_negative",
     .needs = "eventfd task_syscall", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_sleeps_until_event(&(const struct timespec){ 0, -1 });
	expect_sleeps_until_event(&(const struct timespec){ 0, -1000000000 });
}

/* So a second is counted, and the case need not last one. */
CASE(io_getevents, timeout_nsec_negative_taken_off,
     "a negative tv_nsec is taken off tv_sec",
     .clause = "io_getevents.timeout.nsec_negative",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	const long wait = 30 * NSEC_PER_MSEC;
	struct timespec timeout = { 1, wait - NSEC_PER_SEC };
	aio_handle ctx = new_context(1);
	struct io_event event;
	int64_t began = now_ns();

	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, &timeout));
	EXPECT_GE(began + wait, now_ns());
}

CASE(io_getevents, timeout_nsec_over,
     "tv_nsec of a second and more is taken at its worth",
     .clause = "io_getevents.timeout.nsec_over",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	const long over = NSEC_PER_SEC + 10 * NSEC_PER_MSEC;
	struct timespec timeout = { -1, over };
	aio_handle ctx = new_context(1);
	struct io_event event;
	int64_t began = now_ns();

	/* both are out of range; what they make together is ten ms */
	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, &timeout));
	EXPECT_GE(began + over - NSEC_PER_SEC, now_ns());
}

CASE(io_getevents, timeout_nsec_over_alone,
     "tv_nsec of two seconds, with tv_sec 0, is waited with",
     .clause = "io_getevents.timeout.nsec_over",
     .needs = "eventfd task_syscall", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_sleeps_until_event(
		&(const struct timespec){ 0, 2 * NSEC_PER_SEC });
}

CASE(io_getevents, timeout_huge,
     "the longest time-out there is does not wrap round to the past",
     .clause = "io_getevents.timeout.huge", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec timeout = longest();

	expect_sleeps_until_event(&timeout);
	timeout.tv_nsec = NSEC_PER_SEC - 1;
	expect_sleeps_until_event(&timeout);
	if (sizeof(timeout.tv_sec) < sizeof(int64_t))
		return;
	/* the longest that the kernel counts in nanoseconds, and around it */
	timeout.tv_sec = (time_t)(INT64_MAX / NSEC_PER_SEC);
	expect_sleeps_until_event(&timeout);
	timeout.tv_sec--;
	expect_sleeps_until_event(&timeout);
	/* and one whose nanoseconds are a multiple of 2^64 */
	timeout.tv_sec = (time_t)(1ull << 55);
	timeout.tv_nsec = 0;
	expect_sleeps_until_event(&timeout);
}

CASE(io_getevents, min_nr_zero,
     "min_nr 0 gives what is there at once, whatever the time-out",
     .clause = "io_getevents.min_nr.zero", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { ROUNDS = 16, THERE = 2, NR = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, NR);
	struct timespec hour = millis(HOUR);
	aio_handle ctx = new_context(NR);
	long before, sleeps = LONG_MAX;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		before = own_sleeps();
		EXPECT_EQ(0, aio->getevents(ctx, 0, NR, events, NULL));
		EXPECT_EQ(0, aio->getevents(ctx, 0, NR, events, &hour));
		stage_events(ctx, THERE, iocbs);
		ASSERT_EQ(THERE, aio->getevents(ctx, 0, NR, events, NULL));
		EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
		EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
		stage_events(ctx, 1, iocbs);
		EXPECT_EQ(1, aio->getevents(ctx, 0, NR, events, &hour));
		sleeps = fewest_sleeps(sleeps, before);
	}
	EXPECT_EQ(0, sleeps);
}

/*
 * The timer of a wait that an event ended is not left behind: it would go off
 * in the stack of a call that is over.
 */
CASE(io_getevents, timeout_not_needed,
     "a time-out that an event forestalled does not go off later",
     .clause = "io_getevents.wake.nth", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { ROUNDS = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, ROUNDS);
	struct timespec timeout = millis(20);
	aio_handle ctx = new_context(ROUNDS);
	struct errand *completer;
	struct io_event event;
	struct late late;
	unsigned int i;
	int64_t until;

	for (i = 0; i < ROUNDS; i++) {
		late.fd = stage_poll(ctx, &iocbs[i]);
		completer = when_asleep(end_late, &late);
		until = now_ns() + timeout.tv_nsec;
		EXPECT_LE(1, aio->getevents(ctx, 1, 1, &event, &timeout));
		WAIT_FOR(now_ns() > until);
		errand_end(completer);
		drop(late.fd);
	}
}

static void step_real_time(time_t seconds)
{
	struct timespec now;

	REQUIRE(!clock_gettime(CLOCK_REALTIME, &now));
	now.tv_sec += seconds;
	REQUIRE(!clock_settime(CLOCK_REALTIME, &now));
}

/* A wait in the middle of which the clock is set, and then set back. */
static void expect_unmoved_by(time_t seconds)
{
	struct timespec timeout = millis(100);
	aio_handle ctx = new_context(1);
	struct waiter *waiter;
	struct io_event event;

	waiter = waiter_run(ctx, 1, 1, &event, &timeout);
	waiter_asleep(waiter);
	step_real_time(seconds);
	EXPECT_EQ(0, waiter_result(waiter));
	step_real_time(-seconds);
	EXPECT_GE(waiter->began + timeout.tv_nsec, waiter->ended);
}

CASE(io_getevents, timeout_clock_step,
     "setting the real-time clock neither shortens nor lengthens the wait",
     .clause = "io_getevents.timeout.clock_step",
     .needs = "ours root task_syscall", .flavours = RAW | LIBAIO | PGETEVENTS,
     .serial = true)
{
	expect_unmoved_by(3600);
	expect_unmoved_by(-3600);
}
