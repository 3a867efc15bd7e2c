// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_setup() against fs.aio-max-nr: what is refused, what is granted, to the
 * last event; and numbers whose double does not fit into 32 bits.
 */
#include <limits.h>
#include <unistd.h>

#include "case.h"

#define ROOM  100 /* events that the quota is set to leave */
#define EVERY 0x100000000ll
/* Doubled in 32 bits these are 0 and 2. */
#define WRAPS_TO_ZERO 0x80000000u
#define WRAPS_TO_TWO  0x80000001u

/* Leave room for so many events; others may hold contexts on this machine. */
static void leave_room(long events)
{
	sysctl_set("fs/aio-max-nr", aio_nr() + events);
}

CASE(io_setup, eagain_max_nr, "more events than fs.aio-max-nr are EAGAIN",
     .clause = "io_setup.eagain.max_nr", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", aio_nr() + ROOM);
	EXPECT_ERR(EAGAIN,
		   aio->setup((unsigned int)(aio_nr() + ROOM + 1), &ctx));
	EXPECT_ERR(EAGAIN, aio->setup(1000 * ROOM, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
	EXPECT_QUOTA_BACK();
}

CASE(io_setup, eagain_max_nr_zero, "with fs.aio-max-nr 0 one event is EAGAIN",
     .clause = "io_setup.eagain.max_nr", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", 0);
	EXPECT_ERR(EAGAIN, aio->setup(1, &ctx));
	EXPECT_EQ(0, ctx);
}

CASE(io_setup, eagain_sum,
     "events that fit by themselves but not beside the others are EAGAIN",
     .clause = "io_setup.eagain.sum", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	leave_room(ROOM);
	new_context(ROOM / 2);
	EXPECT_ERR(EAGAIN, aio->setup(ROOM / 2 + 1, &ctx));
	EXPECT_ERR(EAGAIN, aio->setup(ROOM, &ctx));
	EXPECT_EQ(0, ctx);
}

CASE(io_setup, eagain_sum_undone,
     "a context that went over the sum leaves no trace",
     .clause = "io_setup.eagain.sum_undone", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;
	long before;
	int i;

	leave_room(ROOM);
	new_context(ROOM / 2);
	before = aio_nr();
	for (i = 0; i < 8; i++)
		EXPECT_ERR(EAGAIN, aio->setup(ROOM, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(before, aio_nr());
	EXPECT_EQ(1, maps_named("/[aio]"));
	ASSERT_OK(aio->setup(ROOM / 2, &ctx));
	EXPECT_EQ(1, ring_of(ctx)->id);
}

CASE(io_setup, eagain_exact, "the quota can be handed out to the last event",
     .clause = "io_setup.eagain.exact", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0, last = 0;

	leave_room(ROOM);
	EXPECT_ERR(EAGAIN, aio->setup(ROOM + 1, &ctx));
	EXPECT_OK(aio->setup(ROOM - 1, &ctx));
	EXPECT_OK(aio->setup(1, &last));
	EXPECT_EQ(sysctl_get("fs/aio-max-nr"), aio_nr());
	ctx = 0;
	EXPECT_ERR(EAGAIN, aio->setup(1, &ctx));
	end_context(last);
	EXPECT_ERR(EAGAIN, aio->setup(2, &ctx));
	EXPECT_OK(aio->setup(1, &ctx));
}

CASE(io_setup, eagain_exact_alone,
     "a single context may have the whole of fs.aio-max-nr",
     .clause = "io_setup.eagain.exact", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	/* less than a CPU's share, and more: what was asked for counts */
	static const unsigned int counts[] = { 1, 2, 3, 5, 8, 16, 33, ROOM };
	aio_handle ctx;
	unsigned int i;
	long result;

	if (aio_nr())
		SKIP("another program has contexts");
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ROUND("a quota of %u", counts[i]);
		sysctl_set("fs/aio-max-nr", counts[i]);
		ctx = 0;
		EXPECT_ERR(EAGAIN, aio->setup(counts[i] + 1, &ctx));
		/* nothing of it is kept for root */
		REQUIRE(!seteuid(NOBODY));
		result = aio->setup(counts[i], &ctx);
		REQUIRE(!seteuid(0));
		ASSERT_EQ(0, result);
		end_context(ctx);
	}
}

CASE(io_setup, nr_wrap_zero, "events whose double is 0 in 32 bits are EAGAIN",
     .clause = "io_setup.nr_wrap.zero")
{
	aio_handle ctx = 0;

	EXPECT_ERR(EAGAIN, aio->setup(WRAPS_TO_ZERO, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, nr_wrap_zero_any_quota,
     "events whose double is 0 in 32 bits are EAGAIN with any quota",
     .clause = "io_setup.nr_wrap.zero", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", LONG_MAX);
	EXPECT_ERR(EAGAIN, aio->setup(WRAPS_TO_ZERO, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
	EXPECT_QUOTA_BACK();
}

CASE(io_setup, nr_wrap_quota,
     "events whose double is 2 in 32 bits are judged by the quota",
     .clause = "io_setup.nr_wrap.quota", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", INT_MAX);
	EXPECT_ERR(EAGAIN, aio->setup(WRAPS_TO_TWO, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(io_setup, sum_over_32bit,
     "a sum of more than 32 bits is under a quota of more",
     .clause = "io_setup.quota.over_32bit",
     .needs = "root aio_sysctls wide_long", .serial = SERIAL_BODY)
{
	aio_handle ctx = 0, second = 0;
	long before = aio_nr();

	sysctl_set("fs/aio-max-nr", 4 * (long)EVERY);
	ASSERT_OK(aio->setup(WRAPS_TO_TWO, &ctx));
	ASSERT_OK(aio->setup(WRAPS_TO_TWO, &second));
	EXPECT_EQ(before + 2 * (int64_t)WRAPS_TO_TWO, aio_nr());
	end_context(new_context(1));
	end_context(second);
	end_context(ctx);
	EXPECT_QUOTA_BACK();
}

/* The sum of two such is over any quota: on 32 bits since it wraps, too. */
CASE(io_setup, nr_wrap_success,
     "events whose double is 2 in 32 bits are charged in full",
     .clause = "io_setup.nr_wrap.success",
     .needs = "root aio_sysctls wide_long", .serial = SERIAL_BODY)
{
	aio_handle ctx = 0, second = 0;
	long before = aio_nr();

	sysctl_set("fs/aio-max-nr", (long)(EVERY - 1));
	ASSERT_OK(aio->setup(WRAPS_TO_TWO, &ctx));
	EXPECT_EQ(before + WRAPS_TO_TWO, aio_nr());
	EXPECT_EQ(ring_events_for(1), ring_of(ctx)->nr);
	EXPECT_ERR(EAGAIN, aio->setup(WRAPS_TO_TWO, &second));
	end_context(ctx);
	EXPECT_QUOTA_BACK();
}
