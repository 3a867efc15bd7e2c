// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POLL with an eventfd to be signalled, which is a file with a wait queue too.
 *
 * The kernel completes a POLL inside the wake-up, with the queue's lock held.
 * When what it signals then leads back to that queue, it has to leave the
 * completion to a worker, or it waits for itself with interrupts off.
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "case.h"

static void put_byte(int fd)
{
	REQUIRE(write(fd, "x", 1) == 1);
}

/* Counts come a little after their events when a worker makes them. */
#define EXPECT_COUNT(wanted, eventfd)                       \
	do {                                                \
		wait_readable(eventfd);                     \
		EXPECT_EQ((wanted), eventfd_take(eventfd)); \
		let_worker_look();                          \
		EXPECT_EQ(0, eventfd_take(eventfd));        \
	} while (0)

static void wait_readable(int fd)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	REQUIRE(poll(&pollfd, 1, -1) == 1);
}

static int open_counter(void)
{
	return open_eventfd(0, EFD_NONBLOCK);
}

CASE(ops, poll_resfd_ready, "complete at once, it is counted once",
     .clause = "ops.poll.resfd", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int counter = open_counter();

	pin_to_cpu(0);
	prep_poll(iocb, open_eventfd(1, 0), POLLIN);
	ASSERT_EQ(1, submit_one(ctx, notify(iocb, counter)));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
	EXPECT_COUNT(1, counter);
}

CASE(ops, poll_resfd_later, "complete later, it is counted then, once",
     .clause = "ops.poll.resfd", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int counter = open_counter(), ends[2];

	pin_to_cpu(0);
	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, notify(iocb, counter)));
	EXPECT_EQ(0, eventfd_take(counter));
	put_byte(ends[1]);
	EXPECT_COUNT(1, counter);
	/* the event is there before the count */
	EXPECT_COMPLETED(ctx, iocb, POLLIN | POLLRDNORM);
}

CASE(ops, poll_resfd_plain_wake, "completed by a plain wake-up, counted once",
     .clause = "ops.poll.resfd", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int counter = open_counter(), ends[2];

	pin_to_cpu(0);
	open_pipe(ends, 0);
	prep_poll(iocb, ends[0], POLLIN);
	ASSERT_EQ(1, submit_one(ctx, notify(iocb, counter)));
	EXPECT_EQ(0, eventfd_take(counter));
	drop(ends[1]);
	EXPECT_COUNT(1, counter);
	EXPECT_COMPLETED(ctx, iocb, POLLHUP);
}

CASE(ops, poll_resfd_cancelled, "cancelled, it is counted once",
     .clause = "ops.poll.resfd", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int counter = open_counter();

	pin_to_cpu(0);
	prep_poll(iocb, open_eventfd(0, 0), POLLIN);
	ASSERT_EQ(1, submit_one(ctx, notify(iocb, counter)));
	EXPECT_EQ(0, eventfd_take(counter));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COUNT(1, counter);
	EXPECT_COMPLETED(ctx, iocb, 0);
}

CASE(ops, poll_resfd_refused, "refused, it is not counted",
     .clause = "ops.poll.resfd", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int counter = open_counter();

	pin_to_cpu(0);
	prep_poll(iocb, open_eventfd(1, 0), POLLIN);
	iocb->aio_nbytes = 1;
	EXPECT_ERR(EINVAL, submit_one(ctx, notify(iocb, counter)));
	let_worker_look();
	EXPECT_EQ(0, eventfd_take(counter));
}

CASE(ops, poll_resfd_same_ready,
     "the eventfd that is polled may be the one to be counted on, ready at once",
     .clause = "ops.poll.resfd_same", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_eventfd(1, EFD_NONBLOCK);

	pin_to_cpu(0);
	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, notify(iocb, fd)));
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
	EXPECT_COUNT(2, fd);
}

CASE(ops, poll_resfd_same_later,
     "the eventfd that is polled may be the one to be counted on, ready later",
     .clause = "ops.poll.resfd_same", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = open_counter();

	pin_to_cpu(0);
	prep_poll(iocb, fd, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, notify(iocb, fd)));
	REQUIRE(!eventfd_write(fd, 1));
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
	let_worker_look();
	EXPECT_EQ(2, eventfd_take(fd));
}

/* A count by a completion is to a POLL what a write(2) is. */
CASE(ops, poll_resfd_of_other,
     "a POLL of an eventfd that another context counts on says POLLIN, no more",
     .clause = "ops.poll.resfd_same", .needs = "eventfd memfd")
{
	aio_handle polls = new_context(1), counts = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	struct iocb other;

	ASSERT_EQ(1, submit_one(polls, prep_poll(iocb, counter, POLLIN)));
	prep_write(&other, keep(open("/dev/null", O_WRONLY | O_CLOEXEC)), "x",
		   1, 0);
	ASSERT_EQ(1, submit_one(counts, notify(&other, counter)));
	EXPECT_COMPLETES(counts, &other, 1);
	EXPECT_COMPLETES(polls, iocb, POLLIN);
	EXPECT_EQ(1, eventfd_take(counter));
}

