// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * When a waiter is woken: by the event that makes its number, and by no other.
 *
 * A wake-up that is lost hangs a program for good; one too many costs a
 * reaper a context switch for every event, which is what min_nr is there to
 * save.
 */
#include <stdio.h>

#include "case.h"

#define HOUR	   (3600 * 1000L)
#define LIMIT_MANY 60
/* What is left to chance is tried for so long at most. */
#define LONG_ENOUGH (NSEC_PER_SEC / 2)

/* n POLLs in flight, and the eventfds that end them. */
static void stage_polls(aio_handle ctx, unsigned int n, struct iocb *iocbs,
			int *fds)
{
	unsigned int i;

	for (i = 0; i < n; i++)
		fds[i] = stage_poll(ctx, &iocbs[i]);
}

/* The sleeps of a waiter that is asleep again, if it was woken at all. */
static long sleeps_of(struct waiter *waiter)
{
	ASSERT_TRUE(waiter_asleep(waiter));
	return waiter_slept(waiter);
}

/*
 * The first n polls end, and two of the events are taken, while the waiter on
 * CPU 0 cannot run. Gives what io_getevents() gave.
 */
static long steal_two(aio_handle ctx, const int *fds, int n,
		      struct io_event *stolen)
{
	struct timespec none = { 0 };
	long got;
	int i;

	pin_to_cpu(0);
	hold_cpu();
	for (i = 0; i < n; i++)
		end_poll(fds[i]);
	got = aio->getevents(ctx, 2, 2, stolen, &none);
	let_cpu_go();
	return got;
}

CASE(io_getevents, wake_after_theft,
     "who finds a part of what it was woken for waits for the rest alone",
     .clause = "io_getevents.wake.nth",
     .needs = "eventfd realtime task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 6);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 4);
	struct io_event *stolen = GUARDED_ARRAY(struct io_event, 2);
	aio_handle ctx = new_context(6);
	struct waiter *waiter;
	int fds[6], i;

	stage_polls(ctx, 6, iocbs, fds);
	pin_to_cpu(0); /* the waiter, too */
	waiter = waiter_run(ctx, 4, 4, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	ASSERT_EQ(2, steal_two(ctx, fds, 4, stolen));
	ASSERT_TRUE(waiter_asleep(waiter));
	for (i = 4; i < 6; i++)
		end_poll(fds[i]);
	EXPECT_EQ(4, waiter_result(waiter));
	for (i = 0; i < 4; i++)
		EXPECT_EVENT(&events[i], &iocbs[i + 2], POLLIN);
}

/* Two events for a waiter that cannot run, and they are gone when it can. */
static void wake_for_nothing(aio_handle ctx, struct iocb *iocbs)
{
	struct io_event stolen[2];
	int fds[2];

	stage_polls(ctx, 2, iocbs, fds);
	STAGE_EQ(2, steal_two(ctx, fds, 2, stolen));
	drop(fds[0]);
	drop(fds[1]);
}

CASE(io_getevents, wake_for_nothing,
     "who is woken for nothing, over and over, waits no longer than it was to",
     .clause = "io_getevents.timeout.whole_wait",
     .needs = "eventfd realtime task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	/* many times as long as it takes to wake it once */
	long ms = 100 * (machine_slowness < 30 ? (long)machine_slowness : 30);
	struct timespec timeout = millis(ms);
	aio_handle ctx = new_context(2);
	struct waiter *waiter;

	pin_to_cpu(0);
	waiter = waiter_run(ctx, 2, 2, events, &timeout);
	while (waiter_asleep(waiter))
		wake_for_nothing(ctx, iocbs);
	EXPECT_EQ(0, waiter_result(waiter));
	EXPECT_GE(waiter->began + ms * NSEC_PER_MSEC, waiter->ended);
}

static void expect_nth_wakes(unsigned int n, struct timespec *timeout)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, n);
	struct io_event *events = GUARDED_ARRAY(struct io_event, n);
	aio_handle ctx = new_context(n);
	struct waiter *waiter;
	unsigned int i;
	int fds[8];

	stage_polls(ctx, n, iocbs, fds);
	waiter = waiter_run(ctx, n, n, events, timeout);
	for (i = 0; i < n; i++) {
		ASSERT_TRUE(waiter_asleep(waiter));
		end_poll(fds[i]);
	}
	ASSERT_EQ(n, waiter_result(waiter));
	for (i = 0; i < n; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
}

