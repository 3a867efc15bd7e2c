// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cases that behave in every way a case can: what the harness makes of each
 * is judged by runner/tests/test_harness.py. Linked into a program of their
 * own, never into the suite.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"

CASE(harness, passes, "a case that passes")
{
	EXPECT_EQ(1, 1);
}

CASE(harness, expectation, "an expectation that does not hold",
     .clause = "io_setup.einval.ctx")
{
	aio_handle ctx = 1;

	EXPECT_OK(aio->setup(1, &ctx));
	EXPECT_EQ(1, ctx);
}

CASE(harness, rounds, "a loop that fails in one of its rounds")
{
	int i;

	for (i = 0; i < 3; i++) {
		ROUND("number %d", i);
		EXPECT_NE(1, i);
	}
}

CASE(harness, assertion, "an assertion ends the case")
{
	ASSERT_EQ(1, 2);
	abort();
}

CASE(harness, stage, "an AIO call that fails while the stage is set")
{
	end_context(1);
	abort();
}

CASE(harness, broken, "something else that fails while the stage is set")
{
	REQUIRE(open("/nonexistent", O_RDONLY) >= 0);
	abort();
}

CASE(harness, failed_and_broken, "a failure outranks what breaks after it")
{
	EXPECT_EQ(1, 2);
	REQUIRE(open("/nonexistent", O_RDONLY) >= 0);
}

CASE(harness, skipped, "a case that finds a need unmet")
{
	SKIP("no %s here", "luck");
}

CASE(harness, asserts_nothing, "a case that asserts nothing")
{
}

CASE(harness, crashes, "a case that dies of a signal")
{
	EXPECT_EQ(1, 1);
	*(volatile int *)nowhere() = 1;
}

CASE(harness, exits, "a case that leaves before its end")
{
	EXPECT_EQ(1, 1);
	_exit(0);
}

CASE(harness, hangs, "a case that waits for ever", .time_limit = 1)
{
	aio_handle ctx = new_context(1);
	struct io_event event;

	aio->getevents(ctx, 1, 1, &event, NULL);
}

