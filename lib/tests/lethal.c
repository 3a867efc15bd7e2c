// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Cases that take the whole machine with them: what the runner makes of each
 * is judged by runner/tests/test_guest.py, in a guest.
 */
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <unistd.h>

#include "case.h"

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, text, strlen(text)) > 0);
	close(fd);
}

CASE(lethal, passes, "one that does no harm", .needs = "guest")
{
	EXPECT_EQ(1, 1);
}

CASE(lethal, waits, "one that does no harm, and takes a while",
     .needs = "guest")
{
	EXPECT_EQ(0, poll(NULL, 0, 500));
}

CASE(lethal, long, "one that does not end by itself", .needs = "guest",
     .time_limit = 600)
{
	EXPECT_EQ(0, poll(NULL, 0, -1));
}

CASE(lethal, panics, "the kernel panics", .needs = "guest")
{
	write_file("/proc/sysrq-trigger", "c");
}

CASE(lethal, resets, "the machine is reset", .needs = "guest")
{
	write_file("/proc/sysrq-trigger", "b");
}

CASE(lethal, powers_off, "the machine is switched off", .needs = "guest")
{
	reboot(RB_POWER_OFF);
}

static void *spin(void *arg)
{
	const struct sched_param most = { .sched_priority = 99 };

	pin_to_cpu((unsigned int)(unsigned long)arg);
	REQUIRE(!sched_setscheduler(0, SCHED_FIFO, &most));
	for (;;)
		;
	return NULL;
}

CASE(lethal, freezes, "no processor is left for anybody else", .needs = "guest")
{
	unsigned long i;

	write_file("/proc/sys/kernel/sched_rt_runtime_us", "-1");
	for (i = cpus_usable(); i-- > 1;)
		thread_run(spin, (void *)i);
	spin(NULL);
}

CASE(lethal, stuck, "a process that nothing ends, in a file system at rest",
     .needs = "guest", .on = ON_FILE, .every_device = true, .time_limit = 1)
{
	int fd = scratch_file("file", O_RDWR);

	REQUIRE(!ioctl(fd, FIFREEZE, 0));
	EXPECT_EQ(1, write(fd, "x", 1));
}
