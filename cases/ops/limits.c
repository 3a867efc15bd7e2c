// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Writes that a limit stops: of the process, of the file, of the file system.
 *
 * Each is refused in the event, with the errno that write(2) would have given
 * and the signal that it would have raised.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fanotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "case.h"
#include "dm.h"
#include "needs.h"
#include "own.h"

#define LEN    4096
#define SEED   29
#define FILLER 0x5a

static unsigned char *filled_buffer(size_t len)
{
	return memset(io_buffer(len), FILLER, len);
}

/* --- the largest size that the process may give a file --- */

static void limit_file_size(rlim_t bytes)
{
	const struct rlimit limit = { bytes, bytes };

	REQUIRE(!setrlimit(RLIMIT_FSIZE, &limit));
	count_signal(SIGXFSZ, 0);
}

CASE(ops, limit_fsize_beyond,
     "a write beyond RLIMIT_FSIZE: SIGXFSZ, and EFBIG in the event",
     .clause = "ops.limit.fsize", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR);

	limit_file_size(LEN);
	prep_write(iocb, fd, filled_buffer(LEN), LEN, LEN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EFBIG);
	EXPECT_EQ(1, signals_seen(SIGXFSZ));
	EXPECT_EQ(0, lseek(fd, 0, SEEK_END));
}

CASE(ops, limit_fsize_across, "a write across it is short, and raises nothing",
     .clause = "ops.limit.fsize", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR);

	limit_file_size(LEN);
	prep_write(iocb, fd, filled_buffer(2 * LEN), 2 * LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_EQ(0, signals_seen(SIGXFSZ));
	EXPECT_EQ(LEN, lseek(fd, 0, SEEK_END));
}

/* --- the largest size that the file system has --- */

/* lseek(2) goes as far as a file can grow, and no further. */
static int64_t largest_size(int fd)
{
	int64_t good = 0, bad = INT64_MAX, middle;

	if (lseek(fd, bad, SEEK_SET) == bad)
		return bad;
	while (bad - good > 1) {
		middle = good + (bad - good) / 2;
		if (lseek(fd, middle, SEEK_SET) == middle)
			good = middle;
		else
			bad = middle;
	}
	return good;
}

CASE(ops, limit_large_file,
     "a write beyond what the file system can hold in a file ends with EFBIG",
     .clause = "ops.limit.large_file", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR);
	int64_t largest = largest_size(fd);

	if (largest > INT64_MAX - LEN)
		SKIP("a file can be as large as any offset here");
	prep_write(iocb, fd, filled_buffer(LEN), LEN, largest);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EFBIG);
	prep_write(iocb, fd, filled_buffer(LEN), LEN, largest - 1);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 1);
	EXPECT_EQ(largest, lseek(fd, 0, SEEK_END));
}

/* A sparse file: what goes elsewhere is missed here. */
CASE(ops, limit_offset_each_bit, "each bit of an offset counts",
     .clause = "ops.pwrite.data", .on = ON_FILE, .every_device = true)
{
	int fd = scratch_file("file", O_RDWR);
	aio_handle ctx = new_context(1);
	int64_t largest = largest_size(fd);
	uint64_t out, in;
	struct iovec iov[2] = { { &out, sizeof(out) }, { &in, sizeof(in) } };
	struct iocb iocb;
	unsigned int bit;
	int64_t at;

	for (bit = 8; bit < 62; bit++) {
		at = (int64_t)1 << bit;
		if (at > largest - (int64_t)sizeof(out))
			break;
		ROUND("offset 0x%llx", (long long)at);
		out = 0x1234567800000000 + bit;
		if (bit % 2)
			prep_write(&iocb, fd, &out, sizeof(out), at);
		else
			prep_writev(&iocb, fd, &iov[0], 1, at);
		ASSERT_EQ(1, submit_one(ctx, &iocb));
		EXPECT_COMPLETES(ctx, &iocb, sizeof(out));
		in = 0;
		EXPECT_EQ(sizeof(in), pread(fd, &in, sizeof(in), at));
		EXPECT_EQ(out, in);
		in = 0;
		if (bit % 2)
			prep_readv(&iocb, fd, &iov[1], 1, at);
		else
			prep_read(&iocb, fd, &in, sizeof(in), at);
		ASSERT_EQ(1, submit_one(ctx, &iocb));
		EXPECT_COMPLETES(ctx, &iocb, sizeof(in));
		EXPECT_EQ(out, in);
		/* a file system on a small device has few blocks */
		REQUIRE(!ftruncate(fd, 0));
	}
}

