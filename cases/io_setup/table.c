// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The table of a process's contexts: it grows as they come, and its lowest free
 * index is the next one. A context lost while it grows is out of reach until
 * the process ends.
 */
#include "case.h"

/* One more than each size that the table has on its way. */
static const unsigned int growths[] = { 5, 17, 65, 257, 1025 };
#define GROWTHS	 (sizeof(growths) / sizeof(growths[0]))
#define CONTEXTS 1025

CASE(io_setup, table_growth,
     "every context works on each time that the table has grown",
     .clause = "io_setup.table.growth", .quota = CONTEXTS)
{
	static aio_handle ctx[CONTEXTS];
	unsigned int made = 0, grown, last = GROWTHS, i;
	struct io_event event;

	/* with KASAN a thousand contexts take minutes */
	if (rounds(GROWTHS) < GROWTHS)
		last--;
	for (grown = 0; grown < last; grown++) {
		for (; made < growths[grown]; made++) {
			ctx[made] = new_context(1);
			EXPECT_EQ(made, ring_of(ctx[made])->id);
		}
		for (i = 0; i < made; i++)
			EXPECT_EQ(0,
				  aio->getevents(ctx[i], 0, 1, &event, NULL));
		stage_complete(ctx[0], 1, grown);
		EXPECT_EQ(1, aio->getevents(ctx[0], 1, 1, &event, NULL));
		EXPECT_NUMBERED(&event, 1, grown);
	}
}

#define THOUSANDS 4097 /* one more than the next size */

CASE(io_setup, table_thousands, "each of thousands of contexts works",
     .clause = "io_setup.table.growth", .quota = THOUSANDS, .time_limit = 60,
     .flavours = NATIVE)
{
	static aio_handle ctx[THOUSANDS];
	struct io_event event;
	int64_t began = now_ns();
	unsigned int i;

	for (i = 0; i < THOUSANDS; i++) {
		/* with KASAN they would take minutes, and as many to end */
		if (i == 256 && now_ns() - began > NSEC_PER_SEC)
			SKIP("a sixteenth of them took more than a second");
		ctx[i] = new_context(1);
		ASSERT_EQ(i, ring_of(ctx[i])->id);
	}
	for (i = 0; i < THOUSANDS; i++)
		ASSERT_EQ(0, aio->getevents(ctx[i], 0, 1, &event, NULL));
	EXPECT_WORKS(ctx[THOUSANDS - 1], 1);
	EXPECT_WORKS(ctx[THOUSANDS - 2], 2);
	EXPECT_OK(aio->destroy(ctx[THOUSANDS - 1]));
}

CASE(io_setup, table_lowest_first,
     "an index that is given back is the next one, the lowest first",
     .clause = "io_setup.table.lowest_first")
{
	aio_handle ctx[6];
	unsigned int i;

	for (i = 0; i < 6; i++)
		ctx[i] = new_context(1);
	end_context(ctx[4]);
	end_context(ctx[0]);
	end_context(ctx[2]);
	EXPECT_EQ(0, ring_of(new_context(1))->id);
	EXPECT_EQ(2, ring_of(new_context(1))->id);
	EXPECT_EQ(4, ring_of(new_context(1))->id);
	EXPECT_EQ(6, ring_of(new_context(1))->id);
}

#define THREADS 4
#define EACH	5  /* of four threads: they meet at 4, 16 and 64 - 44 */
#define TABLES	12 /* a process each: its table begins at nothing */

struct growers {
	struct meeting start;
	aio_handle ctx[THREADS * EACH];
	atomic_uint next;
};

static void *grow(void *arg)
{
	struct growers *growers = arg;
	unsigned int i;

	meet(&growers->start);
	for (i = 0; i < EACH; i++)
		growers->ctx[atomic_fetch_add(&growers->next, 1)] =
			new_context(1);
	return NULL;
}

/* Each context has an index of its own, and each handle finds its own ring. */
static void judge_table(struct growers *growers)
{
	bool seen[THREADS * EACH] = { false };
	struct io_event event;
	unsigned int i, id;

	for (i = 0; i < THREADS * EACH; i++) {
		id = ring_of(growers->ctx[i])->id;
		if (!EXPECT_LT(THREADS * EACH, id))
			continue;
		EXPECT_TRUE(!seen[id]);
		seen[id] = true;
		EXPECT_EQ(1, complete_now(growers->ctx[i], 1, i));
	}
	for (i = 0; i < THREADS * EACH; i++) {
		EXPECT_EQ(1,
			  aio->getevents(growers->ctx[i], 0, 1, &event, NULL));
		EXPECT_NUMBERED(&event, 1, i);
	}
}

static void child_grows(void)
{
	struct growers growers = { .start = { .n = THREADS } };
	struct thread *threads[THREADS];
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		threads[i] = thread_run(grow, &growers);
	for (i = 0; i < THREADS; i++)
		thread_join(threads[i]);
	judge_table(&growers);
	child_exit(0);
}

CASE(io_setup, table_growth_race,
     "threads that let the table grow at the same time lose no context",
     .clause = "io_setup.table.growth_race", .quota = THREADS * EACH * TABLES)
{
	pid_t pids[TABLES];
	unsigned int i;

	for (i = 0; i < TABLES; i++) {
		pids[i] = child_fork();
		if (!pids[i])
			child_grows();
	}
	for (i = 0; i < TABLES; i++)
		EXPECT_CHILD_OK(pids[i]);
}
