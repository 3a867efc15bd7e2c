// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files as programs have them: extended, overwritten, with holes, through the
 * page cache and by O_DIRECT, on each file system.
 *
 * Each has its own way of doing O_DIRECT, and its own cases in which it does
 * not: a request that falls back half way has twice the chance to miscount.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"
#include "own.h"

#define CHUNK  65536 /* a multiple of every block size */
#define ODD    1000  /* of none */
#define SEED   31
#define FILLER 0x5a

static aio_handle ctx;

static void write_at(int fd, size_t len, int64_t offset, uint32_t seed)
{
	static struct iocb iocb;
	unsigned char *buf = io_buffer(CHUNK);

	pattern(buf, len, seed);
	prep_write(&iocb, fd, buf, len, offset);
	ASSERT_EQ(1, submit_one(ctx, &iocb));
	EXPECT_COMPLETES(ctx, &iocb, len);
}

/* Read len; got of it are there. Gives the buffer. */
static unsigned char *read_at(int fd, size_t len, int64_t offset, size_t got)
{
	static struct iocb iocb;
	unsigned char *buf = memset(io_buffer(CHUNK), FILLER, CHUNK);
	size_t i;

	prep_read(&iocb, fd, buf, len, offset);
	ASSERT_EQ(1, submit_one(ctx, &iocb));
	EXPECT_COMPLETES(ctx, &iocb, got);
	for (i = len; i < CHUNK && buf[i] == FILLER; i++)
		;
	EXPECT_EQ(CHUNK, i);
	return buf;
}

static void expect_zeroes(const unsigned char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len && !buf[i]; i++)
		;
	EXPECT_EQ(len, i);
}

static void sync_file(int fd)
{
	static struct iocb iocb;

	ASSERT_EQ(1, submit_one(ctx, prep_fsync(&iocb, fd)));
	EXPECT_COMPLETES(ctx, &iocb, 0);
	ASSERT_EQ(1, submit_one(ctx, prep_fdsync(&iocb, fd)));
	EXPECT_COMPLETES(ctx, &iocb, 0);
}

