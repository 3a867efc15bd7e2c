// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Waiters whose context is destroyed are let go. A reaper that slept on would
 * sleep for good, since nothing completes any more, and hold up the destroyer.
 */
#include "case.h"

CASE(io_getevents, destroy_einval,
     "a waiter that has stored nothing ends with EINVAL",
     .clause = "io_getevents.destroy.einval", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct io_event untouched = *event;
	aio_handle ctx = new_context(2);
	struct waiter *waiter;

	stage_poll(ctx, iocb);
	waiter = waiter_run(ctx, 1, 1, event, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_ERR(EINVAL, waiter_result(waiter));
	EXPECT_MEM(&untouched, event, sizeof(*event));
}

CASE(io_getevents, destroy_einval_timeout,
     "a waiter with an hour to wait ends with EINVAL at once, too",
     .clause = "io_getevents.destroy.einval", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec hour = millis(3600 * 1000);
	aio_handle ctx = new_context(1);
	struct waiter *waiter;
	struct io_event event;

	waiter = waiter_run(ctx, 1, 1, &event, &hour);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_ERR(EINVAL, waiter_result(waiter));
}

CASE(io_getevents, destroy_einval_all, "every waiter ends, whatever its number",
     .clause = "io_getevents.destroy.einval", .needs = "task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { WAITERS = 4 };
	struct io_event *events = GUARDED_ARRAY(struct io_event, WAITERS);
	aio_handle ctx = new_context(WAITERS);
	struct waiter *waiters[WAITERS];
	unsigned int i;

	for (i = 0; i < WAITERS; i++) {
		waiters[i] = waiter_run(ctx, i + 1, WAITERS, events, NULL);
		ASSERT_TRUE(waiter_asleep(waiters[i]));
	}
	EXPECT_OK(aio->destroy(ctx));
	for (i = 0; i < WAITERS; i++)
		EXPECT_ERR(EINVAL, waiter_result(waiters[i]));
}

CASE(io_getevents, destroy_partial,
     "a waiter that has stored some events ends with their number",
     .clause = "io_getevents.destroy.partial", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { STORED = 2, MIN_NR = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, STORED);
	struct io_event *events = GUARDED_ARRAY(struct io_event, MIN_NR);
	aio_handle ctx = new_context(MIN_NR);
	struct waiter *waiter;
	unsigned int i;

	stage_events(ctx, STORED, iocbs);
	waiter = waiter_run(ctx, MIN_NR, MIN_NR, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_OK(aio->destroy(ctx));
	ASSERT_EQ(STORED, waiter_result(waiter));
	for (i = 0; i < STORED; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
}

/* They lie in the ring while the waiter sleeps: since 6.8 it is not woken. */
CASE(io_getevents, destroy_partial_unread,
     "events that came during the wait, too few, are given before it ends",
     .clause = "io_getevents.destroy.partial", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { MIN_NR = 3 };
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *events = GUARDED_ARRAY(struct io_event, MIN_NR);
	aio_handle ctx = new_context(MIN_NR);
	int fd = stage_poll(ctx, iocb);
	struct waiter *waiter;

	waiter = waiter_run(ctx, MIN_NR, MIN_NR, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_OK(aio->destroy(ctx));
	ASSERT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(&events[0], iocb, POLLIN);
}