CASE(io_getevents, wake_nth, "a waiter for n returns with the n-th event",
     .clause = "io_getevents.wake.nth", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_nth_wakes(1, NULL);
	expect_nth_wakes(2, NULL);
	expect_nth_wakes(5, NULL);
}

CASE(io_getevents, wake_nth_with_timeout,
     "a waiter for n with an hour's time-out returns with the n-th event",
     .clause = "io_getevents.wake.nth", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec hour = millis(HOUR);

	expect_nth_wakes(1, &hour);
	expect_nth_wakes(3, &hour);
}

CASE(io_getevents, wake_nth_room_for_more,
     "a waiter for n with room for more returns with the n-th, too",
     .clause = "io_getevents.wake.nth", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { MIN_NR = 2, NR = 5 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, NR);
	struct io_event *events = GUARDED_ARRAY(struct io_event, NR);
	aio_handle ctx = new_context(NR);
	struct waiter *waiter;
	int fds[NR];

	stage_polls(ctx, NR, iocbs, fds);
	waiter = waiter_run(ctx, MIN_NR, NR, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fds[0]);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fds[1]);
	EXPECT_EQ(MIN_NR, waiter_result(waiter));
}

/*
 * The eventfd is raised once and ends all the requests on it, one after the
 * other, as an interrupt does with the requests of a disk.
 */
