// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contexts made, destroyed, moved and touched at the same time: the table, the
 * accounts and the mappings have to come out right whoever is first.
 */
#include <setjmp.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"
#include "side.h"

#define MAKERS	 4
#define CONTEXTS 3
#define ROUNDS	 3

/* All of them alive at once, all different, all of use, and gone again. */
static void *make_and_destroy(void *arg)
{
	struct meeting *meeting = arg;
	aio_handle ctx[CONTEXTS];
	unsigned int round, i;

	for (round = 0; round < ROUNDS; round++) {
		meet(meeting);
		for (i = 0; i < CONTEXTS; i++) {
			ctx[i] = 0;
			ASSERT_OK(aio->setup(i + 1, &ctx[i]));
		}
		for (i = 0; i < CONTEXTS; i++) {
			EXPECT_EQ(0, aio->submit(ctx[i], 0, NULL));
			EXPECT_OK(aio->destroy(ctx[i]));
		}
	}
	return NULL;
}

CASE(race, setup_destroy,
     "threads that make and destroy contexts keep table and quota exact",
     .clause = "race.setup_destroy", .needs = "aio_sysctls",
     .serial = SERIAL_BODY, .flavours = NATIVE)
{
	struct meeting meeting = { .n = MAKERS };
	struct thread *threads[MAKERS];
	aio_handle after;
	unsigned int i;

	for (i = 0; i < MAKERS; i++)
		threads[i] = thread_run(make_and_destroy, &meeting);
	for (i = 0; i < MAKERS; i++)
		thread_join(threads[i]);
	EXPECT_QUOTA_BACK();
	after = new_context(1);
	EXPECT_EQ(0, ring_of(after)->id);
	EXPECT_EQ(aio_nr_at_start() + 1, aio_nr());
	end_context(after);
}

struct moving {
	aio_handle ctx;
	size_t size;
	char *target; /* a place of three pages' room, the ring in its middle */
	void *moved;
	int error;
};

static void move(void *arg)
{
	struct moving *moving = arg;

	moving->moved = mremap((void *)moving->ctx, moving->size, moving->size,
			       MREMAP_MAYMOVE | MREMAP_FIXED,
			       moving->target + PAGE_SIZE);
	moving->error = errno;
}

#define MOVES 8 /* destroying takes its time */

CASE(race, destroy_mremap,
     "a ring moved while it is destroyed: moved, or gone, and nothing else",
     .clause = "race.destroy_mremap", .needs = "cpus2", .flavours = RAW)
{
	struct moving moving = { .ctx = 0 };
	struct side *side = side_start(move, &moving);
	unsigned int i;
	long result;

	for (i = 0; i < MOVES; i++) {
		ROUND("round %u", i);
		moving.ctx = new_context(1);
		moving.size = ring_size(ring_of(moving.ctx)->nr);
		moving.target = mmap(NULL, moving.size + 2 * PAGE_SIZE,
				     PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(moving.target != MAP_FAILED);
		side_go(side, i);
		result = aio->destroy(moving.ctx);
		side_wait(side);
		if (result) {
			/* it was elsewhere already */
			EXPECT_EQ(-EINVAL, result);
			ASSERT_TRUE(moving.moved != MAP_FAILED);
			EXPECT_OK(aio->destroy((aio_handle)moving.moved));
		} else if (moving.moved == MAP_FAILED) {
			EXPECT_TRUE(moving.error == EINVAL ||
				    moving.error == EFAULT);
		}
		EXPECT_EQ(0, maps_named("/[aio]"));
		EXPECT_TRUE(is_mapped(moving.target));
		EXPECT_TRUE(is_mapped(moving.target + PAGE_SIZE + moving.size));
		REQUIRE(!munmap(moving.target, moving.size + 2 * PAGE_SIZE));
	}
	side_end(side);
}

static sigjmp_buf out;
static atomic_uint touching;
static volatile sig_atomic_t stopped_by;

static void stop_touching(int sig)
{
	stopped_by = sig;
	siglongjmp(out, 1);
}

static void *touch(void *arg)
{
	volatile unsigned int *word = arg;

	if (sigsetjmp(out, 1))
		return NULL;
	for (;;) {
		word[3] = word[2];
		atomic_store(&touching, 1);
	}
}

CASE(race, destroy_fault,
     "touching a ring that is being destroyed gives memory or a signal",
     .clause = "race.destroy_fault", .needs = "cpus2", .flavours = RAW)
{
	aio_handle ctx = new_context(1);
	struct thread *thread;

	signal(SIGSEGV, stop_touching);
	signal(SIGBUS, stop_touching);
	thread = thread_run(touch, (void *)ctx);
	WAIT_FOR(atomic_load(&touching));
	EXPECT_OK(aio->destroy(ctx));
	thread_join(thread);
	EXPECT_TRUE(stopped_by == SIGSEGV || stopped_by == SIGBUS);
}

#define FIGHTERS 4
#define SHARE	 3  /* requests of each context */
#define SHARES	 10 /* that there is room for, and a bit */

struct fight {
	struct meeting begin;
	atomic_uint won;
	struct gate over;
};

static void fight_for_quota(struct fight *fight)
{
	aio_handle ctx[SHARES + 1] = { 0 };
	unsigned int i, won = 0;
	long result;

	meet(&fight->begin);
	for (i = 0; i <= SHARES; i++) {
		result = aio->setup(SHARE, &ctx[i]);
		if (!result)
			won++;
		else
			EXPECT_EQ(-EAGAIN, result);
	}
	atomic_fetch_add(&fight->won, won);
	meet(&fight->begin);
	gate_wait(&fight->over);
	child_exit(0);
}

CASE(race, quota, "processes that fight for the last of the quota share it",
     .clause = "race.quota", .needs = "root aio_sysctls cpus2",
     .serial = SERIAL_BODY)
{
	struct fight *fight = shared_memory(sizeof(*fight));
	long before = aio_nr();
	pid_t pids[FIGHTERS];
	unsigned int i;

	fight->begin.n = FIGHTERS + 1;
	sysctl_set("fs/aio-max-nr", before + SHARES * SHARE + SHARE - 1);
	for (i = 0; i < FIGHTERS; i++) {
		pids[i] = child_fork();
		if (!pids[i])
			fight_for_quota(fight);
	}
	meet(&fight->begin);
	meet(&fight->begin);
	EXPECT_EQ(SHARES, atomic_load(&fight->won));
	EXPECT_EQ(before + SHARES * SHARE, aio_nr());
	gate_open(&fight->over);
	for (i = 0; i < FIGHTERS; i++)
		EXPECT_CHILD_OK(pids[i]);
	EXPECT_QUOTA_BACK();
}

#define LAST_ROUNDS 200

struct asker {
	aio_handle ctx;
	long result;
};

static void ask(void *arg)
{
	struct asker *asker = arg;

	asker->ctx = 0;
	asker->result = aio->setup(SHARE, &asker->ctx);
}

CASE(race, quota_last,
     "of two that ask at once for the last of the quota "
     "one has it",
     .clause = "race.quota", .needs = "root aio_sysctls cpus2",
     .serial = SERIAL_BODY)
{
	struct asker mine, other;
	struct side *side = side_start(ask, &other);
	unsigned int i, n = rounds(LAST_ROUNDS);
	long before = aio_nr();

	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		sysctl_set("fs/aio-max-nr", before + 2 * SHARE - 1);
		side_go(side, i);
		ask(&mine);
		side_wait(side);
		EXPECT_TRUE(!mine.result != !other.result);
		EXPECT_EQ(-EAGAIN, mine.result + other.result);
		before += SHARE;
		ASSERT_EQ(before, aio_nr());
	}
	side_end(side);
}

