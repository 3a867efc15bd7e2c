// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices that fail, or take their time.
 *
 * The device is a loop device whose file the case cuts short, or which has no
 * room: what it cannot read or write any more it says, and the request that
 * asked for it has to hear it, and no other.
 */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "case.h"
#include "held.h"
#include "own.h"

#define BLOCK  4096
#define SIZE   (4 * 1024 * 1024)
#define ROOM   (1024 * 1024)
#define SEED   37
#define FILLER 0x5a

/* A device and the file under it, in a tmpfs with room for that many bytes. */
struct failing {
	int fd, backing;
	const char *path;
};

static struct failing open_failing(size_t room, int flags)
{
	struct failing failing;
	char options[32];

	snprintf(options, sizeof(options), "size=%zu", room);
	failing.backing = keep(open(file_in(own_tmpfs(options), "backing"),
				    O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	REQUIRE(!ftruncate(failing.backing, SIZE));
	failing.path = own_loop_over(failing.backing, BLOCK);
	failing.fd = keep(open(failing.path, O_RDWR | O_CLOEXEC | flags));
	return failing;
}

/*
 * Only a loop device that does direct I/O on its file fails a read where the
 * file has ended; else it reads zeroes.
 */
static void need_direct_loop(const struct failing *failing)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/block/%s/loop/dio",
		 strrchr(failing->path, '/') + 1);
	if (file_number(path) != 1)
		SKIP("a loop device over tmpfs does no direct I/O here");
}

CASE(ops, error_read, "a read that the device cannot do ends with EIO",
     .clause = "ops.error.device", .needs = "own_loop own_mounts")
{
	enum { GOOD, BAD, LAST, REQUESTS };
	struct failing failing = open_failing(SIZE, O_DIRECT);
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	struct iocb *list[] = { &iocbs[GOOD], &iocbs[BAD], &iocbs[LAST] };
	unsigned char *buf = io_buffer(REQUESTS * BLOCK);

	need_direct_loop(&failing);
	pattern(buf, BLOCK, SEED);
	REQUIRE(pwrite(failing.backing, buf, BLOCK, 0) == BLOCK);
	REQUIRE(!ftruncate(failing.backing, 2 * BLOCK));
	memset(buf, FILLER, REQUESTS * BLOCK);
	prep_read(&iocbs[GOOD], failing.fd, buf, BLOCK, 0);
	prep_read(&iocbs[BAD], failing.fd, buf + BLOCK, BLOCK, 2 * BLOCK);
	prep_read(&iocbs[LAST], failing.fd, buf + 2 * BLOCK, BLOCK, 0);
	ASSERT_EQ(REQUESTS, aio->submit(ctx, REQUESTS, list));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[GOOD]), &iocbs[GOOD],
		     BLOCK);
	EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[BAD]), &iocbs[BAD],
		     -EIO);
	EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[LAST]), &iocbs[LAST],
		     BLOCK);
	EXPECT_PATTERN(buf, BLOCK, SEED);
	EXPECT_PATTERN(buf + 2 * BLOCK, BLOCK, SEED);
}

CASE(ops, error_write, "a write for which the device has no room says so",
     .clause = "ops.error.device", .needs = "own_loop own_mounts")
{
	struct failing failing = open_failing(ROOM, O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned char *buf = memset(io_buffer(ROOM), FILLER, ROOM);

	prep_write(iocb, failing.fd, buf, ROOM, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, ROOM);
	prep_write(iocb, failing.fd, buf, BLOCK, ROOM);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, event->res);
	/* the loop driver has not always known the one from the other */
	EXPECT_TRUE(event->res == -ENOSPC || event->res == -EIO);
	prep_write(iocb, failing.fd, buf, BLOCK, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, BLOCK);
}

CASE(ops, error_partial,
     "a long read of which a part fails ends with its error",
     .clause = "ops.error.partial", .needs = "own_loop own_mounts")
{
	struct failing failing = open_failing(SIZE, O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(SIZE);
	int good;

	need_direct_loop(&failing);
	/* the last part, one in the middle, all but the first */
	for (good = SIZE - BLOCK; good > BLOCK; good /= 2) {
		good -= good % BLOCK;
		REQUIRE(!ftruncate(failing.backing, good));
		prep_read(iocb, failing.fd, buf, SIZE, 0);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, -EIO);
	}
	REQUIRE(!ftruncate(failing.backing, SIZE));
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, SIZE);
}

