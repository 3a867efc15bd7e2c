// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fs.aio-nr and fs.aio-max-nr as the administrator meets them: one for reading,
 * the other with effect on the next io_setup() and on nothing that lives.
 */
#include <fcntl.h>
#include <limits.h>
#include <grp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"

#define EVENTS 50

static const char nr_path[] = "/proc/sys/fs/aio-nr";
static const char max_nr_path[] = "/proc/sys/fs/aio-max-nr";

/* Those that need them are skipped where there are none; this one is not. */
CASE(io_setup, nr_there, "where there is AIO there are fs.aio-nr and its limit",
     .clause = "io_setup.nr.there", .needs = "sysctls")
{
	struct stat about;

	EXPECT_OK(stat(nr_path, &about));
	EXPECT_EQ(S_IFREG | 0444, about.st_mode);
	EXPECT_OK(stat(max_nr_path, &about));
	EXPECT_EQ(S_IFREG | 0644, about.st_mode);
}

/* Elsewhere an administrator may have set another. */
CASE(io_setup, max_nr_default, "as a kernel boots, the limit is 65536",
     .clause = "io_setup.max_nr.default", .needs = "guest aio_sysctls",
     .serial = SERIAL_BODY)
{
	EXPECT_EQ(0x10000, file_number(max_nr_path));
}

CASE(io_setup, max_nr_lowered,
     "a limit lowered below what is in use breaks no live context",
     .clause = "io_setup.max_nr.lowered", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = new_context(EVENTS), refused = 0;
	struct io_event event;
	long in_use = aio_nr();

	sysctl_set("fs/aio-max-nr", 1);
	EXPECT_EQ(in_use, aio_nr());
	EXPECT_ERR(EAGAIN, aio->setup(1, &refused));
	EXPECT_EQ(1, complete_now(ctx, 1, 3));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_NUMBERED(&event, 1, 3);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_EQ(in_use - EVENTS, aio_nr());
}

CASE(io_setup, max_nr_raised, "a limit raised is in force with the next call",
     .clause = "io_setup.max_nr.raised", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", aio_nr() + EVENTS - 1);
	EXPECT_ERR(EAGAIN, aio->setup(EVENTS, &ctx));
	sysctl_set("fs/aio-max-nr", aio_nr() + EVENTS);
	EXPECT_OK(aio->setup(EVENTS, &ctx));
}

CASE(io_setup, nr_read_only, "fs.aio-nr cannot be opened for writing by root",
     .clause = "io_setup.nr.read_only", .needs = "root aio_sysctls")
{
	EXPECT_EQ(-1, open(nr_path, O_WRONLY | O_CLOEXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_LE(sysctl_get("fs/aio-max-nr"), aio_nr());
}

CASE(io_setup, max_nr_read_only,
     "fs.aio-max-nr is for anybody to read and for root to write",
     .clause = "io_setup.nr.read_only", .needs = "root aio_sysctls")
{
	REQUIRE(!setgroups(0, NULL));
	REQUIRE(!setegid(NOBODY));
	REQUIRE(!seteuid(NOBODY));
	EXPECT_LE(sysctl_get("fs/aio-max-nr"), aio_nr());
	EXPECT_EQ(-1, open(max_nr_path, O_WRONLY | O_CLOEXEC));
	EXPECT_EQ(EACCES, errno);
	REQUIRE(!seteuid(0));
	EXPECT_EQ(-1, open(nr_path, O_WRONLY | O_CLOEXEC));
	EXPECT_EQ(EACCES, errno);
	EXPECT_GE(0, keep(open(max_nr_path, O_WRONLY | O_CLOEXEC)));
}

CASE(io_setup, max_nr_each_bit, "each bit of the limit counts",
     .clause = "io_setup.max_nr.largest", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	unsigned int bit;
	aio_handle ctx;

	for (bit = 16; bit < 8 * sizeof(long) - 1; bit++) {
		ROUND("bit %u", bit);
		sysctl_set("fs/aio-max-nr", 1L << bit);
		ctx = 0;
		EXPECT_OK(aio->setup(1, &ctx));
	}
}

/* sysctl_set() takes a long: what is past it reads as LONG_MAX there. */
CASE(io_setup, max_nr_largest,
     "the largest unsigned long is taken for a limit, and is one",
     .clause = "io_setup.max_nr.largest", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	char wanted[40], got[40] = "";
	aio_handle ctx = 0;
	size_t len;
	int fd;

	sysctl_set("fs/aio-max-nr", LONG_MAX);
	len = (size_t)snprintf(wanted, sizeof(wanted), "%lu\n", ~0ul);
	fd = keep(open(max_nr_path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(len, write(fd, wanted, len));
	EXPECT_EQ(len, pread(fd, got, sizeof(got) - 1, 0));
	EXPECT_STR(wanted, got);
	EXPECT_OK(aio->setup(EVENTS, &ctx));
	EXPECT_EQ(aio_nr_at_start() + EVENTS, aio_nr());
}
