// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where a file cannot work asynchronously io_submit() does the work itself,
 * blocks as long as that takes, and comes back with the event in the ring.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <termios.h>
#include <unistd.h>

#include "case.h"

struct submitter {
	aio_handle ctx;
	struct iocb **list;
	long nr;
	long result;
	atomic_uint over;
};

static void *submit(void *arg)
{
	struct submitter *submitter = arg;

	submitter->result =
		aio->submit(submitter->ctx, submitter->nr, submitter->list);
	count_up(&submitter->over);
	return NULL;
}

/* Start the call in a thread, and see it sleep. */
static struct thread *submit_and_block(struct submitter *submitter,
				       aio_handle ctx, struct iocb **list,
				       long nr)
{
	struct thread *thread;

	*submitter = (struct submitter){ .ctx = ctx, .list = list, .nr = nr };
	thread = thread_run(submit, submitter);
	wait_asleep_in(thread_tid(thread), SYS_io_submit);
	EXPECT_EQ(0, atomic_load(&submitter->over));
	return thread;
}

static void expect_blocked_read(int reader, int writer)
{
	aio_handle ctx = new_context(1);
	struct iocb iocb, *list[] = { &iocb };
	struct submitter submitter;
	struct io_event event;
	struct thread *thread;
	char byte = 0;

	prep_read(&iocb, reader, &byte, 1, 0);
	thread = submit_and_block(&submitter, ctx, list, 1);
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(writer, "x\n", 2) == 2);
	thread_join(thread);
	EXPECT_EQ(1, submitter.result);
	ASSERT_EQ(1, ring_unread(ctx));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 1);
	EXPECT_EQ('x', byte);
}

CASE(io_submit, blocks_on_pipe, "a read of an empty pipe blocks the call",
     .clause = "io_submit.blocks", .needs = "task_syscall")
{
	int ends[2];

	open_pipe(ends, 0);
	expect_blocked_read(ends[0], ends[1]);
}

CASE(io_submit, blocks_on_tty, "a read of a quiet terminal blocks the call",
     .clause = "io_submit.blocks", .needs = "task_syscall pty")
{
	int master = keep(posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
	int terminal;

	REQUIRE(!unlockpt(master));
	terminal =
		keep(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
	expect_blocked_read(terminal, master);
}

/* What comes after the one that blocks is not begun. */
CASE(io_submit, blocks_the_rest, "the rest of the batch waits for it",
     .clause = "io_submit.blocks", .needs = "task_syscall")
{
	aio_handle ctx = new_context(3);
	struct iocb iocbs[3], *list[] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	struct submitter submitter;
	struct io_event events[3];
	struct thread *thread;
	int ends[2], out[2], i;
	char byte;

	open_pipe(ends, 0);
	open_pipe(out, O_NONBLOCK);
	prep_write(&iocbs[0], out[1], "1", 1, 0);
	prep_read(&iocbs[1], ends[0], &byte, 1, 0);
	prep_write(&iocbs[2], out[1], "2", 1, 0);
	iocbs[2].aio_key = 77;
	thread = submit_and_block(&submitter, ctx, list, 3);
	EXPECT_EQ(1, ring_unread(ctx));
	EXPECT_EQ(1, read(out[0], &byte, 1));
	EXPECT_EQ(-1, read(out[0], &byte, 1));
	EXPECT_EQ(77, iocbs[2].aio_key);
	REQUIRE(write(ends[1], "x", 1) == 1);
	thread_join(thread);
	EXPECT_EQ(3, submitter.result);
	EXPECT_EQ(0, iocbs[2].aio_key);
	ASSERT_EQ(3, ring_unread(ctx));
	stage_reap(ctx, 3, events);
	for (i = 0; i < 3; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], 1);
	EXPECT_EQ(1, read(out[0], &byte, 1));
	EXPECT_EQ('2', byte);
}

/* Others go on meanwhile: submit, reap and cancel on the same context. */
CASE(io_submit, blocks_nobody_else,
     "while one call blocks the context is there for other threads",
     .clause = "io_submit.blocks", .needs = "task_syscall eventfd")
{
	aio_handle ctx = new_context(3);
	struct iocb iocb, other, poll, *list[] = { &iocb };
	struct submitter submitter;
	struct io_event event;
	struct thread *thread;
	int ends[2], never;
	char byte;

	open_pipe(ends, 0);
	never = open_eventfd(0, 0);
	prep_read(&iocb, ends[0], &byte, 1, 0);
	thread = submit_and_block(&submitter, ctx, list, 1);
	prep_write(&other, keep(open("/dev/null", O_WRONLY | O_CLOEXEC)), "x",
		   1, 0);
	EXPECT_EQ(1, submit_one(ctx, &other));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, &other, 1);
	EXPECT_EQ(1, submit_one(ctx, prep_poll(&poll, never, POLLIN)));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &poll, &event));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, &poll, 0);
	EXPECT_EQ(0, atomic_load(&submitter.over));
	REQUIRE(write(ends[1], "x", 1) == 1);
	thread_join(thread);
	EXPECT_EQ(1, submitter.result);
	EXPECT_EQ(1, ring_unread(ctx));
}

