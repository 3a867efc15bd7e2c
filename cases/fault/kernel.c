// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's own allocations fail within a call: the first, the second, …
 * until none is left. Each has its way back through what was done before it,
 * and nothing of that may stay: no memory, no quota, no mapping, no reference,
 * no slot in the ring.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"
#include "fault.h"
#include "kernel.h"
#include "scenario.h"
#include "slope.h"

#define SETUP  "kernel/io_setup"
#define SUBMIT "kernel/io_submit"
#define EVENTS                                                            \
	1000	 /* a ring of sixteen pages: more than the kernel inlines \
		  */
#define TABLE 4	 /* contexts in the first table of a process */
#define TIMES 64 /* that each failure is repeated, to see what it leaves */
#define FEW   3	 /* that succeed, of those */

/* --- io_setup --- */

static void expect_works(aio_handle ctx)
{
	struct iocb iocb;

	stage_events(ctx, 1, &iocb);
	EXPECT_COMPLETED(ctx, &iocb, POLLIN);
}

static void setup_once(struct swept *swept)
{
	aio_handle ctx = 0;

	swept->error = aio->setup(EVENTS, &ctx);
	if (swept->error) {
		EXPECT_ERR(ENOMEM, swept->error);
		EXPECT_EQ(0, ctx);
		EXPECT_EQ(0, maps_named("/[aio]"));
		EXPECT_QUOTA_BACK();
		return;
	}
	EXPECT_EQ(0, ring_of(ctx)->id);
	EXPECT_EQ(ring_events_for(EVENTS), ring_of(ctx)->nr);
	expect_works(ctx);
	end_context(ctx);
	EXPECT_QUOTA_BACK();
}

/*
 * Some allocations can fail and the call succeed all the same. From then on a
 * process has its table of contexts, so that each has to be a new one.
 */
static void setup_fails(struct swept *swept)
{
	swept_in_child(swept, setup_once);
}

/* At the least: context, counters, file and inode, array, pages, table. */
#define ALLOCATIONS (1 + 2 + 2 + 1 + 16 + 1)

CASE(fault, kernel_setup,
     "io_setup() without memory at any place is ENOMEM, and nothing is left",
     .clause = "io_setup.enomem.undone", .fault = SETUP,
     .needs = "fail_nth aio_sysctls", .serial = true, .flavours = RAW,
     .time_limit = 60)
{
	aio_handle ctx;

	EXPECT_GE(ALLOCATIONS, sweep_info(SETUP, 1, setup_fails));
	ctx = new_context(EVENTS);
	EXPECT_EQ(0, ring_of(ctx)->id);
	EXPECT_EQ(aio_nr_at_start() + EVENTS, aio_nr());
}

/* The table is full, and its fifth context needs another. */
static void setup_one_more(struct swept *swept)
{
	aio_handle others[TABLE], ctx = 0;
	unsigned int i;
	long quota;

	for (i = 0; i < TABLE; i++)
		others[i] = new_context(1);
	quota = aio_nr();
	swept->error = aio->setup(EVENTS, &ctx);
	if (swept->error) {
		EXPECT_ERR(ENOMEM, swept->error);
		EXPECT_EQ(0, ctx);
		EXPECT_EQ(TABLE, maps_named("/[aio]"));
		EXPECT_EQ(quota, aio_nr());
	} else {
		EXPECT_EQ(TABLE, ring_of(ctx)->id);
		expect_works(ctx);
	}
	for (i = 0; i < TABLE; i++)
		expect_works(others[i]);
}

static void setup_beside_others(struct swept *swept)
{
	swept_in_child(swept, setup_one_more);
}

CASE(fault, kernel_setup_table,
     "a table of contexts that cannot grow is ENOMEM, and the others live on",
     .clause = "io_setup.enomem.table", .fault = SETUP,
     .needs = "fail_nth aio_sysctls", .serial = true, .flavours = RAW,
     .time_limit = 60)
{
	EXPECT_GE(ALLOCATIONS,
		  sweep_info_at(SETUP, 1, TABLE + 1, setup_beside_others));
}

