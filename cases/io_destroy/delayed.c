// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk that takes its time: contexts are not gone before it is through with
 * what it was given, be they destroyed or left behind by an exit.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "own.h"

#define DELAY (100 * NSEC_PER_MSEC)
#define BLOCK 4096
#define MANY  16
#define SEED  51

static int open_delayed(void)
{
	return keep(open(own_delayed(DELAY), O_RDWR | O_DIRECT | O_CLOEXEC));
}

/* Reads and writes by turns; gives when the first was submitted. */
static int64_t submit_all(aio_handle ctx, int fd, struct iocb *iocbs,
			  unsigned char *buf, unsigned int n)
{
	struct iocb *list[MANY];
	int64_t begin;
	unsigned int i;

	for (i = 0; i < n; i++) {
		unsigned char *own = buf + i * BLOCK;

		list[i] =
			i % 2 ? prep_write(&iocbs[i], fd, own, BLOCK, i * BLOCK)
			      : prep_read(&iocbs[i], fd, own, BLOCK, i * BLOCK);
	}
	begin = now_ns();
	STAGE_EQ(n, aio->submit(ctx, n, list));
	return begin;
}

static void check_destroy(unsigned int n)
{
	unsigned char *buf = io_buffer(MANY * BLOCK);
	unsigned char *data = io_buffer(MANY * BLOCK);
	static struct iocb iocbs[MANY];
	aio_handle ctx = new_context(MANY);
	int fd = open_delayed();
	unsigned int i;
	int64_t begin;

	pattern(data, MANY * BLOCK, SEED);
	REQUIRE(pwrite(fd, data, MANY * BLOCK, 0) == MANY * BLOCK);
	pattern(buf, MANY * BLOCK, SEED + 1);
	begin = submit_all(ctx, fd, iocbs, buf, n);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_GE(DELAY, now_ns() - begin);
	for (i = 0; i < n; i += 2)
		EXPECT_MEM(data + i * BLOCK, buf + i * BLOCK, BLOCK);
	/* the buffers are ours by now: what the device wrote it has */
	memcpy(data, buf, n * BLOCK);
	memset(buf, 0, MANY * BLOCK);
	REQUIRE(pread(fd, buf, MANY * BLOCK, 0) == MANY * BLOCK);
	EXPECT_MEM(data, buf, n * BLOCK);
}

CASE(io_destroy, delayed_one, "a read of a slow disk is waited for",
     .clause = "io_destroy.waits.delayed", .needs = "null_blk", .flavours = RAW)
{
	check_destroy(1);
}

CASE(io_destroy, delayed_many,
     "reads and writes of a slow disk are waited for, and done",
     .clause = "io_destroy.waits.delayed", .needs = "null_blk")
{
	check_destroy(MANY);
}

/* The last of them are submitted when the first are nearly through. */
CASE(io_destroy, delayed_last, "the last one that was submitted decides",
     .clause = "io_destroy.waits.delayed", .needs = "null_blk", .flavours = RAW)
{
	unsigned char *buf = io_buffer(MANY * BLOCK);
	static struct iocb iocbs[2][MANY];
	aio_handle ctx = new_context(2 * MANY);
	struct io_event event;
	int fd = open_delayed();
	int64_t begin;

	submit_all(ctx, fd, iocbs[0], buf, MANY);
	STAGE_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	begin = submit_all(ctx, fd, iocbs[1], buf, MANY);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_GE(DELAY, now_ns() - begin);
}

CASE(io_destroy, delayed_exit,
     "a process that leaves a slow disk busy stays until that is through",
     .clause = "io_destroy.exit.in_flight", .needs = "null_blk", .serial = true)
{
	enum { CONTEXTS = 3 };
	int64_t *begin = shared_memory(sizeof(*begin));
	unsigned char *buf = io_buffer(MANY * BLOCK);
	static struct iocb iocbs[CONTEXTS][MANY];
	int fd = open_delayed();
	unsigned int i;
	pid_t pid = child_fork();

	if (!pid) {
		for (i = 0; i < CONTEXTS; i++)
			*begin = submit_all(new_context(MANY), fd, iocbs[i],
					    buf, MANY);
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_GE(DELAY, now_ns() - *begin);
	EXPECT_QUOTA_BACK();
}
