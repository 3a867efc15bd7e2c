// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POLL of files with no wait queue, and of files with two.
 *
 * A request can stand on one queue. Of a file with two the kernel refuses it,
 * after having put it on the first: what it leaves there is used after it is
 * freed, and what it does not give back is a slot of the ring.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"

/* What vfs_poll() says of a file that has no poll operation. */
#define ALWAYS (POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM)

#define ROUNDS 1000 /* more than the smallest ring has room for */

static void put_byte(int fd)
{
	REQUIRE(write(fd, "x", 1) == 1);
}

static void take_byte(int fd)
{
	char byte;

	REQUIRE(read(fd, &byte, 1) == 1);
}

/* Open for both, so that it waits on the readers' and the writers' queue. */
static int open_fifo(void)
{
	const char *path = scratch_path("fifo");

	REQUIRE(!mkfifo(path, 0600));
	return keep(open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC));
}

static int open_ptmx(void)
{
	int fd = keep(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));

	REQUIRE(!unlockpt(fd));
	return fd;
}

CASE(ops, poll_no_poll_op,
     "a file without a poll operation is readable and writable at once",
     .clause = "ops.poll.no_poll")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR);

	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
	prep_poll(iocb, fd, POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLOUT);
	prep_poll(iocb, fd, 0xffff);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, ALWAYS);
}

CASE(ops, poll_no_poll_op_device, "a block device is such a file",
     .clause = "ops.poll.no_poll", .on = ON_BLOCK)
{
	struct storage storage = open_storage(O_RDONLY);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, storage.fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
}

CASE(ops, poll_no_poll_op_refused,
     "for anything else a file without a poll operation is refused",
     .clause = "ops.poll.einval.no_poll")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR), i;

	for (i = 0; i < ROUNDS; i++) {
		prep_poll(iocb, fd, i % 2 ? POLLPRI : 0);
		ASSERT_ERR(EINVAL, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_unread(ctx));
	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
}

CASE(ops, poll_two_queues_fifo, "a FIFO open for both is refused",
     .clause = "ops.poll.einval.two_queues")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, open_fifo(), POLLIN);
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_two_queues_pty, "so is a pseudo-terminal",
     .clause = "ops.poll.einval.two_queues", .needs = "pty")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, open_ptmx(), POLLIN);
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_two_queues_nothing_left,
     "of a refused one nothing stays on either queue, nor of its slot",
     .clause = "ops.poll.einval.two_queues")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_fifo(), i;

	for (i = 0; i < ROUNDS; i++) {
		prep_poll(iocb, fd, POLLIN);
		ASSERT_ERR(EINVAL, submit_one(ctx, iocb));
		EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
		/* wakes what stands on the one queue, and on the other */
		put_byte(fd);
		take_byte(fd);
	}
	EXPECT_EQ(0, ring_unread(ctx));
	prep_poll(iocb, fd, POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLOUT);
	end_context(ctx);
}

CASE(ops, poll_two_queues_file_released,
     "a refused one holds the file no longer",
     .clause = "ops.poll.einval.two_queues")
{
	struct pollfd writer = { 0 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_fifo();

	writer.fd = keep(open(scratch_path("fifo"), O_WRONLY | O_CLOEXEC));
	prep_poll(iocb, fd, POLLIN);
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	drop(fd);
	/* no reader is left */
	EXPECT_EQ(1, poll(&writer, 1, 0));
	EXPECT_EQ(POLLERR, writer.revents & POLLERR);
}

CASE(ops, poll_two_queues_ready, "a FIFO open for both that is ready completes",
     .clause = "ops.poll.two_queues_ready")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_fifo(), i;

	prep_poll(iocb, fd, POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLOUT);
	put_byte(fd);
	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
	/* and stands on neither queue then */
	for (i = 0; i < ROUNDS; i++) {
		take_byte(fd);
		put_byte(fd);
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_two_queues_pty_ready, "so does a pseudo-terminal",
     .clause = "ops.poll.two_queues_ready", .needs = "pty")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int master = open_ptmx();

	keep(open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC));
	prep_poll(iocb, master, POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLOUT);
}

#define RACES 300

struct fifo_race {
	int fd;
	struct meeting start, end;
};

static void *write_each_round(void *arg)
{
	struct fifo_race *race = arg;
	int i;

	for (i = 0; i < RACES; i++) {
		meet(&race->start);
		put_byte(race->fd);
		meet(&race->end);
	}
	return NULL;
}

CASE(ops, poll_two_queues_race,
     "data that comes at the moment: refused, or accepted and completed",
     .clause = "ops.poll.two_queues_race", .needs = "cpus2")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct fifo_race race = {
		.fd = open_fifo(),
		.start.n = 2,
		.end.n = 2,
	};
	struct thread *writer;
	long result;
	int i;

	writer = thread_run(write_each_round, &race);
	for (i = 0; i < RACES; i++) {
		prep_poll(iocb, race.fd, POLLIN);
		meet(&race.start);
		result = submit_one(ctx, iocb);
		meet(&race.end);
		take_byte(race.fd);
		if (result != 1) {
			EXPECT_EQ(-EINVAL, result);
			continue;
		}
		EXPECT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb, event->res);
		/* 0: it was cancelled before the kernel had looked */
		EXPECT_TRUE(event->res == 0 || event->res & POLLIN);
	}
	thread_join(writer);
	EXPECT_EQ(0, ring_unread(ctx));
}
