// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A context is in the table before io_setup() has told its handle, and the
 * table moves when it grows: who looks a context up meanwhile must find it, and
 * who destroys it must not take from io_setup() what that still uses.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"
#include "side.h"

/* --- destroyed before io_setup() is over --- */

#define EVENTS 16

struct call {
	aio_handle ctx, *ctxp;
	long result;
	atomic_uint done;
};

static void *make(void *arg)
{
	struct call *call = arg;

	call->result = aio->setup(EVENTS, call->ctxp);
	return NULL;
}

static void *destroy(void *arg)
{
	struct call *call = arg;

	call->result = aio->destroy(call->ctx);
	count_up(&call->done);
	return NULL;
}

/* The handle of the one context, which nobody has been told. */
static aio_handle find_context(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long address = 0;
	char line[200];

	REQUIRE(maps);
	while (!address && fgets(line, sizeof(line), maps))
		if (strstr(line, "/[aio]"))
			address = strtoul(line, NULL, 16);
	fclose(maps);
	return address;
}

/* Stopped as it stores the handle, and then let to, or not. */
static void destroy_in_setup(bool denied)
{
	struct call making = { .ctxp = io_buffer(PAGE_SIZE) }, end = { 0 };
	struct trap *trap = trap_set_writes(making.ctxp, PAGE_SIZE);
	struct thread *maker = thread_run(make, &making), *ender;
	struct iocb iocb;

	trap_wait(trap);
	end.ctx = find_context();
	ASSERT_TRUE(end.ctx);
	EXPECT_EQ(aio_nr_at_start() + EVENTS, aio_nr());
	stage_poll(end.ctx, &iocb);
	ender = thread_run(destroy, &end);
	ASSERT_TRUE(wait_asleep_in(thread_tid(ender), SYS_io_destroy));
	EXPECT_QUOTA_BACK();
	EXPECT_EQ(0, maps_named("/[aio]"));
	/* one that began later has waited for all grace periods */
	end_context(new_context(1));
	EXPECT_EQ(0, atomic_load(&end.done));
	if (denied)
		trap_deny(trap);
	else
		trap_release(trap, NULL);
	thread_join(maker);
	thread_join(ender);
	EXPECT_EQ(denied ? -EFAULT : 0, making.result);
	EXPECT_EQ(0, end.result);
	EXPECT_ERR(EINVAL, aio->destroy(end.ctx));
	EXPECT_QUOTA_BACK();
	if (!denied)
		EXPECT_EQ(end.ctx, *making.ctxp);
}

CASE(race, setup_destroyed,
     "a context destroyed before io_setup() ends: that is waited for",
     .clause = "race.setup_destroyed",
     .needs = "write_traps aio_sysctls eventfd task_syscall",
     .serial = SERIAL_BODY)
{
	destroy_in_setup(false);
}

CASE(race, setup_destroyed_fails,
     "one whose io_setup() then fails is taken down once",
     .clause = "race.setup_destroyed",
     .needs = "write_traps aio_sysctls eventfd task_syscall",
     .serial = SERIAL_BODY)
{
	destroy_in_setup(true);
}

/* --- looked up while the table grows --- */

#define FIRST 4	  /* places of the first table; the next has 16, and so on */
#define LAST  256 /* that are copied, the last one at last */
#define TIMES 4

struct growth {
	aio_handle ctx;
	atomic_bool over;
};

static void look_up(void *arg)
{
	struct growth *growth = arg;
	long result;

	do
		result = aio->submit(growth->ctx, 0, NULL);
	while (!result && !atomic_load(&growth->over));
	EXPECT_EQ(0, result);
}

/* In a child, whose table is small. */
static void grow(void)
{
	struct growth growth = { 0 };
	struct side *side = side_start(look_up, &growth);
	unsigned int table, n = 0, round = 0;

	for (table = FIRST; table <= LAST; table *= 4) {
		for (; n < table; n++)
			growth.ctx = new_context(1);
		EXPECT_EQ(table - 1, ring_of(growth.ctx)->id);
		atomic_store(&growth.over, false);
		side_go(side, round++);
		new_context(1);
		n++;
		atomic_store(&growth.over, true);
		side_wait(side);
	}
	side_end(side);
	child_exit(0);
}

CASE(race, lookup_grow, "a context is found while the table grows",
     .clause = "race.lookup_grow", .needs = "cpus2", .flavours = NATIVE)
{
	unsigned int i, n = rounds(TIMES);
	pid_t pid;

	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		pid = child_fork();
		if (!pid)
			grow();
		EXPECT_CHILD_OK(pid);
	}
}

/* --- grown by two at once --- */

#define GROWTHS 100 /* processes, of three growths each */

static void set_up(void *arg)
{
	*(aio_handle *)arg = new_context(1);
}

static void expect_found(aio_handle ctx)
{
	struct timespec none = { 0 };
	struct io_event event;

	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, &none));
}

/*
 * In a child: both find the table full, and only one of them may grow it. The
 * exit takes its time: the next child begins meanwhile.
 */
static void grow_together(unsigned int round, struct gate *done)
{
	aio_handle first, mine, others;
	struct side *side = side_start(set_up, &others);
	unsigned int table, n = 1;

	first = new_context(1);
	for (table = FIRST; table < LAST; table *= 4) {
		for (; n < table; n++)
			new_context(1);
		side_go(side, round++);
		mine = new_context(1);
		side_wait(side);
		n += 2;
		expect_found(first);
		expect_found(mine);
		expect_found(others);
		EXPECT_EQ(2 * table + 1,
			  ring_of(mine)->id + ring_of(others)->id);
	}
	side_end(side);
	gate_open(done);
	child_exit(0);
}

CASE(race, grow_together, "two threads that let the table grow lose no context",
     .clause = "io_setup.table.growth_race", .needs = "cpus2",
     .flavours = NATIVE)
{
	struct gate *done = shared_memory(GROWTHS * sizeof(*done));
	unsigned int i, n = rounds(GROWTHS);
	pid_t pids[GROWTHS];

	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		pids[i] = child_fork();
		if (!pids[i])
			grow_together(3 * i, &done[i]);
		WAIT_FOR(atomic_load(&done[i].open) || child_has_gone(pids[i]));
	}
	while (i)
		EXPECT_CHILD_OK(pids[--i]);
}
