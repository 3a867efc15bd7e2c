// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and writes of everything that is no disk opened by O_DIRECT.
 *
 * Most of it is done before io_submit() returns, some of it waits in the call,
 * and each completes by an event all the same. Programs meet these whenever a
 * user names a pipe or a file on the wrong file system.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"

#define LEN    5000 /* no multiple of anything */
#define SEED   17
#define FILLER 0x5a

static unsigned char *filled_buffer(size_t len)
{
	return memset(io_buffer(len), FILLER, len);
}

static bool all_bytes(const unsigned char *buf, unsigned char byte, size_t len)
{
	size_t i;

	for (i = 0; i < len && buf[i] == byte; i++)
		;
	return i == len;
}

CASE(ops, file_buffered, "a file opened without O_DIRECT is written and read",
     .clause = "ops.files.buffered", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN);
	int fd = scratch_file("file", O_RDWR);

	pattern(buf, LEN, SEED);
	prep_write(iocb, fd, buf, LEN, 123);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	memset(buf, FILLER, LEN);
	prep_read(iocb, fd, buf, LEN, 123);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_PATTERN(buf, LEN, SEED);
	prep_read(iocb, fd, buf, 123, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 123);
	EXPECT_TRUE(all_bytes(buf, 0, 123));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_CUR));
}

CASE(ops, file_buffered_many, "many of them in one call: each its own bytes",
     .clause = "ops.files.buffered", .on = ON_FILE, .every_device = true)
{
	enum { REQUESTS = 64 };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct iocb *list[REQUESTS];
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	unsigned char *buf = io_buffer(REQUESTS * LEN);
	int fd = scratch_file("file", O_RDWR), i;

	for (i = 0; i < REQUESTS; i++) {
		pattern(buf + i * LEN, LEN, SEED + (unsigned int)i);
		list[i] =
			prep_write(&iocbs[i], fd, buf + i * LEN, LEN, i * LEN);
	}
	ASSERT_EQ(REQUESTS, aio->submit(ctx, REQUESTS, list));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[i]), &iocbs[i],
			     LEN);
	memset(buf, FILLER, REQUESTS * LEN);
	for (i = 0; i < REQUESTS; i++)
		prep_read(&iocbs[i], fd, buf + i * LEN, LEN, i * LEN);
	ASSERT_EQ(REQUESTS, aio->submit(ctx, REQUESTS, list));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++) {
		EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[i]), &iocbs[i],
			     LEN);
		EXPECT_PATTERN(buf + i * LEN, LEN, SEED + (unsigned int)i);
	}
}

CASE(ops, file_append,
     "with O_APPEND a write goes to the end, wherever it says",
     .clause = "ops.pwrite.append_fd", .on = ON_FILE, .every_device = true)
{
	enum { OLD = 10, NEW = 5 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN);
	int fd = scratch_file("file", O_RDWR | O_APPEND), i;

	REQUIRE(write(fd, "0123456789", OLD) == OLD);
	for (i = 0; i < 2; i++) {
		pattern(buf, NEW, SEED + (unsigned int)i);
		prep_write(iocb, fd, buf, NEW, i);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, NEW);
	}
	EXPECT_EQ(OLD + 2 * NEW, pread(fd, buf, LEN, 0));
	EXPECT_MEM("0123456789", buf, OLD);
	EXPECT_PATTERN(buf + OLD, NEW, SEED);
	EXPECT_PATTERN(buf + OLD + NEW, NEW, SEED + 1);
}

CASE(ops, file_pipe_write, "a pipe is written to, whatever the offset",
     .clause = "ops.files.pipe")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN), *back = filled_buffer(LEN);
	int ends[2];

	open_pipe(ends, 0);
	pattern(buf, LEN, SEED);
	prep_write(iocb, ends[1], buf, LEN, 12345);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, LEN);
	REQUIRE(read(ends[0], back, LEN) == LEN);
	EXPECT_PATTERN(back, LEN, SEED);
}

CASE(ops, file_pipe_read, "a pipe is read from, whatever the offset, and short",
     .clause = "ops.files.pipe")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int ends[2];

	open_pipe(ends, 0);
	REQUIRE(write(ends[1], "data", 4) == 4);
	prep_read(iocb, ends[0], buf, LEN, 12345);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, 4);
	EXPECT_MEM("data", buf, 4);
	EXPECT_TRUE(all_bytes(buf + 4, FILLER, LEN - 4));
	drop(ends[1]);
	prep_read(iocb, ends[0], buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, 0);
}

