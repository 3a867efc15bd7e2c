// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_submit() says how far it came: the number of requests queued, or the
 * errno of the first when there is none. A program goes on from there, so
 * what comes before a bad iocb must be done, and what follows it untouched.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "own.h"
#include "refusals.h"

#define BATCH 4	   /* good requests around a bad one */
#define MANY  1100 /* whose pointers fill more than two pages */

/* What a batch writes into a pipe, and where its bad one stands. */
struct batch {
	int ends[2];
	struct iocb *bad;
	struct iocb *good[BATCH];
	struct iocb **list; /* BATCH + 1 */
};

/* Each good one writes a letter of its own. */
static struct batch new_batch(void)
{
	struct batch batch = { .list = GUARDED_ARRAY(struct iocb *,
						     BATCH + 1) };
	unsigned int i;

	open_pipe(batch.ends, O_NONBLOCK);
	for (i = 0; i < BATCH; i++) {
		batch.good[i] = new_write(batch.ends[1]);
		*(char *)(uintptr_t)batch.good[i]->aio_buf = (char)('a' + i);
	}
	return batch;
}

/* Another bad one: refused for this reason. */
static void spoil_batch(struct batch *batch, const struct refusal *refusal)
{
	batch->bad = new_refused(refusal, batch->ends[1]);
}

/* The bad one comes after k good ones. */
static void place_bad(struct batch *batch, unsigned int k)
{
	unsigned int i;

	for (i = 0; i < BATCH; i++) {
		batch->good[i]->aio_key = KEY_BEFORE;
		batch->list[i + (i >= k)] = batch->good[i];
	}
	batch->list[k] = batch->bad;
}

/* The first n have written, and nothing else has. */
static void expect_written(struct batch *batch, unsigned int n)
{
	char got[BATCH + 2] = { 0 };
	ssize_t len = read(batch->ends[0], got, sizeof(got) - 1);

	EXPECT_EQ(n ? (ssize_t)n : -1, len);
	EXPECT_MEM("abcd", got, n);
}

CASE(io_submit, count_all, "the count is nr when nothing is wrong",
     .clause = "io_submit.count")
{
	aio_handle ctx = new_context(16);
	struct iocb iocbs[16], *list[16];
	struct io_event events[16];
	int ends[2], i, nr;

	open_pipe(ends, 0);
	for (nr = 1; nr <= 16; nr++) {
		ROUND("%d requests", nr);
		for (i = 0; i < nr; i++)
			list[i] = prep_write(&iocbs[i], ends[1], "x", 1, 0);
		EXPECT_EQ(nr, aio->submit(ctx, nr, list));
		stage_reap(ctx, nr, events);
		for (i = 0; i < nr; i++)
			EXPECT_EVENT(&events[i], &iocbs[i], 1);
		EXPECT_EQ(0, ring_unread(ctx));
	}
}

CASE(io_submit, count_many, "so it is with pages full of pointers",
     .clause = "io_submit.count", .quota = MANY)
{
	/* a page has room for 512 pointers, or for 1024 of a 32-bit program */
	static const unsigned int counts[] = { 512, 513, 1024, 1025, MANY };
	struct io_event *events = GUARDED_ARRAY(struct io_event, MANY);
	struct iocb **list = GUARDED_ARRAY(struct iocb *, MANY);
	aio_handle ctx = new_context(MANY);
	struct iocb iocb;
	unsigned int i;

	prep_write(&iocb, keep(open("/dev/null", O_WRONLY | O_CLOEXEC)), "x", 1,
		   0);
	for (i = 0; i < MANY; i++)
		list[i] = &iocb;
	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ROUND("%u requests", counts[i]);
		EXPECT_EQ(counts[i], aio->submit(ctx, counts[i], list));
		EXPECT_EQ(counts[i], ring_unread(ctx));
		ASSERT_EQ(counts[i],
			  aio->getevents(ctx, 0, MANY, events, NULL));
		EXPECT_EVENT(&events[0], &iocb, 1);
		EXPECT_EVENT(&events[counts[i] - 1], &iocb, 1);
	}
}

