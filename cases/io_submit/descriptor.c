// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A request holds its file, not its descriptor: closing or reusing the number
 * changes nothing for what is in flight. And it lets the file go when it ends,
 * or when it is refused: a reference too many keeps a lock, a mount or the
 * other end of a pipe for good; one too few frees a file that is in use.
 */
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "held.h"
#include "refusals.h"

#define SEED 11

/* Whether the other end of a pipe or socket is gone. */
static bool hung_up(int fd)
{
	struct pollfd polled = { .fd = fd };

	REQUIRE(poll(&polled, 1, 0) >= 0);
	return polled.revents & POLLHUP;
}

/* The event of this POLL, with whatever else the file said beside POLLIN. */
static void expect_readable(const struct io_event *event,
			    const struct iocb *iocb)
{
	EXPECT_EVENT(event, iocb, event->res);
	EXPECT_EQ(POLLIN, event->res < 0 ? event->res : event->res & POLLIN);
}

/* --- in flight, the descriptor gone --- */

CASE(io_submit, descriptor_gone_read, "a read goes on after its descriptor",
     .clause = "io_submit.fd_closed", .needs = "held")
{
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct held *held;
	struct iocb iocb;
	int fd;

	held = held_open(&fd);
	pattern(held_data(held), HELD_BLOCK, SEED);
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocb, fd, buffer, HELD_BLOCK, 0));
	drop(fd);
	held_wait(held, 1);
	EXPECT_EQ(0, ring_unread(ctx));
	release_all(held);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, HELD_BLOCK);
	EXPECT_PATTERN(buffer, HELD_BLOCK, SEED);
}

CASE(io_submit, descriptor_gone_write, "a write goes on after its descriptor",
     .clause = "io_submit.fd_closed", .needs = "held")
{
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct held *held;
	struct iocb iocb;
	int fd;

	held = held_open(&fd);
	pattern(buffer, HELD_BLOCK, SEED);
	hold(held, HOLD_WRITES);
	stage_submit(ctx, prep_write(&iocb, fd, buffer, HELD_BLOCK, 0));
	drop(fd);
	held_wait(held, 1);
	release_all(held);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, HELD_BLOCK);
	EXPECT_PATTERN(held_data(held), HELD_BLOCK, SEED);
}

static void *close_descriptor(void *fd)
{
	drop(*(int *)fd);
	return NULL;
}

/*
 * The number is free at once, but this close(2) may then wait for the FSYNC,
 * as the file system flushes under the same lock.
 */
CASE(io_submit, descriptor_gone_fsync, "an FSYNC goes on after its descriptor",
     .clause = "io_submit.fd_closed", .needs = "held")
{
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct thread *thread;
	struct held *held;
	struct iocb iocb;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_SYNCS);
	stage_submit(ctx, prep_fsync(&iocb, fd));
	thread = thread_run(close_descriptor, &fd);
	WAIT_FOR(fcntl(fd, F_GETFD) < 0);
	held_wait(held, 1);
	EXPECT_EQ(0, ring_unread(ctx));
	release_all(held);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 0);
	thread_join(thread);
}

CASE(io_submit, descriptor_gone_poll, "a POLL goes on after its descriptor",
     .clause = "io_submit.fd_closed")
{
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	int ends[2];

	open_pipe(ends, 0);
	stage_submit(ctx, prep_poll(&iocb, ends[0], POLLIN));
	drop(ends[0]);
	/* the pipe still has a reader: the request */
	REQUIRE(write(ends[1], "x", 1) == 1);
	stage_reap(ctx, 1, &event);
	expect_readable(&event, &iocb);
}

