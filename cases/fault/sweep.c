// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Every failure at every place of a program's life: the first call fails, the
 * second, …, each two, until nothing is left to fail. Whatever it was, the
 * program hears of it what the contract allows, what was accepted completes
 * once, what was written is there, and nothing is left behind.
 */
#include "case.h"
#include "fault.h"
#include "scenario.h"

#define SWEEP(name_, point_, value_, clause_, ...)                        \
	CASE(fault, sweep_##name_,                                        \
	     "a program lives with " point_ " = " #value_ " at any time", \
	     .clause = clause_, .fault = point_, .on = ON_ANY,            \
	     .flavours = RAW, ##__VA_ARGS__)                              \
	{                                                                 \
		sweep(point_, value_, whole_life);                        \
	}

SWEEP(setup_eagain, "aio/io_setup", EAGAIN, "io_setup.eagain.sum_undone")
SWEEP(setup_enomem, "aio/io_setup", ENOMEM, "io_setup.enomem.undone")
SWEEP(setup_eintr, "aio/io_setup", EINTR, "io_setup.eintr")
SWEEP(destroy_einval, "aio/io_destroy", EINVAL, "io_destroy.success")
SWEEP(submit_eagain, "aio/io_submit", EAGAIN, "io_submit.eagain.nothing_lost")
SWEEP(submit_einval, "aio/io_submit", EINVAL, "ops.order.once")
SWEEP(submit_ebadf, "aio/io_submit", EBADF, "ops.order.once")
SWEEP(submit_efault, "aio/io_submit", EFAULT, "ops.order.once")
SWEEP(submit_short, "aio/io_submit/short", 1, "ops.order.once")
SWEEP(submit_shorter, "aio/io_submit/short", 3, "ops.order.once")
SWEEP(cancel_einval, "aio/io_cancel", EINVAL, "io_cancel.poll.one_event")
SWEEP(cancel_eagain, "aio/io_cancel", EAGAIN, "io_cancel.poll.one_event")
SWEEP(getevents_eintr, "aio/io_getevents", EINTR, "ops.order.once")
SWEEP(getevents_efault, "aio/io_getevents", EFAULT, "ops.order.once")
SWEEP(getevents_short, "aio/io_getevents/short", 1, "ops.order.once")
SWEEP(getevents_early, "aio/io_getevents/early", 0, "ops.order.once")
SWEEP(event_eio, "aio/event", EIO, "ops.order.once")
SWEEP(event_enospc, "aio/event", ENOSPC, "ops.order.once")
SWEEP(event_short, "aio/event/short", 512, "ops.order.once")
SWEEP(event_late, "aio/event/late", 5, "ops.order.once")
SWEEP(event_reorder, "aio/event/reorder", 2, "ops.order.once")
SWEEP(event_spread, "aio/event/spread", 1, "ops.order.once")

/* --- the kernel itself fails --- */

SWEEP(address_space, "mm/rlimit_as", 0, "io_setup.enomem.address_space")
SWEEP(map_count, "mm/max_map_count", 0, "io_setup.enomem.map_count",
      .needs = "root ours", .serial = true)
SWEEP(quota, "fs/aio_max_nr", 0, "io_setup.eagain.sum_undone",
      .needs = "root aio_sysctls", .serial = SERIAL_BODY)
SWEEP(file_max, "fs/file_max", 0, "io_setup.enomem.file_max",
      .needs = "root ours", .serial = true)
SWEEP(filter_enosys, "seccomp/errno", ENOSYS, "io_setup.enosys.filter",
      .needs = "seccomp")
SWEEP(filter_eperm, "seccomp/errno", EPERM, "io_setup.enosys.filter",
      .needs = "seccomp")

/* --- the byte at which memory ends --- */

#define LIST 3

static aio_handle ctx_of_sweep(void)
{
	static aio_handle ctx;

	if (!ctx)
		ctx = new_context(LIST);
	return ctx;
}

static void setup_at_byte(struct swept *swept)
{
	aio_handle ctx = 0;

	if (!swept->hits)
		return;
	swept->error = aio->setup(LIST, &ctx);
	if (!swept->error)
		end_context(ctx);
	else
		EXPECT_EQ(0, ctx);
}

CASE(fault, byte_ctxp, "of a handle every byte must be there, and writable",
     .clause = "io_setup.efault.straddle", .fault = "mm/ctxp")
{
	EXPECT_EQ(sizeof(aio_handle) + 1,
		  sweep_info("mm/ctxp", 0, setup_at_byte));
}

/* As many as are wholly there are taken. */
static void submit_at_byte(struct swept *swept)
{
	aio_handle ctx = ctx_of_sweep();
	struct iocb iocbs[LIST], *list[LIST];
	struct io_event events[LIST];
	int fd = open_eventfd(1, 0);
	long result, there;
	unsigned int i;

	for (i = 0; i < LIST; i++)
		list[i] = prep_poll(&iocbs[i], fd, POLLIN);
	there = swept->hits ? swept->info / (int)sizeof(*list) : LIST;
	if (there > LIST)
		there = LIST;
	result = aio->submit(ctx, LIST, list);
	EXPECT_EQ(there ? there : -EFAULT, result);
	swept->error = result < 0 ? result : 0;
	if (result > 0) {
		EXPECT_EQ(result,
			  aio->getevents(ctx, result, LIST, events, NULL));
		for (i = 0; i < result; i++)
			EXPECT_EVENT(&events[i], list[i], POLLIN);
	}
	EXPECT_EQ(0, ring_unread(ctx));
	drop(fd);
}

CASE(fault, byte_list, "of a list what is wholly there is taken",
     .clause = "io_submit.efault.iocbpp_end", .fault = "mm/list",
     .needs = "eventfd")
{
	EXPECT_EQ(LIST * sizeof(struct iocb *),
		  sweep_info("mm/list", 0, submit_at_byte));
}

static void submit_request_at_byte(struct swept *swept)
{
	aio_handle ctx = ctx_of_sweep();
	int fd = open_eventfd(1, 0);
	struct io_event event;
	struct iocb iocb;

	prep_poll(&iocb, fd, POLLIN);
	swept->error = submit_one(ctx, &iocb);
	if (swept->error == 1) {
		swept->error = 0;
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, &iocb, POLLIN);
	} else {
		EXPECT_ERR(EFAULT, swept->error);
	}
	EXPECT_EQ(0, ring_unread(ctx));
	drop(fd);
}

