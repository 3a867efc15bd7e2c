// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What io_destroy() ends with the context: its mapping, its unreaped events,
 * its pending polls, its share of the quota; and nothing else.
 */
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"
#include "copy.h"

#define REQUESTS 5

#ifndef SYS_mseal
#define SYS_mseal 462 /* since 6.10, the same on every architecture */
#endif

CASE(io_destroy, success_idle, "a context without requests is destroyed",
     .clause = "io_destroy.success")
{
	aio_handle ctx = new_context(8);

	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_destroy, unmaps_ring, "the ring is unmapped, its neighbours are not",
     .clause = "io_destroy.unmaps")
{
	aio_handle before = new_context(8), ctx = new_context(8),
		   after = new_context(8);
	size_t size = ring_size(ring_of(ctx)->nr);
	size_t offset;
	struct io_event event;

	EXPECT_OK(aio->destroy(ctx));
	for (offset = 0; offset < size; offset += PAGE_SIZE)
		EXPECT_TRUE(!is_mapped((char *)ctx + offset));
	EXPECT_EQ(2, maps_named("/[aio]"));
	EXPECT_EQ(AIO_RING_MAGIC, ring_of(before)->magic);
	EXPECT_EQ(AIO_RING_MAGIC, ring_of(after)->magic);
	EXPECT_EQ(0, aio->getevents(before, 0, 1, &event, NULL));
	EXPECT_EQ(0, aio->getevents(after, 0, 1, &event, NULL));
}

/* The unmapping is refused then; the context is not the program's any more. */
static void destroy_sealed(void)
{
	aio_handle ctx = new_context(8);
	size_t size = ring_size(ring_of(ctx)->nr);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event event;
	uint32_t magic;
	int ends[2];

	open_pipe(ends, 0);
	stage_submit(ctx, prep_poll(iocb, ends[0], POLLIN));
	if (syscall(SYS_mseal, ctx, size, 0))
		SKIP("mseal: %s", strerror(errno));
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_TRUE(is_mapped((void *)ctx));
	EXPECT_ERR(EINVAL, aio->destroy(ctx));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, 1, &event, NULL));
	/* what was mapped is cut off once nobody looks the context up any more
	 */
	WAIT_FOR(!copy_checked(&magic, (void *)ctx, sizeof(magic)));
	end_context(new_context(8));
}

/* In a child, for the mapping goes with the process alone. */
CASE(io_destroy, sealed_ring,
     "a ring sealed by mseal() stays, its context goes",
     .clause = "io_destroy.sealed")
{
	pid_t child = child_fork();

	if (!child) {
		destroy_sealed();
		child_exit(0);
	}
	EXPECT_CHILD_OK(child);
}

CASE(io_destroy, drops_events, "events that nobody reaped go with the context",
     .clause = "io_destroy.drops_events")
{
	aio_handle ctx = new_context(REQUESTS), next;
	struct iocb iocbs[REQUESTS];
	struct timespec none = { 0 };
	struct io_event event;
	int fd = open_eventfd(1, 0), i;

	for (i = 0; i < REQUESTS; i++)
		stage_submit(ctx, prep_poll(&iocbs[i], fd, POLLIN));
	STAGE_EQ(REQUESTS, ring_unread(ctx));
	EXPECT_OK(aio->destroy(ctx));
	next = new_context(REQUESTS);
	EXPECT_EQ(0, ring_unread(next));
	EXPECT_EQ(0, aio->getevents(next, 0, 1, &event, &none));
}

CASE(io_destroy, cancels_polls, "pending polls are cancelled, not waited for",
     .clause = "io_destroy.cancels.polls")
{
	aio_handle ctx = new_context(REQUESTS);
	struct iocb iocbs[REQUESTS];
	int ends[2], i;

	open_pipe(ends, 0);
	for (i = 0; i < REQUESTS; i++)
		stage_submit(ctx, prep_poll(&iocbs[i], ends[0], POLLIN));
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_EQ(0, maps_named("/[aio]"));
}