CASE(harness, hangs_hard, "one that ignores signals, with a child that does",
     .time_limit = 1)
{
	signal(SIGTERM, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	child_fork();
	setsid();
	for (;;)
		breathe();
}

/* AIOABI_TEST_FROZEN: a file on a frozen file system. */
CASE(harness, unkillable, "a case that SIGKILL does not end", .time_limit = 1)
{
	int fd = keep(open(getenv("AIOABI_TEST_FROZEN"), O_WRONLY));

	REQUIRE(write(fd, "x", 1) == 1);
}

CASE(harness, leaves_descriptor, "a descriptor left open")
{
	EXPECT_LE(dup(STDIN_FILENO), 0);
}

CASE(harness, leaves_mapping, "a ring left mapped that no context has")
{
	aio_handle ctx = 0;

	EXPECT_EQ(0, syscall(SYS_io_setup, 1, &ctx));
}

/* AIOABI_TEST_FIFO: whoever reads it makes a context for each byte. */
CASE(harness, leaves_quota, "fs.aio-nr higher than before", .serial = true)
{
	int fd = keep(open(getenv("AIOABI_TEST_FIFO"), O_WRONLY));
	long before = aio_nr();

	EXPECT_EQ(1, write(fd, "x", 1));
	WAIT_FOR(aio_nr() > before);
}

CASE(harness, leaves_process, "a process left behind, in a session of its own")
{
	pid_t pid = fork();

	EXPECT_GE(0, pid);
	if (pid)
		return;
	setsid();
	for (;;)
		breathe();
}

CASE(harness, floods_output, "megabytes of output")
{
	int i;

	for (i = 0; i < 100000; i++)
		printf("line %d of a flood that nobody wants to read\n", i);
	fflush(stdout);
	EXPECT_EQ(1, 1);
}

CASE(harness, floods_failures, "a hundred thousand failures")
{
	int i;

	for (i = 0; i < 100000; i++)
		EXPECT_EQ(-1, i);
}

CASE(harness, canary, "a write before a guarded buffer")
{
	volatile char *buf = guarded(100);

	buf[-3] = 1;
	EXPECT_EQ(0, buf[0]);
}

CASE(harness, child_fails, "an assertion in a child is the case's")
{
	pid_t pid = child_fork();

	if (!pid) {
		ASSERT_EQ(1, 2);
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
}

CASE(harness, child_fails_alone,
     "an assertion in a child ends the case though the parent waits for more")
{
	struct gate *gate = shared_memory(sizeof(*gate));

	if (!child_fork()) {
		ASSERT_EQ(1, 2);
		gate_open(gate);
		child_exit(0);
	}
	gate_wait(gate);
}

/* For the sabotage: cases that notice a broken call, and that do not. */
CASE(harness, looks, "a case that looks at what the call gives")
{
	aio_handle ctx = 1;

	EXPECT_ERR(EINVAL, aio->setup(1, &ctx));
}

CASE(harness, looks_away, "a case that does not look")
{
	aio_handle ctx = 0;

	aio->setup(1, &ctx);
	EXPECT_EQ(1, 1);
}

CASE(harness, only_stage, "a case whose calls are all of the stage")
{
	end_context(new_context(1));
	EXPECT_EQ(1, 1);
}

CASE(harness, looks_at_the_second, "a case whose first call is of the stage")
{
	aio_handle ctx = 0;

	new_context(1);
	EXPECT_OK(aio->setup(1, &ctx));
}

CASE(harness, child_is_stopped, "stop, wait asleep, go on",
     .needs = "task_syscall")
{
	aio_handle ctx = new_context(1);
	struct timespec none = { 0 };
	struct io_event event;
	int ends[2];
	pid_t pid;

	open_pipe(ends, 0);
	pid = child_fork();
	if (!pid) {
		char c;

		child_exit(read(ends[0], &c, 1) != 1);
	}
	wait_asleep_in(pid, SYS_read);
	EXPECT_TRUE(is_asleep_in(pid, SYS_read));
	REQUIRE(write(ends[1], "x", 1) == 1);
	EXPECT_CHILD_OK(pid);
	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, &none));
}

/* A kernel's report is simulated by the same way it would come. */
static void kernel_says(const char *task, const char *where, const char *caller)
{
	int fd = keep(open("/dev/kmsg", O_WRONLY));
	char name[16] = "", lines[4][100];
	FILE *comm = fopen("/proc/self/comm", "re");
	unsigned int i;

	REQUIRE(comm && fgets(name, sizeof(name), comm));
	fclose(comm);
	name[strcspn(name, "\n")] = '\0';
	snprintf(lines[0], sizeof(lines[0]),
		 "WARNING: CPU: 0 PID: 1 at %s+0x1/0x2 (simulated)\n", where);
	snprintf(lines[1], sizeof(lines[1]),
		 "CPU: 0 PID: 1 Comm: %s Not tainted\n", task ? task : name);
	snprintf(lines[2], sizeof(lines[2]), " %s+0x1/0x2\n", caller);
	snprintf(lines[3], sizeof(lines[3]),
		 "---[ end trace 0000000000000000 ]---\n");
	for (i = 0; i < 4; i++)
		REQUIRE(write(fd, lines[i], strlen(lines[i])) > 0);
}

CASE(harness, kernel_warns, "the kernel warns of a task of this case",
     .needs = "root")
{
	kernel_says(NULL, "aio_complete", "io_submit_one");
	EXPECT_EQ(1, 1);
}

CASE(harness, kernel_warns_of_worker,
     "the kernel warns of AIO in a thread of its own", .needs = "root")
{
	kernel_says("kworker/0:1", "aio_complete", "process_one_work");
	EXPECT_EQ(1, 1);
}

CASE(harness, kernel_warns_of_stranger,
     "the kernel warns of somebody else's task", .needs = "root")
{
	kernel_says("postgres", "aio_complete", "io_submit_one");
	EXPECT_EQ(1, 1);
}