CASE(io_submit, descriptor_gone_device,
     "block I/O goes on after its descriptor", .clause = "io_submit.fd_closed",
     .on = ON_ANY, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	unsigned char *out = io_buffer(PAGE_SIZE), *in = io_buffer(PAGE_SIZE);
	int again = keep(open(storage.path, O_RDONLY | O_DIRECT | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	pattern(out, PAGE_SIZE, SEED);
	stage_submit(ctx, prep_write(&iocb, storage.fd, out, PAGE_SIZE,
				     storage.base));
	drop(storage.fd);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, (long)PAGE_SIZE);
	stage_submit(ctx, prep_read(&iocb, again, in, PAGE_SIZE, storage.base));
	drop(again);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, (long)PAGE_SIZE);
	EXPECT_PATTERN(in, PAGE_SIZE, SEED);
}

/* --- the number given to another file --- */

struct stranger {
	aio_handle ctx;
	int file, counter; /* numbers of descriptors */
};

/* A thread with descriptors of its own, under numbers that others use, too. */
static void *submit_own(void *arg)
{
	struct stranger *stranger = arg;
	struct iocb *iocb = GUARDED(struct iocb);
	int file, counter;
	struct io_event event;
	char byte = 0;

	REQUIRE(!unshare(CLONE_FILES));
	/* all go with the thread */
	file = dup2(open("/dev/zero", O_RDONLY), stranger->file);
	counter = dup2(eventfd(0, EFD_NONBLOCK), stranger->counter);
	REQUIRE(file == stranger->file && counter == stranger->counter);
	prep_read(iocb, file, &byte, 1, 0);
	EXPECT_EQ(1, submit_one(stranger->ctx, notify(iocb, counter)));
	stage_reap(stranger->ctx, 1, &event);
	EXPECT_EVENT(&event, iocb, 1);
	EXPECT_EQ(1, eventfd_take(counter));
	close(file);
	EXPECT_ERR(EBADF, submit_one(stranger->ctx, iocb));
	return NULL;
}

CASE(io_submit, descriptor_of_thread,
     "descriptors are those of the thread that submits",
     .clause = "io_submit.descriptor.thread", .needs = "eventfd")
{
	struct stranger stranger = { .ctx = new_context(1) };
	struct iocb iocb;
	uint64_t count;

	/* here they name something that has nothing to read */
	stranger.file = open_eventfd(0, EFD_NONBLOCK);
	stranger.counter = open_eventfd(0, EFD_NONBLOCK);
	thread_join(thread_run(submit_own, &stranger));
	EXPECT_EQ(0, eventfd_take(stranger.counter));
	prep_read(&iocb, stranger.file, &count, sizeof(count), 0);
	EXPECT_EQ(1, submit_one(stranger.ctx, &iocb));
	EXPECT_COMPLETES(stranger.ctx, &iocb, -EAGAIN);
}

CASE(io_submit, descriptor_reused,
     "a number given to another file does not redirect what is in flight",
     .clause = "io_submit.fd_reused", .needs = "held", .on = ON_FILE)
{
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	int fd, other = scratch_file("other", O_RDWR);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct held *held;
	struct iocb iocb;

	held = held_open(&fd);
	pattern(held_data(held), HELD_BLOCK, SEED);
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocb, fd, buffer, HELD_BLOCK, 0));
	REQUIRE(dup2(other, fd) == fd);
	held_wait(held, 1);
	release_all(held);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, HELD_BLOCK);
	EXPECT_PATTERN(buffer, HELD_BLOCK, SEED);
}

CASE(io_submit, descriptor_reused_poll,
     "a POLL stays with the file that it was submitted for",
     .clause = "io_submit.fd_reused")
{
	int first[2], second[2];
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	open_pipe(first, 0);
	open_pipe(second, 0);
	stage_submit(ctx, prep_poll(&iocb, first[0], POLLIN));
	REQUIRE(dup2(second[0], first[0]) == first[0]);
	REQUIRE(write(second[1], "x", 1) == 1);
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(first[1], "x", 1) == 1);
	stage_reap(ctx, 1, &event);
	expect_readable(&event, &iocb);
}

/* --- let go at the end --- */

