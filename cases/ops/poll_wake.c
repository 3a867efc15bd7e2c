// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a wake-up does to the POLLs on a wait queue.
 *
 * A wake-up can be for something else, can come without saying what for, can
 * come again and again, and can meet hundreds of requests. Each request is
 * completed by the first that is for it, once, and forgotten by none before.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"

#define WAKE_UPS      100
#define PIPE_READABLE (POLLIN | POLLRDNORM)

static void put_byte(int fd)
{
	REQUIRE(write(fd, "x", 1) == 1);
}

static void take_byte(int fd)
{
	char byte;

	REQUIRE(read(fd, &byte, 1) == 1);
}

/* A connected pair, the first without room to write, none waits in a call. */
static void open_full_sockets(int ends[2])
{
	char page[4096] = "";

	open_sockets(ends);
	REQUIRE(!fcntl(ends[0], F_SETFL, O_NONBLOCK));
	REQUIRE(!fcntl(ends[1], F_SETFL, O_NONBLOCK));
	while (write(ends[0], page, sizeof(page)) > 0)
		;
	REQUIRE(errno == EAGAIN);
}

static void drain(int fd)
{
	char page[4096];

	while (read(fd, page, sizeof(page)) > 0)
		;
	REQUIRE(errno == EAGAIN);
}

/*
 * A wake-up that does not say what for: the peer says once more that it will
 * not write, which is nothing to one that waits for room to write itself.
 */
static void wake_plainly(int peer)
{
	REQUIRE(!shutdown(peer, SHUT_WR));
}

CASE(ops, poll_mismatch_pipe, "data does not complete who waits for another",
     .clause = "ops.poll.mismatch")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2], i;

	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLPRI);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	for (i = 0; i < WAKE_UPS; i++) {
		put_byte(ends[1]);
		EXPECT_EQ(0, ring_unread(ctx));
		take_byte(ends[0]);
	}
	drop(ends[1]);
	EXPECT_COMPLETES(ctx, iocb, POLLHUP);
}

CASE(ops, poll_mismatch_socket,
     "data that arrives does not complete who waits for room, but room does",
     .clause = "ops.poll.mismatch", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	int ends[2], i;

	open_full_sockets(ends);
	prep_poll(iocb, ends[0], POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	for (i = 0; i < WAKE_UPS; i++) {
		put_byte(ends[1]);
		EXPECT_EQ(0, ring_unread(ctx));
		take_byte(ends[0]);
	}
	drain(ends[1]);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, event->res);
	EXPECT_EQ(POLLOUT, event->res & (POLLIN | POLLOUT | POLLERR | POLLHUP));
}

CASE(ops, poll_plain_wake_not_ready,
     "a plain wake-up of a file that is not ready leaves the request pending",
     .clause = "ops.poll.plain_wake", .needs = "unix_sockets memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	int ends[2], i;

	pin_to_cpu(0);
	open_full_sockets(ends);
	prep_poll(iocb, ends[0], POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	for (i = 0; i < 3; i++) {
		wake_plainly(ends[1]);
		let_worker_look();
		EXPECT_EQ(0, ring_unread(ctx));
	}
	drain(ends[1]);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, event->res);
	EXPECT_EQ(POLLOUT, event->res & (POLLIN | POLLOUT | POLLERR | POLLHUP));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_plain_wake_many,
     "plain wake-ups in a row, and then one for it: one event",
     .clause = "ops.poll.plain_wake", .needs = "unix_sockets memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	int ends[2], i;

	pin_to_cpu(0);
	open_full_sockets(ends);
	prep_poll(iocb, ends[0], POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	for (i = 0; i < WAKE_UPS; i++)
		wake_plainly(ends[1]);
	drain(ends[1]);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, event->res);
	EXPECT_EQ(POLLOUT, event->res & (POLLIN | POLLOUT | POLLERR | POLLHUP));
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
}