CASE(harness, kernel_warns_of_elsewhere,
     "the kernel warns of what is wrong in another part of it", .needs = "root")
{
	kernel_says(NULL, "__flush_work", "ffs_fs_kill_sb");
	EXPECT_EQ(1, 1);
}

CASE(harness, kernel_warns_of_no_work,
     "the kernel warns of AIO where another part of it is wrong, too",
     .needs = "root")
{
	kernel_says(NULL, "__flush_work", "aio_poll_cancel");
	EXPECT_EQ(1, 1);
}

CASE(harness, kernel_warns_of_both,
     "the kernel warns of another thing in the midst of what is not ours",
     .needs = "root")
{
	kernel_says(NULL, "__flush_work", "list_del corruption");
	EXPECT_EQ(1, 1);
}

/* The file by which it shows that its guard was there is not its own. */
static void leave_word(int fd)
{
	if (write(fd, "gone", 4) != 4)
		_exit(1);
}

CASE(harness, guarded_and_killed, "what is to be done at its death is done",
     .time_limit = 1)
{
	const char *path = getenv("AIOABI_WORD");

	REQUIRE(path);
	at_death(leave_word, open(path, O_WRONLY | O_CLOEXEC));
	for (;;)
		pause();
}

CASE(harness, changes_sysctl, "a setting changed, and put back", .serial = true,
     .needs = "root")
{
	sysctl_set("fs/aio-max-nr", sysctl_get("fs/aio-max-nr") - 1);
	EXPECT_EQ(1, 1);
}

CASE(harness, changes_sysctl_and_hangs, "a setting changed, then killed",
     .serial = true, .needs = "root", .time_limit = 60)
{
	scratch_file("left", O_RDWR);
	sysctl_set("fs/aio-max-nr", sysctl_get("fs/aio-max-nr") - 7);
	puts("changed");
	for (;;)
		breathe();
}

CASE(harness, watches_quota, "fs.aio-nr, exactly, while a stranger moves it",
     .serial = true)
{
	long before = aio_nr();
	aio_handle ctx = new_context(5);

	EXPECT_EQ(before + 5, aio_nr());
	end_context(ctx);
	EXPECT_QUOTA_BACK();
}

/* The exit waits for grace periods, and has given the quota back by then. */
CASE(harness, leaves_slowly, "a context left to the exit",
     .serial = SERIAL_BODY)
{
	new_context(5);
	EXPECT_EQ(aio_nr_at_start() + 5, aio_nr());
}

CASE(harness, leaves_slowly_alone, "the same, when nobody may see it",
     .serial = true)
{
	new_context(5);
	EXPECT_EQ(aio_nr_at_start() + 5, aio_nr());
}

CASE(harness, leaves_with_child, "the same, with a child that lives on",
     .serial = SERIAL_BODY)
{
	new_context(5);
	EXPECT_EQ(aio_nr_at_start() + 5, aio_nr());
	if (!child_fork())
		for (;;)
			pause();
}

CASE(harness, other_flavour, "one flavour only", .flavours = PGETEVENTS)
{
	EXPECT_STR("pgetevents", "pgetevents");
}

CASE(harness, needs_device, "a block device", .on = ON_BLOCK)
{
	struct storage storage = open_storage(O_RDONLY);

	EXPECT_TRUE(storage.is_block_device);
}

/*
 * What a case costs without a harness: fork, the calls of
 * io_setup.einval_nr_zero, wait; arg times. Prints the mean in microseconds.
 */
EXEC_BODY(bare_forks)
{
	int64_t begin = now_ns();
	unsigned long i;

	for (i = 0; i < arg; i++) {
		pid_t pid = fork();

		if (!pid) {
			aio_handle ctx = 0;

			_exit(syscall(SYS_io_setup, 0, &ctx) == 0);
		}
		waitpid(pid, NULL, 0);
	}
	printf("%lld\n", (long long)(now_ns() - begin) / (long long)arg / 1000);
	return 0;
}