CASE(io_getevents, wake_by_burst,
     "requests that end in one go wake a waiter for all of them",
     .clause = "io_getevents.wake.nth", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { N = 16 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);
	int fd = open_eventfd(0, 0);
	struct waiter *waiter;
	unsigned int i;

	for (i = 0; i < N; i++)
		stage_submit(ctx, prep_poll(&iocbs[i], fd, POLLIN));
	waiter = waiter_run(ctx, N, N, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	ASSERT_EQ(N, waiter_result(waiter));
	for (i = 0; i < N; i++)
		EXPECT_TRUE(find_event(events, N, &iocbs[i]));
}

CASE(io_getevents, wake_batched,
     "a waiter for n sleeps through the n - 1 events before",
     .clause = "io_getevents.wake.batched", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { N = 5 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);
	struct waiter *waiter;
	unsigned int i;
	int fds[N];
	long sleeps;

	stage_polls(ctx, N, iocbs, fds);
	waiter = waiter_run(ctx, N, N, events, NULL);
	sleeps = sleeps_of(waiter);
	for (i = 0; i < N - 1; i++) {
		end_poll(fds[i]);
		EXPECT_EQ(sleeps, sleeps_of(waiter));
		EXPECT_EQ(i + 1, ring_unread(ctx));
	}
	end_poll(fds[i]);
	EXPECT_EQ(N, waiter_result(waiter));
}

CASE(io_getevents, wake_each, "every event wakes the waiter, which stores it",
     .clause = "io_getevents.wake.each", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { N = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);
	struct waiter *waiter;
	unsigned int i;
	int fds[N];
	long sleeps;

	stage_polls(ctx, N, iocbs, fds);
	waiter = waiter_run(ctx, N, N, events, NULL);
	sleeps = sleeps_of(waiter);
	for (i = 0; i < N - 1; i++) {
		end_poll(fds[i]);
		EXPECT_EQ(++sleeps, sleeps_of(waiter));
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
		EXPECT_EQ(0, ring_unread(ctx));
	}
	end_poll(fds[i]);
	EXPECT_EQ(N, waiter_result(waiter));
}

/* Waiters for 1, 2 and 3, begun in this order, and 6 events in all. */
static void expect_all_served(const unsigned int order[3])
{
	enum { WAITERS = 3, N = 1 + 2 + 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);
	struct waiter *waiters[WAITERS];
	unsigned int i, room = 0;
	int fds[N];

	stage_polls(ctx, N, iocbs, fds);
	for (i = 0; i < WAITERS; i++) {
		waiters[i] = waiter_run(ctx, order[i], order[i], &events[room],
					NULL);
		room += order[i];
		ASSERT_TRUE(waiter_asleep(waiters[i]));
	}
	for (i = 0; i < N; i++)
		end_poll(fds[i]);
	for (i = 0; i < WAITERS; i++)
		EXPECT_EQ(order[i], waiter_result(waiters[i]));
	for (i = 0; i < N; i++)
		EXPECT_EVENT(find_event(events, N, &iocbs[i]), &iocbs[i],
			     POLLIN);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_getevents, wake_several,
     "waiters for different numbers all get theirs, and no event goes to two",
     .clause = "io_getevents.wake.several", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_all_served((const unsigned int[]){ 1, 2, 3 });
	expect_all_served((const unsigned int[]){ 3, 2, 1 });
	expect_all_served((const unsigned int[]){ 2, 3, 1 });
}

/* Whichever of the two stands first in the queue, the other must not matter. */
static void expect_small_one_woken(bool small_first)
{
	enum { LARGE = 3, N = 1 + LARGE };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	struct waiter *small = NULL, *large;
	aio_handle ctx = new_context(N);
	unsigned int i;
	int fds[N];

	stage_polls(ctx, N, iocbs, fds);
	if (small_first) {
		small = waiter_run(ctx, 1, 1, events, NULL);
		ASSERT_TRUE(waiter_asleep(small));
	}
	large = waiter_run(ctx, LARGE, LARGE, events + 1, NULL);
	ASSERT_TRUE(waiter_asleep(large));
	if (!small_first) {
		small = waiter_run(ctx, 1, 1, events, NULL);
		ASSERT_TRUE(waiter_asleep(small));
	}
	end_poll(fds[0]);
	if (contract_in_force("io_getevents.wake.batched")) {
		ASSERT_EQ(1, waiter_result(small));
		EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	}
	for (i = 1; i < N; i++)
		end_poll(fds[i]);
	EXPECT_EQ(1, waiter_result(small));
	EXPECT_EQ(LARGE, waiter_result(large));
}

CASE(io_getevents, wake_several_small_one,
     "a waiter whose number is reached is woken, wherever it stands in line",
     .clause = "io_getevents.wake.several", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_small_one_woken(true);
	expect_small_one_woken(false);
}

/*
 * One event can serve only one of them. That the other was woken as well shows
 * in the count of its sleeps.
 */
CASE(io_getevents, wake_all_enough,
     "one completion wakes every waiter whose number is reached",
     .clause = "io_getevents.wake.all_enough", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { WAITERS = 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, WAITERS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, WAITERS);
	aio_handle ctx = new_context(WAITERS);
	struct waiter *waiters[WAITERS];
	unsigned int i, served = 0;
	long sleeps[WAITERS];
	int fds[WAITERS];

	stage_polls(ctx, WAITERS, iocbs, fds);
	for (i = 0; i < WAITERS; i++) {
		waiters[i] = waiter_run(ctx, 1, 1, &events[i], NULL);
		sleeps[i] = sleeps_of(waiters[i]);
	}
	end_poll(fds[0]);
	WAIT_FOR(!ring_unread(ctx));
	for (i = 0; i < WAITERS; i++) {
		WAIT_FOR(waiter_done(waiters[i]) ||
			 waiter_slept(waiters[i]) > sleeps[i]);
		if (waiter_asleep(waiters[i]))
			EXPECT_GE(sleeps[i] + 1, waiter_slept(waiters[i]));
		served += waiter_done(waiters[i]);
	}
	EXPECT_EQ(1, served);

	end_poll(fds[1]);
	end_poll(fds[2]);
	for (i = 0; i < WAITERS; i++)
		EXPECT_EQ(1, waiter_result(waiters[i]));
	for (i = 0; i < WAITERS; i++)
		EXPECT_TRUE(find_event(events, WAITERS, &iocbs[i]));
}

/* Those before it and after it wait for more than there is. */
static void expect_found_among(unsigned int others, unsigned int place)
{
	enum { LARGE = 60 };
	struct io_event *events = GUARDED_ARRAY(struct io_event, LARGE);
	struct waiter **waiters = GUARDED_ARRAY(struct waiter *, others + 1);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(LARGE);
	struct io_event event;
	unsigned int i;
	int fd;

	ROUND("number %u of %u", place, others + 1);
	fd = stage_poll(ctx, iocb);
	for (i = 0; i <= others; i++) {
		waiters[i] = i == place ? waiter_run(ctx, 1, 1, &event, NULL)
					: waiter_run(ctx, LARGE, LARGE, events,
						     NULL);
		ASSERT_TRUE(waiter_asleep(waiters[i]));
	}
	end_poll(fd);
	EXPECT_EQ(1, waiter_result(waiters[place]));
	EXPECT_EVENT(&event, iocb, POLLIN);
	EXPECT_OK(aio->destroy(ctx));
	for (i = 0; i <= others; i++)
		waiter_result(waiters[i]);
}

CASE(io_getevents, wake_among_many,
     "whose number is reached wakes, however many wait for more",
     .clause = "io_getevents.wake.batched", .needs = "eventfd task_syscall",
     .flavours = RAW | PGETEVENTS)
{
	enum { OTHERS = 16, MANY = 70 };
	unsigned int many = rounds(MANY);

	/* who comes last is looked at first */
	expect_found_among(many > OTHERS ? many : OTHERS, 0);
	expect_found_among(OTHERS, OTHERS);
}

static long procs_blocked(void)
{
	FILE *f = fopen("/proc/stat", "re");
	char line[4096];
	long n = -1;

	while (f && n < 0 && fgets(line, sizeof(line), f))
		sscanf(line, "procs_blocked %ld", &n);
	if (f)
		fclose(f);
	return n;
}

CASE(io_getevents, not_io_wait,
     "who waits for events is not counted as waiting for I/O",
     .clause = "io_getevents.not_io_wait", .needs = "task_syscall",
     .flavours = NATIVE)
{
	enum { WAITERS = 48, LOOKS = 100 };
	struct io_event *events = GUARDED_ARRAY(struct io_event, WAITERS);
	aio_handle ctx = new_context(1);
	struct waiter *waiters[WAITERS];
	unsigned int i;
	long blocked;

	if (procs_blocked() < 0)
		SKIP("/proc/stat does not say");
	for (i = 0; i < WAITERS; i++) {
		waiters[i] = waiter_run(ctx, 1, 1, &events[i], NULL);
		ASSERT_TRUE(waiter_asleep(waiters[i]));
	}
	/* others may wait for I/O now, but not so many all the time */
	for (i = 0, blocked = WAITERS; i < LOOKS && blocked >= WAITERS; i++)
		blocked = procs_blocked();
	EXPECT_TRUE(blocked < WAITERS);
	EXPECT_OK(aio->destroy(ctx));
	for (i = 0; i < WAITERS; i++)
		EXPECT_EQ(-EINVAL, waiter_result(waiters[i]));
}

/* The waiter sleeps with head near the ring's end; tail goes round it. */
static void expect_wrapped_wake(unsigned int before_end, unsigned int n)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, n);
	struct io_event *events = GUARDED_ARRAY(struct io_event, n);
	bool batched = contract_in_force("io_getevents.wake.batched");
	aio_handle ctx = new_context(n);
	struct waiter *waiter;
	unsigned int i;
	int fds[8];
	long sleeps;

	stage_ring_at(ctx, ring_of(ctx)->nr - before_end);
	stage_polls(ctx, n, iocbs, fds);
	waiter = waiter_run(ctx, n, n, events, NULL);
	sleeps = sleeps_of(waiter);
	for (i = 0; i < n - 1; i++) {
		end_poll(fds[i]);
		sleeps += !batched;
		EXPECT_EQ(sleeps, sleeps_of(waiter));
	}
	end_poll(fds[i]);
	ASSERT_EQ(n, waiter_result(waiter));
	for (i = 0; i < n; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
}