#define LARGE 4000 /* requests: their ring takes its time */

static void ask_large(void *arg)
{
	struct asker *asker = arg;

	asker->ctx = 0;
	asker->result = aio->setup(LARGE, &asker->ctx);
}

CASE(race, quota_refused,
     "who is refused by the quota takes nothing of it from others meanwhile",
     .clause = "race.quota", .needs = "root aio_sysctls cpus2",
     .serial = SERIAL_BODY, .quota = LARGE)
{
	aio_handle first = new_context(1), ctx;
	struct asker other;
	struct side *side = side_start(ask_large, &other);
	unsigned int i, n = rounds(LAST_ROUNDS);
	long before = aio_nr();

	EXPECT_WORKS(first, 1);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		sysctl_set("fs/aio-max-nr", before + LARGE - 1);
		side_go(side, i);
		ctx = 0;
		EXPECT_OK(aio->setup(1, &ctx));
		side_wait(side);
		EXPECT_EQ(-EAGAIN, other.result);
		ASSERT_EQ(++before, aio_nr());
	}
	side_end(side);
}

struct destroyer {
	aio_handle ctx;
	long result;
};

static void destroy_too(void *arg)
{
	struct destroyer *destroyer = arg;

	destroyer->result = aio->destroy(destroyer->ctx);
}

#define TWICE_ROUNDS 60
#define COUPLES	     6 /* each waits most of its time */

static void destroy_twice(void)
{
	struct destroyer destroyer = { 0 };
	struct side *side = side_start(destroy_too, &destroyer);
	unsigned int i, n = rounds(TWICE_ROUNDS);
	long result;

	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		destroyer.ctx = new_context(1);
		side_go(side, i);
		result = aio->destroy(destroyer.ctx);
		side_wait(side);
		EXPECT_EQ(-EINVAL, result + destroyer.result);
		EXPECT_TRUE(!result || !destroyer.result);
	}
	side_end(side);
}

CASE(race, destroy_twice,
     "of two threads that destroy within nanoseconds one does",
     .clause = "io_destroy.two_threads", .needs = "cpus2", .flavours = NATIVE)
{
	pid_t pids[COUPLES];
	unsigned int i;

	for (i = 0; i < COUPLES; i++) {
		pids[i] = child_fork();
		if (!pids[i]) {
			destroy_twice();
			child_exit(0);
		}
	}
	for (i = 0; i < COUPLES; i++)
		EXPECT_CHILD_OK(pids[i]);
}
