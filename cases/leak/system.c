// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What AIO must not keep from anybody: descriptors of the process, file systems
 * from being unmounted, and the quota of the whole system.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"

#define EVENTS 100

static unsigned int descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	REQUIRE(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

CASE(leak, descriptors, "no call opens a descriptor",
     .clause = "leak.descriptors", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = 0, refused = 0;
	int counter = open_eventfd(0, 0), ends[2];
	struct io_event event;
	unsigned int before;

	open_pipe(ends, 0);
	before = descriptors();
	ASSERT_OK(aio->setup(EVENTS, &ctx));
	EXPECT_EQ(before, descriptors());
	EXPECT_ERR(EINVAL, aio->setup(-1u, &refused));
	EXPECT_EQ(before, descriptors());
	prep_poll(iocb, ends[0], POLLIN);
	EXPECT_EQ(1, submit_one(ctx, notify(iocb, counter)));
	EXPECT_EQ(before, descriptors());
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, &event));
	EXPECT_EQ(before, descriptors());
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EQ(before, descriptors());
	iocb->aio_resfd = (uint32_t)-1;
	EXPECT_ERR(EBADF, submit_one(ctx, iocb));
	EXPECT_EQ(before, descriptors());
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_EQ(before, descriptors());
}

/* A tmpfs in a mount namespace of this process's own. */
static const char *mount_own(void)
{
	const char *path = scratch_path("mount");

	REQUIRE(!unshare(CLONE_NEWNS));
	REQUIRE(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	REQUIRE(!mkdir(path, 0700));
	REQUIRE(!mount("aioabi", path, "tmpfs", 0, NULL));
	return path;
}

static int busy(const char *path)
{
	return umount2(path, 0) ? -errno : 0;
}

CASE(leak, umount,
     "a file system can be unmounted when the last request was reaped",
     .clause = "leak.umount", .needs = "root", .on = ON_FILE)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 4);
	struct iocb *list[] = { &iocbs[0], &iocbs[1], &iocbs[2], &iocbs[3] };
	aio_handle ctx = new_context(4);
	struct io_event events[4];
	const char *path = mount_own();
	char *buf = io_buffer(PAGE_SIZE), name[200];
	int file, unmounted;

	snprintf(name, sizeof(name), "%s/file", path);
	file = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	REQUIRE(file >= 0);
	prep_write(&iocbs[0], file, buf, PAGE_SIZE, 0);
	prep_read(&iocbs[1], file, buf, PAGE_SIZE, 0);
	prep_poll(&iocbs[2], file, POLLIN);
	prep_fsync(&iocbs[3], file);
	STAGE_EQ(4, aio->submit(ctx, 4, list));
	stage_reap(ctx, 4, events);
	prep_read(&iocbs[0], file, nowhere(), PAGE_SIZE, -1);
	EXPECT_ERR(EINVAL, submit_one(ctx, &iocbs[0]));
	EXPECT_ERR(EBUSY, busy(path));
	close(file);
	/* the worker of the fsync lets go of the file after its event */
	WAIT_FOR((unmounted = busy(path)) != -EBUSY);
	EXPECT_EQ(0, unmounted);
	EXPECT_WORKS(ctx, 1);
}

CASE(leak, quota, "after all of it fs.aio-nr is what it was",
     .clause = "leak.quota", .needs = "aio_sysctls eventfd",
     .serial = SERIAL_BODY, .flavours = NATIVE)
{
	aio_handle ctx = 0, *ctxp = GUARDED(aio_handle);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned int i;
	pid_t pid;

	read_only(ctxp, sizeof(*ctxp));
	for (i = 1; i <= 3; i++) {
		ctx = 0;
		ASSERT_OK(aio->setup(i * EVENTS, &ctx));
		EXPECT_EQ(aio_nr_at_start() + (long)i * EVENTS, aio_nr());
		stage_poll(ctx, iocb);
		stage_complete(ctx, EVENTS, 0);
		EXPECT_ERR(EFAULT, aio->setup(i * EVENTS, ctxp));
		EXPECT_ERR(EINVAL, aio->setup(i * EVENTS, &ctx));
		pid = child_fork();
		if (!pid) {
			stage_poll(new_context(EVENTS), iocb);
			child_exit(0);
		}
		EXPECT_CHILD_OK(pid);
		/* who looks at the child in /proc keeps its memory */
		WAIT_FOR(aio_nr() == aio_nr_at_start() + (long)i * EVENTS);
		EXPECT_OK(aio->destroy(ctx));
		EXPECT_QUOTA_BACK();
	}
}
