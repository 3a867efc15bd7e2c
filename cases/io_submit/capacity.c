// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How many requests fit, and that it stays so. A slot is taken by each request
 * and comes back when its event is reaped; -EAGAIN says that none is free.
 * Slots are handed out in batches to each CPU, and come back by three ways, so
 * there are many places to lose one: a context that loses slots ends in
 * -EAGAIN for ever, and one that gains any overwrites events.
 */
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "refusals.h"
#include "side.h"

/* How a context shares out its ring: ioctx_alloc(). */
struct capacity {
	unsigned int slots;   /* all that there are */
	unsigned int batch;   /* what a CPU takes at a time */
	unsigned int one_cpu; /* what fits when one CPU takes all it can */
};

static struct capacity capacity_of(aio_handle ctx)
{
	unsigned int nr = ring_of(ctx)->nr;

	return (struct capacity){
		.slots = nr - 1,
		.batch = ring_batch(nr),
		.one_cpu = ring_capacity(nr),
	};
}

static int open_null(void)
{
	return keep(open("/dev/null", O_WRONLY | O_CLOEXEC));
}

/* Submit it again and again until it is refused; gives how often it was not. */
static unsigned int fill(aio_handle ctx, struct iocb *iocb)
{
	unsigned int n = 0, most = 2 * ring_of(ctx)->nr;
	long result;

	while ((result = submit_one(ctx, iocb)) == 1 && n < most)
		n++;
	EXPECT_EQ(-EAGAIN, result);
	return n;
}

/* The same on each CPU in turn, one batch and all. */
static unsigned int fill_all_cpus(aio_handle ctx, struct iocb *iocb)
{
	unsigned int cpu, n = 0;

	for (cpu = 0; cpu < cpus_usable(); cpu++) {
		pin_to_cpu(cpu);
		n += fill(ctx, iocb);
	}
	return n;
}

enum means { BY_GETEVENTS, BY_PGETEVENTS, BY_RING, MEANS };

/* Take n events that are there, by one of the ways to do so. */
static void reap_by(enum means means, aio_handle ctx, unsigned int n)
{
	struct io_event events[64];
	unsigned int nr;

	for (; n; n -= nr) {
		nr = n < 64 ? n : 64;
		if (means == BY_GETEVENTS)
			STAGE_EQ(nr, aio->getevents(ctx, nr, nr, events, NULL));
		else if (means == BY_PGETEVENTS)
			STAGE_EQ(nr, aio->pgetevents(ctx, nr, nr, events, NULL,
						     NULL));
		else
			STAGE_EQ(nr, ring_reap(ctx, events, nr));
	}
}

static void reap(aio_handle ctx, unsigned int n)
{
	reap_by(BY_GETEVENTS, ctx, n);
}

/* --- how many fit --- */

CASE(io_submit, capacity_one_cpu, "from one CPU whole batches fit, no more",
     .clause = "io_submit.eagain.exact", .quota = 2048)
{
	static const unsigned int sizes[] = { 1,  2,   7,   8,	 9,   62, 63,
					      64, 100, 127, 128, 255, 256 };
	struct capacity capacity;
	struct iocb iocb;
	unsigned int i;
	aio_handle ctx;

	prep_write(&iocb, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ROUND("io_setup(%u)", sizes[i]);
		ctx = new_context(sizes[i]);
		capacity = capacity_of(ctx);
		EXPECT_EQ(capacity.one_cpu, fill(ctx, &iocb));
		EXPECT_EQ(capacity.one_cpu, ring_unread(ctx));
		EXPECT_GE(sizes[i], capacity.one_cpu);
	}
}

CASE(io_submit, capacity_one_call, "one call queues what fits and says so",
     .clause = "io_submit.eagain.full")
{
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct iocb **list = GUARDED_ARRAY(struct iocb *, capacity.slots + 1);
	struct iocb iocb;
	unsigned int i;

	prep_write(&iocb, open_null(), "x", 1, 0);
	for (i = 0; i <= capacity.slots; i++)
		list[i] = &iocb;
	pin_to_cpu(0);
	EXPECT_EQ(capacity.one_cpu, aio->submit(ctx, capacity.slots + 1, list));
	EXPECT_EQ(capacity.one_cpu, ring_unread(ctx));
	EXPECT_ERR(EAGAIN, aio->submit(ctx, capacity.slots + 1, list));
	EXPECT_ERR(EAGAIN, submit_one(ctx, &iocb));
	reap(ctx, 3);
	EXPECT_EQ(3, aio->submit(ctx, capacity.slots + 1, list));
	EXPECT_ERR(EAGAIN, submit_one(ctx, &iocb));
}