/*
 * While the first of a batch blocks, another thread changes what the others
 * are: the pointer, the iocb, and the file that the descriptor of all names.
 */
CASE(io_submit, blocks_and_looks_later,
     "what comes after the one that blocks is what it is in its turn",
     .clause = "io_submit.turn", .needs = "task_syscall", .on = ON_FILE)
{
	struct iocb iocbs[4], *list[] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	int fd, file = scratch_file("file", O_RDWR), ends[2], i;
	aio_handle ctx = new_context(3);
	char first = 0, bytes[4] = { 0 };
	struct submitter submitter;
	struct io_event events[3];
	struct thread *thread;

	REQUIRE(pwrite(file, "0123", 4, 0) == 4);
	open_pipe(ends, 0);
	fd = keep(dup(ends[0]));
	prep_read(&iocbs[0], fd, &first, 1, 0);
	for (i = 1; i < 4; i++)
		prep_read(&iocbs[i], fd, &bytes[i], 1, i - 1);
	thread = submit_and_block(&submitter, ctx, list, 3);
	REQUIRE(dup2(file, fd) == fd);
	list[1] = &iocbs[3];
	iocbs[2].aio_offset = 3;
	REQUIRE(write(ends[1], "x", 1) == 1);
	thread_join(thread);
	EXPECT_EQ(3, submitter.result);
	stage_reap(ctx, 3, events);
	EXPECT_EVENT(&events[0], &iocbs[0], 1);
	EXPECT_EVENT(&events[1], &iocbs[3], 1);
	EXPECT_EVENT(&events[2], &iocbs[2], 1);
	EXPECT_EQ('x', first);
	EXPECT_EQ(0, bytes[1]);
	EXPECT_EQ('3', bytes[2]);
	EXPECT_EQ('2', bytes[3]);
}

CASE(io_submit, blocks_and_fails_later,
     "a descriptor closed meanwhile is EBADF to those that follow",
     .clause = "io_submit.turn", .needs = "task_syscall")
{
	struct iocb iocbs[2], *list[] = { &iocbs[0], &iocbs[1] };
	aio_handle ctx = new_context(2);
	struct submitter submitter;
	struct io_event event;
	struct thread *thread;
	char bytes[2];
	int fd, ends[2];

	open_pipe(ends, 0);
	fd = dup(ends[0]);
	REQUIRE(fd >= 0);
	prep_read(&iocbs[0], fd, &bytes[0], 1, 0);
	prep_read(&iocbs[1], fd, &bytes[1], 1, 0);
	thread = submit_and_block(&submitter, ctx, list, 2);
	close(fd);
	REQUIRE(write(ends[1], "xy", 2) == 2);
	thread_join(thread);
	EXPECT_EQ(1, submitter.result);
	ASSERT_EQ(1, ring_unread(ctx));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocbs[0], 1);
}

