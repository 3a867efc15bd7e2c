// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_getevents() refuses handles that are no context, and counts that make no
 * sense; the events that are there stay there.
 */
#include <limits.h>

#include "case.h"

/* An event is there: who lets bad counts by returns it instead of waiting. */
static aio_handle context_with_events(unsigned int n)
{
	aio_handle ctx = new_context(n);

	stage_events(ctx, n, GUARDED_ARRAY(struct iocb, n));
	return ctx;
}

CASE(io_getevents, einval_ctx_zero, "a context of 0 is refused",
     .clause = "io_getevents.einval.ctx", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec none = millis(0);
	struct io_event event;

	/* without a context in the process, and with one */
	EXPECT_ERR(EINVAL, aio->getevents(0, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(0, 0, 1, &event, &none));
	context_with_events(1);
	EXPECT_ERR(EINVAL, aio->getevents(0, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(0, 0, 0, NULL, &none));
}

/* libaio reads a ring's header before it calls the kernel. */
CASE(io_getevents, einval_ctx_garbage,
     "a handle that points nowhere, or at what is no ring, is refused",
     .clause = "io_getevents.einval.ctx", .needs = "eventfd",
     .flavours = RAW | PGETEVENTS)
{
	aio_handle ctx = context_with_events(1);
	struct aio_ring *forged = io_buffer(PAGE_SIZE);
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->getevents(1, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(~0ul, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL,
		   aio->getevents((aio_handle)nowhere(), 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->getevents((aio_handle)kernel_address(), 1, 1,
					  &event, NULL));
	/* the true id, at another address */
	memcpy(forged, (const void *)ctx, sizeof(*forged));
	EXPECT_ERR(EINVAL,
		   aio->getevents((aio_handle)forged, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL,
		   aio->getevents(ctx + sizeof(*forged), 1, 1, &event, NULL));
	EXPECT_EQ(1, ring_unread(ctx));
}

CASE(io_getevents, einval_ctx_destroyed, "a context that is gone is refused",
     .clause = "io_getevents.einval.ctx", .flavours = RAW | PGETEVENTS)
{
	struct timespec none = millis(0);
	aio_handle ctx = dead_context();
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, 0, NULL, &none));
}

CASE(io_getevents, einval_min_nr_negative, "a negative min_nr is refused",
     .clause = "io_getevents.einval.min_nr_negative", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = context_with_events(2);
	struct timespec none = millis(0);
	struct io_event events[2];

	EXPECT_ERR(EINVAL, aio->getevents(ctx, -1, 1, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, -1, 0, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, LONG_MIN, 1, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, -1, LONG_MAX, events, &none));
	EXPECT_EQ(2, ring_unread(ctx));
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_getevents, einval_nr_negative, "a negative nr is refused",
     .clause = "io_getevents.einval.nr_negative", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = context_with_events(2);
	struct timespec none = millis(0);
	struct io_event events[2];

	EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, -1, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, -1, -1, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, -2, -1, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 1, LONG_MIN, events, &none));
	EXPECT_EQ(2, ring_unread(ctx));
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_getevents, einval_min_nr_over_nr,
     "min_nr over nr is refused, and the events stay",
     .clause = "io_getevents.einval.min_nr_over_nr", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = context_with_events(2);
	struct timespec none = millis(0);
	struct io_event events[2];

	EXPECT_ERR(EINVAL, aio->getevents(ctx, 2, 1, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 1, 0, events, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 2, 1, events, &none));
	EXPECT_ERR(EINVAL,
		   aio->getevents(ctx, LONG_MAX, LONG_MAX - 1, events, &none));
	EXPECT_EQ(0, ring_of(ctx)->head);
	EXPECT_EQ(2, ring_unread(ctx));
	EXPECT_EQ(2, aio->getevents(ctx, 2, 2, events, NULL));
}

CASE(io_getevents, einval_counts_empty,
     "bad counts are refused with nothing there and no time to wait, too",
     .clause = "io_getevents.einval.min_nr_over_nr",
     .flavours = RAW | PGETEVENTS)
{
	struct timespec none = millis(0);
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->getevents(ctx, 2, 1, &event, &none));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, -1, 1, &event, &none));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, -1, &event, &none));
}
