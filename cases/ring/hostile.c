// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Garbage in the ring: a program may write to every byte of it at any time.
 *
 * Whatever stands there, no event comes from outside the ring, no more requests
 * are in flight than it has room for, and the kernel's own account stays true.
 */
#include "case.h"

#define EVENTS	1 /* the smallest ring */
#define UNREAD	5
#define GARBAGE 1000

/* Numbers for head and tail; those below 0 are offsets from the ring's nr. */
static const unsigned int odd_numbers[] = {
	0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 1u << 16,
};
#define ODD_NUMBERS (sizeof(odd_numbers) / sizeof(odd_numbers[0]))
#define VALUES	    (ODD_NUMBERS + 6)

/* What to store in a ring of nr places. */
static unsigned int value(unsigned int i, unsigned int nr)
{
	const unsigned int near[] = {
		0, nr - 1, nr, nr + 1, 2 * nr, 2 * nr + 1
	};

	return i < ODD_NUMBERS ? odd_numbers[i] : near[i - ODD_NUMBERS];
}

/* Places from head to tail in a ring of nr, wherever they point. */
static unsigned int distance(unsigned int head, unsigned int tail,
			     unsigned int nr)
{
	return (tail % nr + nr - head % nr) % nr;
}

/*
 * A ring that has gone round, so that each place holds an event of its own,
 * with some unread at its end, which is in the midst.
 */
static aio_handle used_ring(void)
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, half = nr / 2, i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, half);

	for (i = 0; i < 3; i++) {
		stage_complete(ctx, half, i * half);
		stage_reap(ctx, half, events);
	}
	stage_complete(ctx, UNREAD, i * half);
	return ctx;
}

static struct aio_ring *copy_of_ring(aio_handle ctx)
{
	size_t size = ring_size(ring_of(ctx)->nr);
	void *copy = guarded(size);

	memcpy(copy, (void *)ctx, size);
	return copy;
}

/* What io_getevents() gives lies in the ring from head to tail, all of it. */
static void expect_all_between(aio_handle ctx, unsigned int head,
			       unsigned int tail)
{
	const struct aio_ring *copy = copy_of_ring(ctx);
	unsigned int nr = copy->nr, n = distance(head, tail, nr), i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2 * nr);

	ASSERT_EQ(n, aio->getevents(ctx, 0, 2 * nr, events, NULL));
	for (i = 0; i < n; i++)
		EXPECT_MEM(&copy->events[(head % nr + i) % nr], &events[i],
			   sizeof(*events));
	EXPECT_EQ(tail % nr, ring_of(ctx)->head);
}

CASE(ring, hostile_head,
     "a head beyond the ring is taken modulo nr, and put right",
     .clause = "ring.hostile.head", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	unsigned int i, head;
	aio_handle ctx;

	for (i = 0; i < VALUES; i++) {
		ctx = used_ring();
		head = value(i, ring_of(ctx)->nr);
		ring_of(ctx)->head = head;
		expect_all_between(ctx, head, ring_of(ctx)->tail);
		EXPECT_WORKS(ctx, i);
	}
}

CASE(ring, hostile_head_ahead,
     "a head just past tail gives every other place of the ring",
     .clause = "ring.hostile.head", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = used_ring();
	unsigned int head = ring_of(ctx)->tail + 1;

	ring_of(ctx)->head = head;
	EXPECT_EQ(ring_of(ctx)->nr - 1,
		  distance(head, ring_of(ctx)->tail, ring_of(ctx)->nr));
	expect_all_between(ctx, head, ring_of(ctx)->tail);
	EXPECT_WORKS(ctx, 1);
}

/* Requests that stay in flight: nobody writes to this pipe. */
static struct iocb *pending_poll(void)
{
	static struct iocb iocb;
	static int ends[2];

	if (!ends[0])
		open_pipe(ends, 0);
	return prep_poll(&iocb, ends[0], POLLIN);
}

static unsigned int submit_until_full(aio_handle ctx)
{
	struct iocb *iocb = pending_poll();
	unsigned int accepted = 0, nr = ring_of(ctx)->nr;
	long ret;

	while (accepted <= nr) {
		ret = submit_one(ctx, iocb);
		if (ret != 1) {
			EXPECT_EQ(-EAGAIN, ret);
			break;
		}
		accepted++;
	}
	return accepted;
}

CASE(ring, hostile_head_in_flight,
     "with all places in flight no head makes room",
     .clause = "ring.hostile.head_capacity")
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, i;

	pin_to_cpu(0);
	EXPECT_EQ(ring_capacity(nr), submit_until_full(ctx));
	for (i = 0; i < VALUES; i++) {
		ring_of(ctx)->head = value(i, nr);
		EXPECT_EQ(0, submit_until_full(ctx));
	}
}