/* A POLL of a FIFO at path that nobody writes to yet; gives the reading end. */
static int poll_fifo(aio_handle ctx, struct iocb *iocb, const char *path)
{
	int reader;

	REQUIRE(!mkfifo(path, 0600));
	reader = keep(open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
	prep_poll(iocb, reader, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	return reader;
}

CASE(ops, poll_plain_wake_ready,
     "a plain wake-up of a file that is ready completes the request",
     .clause = "ops.poll.plain_wake")
{
	const char *path = scratch_path("fifo");
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	poll_fifo(ctx, iocb, path);
	/* the first writer's coming is a plain wake-up, and so is its going */
	drop(keep(open(path, O_WRONLY | O_CLOEXEC)));
	EXPECT_COMPLETES(ctx, iocb, POLLHUP);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_plain_wake_then_data,
     "after a plain wake-up that was for nothing, data completes the request",
     .clause = "ops.poll.plain_wake", .needs = "memfd")
{
	const char *path = scratch_path("fifo");
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int writer;

	pin_to_cpu(0);
	poll_fifo(ctx, iocb, path);
	writer = keep(open(path, O_WRONLY | O_CLOEXEC));
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
	put_byte(writer);
	EXPECT_COMPLETED(ctx, iocb, PIPE_READABLE);
}

/* The request alone has the file, and lets it go at its end, not before. */
CASE(ops, poll_plain_wake_closed,
     "with the descriptor closed the same happens, and the file is closed then",
     .clause = "ops.poll.plain_wake")
{
	const char *path = scratch_path("fifo");
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int writer;

	signal(SIGPIPE, SIG_IGN);
	drop(poll_fifo(ctx, iocb, path));
	writer = keep(open(path, O_WRONLY | O_CLOEXEC));
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
	put_byte(writer);
	EXPECT_COMPLETES(ctx, iocb, PIPE_READABLE);
	WAIT_FOR(write(writer, "x", 1) < 0 && errno == EPIPE);
}

CASE(ops, poll_plain_wake_cancel,
     "a request that a plain wake-up left pending can be cancelled",
     .clause = "ops.poll.plain_wake", .needs = "unix_sockets memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	pin_to_cpu(0);
	open_full_sockets(ends);
	prep_poll(iocb, ends[0], POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	wake_plainly(ends[1]);
	let_worker_look();
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
	drain(ends[1]);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_plain_wake_cancel_at_once,
     "a request can be cancelled while the kernel still looks",
     .clause = "ops.poll.plain_wake", .needs = "unix_sockets memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2], i;

	pin_to_cpu(0);
	open_full_sockets(ends);
	for (i = 0; i < WAKE_UPS; i++) {
		prep_poll(iocb, ends[0], POLLOUT);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		wake_plainly(ends[1]);
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, 0));
	}
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_signalfd_later,
     "a signal that comes later does not complete a POLL of its signalfd",
     .clause = "ops.poll.signalfd", .needs = "signalfd memfd")
{
	aio_handle ctx = new_context(2);
	struct iocb *iocb = GUARDED_ARRAY(struct iocb, 2);
	sigset_t set;
	int fd;

	pin_to_cpu(0);
	block_signal(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fd = keep(signalfd(-1, &set, SFD_CLOEXEC));
	prep_poll(&iocb[0], fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, &iocb[0]));
	signal_thread(own_tid(), SIGUSR1);
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
	prep_poll(&iocb[1], fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, &iocb[1]));
	EXPECT_COMPLETED(ctx, &iocb[1], POLLIN);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocb[0], NULL));
	EXPECT_COMPLETES(ctx, &iocb[0], 0);
}

CASE(ops, poll_one_shot, "a POLL completes once, whatever happens after",
     .clause = "ops.poll.one_shot", .needs = "memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2], i;

	pin_to_cpu(0);
	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	put_byte(ends[1]);
	EXPECT_COMPLETED(ctx, iocb, PIPE_READABLE);
	for (i = 0; i < WAKE_UPS; i++) {
		take_byte(ends[0]);
		put_byte(ends[1]);
	}
	drop(ends[1]);
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
}

CASE(ops, poll_one_shot_ready, "so does one that was ready at submission",
     .clause = "ops.poll.one_shot", .needs = "memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2], i;

	pin_to_cpu(0);
	open_pipe(ends, 0);
	put_byte(ends[1]);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
	for (i = 0; i < WAKE_UPS; i++) {
		take_byte(ends[0]);
		put_byte(ends[1]);
	}
	drop(ends[1]);
	let_worker_look();
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
}

CASE(ops, poll_again, "an iocb that has completed can be submitted again",
     .clause = "ops.poll.one_shot", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_eventfd(0, 0), i;

	prep_poll(iocb, fd, POLLIN);
	for (i = 0; i < WAKE_UPS; i++) {
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_EQ(0, ring_unread(ctx));
		REQUIRE(!eventfd_write(fd, 1));
		ASSERT_TRUE(EXPECT_COMPLETED(ctx, iocb, POLLIN));
		eventfd_take(fd);
	}
}

CASE(ops, poll_several, "one wake-up completes every request that it is for",
     .clause = "ops.poll.several")
{
	enum { REQUESTS = 3 };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	int ends[2], i;

	open_pipe(ends, 0);
	for (i = 0; i < REQUESTS; i++) {
		prep_poll(&iocbs[i], ends[0], POLLIN);
		ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
	}
	EXPECT_EQ(0, ring_unread(ctx));
	put_byte(ends[1]);
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[i]), &iocbs[i],
			     PIPE_READABLE);
}

CASE(ops, poll_several_masks,
     "a wake-up completes those that it is for, and leaves the others",
     .clause = "ops.poll.several", .needs = "unix_sockets")
{
	enum { IN, OUT, PRI, REQUESTS };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *event = GUARDED(struct io_event);
	int ends[2];

	open_full_sockets(ends);
	prep_poll(&iocbs[IN], ends[0], POLLIN);
	prep_poll(&iocbs[OUT], ends[0], POLLOUT);
	prep_poll(&iocbs[PRI], ends[0], POLLHUP);
	ASSERT_EQ(1, submit_one(ctx, &iocbs[IN]));
	ASSERT_EQ(1, submit_one(ctx, &iocbs[OUT]));
	ASSERT_EQ(1, submit_one(ctx, &iocbs[PRI]));
	EXPECT_EQ(0, ring_unread(ctx));

	put_byte(ends[1]);
	EXPECT_EQ(1, ring_unread(ctx));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, &iocbs[IN], event->res);
	take_byte(ends[0]);

	drain(ends[1]);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, &iocbs[OUT], event->res);
	EXPECT_EQ(0, ring_unread(ctx));

	drop(ends[1]);
	EXPECT_COMPLETES(ctx, &iocbs[PRI], POLLHUP);
}