CASE(io_submit, first_bad,
     "a bad first iocb gives its errno, nothing is queued",
     .clause = "io_submit.count.first_bad")
{
	aio_handle ctx = new_context(BATCH + 1);
	struct batch batch = new_batch();
	const struct refusal *refusal;

	for_each_refusal(refusal) {
		spoil_batch(&batch, refusal);
		place_bad(&batch, 0);
		EXPECT_EQ(-refusal->error,
			  aio->submit(ctx, BATCH + 1, batch.list));
		EXPECT_EQ(0, ring_of(ctx)->tail);
		expect_written(&batch, 0);
	}
}

/* Bad at each place in turn, for each reason there is. */
CASE(io_submit, later_bad,
     "a bad one at k gives k, and those before it are done",
     .clause = "io_submit.count.later_bad")
{
	aio_handle ctx = new_context(BATCH + 1);
	struct io_event events[BATCH + 1];
	struct batch batch = new_batch();
	const struct refusal *refusal;
	unsigned int k, i;

	for_each_refusal(refusal) {
		spoil_batch(&batch, refusal);
		for (k = 1; k <= BATCH; k++) {
			ROUND("%s at %u", refusal->name, k);
			place_bad(&batch, k);
			EXPECT_EQ(k, aio->submit(ctx, BATCH + 1, batch.list));
			ASSERT_EQ(k, ring_unread(ctx));
			stage_reap(ctx, k, events);
			for (i = 0; i < k; i++)
				EXPECT_EVENT(&events[i], batch.good[i], 1);
			expect_written(&batch, k);
		}
	}
}

CASE(io_submit, array_ends_later, "an entry that cannot be read at k gives k",
     .clause = "io_submit.efault.iocbpp_end")
{
	aio_handle ctx = new_context(BATCH);
	struct io_event events[BATCH];
	struct iocb **list;
	int ends[2], k, i;

	open_pipe(ends, 0);
	for (k = 1; k <= BATCH; k++) {
		ROUND("%d entries", k);
		list = GUARDED_ARRAY(struct iocb *, (size_t)k);
		for (i = 0; i < k; i++)
			list[i] = new_write(ends[1]);
		EXPECT_EQ(k, aio->submit(ctx, BATCH + 1, list));
		ASSERT_EQ(k, ring_unread(ctx));
		stage_reap(ctx, k, events);
		for (i = 0; i < k; i++)
			EXPECT_EVENT(&events[i], list[i], 1);
	}
}

CASE(io_submit, nr_huge, "nr of LONG_MAX stops where the array ends",
     .clause = "io_submit.nr_huge")
{
	aio_handle ctx = new_context(BATCH);
	struct iocb **list = GUARDED_ARRAY(struct iocb *, 2);
	struct io_event events[2];
	int ends[2];

	open_pipe(ends, 0);
	list[0] = new_write(ends[1]);
	list[1] = new_write(ends[1]);
	EXPECT_EQ(2, aio->submit(ctx, LONG_MAX, list));
	ASSERT_EQ(2, ring_unread(ctx));
	stage_reap(ctx, 2, events);
	EXPECT_EVENT(&events[0], list[0], 1);
	EXPECT_EVENT(&events[1], list[1], 1);
}

/* Cut to fewer bits it would be 0, or negative. */
CASE(io_submit, nr_each_bit, "each bit of nr counts",
     .clause = "io_submit.nr_huge")
{
	struct iocb **list = GUARDED_ARRAY(struct iocb *, 1);
	aio_handle ctx = new_context(1);
	struct io_event event;
	unsigned int bit;
	int ends[2];

	open_pipe(ends, 0);
	for (bit = 0; bit < 8 * sizeof(long) - 1; bit++) {
		ROUND("bit %u", bit);
		list[0] = new_write(ends[1]);
		ASSERT_EQ(1, aio->submit(ctx, 1L << bit, list));
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, list[0], 1);
	}
}

