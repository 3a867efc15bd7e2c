// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a driver can cancel is cancelled when its context ends: io_destroy(),
 * exit and exec do not wait for data that may never come. And they do wait for
 * what can no longer be cancelled, since that still writes to the program's
 * memory.
 */
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "functionfs.h"
#include "side.h"

#define SEED   23
#define PACKET ENDPOINT_PACKET

static void submit_read(aio_handle ctx, struct endpoints *endpoints,
			struct iocb *iocb, void *buf)
{
	stage_submit(ctx, prep_read(iocb, endpoints->reader, buf, PACKET, 0));
}

static void send_packet(struct endpoints *endpoints, uint32_t seed)
{
	unsigned char data[PACKET];

	pattern(data, PACKET, seed);
	ASSERT_EQ(PACKET, endpoints_send(endpoints, data, PACKET));
}

/* No request of before takes what the host sends, or gives it anything. */
static void expect_free(struct endpoints *endpoints)
{
	aio_handle ctx = new_context(2);
	unsigned char *buf = io_buffer(2 * PACKET);
	unsigned char taken[PACKET];
	struct io_event events[2];
	struct iocb iocbs[2];

	submit_read(ctx, endpoints, &iocbs[0], buf);
	pattern(buf + PACKET, PACKET, SEED + 1);
	stage_submit(ctx, prep_write(&iocbs[1], endpoints->writer, buf + PACKET,
				     PACKET, 0));
	send_packet(endpoints, SEED);
	EXPECT_EQ(PACKET, endpoints_take(endpoints, taken, PACKET));
	EXPECT_PATTERN(taken, PACKET, SEED + 1);
	reap_endpoints(ctx, 2, events);
	EXPECT_EVENT(find_event(events, 2, &iocbs[0]), &iocbs[0], PACKET);
	EXPECT_EVENT(find_event(events, 2, &iocbs[1]), &iocbs[1], PACKET);
	EXPECT_PATTERN(buf, PACKET, SEED);
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_destroy, endpoint_cancels,
     "reads and writes of endpoints are cancelled, all of them",
     .clause = "io_destroy.cancels.rw", .needs = "functionfs", .serial = true)
{
	enum { N = 16 };
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	unsigned char *buf = io_buffer(N * PACKET);
	aio_handle ctx = new_context(N);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	unsigned int i;

	pattern(buf, N * PACKET, SEED);
	for (i = 0; i < N; i++) {
		if (i % 2)
			prep_write(&iocbs[i], endpoints->writer,
				   buf + i * PACKET, PACKET, 0);
		else
			prep_read(&iocbs[i], endpoints->reader,
				  buf + i * PACKET, PACKET, 0);
		stage_submit(ctx, notify(&iocbs[i], counter));
	}
	EXPECT_EQ(0, eventfd_take(counter));
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_EQ(N, eventfd_take(counter));
	EXPECT_QUOTA_BACK();
	expect_free(endpoints);
	EXPECT_EQ(0, eventfd_take(counter));
	EXPECT_PATTERN(buf, N * PACKET, SEED);
}

/* Of the kinds of what is in flight: on the list, and on another one. */
CASE(io_destroy, endpoint_and_polls,
     "polls and reads that can be cancelled are, in any order of them",
     .clause = "io_destroy.cancels.rw", .needs = "functionfs", .flavours = RAW)
{
	enum { N = 6 };
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	unsigned char *buf = io_buffer(N * PACKET);
	aio_handle ctx = new_context(N);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	int never = open_eventfd(0, 0);
	unsigned int i;

	for (i = 0; i < N; i++) {
		if (i % 2)
			prep_poll(&iocbs[i], never, POLLIN);
		else
			prep_read(&iocbs[i], endpoints->reader,
				  buf + i * PACKET, PACKET, 0);
		stage_submit(ctx, notify(&iocbs[i], counter));
	}
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_EQ(N, eventfd_take(counter));
	expect_free(endpoints);
}

CASE(io_destroy, endpoint_after_cancel,
     "what was cancelled, and what has got its data, are no hindrance",
     .clause = "io_destroy.cancels.rw", .needs = "functionfs", .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 3);
	unsigned char *buf = io_buffer(3 * PACKET);
	aio_handle ctx = new_context(3);
	unsigned int i;

	for (i = 0; i < 3; i++)
		submit_read(ctx, endpoints, &iocbs[i], buf + i * PACKET);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[1], NULL));
	send_packet(endpoints, SEED);
	WAIT_FOR(ring_unread(ctx) == 2);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_PATTERN(buf, PACKET, SEED);
	expect_free(endpoints);
}

