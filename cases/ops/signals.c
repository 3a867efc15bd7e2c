// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Signals that meet a request which waits in io_submit(), or which it raises.
 *
 * The call cannot be restarted: requests before may be in flight already. A
 * kernel that restarted it would submit them twice; one that gave EINTR would
 * lose count of them.
 */
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"

#define LEN 4096

struct submission {
	aio_handle ctx;
	long n;
	struct iocb *list[4];
};

static void *submit(void *arg)
{
	struct submission *submission = arg;

	return (void *)aio->submit(submission->ctx, submission->n,
				   submission->list);
}

/* Submit, interrupt the call where it waits, and give what it says. */
static long submit_interrupted(struct submission *submission, int flags)
{
	struct thread *thread;

	count_signal(SIGUSR1, flags);
	thread = thread_run(submit, submission);
	wait_asleep_in(thread_tid(thread), SYS_io_submit);
	signal_thread(thread_tid(thread), SIGUSR1);
	return (long)thread_join(thread);
}

/* A request that waits, alone. */
static void interrupt(struct iocb *iocb, int flags)
{
	struct submission submission = { .ctx = new_context(1),
					 .n = 1,
					 .list = { iocb } };
	unsigned int seen = signals_seen(SIGUSR1);

	EXPECT_EQ(1, submit_interrupted(&submission, flags));
	EXPECT_COMPLETED(submission.ctx, iocb, -EINTR);
	EXPECT_EQ(seen + 1, signals_seen(SIGUSR1));
}

static void interrupt_read(int fd, int flags)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec iov = { io_buffer(LEN), LEN };

	interrupt(prep_read(iocb, fd, iov.iov_base, LEN, 0), flags);
	interrupt(prep_readv(iocb, fd, &iov, 1, 0), flags);
}

CASE(ops, signal_pipe,
     "a read of a pipe that a signal ends: EINTR in its event",
     .clause = "ops.signal.eintr", .needs = "task_syscall")
{
	char byte;
	int ends[2];

	open_pipe(ends, 0);
	interrupt_read(ends[0], 0);
	/* and it is over: data that comes now is not for it */
	REQUIRE(write(ends[1], "x", 1) == 1);
	EXPECT_EQ(1, read(ends[0], &byte, 1));
}

CASE(ops, signal_restart, "so with SA_RESTART: the call is not restarted",
     .clause = "ops.signal.eintr", .needs = "task_syscall")
{
	char byte;
	int ends[2];

	open_pipe(ends, 0);
	interrupt_read(ends[0], SA_RESTART);
	REQUIRE(write(ends[1], "x", 1) == 1);
	EXPECT_EQ(1, read(ends[0], &byte, 1));
}

CASE(ops, signal_eventfd, "so for an eventfd", .clause = "ops.signal.eintr",
     .needs = "task_syscall eventfd")
{
	interrupt_read(open_eventfd(0, 0), SA_RESTART);
}

CASE(ops, signal_socket, "so for a socket", .clause = "ops.signal.eintr",
     .needs = "task_syscall unix_sockets")
{
	int ends[2];

	open_sockets(ends);
	interrupt_read(ends[0], SA_RESTART);
}

/* To fd, which is full. */
static void interrupt_write(int fd, int flags)
{
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN);
	struct iovec iov = { buf, LEN };
	int status = fcntl(fd, F_GETFL);

	REQUIRE(status >= 0 && !fcntl(fd, F_SETFL, status | O_NONBLOCK));
	while (write(fd, buf, LEN) > 0)
		;
	REQUIRE(errno == EAGAIN && !fcntl(fd, F_SETFL, status));
	interrupt(prep_write(iocb, fd, buf, LEN, 0), flags);
	interrupt(prep_writev(iocb, fd, &iov, 1, 0), flags);
}

CASE(ops, signal_write_pipe,
     "a write to a full pipe that a signal ends: EINTR in its event",
     .clause = "ops.signal.eintr", .needs = "task_syscall")
{
	int ends[2];

	open_pipe(ends, 0);
	interrupt_write(ends[1], 0);
}

CASE(ops, signal_write_restart, "so with SA_RESTART: the call is not restarted",
     .clause = "ops.signal.eintr", .needs = "task_syscall")
{
	int ends[2];

	open_pipe(ends, 0);
	interrupt_write(ends[1], SA_RESTART);
}

