// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * IOCB_CMD_POLL: what it takes, and when and with what it completes.
 *
 * It is the only request that waits for somebody else, for ever if need be. A
 * server that waits by it hangs on an event that did not come, and spins on
 * one that came for nothing.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "case.h"

/* The lower 16 bits are a mask of poll(2)'s; the field has 64. */
#define MASK_BITS  16
#define FIELD_BITS 64

/* What a pipe says with its wake-ups, whatever was asked for. */
#define PIPE_READABLE (POLLIN | POLLRDNORM)
#define PIPE_WRITABLE (POLLOUT | POLLWRNORM)

static void put_byte(int fd)
{
	REQUIRE(write(fd, "x", 1) == 1);
}

static void take_byte(int fd)
{
	char byte;

	REQUIRE(read(fd, &byte, 1) == 1);
}

/* Until not another byte goes in. */
static void fill(int fd)
{
	char page[4096] = "";

	while (write(fd, page, sizeof(page)) > 0)
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

/* --- what is refused --- */

CASE(ops, poll_mask_too_wide, "each bit of the mask over the 16th is refused",
     .clause = "ops.poll.einval.mask", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int bit, fd = open_eventfd(1, 0);

	for (bit = MASK_BITS; bit < FIELD_BITS; bit++) {
		prep_poll(iocb, fd, 0);
		iocb->aio_buf = POLLIN | 1ull << bit;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_mask_full, "all 16 bits of the mask may be set",
     .clause = "ops.poll.mask", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, open_eventfd(1, 0), 0xffff);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN | POLLOUT);
}

CASE(ops, poll_offset, "an offset is refused",
     .clause = "ops.poll.einval.fields", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, open_eventfd(1, 0), POLLIN);
	iocb->aio_offset = 1;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	iocb->aio_offset = LLONG_MIN;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_nbytes, "a length is refused",
     .clause = "ops.poll.einval.fields", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, open_eventfd(1, 0), POLLIN);
	iocb->aio_nbytes = 1;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, poll_rw_flags, "flags of reads and writes are refused",
     .clause = "ops.poll.einval.fields", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_poll(iocb, open_eventfd(1, 0), POLLIN);
	iocb->aio_rw_flags = 1;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
}

/* --- ready at submission --- */

CASE(ops, poll_ready, "what is ready at submission is complete on return",
     .clause = "ops.poll.ready")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	put_byte(ends[1]);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
}

CASE(ops, poll_ready_mask,
     "of what is ready at submission, res has what was asked for",
     .clause = "ops.poll.mask", .needs = "unix_sockets")
{
	static const struct {
		unsigned int asked;
		int res;
	} masks[] = {
		{ POLLIN, POLLIN },
		{ POLLOUT, POLLOUT },
		{ POLLIN | POLLOUT, POLLIN | POLLOUT },
		{ POLLIN | POLLPRI, POLLIN },
		{ POLLRDNORM, POLLRDNORM },
		{ POLLIN | POLLRDNORM, POLLIN | POLLRDNORM },
		{ POLLOUT | POLLWRNORM, POLLOUT | POLLWRNORM },
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];
	size_t i;

	/* a socket is the one that is both readable and writable */
	open_sockets(ends);
	put_byte(ends[1]);
	for (i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
		prep_poll(iocb, ends[0], masks[i].asked);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETED(ctx, iocb, masks[i].res);
	}
}

/* What poll(2) says of it at once. */
static int polled(int fd, int events)
{
	struct pollfd pollfd = { .fd = fd, .events = (short)events };

	REQUIRE(poll(&pollfd, 1, 0) >= 0);
	return (unsigned short)pollfd.revents;
}

static void expect_as_poll(aio_handle ctx, int fd)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, MASK_BITS);
	unsigned int bit;
	int res;

	for (bit = 0; bit < MASK_BITS; bit++) {
		ROUND("bit %u", bit);
		res = polled(fd, 1 << bit);
		prep_poll(&iocbs[bit], fd, 1u << bit);
		ASSERT_EQ(1, submit_one(ctx, &iocbs[bit]));
		if (res)
			EXPECT_COMPLETED(ctx, &iocbs[bit], res);
		else
			EXPECT_EQ(0, ring_unread(ctx));
	}
	ROUNDS_END();
}