CASE(io_submit, after_bad_untouched,
     "what follows a bad one has no event, and its key is as it was",
     .clause = "io_submit.count.untouched")
{
	aio_handle ctx = new_context(BATCH + 1);
	struct io_event events[BATCH + 1];
	struct batch batch = new_batch();
	const struct refusal *refusal;
	unsigned int k, i;

	for_each_refusal(refusal) {
		spoil_batch(&batch, refusal);
		for (k = 0; k < BATCH; k++) {
			ROUND("%s at %u", refusal->name, k);
			place_bad(&batch, k);
			STAGE_EQ(k ? (long)k : -refusal->error,
				 aio->submit(ctx, BATCH + 1, batch.list));
			for (i = 0; i < k; i++)
				EXPECT_EQ(0, batch.good[i]->aio_key);
			for (; i < BATCH; i++)
				EXPECT_EQ(KEY_BEFORE, batch.good[i]->aio_key);
			ASSERT_EQ(k, ring_unread(ctx));
			if (k)
				stage_reap(ctx, k, events);
			expect_written(&batch, k);
		}
	}
}

/* It is not even read: an unreadable one behind a bad one is not noticed. */
CASE(io_submit, after_bad_unread, "what follows a bad one is not looked at",
     .clause = "io_submit.count.untouched")
{
	aio_handle ctx = new_context(BATCH);
	struct iocb **list = GUARDED_ARRAY(struct iocb *, 2);
	struct iocb *bad[2];
	int ends[2];

	open_pipe(ends, 0);
	bad[0] = new_write(ends[1]);
	bad[0]->aio_reserved2 = 1;
	bad[1] = nowhere();
	list[0] = bad[0];
	list[1] = bad[1];
	EXPECT_ERR(EINVAL, aio->submit(ctx, 2, list));
	/* nor is the array, which ends after the bad one */
	list[1] = bad[0];
	EXPECT_ERR(EINVAL, aio->submit(ctx, BATCH, &list[1]));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, bad_alone, "the one that stopped a call then gives its errno",
     .clause = "io_submit.count.alone")
{
	aio_handle ctx = new_context(BATCH + 1);
	struct io_event events[BATCH];
	struct batch batch = new_batch();
	const struct refusal *refusal;

	for_each_refusal(refusal) {
		spoil_batch(&batch, refusal);
		place_bad(&batch, 1);
		STAGE_EQ(1, aio->submit(ctx, BATCH + 1, batch.list));
		EXPECT_EQ(-refusal->error,
			  aio->submit(ctx, BATCH, &batch.list[1]));
		EXPECT_EQ(-refusal->error, submit_one(ctx, batch.bad));
		/* and without it the rest goes on */
		EXPECT_EQ(BATCH - 1,
			  aio->submit(ctx, BATCH - 1, &batch.list[2]));
		stage_reap(ctx, BATCH, events);
		expect_written(&batch, BATCH);
	}
}

/* --- nr --- */

CASE(io_submit, nr_zero, "nr 0 gives 0, whatever the array",
     .clause = "io_submit.nr_zero")
{
	aio_handle ctx = new_context(1);
	struct iocb *list[1] = { nowhere() };

	EXPECT_EQ(0, aio->submit(ctx, 0, list));
	EXPECT_EQ(0, aio->submit(ctx, 0, NULL));
	EXPECT_EQ(0, aio->submit(ctx, 0, nowhere()));
	EXPECT_EQ(0, aio->submit(ctx, 0, kernel_address()));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, nr_zero_bad_context, "nr 0 does not excuse a bad context",
     .clause = "io_submit.nr_zero.bad_context")
{
	struct iocb *list[1] = { NULL };

	EXPECT_ERR(EINVAL, aio->submit(0, 0, list));
	EXPECT_ERR(EINVAL, aio->submit(dead_context(), 0, list));
	EXPECT_ERR(EINVAL, aio->submit(0, 0, NULL));
}