/* Each on a file of its own, and one that has been woken already. */
CASE(io_destroy, cancels_each_poll, "polls of many files, some ended, are gone",
     .clause = "io_destroy.cancels.polls")
{
	aio_handle ctx = new_context(REQUESTS);
	struct iocb iocbs[REQUESTS];
	int fds[REQUESTS], i;
	uint64_t one = 1;

	for (i = 0; i < REQUESTS; i++) {
		fds[i] = open_eventfd(0, 0);
		stage_submit(ctx, prep_poll(&iocbs[i], fds[i], POLLIN));
	}
	REQUIRE(write(fds[2], &one, sizeof(one)) == sizeof(one));
	STAGE_EQ(1, ring_unread(ctx));
	EXPECT_OK(aio->destroy(ctx));
	/* nobody waits on them any more: a wake-up must find nothing */
	for (i = 0; i < REQUESTS; i++)
		REQUIRE(write(fds[i], &one, sizeof(one)) == sizeof(one));
}

CASE(io_destroy, cancelled_polls_notify,
     "the polls that it cancels signal their eventfds, once each",
     .clause = "io_destroy.cancels.resfd")
{
	aio_handle ctx = new_context(REQUESTS);
	struct iocb iocbs[REQUESTS];
	int fd = open_eventfd(0, 0), resfd = open_eventfd(0, O_NONBLOCK), i;

	for (i = 0; i < REQUESTS; i++)
		stage_submit(ctx,
			     notify(prep_poll(&iocbs[i], fd, POLLIN), resfd));
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_EQ(REQUESTS, eventfd_take(resfd));
}

CASE(io_destroy, slot_reused, "the index of a destroyed context is used again",
     .clause = "io_destroy.slot_reuse")
{
	aio_handle first = new_context(8), second = new_context(8), third;
	unsigned int id = ring_of(first)->id;
	struct io_event event;

	EXPECT_OK(aio->destroy(first));
	third = new_context(8);
	EXPECT_EQ(id, ring_of(third)->id);
	EXPECT_EQ(0, aio->getevents(second, 0, 1, &event, NULL));
	EXPECT_EQ(0, aio->getevents(third, 0, 1, &event, NULL));
	EXPECT_OK(aio->destroy(third));
	EXPECT_OK(aio->destroy(second));
}

CASE(io_destroy, quota_back, "fs.aio-nr falls by what was asked for",
     .clause = "io_setup.accounting.destroy", .serial = SERIAL_BODY)
{
	aio_handle small = new_context(3), large = new_context(1000);

	EXPECT_EQ(aio_nr_at_start() + 1003, aio_nr());
	EXPECT_OK(aio->destroy(small));
	EXPECT_EQ(aio_nr_at_start() + 1000, aio_nr());
	EXPECT_ERR(EINVAL, aio->destroy(small));
	EXPECT_EQ(aio_nr_at_start() + 1000, aio_nr());
	EXPECT_OK(aio->destroy(large));
	EXPECT_QUOTA_BACK();
}

CASE(io_destroy, quota_loop, "the whole quota, again and again, is never short",
     .clause = "io_destroy.quota_loop", .flavours = NATIVE,
     .serial = SERIAL_BODY, .quota = 0x7fffffff)
{
	unsigned int left =
		(unsigned int)(sysctl_get("fs/aio-max-nr") - aio_nr());
	aio_handle ctx;
	int round;

	if (left > 65536)
		SKIP("fs.aio-max-nr leaves %u events: too much memory", left);
	for (round = 0; round < 5; round++) {
		ctx = 0;
		ASSERT_OK(aio->setup(left, &ctx));
		ASSERT_OK(aio->destroy(ctx));
	}
	EXPECT_QUOTA_BACK();
}

/* --- what a destroyed context still holds on to --- */

CASE(io_destroy, releases_files, "no file is held by a poll that it cancelled",
     .clause = "io_destroy.references")
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	struct pollfd writer;
	int ends[2];

	open_pipe(ends, 0);
	stage_submit(ctx, prep_poll(&iocb, ends[0], POLLIN));
	drop(ends[0]);
	writer = (struct pollfd){ .fd = ends[1], .events = POLLOUT };
	REQUIRE(poll(&writer, 1, 0) == 1);
	EXPECT_EQ(POLLOUT, writer.revents);
	EXPECT_OK(aio->destroy(ctx));
	/* the read end was the request's alone: the pipe is broken, soon */
	WAIT_FOR(poll(&writer, 1, 0) == 1 && writer.revents & POLLERR);
	EXPECT_EQ(POLLOUT | POLLERR, writer.revents);
}