CASE(io_getevents, wake_wrapped,
     "the n-th event wakes a waiter although tail went round the ring's end",
     .clause = "io_getevents.wake.wrapped", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_wrapped_wake(1, 1);
	expect_wrapped_wake(1, 3);
	expect_wrapped_wake(2, 2);
	expect_wrapped_wake(3, 5);
}

CASE(io_getevents, wake_raised_min,
     "a waiter that stored some is woken at the rest",
     .clause = "io_getevents.wake.raised_min", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { STORED = 2, REST = 2, N = STORED + REST };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	bool batched = contract_in_force("io_getevents.wake.batched");
	aio_handle ctx = new_context(N);
	struct waiter *waiter;
	unsigned int i;
	long sleeps;
	int fds[REST];

	stage_events(ctx, STORED, iocbs);
	stage_polls(ctx, REST, &iocbs[STORED], fds);
	waiter = waiter_run(ctx, N, N, events, NULL);
	sleeps = sleeps_of(waiter);
	EXPECT_EQ(0, ring_unread(ctx));
	end_poll(fds[0]);
	EXPECT_EQ(sleeps + !batched, sleeps_of(waiter));
	end_poll(fds[1]);
	ASSERT_EQ(N, waiter_result(waiter));
	for (i = 0; i < N; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
}

CASE(io_getevents, wake_more_than_ring,
     "a waiter for more events than the ring holds gets all of them",
     .clause = "io_getevents.wake.raised_min", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = new_context(1);
	unsigned int nr = ring_of(ctx)->nr, fits = ring_capacity(nr);
	unsigned int all = nr + 3, i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, all);
	struct waiter *waiter;

	stage_complete(ctx, fits, 0);
	waiter = waiter_run(ctx, all, all, events, NULL);
	for (i = fits; i < all; i++) {
		ASSERT_TRUE(waiter_asleep(waiter));
		stage_complete(ctx, 1, i);
	}
	ASSERT_EQ(all, waiter_result(waiter));
	EXPECT_NUMBERED(events, all, 0);
}

