// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_cancel() of a POLL in flight: EINPROGRESS, and one event in the ring.
 *
 * The manual page still tells of a result in memory and a return value of 0;
 * programs written by it free a request that is yet to complete.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"

#define UNTOUCHED 0xee

CASE(io_cancel, poll_einprogress, "a pending POLL is cancelled: EINPROGRESS",
     .clause = "io_cancel.poll.einprogress", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;

	stage_poll(ctx, iocb);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, &event));
	EXPECT_COMPLETES(ctx, iocb, 0);
}

CASE(io_cancel, poll_event,
     "the event comes through the ring, with result 0 and the request's data",
     .clause = "io_cancel.poll.event", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);
	int fd = open_eventfd(0, 0);

	prep_poll(iocb, fd, POLLIN | POLLPRI)->aio_data = 0x0123456789abcdef;
	stage_submit(ctx, iocb);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	memset(event, UNTOUCHED, sizeof(*event));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, 0);
}

CASE(io_cancel, poll_event_of_pipe, "a POLL on a pipe is cancelled, too",
     .clause = "io_cancel.poll.event")
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	aio_handle ctx = new_context(2);
	int ends[2];

	open_pipe(ends, 0);
	stage_submit(ctx, prep_poll(&iocbs[0], ends[0], POLLIN));
	stage_submit(ctx, prep_poll(&iocbs[1], ends[1], 0));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[0], NULL));
	EXPECT_COMPLETES(ctx, &iocbs[0], 0);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[1], NULL));
	EXPECT_COMPLETES(ctx, &iocbs[1], 0);
}

CASE(io_cancel, poll_event_of_socket, "a POLL on a socket is cancelled, too",
     .clause = "io_cancel.poll.event", .needs = "unix_sockets")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int ends[2];

	open_sockets(ends);
	stage_submit(ctx, prep_poll(iocb, ends[0], POLLIN));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
}

CASE(io_cancel, poll_one_event,
     "a cancelled request has one event, whatever becomes of the file later",
     .clause = "io_cancel.poll.one_event", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(2);
	int fd = stage_poll(ctx, iocb);

	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
	end_poll(fd);
	EXPECT_EQ(0, ring_unread(ctx));
	/* the ring goes on from there */
	stage_events(ctx, 1, iocb);
	EXPECT_COMPLETED(ctx, iocb, POLLIN);
}

/* Submit POLLs that stay in flight until the context takes no more. */
static unsigned int fill(aio_handle ctx, int fd, struct iocb *iocbs)
{
	unsigned int room = ring_capacity(ring_of(ctx)->nr), n = 0;

	while (n < room &&
	       submit_one(ctx, prep_poll(&iocbs[n], fd, POLLIN)) == 1)
		n++;
	ASSERT_EQ(-EAGAIN, submit_one(ctx, prep_poll(&iocbs[n], fd, POLLIN)));
	return n;
}

CASE(io_cancel, poll_slot_back,
     "the slot of a cancelled request comes back when its event is reaped",
     .clause = "io_cancel.poll.one_event", .needs = "eventfd")
{
	aio_handle ctx = new_context(8);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, ring_of(ctx)->nr + 1);
	int fd = open_eventfd(0, 0);
	struct io_event event;
	unsigned int n;

	/* slots are kept for each CPU */
	pin_to_cpu(0);
	n = fill(ctx, fd, iocbs);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[n / 2], NULL));
	WAIT_FOR(ring_unread(ctx));
	EXPECT_ERR(EAGAIN, submit_one(ctx, &iocbs[n]));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, &iocbs[n / 2], 0);
	EXPECT_EQ(1, submit_one(ctx, &iocbs[n]));
	EXPECT_ERR(EAGAIN, submit_one(ctx, &iocbs[n]));
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_cancel, poll_wakes,
     "the event of a cancelled request wakes a waiter in io_getevents",
     .clause = "io_cancel.poll.wakes", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);
	struct waiter *waiter;

	stage_poll(ctx, iocb);
	waiter = waiter_run(ctx, 1, 1, event, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	ASSERT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(event, iocb, 0);
}

