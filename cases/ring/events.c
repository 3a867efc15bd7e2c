// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the kernel puts events: at tail, whole, in the order of completion,
 * round and round over all the pages; and what io_getevents() does to head.
 */
#include <unistd.h>

#include "case.h"

#define LARGE_EVENTS                                                         \
	600		/* a ring of ten pages: more than the kernel inlines \
			 */
#define MID_EVENTS  100 /* of two pages */
#define TIMES_ROUND 3
#define WIDE_EVENTS 34000 /* the ring has twice as many */

static const struct io_event *slot(aio_handle ctx, unsigned int index)
{
	return (const struct io_event *)&ring_of(ctx)->events[index];
}

CASE(ring, events_tail, "a completion writes at tail, and moves it by one",
     .clause = "ring.events.tail")
{
	static const struct io_event untouched;
	aio_handle ctx = new_context(1);
	unsigned int i;

	for (i = 0; i < 5; i++) {
		EXPECT_EQ(i, ring_of(ctx)->tail);
		EXPECT_MEM(&untouched, slot(ctx, i), sizeof(untouched));
		stage_complete(ctx, 1, 10 + i);
		EXPECT_EQ(i + 1, ring_of(ctx)->tail);
		EXPECT_EQ(0, ring_of(ctx)->head);
		EXPECT_NUMBERED(slot(ctx, 0), i + 1, 10);
		EXPECT_MEM(&untouched, slot(ctx, i + 1), sizeof(untouched));
	}
}

CASE(ring, events_order,
     "events lie in the order of completion, not in that of submission",
     .clause = "ring.events.order", .needs = "eventfd")
{
	const unsigned int order[] = { 3, 0, 4, 2, 1 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 5);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 5);
	aio_handle ctx = new_context(5);
	const uint64_t one = 1;
	unsigned int i;
	int fds[5];

	for (i = 0; i < 5; i++) {
		fds[i] = open_eventfd(0, 0);
		stage_submit(ctx, prep_poll(&iocbs[i], fds[i], POLLIN));
	}
	for (i = 0; i < 5; i++) {
		REQUIRE(write(fds[order[i]], &one, sizeof(one)) == sizeof(one));
		WAIT_FOR(ring_of(ctx)->tail == i + 1);
	}
	for (i = 0; i < 5; i++)
		EXPECT_EVENT(slot(ctx, i), &iocbs[order[i]], POLLIN);
	EXPECT_EQ(5, aio->getevents(ctx, 0, 5, events, NULL));
	for (i = 0; i < 5; i++)
		EXPECT_EVENT(&events[i], &iocbs[order[i]], POLLIN);
}

CASE(ring, events_wrap,
     "from its last place tail goes to 0, and nothing is lost",
     .clause = "ring.events.wrap", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = new_context(1);
	unsigned int nr = ring_of(ctx)->nr, i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, nr);

	for (i = 0; i < nr - 2; i++)
		EXPECT_WORKS(ctx, i);
	EXPECT_EQ(nr - 2, ring_of(ctx)->tail);
	stage_complete(ctx, 1, i);
	EXPECT_EQ(nr - 1, ring_of(ctx)->tail);
	stage_complete(ctx, 1, i + 1);
	EXPECT_EQ(0, ring_of(ctx)->tail);
	stage_complete(ctx, 3, i + 2);
	EXPECT_EQ(3, ring_of(ctx)->tail);
	EXPECT_EQ(nr - 2, ring_of(ctx)->head);
	EXPECT_EQ(5, aio->getevents(ctx, 5, nr, events, NULL));
	EXPECT_NUMBERED(events, 5, i);
	EXPECT_EQ(3, ring_of(ctx)->head);
}

/*
 * Twice as many as fit into 16 bits, so that each number that the kernel keeps
 * of them passes 65535: none is reaped until the ring is full, and then all.
 */