CASE(io_getevents, wake_taken,
     "a waiter that finds its event taken sleeps, and is woken by the next",
     .clause = "io_getevents.wake.taken", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { WAITERS = 2 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, WAITERS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, WAITERS);
	aio_handle ctx = new_context(WAITERS);
	struct waiter *waiters[WAITERS], *other;
	unsigned int i, first;
	int fds[WAITERS];

	stage_polls(ctx, WAITERS, iocbs, fds);
	for (i = 0; i < WAITERS; i++) {
		waiters[i] = waiter_run(ctx, 1, 1, &events[i], NULL);
		ASSERT_TRUE(waiter_asleep(waiters[i]));
	}
	end_poll(fds[0]);
	WAIT_FOR(waiter_done(waiters[0]) || waiter_done(waiters[1]));
	first = waiter_done(waiters[0]) ? 0 : 1;
	other = waiters[!first];
	EXPECT_EVENT(&events[first], &iocbs[0], POLLIN);
	ASSERT_TRUE(waiter_asleep(other));

	end_poll(fds[1]);
	EXPECT_EQ(1, waiter_result(other));
	EXPECT_EQ(1, waiter_result(waiters[first]));
	EXPECT_EVENT(&events[!first], &iocbs[1], POLLIN);
}

/*
 * A reaper for one event is stopped while it copies it, so that the waiter,
 * woken by the second event, comes too late for the first.
 */
CASE(io_getevents, wake_taken_part,
     "a waiter that finds part of its events taken waits for as many more",
     .clause = "io_getevents.wake.taken", .flavours = RAW | LIBAIO | PGETEVENTS,
     .needs = "userfaultfd eventfd task_syscall")
{
	enum { N = 3, MIN_NR = 2 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, MIN_NR);
	struct io_event *trapped = io_buffer(PAGE_SIZE);
	struct trap *trap = trap_set(trapped, PAGE_SIZE);
	aio_handle ctx = new_context(N);
	struct waiter *waiter, *thief;
	int fds[N];
	long sleeps;

	if (!contract_in_force("io_getevents.wake.batched"))
		SKIP("the first event would wake the waiter");
	stage_polls(ctx, N, iocbs, fds);
	waiter = waiter_run(ctx, MIN_NR, MIN_NR, events, NULL);
	sleeps = sleeps_of(waiter);
	end_poll(fds[0]);
	thief = waiter_run(ctx, 1, 1, trapped, NULL);
	trap_wait(trap);
	end_poll(fds[1]);
	/* woken, it goes to sleep on the lock that the thief holds */
	WAIT_FOR(waiter_slept(waiter) > sleeps);
	ASSERT_TRUE(waiter_asleep(waiter));
	trap_release(trap, NULL);
	ASSERT_EQ(1, waiter_result(thief));
	EXPECT_EVENT(trapped, &iocbs[0], POLLIN);

	WAIT_FOR(!ring_unread(ctx));
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fds[2]);
	ASSERT_EQ(MIN_NR, waiter_result(waiter));
	EXPECT_EVENT(&events[0], &iocbs[1], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[2], POLLIN);
}

/* --- no wake-up is lost, whenever the event comes --- */

struct chase {
	aio_handle ctx;
	struct meeting meeting;
	long min_nr;
	bool over; /* the round that ends now is the last one */
};

static void *chased(void *arg)
{
	struct chase *chase = arg;
	struct io_event events[2];

	do {
		meet(&chase->meeting);
		EXPECT_EQ(chase->min_nr,
			  aio->getevents(chase->ctx, chase->min_nr,
					 chase->min_nr, events, NULL));
		meet(&chase->meeting);
	} while (!chase->over);
	return NULL;
}