CASE(ops, poll_each_bit, "each bit of the mask is what it is for poll(2)",
     .clause = "ops.poll.mask", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(2 * MASK_BITS);
	int ends[2];

	open_sockets(ends);
	put_byte(ends[1]);
	REQUIRE(!shutdown(ends[1], SHUT_WR));
	REQUIRE(polled(ends[0], POLLRDHUP) == POLLRDHUP);
	expect_as_poll(ctx, ends[0]);
	/* these look only after what somebody waits for */
	open_message_sockets(ends);
	REQUIRE(polled(ends[0], POLLOUT) == POLLOUT);
	expect_as_poll(ctx, ends[0]);
}

CASE(ops, poll_ready_hup, "a hang-up that is there is reported unasked",
     .clause = "ops.poll.err_hup")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	drop(ends[1]);
	prep_poll(iocb, ends[0], 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLHUP);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLHUP);
}

CASE(ops, poll_ready_err, "an error that is there is reported unasked",
     .clause = "ops.poll.err_hup")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	drop(ends[0]);
	prep_poll(iocb, ends[1], 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLERR);
	prep_poll(iocb, ends[1], POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLERR | POLLOUT);
}

CASE(ops, poll_empty_mask, "with an empty mask data is nothing to wait for",
     .clause = "ops.poll.mask")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	put_byte(ends[1]);
	prep_poll(iocb, ends[0], 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	take_byte(ends[0]);
	put_byte(ends[1]);
	EXPECT_EQ(0, ring_unread(ctx));
	drop(ends[1]);
	EXPECT_COMPLETES(ctx, iocb, POLLHUP);
}

CASE(ops, poll_any_mode, "what a descriptor is open for does not matter",
     .clause = "ops.poll.any_mode")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	prep_poll(iocb, scratch_file("file", O_WRONLY), POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
	prep_poll(iocb, scratch_file("file", O_RDONLY), POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLOUT);
	/* the writing end of a pipe is never readable, but may be asked */
	open_pipe(ends, 0);
	prep_poll(iocb, ends[1], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	drop(ends[0]);
	EXPECT_COMPLETES(ctx, iocb, POLLERR);
}

/* --- ready later --- */

CASE(ops, poll_later_pipe, "a pipe completes when it is written to",
     .clause = "ops.poll.later")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	put_byte(ends[1]);
	EXPECT_COMPLETED(ctx, iocb, PIPE_READABLE);
}

CASE(ops, poll_later_pipe_room, "a full pipe completes when it is read from",
     .clause = "ops.poll.later")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	fill(ends[1]);
	prep_poll(iocb, ends[1], POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	drain(ends[0]);
	EXPECT_COMPLETED(ctx, iocb, PIPE_WRITABLE);
}

CASE(ops, poll_later_hup, "a hang-up that comes later is reported unasked",
     .clause = "ops.poll.err_hup")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	drop(ends[1]);
	EXPECT_COMPLETES(ctx, iocb, POLLHUP);
}

CASE(ops, poll_later_err, "an error that comes later is reported unasked",
     .clause = "ops.poll.err_hup")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	fill(ends[1]);
	prep_poll(iocb, ends[1], 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	drop(ends[0]);
	EXPECT_COMPLETES(ctx, iocb, POLLERR);
}

CASE(ops, poll_later_rdhup,
     "that the other side writes no more is reported if asked for",
     .clause = "ops.poll.later", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_sockets(ends);
	prep_poll(iocb, ends[0], POLLRDHUP);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(!shutdown(ends[1], SHUT_WR));
	EXPECT_COMPLETES(ctx, iocb, POLLRDHUP);
}