CASE(fault, byte_iocb,
     "of a request every byte must be there, and its key writable",
     .clause = "io_submit.efault.iocb_straddle", .fault = "mm/iocb",
     .needs = "eventfd")
{
	EXPECT_EQ(sizeof(struct iocb) + 1,
		  sweep_info("mm/iocb", 0, submit_request_at_byte));
}

/* What cannot be given stays in the ring. */
static void reap_at_byte(struct swept *swept)
{
	aio_handle ctx = ctx_of_sweep();
	struct io_event events[LIST], rest[LIST];
	struct iocb iocbs[LIST];
	long got, left;

	stage_events(ctx, LIST, iocbs);
	got = aio->getevents(ctx, LIST, LIST, events, NULL);
	if (got < 0)
		swept->error = got;
	EXPECT_TRUE(got == -EFAULT || got == LIST);
	if (got < 0)
		got = 0;
	left = (long)ring_unread(ctx);
	EXPECT_EQ(LIST, got + left);
	if (left)
		stage_reap(ctx, left, rest);
	while (left--)
		EXPECT_EVENT(&rest[left], &iocbs[got + left], POLLIN);
}

CASE(fault, byte_events, "events that cannot be given wholly stay in the ring",
     .clause = "io_getevents.efault.nothing_lost", .fault = "mm/events",
     .flavours = RAW | LIBAIO | PGETEVENTS, .needs = "eventfd")
{
	EXPECT_EQ(LIST * sizeof(struct io_event),
		  sweep_info("mm/events", 0, reap_at_byte));
}

static void wait_at_byte(struct swept *swept)
{
	aio_handle ctx = ctx_of_sweep();
	struct timespec second = { .tv_sec = 1 };
	struct io_event event;
	struct iocb iocb;
	long got;

	stage_events(ctx, 1, &iocb);
	got = aio->getevents(ctx, 1, 1, &event, &second);
	if (got < 0) {
		EXPECT_EQ(-EFAULT, got);
		swept->error = got;
		EXPECT_EQ(1, ring_unread(ctx));
		stage_reap(ctx, 1, &event);
	}
	EXPECT_EVENT(&event, &iocb, POLLIN);
}

CASE(fault, byte_timeout, "of a time-out every byte must be there",
     .clause = "io_getevents.efault.timeout", .fault = "mm/timeout",
     .flavours = RAW | PGETEVENTS, .needs = "eventfd")
{
	EXPECT_EQ(sizeof(struct timespec),
		  sweep_info("mm/timeout", 0, wait_at_byte));
}

static void wait_masked_at_byte(struct swept *swept)
{
	const struct aio_usig usig = { NULL, KERNEL_SIGSET_SIZE };
	aio_handle ctx = ctx_of_sweep();
	struct io_event event;
	struct iocb iocb;
	long got;

	stage_events(ctx, 1, &iocb);
	got = aio->pgetevents_usig(ctx, 1, 1, &event, NULL, &usig);
	if (got < 0) {
		EXPECT_EQ(-EFAULT, got);
		swept->error = got;
		EXPECT_EQ(1, ring_unread(ctx));
		stage_reap(ctx, 1, &event);
	}
	EXPECT_EVENT(&event, &iocb, POLLIN);
}

CASE(fault, byte_usig,
     "of io_pgetevents()'s last argument every byte must be there",
     .clause = "io_pgetevents.efault.usig", .fault = "mm/usig", .flavours = RAW,
     .needs = "eventfd")
{
	EXPECT_EQ(sizeof(struct aio_usig),
		  sweep_info("mm/usig", 0, wait_masked_at_byte));
}
