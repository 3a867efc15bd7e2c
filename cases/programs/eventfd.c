// SPDX-License-Identifier: GPL-2.0-or-later
/* A program with an event loop: it hears of completions by eventfd and epoll.
 */
#include <sys/epoll.h>

#include "case.h"

#define REQUESTS 128

struct loop {
	aio_handle ctx;
	int epoll, eventfd;
	struct iocb *iocbs;
	unsigned int called[REQUESTS];
	uint64_t announced;
	unsigned int taken;
};

static void set_up(struct loop *loop)
{
	struct epoll_event event = { .events = EPOLLIN };

	loop->ctx = new_context(REQUESTS);
	loop->eventfd = open_eventfd(0, O_NONBLOCK);
	loop->epoll = keep(epoll_create1(EPOLL_CLOEXEC));
	REQUIRE(!epoll_ctl(loop->epoll, EPOLL_CTL_ADD, loop->eventfd, &event));
	loop->iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
}

static void submit_all(struct loop *loop)
{
	struct storage storage = open_storage(O_RDONLY | O_DIRECT);
	unsigned char *buffers = io_buffer((size_t)REQUESTS * storage.block);
	struct iocb *list[REQUESTS];
	size_t at;
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		at = (size_t)i * storage.block;
		list[i] = prep_read(&loop->iocbs[i], storage.fd, buffers + at,
				    storage.block, storage.base + (int64_t)at);
		notify(list[i], loop->eventfd);
	}
	ASSERT_EQ(REQUESTS, aio->submit(loop->ctx, REQUESTS, list));
}

static void callback(struct loop *loop, const struct io_event *event)
{
	const struct iocb *iocb = (struct iocb *)(uintptr_t)event->obj;
	unsigned int i = (unsigned int)(iocb - loop->iocbs);

	ASSERT_TRUE(i < REQUESTS);
	EXPECT_EVENT(event, iocb, iocb->aio_nbytes);
	loop->called[i]++;
	loop->taken++;
}

/* What was announced is there: an event comes before its count. */
static void turn(struct loop *loop)
{
	struct io_event events[REQUESTS];
	struct epoll_event ready;
	uint64_t announced;
	long got, i;

	REQUIRE(epoll_wait(loop->epoll, &ready, 1, -1) == 1);
	announced = eventfd_take(loop->eventfd);
	loop->announced += announced;
	ASSERT_TRUE(announced <= REQUESTS);
	while (loop->taken < loop->announced) {
		got = aio->getevents(loop->ctx, 1,
				     (long)(loop->announced - loop->taken),
				     events, NULL);
		ASSERT_TRUE(got > 0);
		for (i = 0; i < got; i++)
			callback(loop, &events[i]);
	}
}

CASE(programs, eventfd_epoll,
     "128 reads that notify an eventfd are heard of 128 times",
     .clause = "programs.eventfd_epoll", .on = ON_ANY, .every_device = true,
     .needs = "eventfd epoll", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec none = { 0 };
	struct epoll_event ready;
	struct io_event event;
	struct loop loop = { 0 };
	unsigned int i;

	set_up(&loop);
	submit_all(&loop);
	while (loop.announced < REQUESTS)
		turn(&loop);
	EXPECT_EQ(REQUESTS, loop.announced);
	for (i = 0; i < REQUESTS; i++) {
		ROUND("request %u", i);
		EXPECT_EQ(1, loop.called[i]);
	}
	ROUNDS_END();
	EXPECT_EQ(0, epoll_wait(loop.epoll, &ready, 1, 0));
	EXPECT_EQ(0, aio->getevents(loop.ctx, 0, 1, &event, &none));
}