CASE(io_submit, released_when_done, "a finished write leaves no writer behind",
     .clause = "io_submit.fd_released")
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char got[2];
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	stage_submit(ctx, prep_write(&iocb, ends[1], "x", 1, 0));
	drop(ends[1]);
	EXPECT_TRUE(hung_up(ends[0]));
	EXPECT_EQ(1, read(ends[0], got, 2));
	EXPECT_EQ(0, read(ends[0], got, 2));
}

CASE(io_submit, released_when_failed,
     "a write that failed leaves no writer behind",
     .clause = "io_submit.fd_released")
{
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	char got[2];
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	stage_submit(ctx, prep_write(&iocb, ends[1], nowhere(), 1, 0));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, -EFAULT);
	drop(ends[1]);
	EXPECT_TRUE(hung_up(ends[0]));
	EXPECT_EQ(0, read(ends[0], got, 2));
}

/* A socket polled for what does not come: only the peer shows who has it. */
CASE(io_submit, released_after_poll,
     "the file of a POLL is let go after its completion, and not before",
     .clause = "io_submit.fd_released", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	int ends[2];

	open_sockets(ends);
	stage_submit(ctx, prep_poll(&iocb, ends[0], POLLIN));
	drop(ends[0]);
	EXPECT_TRUE(!hung_up(ends[1]));
	REQUIRE(write(ends[1], "x", 1) == 1);
	stage_reap(ctx, 1, &event);
	expect_readable(&event, &iocb);
	/* a worker may do it, a moment later */
	WAIT_FOR(hung_up(ends[1]));
}

CASE(io_submit, released_after_ready_poll,
     "also when the POLL was ready at once", .clause = "io_submit.fd_released",
     .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	int ends[2];

	open_sockets(ends);
	stage_submit(ctx, prep_poll(&iocb, ends[0], POLLOUT));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLOUT);
	drop(ends[0]);
	EXPECT_TRUE(hung_up(ends[1]));
}

CASE(io_submit, released_after_cancel, "and when the POLL was cancelled",
     .clause = "io_submit.fd_released", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	int ends[2];

	open_sockets(ends);
	stage_submit(ctx, prep_poll(&iocb, ends[0], POLLIN));
	drop(ends[0]);
	EXPECT_TRUE(!hung_up(ends[1]));
	STAGE_EQ(-EINPROGRESS, aio->cancel(ctx, &iocb, &event));
	stage_reap(ctx, 1, &event);
	WAIT_FOR(hung_up(ends[1]));
}

CASE(io_submit, released_after_destroy, "and when the context was destroyed",
     .clause = "io_submit.fd_released", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	int ends[2];

	open_sockets(ends);
	stage_submit(ctx, prep_poll(&iocb, ends[0], POLLIN));
	drop(ends[0]);
	EXPECT_TRUE(!hung_up(ends[1]));
	end_context(ctx);
	WAIT_FOR(hung_up(ends[1]));
}

CASE(io_submit, released_with_resfd,
     "with an eventfd to be signalled, the file is let go as well",
     .clause = "io_submit.fd_released", .needs = "unix_sockets eventfd")
{
	int ends[2], efd = open_eventfd(0, 0);
	aio_handle ctx = new_context(2);
	struct io_event events[2];
	struct iocb write, poll;

	open_sockets(ends);
	stage_submit(ctx, notify(prep_write(&write, ends[0], "x", 1, 0), efd));
	stage_submit(ctx, notify(prep_poll(&poll, ends[0], POLLIN), efd));
	STAGE_EQ(-EINPROGRESS, aio->cancel(ctx, &poll, events));
	stage_reap(ctx, 2, events);
	EXPECT_EQ(2, eventfd_take(efd));
	drop(ends[0]);
	WAIT_FOR(hung_up(ends[1]));
}

/* A lock of flock(2) lasts as long as the open file that has it. */
static bool lockable(int fd)
{
	if (!flock(fd, LOCK_EX | LOCK_NB))
		return true;
	REQUIRE(errno == EWOULDBLOCK);
	return false;
}

