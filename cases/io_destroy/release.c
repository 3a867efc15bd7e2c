// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What requests held until their context ended is free afterwards: a file
 * that one forgot shows when its file system is to be unmounted, days later.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"
#include "own.h"

#define WRITES 32
#define LEN    65536 /* bytes */

/* Requests of each kind on files of this directory; most are in flight. */
static aio_handle make_busy(const char *dir)
{
	aio_handle ctx = new_context(2 * WRITES);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, WRITES + 3);
	int fd = open(file_in(dir, "file"),
		      O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	int fifo =
		open(file_in(dir, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	unsigned char *buf = io_buffer(LEN);
	int i;

	REQUIRE(fd >= 0 && fifo >= 0);
	for (i = 0; i < WRITES; i++)
		stage_submit(ctx, prep_write(&iocbs[i], fd, buf, LEN,
					     (int64_t)i * LEN));
	stage_submit(ctx, prep_fsync(&iocbs[i++], fd));
	stage_submit(ctx, prep_poll(&iocbs[i++], fifo, POLLIN));
	stage_submit(ctx, prep_read(&iocbs[i++], fd, buf, LEN, 0));
	/* from here the requests alone hold them */
	close(fd);
	close(fifo);
	return ctx;
}

static const char *filesystem_with_fifo(void)
{
	const char *dir = own_filesystem("ext4");

	REQUIRE(!mkfifo(file_in(dir, "fifo"), 0600));
	return dir;
}

/* What the kernel lets go late is let go soon; a reference lost, never. */
static void expect_unmounted(const char *dir)
{
	WAIT_FOR(!umount2(dir, 0));
	EXPECT_EQ(-1, access(file_in(dir, "file"), F_OK));
}

CASE(io_destroy, frees_filesystem,
     "after it a file system that requests were in flight on can be unmounted",
     .clause = "io_destroy.references", .needs = "mkfs_ext4")
{
	const char *dir = filesystem_with_fifo();

	EXPECT_OK(aio->destroy(make_busy(dir)));
	expect_unmounted(dir);
}

static void expect_exit_frees(int signal)
{
	const char *dir = filesystem_with_fifo();
	pid_t pid = child_fork();

	if (!pid) {
		make_busy(dir);
		if (signal)
			kill(getpid(), signal);
		_exit(0);
	}
	EXPECT_EQ(signal, child_wait(pid));
	expect_unmounted(dir);
}

CASE(io_destroy, exit_frees_filesystem,
     "so it can when a process has left them in flight",
     .clause = "io_destroy.exit.in_flight", .needs = "mkfs_ext4")
{
	expect_exit_frees(0);
}

CASE(io_destroy, kill_frees_filesystem,
     "so it can when a process was killed over them",
     .clause = "io_destroy.exit.killed", .needs = "mkfs_ext4")
{
	expect_exit_frees(SIGKILL);
}
