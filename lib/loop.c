// SPDX-License-Identifier: GPL-2.0-or-later
/* Loop devices of our own; apart from device.c, for cases make some too. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device.h"

/* Direct I/O to the backing file where its file system can. */
static int configure_loop(int loop, int backing)
{
	struct loop_config config = {
		.fd = (unsigned int)backing,
		.block_size = 512,
		.info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO,
	};

	if (!ioctl(loop, LOOP_CONFIGURE, &config))
		return 0;
	if (errno == EBUSY)
		return -1;
	config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
	return ioctl(loop, LOOP_CONFIGURE, &config);
}

/* What BLKROSET made read-only once stays so, whatever backs it. */
static int make_writable(int loop)
{
	const int writable = 0;

	return ioctl(loop, BLKROSET, &writable);
}

/* Another program may take the free device first: then the next one. */
int device_loop_over(int backing, char *path, unsigned int size)
{
	int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	int number, loop = -1, tries;

	if (control < 0)
		return -1;
	for (tries = 0; tries < 20; tries++) {
		number = ioctl(control, LOOP_CTL_GET_FREE);
		if (number < 0)
			break;
		snprintf(path, size, "/dev/loop%d", number);
		loop = open(path, O_RDWR | O_CLOEXEC);
		if (loop < 0)
			break;
		if (!configure_loop(loop, backing) && !make_writable(loop))
			break;
		close(loop);
		loop = -1;
		if (errno != EBUSY)
			break;
	}
	close(control);
	return loop;
}

/* Not every file system has files without a name; one unlinked is next best. */
static int nameless_file(const char *dir)
{
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char path[PATH_MAX];

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	snprintf(path, sizeof(path), "%s/aioabi-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

int device_new_loop(const char *dir, uint64_t size, char *path,
		    unsigned int path_size, char *why, unsigned int why_size)
{
	int backing = nameless_file(dir), loop = -1;

	if (backing < 0 || ftruncate(backing, (off_t)size)) {
		snprintf(why, why_size, "no file for a loop device in %s: %s",
			 dir, strerror(errno));
		if (backing >= 0)
			close(backing);
		return -1;
	}
	loop = device_loop_over(backing, path, path_size);
	if (loop < 0)
		snprintf(why, why_size, "no loop device: %s", strerror(errno));
	close(backing); /* the loop device has its own reference */
	return loop;
}
