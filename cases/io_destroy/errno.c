// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_destroy() takes a live context once, and nothing else ever. A kernel that
 * took a handle twice would drop the same references twice.
 */
#include "case.h"

CASE(io_destroy, einval_twice, "a context can be destroyed once",
     .clause = "io_destroy.einval.twice")
{
	aio_handle ctx = new_context(8);

	EXPECT_OK(aio->destroy(ctx));
	EXPECT_ERR(EINVAL, aio->destroy(ctx));
	EXPECT_ERR(EINVAL, aio->destroy(ctx));
}

CASE(io_destroy, einval_no_context, "what is no handle is refused",
     .clause = "io_destroy.einval.ctx")
{
	EXPECT_ERR(EINVAL, aio->destroy(0));
	EXPECT_ERR(EINVAL, aio->destroy(1));
	EXPECT_ERR(EINVAL, aio->destroy(~0ul));
	EXPECT_ERR(EINVAL, aio->destroy((aio_handle)nowhere()));
	EXPECT_ERR(EINVAL, aio->destroy((aio_handle)kernel_address()));
}

/* lookup_ioctx() reads an index from there: it must not be all it asks. */
CASE(io_destroy, einval_other_memory,
     "memory that looks like a ring, and an address inside a ring, are refused",
     .clause = "io_destroy.einval.ctx")
{
	aio_handle ctx = new_context(8);
	struct aio_ring *forged = io_buffer(PAGE_SIZE);
	struct io_event event;

	memcpy(forged, (void *)ctx, sizeof(*forged));
	EXPECT_ERR(EINVAL, aio->destroy((aio_handle)forged));
	EXPECT_ERR(EINVAL, aio->destroy(ctx + sizeof(struct aio_ring)));
	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, NULL));
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_destroy, handle_dead, "every call on a destroyed handle is EINVAL",
     .clause = "io_destroy.handle_dead", .flavours = RAW)
{
	aio_handle ctx = dead_context();
	struct iocb *iocb = GUARDED(struct iocb), *list[] = { iocb };
	struct io_event event;
	struct timespec none = { 0 };
	int ends[2];

	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	EXPECT_ERR(EINVAL, aio->submit(ctx, 1, list));
	EXPECT_ERR(EINVAL, aio->submit(ctx, 0, list));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, 1, &event, &none));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->pgetevents(ctx, 1, 1, &event, NULL, NULL));
	EXPECT_ERR(EINVAL, aio->destroy(ctx));
}

/* The handle is given: io_setup() wants a variable of its own that is 0. */
CASE(io_destroy, handle_not_reused_by_setup,
     "the variable of a destroyed handle is still no place for a new one",
     .clause = "io_setup.einval.ctx")
{
	aio_handle ctx = dead_context();
	aio_handle before = ctx;

	EXPECT_ERR(EINVAL, aio->setup(1, &ctx));
	EXPECT_EQ(before, ctx);
}
