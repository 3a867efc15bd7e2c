// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and writes that a driver can cancel: those on the endpoints of a USB
 * function that a program serves.
 *
 * They alone use the kernel's list of requests and their cancel functions as it
 * was meant. A request that is on the list when it is over, or was never one of
 * native AIO, is memory that io_cancel() and io_destroy() reach into although
 * it belongs to somebody else.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"
#include "functionfs.h"
#include "uring.h"

#define SEED   11
#define PACKET ENDPOINT_PACKET

/* A read of one packet. */
static void submit_read(aio_handle ctx, struct endpoints *endpoints,
			struct iocb *iocb, void *buf)
{
	stage_submit(ctx, prep_read(iocb, endpoints->reader, buf, PACKET, 0));
}

/* The host sends one packet, and somebody reads it. */
static void send_packet(struct endpoints *endpoints, uint32_t seed)
{
	unsigned char data[PACKET];

	pattern(data, PACKET, seed);
	ASSERT_EQ(PACKET, endpoints_send(endpoints, data, PACKET));
}

static void expect_end(aio_handle ctx, const struct iocb *iocb, long result)
{
	struct io_event event;

	reap_endpoints(ctx, 1, &event);
	EXPECT_EVENT(&event, iocb, result);
}

CASE(io_cancel, endpoint_read,
     "a read of an endpoint is cancelled, and ends with ECONNRESET",
     .clause = "io_cancel.rw.einprogress", .needs = "functionfs")
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	aio_handle ctx = new_context(1);

	pattern(buf, PACKET, SEED);
	submit_read(ctx, endpoints, iocb, buf);
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	expect_end(ctx, iocb, -ECONNRESET);
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_PATTERN(buf, PACKET, SEED);
}

CASE(io_cancel, endpoint_write,
     "a write to an endpoint is cancelled, and the host never sees its data",
     .clause = "io_cancel.rw.einprogress", .needs = "functionfs")
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(2 * PACKET);
	unsigned char taken[PACKET];
	aio_handle ctx = new_context(2);
	unsigned int i;

	for (i = 0; i < 2; i++) {
		pattern(buf + i * PACKET, PACKET, SEED + i);
		stage_submit(ctx, prep_write(&iocbs[i], endpoints->writer,
					     buf + i * PACKET, PACKET, 0));
	}
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[0], NULL));
	expect_end(ctx, &iocbs[0], -ECONNRESET);
	EXPECT_EQ(PACKET, endpoints_take(endpoints, taken, PACKET));
	EXPECT_PATTERN(taken, PACKET, SEED + 1);
	expect_end(ctx, &iocbs[1], PACKET);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_cancel, endpoint_wakes,
     "a thread that waits for events is woken by the one of what was cancelled",
     .clause = "io_cancel.rw.einprogress", .needs = "functionfs task_syscall",
     .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct waiter *waiter;

	submit_read(ctx, endpoints, iocb, buf);
	waiter = waiter_run(ctx, 1, 1, &event, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_EQ((uintptr_t)iocb, event.obj);
	EXPECT_EQ(-ECONNRESET, event.res);
}

CASE(io_cancel, endpoint_twice,
     "a second cancel is refused, before the event is reaped and after",
     .clause = "io_cancel.rw.twice", .needs = "functionfs", .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	aio_handle ctx = new_context(1);

	submit_read(ctx, endpoints, iocb, buf);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
	expect_end(ctx, iocb, -ECONNRESET);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_cancel, endpoint_other_context,
     "a read that another context has is not found, and stays in flight",
     .clause = "io_cancel.other_ctx", .needs = "functionfs", .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	aio_handle ctx = new_context(1), other = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);

	submit_read(ctx, endpoints, iocb, buf);
	EXPECT_ERR(EINVAL, aio->cancel(other, iocb, NULL));
	EXPECT_OK(aio->destroy(other));
	send_packet(endpoints, SEED);
	expect_end(ctx, iocb, PACKET);
	EXPECT_PATTERN(buf, PACKET, SEED);
}

/* In an order that takes from the middle, the front and the end of the list. */
CASE(io_cancel, endpoint_among_many,
     "of many reads the named one is cancelled, and the others get the data",
     .clause = "io_cancel.among_many", .needs = "functionfs", .flavours = RAW)
{
	enum { N = 5 };
	static const unsigned int cancelled[] = { 2, 0, 4 };
	static const unsigned int left[] = { 1, 3 };
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	unsigned char *buf = io_buffer(N * PACKET);
	aio_handle ctx = new_context(N);
	unsigned int i, at;

	for (i = 0; i < N; i++)
		submit_read(ctx, endpoints, &iocbs[i], buf + i * PACKET);
	for (i = 0; i < 3; i++) {
		at = cancelled[i];
		ROUND("cancelling read %u", at);
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[at], NULL));
		expect_end(ctx, &iocbs[at], -ECONNRESET);
		EXPECT_EQ(0, ring_unread(ctx));
	}
	for (i = 0; i < 2; i++) {
		at = left[i];
		ROUND("sending to read %u", at);
		send_packet(endpoints, SEED + at);
		expect_end(ctx, &iocbs[at], PACKET);
		EXPECT_PATTERN(buf + at * PACKET, PACKET, SEED + at);
	}
	ROUNDS_END();
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_cancel, endpoint_same_iocb,
     "of an iocb submitted twice each cancel takes one read, the older first",
     .clause = "io_cancel.same_twice_submitted", .needs = "functionfs",
     .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	aio_handle ctx = new_context(2);
	struct io_event event;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		prep_read(iocb, endpoints->reader, buf, PACKET, 0);
		iocb->aio_data = i;
		stage_submit(ctx, iocb);
	}
	for (i = 0; i < 2; i++) {
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
		reap_endpoints(ctx, 1, &event);
		EXPECT_EQ(i, event.data);
		EXPECT_EQ(-ECONNRESET, event.res);
	}
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
}