CASE(io_submit, lock_released_after_fsync,
     "a lock held by the file of an FSYNC is free after the completion",
     .clause = "io_submit.fd_released", .on = ON_FILE)
{
	int other = scratch_file("file", O_RDWR);
	int fd = scratch_file("file", O_RDWR);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	REQUIRE(lockable(fd));
	stage_submit(ctx, prep_fsync(&iocb, fd));
	drop(fd);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 0);
	WAIT_FOR(lockable(other));
}

CASE(io_submit, lock_held_in_flight,
     "and is held as long as the request is in flight",
     .clause = "io_submit.fd_released", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fd, other, writer;
	struct io_event event;
	struct iocb iocb;

	REQUIRE(!mkfifo(scratch_path("fifo"), 0600));
	fd = keep(
		open(scratch_path("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	writer = keep(open(scratch_path("fifo"), O_WRONLY | O_CLOEXEC));
	other = keep(
		open(scratch_path("fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	REQUIRE(lockable(fd));
	stage_submit(ctx, prep_poll(&iocb, fd, POLLIN));
	drop(fd);
	EXPECT_TRUE(!lockable(other));
	REQUIRE(write(writer, "x", 1) == 1);
	stage_reap(ctx, 1, &event);
	expect_readable(&event, &iocb);
	WAIT_FOR(lockable(other));
}

/* --- let go when refused --- */

CASE(io_submit, refused_lets_file_go,
     "a refused iocb leaves no reference on its file",
     .clause = "io_submit.count.refused_leaves_nothing")
{
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	struct iocb *iocb;
	int ends[2];
	char byte;

	for_each_refusal(refusal) {
		if (refusal->own_file)
			continue;
		open_pipe(ends, O_NONBLOCK);
		iocb = new_refused(refusal, ends[1]);
		STAGE_EQ(-refusal->error, submit_one(ctx, iocb));
		EXPECT_EQ(-1, read(ends[0], &byte, 1));
		drop(ends[1]);
		EXPECT_EQ(0, read(ends[0], &byte, 1));
		drop(ends[0]);
	}
}

/* Neither does it let go of one that is not its own. */
CASE(io_submit, refused_keeps_file_open,
     "a refused iocb does not close the file for others",
     .clause = "io_submit.count.refused_leaves_nothing")
{
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	struct iocb *iocb;
	int ends[2], i;
	char byte;

	open_pipe(ends, O_NONBLOCK);
	for_each_refusal(refusal) {
		if (refusal->own_file)
			continue;
		iocb = new_refused(refusal, ends[1]);
		for (i = 0; i < 4; i++)
			STAGE_EQ(-refusal->error, submit_one(ctx, iocb));
		EXPECT_TRUE(!hung_up(ends[0]));
		EXPECT_EQ(1, write(ends[1], "x", 1));
		EXPECT_EQ(1, read(ends[0], &byte, 1));
	}
}

/* A refused POLL has been on the wait queues, and must be off them again. */
CASE(io_submit, refused_poll_leaves_queue,
     "what refuses a POLL of two wait queues leaves it on none",
     .clause = "io_submit.count.refused_leaves_nothing")
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	int ends[2], both, i;
	char byte;

	open_pipe(ends, 0);
	both = open_both_ways(ends[0]);
	for (i = 0; i < 50; i++)
		STAGE_EQ(-EINVAL,
			 submit_one(ctx, prep_poll(&iocb, both, POLLIN)));
	/* one to wake each of the queues */
	REQUIRE(write(ends[1], "x", 1) == 1);
	REQUIRE(read(ends[0], &byte, 1) == 1);
	EXPECT_EQ(0, ring_of(ctx)->tail);
	EXPECT_EQ(1, submit_one(ctx, prep_poll(&iocb, both, POLLOUT)));
}
