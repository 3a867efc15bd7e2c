// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A context takes as many requests as io_setup() was asked for, from wherever
 * they come: the places are dealt out to the CPUs in batches, and a CPU that
 * keeps too many starves the others.
 */
#include "case.h"

static const unsigned int counts[] = { 1, 2, 8, 61, 62, 63, 64, 127, 128, 500 };
#define COUNTS	   (sizeof(counts) / sizeof(counts[0]))
#define ALL_COUNTS 1016
#define MOST	   500

/* Requests that stay in flight: nobody writes to this pipe. */
static struct iocb **pending_polls(void)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, MOST);
	static struct iocb *list[MOST];
	unsigned int i;
	int ends[2];

	open_pipe(ends, 0);
	for (i = 0; i < MOST; i++)
		list[i] = prep_poll(&iocbs[i], ends[0], 1);
	return list;
}

CASE(io_setup, capacity_in_flight,
     "as many requests as asked for can be in flight",
     .clause = "io_setup.capacity", .quota = ALL_COUNTS)
{
	struct iocb **list = pending_polls();
	unsigned int i;

	for (i = 0; i < COUNTS; i++)
		EXPECT_EQ(counts[i],
			  aio->submit(new_context(counts[i]), counts[i], list));
}

CASE(io_setup, capacity_unreaped,
     "as many requests as asked for can be complete and unreaped",
     .clause = "io_setup.capacity", .quota = ALL_COUNTS)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, MOST);
	aio_handle ctx;
	unsigned int i;

	for (i = 0; i < COUNTS; i++) {
		ctx = new_context(counts[i]);
		EXPECT_EQ(counts[i], complete_now(ctx, counts[i], i));
		EXPECT_EQ(counts[i],
			  aio->getevents(ctx, 0, counts[i], events, NULL));
		EXPECT_NUMBERED(events, counts[i], i);
	}
}

CASE(io_setup, capacity_moving,
     "as many requests as asked for fit with a CPU of its own for each",
     .clause = "io_setup.capacity", .needs = "cpus2", .quota = ALL_COUNTS)
{
	struct iocb **list = pending_polls();
	unsigned int i, k;
	aio_handle ctx;

	for (i = 0; i < COUNTS; i++) {
		ctx = new_context(counts[i]);
		for (k = 0; k < counts[i]; k++) {
			pin_to_cpu(k);
			if (!EXPECT_EQ(1, submit_one(ctx, list[k])))
				break;
		}
	}
}

/*
 * All places are used, and come back, on this CPU. A few single requests at the
 * end let it learn of the last of them.
 */
static void use_all_places(aio_handle ctx)
{
	unsigned int nr = ring_of(ctx)->nr, capacity = ring_capacity(nr), i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, nr);
	const unsigned int pieces[] = { capacity, capacity, 1, 1, 1 };

	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		stage_complete(ctx, pieces[i], i);
		stage_reap(ctx, pieces[i], events);
	}
}

CASE(io_setup, capacity_elsewhere,
     "as many requests as asked for fit after all were used on another CPU",
     .clause = "io_setup.capacity", .needs = "cpus2", .quota = ALL_COUNTS)
{
	struct iocb **list = pending_polls();
	aio_handle ctx;
	unsigned int i;

	for (i = 0; i < COUNTS; i++) {
		ctx = new_context(counts[i]);
		pin_to_cpu(1);
		use_all_places(ctx);
		pin_to_cpu(0);
		EXPECT_EQ(counts[i], aio->submit(ctx, counts[i], list));
	}
}
