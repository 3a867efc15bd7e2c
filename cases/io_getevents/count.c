// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How many events io_getevents() gives, and which: min_nr at least, nr at
 * most, the oldest first, and what it did not give is still there.
 *
 * Programs size their arrays by nr: one event more is a stray write.
 */
#include <fcntl.h>
#include <limits.h>

#include "case.h"

#define UNTOUCHED	 0xee
#define EVENTS_IN_A_PAGE (PAGE_SIZE / sizeof(struct io_event))

/* The place n events after this one. */
static unsigned int place_after(aio_handle ctx, unsigned int place,
				unsigned int n)
{
	return (place + n) % ring_of(ctx)->nr;
}

CASE(io_getevents, count, "the count is that of the events stored, no more",
     .clause = "io_getevents.count", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { THERE = 3, ROOM = 8 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, ROOM);
	struct io_event untouched[ROOM - THERE];
	aio_handle ctx = new_context(ROOM);
	unsigned int i;

	memset(events, UNTOUCHED, ROOM * sizeof(*events));
	memset(untouched, UNTOUCHED, sizeof(untouched));
	stage_events(ctx, THERE, iocbs);

	ASSERT_EQ(THERE, aio->getevents(ctx, 1, ROOM, events, NULL));
	for (i = 0; i < THERE; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
	EXPECT_MEM(untouched, &events[THERE], sizeof(untouched));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_getevents, count_data,
     "data and result are each request's own, whatever obj is",
     .clause = "io_getevents.count", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { N = 3, LEN = 100 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);
	unsigned char buf[LEN];
	unsigned int i;
	int zero;

	zero = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	for (i = 0; i < N; i++) {
		prep_read(&iocbs[i], zero, buf, LEN - i, 0);
		iocbs[i].aio_data = ~(uint64_t)i << 32 | i;
		stage_submit(ctx, &iocbs[i]);
	}

	ASSERT_EQ(N, aio->getevents(ctx, N, N, events, NULL));
	for (i = 0; i < N; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], LEN - i);
}

CASE(io_getevents, min_nr_at_once,
     "with min_nr there it returns at once, with up to nr",
     .clause = "io_getevents.min_nr.at_once", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { ROUNDS = 16, THERE = 5, MIN_NR = 2, NR = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, NR);
	aio_handle ctx = new_context(THERE);
	long before, more = LONG_MAX, exactly = LONG_MAX;
	unsigned int round, i;

	for (round = 0; round < ROUNDS; round++) {
		stage_events(ctx, THERE, iocbs);
		before = own_sleeps();
		ASSERT_EQ(NR, aio->getevents(ctx, MIN_NR, NR, events, NULL));
		more = fewest_sleeps(more, before);
		for (i = 0; i < NR; i++)
			EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);

		/* exactly min_nr there, and room for more */
		before = own_sleeps();
		ASSERT_EQ(1, aio->getevents(ctx, 1, NR, events, NULL));
		exactly = fewest_sleeps(exactly, before);
		EXPECT_EVENT(&events[0], &iocbs[NR], POLLIN);
	}
	EXPECT_EQ(0, more);
	EXPECT_EQ(0, exactly);
}