/* Only what is allocated from this cache; so many times it is. */
static void setup_without(const char *cache, unsigned int times)
{
	fail_only_slab(cache);
	EXPECT_EQ(times, sweep_info(SETUP, 1, setup_fails));
}

#define SETUP_WITHOUT(name, cache, times, clause_)                        \
	CASE(fault, kernel_setup_##name,                                  \
	     "io_setup() without memory for its " #name " is ENOMEM",     \
	     .clause = clause_, .fault = SETUP,                           \
	     .needs = "fail_nth aio_sysctls slab_counts", .serial = true, \
	     .flavours = RAW)                                             \
	{                                                                 \
		setup_without(cache, times);                              \
	}

SETUP_WITHOUT(kioctx, "kioctx", 1, "io_setup.enomem.kioctx")
SETUP_WITHOUT(inode, "inode_cache", 1, "io_setup.enomem.file")
SETUP_WITHOUT(file, "filp", 1, "io_setup.enomem.file")
SETUP_WITHOUT(mapping, "vm_area_struct", 1, "io_setup.enomem.mapping")

/* From caches that others use, too. */
#define SETUP_WITHOUT_SOME(name, cache, least, clause_)                   \
	CASE(fault, kernel_setup_##name,                                  \
	     "io_setup() without memory for its " #name " is ENOMEM",     \
	     .clause = clause_, .fault = SETUP,                           \
	     .needs = "fail_nth aio_sysctls slab_counts", .serial = true, \
	     .flavours = RAW)                                             \
	{                                                                 \
		fail_only_slab(cache);                                    \
		EXPECT_GE(least, sweep_info(SETUP, 1, setup_fails));      \
	}

SETUP_WITHOUT_SOME(counters, "kmalloc-64", 2, "io_setup.enomem.percpu")
SETUP_WITHOUT_SOME(array, "kmalloc-128", 1, "io_setup.enomem.page_array")

CASE(fault, kernel_setup_pages,
     "io_setup() without memory for any page of its ring is ENOMEM",
     .clause = "io_setup.enomem.pages", .fault = SETUP,
     .needs = "fail_nth aio_sysctls", .serial = true, .flavours = RAW)
{
	fail_only_pages();
	EXPECT_GE(ring_size(ring_events_for(EVENTS)) / PAGE_SIZE,
		  sweep_info(SETUP, 1, setup_fails));
}

/* --- what failures leave, one by one --- */

static int nth;
static const char *point;
static long (*failing)(void);
static bool spared;
static bool once_survived; /* … a failure, there is nothing to repeat */

/*
 * The next context shall need a larger table, as long as calls fail: one that
 * succeeded has made the table four times as large.
 */
static void fill_table(unsigned int places)
{
	while (ring_of(new_context(1))->id + 1 < places)
		;
}

/*
 * Whether the nth allocation is one that there is, shows on the way. Now and
 * then it is another one that can fail, for per-CPU memory has run out.
 */
static void fail_in_turn(unsigned int times)
{
	unsigned int lives = FEW, places = TABLE;
	long result;

	if (once_survived)
		fill_table(places);
	while (times-- && !spared && lives) {
		fault_once(point, nth);
		result = failing();
		spared = !fault_off_if(point);
		if (once_survived && !result && !spared && --lives)
			fill_table(places *= TABLE);
	}
}

static unsigned int turns;

static void fail_in_child(struct swept *swept)
{
	fail_in_turn(turns);
	swept->error = spared;
}

/* In a child, whose table is its own, and small. */
static void fail_times(unsigned int times)
{
	struct swept swept = { 0 };

	if (!once_survived) {
		fail_in_turn(times);
		return;
	}
	turns = times;
	swept_in_child(&swept, fail_in_child);
	spared = swept.error;
}

