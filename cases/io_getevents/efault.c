// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_getevents() with an array that cannot be written, or a time-out that
 * cannot be read, gives EFAULT; no event is lost by that.
 *
 * An event that was taken from the ring and stored nowhere is a request whose
 * end nobody ever learns of.
 */
#include "case.h"

#define EVENTS_IN_A_PAGE (PAGE_SIZE / sizeof(struct io_event))
#define UNTOUCHED	 0xee

/* An array of which n events can be written; an unmapped page is behind. */
static struct io_event *array_for(unsigned int n)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, n);

	memset(events, UNTOUCHED, n * sizeof(*events));
	return events;
}

static void expect_nothing_lost(aio_handle ctx, unsigned int head,
				unsigned int n, const struct iocb *iocbs)
{
	struct io_event *events = array_for(n);
	unsigned int i;

	EXPECT_EQ(head, ring_of(ctx)->head);
	EXPECT_EQ(n, ring_unread(ctx));
	ASSERT_EQ(n, aio->getevents(ctx, n, n, events, NULL));
	for (i = 0; i < n; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
	EXPECT_EQ((head + n) % ring_of(ctx)->nr, ring_of(ctx)->head);
}

CASE(io_getevents, efault_events, "an array that cannot be written is EFAULT",
     .clause = "io_getevents.efault.events", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct io_event *constant = io_buffer(sizeof(*constant));
	struct timespec none = millis(0), hour = millis(3600 * 1000);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);

	stage_events(ctx, 1, iocb);
	read_only(constant, sizeof(*constant));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, NULL, NULL));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, nowhere(), NULL));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, kernel_address(), NULL));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, constant, NULL));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, nowhere(), &none));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, nowhere(), &hour));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 0, 1, nowhere(), NULL));
}

CASE(io_getevents, efault_alias,
     "so is the kernel's own address of memory that is the caller's",
     .clause = "io_getevents.efault.events",
     .needs = "eventfd page_frames wide_long", .flavours = NATIVE)
{
	struct io_event *page = io_buffer(PAGE_SIZE), *alias, *there;
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	unsigned int way;

	there = io_buffer(PAGE_SIZE);
	memset(page, UNTOUCHED, PAGE_SIZE);
	memcpy(there, page, PAGE_SIZE);
	stage_events(ctx, 1, iocb);
	for (way = 0; (alias = kernel_alias(page, way)); way++) {
		ROUND("way %u", way);
		ASSERT_ERR(EFAULT, aio->getevents(ctx, 1, 1, alias, NULL));
		EXPECT_MEM(there, page, PAGE_SIZE);
	}
	expect_nothing_lost(ctx, 0, 1, iocb);
}

CASE(io_getevents, efault_events_empty,
     "with no event there a bad array is not noticed",
     .clause = "io_getevents.efault.events_empty",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct timespec none = millis(0), shortest = { 0, 1 };
	aio_handle ctx = new_context(1);

	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, nowhere(), &none));
	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, kernel_address(), &shortest));
	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, NULL, NULL));
}

CASE(io_getevents, efault_nothing_lost,
     "after EFAULT head stands where it stood, and the events are there",
     .clause = "io_getevents.efault.nothing_lost", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { N = 3 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	aio_handle ctx = new_context(N);

	stage_events(ctx, N, iocbs);
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, N, nowhere(), NULL));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, N, N, nowhere(), NULL));
	expect_nothing_lost(ctx, 0, N, iocbs);
}

/*
 * What lies in front of the array is good memory here: a call that went on
 * after the fault with the error as a count would store its events there.
 */
CASE(io_getevents, efault_nothing_written,
     "after EFAULT nothing in front of the array was written",
     .clause = "io_getevents.efault.nothing_lost", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { FRONT = 64 };
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *front = array_for(FRONT);
	struct io_event *before = array_for(FRONT);
	struct timespec shortest = { 0, 1 };
	aio_handle ctx = new_context(1);

	stage_events(ctx, 1, iocb);
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, front + FRONT, NULL));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, front + FRONT, &shortest));
	EXPECT_MEM(before, front, FRONT * sizeof(*front));
	expect_nothing_lost(ctx, 0, 1, iocb);
}

CASE(io_getevents, efault_middle,
     "an array that ends before nr is EFAULT for all, none is consumed",
     .clause = "io_getevents.efault.middle", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { THERE = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	aio_handle ctx = new_context(THERE);
	unsigned int room;

	stage_events(ctx, THERE, iocbs);
	for (room = 1; room < THERE; room++)
		EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, THERE,
						  array_for(room), NULL));
	expect_nothing_lost(ctx, 0, THERE, iocbs);
}