CASE(ring, events_wide,
     "a ring of more than 65536 events is filled and emptied",
     .clause = "ring.events.wrap", .quota = WIDE_EVENTS, .time_limit = 60)
{
	aio_handle ctx = new_context(WIDE_EVENTS);
	unsigned int nr = ring_of(ctx)->nr, round, first = 0;
	const unsigned int fit = ring_capacity(nr);
	struct io_event *events = GUARDED_ARRAY(struct io_event, nr);
	enum { TRIAL = 1000 };
	int64_t began;
	long n;

	EXPECT_GE(65537, nr);
	pin_to_cpu(0);
	/* with KASAN all of them would take minutes */
	began = now_ns();
	stage_complete(ctx, TRIAL, first);
	if (now_ns() - began > NSEC_PER_SEC / 4)
		SKIP("a thousand took more than a quarter of a second");
	STAGE_EQ(TRIAL, aio->getevents(ctx, TRIAL, TRIAL, events, NULL));
	first += TRIAL;
	for (round = 0; round < 2; round++) {
		ROUND("round %u", round);
		n = complete_now(ctx, nr, first);
		ASSERT_EQ(fit, n);
		ASSERT_EQ(n, ring_unread(ctx));
		ASSERT_EQ((first + n) % nr, ring_of(ctx)->tail);
		ASSERT_EQ(n, aio->getevents(ctx, n, nr, events, NULL));
		ASSERT_EQ((first + n) % nr, ring_of(ctx)->head);
		if (!EXPECT_NUMBERED(events, n, first))
			return;
		first += (unsigned int)n;
	}
}

/*
 * Events of one large number after the other, reaped in pieces that begin and
 * end anywhere: each is looked at in the ring and as io_getevents() gives it.
 */
static void go_round(aio_handle ctx, unsigned int piece)
{
	unsigned int nr = ring_of(ctx)->nr, done, i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, piece);

	for (done = 0; done < TIMES_ROUND * nr; done += piece) {
		stage_complete(ctx, piece, done);
		for (i = done; i < done + piece; i++)
			if (!EXPECT_NUMBERED(slot(ctx, i % nr), 1, i))
				return;
		memset(events, 0xff, piece * sizeof(*events));
		ASSERT_EQ(piece,
			  aio->getevents(ctx, piece, piece, events, NULL));
		if (!EXPECT_NUMBERED(events, piece, done))
			return;
		ASSERT_EQ((done + piece) % nr, ring_of(ctx)->head);
		ASSERT_EQ((done + piece) % nr, ring_of(ctx)->tail);
	}
}

CASE(ring, events_pages, "over the pages of a ring every event is whole",
     .clause = "ring.events.pages", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	go_round(new_context(MID_EVENTS), 1);
	go_round(new_context(MID_EVENTS), MID_EVENTS - 1);
}

CASE(ring, events_pages_many,
     "over the pages of a large ring every event is whole",
     .clause = "ring.events.pages", .flavours = RAW | LIBAIO | PGETEVENTS,
     .quota = 3 * LARGE_EVENTS)
{
	static const unsigned int steps[] = { 128, 7, LARGE_EVENTS - 1 };
	unsigned int i, n = rounds(sizeof(steps) / sizeof(steps[0]));

	for (i = 0; i < n; i++)
		go_round(new_context(LARGE_EVENTS), steps[i]);
}

CASE(ring, events_kernel_head,
     "io_getevents() moves head past what it returned, and writes no more",
     .clause = "ring.events.kernel_head", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, 5);
	aio_handle ctx = new_context(5);
	struct aio_ring before, after;

	stage_complete(ctx, 5, 0);
	memcpy(&before, (void *)ctx, sizeof(before));
	EXPECT_EQ(2, aio->getevents(ctx, 1, 2, events, NULL));
	EXPECT_EQ(2, ring_of(ctx)->head);
	EXPECT_EQ(3, aio->getevents(ctx, 1, 5, events, NULL));
	EXPECT_EQ(5, ring_of(ctx)->head);
	EXPECT_EQ(0, aio->getevents(ctx, 0, 5, events, NULL));
	EXPECT_EQ(5, ring_of(ctx)->head);
	memcpy(&after, (void *)ctx, sizeof(after));
	before.head = after.head;
	EXPECT_MEM(&before, &after, sizeof(before));
	EXPECT_NUMBERED(slot(ctx, 0), 5, 0);
}