static void expect_no_leaks(const char *at, long (*call)(void))
{
	point = at;
	failing = call;
	spared = false;
	for (nth = 1; !spared; nth++) {
		ROUND("allocation %d", nth);
		EXPECT_NO_LEAK(fail_times, TIMES);
	}
	ROUNDS_END();
}

static long setup_and_end(void)
{
	aio_handle ctx = 0;
	long result = aio->setup(EVENTS, &ctx);

	if (!result)
		end_context(ctx);
	return result;
}

CASE(fault, kernel_setup_leaks,
     "each failed allocation of io_setup() leaves no memory behind",
     .clause = "leak.setup_failed", .fault = SETUP,
     .needs = "fail_nth slab_counts", .serial = true, .flavours = RAW,
     .time_limit = 200)
{
	/* the children's are not this process's */
	fault_once(SETUP, 1);
	EXPECT_ERR(ENOMEM, setup_and_end());
	EXPECT_TRUE(fault_off_if(SETUP));
	once_survived = true;
	expect_no_leaks(SETUP, setup_and_end);
}

/* --- io_submit --- */

#define SEGMENTS 16 /* more than the kernel inlines */
#define LENGTH	 4096

static aio_handle ctx_of_sweep;
static struct iocb request;
static struct storage storage;
static char *buffer;
static struct iovec segments[SEGMENTS];
static int notified = -1;

static void prep_plain(void)
{
	prep_poll(&request, notified, POLLIN);
}

static void prep_notified(void)
{
	notify(prep_poll(&request, notified, POLLIN), notified);
}

static void prep_block(void)
{
	prep_write(&request, storage.fd, buffer, storage.block, storage.base);
}

static void prep_segments(void)
{
	prep_readv(&request, storage.fd, segments, SEGMENTS, storage.base);
}

static void prep_sync(void)
{
	prep_fsync(&request, storage.fd);
}

static void (*prepare)(void);

static bool is_shortage(long result)
{
	return result == -ENOMEM || result == -EAGAIN || result == -EFAULT;
}

/* What the event says of a failure is the file's business. */
static bool is_failure(long long result)
{
	return is_shortage((long)result) || result == -EIO;
}

static long submit_and_reap(void)
{
	struct io_event event;
	long result;

	prepare();
	result = submit_one(ctx_of_sweep, &request);
	if (result != 1) {
		EXPECT_TRUE(is_shortage(result));
		EXPECT_EQ(0, ring_unread(ctx_of_sweep));
		return result;
	}
	STAGE_EQ(1, aio->getevents(ctx_of_sweep, 1, 1, &event, NULL));
	EXPECT_EQ((uintptr_t)&request, event.obj);
	EXPECT_TRUE(event.res >= 0 || is_failure(event.res));
	return event.res < 0 ? (long)event.res : 0;
}

static void submit_fails(struct swept *swept)
{
	swept->error = submit_and_reap();
	if (swept->error == -EIO)
		swept->error = -ENOMEM;
}

/* No slot is lost: the ring takes as many as one that saw no failure. */
static void expect_all_slots(aio_handle ctx)
{
	unsigned int capacity = ring_capacity(ring_of(ctx)->nr), n = 0;
	struct iocb *polls = GUARDED_ARRAY(struct iocb, capacity + 1);
	int fd = open_eventfd(0, 0);

	while (n <= capacity &&
	       submit_one(ctx, prep_poll(&polls[n], fd, POLLIN)) == 1)
		n++;
	EXPECT_EQ(capacity, n);
}

static void set_the_stage(void (*prep)(void))
{
	unsigned int i;

	pin_to_cpu(0);
	prepare = prep;
	ctx_of_sweep = new_context(1);
	notified = open_eventfd(1, EFD_NONBLOCK);
	buffer = io_buffer(SEGMENTS * LENGTH);
	for (i = 0; i < SEGMENTS; i++)
		segments[i] = (struct iovec){ buffer + i * LENGTH, LENGTH };
	storage = open_storage(O_RDWR | O_DIRECT);
}

