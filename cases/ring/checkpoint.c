// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A context made anew where it was, as checkpoint tools do: a ring of the same
 * size is turned to the same head and tail by requests, moved to the old
 * address, and the unread events are put into it.
 */
#include <sys/mman.h>

#include "case.h"

#define EVENTS 100 /* a ring of two pages */
#define TURNED 300 /* it has gone round */
#define UNREAD 20

static void turn(aio_handle ctx, unsigned int turns)
{
	unsigned int i;

	for (i = 0; i < turns; i++)
		EXPECT_WORKS(ctx, i);
}

CASE(ring, checkpoint, "a context can be made anew at its old address",
     .clause = "ring.checkpoint")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2 * UNREAD);
	aio_handle old = new_context(EVENTS), ctx;
	size_t size = ring_size(ring_of(old)->nr);
	struct aio_ring *saved = guarded(size);

	turn(old, TURNED);
	stage_complete(old, UNREAD, 1000);
	memcpy(saved, (void *)old, size);
	end_context(old);

	ctx = new_context(EVENTS);
	ASSERT_EQ(saved->nr, ring_of(ctx)->nr);
	turn(ctx, saved->tail - UNREAD);
	stage_complete(ctx, UNREAD, 0);
	REQUIRE(saved->tail == ring_of(ctx)->tail);
	REQUIRE(saved->head == ring_of(ctx)->head);
	memcpy((void *)ring_of(ctx)->events, saved->events,
	       size - sizeof(*saved));
	if (ctx != old)
		ASSERT_EQ(old, (aio_handle)mremap((void *)ctx, size, size,
						  MREMAP_MAYMOVE | MREMAP_FIXED,
						  (void *)old));

	stage_complete(old, 1, 2000);
	EXPECT_EQ(UNREAD + 1, aio->getevents(old, 1, 2 * UNREAD, events, NULL));
	EXPECT_NUMBERED(events, UNREAD, 1000);
	EXPECT_NUMBERED(&events[UNREAD], 1, 2000);
	EXPECT_OK(aio->destroy(old));
}