CASE(io_getevents, nr_leaves_rest,
     "nr below what is there gives the oldest and leaves the rest",
     .clause = "io_getevents.nr.leaves_rest", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { THERE = 5, NR = 2 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, NR);
	aio_handle ctx = new_context(THERE);

	stage_events(ctx, THERE, iocbs);

	ASSERT_EQ(NR, aio->getevents(ctx, 1, NR, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
	EXPECT_EQ(NR, ring_of(ctx)->head);
	EXPECT_EQ(THERE, ring_of(ctx)->tail);

	ASSERT_EQ(NR, aio->getevents(ctx, NR, NR, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[2], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[3], POLLIN);
	EXPECT_EQ(2 * NR, ring_of(ctx)->head);

	ASSERT_EQ(1, aio->getevents(ctx, 1, NR, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[4], POLLIN);
	EXPECT_EQ(THERE, ring_of(ctx)->head);
}

CASE(io_getevents, nr_zero,
     "0 of 0 events are given at once, and the array is not looked at",
     .clause = "io_getevents.nr.zero", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { ROUNDS = 16 };
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct timespec hour = millis(3600 * 1000);
	long before, sleeps = LONG_MAX;
	struct io_event event;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		before = own_sleeps();
		EXPECT_EQ(0, aio->getevents(ctx, 0, 0, nowhere(), NULL));
		EXPECT_EQ(0, aio->getevents(ctx, 0, 0, NULL, &hour));
		stage_events(ctx, 1, iocb);
		EXPECT_EQ(0, aio->getevents(ctx, 0, 0, nowhere(), NULL));
		EXPECT_EQ(0, aio->getevents(ctx, 0, 0, NULL, &hour));
		sleeps = fewest_sleeps(sleeps, before);
		EXPECT_EQ(1, ring_unread(ctx));
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	}
	EXPECT_EQ(0, sleeps);
	EXPECT_EVENT(&event, iocb, POLLIN);
}

CASE(io_getevents, nr_huge,
     "with the largest nr there is, the array need not exceed what is there",
     .clause = "io_getevents.nr.huge", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { THERE = 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, THERE);
	aio_handle ctx = new_context(THERE);
	unsigned int i;

	stage_events(ctx, THERE, iocbs);
	ASSERT_EQ(THERE, aio->getevents(ctx, THERE, LONG_MAX, events, NULL));
	for (i = 0; i < THERE; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
}

CASE(io_getevents, nr_huge_both,
     "the largest min_nr is allowed, and a time-out of 0 ends it",
     .clause = "io_getevents.nr.huge", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);
	struct timespec none = millis(0);

	stage_events(ctx, 1, iocb);
	ASSERT_EQ(1, aio->getevents(ctx, LONG_MAX, LONG_MAX, event, &none));
	EXPECT_EVENT(event, iocb, POLLIN);
	EXPECT_EQ(0, aio->getevents(ctx, LONG_MAX, LONG_MAX, event, &none));
}

/* Cut to fewer bits they would be 0, or negative. */
CASE(io_getevents, nr_each_bit, "each bit of nr counts",
     .clause = "io_getevents.nr.huge", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct timespec none = millis(0);
	aio_handle ctx = new_context(1);
	unsigned int bit;

	for (bit = 0; bit < 8 * sizeof(long) - 1; bit++) {
		ROUND("bit %u", bit);
		stage_events(ctx, 1, iocb);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1L << bit, event, &none));
		EXPECT_EVENT(event, iocb, POLLIN);
	}
}

CASE(io_getevents, min_nr_each_bit, "each bit of min_nr counts",
     .clause = "io_getevents.nr.huge", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct timespec timeout = millis(1);
	aio_handle ctx = new_context(1);
	unsigned int bit;
	int64_t began;

	for (bit = 1; bit < 8 * sizeof(long) - 1; bit++) {
		ROUND("bit %u", bit);
		stage_events(ctx, 1, iocb);
		began = now_ns();
		ASSERT_EQ(1, aio->getevents(ctx, 1L << bit, LONG_MAX, event,
					    &timeout));
		EXPECT_GE(began + NSEC_PER_MSEC, now_ns());
		EXPECT_EVENT(event, iocb, POLLIN);
	}
}

/*
 * Three rounds of two pages of events through a ring of some five: the events
 * lie over every page boundary, and over the end of the ring.
 */
CASE(io_getevents, many_in_one_call,
     "more events than a page holds come in one call, in order",
     .clause = "io_getevents.nr.int_result", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS, .quota = 4096)
{
	const unsigned int n = 2 * EVENTS_IN_A_PAGE;
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, n);
	struct io_event *events = GUARDED_ARRAY(struct io_event, n);
	aio_handle ctx = new_context(n);
	unsigned int done, head = 0, i;

	for (done = 0; done <= ring_of(ctx)->nr; done += n) {
		stage_events(ctx, n, iocbs);
		memset(events, UNTOUCHED, n * sizeof(*events));
		ASSERT_EQ(n, aio->getevents(ctx, n, n, events, NULL));
		for (i = 0; i < n; i++)
			EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
		head = place_after(ctx, head, n);
		EXPECT_EQ(head, ring_of(ctx)->head);
	}
}