#define SUBMITTED(name, prep, least, clause_, title)                       \
	CASE(fault, kernel_submit_##name, title, .clause = clause_,        \
	     .fault = SUBMIT, .needs = "fail_nth eventfd", .on = ON_ANY,   \
	     .flavours = RAW, .time_limit = 60)                            \
	{                                                                  \
		set_the_stage(prep);                                       \
		EXPECT_GE(least, sweep_info(SUBMIT, 1, submit_fails));     \
		expect_all_slots(ctx_of_sweep);                            \
	}                                                                  \
	CASE(fault, kernel_submit_##name##_leaks, title ", and no memory", \
	     .clause = clause_, .fault = SUBMIT,                           \
	     .needs = "fail_nth eventfd slab_counts", .on = ON_ANY,        \
	     .serial = true, .flavours = RAW, .time_limit = 200)           \
	{                                                                  \
		set_the_stage(prep);                                       \
		expect_no_leaks(SUBMIT, submit_and_reap);                  \
	}

/* A copy of the request, and memory for one. */
SUBMITTED(poll, prep_plain, 2, "io_submit.enomem",
	  "a poll that fails for memory takes no slot")
SUBMITTED(notified, prep_notified, 2, "io_submit.enomem",
	  "a request with an eventfd that fails for memory takes no slot")
SUBMITTED(write, prep_block, 3, "io_submit.enomem",
	  "a write that fails for memory takes no slot")
SUBMITTED(vector, prep_segments, 4, "ops.preadv.enomem",
	  "a vector that fails for memory takes no slot")
SUBMITTED(sync, prep_sync, 3, "ops.fsync.enomem",
	  "a sync that fails for memory takes no slot")

#define LIST 3

/* Those before the failure are taken, and complete. */
static void submit_list(struct swept *swept)
{
	struct iocb iocbs[LIST], *list[LIST];
	struct io_event events[LIST];
	unsigned int i;
	long result;

	for (i = 0; i < LIST; i++)
		list[i] = prep_poll(&iocbs[i], notified, POLLIN);
	result = aio->submit(ctx_of_sweep, LIST, list);
	if (result < 0) {
		EXPECT_TRUE(is_shortage(result));
		swept->error = result;
		result = 0;
	}
	EXPECT_EQ(result, ring_unread(ctx_of_sweep));
	if (result)
		stage_reap(ctx_of_sweep, result, events);
	for (i = 0; i < result; i++)
		EXPECT_EVENT(&events[i], list[i], POLLIN);
}

CASE(fault, kernel_submit_list,
     "of a list what stands before the one that fails for memory is taken",
     .clause = "io_submit.enomem", .fault = SUBMIT, .needs = "fail_nth eventfd",
     .on = ON_ANY, .flavours = RAW, .time_limit = 60)
{
	set_the_stage(prep_plain);
	EXPECT_GE(2 * LIST, sweep_info(SUBMIT, 1, submit_list));
	expect_all_slots(ctx_of_sweep);
}

/* --- io_getevents, io_pgetevents --- */

static struct iocb reaped[LIST];

/* What was not given is there, in its order, to be reaped. */
static void judge_reaped(struct swept *swept, long got, struct io_event *events)
{
	unsigned int i;

	if (got < 0) {
		EXPECT_ERR(EFAULT, got);
		swept->error = got;
		EXPECT_EQ(LIST, ring_unread(ctx_of_sweep));
		stage_reap(ctx_of_sweep, LIST, events);
	} else {
		EXPECT_EQ(LIST, got);
	}
	for (i = 0; i < LIST; i++)
		EXPECT_EVENT(&events[i], &reaped[i], POLLIN);
}