CASE(ops, poll_hundreds, "five hundred requests on one wait queue, one wake-up",
     .clause = "ops.poll.several", .needs = "eventfd")
{
	enum { REQUESTS = 500 };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	int fd = open_eventfd(0, 0), i;

	for (i = 0; i < REQUESTS; i++) {
		prep_poll(&iocbs[i], fd, POLLIN);
		ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
	}
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(!eventfd_write(fd, 1));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[i]), &iocbs[i],
			     POLLIN);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_contexts, "one wake-up serves the requests of several contexts",
     .clause = "ops.poll.several", .needs = "eventfd")
{
	enum { CONTEXTS = 4 };
	aio_handle ctx[CONTEXTS];
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, CONTEXTS);
	int fd = open_eventfd(0, 0), i;

	for (i = 0; i < CONTEXTS; i++) {
		ctx[i] = new_context(1);
		prep_poll(&iocbs[i], fd, POLLIN);
		ASSERT_EQ(1, submit_one(ctx[i], &iocbs[i]));
	}
	REQUIRE(!eventfd_write(fd, 1));
	for (i = 0; i < CONTEXTS; i++)
		EXPECT_COMPLETED(ctx[i], &iocbs[i], POLLIN);
}

CASE(ops, poll_fd_closed, "a POLL outlives the descriptor that it was made by",
     .clause = "ops.poll.fd_closed")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	drop(ends[0]);
	EXPECT_EQ(0, ring_unread(ctx));
	put_byte(ends[1]);
	EXPECT_COMPLETED(ctx, iocb, PIPE_READABLE);
}

CASE(ops, poll_fd_closed_released,
     "when it has completed the file is let go: its other end sees it",
     .clause = "ops.poll.fd_closed")
{
	struct pollfd other = { 0 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	drop(ends[0]);
	other.fd = ends[1];
	REQUIRE(!poll(&other, 1, 0) || !(other.revents & POLLERR));
	put_byte(ends[1]);
	EXPECT_COMPLETED(ctx, iocb, PIPE_READABLE);
	/* the last reference to a file goes when a task returns to user space,
	 * or a little later by a worker */
	WAIT_FOR(poll(&other, 1, 0) == 1 && other.revents & POLLERR);
}

CASE(ops, poll_cancelled_res, "a cancelled POLL completes with a res of 0",
     .clause = "ops.poll.cancelled_res", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, open_eventfd(0, 0), POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
}

CASE(ops, poll_cancelled_ready,
     "so does one that became ready for another's wake-up meanwhile",
     .clause = "ops.poll.cancelled_res", .needs = "eventfd")
{
	aio_handle ctx = new_context(2);
	struct iocb *iocb = GUARDED_ARRAY(struct iocb, 2);
	int fd = open_eventfd(0, 0);

	prep_poll(&iocb[0], fd, POLLIN);
	prep_poll(&iocb[1], fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, &iocb[0]));
	ASSERT_EQ(1, submit_one(ctx, &iocb[1]));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocb[0], NULL));
	EXPECT_COMPLETES(ctx, &iocb[0], 0);
	REQUIRE(!eventfd_write(fd, 1));
	EXPECT_COMPLETED(ctx, &iocb[1], POLLIN);
}

/* --- others who wait --- */

static void *read_byte(void *fd)
{
	take_byte(*(int *)fd);
	return NULL;
}

/*
 * A reader waits exclusively: a wake-up stops at the first of those. POLLs come
 * before them all, whenever they came, and are told although the byte is gone.
 */
CASE(ops, poll_beside_reader,
     "a reader that waits keeps no wake-up from a POLL",
     .clause = "ops.poll.no_lost_wake", .needs = "task_syscall")
{
	aio_handle ctx = new_context(2);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event events[2];
	struct thread *thread;
	int ends[2], i;

	open_pipe(ends, 0);
	stage_submit(ctx, prep_poll(&iocbs[0], ends[0], POLLIN));
	thread = thread_run(read_byte, &ends[0]);
	wait_asleep_in(thread_tid(thread), SYS_read);
	stage_submit(ctx, prep_poll(&iocbs[1], ends[0], POLLIN));
	put_byte(ends[1]);
	thread_join(thread);
	ASSERT_EQ(2, aio->getevents(ctx, 2, 2, events, NULL));
	for (i = 0; i < 2; i++)
		EXPECT_EVENT(find_event(events, 2, &iocbs[i]), &iocbs[i],
			     PIPE_READABLE);
}
