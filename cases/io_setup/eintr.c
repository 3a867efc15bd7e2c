// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_setup() waits for the lock of its address space so that a fatal signal
 * ends it: a process that is killed there is gone at once, not when whoever
 * holds the lock is done.
 *
 * The lock is held by a thread of the same process that reads /proc/self/mem
 * where a file is mapped whose server does not answer.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "held.h"
#include "slope.h"

#define EVENTS 1000 /* a ring of sixteen pages */
#define TIMES  60
#define BATCH  10 /* processes, each with a page of the file of its own */

struct locker {
	int mem;
	char *page;
};

static void *hold_the_lock(void *arg)
{
	const struct locker *locker = arg;
	char byte;

	(void)!pread(locker->mem, &byte, 1, (off_t)(uintptr_t)locker->page);
	return NULL;
}

/* The n-th child of a batch. */
static void child_waits_for_the_lock(struct held *held, int file,
				     unsigned int n)
{
	struct locker locker;
	aio_handle ctx = 0;

	locker.page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE, file,
			   (off_t)(n * PAGE_SIZE));
	REQUIRE(locker.page != MAP_FAILED);
	/* not a page more than it asks for */
	REQUIRE(!madvise(locker.page, PAGE_SIZE, MADV_RANDOM));
	locker.mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	REQUIRE(locker.mem >= 0);
	thread_run(hold_the_lock, &locker);
	held_wait(held, n + 1);
	aio->setup(EVENTS, &ctx);
	EXPECT_NOT_REACHED("io_setup() returned to a killed program");
	child_exit(1);
}

/* Children that are killed while they wait in io_setup(), and are gone. */
static void kill_batch(struct held *held, int file, unsigned int children)
{
	pid_t pids[BATCH];
	unsigned int i;

	hold(held, HOLD_READS);
	for (i = 0; i < children; i++) {
		pids[i] = child_fork();
		if (!pids[i])
			child_waits_for_the_lock(held, file, i);
		held_wait(held, i + 1);
	}
	for (i = 0; i < children; i++) {
		wait_asleep_in(pids[i], SYS_io_setup);
		REQUIRE(!kill(pids[i], SIGKILL));
	}
	/* the thread that reads cannot go yet, so it stays a zombie */
	for (i = 0; i < children; i++)
		WAIT_FOR(task_state(pids[i]) == 'Z');
	EXPECT_EQ(children, held_count(held));
	for (i = 0; i < children; i++) {
		/* so that the next one reads again */
		release_at(held, (int64_t)(i * PAGE_SIZE), EIO);
		EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(pids[i])));
	}
}

CASE(io_setup, eintr_killed,
     "a process killed while it waits for its address space is gone at once",
     .clause = "io_setup.eintr",
     .needs = "held madvise task_syscall aio_sysctls", .serial = SERIAL_BODY)
{
	struct held *held;
	int file;

	held = held_open(&file);
	kill_batch(held, file, 1);
	EXPECT_QUOTA_BACK();
}

static struct held *server;
static int served;

static void kill_many(unsigned int times)
{
	for (; times; times -= BATCH)
		kill_batch(server, served, BATCH);
}

CASE(io_setup, eintr_no_leak,
     "contexts of processes killed in io_setup() leave nothing behind",
     .clause = "io_setup.eintr",
     .needs = "held madvise task_syscall slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	server = held_open(&served);
	EXPECT_NO_LEAK(kill_many, TIMES);
}