CASE(ops, poll_later_socket, "a socket completes when data arrives",
     .clause = "ops.poll.later", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	int ends[2];

	open_sockets(ends);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	put_byte(ends[1]);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	/* a socket's wake-up says more than it knows, urgent data too */
	EXPECT_EVENT(event, iocb, event->res);
	EXPECT_EQ(POLLIN, event->res & (POLLIN | POLLOUT | POLLERR | POLLHUP));
}

CASE(ops, poll_later_socket_room, "a socket completes when it has room again",
     .clause = "ops.poll.later", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	int ends[2];

	open_sockets(ends);
	REQUIRE(!fcntl(ends[0], F_SETFL, O_NONBLOCK));
	REQUIRE(!fcntl(ends[1], F_SETFL, O_NONBLOCK));
	fill(ends[0]);
	prep_poll(iocb, ends[0], POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	drain(ends[1]);
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, event->res);
	EXPECT_EQ(POLLOUT, event->res & (POLLIN | POLLOUT | POLLERR | POLLHUP));
}

CASE(ops, poll_later_socket_hup,
     "a socket whose peer goes reports the hang-up, and what was asked for",
     .clause = "ops.poll.err_hup", .needs = "unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_sockets(ends);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	drop(ends[1]);
	EXPECT_COMPLETES(ctx, iocb, POLLIN | POLLHUP);
}

CASE(ops, poll_later_eventfd, "an eventfd completes when it is counted up",
     .clause = "ops.poll.later", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_eventfd(0, 0);

	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(!eventfd_write(fd, 1));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
}

CASE(ops, poll_later_eventfd_room,
     "an eventfd at its maximum completes when it is read",
     .clause = "ops.poll.later", .needs = "eventfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_eventfd(0, 0);

	REQUIRE(!eventfd_write(fd, ULLONG_MAX - 1));
	prep_poll(iocb, fd, POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	eventfd_take(fd);
	EXPECT_COMPLETED(ctx, iocb, POLLOUT);
}

CASE(ops, poll_later_timerfd,
     "a timerfd completes when it expires, by the interrupt, and not before",
     .clause = "ops.poll.later", .needs = "timerfd")
{
	const struct itimerspec in_5_ms = { .it_value = millis(5) };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	int64_t armed;

	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	armed = now_ns();
	REQUIRE(!timerfd_settime(fd, 0, &in_5_ms, NULL));
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
	EXPECT_GE(armed + 5 * NSEC_PER_MSEC, now_ns());
}

CASE(ops, poll_epoll, "an epoll set completes when something in it is ready",
     .clause = "ops.poll.epoll", .needs = "epoll eventfd")
{
	struct epoll_event interest = { .events = EPOLLIN };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int set = keep(epoll_create1(EPOLL_CLOEXEC));
	int fd = open_eventfd(0, 0);

	REQUIRE(!epoll_ctl(set, EPOLL_CTL_ADD, fd, &interest));
	prep_poll(iocb, set, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(!eventfd_write(fd, 1));
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
}

CASE(ops, poll_epoll_ready, "an epoll set with something ready is ready",
     .clause = "ops.poll.epoll", .needs = "epoll eventfd")
{
	struct epoll_event interest = { .events = EPOLLIN };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int set = keep(epoll_create1(EPOLL_CLOEXEC));

	REQUIRE(!epoll_ctl(set, EPOLL_CTL_ADD, open_eventfd(1, 0), &interest));
	prep_poll(iocb, set, POLLIN | POLLRDNORM | POLLOUT);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN | POLLRDNORM);
}

static int signalfd_of(int sig)
{
	sigset_t set;

	block_signal(sig);
	sigemptyset(&set);
	sigaddset(&set, sig);
	return keep(signalfd(-1, &set, SFD_CLOEXEC));
}

CASE(ops, poll_signalfd_ready,
     "a signalfd with a signal pending is ready at submission",
     .clause = "ops.poll.signalfd", .needs = "signalfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = signalfd_of(SIGUSR1);

	signal_thread(own_tid(), SIGUSR1);
	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
}
