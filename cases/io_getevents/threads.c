// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Several threads reap one context: together they get each event once.
 *
 * A request seen twice is freed twice by its program; one that is never seen
 * is waited for without end.
 */
#include "case.h"

#define EACH 400 /* events of each submitter */
#define ROOM 4

struct pool {
	aio_handle ctx;
	unsigned int total;
	atomic_uint reaped;
	atomic_uint *times; /* that each event was seen, by its data */
};

/* Two ways to reap: one that waits a little, one that never does. */
static void reap_all(struct pool *pool, long min_nr, struct timespec timeout)
{
	struct io_event events[ROOM];
	long n, i;

	while (atomic_load(&pool->reaped) < pool->total) {
		n = aio->getevents(pool->ctx, min_nr, ROOM, events, &timeout);
		ASSERT_TRUE(n >= 0 && n <= ROOM);
		for (i = 0; i < n; i++) {
			ASSERT_TRUE(events[i].data < pool->total);
			atomic_fetch_add(&pool->times[events[i].data], 1);
		}
		atomic_fetch_add(&pool->reaped, (unsigned int)n);
	}
}

static void *patient(void *pool)
{
	reap_all(pool, 2, millis(5));
	return NULL;
}

static void *hasty(void *pool)
{
	reap_all(pool, 1, millis(0));
	return NULL;
}

CASE(io_getevents, threads, "reapers in several threads share the events",
     .clause = "io_getevents.threads", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	static void *(*const kinds[])(void *) = { patient, patient, hasty };
	enum { REAPERS = sizeof(kinds) / sizeof(kinds[0]) };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, EACH);
	struct pool pool = { .ctx = new_context(128), .total = EACH };
	struct thread *reapers[REAPERS];
	int fd = open_eventfd(1, 0);
	unsigned int i;

	pool.times = guarded(EACH * sizeof(*pool.times));
	for (i = 0; i < REAPERS; i++)
		reapers[i] = thread_run(kinds[i], &pool);
	for (i = 0; i < EACH; i++) {
		prep_poll(&iocbs[i], fd, POLLIN)->aio_data = i;
		/* the ring may be full until the reapers have had their turn */
		WAIT_FOR(i - atomic_load(&pool.reaped) < 100);
		stage_submit(pool.ctx, &iocbs[i]);
	}
	for (i = 0; i < REAPERS; i++)
		thread_join(reapers[i]);

	EXPECT_EQ(EACH, atomic_load(&pool.reaped));
	for (i = 0; i < EACH; i++)
		EXPECT_EQ(1, atomic_load(&pool.times[i]));
	EXPECT_EQ(0, ring_unread(pool.ctx));
}

CASE(io_getevents, threads_other,
     "a thread that has never submitted anything can reap",
     .clause = "io_getevents.threads", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);

	stage_events(ctx, 1, iocb);
	ASSERT_EQ(1, waiter_result(waiter_run(ctx, 1, 1, event, NULL)));
	EXPECT_EVENT(event, iocb, POLLIN);
}