static void getevents_fails(struct swept *swept)
{
	struct timespec second = { .tv_sec = 1 };
	struct io_event events[LIST];

	stage_events(ctx_of_sweep, LIST, reaped);
	judge_reaped(swept,
		     aio->getevents(ctx_of_sweep, LIST, LIST, events, &second),
		     events);
}

/* The time-out, and the events. */
CASE(fault, kernel_getevents,
     "events that the kernel cannot copy are EFAULT, and stay",
     .clause = "io_getevents.efault.nothing_lost",
     .fault = "kernel/io_getevents", .needs = "fail_nth eventfd", .on = ON_ANY,
     .flavours = RAW)
{
	set_the_stage(prep_plain);
	EXPECT_GE(2, sweep_info("kernel/io_getevents", 1, getevents_fails));
}

/* They lie on both sides of the ring's end, and are copied in two parts. */
CASE(fault, kernel_getevents_parts,
     "events of which the kernel can copy the first part stay, too",
     .clause = "io_getevents.efault.nothing_lost",
     .fault = "kernel/io_getevents", .needs = "fail_nth eventfd", .on = ON_ANY,
     .flavours = RAW)
{
	struct io_event events[LIST];
	unsigned int i, n = 0;

	set_the_stage(prep_plain);
	do {
		stage_ring_at(ctx_of_sweep, ring_of(ctx_of_sweep)->nr - 1);
		stage_events(ctx_of_sweep, LIST, reaped);
		fault_once("kernel/io_getevents", (int)++n);
		i = aio->getevents(ctx_of_sweep, LIST, LIST, events, NULL) < 0;
		if (!fault_off_if("kernel/io_getevents"))
			break;
		EXPECT_EQ(1, i);
		EXPECT_EQ(LIST, ring_unread(ctx_of_sweep));
		stage_reap(ctx_of_sweep, LIST, events);
		for (i = 0; i < LIST; i++)
			EXPECT_EVENT(&events[i], &reaped[i], POLLIN);
	} while (true);
	EXPECT_EQ(3, n);
}

#define MASKED SIGUSR2

static void pgetevents_fails(struct swept *swept)
{
	struct timespec second = { .tv_sec = 1 };
	struct io_event events[LIST];
	sigset_t mask, after;
	struct aio_usig usig = { &mask, KERNEL_SIGSET_SIZE };

	stage_events(ctx_of_sweep, LIST, reaped);
	sigemptyset(&mask);
	sigaddset(&mask, MASKED);
	judge_reaped(swept,
		     aio->pgetevents_usig(ctx_of_sweep, LIST, LIST, events,
					  &second, &usig),
		     events);
	REQUIRE(!sigprocmask(SIG_BLOCK, NULL, &after));
	EXPECT_EQ(0, sigismember(&after, MASKED));
}

/* The time-out, the structure, the mask, the events. */
CASE(fault, kernel_pgetevents,
     "arguments and events that the kernel cannot copy are EFAULT, "
     "and the mask is as it was",
     .clause = "io_getevents.efault.nothing_lost",
     .fault = "kernel/io_pgetevents", .needs = "fail_nth eventfd", .on = ON_ANY,
     .flavours = RAW)
{
	set_the_stage(prep_plain);
	EXPECT_GE(4, sweep_info("kernel/io_pgetevents", 1, pgetevents_fails));
}

/* --- a whole life --- */

#define LIFE(call, clause_)                                                    \
	CASE(fault, kernel_life_##call,                                        \
	     "a program lives with any shortage of memory in " #call "()",     \
	     .clause = clause_, .fault = "kernel/" #call, .needs = "fail_nth", \
	     .on = ON_ANY, .flavours = RAW, .time_limit = 120)                 \
	{                                                                      \
		sweep_each_info("kernel/" #call, 1, whole_life);               \
	}

LIFE(io_setup, "io_setup.enomem.undone")
LIFE(io_submit, "io_submit.enomem")
LIFE(io_getevents, "io_getevents.efault.nothing_lost")