/* Nothing here is aligned to anything. */
static void expect_buffered(const char *path)
{
	const int64_t hole = 3 * CHUNK, far = hole + CHUNK;
	int fd = keep(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	unsigned char *buf;

	/* extended */
	write_at(fd, ODD, 0, SEED);
	write_at(fd, ODD, ODD, SEED + 1);
	EXPECT_EQ(2 * ODD, lseek(fd, 0, SEEK_END));
	/* overwritten, across the two */
	write_at(fd, ODD, ODD / 2, SEED + 2);
	buf = read_at(fd, CHUNK, 0, 2 * ODD);
	EXPECT_PATTERN(buf, ODD / 2, SEED);
	EXPECT_PATTERN(buf + ODD / 2, ODD, SEED + 2);
	EXPECT_EQ(pattern_at(SEED + 1, ODD - 1), buf[2 * ODD - 1]);
	/* far beyond the end, and a hole before it */
	write_at(fd, ODD, far, SEED + 3);
	EXPECT_EQ(far + ODD, lseek(fd, 0, SEEK_END));
	expect_zeroes(read_at(fd, CHUNK, hole, CHUNK), CHUNK);
	/* into the hole */
	write_at(fd, ODD, hole + ODD, SEED + 4);
	buf = read_at(fd, 3 * ODD, hole, 3 * ODD);
	expect_zeroes(buf, ODD);
	EXPECT_PATTERN(buf + ODD, ODD, SEED + 4);
	expect_zeroes(buf + 2 * ODD, ODD);
	EXPECT_PATTERN(read_at(fd, CHUNK, far, ODD), ODD, SEED + 3);
	sync_file(fd);
	drop(fd);
	fd = keep(open(path, O_RDONLY | O_CLOEXEC));
	EXPECT_PATTERN(read_at(fd, ODD, hole + ODD, ODD), ODD, SEED + 4);
	EXPECT_PATTERN(read_at(fd, CHUNK, far, ODD), ODD, SEED + 3);
	read_at(fd, CHUNK, far + ODD, 0);
}

static void expect_direct(const char *path)
{
	const int64_t hole = 8 * CHUNK, far = hole + 4 * CHUNK;
	int fd = open(path, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
	unsigned char *buf;

	if (fd < 0 && errno == EINVAL)
		SKIP("no O_DIRECT here");
	keep(fd);
	/* extended */
	write_at(fd, CHUNK, 0, SEED);
	write_at(fd, CHUNK, CHUNK, SEED + 1);
	EXPECT_EQ(2 * CHUNK, lseek(fd, 0, SEEK_END));
	/* overwritten, across the two */
	write_at(fd, CHUNK, CHUNK / 2, SEED + 2);
	buf = read_at(fd, CHUNK, CHUNK / 2, CHUNK);
	EXPECT_PATTERN(buf, CHUNK, SEED + 2);
	EXPECT_PATTERN(read_at(fd, CHUNK / 2, 0, CHUNK / 2), CHUNK / 2, SEED);
	/* far beyond the end, and a hole before it */
	write_at(fd, CHUNK, far, SEED + 3);
	EXPECT_EQ(far + CHUNK, lseek(fd, 0, SEEK_END));
	expect_zeroes(read_at(fd, CHUNK, hole, CHUNK), CHUNK);
	/* into the hole */
	write_at(fd, CHUNK, hole + CHUNK, SEED + 4);
	expect_zeroes(read_at(fd, CHUNK, hole, CHUNK), CHUNK);
	EXPECT_PATTERN(read_at(fd, CHUNK, hole + CHUNK, CHUNK), CHUNK,
		       SEED + 4);
	expect_zeroes(read_at(fd, CHUNK, hole + 2 * CHUNK, CHUNK), CHUNK);
	/* across an end that is no block's, and past it */
	REQUIRE(!ftruncate(fd, far + ODD));
	EXPECT_PATTERN(read_at(fd, CHUNK, far, ODD), ODD, SEED + 3);
	read_at(fd, CHUNK, far + CHUNK, 0);
	sync_file(fd);
	drop(fd);
	/* and the page cache says the same */
	fd = keep(open(path, O_RDONLY | O_CLOEXEC));
	EXPECT_PATTERN(read_at(fd, CHUNK, hole + CHUNK, CHUNK), CHUNK,
		       SEED + 4);
	EXPECT_PATTERN(read_at(fd, CHUNK, CHUNK / 2, CHUNK), CHUNK, SEED + 2);
	EXPECT_PATTERN(read_at(fd, CHUNK, far, ODD), ODD, SEED + 3);
}

#define MANY 32

/* All at once, each extending the file, the last one first. */
static void expect_direct_at_once(const char *path)
{
	int fd = open(path, O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600), i;
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, MANY), *list[MANY];
	struct io_event *events = GUARDED_ARRAY(struct io_event, MANY);
	unsigned char *buf = io_buffer(MANY * CHUNK);

	if (fd < 0 && errno == EINVAL)
		SKIP("no O_DIRECT here");
	keep(fd);
	for (i = 0; i < MANY; i++) {
		pattern(buf + i * CHUNK, CHUNK, SEED + (unsigned int)i);
		list[MANY - 1 - i] = prep_write(&iocbs[i], fd, buf + i * CHUNK,
						CHUNK, i * CHUNK);
	}
	ASSERT_EQ(MANY, aio->submit(ctx, MANY, list));
	ASSERT_EQ(MANY, aio->getevents(ctx, MANY, MANY, events, NULL));
	for (i = 0; i < MANY; i++)
		EXPECT_EVENT(find_event(events, MANY, &iocbs[i]), &iocbs[i],
			     CHUNK);
	EXPECT_EQ(MANY * CHUNK, lseek(fd, 0, SEEK_END));
	for (i = 0; i < MANY; i++)
		prep_read(&iocbs[i], fd, memset(buf + i * CHUNK, FILLER, CHUNK),
			  CHUNK, i * CHUNK);
	ASSERT_EQ(MANY, aio->submit(ctx, MANY, list));
	ASSERT_EQ(MANY, aio->getevents(ctx, MANY, MANY, events, NULL));
	for (i = 0; i < MANY; i++) {
		EXPECT_EVENT(find_event(events, MANY, &iocbs[i]), &iocbs[i],
			     CHUNK);
		EXPECT_PATTERN(buf + i * CHUNK, CHUNK, SEED + (unsigned int)i);
	}
}

/* --- on the file system that is given --- */

CASE(ops, files_here_buffered, "files through the page cache, where we are",
     .clause = "ops.files.buffered", .on = ON_FILE, .every_device = true)
{
	ctx = new_context(1);
	expect_buffered(scratch_path("file"));
}

CASE(ops, files_here_direct, "files by O_DIRECT, where we are",
     .clause = "ops.files.direct", .on = ON_FILE, .every_device = true)
{
	ctx = new_context(1);
	expect_direct(scratch_path("file"));
}

CASE(ops, files_here_at_once, "files by O_DIRECT, many requests, where we are",
     .clause = "ops.files.direct", .on = ON_FILE, .every_device = true)
{
	ctx = new_context(MANY);
	expect_direct_at_once(scratch_path("file"));
}

/* --- on one of its own --- */

static void expect_all(const char *dir)
{
	ctx = new_context(MANY);
	expect_buffered(file_in(dir, "buffered"));
	expect_direct(file_in(dir, "direct"));
	expect_direct_at_once(file_in(dir, "at_once"));
}

CASE(ops, files_ext4, "files on ext4", .clause = "ops.files.ext4",
     .needs = "mkfs_ext4")
{
	expect_all(own_filesystem("ext4"));
}

CASE(ops, files_xfs, "files on xfs", .clause = "ops.files.xfs",
     .needs = "mkfs_xfs")
{
	expect_all(own_filesystem("xfs"));
}

CASE(ops, files_btrfs, "files on btrfs", .clause = "ops.files.btrfs",
     .needs = "mkfs_btrfs")
{
	expect_all(own_filesystem("btrfs"));
}

CASE(ops, files_tmpfs, "files on tmpfs", .clause = "ops.files.tmpfs",
     .needs = "own_mounts")
{
	const char *dir = own_tmpfs(NULL);
	int fd;

	ctx = new_context(MANY);
	expect_buffered(file_in(dir, "buffered"));
	/* it has O_DIRECT since 6.6 only */
	fd = open(file_in(dir, "direct"), O_CREAT | O_DIRECT, 0600);
	if (fd < 0)
		return;
	close(fd);
	expect_direct(file_in(dir, "direct"));
	expect_direct_at_once(file_in(dir, "at_once"));
}

/* An overlay over two directories of one tmpfs; gives its path. */
static const char *own_overlay(const char **lower)
{
	const char *dir = own_tmpfs(NULL), *upper, *work;
	char options[512];

	*lower = file_in(dir, "lower");
	upper = file_in(dir, "upper");
	work = file_in(dir, "work");
	REQUIRE(!mkdir(*lower, 0700));
	REQUIRE(!mkdir(upper, 0700));
	REQUIRE(!mkdir(work, 0700));
	snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s",
		 *lower, upper, work);
	return own_mount("overlay", "aioabi", options);
}