CASE(ops, file_pipe_negative_offset, "but a negative offset is refused",
     .clause = "ops.files.pipe")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN);
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	EXPECT_ERR(EINVAL,
		   submit_one(ctx, prep_write(iocb, ends[1], buf, 1, -1)));
	EXPECT_ERR(EINVAL,
		   submit_one(ctx, prep_read(iocb, ends[0], buf, 1, -1)));
	EXPECT_EQ(0, ring_unread(ctx));
}

static void *submit_blocking(void *arg)
{
	struct iocb **list = arg;
	struct iocb *iocb = list[0];

	return (void *)submit_one((aio_handle)list[1], iocb);
}

CASE(ops, file_pipe_waits, "a read of an empty pipe waits in the call",
     .clause = "ops.files.pipe", .needs = "task_syscall")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iocb *args[] = { iocb, (struct iocb *)ctx };
	unsigned char *buf = filled_buffer(LEN);
	struct thread *thread;
	int ends[2];

	open_pipe(ends, 0);
	prep_read(iocb, ends[0], buf, LEN, 0);
	thread = thread_run(submit_blocking, args);
	wait_asleep_in(thread_tid(thread), SYS_io_submit);
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(ends[1], "data", 4) == 4);
	EXPECT_EQ(1, (long)thread_join(thread));
	EXPECT_COMPLETED(ctx, iocb, 4);
	EXPECT_MEM("data", buf, 4);
}

CASE(ops, file_socket, "a socket is written to and read from at offset 0",
     .clause = "ops.files.socket", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN);
	int ends[2];

	open_sockets(ends);
	pattern(buf, LEN, SEED);
	prep_write(iocb, ends[0], buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, LEN);
	memset(buf, FILLER, LEN);
	prep_read(iocb, ends[1], buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, LEN);
	EXPECT_PATTERN(buf, LEN, SEED);
}

CASE(ops, file_socket_offset, "at any other the event says ESPIPE",
     .clause = "ops.files.socket", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int ends[2];

	open_sockets(ends);
	REQUIRE(write(ends[0], "data", 4) == 4);
	prep_read(iocb, ends[1], buf, 4, 1);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, -ESPIPE);
	EXPECT_TRUE(all_bytes(buf, FILLER, LEN));
	prep_write(iocb, ends[1], buf, 4, 1);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, -ESPIPE);
}

CASE(ops, file_dev_null, "/dev/null takes all and gives nothing",
     .clause = "ops.files.devices")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int fd = keep(open("/dev/null", O_RDWR | O_CLOEXEC));

	prep_write(iocb, fd, buf, LEN, 7);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, LEN);
	prep_read(iocb, fd, buf, LEN, 7);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, 0);
	EXPECT_TRUE(all_bytes(buf, FILLER, LEN));
}

CASE(ops, file_dev_zero, "/dev/zero takes all and gives zeroes",
     .clause = "ops.files.devices")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(2 * LEN);
	int fd = keep(open("/dev/zero", O_RDWR | O_CLOEXEC));

	prep_write(iocb, fd, buf, LEN, 7);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, LEN);
	prep_read(iocb, fd, buf, LEN, 7);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, LEN);
	EXPECT_TRUE(all_bytes(buf, 0, LEN));
	EXPECT_TRUE(all_bytes(buf + LEN, FILLER, LEN));
}

static void open_pty(int *master, int *slave)
{
	*master = keep(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
	REQUIRE(!unlockpt(*master));
	*slave = keep(open(ptsname(*master), O_RDWR | O_NOCTTY | O_CLOEXEC));
}

CASE(ops, file_tty_read, "a read of a terminal waits in the call for a line",
     .clause = "ops.files.tty", .needs = "pty task_syscall")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iocb *args[] = { iocb, (struct iocb *)ctx };
	unsigned char *buf = filled_buffer(LEN);
	struct thread *thread;
	int master, slave;

	open_pty(&master, &slave);
	prep_read(iocb, slave, buf, LEN, 0);
	thread = thread_run(submit_blocking, args);
	REQUIRE(write(master, "abc", 3) == 3);
	wait_asleep_in(thread_tid(thread), SYS_io_submit);
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(master, "\n", 1) == 1);
	EXPECT_EQ(1, (long)thread_join(thread));
	EXPECT_COMPLETED(ctx, iocb, 4);
	EXPECT_MEM("abc\n", buf, 4);
	EXPECT_EQ(FILLER, buf[4]);
}