CASE(io_submit, nr_negative, "a negative nr is EINVAL and queues nothing",
     .clause = "io_submit.einval.nr_negative")
{
	aio_handle ctx = new_context(1);
	struct iocb *list[1];
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	list[0] = new_write(ends[1]);
	EXPECT_ERR(EINVAL, aio->submit(ctx, -1, list));
	EXPECT_ERR(EINVAL, aio->submit(ctx, -2, list));
	EXPECT_ERR(EINVAL, aio->submit(ctx, LONG_MIN, list));
	EXPECT_EQ(0, ring_of(ctx)->tail);
	EXPECT_EQ(KEY_BEFORE, list[0]->aio_key);
}

/* One request at a time: it blocks the submitter until its byte is there. */
struct feeder {
	aio_handle ctx;
	int write_end;
	unsigned int rounds;
};

static void *feed(void *arg)
{
	struct feeder *feeder = arg;
	struct io_event event;
	unsigned int i;

	for (i = 0; i < feeder->rounds; i++) {
		REQUIRE(write(feeder->write_end, "x", 1) == 1);
		stage_reap(feeder->ctx, 1, &event);
		EXPECT_EQ(1, event.res);
	}
	/* should the call go on, its reads come to an end */
	drop(feeder->write_end);
	return NULL;
}

static void expect_clamped(long over)
{
	aio_handle ctx = new_context(1);
	struct feeder feeder = { .ctx = ctx, .rounds = ring_of(ctx)->nr };
	long nr = (long)feeder.rounds + over, i;
	struct iocb **list = GUARDED_ARRAY(struct iocb *, (size_t)nr);
	char *bytes = GUARDED_ARRAY(char, (size_t)nr);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, (size_t)nr);
	struct thread *thread;
	int ends[2];

	open_pipe(ends, 0);
	feeder.write_end = ends[1];
	for (i = 0; i < nr; i++)
		list[i] = prep_read(&iocbs[i], ends[0], &bytes[i], 1, 0);
	thread = thread_run(feed, &feeder);
	EXPECT_EQ(feeder.rounds, aio->submit(ctx, nr, list));
	thread_join(thread);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_submit, nr_is_ring, "nr as large as the ring is queued in one call",
     .clause = "io_submit.nr_clamp")
{
	expect_clamped(0);
}

CASE(io_submit, nr_clamped, "nr over the ring's is cut to it, without an error",
     .clause = "io_submit.nr_clamp")
{
	expect_clamped(1);
	expect_clamped(100);
}

/* --- the plug --- */

#define PLUG_MOST 8

/* Up to two requests go out as they come, more are gathered first. */
CASE(io_submit, plug, "batches of any size reach the device and complete",
     .clause = "io_submit.plug", .on = ON_ANY, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	size_t len = storage.block > 4096 ? storage.block : 4096;
	unsigned char *out = io_buffer(len * PLUG_MOST);
	unsigned char *in = io_buffer(len * PLUG_MOST);
	struct iocb iocbs[PLUG_MOST], *list[PLUG_MOST];
	aio_handle ctx = new_context(PLUG_MOST);
	struct io_event events[PLUG_MOST];
	int nr, i;

	for (nr = 1; nr <= PLUG_MOST; nr++) {
		size_t all = len * (size_t)nr;

		ROUND("%d requests", nr);
		pattern(out, all, (uint32_t)nr);
		memset(in, 0xee, all);
		for (i = 0; i < nr; i++)
			list[i] = prep_write(&iocbs[i], storage.fd,
					     out + len * (size_t)i, len,
					     storage.base + (off_t)len * i);
		EXPECT_EQ(nr, aio->submit(ctx, nr, list));
		stage_reap(ctx, nr, events);
		for (i = 0; i < nr; i++)
			EXPECT_EVENT(find_event(events, nr, &iocbs[i]),
				     &iocbs[i], (long)len);
		for (i = 0; i < nr; i++)
			list[i] = prep_read(&iocbs[i], storage.fd,
					    in + len * (size_t)i, len,
					    storage.base + (off_t)len * i);
		EXPECT_EQ(nr, aio->submit(ctx, nr, list));
		stage_reap(ctx, nr, events);
		for (i = 0; i < nr; i++)
			EXPECT_EVENT(find_event(events, nr, &iocbs[i]),
				     &iocbs[i], (long)len);
		EXPECT_PATTERN(in, all, (uint32_t)nr);
	}
}