CASE(io_cancel, poll_wakes_nth,
     "a cancelled request counts for a waiter like any other",
     .clause = "io_cancel.poll.wakes", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { N = 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	struct io_event *events = GUARDED_ARRAY(struct io_event, N);
	aio_handle ctx = new_context(N);
	struct waiter *waiter;
	unsigned int i;
	int fds[N];

	for (i = 0; i < N; i++)
		fds[i] = stage_poll(ctx, &iocbs[i]);
	waiter = waiter_run(ctx, N, N, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[1], NULL));
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fds[2]);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[0], NULL));
	ASSERT_EQ(N, waiter_result(waiter));
	EXPECT_EVENT(find_event(events, N, &iocbs[0]), &iocbs[0], 0);
	EXPECT_EVENT(find_event(events, N, &iocbs[1]), &iocbs[1], 0);
	EXPECT_EVENT(find_event(events, N, &iocbs[2]), &iocbs[2], POLLIN);
}

/* Whether nobody has the reading end of a pipe open any more. */
static bool without_reader(int writing_end)
{
	struct pollfd poll_writer = { .fd = writing_end, .events = POLLOUT };

	REQUIRE(poll(&poll_writer, 1, 0) >= 0);
	return poll_writer.revents & POLLERR;
}

CASE(io_cancel, poll_file_released,
     "the polled file is held until the cancel, and let go after it",
     .clause = "io_cancel.poll.file_released")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int ends[2];

	open_pipe(ends, 0);
	stage_submit(ctx, prep_poll(iocb, ends[0], POLLIN));
	drop(ends[0]);
	EXPECT_TRUE(!without_reader(ends[1]));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
	WAIT_FOR(without_reader(ends[1]));
}

CASE(io_cancel, result_unused, "the memory for a result is not written",
     .clause = "io_cancel.result.unused", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *result = GUARDED(struct io_event);
	struct io_event untouched;
	aio_handle ctx = new_context(1);

	memset(result, UNTOUCHED, sizeof(*result));
	untouched = *result;
	stage_poll(ctx, iocb);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, result));
	EXPECT_MEM(&untouched, result, sizeof(*result));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_MEM(&untouched, result, sizeof(*result));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, result));
	EXPECT_MEM(&untouched, result, sizeof(*result));
}

CASE(io_cancel, result_any_address,
     "the address for a result may be NULL, read-only or nowhere",
     .clause = "io_cancel.result.unused", .needs = "eventfd")
{
	struct io_event *constant = io_buffer(sizeof(*constant));
	struct io_event *const results[] = { NULL, nowhere(), kernel_address(),
					     constant };
	enum { N = sizeof(results) / sizeof(results[0]) };
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(N);
	unsigned int i;

	read_only(constant, sizeof(*constant));
	for (i = 0; i < N; i++) {
		stage_poll(ctx, iocb);
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, results[i]));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}

CASE(io_cancel, twice, "a second cancel of the same request is refused",
     .clause = "io_cancel.twice", .needs = "eventfd")
{
	enum { N = 16 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	aio_handle ctx = new_context(N);
	struct io_event events[N];
	unsigned int i;

	for (i = 0; i < N; i++)
		stage_poll(ctx, &iocbs[i]);
	for (i = 0; i < N; i++) {
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[i], NULL));
		EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocbs[i], NULL));
	}
	ASSERT_EQ(N, aio->getevents(ctx, N, N, events, NULL));
	for (i = 0; i < N; i++) {
		EXPECT_EVENT(find_event(events, N, &iocbs[i]), &iocbs[i], 0);
		EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocbs[i], NULL));
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

/* The event is made by a worker of this CPU, which cannot run yet. */
CASE(io_cancel, twice_before_event,
     "a second cancel is refused before the first one's event is there, too",
     .clause = "io_cancel.twice", .needs = "realtime eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	long first, second;

	stage_poll(ctx, iocb);
	hold_cpu();
	first = aio->cancel(ctx, iocb, NULL);
	second = aio->cancel(ctx, iocb, NULL);
	let_cpu_go();
	EXPECT_ERR(EINPROGRESS, first);
	EXPECT_ERR(EINVAL, second);
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_OK(aio->destroy(ctx));
}