/* --- what can no longer be cancelled --- */

struct destroyer {
	aio_handle ctx;
	long result;
	atomic_uint done;
};

static void *destroy(void *arg)
{
	struct destroyer *destroyer = arg;

	destroyer->result = aio->destroy(destroyer->ctx);
	count_up(&destroyer->done);
	return NULL;
}

/* The worker that copies is held; those behind it are cancelled, and wait. */
CASE(io_destroy, endpoint_copying,
     "a read whose data is being copied is waited for",
     .clause = "io_destroy.waits",
     .needs = "functionfs userfaultfd task_syscall", .flavours = RAW)
{
	enum { N = 3 };
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	unsigned char *buf = io_buffer(PACKET), *others = io_buffer(PACKET);
	struct destroyer destroyer = { .ctx = new_context(N) };
	int counter = open_eventfd(0, EFD_NONBLOCK);
	struct trap *trap = trap_set(buf, PAGE_SIZE);
	struct thread *thread;
	unsigned int i;

	pattern(others, PACKET, SEED + 1);
	for (i = 0; i < N; i++)
		stage_submit(destroyer.ctx,
			     notify(prep_read(&iocbs[i], endpoints->reader,
					      i ? others : buf, PACKET, 0),
				    counter));
	send_packet(endpoints, SEED);
	trap_wait(trap);
	thread = thread_run(destroy, &destroyer);
	wait_asleep_in(thread_tid(thread), SYS_io_destroy);
	EXPECT_EQ(0, atomic_load(&destroyer.done));
	trap_release(trap, NULL);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
	EXPECT_EQ(N, eventfd_take(counter));
	EXPECT_PATTERN(buf, PACKET, SEED);
	EXPECT_PATTERN(others, PACKET, SEED + 1);
	expect_free(endpoints);
}

CASE(io_destroy, endpoint_submitting,
     "what a thread still submits is waited for, and then cancelled",
     .clause = "io_destroy.waits.submitter",
     .needs = "functionfs userfaultfd task_syscall", .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	struct one_submission submission = { .ctx = new_context(1),
					     .iocb = iocb };
	struct destroyer destroyer = { .ctx = submission.ctx };
	int counter = open_eventfd(0, EFD_NONBLOCK);
	struct thread *submitter, *ender;
	struct trap *trap;

	notify(prep_write(iocb, endpoints->writer, buf, PACKET, 0), counter);
	trap = trap_set(buf, PAGE_SIZE);
	submitter = thread_run(submit_one_of, &submission);
	trap_wait(trap);
	ender = thread_run(destroy, &destroyer);
	wait_asleep_in(thread_tid(ender), SYS_io_destroy);
	EXPECT_EQ(0, atomic_load(&destroyer.done));
	trap_release(trap, NULL);
	thread_join(submitter);
	EXPECT_EQ(1, submission.result);
	thread_join(ender);
	EXPECT_EQ(0, destroyer.result);
	EXPECT_EQ(1, eventfd_take(counter));
	expect_free(endpoints);
}

/* --- exit and exec --- */

#define CONTEXTS 3

/* In a child: reads and writes in flight on each of some contexts. */
static void leave_in_flight(struct endpoints *endpoints)
{
	static struct iocb iocbs[2 * CONTEXTS];
	unsigned char *buf = io_buffer(2 * CONTEXTS * PACKET);
	unsigned int i;

	for (i = 0; i < 2 * CONTEXTS; i += 2) {
		aio_handle ctx = new_context(2);

		submit_read(ctx, endpoints, &iocbs[i], buf + i * PACKET);
		stage_submit(ctx,
			     prep_write(&iocbs[i + 1], endpoints->writer,
					buf + (i + 1) * PACKET, PACKET, 0));
	}
}

