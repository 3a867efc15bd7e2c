// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_cancel() refuses what is not in flight, or not to be cancelled, and does
 * nothing then. A program that takes EINVAL for an answer goes on to wait for
 * the event: it must come.
 */
#include "case.h"

/* The request is in flight as if nothing had been asked. */
static void expect_in_flight(aio_handle ctx, struct iocb *iocb, int fd)
{
	EXPECT_EQ(0, ring_unread(ctx));
	end_poll(fd);
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
}

CASE(io_cancel, efault_iocb, "an iocb whose key cannot be read is EFAULT",
     .clause = "io_cancel.efault.iocb")
{
	/* all before the key can be read */
	char *straddling = guarded(offsetof(struct iocb, aio_key));
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EFAULT, aio->cancel(ctx, NULL, &event));
	EXPECT_ERR(EFAULT, aio->cancel(ctx, nowhere(), &event));
	EXPECT_ERR(EFAULT, aio->cancel(ctx, kernel_address(), &event));
	EXPECT_ERR(EFAULT, aio->cancel(ctx, (struct iocb *)straddling, &event));
}

CASE(io_cancel, efault_alias,
     "so is one that the kernel itself has at another address",
     .clause = "io_cancel.efault.iocb", .needs = "page_frames wide_long",
     .flavours = NATIVE)
{
	struct iocb *page = io_buffer(PAGE_SIZE), *alias;
	aio_handle ctx = new_context(1);
	struct io_event event;
	unsigned int way;

	page->aio_key = 0;
	for (way = 0; (alias = kernel_alias(page, way)); way++) {
		ROUND("way %u", way);
		EXPECT_ERR(EFAULT, aio->cancel(ctx, alias, &event));
	}
}

CASE(io_cancel, efault_iocb_in_flight,
     "an iocb that became unreadable is EFAULT, and its request in flight",
     .clause = "io_cancel.efault.iocb", .needs = "eventfd")
{
	struct iocb *iocb = io_buffer(sizeof(*iocb));
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct io_event event;

	inaccessible(iocb, sizeof(*iocb));
	EXPECT_ERR(EFAULT, aio->cancel(ctx, iocb, &event));
	read_write(iocb, sizeof(*iocb));
	expect_in_flight(ctx, iocb, fd);
}

CASE(io_cancel, efault_only_key, "no more of the iocb is read than its key",
     .clause = "io_cancel.efault.iocb")
{
	char *up_to_key = guarded(offsetof(struct iocb, aio_key) +
				  sizeof(((struct iocb *)NULL)->aio_key));
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->cancel(ctx, (struct iocb *)up_to_key, &event));
}

CASE(io_cancel, efault_before_ctx, "an unreadable iocb wins over a bad context",
     .clause = "io_cancel.efault.before_ctx")
{
	struct io_event event;

	EXPECT_ERR(EFAULT, aio->cancel(0, nowhere(), &event));
	EXPECT_ERR(EFAULT, aio->cancel(~0ul, nowhere(), &event));
	EXPECT_ERR(EFAULT, aio->cancel(dead_context(), NULL, &event));
}

CASE(io_cancel, einval_key,
     "a key that is not 0 is refused, and the request stays in flight",
     .clause = "io_cancel.einval.key", .needs = "eventfd")
{
	static const uint32_t keys[] = { 1, 0x80000000, 0xffffffff };
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct io_event event;
	unsigned int i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		iocb->aio_key = keys[i];
		EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	}
	expect_in_flight(ctx, iocb, fd);
}

CASE(io_cancel, einval_ctx, "a handle that is no context is refused",
     .clause = "io_cancel.einval.ctx", .needs = "eventfd")
{
	struct aio_ring *forged = io_buffer(PAGE_SIZE);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->cancel(0, iocb, &event));
	EXPECT_ERR(EINVAL, aio->cancel(1, iocb, &event));
	EXPECT_ERR(EINVAL, aio->cancel(~0ul, iocb, &event));
	EXPECT_ERR(EINVAL, aio->cancel((aio_handle)nowhere(), iocb, &event));
	EXPECT_ERR(EINVAL,
		   aio->cancel((aio_handle)kernel_address(), iocb, &event));
	/* the true id, at another address */
	memcpy(forged, (const void *)ctx, sizeof(*forged));
	EXPECT_ERR(EINVAL, aio->cancel((aio_handle)forged, iocb, &event));
	expect_in_flight(ctx, iocb, fd);
}

CASE(io_cancel, einval_ctx_destroyed,
     "after the context was destroyed a cancel is refused",
     .clause = "io_cancel.einval.ctx_destroyed", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;

	stage_poll(ctx, iocb);
	end_context(ctx);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
}

CASE(io_cancel, einval_never_submitted,
     "an iocb that was never submitted is refused",
     .clause = "io_cancel.einval.never_submitted", .needs = "eventfd")
{
	struct iocb *other = GUARDED(struct iocb);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;
	int fd;

	/* with nothing in flight, and with something */
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	fd = stage_poll(ctx, other);
	prep_poll(iocb, fd, POLLIN);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	expect_in_flight(ctx, other, fd);
}

CASE(io_cancel, einval_refused,
     "an iocb that io_submit() refused is not to be cancelled",
     .clause = "io_cancel.einval.never_submitted", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = open_eventfd(0, 0);
	struct io_event event;

	prep_poll(iocb, fd, POLLIN)->aio_nbytes = 1;
	STAGE_EQ(-EINVAL, submit_one(ctx, iocb));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
}

CASE(io_cancel, einval_completed,
     "a request that has completed is refused, reaped or not",
     .clause = "io_cancel.einval.completed", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;

	end_poll(stage_poll(ctx, iocb));
	STAGE_EQ(1, ring_unread(ctx));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_cancel, einval_completed_at_once,
     "a request that completed within io_submit() is refused",
     .clause = "io_cancel.einval.completed", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;

	stage_events(ctx, 1, iocb);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
}

CASE(io_cancel, context_let_go,
     "whatever the call gave, the context can be destroyed after it",
     .clause = "io_cancel.poll.einprogress", .needs = "eventfd")
{
	enum { ROUNDS = 8 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, ROUNDS);
	aio_handle ctx = new_context(ROUNDS);
	struct io_event event;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		stage_poll(ctx, &iocbs[i]);
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[i], &event));
		EXPECT_ERR(EFAULT, aio->cancel(ctx, nowhere(), &event));
		EXPECT_COMPLETES(ctx, &iocbs[i], 0);
		EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocbs[i], &event));
	}
	EXPECT_OK(aio->destroy(ctx));
}