/*
 * The events come at every moment of the way to sleep, between the last look
 * at the ring and the sleep included. What is lost there hangs the case.
 */
static void expect_none_lost(long min_nr)
{
	enum { STEPS = 40, STEP_NS = 100, ROUNDS = STEPS * STEPS };
	struct chase chase = { .meeting = { .n = 2 }, .min_nr = min_nr };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, min_nr);
	int fds[2] = { open_eventfd(0, 0), open_eventfd(0, 0) };
	int64_t until = now_ns() + LONG_ENOUGH;
	struct thread *thread;
	unsigned int i;
	long n;

	chase.ctx = new_context(64);
	thread = thread_run(chased, &chase);
	for (i = 0; !chase.over; i++) {
		for (n = 0; n < min_nr; n++)
			stage_submit(chase.ctx,
				     prep_poll(&iocbs[n], fds[n], POLLIN));
		meet(&chase.meeting);
		spin_until(now_ns() + i % STEPS * STEP_NS);
		for (n = 0; n < min_nr; n++) {
			end_poll(fds[n]);
			spin_until(now_ns() + i / STEPS * STEP_NS);
		}
		chase.over = i == ROUNDS - 1 || now_ns() > until;
		meet(&chase.meeting);
		for (n = 0; n < min_nr; n++)
			REQUIRE(eventfd_take(fds[n]) == 1);
	}
	thread_join(thread);
	EXPECT_EQ(0, ring_unread(chase.ctx));
}

CASE(io_getevents, wake_no_loss_one,
     "an event that comes while a waiter goes to sleep wakes it",
     .clause = "io_getevents.wake.no_loss", .needs = "cpus2 eventfd",
     .flavours = RAW | PGETEVENTS, .time_limit = LIMIT_MANY)
{
	expect_none_lost(1);
}

CASE(io_getevents, wake_no_loss_two,
     "two events that come while a waiter goes to sleep wake it",
     .clause = "io_getevents.wake.no_loss", .needs = "cpus2 eventfd",
     .flavours = RAW | PGETEVENTS, .time_limit = LIMIT_MANY)
{
	expect_none_lost(2);
}

#define LOAD_UNREAD 24
#define LOAD_EACH   600 /* events of each submitter, and for each reaper */
#define LOAD_TAKEN  3	/* by each call of a reaper */

struct load {
	aio_handle ctx;
	struct gate gate;
	int fd; /* readable: a POLL on it is complete as soon as submitted */
};

static void *load_submitter(void *arg)
{
	struct load *load = arg;
	struct iocb iocb;
	unsigned int i;

	gate_wait(&load->gate);
	for (i = 0; i < LOAD_EACH; i++) {
		stage_submit(load->ctx, prep_poll(&iocb, load->fd, POLLIN));
		/* the ring must not fill up */
		WAIT_FOR(ring_unread(load->ctx) < LOAD_UNREAD);
	}
	return NULL;
}

static void *load_reaper(void *arg)
{
	struct load *load = arg;
	struct io_event events[LOAD_TAKEN];
	unsigned int i;

	gate_wait(&load->gate);
	for (i = 0; i < LOAD_EACH; i += LOAD_TAKEN)
		EXPECT_EQ(LOAD_TAKEN, aio->getevents(load->ctx, LOAD_TAKEN,
						     LOAD_TAKEN, events, NULL));
	return NULL;
}

CASE(io_getevents, wake_no_loss_load,
     "reapers on all CPUs get all that submitters on all CPUs complete",
     .clause = "io_getevents.wake.no_loss", .needs = "cpus2 eventfd",
     .flavours = RAW | PGETEVENTS, .time_limit = LIMIT_MANY)
{
	enum { PAIRS = 2 };
	struct load *loads = guarded(PAIRS * sizeof(*loads));
	struct thread *submitters[PAIRS], *reapers[PAIRS];
	aio_handle ctx = new_context(64);
	unsigned int i;

	for (i = 0; i < PAIRS; i++) {
		loads[i].ctx = ctx;
		loads[i].fd = open_eventfd(1, 0);
		submitters[i] = thread_run(load_submitter, &loads[i]);
		reapers[i] = thread_run(load_reaper, &loads[i]);
	}
	for (i = 0; i < PAIRS; i++)
		gate_open(&loads[i].gate);
	for (i = 0; i < PAIRS; i++) {
		thread_join(submitters[i]);
		thread_join(reapers[i]);
	}
	EXPECT_EQ(0, ring_unread(ctx));
}