/* --- seals --- */

static int sealed_memfd(int seals)
{
	int fd = keep(memfd_create("aioabi", MFD_CLOEXEC | MFD_ALLOW_SEALING));

	REQUIRE(!ftruncate(fd, LEN));
	REQUIRE(!fcntl(fd, F_ADD_SEALS, seals));
	return fd;
}

CASE(ops, limit_seal_write, "a memfd sealed against writing: EPERM",
     .clause = "ops.limit.seal", .needs = "memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int fd = sealed_memfd(F_SEAL_WRITE);

	prep_write(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EPERM);
	prep_read(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_EQ(0, buf[0]);
}

CASE(ops, limit_seal_grow, "past the end of one sealed against growing: EPERM",
     .clause = "ops.limit.seal", .needs = "memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int fd = sealed_memfd(F_SEAL_GROW);

	prep_write(iocb, fd, buf, LEN, LEN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EPERM);
	prep_write(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_EQ(LEN, lseek(fd, 0, SEEK_END));
}

/* --- flags and mounts --- */

CASE(ops, limit_immutable, "a file made immutable while it is open: EPERM",
     .clause = "ops.limit.immutable", .needs = "mkfs_ext4")
{
	const char *dir = own_filesystem("ext4");
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = keep(
		open(file_in(dir, "file"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	int flags = FS_IMMUTABLE_FL;

	prep_write(iocb, fd, filled_buffer(LEN), LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	REQUIRE(!ioctl(fd, FS_IOC_SETFLAGS, &flags));
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EPERM);
}

CASE(ops, limit_read_only_mount,
     "on a read-only mount reads work, and writes have no descriptor",
     .clause = "ops.limit.read_only_mount", .needs = "own_mounts")
{
	const char *dir = own_tmpfs(NULL);
	const char *path = file_in(dir, "file");
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int fd;

	fd = keep(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	REQUIRE(write(fd, buf, LEN) == LEN);
	drop(fd);
	REQUIRE(!mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL));
	REQUIRE(open(path, O_RDWR | O_CLOEXEC) < 0 && errno == EROFS);
	fd = keep(open(path, O_RDONLY | O_CLOEXEC));
	prep_write(iocb, fd, buf, LEN, 0);
	EXPECT_ERR(EBADF, submit_one(ctx, iocb));
	prep_read(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
}

CASE(ops, limit_full, "a write to a full file system: short, then ENOSPC",
     .clause = "ops.pwrite.full_fs", .needs = "own_mounts")
{
	enum { PAGES = 16 };
	char options[32];
	const char *dir;
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	const size_t room = PAGES * PAGE_SIZE;
	unsigned char *buf = filled_buffer(2 * room);
	int fd;

	snprintf(options, sizeof(options), "size=%zu", room);
	dir = own_tmpfs(options);
	fd = keep(
		open(file_in(dir, "file"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	prep_write(iocb, fd, buf, 2 * room, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, room);
	prep_write(iocb, fd, buf, PAGE_SIZE, (int64_t)room);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -ENOSPC);
	/* and over what there is already there is room */
	prep_write(iocb, fd, buf, room, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, room);
}

/* --- a listener that is asked --- */

NEED(fanotify, "a fanotify listener that is asked for permission")
{
	int fd = fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY);
	const char *why = NULL;

	if (fd < 0)
		return strerror(errno);
	/* without the configuration for it the mark is refused */
	if (fanotify_mark(fd, FAN_MARK_ADD, FAN_ACCESS_PERM, AT_FDCWD, "/"))
		why = strerror(errno);
	close(fd);
	return why;
}

/* Answer what is asked, until killed. */
static void answer_questions(int listener, const unsigned int *answer)
{
	struct fanotify_event_metadata question;
	struct fanotify_response response;

	for (;;) {
		if (read(listener, &question, sizeof(question)) !=
		    sizeof(question))
			child_exit(1);
		response.fd = question.fd;
		response.response = *answer;
		if (write(listener, &response, sizeof(response)) < 0)
			child_exit(1);
		close(question.fd);
	}
}

/* A file with "data" in it; each read of it is a question to the answerer. */
static int asked_file(int flags, unsigned int **answer, pid_t *answerer)
{
	int listener =
		keep(fanotify_init(FAN_CLASS_CONTENT | FAN_CLOEXEC, O_RDONLY));
	int fd = scratch_file("file", O_WRONLY);

	REQUIRE(write(fd, "data", 4) == 4);
	REQUIRE(!fanotify_mark(listener, FAN_MARK_ADD, FAN_ACCESS_PERM,
			       AT_FDCWD, scratch_path("file")));
	*answer = shared_memory(sizeof(**answer));
	**answer = FAN_DENY;
	*answerer = child_fork();
	if (!*answerer)
		answer_questions(listener, *answer);
	/* who opened the file before is not always watched */
	return scratch_file("file", flags);
}

CASE(ops, limit_fanotify, "a read that a fanotify listener denies is EPERM",
     .clause = "ops.limit.fanotify", .needs = "fanotify")
{
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	aio_handle ctx = new_context(1);
	unsigned int *answer;
	pid_t answerer;
	int fd = asked_file(O_RDONLY, &answer, &answerer);

	prep_read(iocb, fd, buf, LEN, 0);
	EXPECT_ERR(EPERM, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_EQ(FILLER, buf[0]);
	*answer = FAN_ALLOW;
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 4);
	EXPECT_MEM("data", buf, 4);
	REQUIRE(!kill(answerer, SIGKILL));
	child_wait(answerer);
}

CASE(ops, limit_fanotify_write,
     "a write asks no fanotify listener for the permission to read",
     .clause = "ops.limit.fanotify_write", .needs = "fanotify")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	unsigned int *answer;
	pid_t answerer;
	int fd = asked_file(O_RDWR, &answer, &answerer);

	prep_write(iocb, fd, filled_buffer(LEN), LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	REQUIRE(!kill(answerer, SIGKILL));
	child_wait(answerer);
}

/* --- swap --- */

/* The smallest header that swapon(2) takes; see struct swap_header. */
static void make_swap(int fd, size_t pages)
{
	enum { INFO = 1024, MAGIC_LEN = 10 };
	unsigned char *page = io_buffer(PAGE_SIZE);
	uint32_t info[] = { 1, (uint32_t)pages - 1, 0 };

	memcpy(page + INFO, info, sizeof(info));
	memcpy(page + PAGE_SIZE - MAGIC_LEN, "SWAPSPACE2", MAGIC_LEN);
	REQUIRE(pwrite(fd, page, PAGE_SIZE, 0) == (ssize_t)PAGE_SIZE);
}

CASE(ops, limit_swapfile, "a write to what is swapped to ends with ETXTBSY",
     .clause = "ops.limit.swapfile", .needs = "own_loop root", .serial = true)
{
	enum { SIZE = 1024 * 1024 };
	const char *path = own_loop(SIZE, 4096);
	int fd = keep(open(path, O_RDWR | O_DIRECT | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event event = { 0 };
	long result;

	make_swap(fd, SIZE / PAGE_SIZE);
	prep_write(iocb, fd, filled_buffer(LEN), LEN, SIZE - LEN);
	if (swapon(path, 0) && (errno == ENOSYS || errno == EPERM))
		SKIP("no swapping here: %s", strerror(errno));
	result = submit_one(ctx, iocb);
	if (result == 1)
		aio->getevents(ctx, 1, 1, &event, NULL);
	REQUIRE(!swapoff(path));
	ASSERT_EQ(1, result);
	EXPECT_EVENT(&event, iocb, -ETXTBSY);
	/* its pages are a program's again */
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
}

/* --- frozen file systems --- */

/* Until then nobody gets the file system back, nor a process that waits. */
static void thaw(int dir)
{
	ioctl(dir, FITHAW, 0);
}

/* An ext4 of the case's own, in dir; gives its root, thawed in any event. */
static int open_freezable(const char **dir)
{
	int root;

	*dir = own_filesystem("ext4");
	root = keep(open(*dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	at_death(thaw, root);
	return root;
}

CASE(ops, freeze_after_writes,
     "a file system freezes after any number of writes, however they ended",
     .clause = "ops.pwrite.freeze", .needs = "mkfs_ext4")
{
	enum { WRITES = 20 };
	const char *dir;
	int root = open_freezable(&dir);
	const char *path = file_in(dir, "file");
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = keep(open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	int direct = keep(open(path, O_RDWR | O_DIRECT | O_CLOEXEC));
	unsigned char *buf = filled_buffer(LEN);
	struct iovec iov = { buf, LEN };
	int round, i;

	for (round = 0; round < 2; round++) {
		for (i = 0; i < WRITES; i++) {
			prep_write(iocb, fd, buf, LEN, i * LEN);
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, LEN);
			prep_write(iocb, direct, buf, LEN, i * LEN);
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, LEN);
			prep_write(iocb, fd, nowhere(), LEN, i * LEN);
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, -EFAULT);
			prep_write(iocb, direct, nowhere(), LEN, i * LEN);
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, -EFAULT);
			prep_read(iocb, direct, buf, LEN, i * LEN);
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, LEN);
			prep_writev(iocb, fd, &iov, 1, i * LEN);
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, LEN);
			/* of nothing: one that begins nothing ends nothing */
			prep_write(iocb, fd, buf, 0, i * LEN);
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, 0);
			/* refused before it is begun */
			prep_write(iocb, fd, buf, LEN, -LEN);
			EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		}
		EXPECT_EQ(0, ioctl(root, FIFREEZE, 0));
		EXPECT_EQ(0, ioctl(root, FITHAW, 0));
	}
}

struct frozen_write {
	aio_handle ctx;
	struct iocb *iocb;
};

static void *write_frozen(void *arg)
{
	struct frozen_write *frozen = arg;

	return (void *)submit_one(frozen->ctx, frozen->iocb);
}

CASE(ops, freeze_blocks_writes,
     "a write to a frozen file system waits in the call until it is thawed",
     .clause = "ops.pwrite.frozen", .needs = "mkfs_ext4 task_syscall")
{
	const char *dir;
	int root = open_freezable(&dir);
	struct frozen_write frozen = { .ctx = new_context(1) };
	unsigned char *buf = filled_buffer(LEN);
	struct iocb *iocb = GUARDED(struct iocb);
	struct thread *thread;
	int fd;

	fd = keep(
		open(file_in(dir, "file"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	frozen.iocb = prep_write(iocb, fd, buf, LEN, 0);
	REQUIRE(!ioctl(root, FIFREEZE, 0));
	thread = thread_run(write_frozen, &frozen);
	wait_asleep_in(thread_tid(thread), SYS_io_submit);
	EXPECT_EQ(0, ring_unread(frozen.ctx));
	REQUIRE(!ioctl(root, FITHAW, 0));
	EXPECT_EQ(1, (long)thread_join(thread));
	EXPECT_COMPLETES(frozen.ctx, iocb, LEN);
}

/* --- a write that is still in flight --- */

#define SECTOR	 512
#define DELAY_MS 500
#define EARLY_MS 100 /* at most: the device counts in ticks */

/* Where on its device the first LEN bytes of a file are, in sectors. */
static uint64_t sector_of(int fd)
{
	struct fiemap *map =
		calloc(1, sizeof(*map) + sizeof(struct fiemap_extent));
	uint64_t sector;

	REQUIRE(map);
	map->fm_length = LEN;
	map->fm_extent_count = 1;
	REQUIRE(!ioctl(fd, FS_IOC_FIEMAP, map));
	REQUIRE(map->fm_mapped_extents == 1);
	REQUIRE(map->fm_extents[0].fe_length >= LEN);
	sector = map->fm_extents[0].fe_physical / SECTOR;
	free(map);
	return sector;
}

/* An ext4 on a device of which the part that a file lies in is slow. */
static int open_slow_file(const char **dir)
{
	const char *disk = own_loop(OWN_MKFS_SIZE, SECTOR);
	const uint64_t size = OWN_MKFS_SIZE / SECTOR;
	char name[32], path[32], start[100], slow[200], rest[100];
	struct dm_part parts[3];
	uint64_t sector;
	int fd;

	own_mkfs("ext4", disk);
	snprintf(name, sizeof(name), "aioabi-%d", getpid());
	snprintf(start, sizeof(start), "%s 0", disk);
	REQUIRE(dm_create(name, path, sizeof(path)));
	REQUIRE(dm_set(name, size, "linear", start));
	WAIT_FOR(!access(path, F_OK));
	*dir = own_mount("ext4", path, NULL);
	REQUIRE(dm_remove_unused(name));
	fd = keep(open(file_in(*dir, "file"),
		       O_CREAT | O_RDWR | O_DIRECT | O_CLOEXEC, 0600));
	REQUIRE(pwrite(fd, filled_buffer(LEN), LEN, 0) == LEN);
	REQUIRE(!fsync(fd));
	sector = sector_of(fd);
	/* of reads, of writes, and of flushes, which a freeze asks for, too */
	snprintf(slow, sizeof(slow), "%s %llu 0 %s %llu %d %s %llu 0", disk,
		 (unsigned long long)sector, disk, (unsigned long long)sector,
		 DELAY_MS, disk, (unsigned long long)sector);
	snprintf(rest, sizeof(rest), "%s %llu", disk,
		 (unsigned long long)(sector + LEN / SECTOR));
	parts[0] = (struct dm_part){ sector, "linear", start };
	parts[1] = (struct dm_part){ LEN / SECTOR, "delay", slow };
	parts[2] = (struct dm_part){ size - sector - LEN / SECTOR, "linear",
				     rest };
	REQUIRE(dm_set_parts(name, parts, 3));
	return fd;
}

CASE(ops, freeze_waits_for_write,
     "a file system is frozen when the writes in flight have ended",
     .clause = "ops.pwrite.freeze", .needs = "mkfs_ext4 dm_delay",
     .fixed_by = "70fe2f48152e")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int64_t begun;
	const char *dir;
	int fd = open_slow_file(&dir), root;

	root = keep(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	at_death(thaw, root);
	begun = now_ns();
	stage_submit(ctx, prep_write(iocb, fd, filled_buffer(LEN), LEN, 0));
	EXPECT_EQ(0, ioctl(root, FIFREEZE, 0));
	EXPECT_GE((DELAY_MS - EARLY_MS) * 1000000ll, now_ns() - begun);
	REQUIRE(!ioctl(root, FITHAW, 0));
	EXPECT_COMPLETES(ctx, iocb, LEN);
}

CASE(ops, freeze_lets_read, "reads of a frozen file system do not wait",
     .clause = "ops.pwrite.frozen", .needs = "mkfs_ext4")
{
	const char *dir;
	int root = open_freezable(&dir);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int fd;

	fd = keep(open(file_in(dir, "file"),
		       O_CREAT | O_RDWR | O_NOATIME | O_CLOEXEC, 0600));
	REQUIRE(write(fd, buf, LEN) == LEN);
	REQUIRE(!ioctl(root, FIFREEZE, 0));
	prep_read(iocb, fd, buf, LEN, 0);
	EXPECT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETED(ctx, iocb, LEN);
	REQUIRE(!ioctl(root, FITHAW, 0));
}

CASE(ops, freeze_lets_sync, "nor do FSYNC and FDSYNC: all is on the disk",
     .clause = "ops.fsync.frozen", .needs = "mkfs_ext4")
{
	const char *dir;
	int root = open_freezable(&dir);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd, data;

	fd = keep(
		open(file_in(dir, "file"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	REQUIRE(write(fd, filled_buffer(LEN), LEN) == LEN);
	REQUIRE(!ioctl(root, FIFREEZE, 0));
	for (data = 0; data < 2; data++) {
		ROUND("%s", data ? "FDSYNC" : "FSYNC");
		if (data)
			prep_fdsync(iocb, fd);
		else
			prep_fsync(iocb, fd);
		EXPECT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
	REQUIRE(!ioctl(root, FITHAW, 0));
}

CASE(ops, freeze_lets_special,
     "nor do writes to a FIFO or a device of which it has only the name",
     .clause = "ops.pwrite.frozen", .needs = "mkfs_ext4")
{
	const char *dir;
	int root = open_freezable(&dir);
	const char *fifo = file_in(dir, "fifo"), *null = file_in(dir, "null");
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fds[2], i;

	REQUIRE(!mkfifo(fifo, 0600));
	REQUIRE(!mknod(null, S_IFCHR | 0600, makedev(1, 3)));
	fds[0] = keep(open(fifo, O_RDWR | O_CLOEXEC));
	fds[1] = keep(open(null, O_RDWR | O_CLOEXEC));
	REQUIRE(!ioctl(root, FIFREEZE, 0));
	for (i = 0; i < 2; i++) {
		ROUND("%s", i ? "device" : "FIFO");
		prep_write(iocb, fds[i], "x", 1, 0);
		EXPECT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETED(ctx, iocb, 1);
	}
	REQUIRE(!ioctl(root, FITHAW, 0));
	REQUIRE(!ioctl(root, FIFREEZE, 0));
	REQUIRE(!ioctl(root, FITHAW, 0));
}
