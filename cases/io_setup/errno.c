// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_setup() refuses what is no new handle and no number of events.
 *
 * A refusal leaves no trace: the handle keeps its value and nothing is mapped.
 */
#include "case.h"

/* ioctx_alloc(): 0x10000000 / sizeof(struct io_event), after doubling. */
#define LARGEST_NOT_INVALID 4194304u

CASE(io_setup, einval_ctx_not_zero,
     "a handle that is not 0 is refused, and left as it was",
     .clause = "io_setup.einval.ctx")
{
	const aio_handle handles[] = { 1, PAGE_SIZE, ~0ul, ~(~0ul >> 1) };
	aio_handle ctx;
	unsigned int i;

	for (i = 0; i < sizeof(handles) / sizeof(handles[0]); i++) {
		ctx = handles[i];
		EXPECT_ERR(EINVAL, aio->setup(1, &ctx));
		EXPECT_EQ(handles[i], ctx);
	}
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, einval_ctx_alive,
     "a handle that is a live context is refused, and the context lives on",
     .clause = "io_setup.einval.ctx_live")
{
	aio_handle ctx = new_context(8), copy = ctx;
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->setup(8, &copy));
	EXPECT_EQ(ctx, copy);
	EXPECT_EQ(1, maps_named("/[aio]"));
	stage_complete(ctx, 1, 7);
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_NUMBERED(&event, 1, 7);
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
     "more events than the ring's internal limit are EINVAL",
     .clause = "io_setup.einval.nr_limit")
{
	aio_handle ctx = 0;

	EXPECT_ERR(EINVAL, aio->setup(LARGEST_NOT_INVALID + 1, &ctx));
	EXPECT_ERR(EINVAL, aio->setup(0x7fffffff, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, eagain_nr_at_limit,
     "as many events as the internal limit are for the quota to judge",
     .clause = "io_setup.einval.nr_limit", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", LARGEST_NOT_INVALID - 1);
	EXPECT_ERR(EAGAIN, aio->setup(LARGEST_NOT_INVALID, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, einval_nr_minus_one, "-1 events are refused",
     .clause = "io_setup.einval.nr_minus_one")
{
	aio_handle ctx = 0;

	EXPECT_ERR(EINVAL, aio->setup(-1u, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, einval_over_limit_any_quota,
     "the internal limit is judged before the quota, the least one and more",
     .clause = "io_setup.einval.over_limit_any_quota",
     .needs = "root aio_sysctls", .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", 0);
	EXPECT_ERR(EINVAL, aio->setup(LARGEST_NOT_INVALID + 1, &ctx));
	EXPECT_ERR(EINVAL, aio->setup(-1u, &ctx));
	sysctl_set("fs/aio-max-nr", 2l * LARGEST_NOT_INVALID);
	EXPECT_ERR(EINVAL, aio->setup(LARGEST_NOT_INVALID + 1, &ctx));
	EXPECT_EQ(0, ctx);
}

CASE(io_setup, einval_order,
     "the handle is read before the number of events is judged",
     .clause = "io_setup.einval.order")
{
	EXPECT_ERR(EFAULT, aio->setup(0, nowhere()));
	EXPECT_ERR(EFAULT, aio->setup(-1u, nowhere()));
	EXPECT_ERR(EFAULT, aio->setup(0, NULL));
}