CASE(io_submit, capacity_polls, "pending POLLs take a slot each",
     .clause = "io_submit.eagain.polls", .needs = "eventfd")
{
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	int efd = open_eventfd(0, 0);
	struct iocb poll, write_iocb;

	prep_poll(&poll, efd, POLLIN);
	prep_write(&write_iocb, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	EXPECT_EQ(capacity.one_cpu, fill(ctx, &poll));
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_ERR(EAGAIN, submit_one(ctx, &write_iocb));
	/* completed they keep them, until they are reaped */
	REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
	EXPECT_EQ(capacity.one_cpu, ring_unread(ctx));
	EXPECT_ERR(EAGAIN, submit_one(ctx, &write_iocb));
	reap(ctx, capacity.one_cpu);
	EXPECT_EQ(capacity.one_cpu, fill(ctx, &write_iocb));
}

/*
 * n requests complete in a full context, and their events are reaped: n fit,
 * and no more. One is special: aio_complete() looks for slots to hand back only
 * when more have completed.
 */
static void few_at_a_time(enum means means, unsigned int n)
{
	int soon = open_eventfd(0, 0), never = open_eventfd(0, 0);
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct iocb poll, rest;
	unsigned int round, i;

	prep_poll(&poll, soon, POLLIN);
	prep_poll(&rest, never, POLLIN);
	for (i = 0; i < n; i++)
		stage_submit(ctx, &poll);
	EXPECT_EQ(capacity.one_cpu - n, fill(ctx, &rest));
	for (round = 0; round < 4; round++) {
		ROUND("means %d, %u at a time, round %u", means, n, round);
		REQUIRE(write(soon, &(uint64_t){ 1 }, 8) == 8);
		WAIT_FOR(ring_unread(ctx) == n);
		EXPECT_ERR(EAGAIN, submit_one(ctx, &poll));
		eventfd_take(soon);
		reap_by(means, ctx, n);
		for (i = 0; i < n; i++)
			ASSERT_EQ(1, submit_one(ctx, &poll));
		EXPECT_ERR(EAGAIN, submit_one(ctx, &poll));
	}
}

CASE(io_submit, capacity_few_at_a_time,
     "in a full context as many fit as are reaped, be it one",
     .clause = "io_submit.eagain.polls", .needs = "eventfd")
{
	enum means means;
	unsigned int n;

	pin_to_cpu(0);
	for (means = 0; means < MEANS; means++)
		for (n = 1; n <= 3; n++)
			few_at_a_time(means, n);
}

CASE(io_submit, capacity_turns,
     "CPUs that submit in turns share the slots out to the last batch",
     .clause = "io_submit.eagain.cpus", .needs = "cpus2")
{
	unsigned int cpu = 0, n = 0, refused = 0;
	aio_handle ctx = new_context(100);
	struct capacity capacity = capacity_of(ctx);
	struct iocb iocb;
	long result = 1;

	prep_write(&iocb, open_null(), "x", 1, 0);
	while (refused < cpus_usable() && n < 2 * capacity.slots) {
		pin_to_cpu(cpu);
		cpu = (cpu + 1) % cpus_usable();
		result = submit_one(ctx, &iocb);
		n += result == 1;
		refused = result == 1 ? 0 : refused + 1;
	}
	EXPECT_EQ(-EAGAIN, result);
	EXPECT_EQ(capacity.one_cpu, n);
	EXPECT_LE(capacity.slots, n);
	EXPECT_GE(100, n);
}

/* Enough for what was asked for, wherever the thread is, and whenever. */
CASE(io_submit, capacity_promised,
     "as many as io_setup() was asked for fit from any CPUs",
     .clause = "io_submit.eagain.cpus", .needs = "cpus2", .quota = 2048)
{
	static const unsigned int sizes[] = { 1, 8, 64, 256 };
	unsigned int i, n;
	struct iocb iocb;
	aio_handle ctx;
	long result;

	prep_write(&iocb, open_null(), "x", 1, 0);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		ROUND("io_setup(%u)", sizes[i]);
		ctx = new_context(sizes[i]);
		result = 1;
		for (n = 0; n < sizes[i] && result == 1; n++) {
			pin_to_cpu(n);
			result = submit_one(ctx, &iocb);
			EXPECT_EQ(1, result);
		}
	}
}