CASE(ops, file_tty_write, "a terminal is written to", .clause = "ops.files.tty",
     .needs = "pty")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	char back[8] = "";
	int master, slave;

	open_pty(&master, &slave);
	prep_write(iocb, slave, "abc", 3, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, 3);
	REQUIRE(read(master, back, sizeof(back)) == 3);
	EXPECT_MEM("abc", back, 3);
}

CASE(ops, file_eventfd, "an eventfd is read: eight bytes, its count",
     .clause = "ops.files.eventfd", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_eventfd(5, EFD_NONBLOCK);
	uint64_t *count = guarded(sizeof(*count));

	prep_read(iocb, fd, count, sizeof(*count), 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, sizeof(*count));
	EXPECT_EQ(5, *count);
	EXPECT_EQ(0, eventfd_take(fd));
	prep_read(iocb, fd, count, sizeof(*count) - 1, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, -EINVAL);
}

CASE(ops, file_nonblock_read, "a read that would block ends with EAGAIN",
     .clause = "ops.files.nonblock")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_read(iocb, ends[0], buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, -EAGAIN);
	EXPECT_TRUE(all_bytes(buf, FILLER, LEN));
}

CASE(ops, file_nonblock_write, "so does a write, or it is short",
     .clause = "ops.files.nonblock")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf;
	int ends[2], room;

	open_pipe(ends, O_NONBLOCK);
	room = fcntl(ends[1], F_GETPIPE_SZ);
	REQUIRE(room > 0);
	buf = filled_buffer((size_t)room + PAGE_SIZE);
	prep_write(iocb, ends[1], buf, (size_t)room + PAGE_SIZE, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, room);
	prep_write(iocb, ends[1], buf, 1, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, -EAGAIN);
}

CASE(ops, file_nonblock_regular,
     "a regular file's descriptor with O_NONBLOCK is as any other",
     .clause = "ops.files.nonblock_regular", .on = ON_FILE)
{
	int fd = scratch_file("file", O_RDWR | O_NONBLOCK);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN), *back = io_buffer(LEN);

	prep_write(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	/* from the disk, where there is one, and if the kernel takes advice */
	REQUIRE(!fdatasync(fd));
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	prep_read(iocb, fd, back, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_TRUE(all_bytes(back, FILLER, LEN));
}

/* --- the fields of an event --- */

CASE(ops, event_res_negative, "an error is a negative number of 64 bits",
     .clause = "ops.event.res")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_read(iocb, ends[0], io_buffer(1), 1, 0);
	memset(event, FILLER, sizeof(*event));
	ASSERT_EQ(1, submit_one(ctx, iocb));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EQ((int64_t)-EAGAIN, (int64_t)event->res);
	EXPECT_EQ(0, event->res2);
}

CASE(ops, event_res_large, "a length over 31 bits less a page is told whole",
     .clause = "ops.event.res")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = keep(open("/dev/null", O_RDWR | O_CLOEXEC));
	const int64_t len = INT_MAX & ~(PAGE_SIZE - 1);

	prep_write(iocb, fd, (void *)PAGE_SIZE, (size_t)len, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, len);
}

CASE(ops, event_res2, "res2 is 0 for each opcode, in success and in failure",
     .clause = "ops.event.res2", .needs = "eventfd")
{
	enum { REQUESTS = 8 };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	int fd = scratch_file("file", O_RDWR), ends[2], i;
	struct iovec iov = { io_buffer(LEN), LEN };

	open_pipe(ends, O_NONBLOCK);
	prep_write(&iocbs[0], fd, iov.iov_base, LEN, 0);
	prep_read(&iocbs[1], fd, iov.iov_base, LEN, 0);
	prep_writev(&iocbs[2], fd, &iov, 1, 0);
	prep_readv(&iocbs[3], fd, &iov, 1, 0);
	prep_fsync(&iocbs[4], fd);
	prep_fdsync(&iocbs[5], fd);
	prep_poll(&iocbs[6], fd, POLLIN);
	prep_read(&iocbs[7], ends[0], iov.iov_base, LEN, 0);
	for (i = 0; i < REQUESTS; i++)
		ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
	memset(events, FILLER, REQUESTS * sizeof(*events));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EQ(0, events[i].res2);
}
