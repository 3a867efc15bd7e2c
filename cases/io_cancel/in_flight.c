// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads, writes and syncs of files and disks cannot be cancelled. io_cancel()
 * says so and lets them be: a buffer that was thought to be free, and is
 * written by a disk later, is a corruption that nobody finds.
 */
#include <unistd.h>

#include "case.h"
#include "held.h"

#define SEED 7

CASE(io_cancel, einval_read_in_flight,
     "a read in flight is refused, and ends with its data",
     .clause = "io_cancel.einval.not_cancellable", .needs = "held")
{
	unsigned char *buf = io_buffer(HELD_BLOCK);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct held *held;
	int fd;

	held = held_open(&fd);
	pattern(held_data(held), HELD_BLOCK, SEED);
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(iocb, fd, buf, HELD_BLOCK, 0));
	held_wait(held, 1);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	EXPECT_EQ(1, held_count(held));
	EXPECT_EQ(0, ring_unread(ctx));
	release_all(held);
	EXPECT_COMPLETES(ctx, iocb, HELD_BLOCK);
	EXPECT_PATTERN(buf, HELD_BLOCK, SEED);
}

CASE(io_cancel, einval_write_in_flight,
     "a write in flight is refused, and is carried out",
     .clause = "io_cancel.einval.not_cancellable", .needs = "held")
{
	unsigned char *buf = io_buffer(HELD_BLOCK);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct held *held;
	int fd;

	held = held_open(&fd);
	pattern(buf, HELD_BLOCK, SEED);
	hold(held, HOLD_WRITES);
	stage_submit(ctx, prep_write(iocb, fd, buf, HELD_BLOCK, 0));
	held_wait(held, 1);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	EXPECT_EQ(0, ring_unread(ctx));
	release_all(held);
	EXPECT_COMPLETES(ctx, iocb, HELD_BLOCK);
	EXPECT_PATTERN(held_data(held), HELD_BLOCK, SEED);
}

CASE(io_cancel, einval_fsync_in_flight,
     "a sync in flight is refused, and ends as if nothing had been asked",
     .clause = "io_cancel.einval.not_cancellable", .needs = "held")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_SYNCS);
	stage_submit(ctx, prep_fsync(iocb, fd));
	held_wait(held, 1);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, &event));
	EXPECT_EQ(0, ring_unread(ctx));
	release_all(held);
	EXPECT_COMPLETES(ctx, iocb, 0);
}

/* In flight or done by then: EINVAL either way. */
CASE(io_cancel, einval_device_read,
     "a read of a disk is refused, in flight or not",
     .clause = "io_cancel.einval.not_cancellable", .on = ON_ANY,
     .every_device = true)
{
	enum { N = 8 };
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	unsigned char *buf = io_buffer(N * storage.block);
	unsigned char *data = io_buffer(N * storage.block);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct iocb *list[N];
	struct io_event events[N];
	aio_handle ctx = new_context(N);
	struct io_event event;
	unsigned int i;

	pattern(data, N * storage.block, SEED);
	REQUIRE(pwrite(storage.fd, data, N * storage.block, storage.base) ==
		(ssize_t)(N * storage.block));
	for (i = 0; i < N; i++)
		list[i] = prep_read(&iocbs[i], storage.fd,
				    buf + i * storage.block, storage.block,
				    storage.base + i * storage.block);
	STAGE_EQ(N, aio->submit(ctx, N, list));
	for (i = 0; i < N; i++)
		EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocbs[i], &event));
	stage_reap(ctx, N, events);
	for (i = 0; i < N; i++)
		EXPECT_EVENT(find_event(events, N, &iocbs[i]), &iocbs[i],
			     storage.block);
	EXPECT_PATTERN(buf, N * storage.block, SEED);
}