CASE(ops, signal_write_socket, "so for a socket", .clause = "ops.signal.eintr",
     .needs = "task_syscall unix_sockets")
{
	int ends[2];

	open_sockets(ends);
	interrupt_write(ends[0], SA_RESTART);
}

struct switcher {
	int fd;
	atomic_bool over;
};

/* It is on already: all that it costs is the lock. */
static void *switch_on(void *arg)
{
	struct switcher *switcher = arg;

	while (!atomic_load(&switcher->over))
		if (pwrite(switcher->fd, "1", 1, 0) < 0 && errno != EINTR)
			break;
	return NULL;
}

CASE(ops, restart_refused,
     "a write that its file wants made once more from the start: EINTR",
     .clause = "ops.signal.restart", .needs = "root cpus2")
{
	static const char *const path = "/sys/devices/system/cpu/cpu1/online";
	struct switcher switcher = { .fd = open(path, O_RDWR | O_CLOEXEC) };
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct thread *thread;
	struct io_event event = { 0 };
	unsigned int i, n = rounds(20000);
	char on = '0';

	if (fd < 0 || switcher.fd < 0 || pread(fd, &on, 1, 0) != 1 || on != '1')
		SKIP("%s does not say that it is on", path);
	keep(fd);
	keep(switcher.fd);
	thread = thread_run(switch_on, &switcher);
	for (i = 0; i < n && event.res != -EINTR; i++) {
		prep_write(iocb, fd, "1", 1, 0);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
		if (event.res != 1)
			EXPECT_EVENT(&event, iocb, -EINTR);
	}
	atomic_store(&switcher.over, true);
	thread_join(thread);
	if (event.res == 1)
		SKIP("it was never refused");
}

CASE(ops, signal_batch,
     "the request after the interrupted one is submitted all the same",
     .clause = "ops.signal.eintr", .needs = "task_syscall eventfd")
{
	enum { REQUESTS = 3 };
	struct submission submission = { .ctx = new_context(REQUESTS),
					 .n = REQUESTS };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	int ready = open_eventfd(1, 0), ends[2];

	open_pipe(ends, 0);
	submission.list[0] = prep_poll(&iocbs[0], ready, POLLIN);
	submission.list[1] =
		prep_read(&iocbs[1], ends[0], io_buffer(LEN), LEN, 0);
	submission.list[2] = prep_poll(&iocbs[2], ready, POLLIN);
	ASSERT_EQ(REQUESTS, submit_interrupted(&submission, SA_RESTART));
	ASSERT_EQ(REQUESTS, aio->getevents(submission.ctx, REQUESTS, REQUESTS,
					   events, NULL));
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[1], -EINTR);
	EXPECT_EVENT(&events[2], &iocbs[2], POLLIN);
	EXPECT_EQ(0, ring_unread(submission.ctx));
}

CASE(ops, signal_half_written,
     "a write that a signal ends half way says how far it has come",
     .clause = "ops.signal.eintr", .needs = "task_syscall")
{
	struct submission submission = { .ctx = new_context(1), .n = 1 };
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2], room;

	open_pipe(ends, 0);
	room = fcntl(ends[1], F_GETPIPE_SZ);
	REQUIRE(room > 0);
	submission.list[0] = prep_write(iocb, ends[1],
					io_buffer((size_t)room + PAGE_SIZE),
					(size_t)room + PAGE_SIZE, 0);
	EXPECT_EQ(1, submit_interrupted(&submission, SA_RESTART));
	EXPECT_COMPLETED(submission.ctx, iocb, room);
}

static void write_to_nobody(int fd)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	count_signal(SIGPIPE, 0);
	prep_write(iocb, fd, "data", 4, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, -EPIPE);
	EXPECT_EQ(1, signals_seen(SIGPIPE));
}

CASE(ops, sigpipe_pipe, "a write to a pipe without a reader raises SIGPIPE",
     .clause = "ops.signal.sigpipe")
{
	int ends[2];

	open_pipe(ends, 0);
	drop(ends[0]);
	write_to_nobody(ends[1]);
}

CASE(ops, sigpipe_socket, "so does one to a socket without a peer",
     .clause = "ops.signal.sigpipe", .needs = "unix_sockets")
{
	int ends[2];

	open_sockets(ends);
	drop(ends[0]);
	write_to_nobody(ends[1]);
}