CASE(io_getevents, pages_end,
     "calls that end just before, at and after a page boundary lose nothing",
     .clause = "io_getevents.nr.int_result", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS, .quota = 2048)
{
	/* the header takes the place of one event in the first page */
	const unsigned int first = EVENTS_IN_A_PAGE - 1;
	const unsigned int n = EVENTS_IN_A_PAGE;
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 3);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 3);
	aio_handle ctx = new_context(n);

	stage_ring_at(ctx, first - 2);
	stage_events(ctx, 3, iocbs);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EQ(first - 1, ring_of(ctx)->head);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[1], POLLIN);
	EXPECT_EQ(first, ring_of(ctx)->head);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[2], POLLIN);
	EXPECT_EQ(first + 1, ring_of(ctx)->head);
}

CASE(io_getevents, wrapped_in_one_call,
     "events on both sides of the ring's end come in one call, in order",
     .clause = "io_getevents.nr.int_result", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { BEFORE = 3, AFTER = 2, N = BEFORE + AFTER };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);
	unsigned int i;

	stage_ring_at(ctx, ring_of(ctx)->nr - BEFORE);
	stage_events(ctx, N, iocbs);
	STAGE_EQ(AFTER, ring_of(ctx)->tail);

	ASSERT_EQ(N, aio->getevents(ctx, N, N, events, NULL));
	for (i = 0; i < N; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
	EXPECT_EQ(AFTER, ring_of(ctx)->head);
	EXPECT_EQ(AFTER, ring_of(ctx)->tail);
}

CASE(io_getevents, wrapped_cut_at_end,
     "a call that takes up to the ring's last event leaves head at 0",
     .clause = "io_getevents.nr.int_result", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { BEFORE = 2, AFTER = 1, N = BEFORE + AFTER };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);

	stage_ring_at(ctx, ring_of(ctx)->nr - BEFORE);
	stage_events(ctx, N, iocbs);

	ASSERT_EQ(BEFORE, aio->getevents(ctx, BEFORE, BEFORE, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
	EXPECT_EQ(0, ring_of(ctx)->head);
	ASSERT_EQ(AFTER, aio->getevents(ctx, AFTER, N, events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[BEFORE], POLLIN);
	EXPECT_EQ(AFTER, ring_of(ctx)->head);
}

CASE(io_getevents, wrapped_last_only,
     "the ring's last event is given alone, and head goes on at 0",
     .clause = "io_getevents.nr.int_result", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);

	stage_ring_at(ctx, ring_of(ctx)->nr - 1);
	stage_events(ctx, 1, iocb);
	STAGE_EQ(0, ring_of(ctx)->tail);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 2, event, NULL));
	EXPECT_EVENT(event, iocb, POLLIN);
	EXPECT_EQ(0, ring_of(ctx)->head);
}

/*
 * The call holds the context while it runs. One that forgot to let go would
 * leave io_destroy() waiting for ever; one that let go twice, a context that
 * is taken down under those who use it.
 */
CASE(io_getevents, context_let_go,
     "whatever the call gave, the context can be destroyed after it",
     .clause = "io_getevents.count", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { ROUNDS = 8 };
	struct iocb *iocb = GUARDED(struct iocb);
	struct timespec short_while = { 0, 1 };
	aio_handle ctx = new_context(1);
	struct io_event event;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		stage_events(ctx, 1, iocb);
		EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
		EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, &short_while));
		EXPECT_ERR(EINVAL, aio->getevents(ctx, 2, 1, &event, NULL));
		EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, NULL));
	}
	EXPECT_OK(aio->destroy(ctx));
}
