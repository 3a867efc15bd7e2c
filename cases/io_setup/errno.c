// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_setup() refuses what it cannot do, and a refusal leaves no trace: the
 * handle keeps its value, nothing is mapped, and fs.aio-nr stands still.
 */
#include "case.h"

/* ioctx_alloc(): 0x10000000 / sizeof(struct io_event), after doubling. */
#define LARGEST_NOT_INVALID 4194304u

CASE(io_setup, einval_ctx_not_zero,
     "a handle that is not 0 is refused, and left as it was",
     .clause = "io_setup.einval.ctx")
{
	aio_handle ctx = 1;

	EXPECT_ERR(EINVAL, aio->setup(1, &ctx));
	EXPECT_EQ(1, ctx);
	ctx = ~0ul;
	EXPECT_ERR(EINVAL, aio->setup(1, &ctx));
	EXPECT_EQ(~0ul, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, einval_ctx_alive,
     "a handle that is a live context is refused, and the context lives on",
     .clause = "io_setup.einval.ctx")
{
	aio_handle ctx = new_context(8), copy = ctx;
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->setup(8, &copy));
	EXPECT_EQ(ctx, copy);
	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, NULL));
	EXPECT_EQ(1, maps_named("/[aio]"));
}

CASE(io_setup, einval_nr_zero, "no events at all are refused",
     .clause = "io_setup.einval.nr_zero")
{
	aio_handle ctx = 0;

	EXPECT_ERR(EINVAL, aio->setup(0, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, einval_nr_over_limit,
     "more events than the ring's internal limit are EINVAL, fewer are not",
     .clause = "io_setup.einval.nr_limit")
{
	aio_handle ctx = 0;

	EXPECT_ERR(EINVAL, aio->setup(LARGEST_NOT_INVALID + 1, &ctx));
	EXPECT_ERR(EINVAL, aio->setup(0x7fffffff, &ctx));
	EXPECT_ERR(EINVAL, aio->setup(0xffffffff, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}