CASE(io_destroy, endpoint_exit,
     "an exit cancels what a driver can cancel, in all contexts",
     .clause = "io_destroy.exit.in_flight", .needs = "functionfs",
     .serial = true)
{
	struct endpoints *endpoints = endpoints_open();
	pid_t pid = child_fork();

	if (!pid) {
		leave_in_flight(endpoints);
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_QUOTA_BACK();
	expect_free(endpoints);
}

CASE(io_destroy, endpoint_killed,
     "SIGKILL cancels it too: the process is gone without the host",
     .clause = "io_destroy.exit.killed", .needs = "functionfs task_syscall",
     .serial = true)
{
	struct endpoints *endpoints = endpoints_open();
	pid_t pid = child_fork();
	int status;

	if (!pid) {
		leave_in_flight(endpoints);
		pause();
		child_exit(1);
	}
	ASSERT_TRUE(wait_asleep_in(pid, SYS_pause));
	REQUIRE(!kill(pid, SIGKILL));
	status = child_wait(pid);
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_QUOTA_BACK();
	expect_free(endpoints);
}

EXEC_BODY(endpoint_is_free)
{
	return 0;
}

CASE(io_destroy, endpoint_exec, "execve() cancels it before it goes on",
     .clause = "io_destroy.exec.gone", .needs = "functionfs", .serial = true)
{
	struct endpoints *endpoints = endpoints_open();
	pid_t pid = child_fork();

	if (!pid) {
		leave_in_flight(endpoints);
		child_exec("endpoint_is_free", 0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_QUOTA_BACK();
	expect_free(endpoints);
}

/* --- races --- */

static void *destroy_later(void *arg)
{
	struct destroyer *destroyer = arg;

	spin_until(now_ns() + destroyer->result);
	return destroy(arg);
}

/*
 * The packet meets the read at every point of the transfer; where it comes too
 * late, there is a read of another context for it.
 */
CASE(io_destroy, endpoint_race_completion,
     "against the host's packet: it gets to the read, or to the next",
     .clause = "io_destroy.cancels.rw", .needs = "functionfs cpus2",
     .flavours = RAW, .time_limit = 60)
{
	enum { ROUNDS = 12, POINTS = 12 };
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(2 * PACKET);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	aio_handle next = new_context(1);
	struct destroyer destroyer = { 0 };
	int64_t took = 0, start;
	struct thread *thread;
	struct io_event event;
	unsigned int i, taker;

	for (i = 0; i < ROUNDS; i++) {
		ROUND("round %u", i);
		pattern(buf, 2 * PACKET, SEED);
		destroyer.ctx = new_context(1);
		stage_submit(destroyer.ctx,
			     notify(prep_read(&iocbs[0], endpoints->reader, buf,
					      PACKET, 0),
				    counter));
		submit_read(next, endpoints, &iocbs[1], buf + PACKET);
		destroyer.result =
			(long)(took * (i % POINTS) / (POINTS * 3 / 4));
		start = now_ns();
		thread = thread_run(destroy_later, &destroyer);
		send_packet(endpoints, SEED + 1);
		took = i ? (3 * took + now_ns() - start) / 4 : now_ns() - start;
		thread_join(thread);
		ASSERT_EQ(0, destroyer.result);
		EXPECT_EQ(1, eventfd_take(counter));
		taker = buf[0] == pattern_at(SEED, 0);
		if (!taker) {
			EXPECT_ERR(EINPROGRESS,
				   aio->cancel(next, &iocbs[1], NULL));
		}
		reap_endpoints(next, 1, &event);
		EXPECT_EVENT(&event, &iocbs[1], taker ? PACKET : -ECONNRESET);
		EXPECT_PATTERN(buf + taker * PACKET, PACKET, SEED + 1);
		EXPECT_EQ(0, eventfd_take(counter));
	}
}

struct cancel {
	aio_handle ctx;
	struct iocb *iocb;
	long result;
};

static void cancel_it(void *arg)
{
	struct cancel *cancel = arg;

	cancel->result = aio->cancel(cancel->ctx, cancel->iocb, NULL);
}

CASE(io_destroy, endpoint_race_cancel,
     "against io_cancel(): one of them cancels, and the request ends once",
     .clause = "io_destroy.against.cancel", .needs = "functionfs cpus2",
     .flavours = RAW, .time_limit = 60)
{
	enum { ROUNDS = 24 };
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	struct cancel cancel = { .iocb = iocb };
	struct side *side = side_start(cancel_it, &cancel);
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		ROUND("round %u", i);
		cancel.ctx = new_context(1);
		stage_submit(cancel.ctx,
			     notify(prep_read(iocb, endpoints->reader, buf,
					      PACKET, 0),
				    counter));
		side_go(side, i);
		EXPECT_OK(aio->destroy(cancel.ctx));
		side_wait(side);
		EXPECT_TRUE(cancel.result == -EINPROGRESS ||
			    cancel.result == -EINVAL);
		EXPECT_EQ(1, eventfd_take(counter));
	}
	ROUNDS_END();
	side_end(side);
	expect_free(endpoints);
}