CASE(ring, hostile_head_unread,
     "a head gives back what it leaves of the completed, and no more",
     .clause = "ring.hostile.head_capacity")
{
	unsigned int i, nr, unread, head, left;
	aio_handle ctx;

	pin_to_cpu(0);
	for (i = 0; i < VALUES; i++) {
		ctx = new_context(EVENTS);
		nr = ring_of(ctx)->nr;
		unread = ring_capacity(nr);
		stage_complete(ctx, unread, 0);
		head = value(i, nr);
		ring_of(ctx)->head = head;
		left = distance(head, unread, nr);
		if (left > unread)
			left = unread;
		EXPECT_EQ(unread - left, submit_until_full(ctx));
		/* the rest comes back with a true head, and nothing twice */
		ring_of(ctx)->head = unread;
		EXPECT_EQ(left, submit_until_full(ctx));
	}
}

CASE(ring, hostile_head_always,
     "with garbage in head at all times no more fit than the ring has room for",
     .clause = "ring.hostile.head_capacity")
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, i, in_flight = 0;
	uint32_t garbage = 1;
	long ret;

	pin_to_cpu(0);
	for (i = 0; i < GARBAGE; i++) {
		garbage = garbage * 1664525u + 1013904223u;
		ring_of(ctx)->head = garbage >> (garbage & 31);
		ret = complete_now(ctx, 1 + garbage % UNREAD, i);
		EXPECT_TRUE(ret > 0 || ret == -EAGAIN);
		if (i % UNREAD)
			continue;
		ret = submit_one(ctx, pending_poll());
		in_flight += ret == 1;
		EXPECT_TRUE(ret == 1 || ret == -EAGAIN);
	}
	in_flight += submit_until_full(ctx);
	EXPECT_LE(ring_capacity(nr), in_flight);
	ring_of(ctx)->head = ring_of(ctx)->tail;
	in_flight += submit_until_full(ctx);
	EXPECT_EQ(ring_capacity(nr), in_flight);
}

CASE(ring, hostile_tail, "a tail that the program stored is taken modulo nr",
     .clause = "ring.hostile.tail", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	unsigned int i, tail;
	aio_handle ctx;

	for (i = 0; i < VALUES; i++) {
		ctx = used_ring();
		tail = value(i, ring_of(ctx)->nr);
		ring_of(ctx)->tail = tail;
		expect_all_between(ctx, ring_of(ctx)->head, tail);
	}
}

CASE(ring, hostile_tail_restored,
     "the next completion goes to its true place, and puts tail right",
     .clause = "ring.hostile.tail_restored")
{
	unsigned int i, nr, tail;
	aio_handle ctx;

	for (i = 0; i < VALUES; i++) {
		ctx = used_ring();
		nr = ring_of(ctx)->nr;
		tail = ring_of(ctx)->tail;
		ring_of(ctx)->tail = value(i, nr);
		EXPECT_EQ(1, complete_now(ctx, 1, i));
		EXPECT_EQ((tail + 1) % nr, ring_of(ctx)->tail);
		EXPECT_NUMBERED((struct io_event *)&ring_of(ctx)->events[tail],
				1, i);
	}
}

CASE(ring, hostile_tail_no_room,
     "a tail that the program stored makes no room in a full ring",
     .clause = "ring.hostile.tail_restored")
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, capacity = ring_capacity(nr), i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, nr);
	unsigned int tail;

	pin_to_cpu(0);
	STAGE_EQ(capacity, complete_now(ctx, nr, 0));
	tail = ring_of(ctx)->tail;
	for (i = 0; i < VALUES; i++) {
		ring_of(ctx)->tail = value(i, nr);
		EXPECT_EQ(-EAGAIN, complete_now(ctx, 1, 0));
		/* as if all had been reaped */
		ring_of(ctx)->tail = ring_of(ctx)->head;
		EXPECT_EQ(-EAGAIN, complete_now(ctx, 1, 0));
	}
	ring_of(ctx)->tail = tail;
	EXPECT_EQ(capacity, aio->getevents(ctx, 0, nr, events, NULL));
	EXPECT_NUMBERED(events, capacity, 0);
}

CASE(ring, hostile_nr, "the kernel uses a nr of its own",
     .clause = "ring.hostile.nr", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, capacity = ring_capacity(nr), i;
	struct io_event *events = GUARDED_ARRAY(struct io_event, nr);

	pin_to_cpu(0);
	for (i = 0; i < VALUES; i++) {
		ring_of(ctx)->nr = value(i, nr);
		EXPECT_EQ(capacity, complete_now(ctx, nr, i * capacity));
		EXPECT_EQ((i + 1) * capacity % nr, ring_of(ctx)->tail);
		EXPECT_EQ(capacity, aio->getevents(ctx, 0, nr, events, NULL));
		EXPECT_NUMBERED(events, capacity, i * capacity);
		EXPECT_EQ((i + 1) * capacity % nr, ring_of(ctx)->head);
	}
}

CASE(ring, hostile_magic,
     "magic, features and header_length are nothing to the kernel",
     .clause = "ring.hostile.magic", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	aio_handle ctx = new_context(EVENTS);
	struct io_event event;

	ring_of(ctx)->magic = 0;
	EXPECT_WORKS(ctx, 1);
	ring_of(ctx)->compat_features = 0xffffffff;
	EXPECT_WORKS(ctx, 2);
	ring_of(ctx)->incompat_features = 0xffffffff;
	EXPECT_WORKS(ctx, 3);
	ring_of(ctx)->header_length = 0;
	EXPECT_WORKS(ctx, 4);
	stage_submit(ctx, pending_poll());
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, pending_poll(), &event));
	EXPECT_OK(aio->destroy(ctx));
}