CASE(io_cancel, endpoint_completed,
     "a read that got its data is refused, before it is reaped and after",
     .clause = "io_cancel.rw.completed", .needs = "functionfs", .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(2 * PACKET);
	aio_handle ctx = new_context(2);

	submit_read(ctx, endpoints, &iocbs[0], buf);
	submit_read(ctx, endpoints, &iocbs[1], buf + PACKET);
	send_packet(endpoints, SEED);
	WAIT_FOR(ring_unread(ctx));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocbs[0], NULL));
	expect_end(ctx, &iocbs[0], PACKET);
	EXPECT_PATTERN(buf, PACKET, SEED);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocbs[0], NULL));
	/* and the list is whole for those that are still on it */
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[1], NULL));
	expect_end(ctx, &iocbs[1], -ECONNRESET);
}

CASE(io_cancel, endpoint_failed,
     "reads and writes that a pulled plug has ended are refused",
     .clause = "io_cancel.rw.completed", .needs = "functionfs", .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(2 * PACKET);
	struct io_event events[2];
	aio_handle ctx = new_context(2);
	unsigned int i;

	submit_read(ctx, endpoints, &iocbs[0], buf);
	stage_submit(ctx, prep_write(&iocbs[1], endpoints->writer, buf + PACKET,
				     PACKET, 0));
	endpoints_unplug(endpoints);
	reap_endpoints(ctx, 2, events);
	for (i = 0; i < 2; i++) {
		EXPECT_EVENT(find_event(events, 2, &iocbs[i]), &iocbs[i],
			     -ESHUTDOWN);
		EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocbs[i], NULL));
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

/* --- the driver says no --- */

/*
 * The driver lets io_cancel() know of the write before it copies the data, and
 * has nothing to cancel as long as that takes.
 */
CASE(io_cancel, endpoint_not_yet,
     "a write that the driver has not begun is refused, once and for all",
     .clause = "io_cancel.rw.driver_error", .needs = "functionfs userfaultfd",
     .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET), *data = io_buffer(PACKET);
	struct one_submission submission = { .ctx = new_context(1),
					     .iocb = iocb };
	unsigned char taken[PACKET];
	struct thread *thread;
	struct trap *trap;

	pattern(data, PACKET, SEED);
	prep_write(iocb, endpoints->writer, buf, PACKET, 0);
	trap = trap_set(buf, PAGE_SIZE);
	thread = thread_run(submit_one_of, &submission);
	trap_wait(trap);
	EXPECT_ERR(EINVAL, aio->cancel(submission.ctx, iocb, NULL));
	trap_release(trap, data);
	thread_join(thread);
	EXPECT_EQ(1, submission.result);
	EXPECT_ERR(EINVAL, aio->cancel(submission.ctx, iocb, NULL));
	EXPECT_EQ(0, ring_unread(submission.ctx));
	EXPECT_EQ(PACKET, endpoints_take(endpoints, taken, PACKET));
	EXPECT_PATTERN(taken, PACKET, SEED);
	expect_end(submission.ctx, iocb, PACKET);
}

/* A worker copies the data to the reader, and is held there. */
CASE(io_cancel, endpoint_no_longer,
     "a read whose data is being copied is refused, and ends with it",
     .clause = "io_cancel.rw.driver_error", .needs = "functionfs userfaultfd",
     .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	aio_handle ctx = new_context(1);
	struct trap *trap = trap_set(buf, PAGE_SIZE);

	submit_read(ctx, endpoints, iocb, buf);
	send_packet(endpoints, SEED);
	trap_wait(trap);
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
	EXPECT_EQ(0, ring_unread(ctx));
	trap_release(trap, NULL);
	expect_end(ctx, iocb, PACKET);
	EXPECT_PATTERN(buf, PACKET, SEED);
	EXPECT_EQ(0, ring_unread(ctx));
}

/* --- requests that are not of native AIO --- */