/* What has been done is not kept back for the sake of a batch. */
CASE(io_submit, blocks_no_wake_up,
     "who waits for what came before the one that blocks is woken",
     .clause = "io_submit.blocks", .needs = "task_syscall eventfd")
{
	aio_handle ctx = new_context(3);
	struct iocb iocbs[3], *list[] = { &iocbs[0], &iocbs[1], &iocbs[2] };
	int said = open_eventfd(0, EFD_NONBLOCK), ends[2];
	struct submitter submitter;
	struct io_event events[2];
	struct waiter *waiter;
	struct thread *thread;
	char byte;

	open_pipe(ends, 0);
	prep_write(&iocbs[0], keep(open("/dev/null", O_WRONLY | O_CLOEXEC)),
		   "x", 1, 0);
	iocbs[1] = iocbs[0];
	notify(&iocbs[1], said);
	prep_read(&iocbs[2], ends[0], &byte, 1, 0);
	waiter = waiter_run(ctx, 2, 2, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	thread = submit_and_block(&submitter, ctx, list, 3);
	EXPECT_EQ(2, waiter_result(waiter));
	EXPECT_EVENT(&events[0], &iocbs[0], 1);
	EXPECT_EVENT(&events[1], &iocbs[1], 1);
	EXPECT_EQ(1, eventfd_take(said));
	EXPECT_EQ(0, atomic_load(&submitter.over));
	REQUIRE(write(ends[1], "x", 1) == 1);
	thread_join(thread);
	EXPECT_EQ(3, submitter.result);
}

/* Each has its own list of segments, however few. */
CASE(io_submit, blocks_with_segments,
     "a vectored read that blocks keeps its buffers beside another",
     .clause = "io_submit.blocks.segments", .needs = "task_syscall")
{
	enum { SEGMENTS = 2 };
	struct iovec mine[SEGMENTS], others[SEGMENTS];
	char my_bytes[SEGMENTS] = { 0 }, other_bytes[SEGMENTS] = { 0 };
	struct iocb iocb, other, *list[] = { &iocb };
	aio_handle ctx = new_context(2);
	struct submitter submitter;
	struct io_event events[2];
	struct thread *thread;
	int ends[2], i;

	for (i = 0; i < SEGMENTS; i++) {
		mine[i] = (struct iovec){ &my_bytes[i], 1 };
		others[i] = (struct iovec){ &other_bytes[i], 1 };
	}
	open_pipe(ends, 0);
	prep_readv(&iocb, ends[0], mine, SEGMENTS, 0);
	thread = submit_and_block(&submitter, ctx, list, 1);
	prep_readv(&other, keep(open("/dev/zero", O_RDONLY | O_CLOEXEC)),
		   others, SEGMENTS, 0);
	EXPECT_EQ(1, submit_one(ctx, &other));
	REQUIRE(write(ends[1], "xy", 2) == 2);
	thread_join(thread);
	EXPECT_EQ(1, submitter.result);
	stage_reap(ctx, 2, events);
	EXPECT_EVENT(&events[0], &other, SEGMENTS);
	EXPECT_EVENT(&events[1], &iocb, SEGMENTS);
	EXPECT_EQ('x', my_bytes[0]);
	EXPECT_EQ('y', my_bytes[1]);
	EXPECT_EQ(0, other_bytes[0]);
	EXPECT_EQ(0, other_bytes[1]);
}

/* --- the event is there --- */

CASE(io_submit, event_at_return,
     "what was done at once has its event when the call returns",
     .clause = "io_submit.sync_event_ready", .needs = "eventfd", .on = ON_FILE)
{
	int file = scratch_file("file", O_RDWR), ready = open_eventfd(1, 0);
	int null = keep(open("/dev/null", O_RDWR | O_CLOEXEC));
	int zero = keep(open("/dev/zero", O_RDWR | O_CLOEXEC));
	struct iovec *iov = GUARDED(struct iovec);
	struct iocb iocbs[9], *list[9];
	aio_handle ctx = new_context(9);
	struct io_event events[9];
	char byte = 'x', other;
	int i, ends[2];

	open_pipe(ends, 0);
	iov->iov_base = &other;
	iov->iov_len = 1;
	list[0] = prep_write(&iocbs[0], file, &byte, 1, 0);
	list[1] = prep_read(&iocbs[1], file, &other, 1, 0);
	list[2] = prep_writev(&iocbs[2], ends[1], iov, 1, 0);
	list[3] = prep_readv(&iocbs[3], ends[0], iov, 1, 0);
	list[4] = prep_write(&iocbs[4], null, &byte, 1, 0);
	list[5] = prep_read(&iocbs[5], null, &byte, 1, 0);
	list[6] = prep_read(&iocbs[6], zero, &other, 1, 0);
	list[7] = prep_poll(&iocbs[7], ready, POLLIN);
	list[8] = prep_write(&iocbs[8], ends[1], nowhere(), 1, 0);
	for (i = 0; i < 9; i++) {
		ROUND("request %d", i);
		EXPECT_EQ(1, submit_one(ctx, list[i]));
		EXPECT_EQ(i + 1, ring_unread(ctx));
	}
	STAGE_EQ(9, ring_reap(ctx, events, 9));
	EXPECT_EQ(9, aio->submit(ctx, 9, list));
	ASSERT_EQ(9, ring_unread(ctx));
	/* in the order in which they were done */
	STAGE_EQ(9, ring_reap(ctx, events, 9));
	for (i = 0; i < 9; i++) {
		ROUND("request %d", i);
		EXPECT_EVENT(&events[i], &iocbs[i],
			     i == 5   ? 0
			     : i == 8 ? -EFAULT
				      : 1);
	}
}