CASE(ops, poll_resfd_same_many, "so for many requests at once",
     .clause = "ops.poll.resfd_same", .needs = "eventfd memfd")
{
	enum { REQUESTS = 50 };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	int fd = open_counter(), i;

	pin_to_cpu(0);
	for (i = 0; i < REQUESTS; i++) {
		prep_poll(&iocbs[i], fd, POLLIN);
		ASSERT_EQ(1, submit_one(ctx, notify(&iocbs[i], fd)));
	}
	REQUIRE(!eventfd_write(fd, 1));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[i]), &iocbs[i],
			     POLLIN);
	let_worker_look();
	EXPECT_EQ(1 + REQUESTS, eventfd_take(fd));
}

CASE(ops, poll_resfd_chain, "two eventfds whose POLLs count on each other",
     .clause = "ops.poll.resfd_chain", .needs = "eventfd memfd")
{
	aio_handle ctx = new_context(2);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	int fds[2], i;

	pin_to_cpu(0);
	fds[0] = open_counter();
	fds[1] = open_counter();
	for (i = 0; i < 2; i++) {
		prep_poll(&iocbs[i], fds[i], POLLIN);
		ASSERT_EQ(1, submit_one(ctx, notify(&iocbs[i], fds[!i])));
	}
	REQUIRE(!eventfd_write(fds[0], 1));
	ASSERT_EQ(2, aio->getevents(ctx, 2, 2, events, NULL));
	EXPECT_EVENT(find_event(events, 2, &iocbs[0]), &iocbs[0], POLLIN);
	EXPECT_EVENT(find_event(events, 2, &iocbs[1]), &iocbs[1], POLLIN);
	let_worker_look();
	EXPECT_EQ(2, eventfd_take(fds[0]));
	EXPECT_EQ(1, eventfd_take(fds[1]));
}

CASE(ops, poll_resfd_long_chain,
     "a hundred eventfds, each counting on the next",
     .clause = "ops.poll.resfd_chain", .needs = "eventfd memfd")
{
	enum { LINKS = 100 };
	aio_handle ctx = new_context(LINKS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, LINKS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, LINKS);
	int fds[LINKS + 1], i;

	fds[0] = open_counter();
	for (i = 0; i < LINKS; i++) {
		fds[i + 1] = open_counter();
		prep_poll(&iocbs[i], fds[i], POLLIN);
		ASSERT_EQ(1, submit_one(ctx, notify(&iocbs[i], fds[i + 1])));
	}
	REQUIRE(!eventfd_write(fds[0], 1));
	ASSERT_EQ(LINKS, aio->getevents(ctx, LINKS, LINKS, events, NULL));
	for (i = 0; i < LINKS; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
	wait_readable(fds[LINKS]);
	EXPECT_EQ(1, eventfd_take(fds[LINKS]));
}

CASE(ops, poll_resfd_epoll_of_same,
     "a POLL of an epoll set may count on an eventfd in that set",
     .clause = "ops.poll.resfd_same", .needs = "eventfd epoll memfd")
{
	struct epoll_event interest = { .events = EPOLLIN };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int set = keep(epoll_create1(EPOLL_CLOEXEC)), fd = open_counter();

	pin_to_cpu(0);
	REQUIRE(!epoll_ctl(set, EPOLL_CTL_ADD, fd, &interest));
	prep_poll(iocb, set, POLLIN);
	ASSERT_EQ(1, submit_one(ctx, notify(iocb, fd)));
	REQUIRE(!eventfd_write(fd, 1));
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
	let_worker_look();
	EXPECT_EQ(2, eventfd_take(fd));
}

CASE(ops, poll_resfd_epoll_fed_back,
     "two POLLs of an epoll set that holds their eventfd, woken by another file",
     .clause = "ops.poll.resfd_epoll", .needs = "eventfd epoll memfd")
{
	struct epoll_event interest = { .events = EPOLLIN };
	aio_handle ctx = new_context(2);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	int set = keep(epoll_create1(EPOLL_CLOEXEC));
	int counter = open_counter(), ends[2], i;

	pin_to_cpu(0);
	open_pipe(ends, 0);
	REQUIRE(!epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &interest));
	REQUIRE(!epoll_ctl(set, EPOLL_CTL_ADD, counter, &interest));
	for (i = 0; i < 2; i++) {
		prep_poll(&iocbs[i], set, POLLIN);
		ASSERT_EQ(1, submit_one(ctx, notify(&iocbs[i], counter)));
	}
	put_byte(ends[1]);
	ASSERT_EQ(2, aio->getevents(ctx, 2, 2, events, NULL));
	EXPECT_EVENT(find_event(events, 2, &iocbs[0]), &iocbs[0], POLLIN);
	EXPECT_EVENT(find_event(events, 2, &iocbs[1]), &iocbs[1], POLLIN);
	let_worker_look();
	EXPECT_EQ(2, eventfd_take(counter));
}
