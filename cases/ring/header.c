// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The header of a new ring. Programs that reap by themselves (QEMU, fio,
 * libaio) trust each of these words before they enter the kernel.
 */
#include <sys/mman.h>

#include "case.h"

#define EVENTS	    500 /* a ring of eight pages */
#define DIRTY_PAGES 1000

CASE(ring, header_magic, "a new ring carries the magic number",
     .clause = "ring.header.magic")
{
	EXPECT_EQ(AIO_RING_MAGIC, ring_of(new_context(1))->magic);
	EXPECT_EQ(AIO_RING_MAGIC, ring_of(new_context(500))->magic);
}

CASE(ring, header_features, "compat_features is 1, incompat_features 0",
     .clause = "ring.header.features")
{
	volatile struct aio_ring *ring = ring_of(new_context(1));

	EXPECT_EQ(AIO_RING_COMPAT_FEATURES, ring->compat_features);
	EXPECT_EQ(AIO_RING_INCOMPAT_FEATURES, ring->incompat_features);
}

CASE(ring, header_header_length,
     "header_length is 32, and there the first event is written",
     .clause = "ring.header.header_length")
{
	aio_handle ctx = new_context(1);
	const struct io_event *first;

	EXPECT_EQ(32, ring_of(ctx)->header_length);
	stage_complete(ctx, 1, 5);
	first = (void *)(ctx + ring_of(ctx)->header_length);
	EXPECT_NUMBERED(first, 1, 5);
}

CASE(ring, header_empty, "in a new ring head and tail are 0",
     .clause = "ring.header.empty")
{
	aio_handle ctx = new_context(1);

	EXPECT_EQ(0, ring_of(ctx)->head);
	EXPECT_EQ(0, ring_of(ctx)->tail);
	stage_complete(ctx, 3, 0);
	end_context(ctx);
	ctx = new_context(1);
	EXPECT_EQ(0, ring_of(ctx)->head);
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

/* Memory that others wrote to goes back to the kernel, and comes again. */
static void dirty_memory(void)
{
	const size_t size = DIRTY_PAGES * PAGE_SIZE;
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(map != MAP_FAILED);
	memset(map, 0xa5, size);
	REQUIRE(!munmap(map, size));
}

CASE(ring, header_zero, "in a new ring every place for an event is zero",
     .clause = "ring.header.zero")
{
	const struct io_event zero = { 0 };
	volatile struct aio_ring *ring;
	unsigned int i;

	pin_to_cpu(0);
	dirty_memory();
	ring = ring_of(new_context(EVENTS));
	for (i = 0; i < ring->nr; i++)
		EXPECT_MEM(&zero, (void *)&ring->events[i], sizeof(zero));
}

CASE(ring, header_id, "id is the index of the context in its process's table",
     .clause = "ring.header.id")
{
	unsigned int i;

	for (i = 0; i < 6; i++)
		EXPECT_EQ(i, ring_of(new_context(1 + i * 10))->id);
}

CASE(ring, header_id_process, "id begins with 0 in each process",
     .clause = "ring.header.id")
{
	pid_t pid;

	new_context(1);
	new_context(1);
	pid = child_fork();
	if (!pid) {
		EXPECT_EQ(0, ring_of(new_context(1))->id);
		EXPECT_EQ(1, ring_of(new_context(1))->id);
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
}

/* On either side of one, two and eight pages, and far beyond. */
CASE(ring, header_nr,
     "nr is what the pages hold that the events asked for need",
     .clause = "ring.header.nr", .quota = 8192)
{
	const unsigned int counts[] = { 1,   2,	  31,  32,  33,	  61,
					62,  63,  64,  126, 127,  128,
					510, 511, 512, 513, 1000, 4000 };
	unsigned int i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++)
		EXPECT_EQ(ring_events_for(counts[i]),
			  ring_of(new_context(counts[i]))->nr);
}