CASE(io_cancel, endpoint_io_uring,
     "reads and writes of io_uring are none of those that are cancelled",
     .clause = "io_cancel.rw.only_aio", .needs = "functionfs io_uring",
     .flavours = RAW, .fixed_by = "961ebd120565", .cve = "CVE-2024-26764")
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *mine = io_buffer(2 * PACKET);
	unsigned char *theirs = io_buffer(2 * PACKET);
	struct uring *reads = uring_open(), *writes = uring_open();
	aio_handle ctx = new_context(2);
	unsigned char taken[PACKET];

	pattern(theirs, PACKET, SEED);
	uring_write(writes, endpoints->writer, theirs, PACKET);
	uring_read(reads, endpoints->reader, theirs + PACKET, PACKET);
	submit_read(ctx, endpoints, &iocbs[0], mine);
	stage_submit(ctx, prep_write(&iocbs[1], endpoints->writer,
				     mine + PACKET, PACKET, 0));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[0], NULL));
	expect_end(ctx, &iocbs[0], -ECONNRESET);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_EQ(PACKET, endpoints_take(endpoints, taken, PACKET));
	EXPECT_PATTERN(taken, PACKET, SEED);
	EXPECT_EQ(PACKET, uring_result(writes));
	send_packet(endpoints, SEED + 1);
	EXPECT_EQ(PACKET, uring_result(reads));
	EXPECT_PATTERN(theirs + PACKET, PACKET, SEED + 1);
}

struct reading {
	int fd;
	unsigned char *buf;
	ssize_t result;
};

static void *read_it(void *arg)
{
	struct reading *reading = arg;

	reading->result = read(reading->fd, reading->buf, PACKET);
	return NULL;
}

CASE(io_cancel, endpoint_read_call,
     "a thread in read(2) sleeps on while what is beside it is cancelled",
     .clause = "io_cancel.rw.only_aio", .needs = "functionfs task_syscall",
     .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	struct reading reading = { endpoints->reader, io_buffer(PACKET), 0 };
	aio_handle ctx = new_context(1);
	unsigned char taken[PACKET];
	struct thread *thread;

	/* a second reader would wait until the first has its data */
	pattern(buf, PACKET, SEED);
	stage_submit(ctx, prep_write(iocb, endpoints->writer, buf, PACKET, 0));
	thread = thread_run(read_it, &reading);
	ASSERT_TRUE(wait_asleep_in(thread_tid(thread), SYS_read));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	expect_end(ctx, iocb, -ECONNRESET);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_TRUE(wait_asleep_in(thread_tid(thread), SYS_read));
	send_packet(endpoints, SEED + 1);
	thread_join(thread);
	EXPECT_EQ(PACKET, reading.result);
	EXPECT_PATTERN(reading.buf, PACKET, SEED + 1);
	ctx = new_context(1);
	stage_submit(ctx, prep_write(iocb, endpoints->writer, buf, PACKET, 0));
	EXPECT_EQ(PACKET, endpoints_take(endpoints, taken, PACKET));
	EXPECT_PATTERN(taken, PACKET, SEED);
	expect_end(ctx, iocb, PACKET);
}

/* --- against its own completion --- */

struct race {
	aio_handle ctx;
	struct iocb *iocb;
	int64_t after; /* ns from the start of the round */
	long result;
};

static void *cancel_it(void *arg)
{
	struct race *race = arg;

	spin_until(now_ns() + race->after);
	race->result = aio->cancel(race->ctx, race->iocb, NULL);
	return NULL;
}

/*
 * A transfer takes as long as the frames of the bus want; the cancel comes at
 * every point of that time, from too early to too late. There is a second read
 * for the packet if the first is cancelled.
 */
CASE(io_cancel, endpoint_race,
     "against the host's packet: the answer fits the event, and none is lost",
     .clause = "io_cancel.race", .needs = "functionfs cpus2", .flavours = RAW,
     .time_limit = 60)
{
	enum { ROUNDS = 40, POINTS = 20 };
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(2 * PACKET);
	struct race race = { .ctx = new_context(2), .iocb = &iocbs[0] };
	int64_t took = 0, start;
	struct thread *thread;
	unsigned int i, taker;

	for (i = 0; i < ROUNDS; i++) {
		ROUND("round %u", i);
		submit_read(race.ctx, endpoints, &iocbs[0], buf);
		submit_read(race.ctx, endpoints, &iocbs[1], buf + PACKET);
		race.after = took * (i % POINTS) / (POINTS * 3 / 4);
		start = now_ns();
		thread = thread_run(cancel_it, &race);
		send_packet(endpoints, SEED + i);
		took = i ? (3 * took + now_ns() - start) / 4 : now_ns() - start;
		thread_join(thread);
		taker = race.result == -EINPROGRESS;
		expect_end(race.ctx, &iocbs[0], taker ? -ECONNRESET : PACKET);
		if (taker) {
			expect_end(race.ctx, &iocbs[1], PACKET);
		} else {
			ASSERT_ERR(EINVAL, race.result);
			EXPECT_ERR(EINPROGRESS,
				   aio->cancel(race.ctx, &iocbs[1], NULL));
			expect_end(race.ctx, &iocbs[1], -ECONNRESET);
		}
		EXPECT_PATTERN(buf + taker * PACKET, PACKET, SEED + i);
		EXPECT_EQ(0, ring_unread(race.ctx));
	}
	ROUNDS_END();
	EXPECT_OK(aio->destroy(race.ctx));
}
