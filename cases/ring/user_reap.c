// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reaping without the kernel: a program reads what lies between head and tail
 * and stores a new head. The kernel learns of it when it runs out of places,
 * and each of them has to come back then, none more and none less.
 */
#include "case.h"

#define EVENTS	     8
#define LARGE_EVENTS 300 /* a ring of five pages */
#define ROUNDS	     500
#define TIMES_ROUND  4

CASE(ring, user_reap_events,
     "a program reaps by itself, and io_getevents() goes on from there",
     .clause = "ring.user_reap.events", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, 10);
	aio_handle ctx = new_context(10);

	stage_complete(ctx, 10, 0);
	EXPECT_EQ(4, ring_reap(ctx, events, 4));
	EXPECT_NUMBERED(events, 4, 0);
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, events, NULL));
	EXPECT_NUMBERED(events, 1, 4);
	EXPECT_EQ(2, ring_reap(ctx, events, 2));
	EXPECT_NUMBERED(events, 2, 5);
	EXPECT_EQ(3, aio->getevents(ctx, 0, 10, events, NULL));
	EXPECT_NUMBERED(events, 3, 7);
	EXPECT_EQ(0, ring_reap(ctx, events, 10));
	EXPECT_EQ(0, aio->getevents(ctx, 0, 10, events, NULL));
}

/*
 * From one CPU, so that the places which the others keep back do not count:
 * as many as were reaped are accepted, and not one more.
 */
static void reap_and_fill(unsigned int events)
{
	aio_handle ctx = new_context(events);
	unsigned int nr = ring_of(ctx)->nr, capacity = ring_capacity(nr);
	const unsigned int pieces[] = { 1,
					2,
					ring_batch(nr) - 1,
					ring_batch(nr),
					ring_batch(nr) + 1,
					capacity / 2,
					capacity - 1,
					capacity };
	struct io_event *reaped = GUARDED_ARRAY(struct io_event, nr);
	unsigned int i, done = 0, accepted = capacity;

	ASSERT_EQ(capacity, complete_now(ctx, nr, 0));
	for (i = 0; done < TIMES_ROUND * nr; i++) {
		unsigned int piece =
			pieces[i % (sizeof(pieces) / sizeof(pieces[0]))];

		ASSERT_ERR(EAGAIN, complete_now(ctx, 1, accepted));
		ASSERT_EQ(piece, ring_reap(ctx, reaped, piece));
		if (!EXPECT_NUMBERED(reaped, piece, done))
			return;
		done += piece;
		ASSERT_EQ(piece, complete_now(ctx, piece, accepted));
		accepted += piece;
	}
	EXPECT_ERR(EAGAIN, complete_now(ctx, 1, accepted));
}

CASE(ring, user_reap_slots,
     "as many requests as a program reaped by itself have room again",
     .clause = "ring.user_reap.slots")
{
	pin_to_cpu(0);
	reap_and_fill(EVENTS);
	reap_and_fill(LARGE_EVENTS);
}

/* The places that come back are counted while requests complete, too. */
static void reap_rounds(unsigned int events)
{
	aio_handle ctx = new_context(events);
	unsigned int nr = ring_of(ctx)->nr, capacity = ring_capacity(nr), i;
	unsigned int nr_rounds = rounds(ROUNDS);
	struct io_event *reaped = GUARDED_ARRAY(struct io_event, nr);
	uint64_t done = 0;

	for (i = 0; i < nr_rounds; i++) {
		unsigned int piece = 1 + i * 7 % (capacity / 4);

		ASSERT_EQ(piece, complete_now(ctx, piece, done));
		ASSERT_EQ(piece, ring_reap(ctx, reaped, nr));
		if (!EXPECT_NUMBERED(reaped, piece, done))
			return;
		done += piece;
	}
	EXPECT_EQ(capacity, complete_now(ctx, nr, done));
	EXPECT_EQ(capacity, ring_reap(ctx, reaped, nr));
	EXPECT_NUMBERED(reaped, capacity, done);
	EXPECT_EQ(capacity, complete_now(ctx, nr, done + capacity));
}

CASE(ring, user_reap_rounds,
     "hundreds of rounds reaped by the program cost and give no place",
     .clause = "ring.user_reap.rounds", .flavours = RAW)
{
	pin_to_cpu(0);
	reap_rounds(EVENTS);
	reap_rounds(LARGE_EVENTS);
}

CASE(ring, user_reap_mixed,
     "rounds reaped now by the program, now by the kernel, keep the capacity",
     .clause = "ring.user_reap.rounds", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, capacity = ring_capacity(nr), i;
	unsigned int nr_rounds = rounds(ROUNDS / 4);
	struct io_event *reaped = GUARDED_ARRAY(struct io_event, nr);
	uint64_t done = 0;

	pin_to_cpu(0);
	for (i = 0; i < nr_rounds; i++) {
		unsigned int piece = 1 + i * 11 % capacity, own = i % piece;

		ASSERT_EQ(piece, complete_now(ctx, piece, done));
		ASSERT_EQ(own, ring_reap(ctx, reaped, own));
		ASSERT_EQ(piece - own,
			  aio->getevents(ctx, 0, nr, reaped + own, NULL));
		if (!EXPECT_NUMBERED(reaped, piece, done))
			return;
		done += piece;
	}
	EXPECT_EQ(capacity, complete_now(ctx, nr, done));
}