CASE(io_getevents, efault_middle_of_event,
     "an array that ends within its last event is EFAULT for all",
     .clause = "io_getevents.efault.middle", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { THERE = 2 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	aio_handle ctx = new_context(THERE);
	char *short_by_one =
		guarded(THERE * sizeof(struct io_event) - sizeof(uint64_t));

	stage_events(ctx, THERE, iocbs);
	EXPECT_ERR(EFAULT,
		   aio->getevents(ctx, 1, THERE,
				  (struct io_event *)short_by_one, NULL));
	expect_nothing_lost(ctx, 0, THERE, iocbs);
}

/* The piece up to the boundary is copied well; the one after it faults. */
CASE(io_getevents, efault_second_page,
     "EFAULT beyond a page of the ring takes back the piece before it",
     .clause = "io_getevents.efault.middle", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS, .quota = 2048)
{
	enum { BEFORE = 2, N = 4 };
	/* the header takes the place of one event in the first page */
	const unsigned int place = EVENTS_IN_A_PAGE - 1 - BEFORE;
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	aio_handle ctx = new_context(EVENTS_IN_A_PAGE);

	stage_ring_at(ctx, place);
	stage_events(ctx, N, iocbs);
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, N, array_for(BEFORE), NULL));
	EXPECT_ERR(EFAULT,
		   aio->getevents(ctx, N, N, array_for(BEFORE + 1), NULL));
	expect_nothing_lost(ctx, place, N, iocbs);
}

CASE(io_getevents, efault_wrapped,
     "EFAULT beyond the ring's end takes back the piece before it",
     .clause = "io_getevents.efault.middle", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { BEFORE = 2, N = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	aio_handle ctx = new_context(N);
	unsigned int place = ring_of(ctx)->nr - BEFORE;

	stage_ring_at(ctx, place);
	stage_events(ctx, N, iocbs);
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, N, array_for(BEFORE), NULL));
	EXPECT_ERR(EFAULT,
		   aio->getevents(ctx, N, N, array_for(BEFORE + 1), NULL));
	expect_nothing_lost(ctx, place, N, iocbs);
}

CASE(io_getevents, efault_room_is_enough,
     "an array with room for just nr is filled to its end",
     .clause = "io_getevents.efault.middle", .needs = "eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	enum { N = 4 };
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, N);
	aio_handle ctx = new_context(N);
	unsigned int room, i, taken = 0;

	stage_events(ctx, N, iocbs);
	for (room = 1; taken + room <= N; room++) {
		struct io_event *events = array_for(room);

		ASSERT_EQ(room, aio->getevents(ctx, room, room, events, NULL));
		for (i = 0; i < room; i++)
			EXPECT_EVENT(&events[i], &iocbs[taken + i], POLLIN);
		taken += room;
	}
	EXPECT_EQ(N - taken, ring_unread(ctx));
}

CASE(io_getevents, efault_after_wait,
     "a fault after events were stored in the same wait gives their number",
     .clause = "io_getevents.efault.after_wait",
     .needs = "eventfd task_syscall", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event *events = array_for(1), event;
	aio_handle ctx = new_context(2);
	struct waiter *waiter;
	int second;

	stage_events(ctx, 1, &iocbs[0]);
	second = stage_poll(ctx, &iocbs[1]);
	waiter = waiter_run(ctx, 2, 2, events, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_EQ(0, ring_unread(ctx));
	end_poll(second);

	ASSERT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EQ(1, ring_unread(ctx));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, &iocbs[1], POLLIN);
}

CASE(io_getevents, efault_while_waiting,
     "an array that is bad when the first event comes ends the wait: EFAULT",
     .clause = "io_getevents.efault.nothing_lost",
     .needs = "eventfd task_syscall", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct waiter *waiter;
	int fd = stage_poll(ctx, iocb);

	waiter = waiter_run(ctx, 1, 1, nowhere(), NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	EXPECT_ERR(EFAULT, waiter_result(waiter));
	expect_nothing_lost(ctx, 0, 1, iocb);
}

/* libaio reads the time-out itself. */
CASE(io_getevents, efault_timeout, "a time-out that cannot be read is EFAULT",
     .clause = "io_getevents.efault.timeout", .needs = "eventfd",
     .flavours = RAW | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;
	/* its last byte is missing */
	char *straddling = guarded(sizeof(struct timespec) - 1);

	stage_events(ctx, 1, iocb);
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, &event, nowhere()));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, &event, kernel_address()));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, &event,
					  (struct timespec *)straddling));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 0, 0, NULL, nowhere()));
	EXPECT_EQ(1, ring_unread(ctx));
}

CASE(io_getevents, efault_timeout_order,
     "an unreadable time-out wins over a bad context and bad counts",
     .clause = "io_getevents.efault.timeout_order",
     .flavours = RAW | PGETEVENTS)
{
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EFAULT, aio->getevents(0, 1, 1, &event, nowhere()));
	EXPECT_ERR(EFAULT, aio->getevents(~0ul, 1, 1, &event, nowhere()));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, -1, 1, &event, nowhere()));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 0, -1, &event, nowhere()));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 2, 1, &event, nowhere()));
	EXPECT_ERR(EFAULT, aio->getevents(0, 2, 1, nowhere(), nowhere()));
}
