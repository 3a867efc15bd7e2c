// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests, each way that they can go: completed, refused at each step, and
 * cancelled. What is left of one is a file that stays open, an eventfd, memory,
 * or a place in its context.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"
#include "slope.h"

#define TIMES	 1500
#define SEGMENTS 100 /* more than the kernel has place for on its stack */
#define SIZE	 4096
#define OPCODES	 12
#define BAD_FD	 (-1)

static struct {
	aio_handle ctx;
	struct iocb *iocb;
	struct iovec *iov;
	char *buf;
	int file, reader, eventfd, counter;
	int pipe[2];
} s;

static void set_stage(void)
{
	unsigned int i;

	s.ctx = new_context(1);
	s.iocb = GUARDED(struct iocb);
	s.iov = GUARDED_ARRAY(struct iovec, SEGMENTS);
	s.buf = io_buffer(SIZE);
	s.file = scratch_file("file", O_RDWR);
	REQUIRE(!ftruncate(s.file, SIZE));
	s.reader = keep(open(scratch_path("file"), O_RDONLY | O_CLOEXEC));
	s.counter = open_eventfd(0, EFD_NONBLOCK);
	s.eventfd = open_eventfd(0, EFD_NONBLOCK);
	open_pipe(s.pipe, 0);
	for (i = 0; i < SEGMENTS; i++)
		s.iov[i] = (struct iovec){ s.buf, SIZE / SEGMENTS };
}

/* A request of each kind that completes: with an eventfd, too. */
static struct iocb *prep_good(unsigned int i)
{
	switch (i % OPCODES) {
	case 0:
		return prep_read(s.iocb, s.file, s.buf, SIZE, 0);
	case 1:
		return prep_write(s.iocb, s.file, s.buf, SIZE, 0);
	case 2:
		return prep_readv(s.iocb, s.file, s.iov, 2, 0);
	case 3:
		return prep_writev(s.iocb, s.file, s.iov, 2, 0);
	case 4:
		return prep_fsync(s.iocb, s.file);
	case 5:
		return prep_fdsync(s.iocb, s.file);
	case 6: /* ready at once */
		return prep_poll(s.iocb, s.pipe[1], POLLOUT);
	case 7: /* not yet */
		return prep_poll(s.iocb, s.eventfd, POLLIN);
	case 8:
		return notify(prep_read(s.iocb, s.file, s.buf, SIZE, 0),
			      s.counter);
	case 9:
		return notify(prep_fsync(s.iocb, s.file), s.counter);
	case 10:
		return notify(prep_poll(s.iocb, s.eventfd, POLLIN), s.counter);
	default: /* fails in the event */
		return prep_read(s.iocb, s.file, nowhere(), SIZE, 0);
	}
}

static void complete(unsigned int times)
{
	const uint64_t one = 1;
	struct io_event event;
	unsigned int i;

	for (i = 0; i < times * OPCODES; i++) {
		if (submit_one(s.ctx, prep_good(i)) != 1) {
			EXPECT_EQ(1, submit_one(s.ctx, s.iocb));
			return;
		}
		if (i % OPCODES == 7 || i % OPCODES == 10)
			REQUIRE(write(s.eventfd, &one, sizeof(one)) > 0);
		stage_reap(s.ctx, 1, &event);
		eventfd_take(s.eventfd);
		eventfd_take(s.counter);
	}
}

CASE(leak, requests, "requests that complete leave nothing behind",
     .clause = "leak.requests", .needs = "slab_counts eventfd", .serial = true,
     .flavours = NATIVE, .on = ON_FILE, .time_limit = 60)
{
	set_stage();
	EXPECT_NO_LEAK(complete, 400);
}

/*
 * A request that is refused, at one step after the other, and how. NULL when
 * there is no further one.
 */
static struct iocb *prep_bad(unsigned int i, int *error)
{
	static struct iocb *read_only_iocb;
	struct iocb *iocb = s.iocb;

	*error = EINVAL;
	prep_read(iocb, s.file, s.buf, SIZE, 0);
	switch (i) {
	case 0:
		*error = EFAULT;
		return nowhere();
	case 1:
		iocb->aio_reserved2 = 1;
		return iocb;
	case 2:
		iocb->aio_nbytes = (uint64_t)-1;
		return iocb;
	case 3:
		iocb->aio_fildes = (uint32_t)BAD_FD;
		*error = EBADF;
		return iocb;
	case 4:
		*error = EBADF;
		return notify(iocb, BAD_FD);
	case 5:
		return notify(iocb, s.file);
	case 6:
		if (!read_only_iocb) {
			read_only_iocb = GUARDED(struct iocb);
			notify(prep_read(read_only_iocb, s.file, s.buf, SIZE,
					 0),
			       s.counter);
			read_only(read_only_iocb, sizeof(*read_only_iocb));
		}
		*error = EFAULT;
		return read_only_iocb;
	case 7:
		iocb->aio_lio_opcode = 99;
		return notify(iocb, s.counter);
	case 8:
		iocb->aio_rw_flags = 1 << 30;
		*error = EOPNOTSUPP;
		return notify(iocb, s.counter);
	case 9:
		*error = EBADF;
		return prep_write(iocb, s.reader, s.buf, SIZE, 0);
	case 10:
		iocb->aio_offset = -1;
		return notify(iocb, s.counter);
	case 11:
		*error = EFAULT;
		return prep_readv(iocb, s.file, nowhere(), SEGMENTS, 0);
	case 12:
		return prep_readv(iocb, s.file, s.iov, 1025, 0);
	case 13:
		prep_fsync(iocb, s.file)->aio_nbytes = 1;
		return notify(iocb, s.counter);
	case 14:
		return prep_fsync(iocb, s.pipe[0]);
	case 15:
		prep_poll(iocb, s.pipe[0], POLLIN)->aio_offset = 1;
		return notify(iocb, s.counter);
	case 16:
		return prep_poll(iocb, s.pipe[0], 0x10000);
	default:
		return NULL;
	}
}