/* --- which request it is --- */

CASE(io_cancel, identity_copy, "a copy of the iocb is not the request",
     .clause = "io_cancel.identity", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct iocb *copy = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);

	stage_poll(ctx, iocb);
	*copy = *iocb;
	EXPECT_ERR(EINVAL, aio->cancel(ctx, copy, NULL));
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
}

CASE(io_cancel, identity_contents,
     "what stands in the iocb, but for its key, does not matter",
     .clause = "io_cancel.identity", .needs = "eventfd")
{
	struct iocb *iocb = io_buffer(sizeof(*iocb));
	uint64_t data = 0x1122334455667788;
	aio_handle ctx = new_context(1);
	struct io_event event;

	prep_poll(iocb, open_eventfd(0, 0), POLLIN)->aio_data = data;
	stage_submit(ctx, iocb);
	memset(iocb, UNTOUCHED, sizeof(*iocb));
	iocb->aio_key = 0;
	read_only(iocb, sizeof(*iocb));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EQ(data, event.data);
	EXPECT_EQ((uintptr_t)iocb, event.obj);
}

CASE(io_cancel, other_ctx,
     "another context does not know the request, which stays in flight",
     .clause = "io_cancel.other_ctx", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct iocb *theirs = GUARDED(struct iocb);
	aio_handle ctx = new_context(1), other = new_context(1);
	int fd = stage_poll(ctx, iocb);

	EXPECT_ERR(EINVAL, aio->cancel(other, iocb, NULL));
	stage_poll(other, theirs);
	EXPECT_ERR(EINVAL, aio->cancel(other, iocb, NULL));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, theirs, NULL));
	EXPECT_EQ(0, ring_unread(other));
	EXPECT_EQ(0, ring_unread(ctx));
	end_poll(fd);
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
}

static void expect_one_of_many(unsigned int cancelled)
{
	enum { N = 5 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	aio_handle ctx = new_context(N);
	unsigned int i;
	int fds[N];

	for (i = 0; i < N; i++)
		fds[i] = stage_poll(ctx, &iocbs[i]);
	ASSERT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[cancelled], NULL));
	EXPECT_COMPLETES(ctx, &iocbs[cancelled], 0);
	for (i = 0; i < N; i++) {
		if (i == cancelled)
			continue;
		EXPECT_EQ(0, ring_unread(ctx));
		end_poll(fds[i]);
		EXPECT_COMPLETES(ctx, &iocbs[i], POLLIN);
	}
}

CASE(io_cancel, among_many,
     "the first, the last or one between is cancelled, the others are not",
     .clause = "io_cancel.among_many", .needs = "eventfd")
{
	expect_one_of_many(0);
	expect_one_of_many(2);
	expect_one_of_many(4);
}

CASE(io_cancel, among_many_all,
     "all can be cancelled, in any order, and each has its event",
     .clause = "io_cancel.among_many", .needs = "eventfd")
{
	static const unsigned int order[] = { 3, 0, 4, 1, 5, 2 };
	enum { N = sizeof(order) / sizeof(order[0]) };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	aio_handle ctx = new_context(N);
	struct io_event events[N];
	unsigned int i;

	for (i = 0; i < N; i++)
		stage_poll(ctx, &iocbs[i]);
	for (i = 0; i < N; i++)
		EXPECT_ERR(EINPROGRESS,
			   aio->cancel(ctx, &iocbs[order[i]], NULL));
	ASSERT_EQ(N, aio->getevents(ctx, N, N, events, NULL));
	for (i = 0; i < N; i++)
		EXPECT_EVENT(find_event(events, N, &iocbs[i]), &iocbs[i], 0);
	EXPECT_OK(aio->destroy(ctx));
}

#define THOUSANDS 3000