CASE(ops, error_held, "a file system's errors, of requests in flight",
     .clause = "ops.error.device", .needs = "held")
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EROFS, ENXIO };
	enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };
	aio_handle ctx = new_context(2 * ERRORS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2 * ERRORS);
	unsigned char *buf = io_buffer(2 * ERRORS * HELD_BLOCK);
	struct held *held;
	int fd, i, at;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	for (i = 0; i < ERRORS; i++)
		ASSERT_EQ(1, submit_one(ctx,
					prep_read(&iocbs[i], fd,
						  buf + i * HELD_BLOCK,
						  HELD_BLOCK, i * HELD_BLOCK)));
	held_wait(held, ERRORS);
	for (i = 0; i < ERRORS; i++) {
		at = i * HELD_BLOCK;
		EXPECT_EQ(0, ring_unread(ctx));
		release_at(held, at, errors[i]);
		EXPECT_COMPLETES(ctx, &iocbs[i], -errors[i]);
	}
}

CASE(ops, error_delay, "the call does not wait for a request that takes long",
     .clause = "ops.error.delay", .needs = "held")
{
	aio_handle slow = new_context(1), quick = new_context(1);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(2 * HELD_BLOCK);
	struct timespec no_time = { 0 };
	struct io_event event;
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_WRITES);
	prep_write(&iocbs[0], fd, buf, HELD_BLOCK, 0);
	prep_read(&iocbs[1], fd, buf + HELD_BLOCK, HELD_BLOCK, HELD_BLOCK);
	ASSERT_EQ(1, submit_one(slow, &iocbs[0]));
	held_wait(held, 1);
	EXPECT_EQ(0, aio->getevents(slow, 1, 1, &event, &no_time));
	ASSERT_EQ(1, submit_one(quick, &iocbs[1]));
	EXPECT_COMPLETES(quick, &iocbs[1], HELD_BLOCK);
	EXPECT_EQ(0, aio->getevents(slow, 1, 1, &event, &no_time));
	release_all(held);
	EXPECT_COMPLETES(slow, &iocbs[0], HELD_BLOCK);
}

/* --- what was written before a sync --- */

CASE(ops, fsync_durable, "after a sync the device has what was written before",
     .clause = "ops.fsync.durable", .needs = "own_loop own_mounts")
{
	struct failing failing = open_failing(SIZE, 0);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(ROOM), *back = io_buffer(ROOM);
	uint32_t seed;

	for (seed = SEED; seed < SEED + 2; seed++) {
		pattern(buf, ROOM, seed);
		prep_write(iocb, failing.fd, buf, ROOM, BLOCK);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, ROOM);
		if (seed == SEED)
			prep_fsync(iocb, failing.fd);
		else
			prep_fdsync(iocb, failing.fd);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
		REQUIRE(pread(failing.backing, back, ROOM, BLOCK) == ROOM);
		EXPECT_PATTERN(back, ROOM, seed);
	}
}

CASE(ops, fsync_error_once,
     "a write-back that failed is told to each open file, once",
     .clause = "ops.fsync.error_once", .needs = "own_loop own_mounts")
{
	struct failing failing = open_failing(ROOM, 0);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned char *buf = memset(io_buffer(BLOCK), FILLER, BLOCK);
	int fds[2], i;

	fds[0] = failing.fd;
	fds[1] = keep(open(failing.path, O_RDWR | O_CLOEXEC));
	/* the room is all taken */
	REQUIRE(!fallocate(failing.backing, 0, 0, ROOM));
	prep_write(iocb, fds[0], buf, BLOCK, ROOM);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, BLOCK);
	for (i = 0; i < 2; i++) {
		ASSERT_EQ(1, submit_one(ctx, prep_fsync(iocb, fds[i])));
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb, event->res);
		/* the page cache knows the two apart only at times */
		EXPECT_TRUE(event->res == -EIO || event->res == -ENOSPC);
		ASSERT_EQ(1, submit_one(ctx, prep_fdsync(iocb, fds[i])));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}
