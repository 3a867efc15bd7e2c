// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a program gets from io_setup(): a handle that is the address of the
 * context's ring, and that works.
 */
#include <stdlib.h>

#include "case.h"

#define CONTEXTS 9

CASE(io_setup, success, "0 is returned and a handle that works is stored",
     .clause = "io_setup.success")
{
	const unsigned int counts[] = { 1, 2, 63, 64, 500 };
	struct io_event event;
	aio_handle ctx;
	unsigned int i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ctx = 0;
		ASSERT_OK(aio->setup(counts[i], &ctx));
		EXPECT_NE(0, ctx);
		stage_complete(ctx, 1, i);
		EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
		EXPECT_NUMBERED(&event, 1, i);
	}
}

CASE(io_setup, success_page_aligned, "the handle is aligned to a page",
     .clause = "io_setup.success.page_aligned")
{
	EXPECT_EQ(0, new_context(1) % PAGE_SIZE);
	EXPECT_EQ(0, new_context(200) % PAGE_SIZE);
}

CASE(io_setup, success_ring_address,
     "the handle is where the mapping of the ring begins",
     .clause = "io_setup.success.ring_address")
{
	const unsigned int counts[] = { 1, 500 };
	aio_handle ctx;
	char line[200];
	unsigned int i;

	for (i = 0; i < 2; i++) {
		ctx = new_context(counts[i]);
		map_line((void *)ctx, line, sizeof(line));
		EXPECT_TRUE(strstr(line, " /[aio]") != NULL);
		EXPECT_EQ(ctx, strtoul(line, NULL, 16));
	}
}

CASE(io_setup, success_distinct,
     "contexts of one process have handles and events of their own",
     .clause = "io_setup.success.distinct")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	aio_handle ctx[CONTEXTS];
	unsigned int i, k;

	for (i = 0; i < CONTEXTS; i++) {
		ctx[i] = new_context(1);
		for (k = 0; k < i; k++)
			EXPECT_NE(ctx[k], ctx[i]);
	}
	for (i = 0; i < CONTEXTS; i++)
		stage_complete(ctx[i], 1, i);
	for (i = CONTEXTS; i-- > 0;) {
		EXPECT_EQ(1, aio->getevents(ctx[i], 0, 2, events, NULL));
		EXPECT_NUMBERED(events, 1, i);
	}
}

CASE(io_setup, success_misaligned_ctxp,
     "the handle is read and written at any address",
     .clause = "io_setup.success.misaligned_ctxp")
{
	unsigned char *bytes = guarded(2 * sizeof(aio_handle));
	struct io_event event;
	aio_handle ctx = 0;
	size_t at;

	for (at = 1; at < sizeof(aio_handle); at++) {
		memset(bytes, 0xff, 2 * sizeof(aio_handle));
		memset(bytes + at, 0, sizeof(aio_handle));
		EXPECT_OK(aio->setup(1, (aio_handle *)(bytes + at)));
		memcpy(&ctx, bytes + at, sizeof(ctx));
		EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, NULL));
		EXPECT_EQ(0xff, bytes[at - 1]);
		EXPECT_EQ(0xff, bytes[at + sizeof(ctx)]);
	}
}