CASE(ops, files_overlay, "files on overlayfs", .clause = "ops.files.overlayfs",
     .needs = "own_mounts")
{
	const char *lower;

	ctx = new_context(1);
	expect_buffered(file_in(own_overlay(&lower), "buffered"));
}

CASE(ops, files_overlay_copied_up,
     "a write to a file of the lower layer is one to its copy",
     .clause = "ops.files.overlayfs", .needs = "own_mounts")
{
	const char *lower, *dir = own_overlay(&lower);
	unsigned char *buf = io_buffer(CHUNK);
	int fd, below;

	ctx = new_context(1);
	below = keep(open(file_in(lower, "file"), O_CREAT | O_RDWR | O_CLOEXEC,
			  0600));
	pattern(buf, CHUNK, SEED);
	REQUIRE(write(below, buf, CHUNK) == CHUNK);
	fd = keep(open(file_in(dir, "file"), O_RDWR | O_CLOEXEC));
	write_at(fd, ODD, ODD, SEED + 1);
	buf = read_at(fd, CHUNK, 0, CHUNK);
	EXPECT_PATTERN(buf, ODD, SEED);
	EXPECT_PATTERN(buf + ODD, ODD, SEED + 1);
	EXPECT_EQ(pattern_at(SEED, CHUNK - 1), buf[CHUNK - 1]);
	REQUIRE(pread(below, buf, CHUNK, 0) == CHUNK);
	EXPECT_PATTERN(buf, CHUNK, SEED);
}