CASE(io_cancel, among_thousands, "however many there are, each is found",
     .clause = "io_cancel.among_many", .needs = "eventfd", .quota = THOUSANDS,
     .time_limit = 30)
{
	static const unsigned int order[] = {
		THOUSANDS - 1, 64, 65, THOUSANDS / 2, 255, 1023, 2049, 1, 0,
	};
	enum { CANCELLED = sizeof(order) / sizeof(order[0]) };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THOUSANDS);
	struct iocb **list = GUARDED_ARRAY(struct iocb *, THOUSANDS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, THOUSANDS);
	unsigned char *seen = guarded(THOUSANDS);
	aio_handle ctx = new_context(THOUSANDS);
	int efd = open_eventfd(0, 0);
	long i, at;

	memset(seen, 0, THOUSANDS);
	for (i = 0; i < THOUSANDS; i++)
		list[i] = prep_poll(&iocbs[i], efd, POLLIN);
	STAGE_EQ(THOUSANDS, aio->submit(ctx, THOUSANDS, list));
	for (i = 0; i < CANCELLED; i++) {
		ROUND("request %u", order[i]);
		ASSERT_ERR(EINPROGRESS,
			   aio->cancel(ctx, &iocbs[order[i]], NULL));
		EXPECT_COMPLETES(ctx, &iocbs[order[i]], 0);
		seen[order[i]] = 1;
	}
	REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
	ASSERT_EQ(THOUSANDS - CANCELLED,
		  aio->getevents(ctx, THOUSANDS - CANCELLED, THOUSANDS, events,
				 NULL));
	for (i = 0; i < THOUSANDS - CANCELLED; i++) {
		at = (struct iocb *)(uintptr_t)events[i].obj - iocbs;
		ASSERT_TRUE(at >= 0 && at < THOUSANDS && !seen[at]);
		seen[at] = 1;
		EXPECT_EVENT(&events[i], &iocbs[at], POLLIN);
	}
}

#define FOUR_GIB (1ull << 32)

CASE(io_cancel, address_whole,
     "an iocb is known by all of its address, not by the lower half",
     .clause = "io_cancel.einval.never_submitted", .needs = "eventfd wide_long",
     .flavours = NATIVE)
{
	size_t size = (size_t)FOUR_GIB + PAGE_SIZE;
	aio_handle ctx = new_context(1);
	struct iocb *low, *high;
	char *pages;

	pages = mmap(NULL, size, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(pages != MAP_FAILED);
	low = (struct iocb *)pages;
	high = (struct iocb *)(pages + (size_t)FOUR_GIB);
	REQUIRE(!mprotect(low, PAGE_SIZE, PROT_READ | PROT_WRITE));
	REQUIRE(!mprotect(high, PAGE_SIZE, PROT_READ | PROT_WRITE));
	prep_poll(low, open_eventfd(0, 0), POLLIN);
	stage_submit(ctx, low);
	*high = *low; /* with the key that submission has written */
	EXPECT_ERR(EINVAL, aio->cancel(ctx, high, NULL));
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, low, NULL));
	munmap(pages, size);
}

CASE(io_cancel, same_twice_submitted,
     "of an iocb submitted twice each cancel takes one, the older first",
     .clause = "io_cancel.same_twice_submitted", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(2);
	struct io_event event;
	uint64_t i;

	/* the data tells them apart */
	for (i = 0; i < 2; i++) {
		prep_poll(iocb, open_eventfd(0, 0), POLLIN)->aio_data = i;
		stage_submit(ctx, iocb);
	}
	for (i = 0; i < 2; i++) {
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
		EXPECT_EQ((uintptr_t)iocb, event.obj);
		EXPECT_EQ(i, event.data);
		EXPECT_EQ(0, event.res);
		EXPECT_EQ(0, ring_unread(ctx));
	}
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
}

CASE(io_cancel, same_again,
     "an iocb that was cancelled can be submitted and cancelled again",
     .clause = "io_cancel.same_twice_submitted", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		stage_poll(ctx, iocb);
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}