/* How many writes have become part of another: the sixth number of its stat. */
static long writes_merged(const char *device)
{
	char path[100];
	long merged;
	FILE *f;

	snprintf(path, sizeof(path), "/sys/block/%s/stat",
		 strrchr(device, '/') + 1);
	f = fopen(path, "re");
	REQUIRE(f && fscanf(f, "%*d %*d %*d %*d %*d %ld", &merged) == 1);
	fclose(f);
	return merged;
}

/*
 * Neighbours that are gathered are merged. A task that is preempted sends what
 * it has gathered, so that one call proves nothing; a kernel that does not
 * gather never merges, where no scheduler does it.
 */
CASE(io_submit, plug_gathers, "more than two writes side by side become one",
     .clause = "io_submit.plug.gathers", .needs = "own_loop root")
{
	enum { TRIES = 200 };
	const char *device = own_loop(1024 * 1024, 4096);
	int fd = keep(open(device, O_RDWR | O_DIRECT | O_CLOEXEC));
	unsigned char *out = io_buffer(4096 * PLUG_MOST);
	struct iocb iocbs[PLUG_MOST], *list[PLUG_MOST];
	aio_handle ctx = new_context(PLUG_MOST);
	struct io_event events[PLUG_MOST];
	long before, merged = 0;
	int i, tries;

	/* older kernels have loop devices that merge nothing, or schedule */
	REQUIRE(!own_queue_set(device, "nomerges", "0"));
	own_queue_set(device, "scheduler", "none");
	for (tries = 0; tries < TRIES && !merged; tries++) {
		before = writes_merged(device);
		for (i = 0; i < PLUG_MOST; i++)
			list[i] = prep_write(&iocbs[i], fd,
					     out + 4096 * (size_t)i, 4096,
					     4096 * (off_t)i);
		ASSERT_EQ(PLUG_MOST, aio->submit(ctx, PLUG_MOST, list));
		stage_reap(ctx, PLUG_MOST, events);
		merged = writes_merged(device) - before;
	}
	EXPECT_GT(0, merged);
}

/* What is gathered goes out when the call ends early, too. */
CASE(io_submit, plug_and_bad_one, "a batch cut short by a bad one goes out",
     .clause = "io_submit.plug", .on = ON_ANY, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	size_t len = storage.block > 4096 ? storage.block : 4096;
	unsigned char *out = io_buffer(len * PLUG_MOST);
	struct iocb iocbs[PLUG_MOST], *list[PLUG_MOST];
	aio_handle ctx = new_context(PLUG_MOST);
	struct io_event events[PLUG_MOST];
	int i, k;

	for (k = 1; k < PLUG_MOST; k++) {
		ROUND("bad at %d", k);
		for (i = 0; i < PLUG_MOST; i++)
			list[i] = prep_write(&iocbs[i], storage.fd,
					     out + len * (size_t)i, len,
					     storage.base + (off_t)len * i);
		iocbs[k].aio_reserved2 = 1;
		EXPECT_EQ(k, aio->submit(ctx, PLUG_MOST, list));
		stage_reap(ctx, k, events);
		for (i = 0; i < k; i++)
			EXPECT_EVENT(find_event(events, k, &iocbs[i]),
				     &iocbs[i], (long)len);
	}
}