CASE(io_submit, capacity_kept_by_cpu,
     "the rest of a batch waits on its CPU, the others get all but that",
     .clause = "io_submit.eagain.cpus", .needs = "cpus2")
{
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct iocb iocb;

	prep_write(&iocb, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	pin_to_cpu(1);
	EXPECT_EQ(capacity.one_cpu - capacity.batch, fill(ctx, &iocb));
	pin_to_cpu(0);
	EXPECT_EQ(capacity.batch - 1, fill(ctx, &iocb));
}

CASE(io_submit, capacity_refilled_elsewhere,
     "a CPU that gets many places back at once leaves them to the others",
     .clause = "io_submit.eagain.cpus", .needs = "cpus2")
{
	aio_handle ctx = new_context(100);
	struct capacity capacity = capacity_of(ctx);
	unsigned int kept = 2 * capacity.batch - 1, n;
	struct iocb iocb;

	prep_write(&iocb, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	n = fill(ctx, &iocb);
	reap(ctx, n);
	/* by this one the CPU learns of all that were reaped */
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	pin_to_cpu(1);
	EXPECT_GE(capacity.one_cpu - 1 - kept, fill(ctx, &iocb));
}

/* --- what -EAGAIN touches --- */

CASE(io_submit, full_touches_nothing,
     "what is refused for want of room has no event and its key as it was",
     .clause = "io_submit.eagain.nothing_lost", .needs = "eventfd")
{
	aio_handle ctx = new_context(8);
	struct capacity capacity = capacity_of(ctx);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, capacity.slots);
	struct iocb **list = GUARDED_ARRAY(struct iocb *, capacity.slots);
	struct io_event *events =
		GUARDED_ARRAY(struct io_event, capacity.slots);
	int efd = open_eventfd(0, 0);
	unsigned int i, found;

	for (i = 0; i < capacity.slots; i++) {
		list[i] = prep_poll(&iocbs[i], efd, POLLIN);
		iocbs[i].aio_key = KEY_BEFORE;
	}
	pin_to_cpu(0);
	EXPECT_EQ(capacity.one_cpu, aio->submit(ctx, capacity.slots, list));
	EXPECT_ERR(EAGAIN,
		   aio->submit(ctx, capacity.slots - capacity.one_cpu + 1,
			       list + capacity.one_cpu - 1));
	for (i = capacity.one_cpu; i < capacity.slots; i++)
		EXPECT_EQ(KEY_BEFORE, iocbs[i].aio_key);
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
	ASSERT_EQ(capacity.one_cpu, ring_unread(ctx));
	stage_reap(ctx, capacity.one_cpu, events);
	for (i = 0, found = 0; i < capacity.one_cpu; i++)
		found += !!find_event(events, capacity.one_cpu, &iocbs[i]);
	EXPECT_EQ(capacity.one_cpu, found);
}

CASE(io_submit, full_hides_faults,
     "with the ring full what needs a slot is EAGAIN, whatever else is wrong",
     .clause = "io_submit.eagain.before_descriptor")
{
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	struct iocb filler, *iocb;
	int ends[2];

	open_pipe(ends, 0);
	prep_write(&filler, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	fill(ctx, &filler);
	for_each_refusal(refusal) {
		if (refusal->reached == BEFORE_SLOT)
			continue;
		iocb = new_refused(refusal, ends[1]);
		EXPECT_ERR(EAGAIN, submit_one(ctx, iocb));
		EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
	}
}

/* --- slots come back --- */

CASE(io_submit, slots_held_unreaped,
     "a slot is free when its event is reaped, and not before",
     .clause = "io_submit.eagain.unreaped", .needs = "eventfd")
{
	int first = open_eventfd(0, 0), second = open_eventfd(0, 0);
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct iocb poll, filler;
	unsigned int n;

	prep_write(&filler, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	/* three kinds: done, ending now, ending later */
	prep_poll(&poll, first, POLLIN);
	for (n = 0; n < 5; n++)
		stage_submit(ctx, &poll);
	prep_poll(&poll, second, POLLIN);
	for (n = 0; n < 7; n++)
		stage_submit(ctx, &poll);
	EXPECT_EQ(capacity.one_cpu - 5 - 7, fill(ctx, &filler));
	REQUIRE(write(first, &(uint64_t){ 1 }, 8) == 8);
	EXPECT_ERR(EAGAIN, submit_one(ctx, &filler));
	reap(ctx, capacity.one_cpu - 5 - 7);
	EXPECT_EQ(capacity.one_cpu - 5 - 7, fill(ctx, &filler));
	reap(ctx, 5);
	EXPECT_EQ(5, fill(ctx, &filler));
	reap(ctx, capacity.one_cpu - 7);
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_EQ(capacity.one_cpu - 7, fill(ctx, &filler));
	REQUIRE(write(second, &(uint64_t){ 1 }, 8) == 8);
	EXPECT_ERR(EAGAIN, submit_one(ctx, &filler));
	reap(ctx, capacity.one_cpu);
	EXPECT_EQ(capacity.one_cpu, fill(ctx, &filler));
}

static void expect_room_again(enum means means)
{
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct iocb filler;
	unsigned int n;

	prep_write(&filler, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	EXPECT_EQ(capacity.one_cpu, fill(ctx, &filler));
	/* up to where slots are passed on, and all at once */
	for (n = 1; n <= 2 * capacity.batch + 1; n++) {
		if (n > 2 * capacity.batch)
			n = capacity.one_cpu;
		ROUND("%u reaped", n);
		reap_by(means, ctx, n);
		EXPECT_EQ(n, fill(ctx, &filler));
	}
}

CASE(io_submit, room_after_getevents,
     "as many fit again as io_getevents() took",
     .clause = "io_submit.eagain.room_again",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	expect_room_again(BY_GETEVENTS);
}

CASE(io_submit, room_after_pgetevents,
     "as many fit again as io_pgetevents() took",
     .clause = "io_submit.eagain.room_again")
{
	expect_room_again(BY_PGETEVENTS);
}

CASE(io_submit, room_after_ring, "as many fit again as were read off the ring",
     .clause = "io_submit.eagain.room_again")
{
	expect_room_again(BY_RING);
}

CASE(io_submit, room_elsewhere, "what was reaped fits on another CPU too",
     .clause = "io_submit.eagain.room_again", .needs = "cpus2")
{
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct iocb filler;
	unsigned int cpu;

	prep_write(&filler, open_null(), "x", 1, 0);
	for (cpu = 0; cpu < 2 * cpus_usable(); cpu++) {
		ROUND("on CPU %u", cpu % cpus_usable());
		pin_to_cpu(cpu);
		EXPECT_EQ(capacity.one_cpu, fill(ctx, &filler));
		reap(ctx, capacity.one_cpu);
	}
}

/* Its sleep is nobody else's business, whichever way events are taken. */
CASE(io_submit, room_beside_waiter,
     "as many fit again while a thread waits for more than there can be",
     .clause = "io_submit.eagain.beside_waiter", .needs = "task_syscall",
     .flavours = RAW)
{
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	unsigned int nr = ring_of(ctx)->nr;
	struct io_event *events = GUARDED_ARRAY(struct io_event, nr);
	struct waiter *waiter = waiter_run(ctx, nr, nr, events, NULL);
	struct iocb filler;
	enum means means;

	prep_write(&filler, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	ASSERT_TRUE(waiter_asleep(waiter));
	ASSERT_EQ(capacity.one_cpu, fill(ctx, &filler));
	for (means = 0; means < MEANS; means++) {
		ROUND("means %d", (int)means);
		reap_by(means, ctx, capacity.batch + 1);
		EXPECT_EQ(capacity.batch + 1, fill(ctx, &filler));
	}
	EXPECT_TRUE(!waiter_done(waiter));
	end_context(ctx);
	waiter_result(waiter);
}

/* What comes back to a CPU stays with it up to twice a batch, less one. */
CASE(io_submit, room_shared,
     "what comes back to one CPU is there for the others, but for a batch",
     .clause = "io_submit.eagain.room_again", .needs = "cpus2", .flavours = RAW)
{
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	unsigned int spare, extra;
	struct iocb filler;

	prep_write(&filler, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	fill(ctx, &filler);
	for (extra = 0; extra < 2 * capacity.batch; extra++) {
		ROUND("%u over two batches", extra);
		reap(ctx, capacity.batch * 2 + extra);
		/* this one finds them */
		EXPECT_EQ(1, submit_one(ctx, &filler));
		spare = capacity.batch + extra % capacity.batch;
		pin_to_cpu(1);
		EXPECT_EQ(capacity.batch * 2 + extra - spare,
			  fill(ctx, &filler));
		pin_to_cpu(0);
		EXPECT_EQ(spare - 1, fill(ctx, &filler));
	}
}

/* --- slots of the refused --- */

/* All but the last batch are in use: no CPU has any, and each would take it. */
static void leave_a_batch(aio_handle ctx, struct iocb *iocb)
{
	struct capacity capacity = capacity_of(ctx);
	struct iocb **list = calloc(capacity.slots, sizeof(*list));
	unsigned int i;

	REQUIRE(list);
	for (i = 0; i < capacity.slots; i++)
		list[i] = iocb;
	i = capacity.one_cpu - capacity.batch;
	STAGE_EQ(i, aio->submit(ctx, i, list));
	free(list);
}

#define REFUSED 3 /* times each: a slot lost or gained each time */

CASE(io_submit, refused_slot_back, "a refused iocb keeps no slot",
     .clause = "io_submit.count.refused_leaves_nothing")
{
	aio_handle ctx = new_context(1);
	struct capacity capacity = capacity_of(ctx);
	struct iocb filler, *iocb;
	const struct refusal *refusal;
	unsigned int i;
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_write(&filler, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	leave_a_batch(ctx, &filler);
	for_each_refusal(refusal) {
		iocb = new_refused(refusal, ends[1]);
		for (i = 0; i < REFUSED; i++)
			STAGE_EQ(-refusal->error, submit_one(ctx, iocb));
		EXPECT_EQ(capacity.batch, fill(ctx, &filler));
		reap(ctx, capacity.batch);
	}
}

CASE(io_submit, refused_last_slot,
     "a refused iocb that had the last slot gives it back",
     .clause = "io_submit.count.refused_leaves_nothing")
{
	aio_handle ctx = new_context(1);
	struct capacity capacity = capacity_of(ctx);
	struct iocb filler, *iocb;
	const struct refusal *refusal;
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_write(&filler, open_null(), "x", 1, 0);
	pin_to_cpu(0);
	EXPECT_EQ(capacity.one_cpu, fill(ctx, &filler));
	for_each_refusal(refusal) {
		reap(ctx, 1);
		iocb = new_refused(refusal, ends[1]);
		EXPECT_EQ(-refusal->error, submit_one(ctx, iocb));
		EXPECT_EQ(1, fill(ctx, &filler));
	}
}

CASE(io_submit, refused_then_destroyed,
     "a context that refused every way there is can be destroyed",
     .clause = "io_submit.count.refused_leaves_nothing")
{
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	for_each_refusal(refusal)
		STAGE_EQ(-refusal->error,
			 submit_one(ctx, new_refused(refusal, ends[1])));
	EXPECT_OK(aio->destroy(ctx));
}

/* --- over and over --- */

#define ROUNDS 10000

static unsigned int next_random(unsigned int below)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return (state >> 8) % below;
}

/* What stands in the way of a batch: nothing, or one of these in it. */
enum spoiler {
	SPOIL_NOTHING,
	SPOIL_RESERVED,	  /* found before a slot is asked for */
	SPOIL_DESCRIPTOR, /* after */
	SPOIL_OPCODE,
	SPOIL_BUFFER,
	SPOILERS,
};

static int spoil(enum spoiler spoiler, struct iocb *iocb)
{
	switch (spoiler) {
	case SPOIL_RESERVED:
		iocb->aio_reserved2 = 1;
		return EINVAL;
	case SPOIL_DESCRIPTOR:
		iocb->aio_fildes = (uint32_t)-1;
		return EBADF;
	case SPOIL_OPCODE:
		iocb->aio_lio_opcode = 99;
		return EINVAL;
	default:
		iocb->aio_buf = kernel_buffer();
		return EFAULT;
	}
}

/* What there is of a context's slots, as it must be. */
struct account {
	unsigned int free, pending, unreaped;
};

static void submit_some(aio_handle ctx, struct account *account, int null,
			int efd)
{
	unsigned int nr = 1 + next_random(next_random(16) ? 4 : 100);
	struct iocb iocbs[100], *list[100];
	unsigned int i, polls[101] = { 0 }, bad = nr, done;
	enum spoiler spoiler = next_random(SPOILERS);
	int error = 0;
	long wanted;

	for (i = 0; i < nr; i++) {
		bool poll = !next_random(4);

		if (poll)
			list[i] = prep_poll(&iocbs[i], efd, POLLIN);
		else
			list[i] = prep_write(&iocbs[i], null, "x", 1, 0);
		polls[i + 1] = polls[i] + poll;
	}
	if (spoiler != SPOIL_NOTHING) {
		bad = next_random(nr);
		/* what spoils a write does not spoil each POLL */
		prep_write(&iocbs[bad], null, "x", 1, 0);
		error = spoil(spoiler, &iocbs[bad]);
	}
	done = bad < account->free ? bad : account->free;
	if (done)
		wanted = done;
	else if (!account->free && (bad || spoiler != SPOIL_RESERVED))
		wanted = -EAGAIN;
	else
		wanted = -error;
	EXPECT_EQ(wanted, aio->submit(ctx, nr, list));
	account->free -= done;
	account->pending += polls[done];
	account->unreaped += done - polls[done];
}

CASE(io_submit, rounds,
     "after thousands of rounds of all that happens as many fit as before",
     .clause = "io_submit.eagain.rounds", .needs = "eventfd", .flavours = RAW)
{
	int efd = open_eventfd(0, 0), null = open_null();
	unsigned int round, nr_rounds = rounds(ROUNDS);
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct account account = { .free = capacity.one_cpu };
	struct iocb filler;
	unsigned int n;

	pin_to_cpu(0);
	for (round = 0; round < nr_rounds; round++) {
		ROUND("number %u", round);
		submit_some(ctx, &account, null, efd);
		if (!next_random(4)) {
			REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
			eventfd_take(efd);
			account.unreaped += account.pending;
			account.pending = 0;
		}
		ASSERT_EQ(account.unreaped, ring_unread(ctx));
		/* slower than they come, until all are taken now and then */
		n = next_random(next_random(30) ? 6 : 1000);
		if (n > account.unreaped)
			n = account.unreaped;
		reap_by((enum means)next_random(MEANS), ctx, n);
		account.unreaped -= n;
		account.free += n;
	}
	ROUND("afterwards");
	prep_write(&filler, null, "x", 1, 0);
	EXPECT_EQ(account.free, fill(ctx, &filler));
	REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
	reap(ctx, capacity.one_cpu);
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_EQ(capacity.one_cpu, fill(ctx, &filler));
}

/* --- several CPUs at once --- */

#define HAMMERERS     4
#define HAMMERINGS    3000
#define DEVICE_ROUNDS 40

struct hammerer {
	aio_handle ctx;
	unsigned int cpu;
	int null;
	int never; /* an eventfd */
	atomic_uint *accepted, *unhappy, *over;
};

static void *hammer(void *arg)
{
	struct hammerer *hammerer = arg;
	struct iocb good, bad, poll;
	struct io_event event;
	unsigned int i, nr_rounds = rounds(HAMMERINGS);
	long result;

	pin_to_cpu(hammerer->cpu);
	prep_write(&good, hammerer->null, "x", 1, 0);
	prep_write(&bad, -1, "x", 1, 0);
	prep_poll(&poll, hammerer->never, POLLIN);
	for (i = 0; i < nr_rounds; i++) {
		result = submit_one(hammerer->ctx, &good);
		if (result == 1)
			atomic_fetch_add(hammerer->accepted, 1);
		else if (result != -EAGAIN)
			atomic_fetch_add(hammerer->unhappy, 1);
		result = submit_one(hammerer->ctx, &bad);
		if (result != -EBADF && result != -EAGAIN)
			atomic_fetch_add(hammerer->unhappy, 1);
		if (i % 8)
			continue;
		if (submit_one(hammerer->ctx, &poll) != 1)
			continue;
		atomic_fetch_add(hammerer->accepted, 1);
		if (aio->cancel(hammerer->ctx, &poll, &event) != -EINPROGRESS)
			atomic_fetch_add(hammerer->unhappy, 1);
	}
	count_up(hammerer->over);
	return NULL;
}

/*
 * Meanwhile another thread reaps. What lies between the CPUs changes by whole
 * batches: when all is over all whole ones must be had, from one CPU or
 * another.
 */
CASE(io_submit, rounds_many_cpus,
     "threads that submit, fail, cancel and reap at once lose no slot",
     .clause = "io_submit.eagain.rounds", .needs = "eventfd cpus2",
     .flavours = RAW)
{
	atomic_uint accepted = 0, unhappy = 0, over = 0;
	struct hammerer hammerers[HAMMERERS];
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	struct timespec moment = millis(1);
	unsigned int i, reaped = 0, all;
	struct io_event events[32];
	struct iocb filler;
	long n;

	for (i = 0; i < HAMMERERS; i++) {
		hammerers[i] = (struct hammerer){
			.ctx = ctx,
			.cpu = i,
			.null = open_null(),
			.never = open_eventfd(0, 0),
			.accepted = &accepted,
			.unhappy = &unhappy,
			.over = &over,
		};
		thread_run(hammer, &hammerers[i]);
	}
	while (atomic_load(&over) < HAMMERERS ||
	       reaped < atomic_load(&accepted)) {
		n = aio->getevents(ctx, 1, 32, events, &moment);
		STAGE_TRUE(n >= 0);
		reaped += (unsigned int)n;
	}
	EXPECT_EQ(0, atomic_load(&unhappy));
	EXPECT_EQ(atomic_load(&accepted), reaped);
	EXPECT_EQ(0, ring_unread(ctx));
	prep_write(&filler, open_null(), "x", 1, 0);
	all = fill_all_cpus(ctx, &filler);
	EXPECT_EQ(capacity.one_cpu, all);
}

#define LAST_ROUNDS 300

struct taker {
	aio_handle ctx;
	struct iocb iocb;
	unsigned int cpu;
	long result;
};

static void take(void *arg)
{
	struct taker *taker = arg;

	taker->result = submit_one(taker->ctx, &taker->iocb);
}

static void take_there(void *arg)
{
	struct taker *taker = arg;

	if (!taker->ctx)
		pin_to_cpu(taker->cpu);
	else
		take(taker);
}

CASE(io_submit, last_batch,
     "of two CPUs that ask for the last batch one has it",
     .clause = "io_submit.eagain.exact", .needs = "cpus2", .flavours = RAW,
     .quota = LAST_ROUNDS)
{
	struct taker mine = { .ctx = 0 }, other = { .cpu = 1 };
	struct side *side = side_start(take_there, &other);
	unsigned int i, n = rounds(LAST_ROUNDS);

	prep_write(&mine.iocb, open_null(), "x", 1, 0);
	other.iocb = mine.iocb;
	pin_to_cpu(0);
	side_go(side, 0);
	side_wait(side);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		mine.ctx = new_context(1);
		other.ctx = mine.ctx;
		leave_a_batch(mine.ctx, &mine.iocb);
		side_go(side, i);
		take(&mine);
		side_wait(side);
		ASSERT_EQ(1, (mine.result == 1) + (other.result == 1));
		EXPECT_EQ(-EAGAIN,
			  mine.result == 1 ? other.result : mine.result);
	}
	side_end(side);
}

/* Completions that come from elsewhere: interrupts, workers, other CPUs. */
CASE(io_submit, rounds_device, "nor do completions of a device lose any",
     .clause = "io_submit.eagain.rounds", .on = ON_ANY, .every_device = true,
     .flavours = RAW)
{
	struct storage storage = open_storage(O_RDONLY | O_DIRECT);
	unsigned char *buffer = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(64);
	struct capacity capacity = capacity_of(ctx);
	unsigned int round, nr_rounds = rounds(DEVICE_ROUNDS);
	unsigned int nr, in_flight = 0, all;
	struct io_event events[64];
	struct iocb iocb, *list[64];
	long n;

	prep_read(&iocb, storage.fd, buffer, PAGE_SIZE, storage.base);
	for (n = 0; n < 64; n++)
		list[n] = &iocb;
	for (round = 0; round < nr_rounds; round++) {
		pin_to_cpu(round);
		nr = 1 + next_random(64 - in_flight);
		STAGE_EQ(nr, aio->submit(ctx, nr, list));
		in_flight += nr;
		nr = in_flight == 64 ? 1 + next_random(64)
				     : next_random(in_flight + 1);
		n = aio->getevents(ctx, nr, 64, events, NULL);
		STAGE_TRUE(n >= (long)nr && n <= (long)in_flight);
		in_flight -= (unsigned int)n;
	}
	reap(ctx, in_flight);
	EXPECT_EQ(0, ring_unread(ctx));
	prep_write(&iocb, open_null(), "x", 1, 0);
	all = fill_all_cpus(ctx, &iocb);
	EXPECT_EQ(capacity.one_cpu, all);
}