static bool submit_bad(void)
{
	struct iocb *iocb;
	unsigned int i;
	int error;

	for (i = 0; (iocb = prep_bad(i, &error)); i++)
		if (!EXPECT_ERR(error, submit_one(s.ctx, iocb)))
			return false;
	return true;
}

static void refuse(unsigned int times)
{
	while (times-- && submit_bad())
		;
}

CASE(leak, requests_failed, "requests that are refused leave nothing behind",
     .clause = "leak.requests_failed", .needs = "slab_counts eventfd",
     .serial = true, .on = ON_FILE, .time_limit = 60)
{
	set_stage();
	EXPECT_NO_LEAK(refuse, TIMES);
}

static void segments(unsigned int times)
{
	struct io_event event;

	while (times--) {
		stage_submit(s.ctx,
			     prep_readv(s.iocb, s.file, s.iov, SEGMENTS, 0));
		stage_reap(s.ctx, 1, &event);
		stage_submit(s.ctx,
			     prep_writev(s.iocb, s.file, s.iov, SEGMENTS, 0));
		stage_reap(s.ctx, 1, &event);
		prep_readv(s.iocb, s.file, s.iov, SEGMENTS, -1);
		EXPECT_ERR(EINVAL, submit_one(s.ctx, s.iocb));
		prep_writev(s.iocb, s.file, s.iov, SEGMENTS, -1);
		EXPECT_ERR(EINVAL, submit_one(s.ctx, s.iocb));
		/* the last one cannot be */
		s.iov[SEGMENTS - 1].iov_len = (size_t)-1;
		prep_readv(s.iocb, s.file, s.iov, SEGMENTS, 0);
		EXPECT_ERR(EINVAL, submit_one(s.ctx, s.iocb));
		s.iov[SEGMENTS - 1].iov_len = SIZE / SEGMENTS;
	}
}

CASE(leak, segments, "vectors of many segments leave nothing behind",
     .clause = "leak.segments", .needs = "slab_counts eventfd", .serial = true,
     .on = ON_FILE, .time_limit = 60)
{
	set_stage();
	EXPECT_NO_LEAK(segments, TIMES);
}

static void cancel(unsigned int times)
{
	struct io_event event;

	while (times--) {
		prep_poll(s.iocb, s.pipe[0], POLLIN);
		stage_submit(s.ctx, notify(s.iocb, s.counter));
		EXPECT_ERR(EINPROGRESS, aio->cancel(s.ctx, s.iocb, &event));
		stage_reap(s.ctx, 1, &event);
	}
}

CASE(leak, cancelled, "requests that are cancelled leave nothing behind",
     .clause = "leak.cancelled", .needs = "slab_counts eventfd", .serial = true,
     .flavours = NATIVE, .on = ON_FILE, .time_limit = 60)
{
	set_stage();
	EXPECT_NO_LEAK(cancel, 2 * TIMES);
}

/* Of one context, since it takes its time to destroy one. */
static void submit_polls(unsigned int times)
{
	s.ctx = new_context(times);
	prep_poll(s.iocb, s.pipe[0], POLLIN);
	notify(s.iocb, s.counter);
	while (times--)
		stage_submit(s.ctx, s.iocb);
}

static void drop_all(unsigned int times)
{
	submit_polls(times);
	end_context(s.ctx);
}

CASE(leak, cancelled_destroy,
     "requests that io_destroy() cancelled leave nothing behind",
     .clause = "leak.cancelled", .needs = "slab_counts eventfd", .serial = true,
     .flavours = NATIVE, .on = ON_FILE, .time_limit = 60)
{
	set_stage();
	EXPECT_NO_LEAK(drop_all, TIMES);
}

static void left_to_exit(unsigned int times)
{
	pid_t pid = child_fork();

	if (!pid) {
		submit_polls(times);
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
}

CASE(leak, cancelled_exit, "requests left to exit leave nothing behind",
     .clause = "leak.cancelled", .needs = "slab_counts eventfd", .serial = true,
     .flavours = NATIVE, .on = ON_FILE, .time_limit = 60)
{
	set_stage();
	EXPECT_NO_LEAK(left_to_exit, TIMES);
}

CASE(leak, slots, "no way through a request costs a place in the context",
     .clause = "leak.slots", .needs = "eventfd", .on = ON_FILE)
{
	unsigned int capacity, i;
	struct io_event *events;

	pin_to_cpu(0);
	set_stage();
	capacity = ring_capacity(ring_of(s.ctx)->nr);
	events = GUARDED_ARRAY(struct io_event, capacity);
	for (i = 0; i < 2 * capacity; i++)
		if (!submit_bad())
			return;
	complete(20);
	cancel(2 * capacity);
	unpin();
	for (i = 0; i < 2; i++) {
		pin_to_cpu(0);
		EXPECT_EQ(capacity, complete_now(s.ctx, 2 * capacity, 0));
		EXPECT_ERR(EAGAIN,
			   submit_one(s.ctx, prep_fsync(s.iocb, s.file)));
		EXPECT_EQ(capacity,
			  aio->getevents(s.ctx, 0, capacity, events, NULL));
		EXPECT_NUMBERED(events, capacity, 0);
	}
}
