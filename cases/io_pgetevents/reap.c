// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_pgetevents() with a mask reaps as io_getevents() does. It has an entry of
 * its own into the kernel, with its own reading of every argument; the cases of
 * io_getevents, run in the flavour pgetevents, say the rest.
 */
#include <limits.h>

#include "case.h"

static const sigset_t no_signals;

CASE(io_pgetevents, as_getevents_count, "counts and order are the same",
     .clause = "io_pgetevents.as_getevents", .needs = "eventfd")
{
	enum { THERE = 5, NR = 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, NR);
	aio_handle ctx = new_context(THERE);
	unsigned int i;

	stage_events(ctx, THERE, iocbs);
	ASSERT_EQ(NR, aio->pgetevents(ctx, 1, NR, events, NULL, &no_signals));
	for (i = 0; i < NR; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
	ASSERT_EQ(THERE - NR,
		  aio->pgetevents(ctx, 1, LONG_MAX, events, NULL, &no_signals));
	for (i = NR; i < THERE; i++)
		EXPECT_EVENT(&events[i - NR], &iocbs[i], POLLIN);
	EXPECT_EQ(THERE, ring_of(ctx)->head);
}

CASE(io_pgetevents, as_getevents_einval, "bad counts and handles are the same",
     .clause = "io_pgetevents.as_getevents", .needs = "eventfd")
{
	aio_handle ctx = new_context(2);
	struct io_event events[2];

	stage_events(ctx, 2, GUARDED_ARRAY(struct iocb, 2));
	EXPECT_ERR(EINVAL,
		   aio->pgetevents(ctx, 2, 1, events, NULL, &no_signals));
	EXPECT_ERR(EINVAL,
		   aio->pgetevents(ctx, -1, 1, events, NULL, &no_signals));
	EXPECT_ERR(EINVAL,
		   aio->pgetevents(ctx, 0, -1, events, NULL, &no_signals));
	EXPECT_ERR(EINVAL, aio->pgetevents(0, 1, 1, events, NULL, &no_signals));
	EXPECT_EQ(2, ring_unread(ctx));
}

CASE(io_pgetevents, as_getevents_timeout, "time-outs are the same",
     .clause = "io_pgetevents.as_getevents", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	struct timespec timeout = millis(10);
	aio_handle ctx = new_context(2);
	int64_t began = now_ns();

	EXPECT_EQ(0, aio->pgetevents(ctx, 1, 1, events, &timeout, &no_signals));
	EXPECT_GE(began + timeout.tv_nsec, now_ns());
	stage_events(ctx, 1, iocb);
	began = now_ns();
	ASSERT_EQ(1, aio->pgetevents(ctx, 2, 2, events, &timeout, &no_signals));
	EXPECT_GE(began + timeout.tv_nsec, now_ns());
	EXPECT_EVENT(&events[0], iocb, POLLIN);
}

CASE(io_pgetevents, as_getevents_efault, "faults are the same, nothing is lost",
     .clause = "io_pgetevents.as_getevents", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);

	stage_events(ctx, 1, iocb);
	EXPECT_ERR(EFAULT,
		   aio->pgetevents(ctx, 1, 1, nowhere(), NULL, &no_signals));
	EXPECT_EQ(0, ring_of(ctx)->head);
	ASSERT_EQ(1, aio->pgetevents(ctx, 1, 1, event, NULL, &no_signals));
	EXPECT_EVENT(event, iocb, POLLIN);
}

CASE(io_pgetevents, as_getevents_wake, "the n-th event wakes it",
     .clause = "io_pgetevents.as_getevents", .needs = "eventfd task_syscall")
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	aio_handle ctx = new_context(2);
	struct waiter *waiter;
	int first, second;

	first = stage_poll(ctx, &iocbs[0]);
	second = stage_poll(ctx, &iocbs[1]);
	waiter = waiter_run_masked(ctx, 2, 2, events, NULL, &no_signals);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(first);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(second);
	ASSERT_EQ(2, waiter_result(waiter));
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
}

CASE(io_pgetevents, context_let_go,
     "whatever the call gave, the context can be destroyed after it",
     .clause = "io_pgetevents.as_getevents", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct timespec shortest = { 0, 1 };
	aio_handle ctx = new_context(1);
	struct io_event event;

	stage_events(ctx, 1, iocb);
	EXPECT_EQ(1, aio->pgetevents(ctx, 1, 1, &event, NULL, &no_signals));
	EXPECT_EQ(0,
		  aio->pgetevents(ctx, 1, 1, &event, &shortest, &no_signals));
	EXPECT_ERR(EINVAL,
		   aio->pgetevents(ctx, 2, 1, &event, NULL, &no_signals));
	EXPECT_ERR(EFAULT, aio->pgetevents(ctx, 1, 1, &event, NULL, nowhere()));
	EXPECT_OK(aio->destroy(ctx));
}