/* The smallest table has four places, the next one sixteen. */
static void expect_id_matters(aio_handle ctx, unsigned int id,
			      unsigned int table)
{
	const unsigned int wrong[] = { id + 1,	   table - 1,  table,
				       table + id, 0x7fffffff, 0x80000000,
				       0xfffffffe, 0xffffffff };
	struct iocb *iocb = pending_poll();
	struct io_event event;
	unsigned int i;

	ASSERT_EQ(id, ring_of(ctx)->id);
	stage_submit(ctx, iocb);
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ring_of(ctx)->id = wrong[i];
		EXPECT_REFUSED(ctx, iocb);
	}
	ring_of(ctx)->id = id;
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, &event));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, iocb, 0);
	EXPECT_WORKS(ctx, 1);
}

CASE(ring, hostile_id,
     "with a wrong id every call is EINVAL, with the right one it works again",
     .clause = "ring.hostile.id")
{
	aio_handle first = new_context(EVENTS), second = new_context(EVENTS);
	aio_handle fifth;

	expect_id_matters(first, 0, 4);
	expect_id_matters(second, 1, 4);
	new_context(EVENTS);
	new_context(EVENTS);
	fifth = new_context(EVENTS);
	expect_id_matters(first, 0, 16);
	expect_id_matters(fifth, 4, 16);
}

CASE(ring, hostile_id_other,
     "the id of another live context does not let a request go there",
     .clause = "ring.hostile.id")
{
	aio_handle ctx = new_context(EVENTS), other = new_context(EVENTS);

	ring_of(ctx)->id = ring_of(other)->id;
	EXPECT_REFUSED(ctx, pending_poll());
	EXPECT_EQ(0, ring_of(other)->tail);
	EXPECT_WORKS(other, 1);
	EXPECT_OK(aio->destroy(other));
	EXPECT_REFUSED(ctx, pending_poll());
	ring_of(ctx)->id = 0;
	EXPECT_WORKS(ctx, 2);
}

CASE(ring, hostile_events, "events come out as the program overwrote them",
     .clause = "ring.hostile.events", .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, UNREAD);
	size_t size = UNREAD * sizeof(*events);
	aio_handle ctx = new_context(UNREAD);

	stage_complete(ctx, UNREAD, 0);
	pattern((void *)ring_of(ctx)->events, size, 1);
	EXPECT_EQ(UNREAD, aio->getevents(ctx, 0, UNREAD, events, NULL));
	EXPECT_PATTERN(events, size, 1);
	EXPECT_WORKS(ctx, 1);
}

/* A head that is not there wakes the waiter early, or not at all. */
CASE(ring, hostile_wake,
     "a thread that waits is not lost for good to garbage in head or tail",
     .clause = "ring.hostile.wake", .flavours = RAW | LIBAIO | PGETEVENTS,
     .needs = "task_syscall")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, 4);
	aio_handle ctx = new_context(EVENTS);
	volatile struct aio_ring *ring = ring_of(ctx);
	struct waiter *waiter = waiter_run(ctx, 4, 4, events, NULL);

	EXPECT_TRUE(waiter_asleep(waiter));
	/* as if all had been reaped before it came */
	ring->head = 1;
	stage_complete(ctx, 1, 0);
	EXPECT_TRUE(waiter_asleep(waiter));
	EXPECT_EQ(1, ring->head);
	ring->head = 0;
	stage_complete(ctx, 1, 1);
	EXPECT_TRUE(waiter_asleep(waiter));
	/* nothing there, by what tail says */
	ring->tail = ring->head;
	stage_complete(ctx, 2, 2);
	EXPECT_EQ(4, waiter_result(waiter));
	EXPECT_NUMBERED(events, 4, 0);
}

/* A program may let head run on: who waits takes it modulo nr, as who reads. */
CASE(ring, hostile_wake_beyond,
     "an event wakes a thread that waits for it, however often head went round",
     .clause = "ring.hostile.wake", .flavours = RAW | LIBAIO | PGETEVENTS,
     .needs = "task_syscall")
{
	static const unsigned int times[] = { 1, 2, 3, 1000 };
	aio_handle ctx = new_context(EVENTS);
	volatile struct aio_ring *ring = ring_of(ctx);
	struct waiter *waiter;
	struct io_event event;
	unsigned int i;

	for (i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		ROUND("%u times round", times[i]);
		waiter = waiter_run(ctx, 1, 1, &event, NULL);
		ASSERT_TRUE(waiter_asleep(waiter));
		ring->head += times[i] * ring->nr;
		stage_complete(ctx, 1, i);
		EXPECT_EQ(1, waiter_result(waiter));
		EXPECT_NUMBERED(&event, 1, i);
		EXPECT_EQ(i + 1, ring->head);
	}
}
