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

#define EVENTS 300

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

/* The state of a thread of another process, as in /proc/PID/stat; 0: none. */
static char state_of(pid_t pid)
{
	char path[64], state = 0;
	FILE *stat;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, pid);
	stat = fopen(path, "re");
	if (!stat)
		return 0;
	if (fscanf(stat, "%*d %*s %c", &state) != 1)
		state = 0;
	fclose(stat);
	return state;
}

static void child_waits_for_the_lock(struct held *held, int file)
{
	struct locker locker;
	aio_handle ctx = 0;

	locker.page = mmap(NULL, PAGE_SIZE, PROT_READ, MAP_PRIVATE, file, 0);
	REQUIRE(locker.page != MAP_FAILED);
	locker.mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	REQUIRE(locker.mem >= 0);
	thread_run(hold_the_lock, &locker);
	held_wait(held, 1);
	aio->setup(EVENTS, &ctx);
	EXPECT_NOT_REACHED("io_setup() returned to a killed program");
	child_exit(1);
}

CASE(io_setup, eintr_killed,
     "a process killed while it waits for its address space is gone at once",
     .clause = "io_setup.eintr", .needs = "held task_syscall aio_sysctls",
     .serial = true)
{
	struct held *held;
	pid_t pid;
	int file;

	held = held_open(&file);
	hold(held, HOLD_READS);
	pid = child_fork();
	if (!pid)
		child_waits_for_the_lock(held, file);
	wait_asleep_in(pid, SYS_io_setup);
	REQUIRE(!kill(pid, SIGKILL));
	/* the thread that reads cannot go yet, so it stays a zombie */
	WAIT_FOR(state_of(pid) == 'Z');
	EXPECT_EQ(1, held_count(held));
	release_all(held);
	EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(pid)));
	EXPECT_QUOTA_BACK();
}
