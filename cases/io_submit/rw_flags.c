// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * aio_rw_flags: the RWF_ flags of preadv2(2), for native AIO. Each kernel
 * refuses those that it does not know, so that a program can ask for
 * durability or for not being blocked, and believe the answer.
 */
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "case.h"
#include "own.h"

/* As linux/fs.h has them; the headers here may be older. */
#define FLAG_HIPRI     0x1
#define FLAG_DSYNC     0x2
#define FLAG_SYNC      0x4
#define FLAG_NOWAIT    0x8
#define FLAG_APPEND    0x10
#define FLAG_NOAPPEND  0x20
#define FLAG_ATOMIC    0x40
#define FLAG_DONTCACHE 0x80
#define FLAG_NOSIGNAL  0x100
#define FLAGS_KNOWN    9 /* the number of the first bit that is unknown */

#define MAGIC_EXT4  0xef53
#define MAGIC_XFS   0x58465342
#define MAGIC_BTRFS 0x9123683e

#define SEED 3

static struct iocb *with(uint32_t flags, struct iocb *iocb)
{
	iocb->aio_rw_flags = (__kernel_rwf_t)flags;
	return iocb;
}

/* Submit it, wait for it if it is accepted, and give how it went. */
static long outcome(aio_handle ctx, struct iocb *iocb)
{
	long submitted = submit_one(ctx, iocb);
	struct io_event event;

	if (submitted != 1)
		return submitted;
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, iocb, event.res);
	return event.res;
}

static long file_system(int fd)
{
	struct statfs fs;

	REQUIRE(!fstatfs(fd, &fs));
	return (long)fs.f_type;
}

CASE(io_submit, rwf_unknown, "a bit that no kernel knows is EOPNOTSUPP",
     .clause = "io_submit.rw_flags.unknown")
{
	int fd = keep(open("/dev/null", O_RDWR | O_CLOEXEC)), bit;
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char byte;

	for (bit = FLAGS_KNOWN; bit < 32; bit++) {
		ROUND("bit %d", bit);
		prep_read(&iocb, fd, &byte, 1, 0);
		with(1u << bit, &iocb);
		EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, &iocb));
		prep_write(&iocb, fd, &byte, 1, 0);
		with(1u << bit, &iocb);
		EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, &iocb));
		/* beside one that is known, too */
		with(1u << bit | FLAG_DSYNC, &iocb);
		EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, &iocb));
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

/* --- HIPRI --- */

CASE(io_submit, rwf_hipri, "HIPRI is accepted, and the request ends as ever",
     .clause = "io_submit.rw_flags.hipri", .on = ON_ANY, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	unsigned char *out = io_buffer(PAGE_SIZE), *in = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(1);
	struct iocb iocb;

	pattern(out, PAGE_SIZE, SEED);
	prep_write(&iocb, storage.fd, out, PAGE_SIZE, storage.base);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(FLAG_HIPRI, &iocb)));
	prep_read(&iocb, storage.fd, in, PAGE_SIZE, storage.base);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(FLAG_HIPRI, &iocb)));
	EXPECT_PATTERN(in, PAGE_SIZE, SEED);
}

/* --- DSYNC and SYNC --- */

/* A write with this flag is whole, a read does not mind it. */
static void expect_sync(uint32_t flag, int direct)
{
	struct storage storage = open_storage(O_RDWR | direct);
	unsigned char *out = io_buffer(PAGE_SIZE), *in = io_buffer(PAGE_SIZE);
	struct iovec iov = { .iov_base = out, .iov_len = PAGE_SIZE };
	aio_handle ctx = new_context(1);
	struct iocb iocb;

	pattern(out, PAGE_SIZE, SEED + flag);
	prep_write(&iocb, storage.fd, out, PAGE_SIZE, storage.base);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(flag, &iocb)));
	prep_read(&iocb, storage.fd, in, PAGE_SIZE, storage.base);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(flag, &iocb)));
	EXPECT_PATTERN(in, PAGE_SIZE, SEED + flag);
	pattern(out, PAGE_SIZE, SEED);
	prep_writev(&iocb, storage.fd, &iov, 1, storage.base);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(flag, &iocb)));
	iov.iov_base = in;
	prep_readv(&iocb, storage.fd, &iov, 1, storage.base);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(flag, &iocb)));
	EXPECT_PATTERN(in, PAGE_SIZE, SEED);
}

CASE(io_submit, rwf_dsync, "DSYNC is accepted, the write is whole",
     .clause = "io_submit.rw_flags.dsync", .on = ON_ANY, .every_device = true)
{
	expect_sync(FLAG_DSYNC, O_DIRECT);
	expect_sync(FLAG_DSYNC, 0);
}

CASE(io_submit, rwf_sync, "SYNC is accepted, the write is whole",
     .clause = "io_submit.rw_flags.sync", .on = ON_ANY, .every_device = true)
{
	expect_sync(FLAG_SYNC, O_DIRECT);
	expect_sync(FLAG_SYNC, 0);
}

/*
 * The line of a file in sysfs about this block device, or the one that a file
 * is on; "" without one.
 */
static const char *device_line(int fd, const char *name)
{
	static char line[300];
	char path[100];
	struct stat st;
	dev_t device;
	FILE *f;

	REQUIRE(!fstat(fd, &st));
	device = S_ISBLK(st.st_mode) ? st.st_rdev : st.st_dev;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s", major(device),
		 minor(device), name);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	line[strcspn(line, "\n")] = '\0';
	return line;
}

/* How many flushes the device has done: the 16th number of its stat. */
static long flushes(int fd)
{
	long n;

	if (sscanf(device_line(fd, "stat"),
		   "%*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d %*d "
		   "%*d %ld",
		   &n) != 1)
		SKIP("no count of flushes in sysfs");
	return n;
}

/* By a flag of the request or one of the descriptor. */
static void expect_durable(uint32_t flag, int open_flags)
{
	struct storage storage = open_storage(O_RDWR | open_flags);
	unsigned char *out = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	long before;

	if (!storage.is_block_device ||
	    strcmp(device_line(storage.fd, "queue/write_cache"), "write back"))
		SKIP("%s has no write-back cache", storage.path);
	/* with it a write may be durable without a flush to be seen */
	if (strcmp(device_line(storage.fd, "queue/fua"), "0"))
		SKIP("%s has FUA", storage.path);
	before = flushes(storage.fd);
	prep_write(&iocb, storage.fd, out, PAGE_SIZE, storage.base);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(flag, &iocb)));
	EXPECT_GT(before, flushes(storage.fd));
}

CASE(io_submit, rwf_dsync_flushes,
     "a finished DSYNC or SYNC write has made the device flush",
     .clause = "io_submit.rw_flags.dsync_durable", .on = ON_BLOCK,
     .serial = true)
{
	expect_durable(FLAG_DSYNC, O_DIRECT);
	expect_durable(FLAG_SYNC, O_DIRECT);
	expect_durable(FLAG_DSYNC, 0);
	expect_durable(FLAG_SYNC, 0);
}

CASE(io_submit, sync_fd_flushes,
     "a finished write by a descriptor with O_DSYNC or O_SYNC has, too",
     .clause = "ops.pwrite.sync_fd", .on = ON_BLOCK, .serial = true)
{
	expect_durable(0, O_DSYNC | O_DIRECT);
	expect_durable(0, O_SYNC | O_DIRECT);
	expect_durable(0, O_DSYNC);
	expect_durable(0, O_SYNC);
}

/* Sectors that the device of a file has been sent: the 7th of its stat. */
static long sectors_written(int fd)
{
	long n;

	REQUIRE(sscanf(device_line(fd, "stat"), "%*d %*d %*d %*d %*d %*d %ld",
		       &n) == 1);
	return n;
}

/* Until a write now gives the file another time than it has. */
static void wait_for_tick(int fd)
{
	struct timespec now;
	struct stat st;

	REQUIRE(!fstat(fd, &st));
	do {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} while (now.tv_sec == st.st_mtim.tv_sec &&
		 now.tv_nsec <= st.st_mtim.tv_nsec);
}

/* Overwriting a block changes nothing of the file but its times. */
static void expect_times_written(const char *dir, uint32_t flag, int open_flags)
{
	int fd = keep(open(file_in(dir, "file"),
			   O_CREAT | O_RDWR | O_CLOEXEC | open_flags, 0600));
	unsigned char *out = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	long before;

	REQUIRE(pwrite(fd, out, PAGE_SIZE, 0) == (ssize_t)PAGE_SIZE &&
		!fsync(fd));
	wait_for_tick(fd);
	before = sectors_written(fd);
	prep_write(&iocb, fd, out, PAGE_SIZE, 0);
	EXPECT_EQ((long)PAGE_SIZE, outcome(ctx, with(flag, &iocb)));
	EXPECT_GT((long)PAGE_SIZE / 512, sectors_written(fd) - before);
	drop(fd);
}

/* DSYNC leaves the times for later, and ext4 then writes the data alone. */
CASE(io_submit, sync_writes_times,
     "a finished SYNC or O_SYNC write has written the file's times, too",
     .clause = "ops.pwrite.sync_times", .needs = "mkfs_ext4")
{
	const char *dir = own_filesystem("ext4");

	expect_times_written(dir, FLAG_SYNC, 0);
	expect_times_written(dir, FLAG_SYNC, O_DIRECT);
	expect_times_written(dir, 0, O_SYNC);
	expect_times_written(dir, 0, O_SYNC | O_DIRECT);
}

/* --- APPEND and NOAPPEND --- */

#define OLD	"0123456789"
#define OLD_LEN 10

static int old_file(int flags)
{
	int fd = scratch_file("file", O_RDWR | flags);

	REQUIRE(!ftruncate(fd, 0));
	REQUIRE(pwrite(fd, OLD, OLD_LEN, 0) == OLD_LEN);
	return fd;
}

static void expect_content(int fd, const char *content)
{
	char got[64] = { 0 };

	REQUIRE(pread(fd, got, sizeof(got) - 1, 0) >= 0);
	EXPECT_STR(content, got);
}

CASE(io_submit, rwf_append, "APPEND writes at the end, whatever the offset",
     .clause = "io_submit.rw_flags.append", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fd = old_file(0);
	struct iovec iov = { .iov_base = (char[]){ 'c' }, .iov_len = 1 };
	struct iocb iocb;

	REQUIRE(lseek(fd, 7, SEEK_SET) == 7);
	prep_write(&iocb, fd, "a", 1, 0);
	EXPECT_EQ(1, outcome(ctx, with(FLAG_APPEND, &iocb)));
	expect_content(fd, OLD "a");
	prep_write(&iocb, fd, "b", 1, 1000);
	EXPECT_EQ(1, outcome(ctx, with(FLAG_APPEND, &iocb)));
	expect_content(fd, OLD "ab");
	prep_writev(&iocb, fd, &iov, 1, 3);
	EXPECT_EQ(1, outcome(ctx, with(FLAG_APPEND, &iocb)));
	expect_content(fd, OLD "abc");
	EXPECT_EQ(7, lseek(fd, 0, SEEK_CUR));
	/* and for this request only */
	prep_write(&iocb, fd, "d", 1, 0);
	EXPECT_EQ(1, outcome(ctx, &iocb));
	expect_content(fd, "d123456789abc");
}

CASE(io_submit, rwf_append_read, "APPEND means nothing to a read",
     .clause = "io_submit.rw_flags.append", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fd = old_file(0);
	struct iocb iocb;
	char byte = 0;

	prep_read(&iocb, fd, &byte, 1, 3);
	EXPECT_EQ(1, outcome(ctx, with(FLAG_APPEND, &iocb)));
	EXPECT_EQ('3', byte);
}

CASE(io_submit, rwf_append_offset, "a negative offset is EINVAL all the same",
     .clause = "io_submit.rw_flags.append_offset_checked", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fd = old_file(0);
	struct iocb iocb;

	prep_write(&iocb, fd, "a", 1, -1);
	EXPECT_ERR(EINVAL, submit_one(ctx, with(FLAG_APPEND, &iocb)));
	EXPECT_ERR(EINVAL, submit_one(ctx, with(0, &iocb)));
	expect_content(fd, OLD);
}

CASE(io_submit, rwf_noappend, "NOAPPEND heeds the offset on an O_APPEND file",
     .clause = "io_submit.rw_flags.noappend", .on = ON_FILE)
{
	long wanted = contract("io_submit.rw_flags.noappend");
	aio_handle ctx = new_context(1);
	int fd = old_file(0);
	struct iocb iocb;

	fd = scratch_file("file", O_RDWR | O_APPEND);
	prep_write(&iocb, fd, "a", 1, 0);
	EXPECT_EQ(1, outcome(ctx, &iocb));
	expect_content(fd, OLD "a");
	EXPECT_EQ(wanted, outcome(ctx, with(FLAG_NOAPPEND, &iocb)));
	expect_content(fd, wanted > 0 ? "a123456789a" : OLD "a");
	EXPECT_EQ(1, outcome(ctx, with(0, &iocb)));
	expect_content(fd, wanted > 0 ? "a123456789aa" : OLD "aa");
}

CASE(io_submit, rwf_noappend_and_append, "NOAPPEND with APPEND is EINVAL",
     .clause = "io_submit.rw_flags.noappend_append", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fd = old_file(0);
	struct iocb iocb;
	char byte;

	prep_write(&iocb, fd, "a", 1, 0);
	EXPECT_ERR(EINVAL,
		   submit_one(ctx, with(FLAG_APPEND | FLAG_NOAPPEND, &iocb)));
	prep_read(&iocb, fd, &byte, 1, 0);
	EXPECT_ERR(EINVAL,
		   submit_one(ctx, with(FLAG_APPEND | FLAG_NOAPPEND, &iocb)));
	expect_content(fd, OLD);
}

/* A file without a name, so that none is left that cannot be removed. */
CASE(io_submit, rwf_noappend_immutable,
     "NOAPPEND on an append-only file is EPERM",
     .clause = "io_submit.rw_flags.noappend_immutable", .needs = "root",
     .on = ON_FILE)
{
	int flags = FS_APPEND_FL, fd;
	aio_handle ctx = new_context(1);
	struct iocb iocb;

	fd = open(scratch_path("."), O_TMPFILE | O_RDWR | O_APPEND | O_CLOEXEC,
		  0600);
	if (fd < 0)
		SKIP("no O_TMPFILE here: %s", strerror(errno));
	keep(fd);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags))
		SKIP("no append-only files here: %s", strerror(errno));
	prep_write(&iocb, fd, "a", 1, 0);
	EXPECT_ERR(EPERM, submit_one(ctx, with(FLAG_NOAPPEND, &iocb)));
	EXPECT_EQ(0, ring_of(ctx)->tail);
	EXPECT_EQ(1, outcome(ctx, with(0, &iocb)));
}

/* --- NOWAIT --- */

CASE(io_submit, rwf_nowait_would_block,
     "NOWAIT ends with EAGAIN in the event where it would block",
     .clause = "io_submit.rw_flags.nowait_eagain", .needs = "eventfd")
{
	int fd = open_eventfd(0, 0);
	aio_handle ctx = new_context(1);
	struct iovec iov;
	struct io_event event;
	struct iocb iocb;
	uint64_t count = 77;

	iov.iov_base = &count;
	iov.iov_len = sizeof(count);
	prep_read(&iocb, fd, &count, sizeof(count), 0);
	EXPECT_EQ(1, submit_one(ctx, with(FLAG_NOWAIT, &iocb)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, -EAGAIN);
	prep_readv(&iocb, fd, &iov, 1, 0);
	EXPECT_EQ(1, submit_one(ctx, with(FLAG_NOWAIT, &iocb)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, -EAGAIN);
	EXPECT_EQ(77, count);
}

/* In whatever way else the request is out of the ordinary. */
CASE(io_submit, rwf_with_flags, "with an eventfd or a priority they are obeyed",
     .clause = "io_submit.rw_flags.with_flags", .needs = "eventfd",
     .on = ON_FILE)
{
	static const uint32_t flags[] = {
		0,
		IOCB_FLAG_RESFD,
		IOCB_FLAG_IOPRIO,
		IOCB_FLAG_RESFD | IOCB_FLAG_IOPRIO,
	};
	enum { BEST_EFFORT = 2 << 13, UNKNOWN = 1 << 30 };
	int empty = open_eventfd(0, 0), file = scratch_file("file", O_RDWR);
	int result = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(1);
	uint64_t count = 77;
	struct iocb iocb;
	unsigned int i;
	char got[8];

	REQUIRE(write(file, "0123", 4) == 4);
	for (i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		ROUND("aio_flags %u", flags[i]);
		prep_read(&iocb, empty, &count, sizeof(count), 0);
		notify(&iocb, result);
		iocb.aio_flags = flags[i];
		iocb.aio_reqprio = BEST_EFFORT + 4;
		EXPECT_EQ(-EAGAIN, outcome(ctx, with(FLAG_NOWAIT, &iocb)));
		EXPECT_EQ(77, count);
		EXPECT_ERR(EOPNOTSUPP,
			   submit_one(ctx, with((uint32_t)UNKNOWN, &iocb)));
		prep_write(&iocb, file, "a", 1, 0);
		notify(&iocb, result);
		iocb.aio_flags = flags[i];
		iocb.aio_reqprio = BEST_EFFORT + 4;
		EXPECT_EQ(1, outcome(ctx, with(FLAG_APPEND, &iocb)));
		EXPECT_EQ(flags[i] & IOCB_FLAG_RESFD ? 2 : 0,
			  eventfd_take(result));
	}
	REQUIRE(pread(file, got, 8, 0) == 8);
	EXPECT_MEM("0123aaaa", got, 8);
}

CASE(io_submit, rwf_nowait_ready, "and with the data where it would not",
     .clause = "io_submit.rw_flags.nowait_ready", .needs = "eventfd")
{
	int fd = open_eventfd(5, 0);
	aio_handle ctx = new_context(1);
	uint64_t count = 77;
	struct iocb iocb;

	prep_read(&iocb, fd, &count, sizeof(count), 0);
	EXPECT_EQ(sizeof(count), outcome(ctx, with(FLAG_NOWAIT, &iocb)));
	EXPECT_EQ(5, count);
}

CASE(io_submit, rwf_nowait_unsupported,
     "NOWAIT is EOPNOTSUPP on a file that does not support it",
     .clause = "io_submit.rw_flags.nowait_unsupported", .needs = "pty")
{
	int tty = keep(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
	int proc = keep(open("/proc/version", O_RDONLY | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char byte;

	prep_read(&iocb, tty, &byte, 1, 0);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_NOWAIT, &iocb)));
	prep_write(&iocb, tty, "x", 1, 0);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_NOWAIT, &iocb)));
	prep_read(&iocb, proc, &byte, 1, 0);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_NOWAIT, &iocb)));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, rwf_nowait_pipe, "NOWAIT on a pipe is as the contract says",
     .clause = "io_submit.rw_flags.nowait_pipe")
{
	long wanted = contract("io_submit.rw_flags.nowait_pipe");
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char byte = 0;
	int ends[2];

	open_pipe(ends, 0);
	prep_read(&iocb, ends[0], &byte, 1, 0);
	EXPECT_EQ(wanted < 0 ? wanted : -EAGAIN,
		  outcome(ctx, with(FLAG_NOWAIT, &iocb)));
	REQUIRE(write(ends[1], "x", 1) == 1);
	EXPECT_EQ(wanted, outcome(ctx, with(FLAG_NOWAIT, &iocb)));
	EXPECT_EQ(wanted < 0 ? 0 : 'x', byte);
	prep_write(&iocb, ends[1], &byte, 1, 0);
	EXPECT_EQ(wanted, outcome(ctx, with(FLAG_NOWAIT, &iocb)));
}

CASE(io_submit, rwf_nowait_device_buffered,
     "a buffered NOWAIT write to a block device is EOPNOTSUPP in the event",
     .clause = "io_submit.rw_flags.nowait_bdev_buffered", .on = ON_BLOCK)
{
	struct storage storage = open_storage(O_RDWR);
	unsigned char *out = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	/* of the queues without requests not all can do it */
	if (!*device_line(storage.fd, "queue/nr_requests"))
		SKIP("%s has no request queue", storage.path);
	prep_write(&iocb, storage.fd, out, PAGE_SIZE, storage.base);
	EXPECT_EQ(1, submit_one(ctx, with(FLAG_NOWAIT, &iocb)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, -EOPNOTSUPP);
}

CASE(io_submit, rwf_nowait_file_buffered,
     "a buffered NOWAIT write to a file is done, or refused in the event",
     .clause = "io_submit.rw_flags.nowait_file_buffered", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fd = old_file(0);
	struct io_event event;
	struct iocb iocb;
	bool done;

	switch (file_system(fd)) {
	case MAGIC_EXT4:
	case MAGIC_XFS:
	case MAGIC_BTRFS:
		break;
	default:
		SKIP("none of ext4, xfs and btrfs");
	}
	prep_write(&iocb, fd, "x", 1, 0);
	EXPECT_EQ(1, submit_one(ctx, with(FLAG_NOWAIT, &iocb)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, event.res);
	done = event.res == 1;
	EXPECT_TRUE(done || event.res == -EAGAIN || event.res == -EOPNOTSUPP);
	expect_content(fd, done ? "x123456789" : OLD);
}

/* --- ATOMIC --- */

/* What a file that cannot write atomically says, and any read. */
static void expect_atomic_refused(void)
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char byte = 'x';
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_write(&iocb, ends[1], &byte, 1, 0);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_ATOMIC, &iocb)));
	prep_read(&iocb, ends[0], &byte, 1, 0);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_ATOMIC, &iocb)));
	EXPECT_EQ(-1, read(ends[0], &byte, 1));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, rwf_atomic_refused,
     "ATOMIC is EOPNOTSUPP for reads and where it cannot be done",
     .clause = "io_submit.rw_flags.atomic")
{
	expect_atomic_refused();
}

CASE(io_submit, rwf_atomic_unknown, "ATOMIC is EOPNOTSUPP before it was known",
     .clause = "io_submit.rw_flags.atomic_old")
{
	expect_atomic_refused();
}

CASE(io_submit, rwf_atomic_device,
     "ATOMIC is done by a device that can, and refused by one that cannot",
     .clause = "io_submit.rw_flags.atomic", .on = ON_BLOCK,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	unsigned char *out, *in;
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	long unit;

	if (!storage.is_block_device)
		SKIP("%s is no block device", storage.path);
	unit = atol(
		device_line(storage.fd, "queue/atomic_write_unit_min_bytes"));
	out = io_buffer(unit ? (size_t)unit : PAGE_SIZE);
	if (!unit) {
		prep_write(&iocb, storage.fd, out, PAGE_SIZE, storage.base);
		EXPECT_ERR(EOPNOTSUPP,
			   submit_one(ctx, with(FLAG_ATOMIC, &iocb)));
		return;
	}
	in = io_buffer((size_t)unit);
	pattern(out, (size_t)unit, SEED);
	prep_write(&iocb, storage.fd, out, (size_t)unit, storage.base);
	EXPECT_EQ(unit, outcome(ctx, with(FLAG_ATOMIC, &iocb)));
	prep_read(&iocb, storage.fd, in, (size_t)unit, storage.base);
	EXPECT_EQ(unit, outcome(ctx, with(0, &iocb)));
	EXPECT_PATTERN(in, (size_t)unit, SEED);
	prep_read(&iocb, storage.fd, in, (size_t)unit, storage.base);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_ATOMIC, &iocb)));
}

/* --- DONTCACHE --- */

CASE(io_submit, rwf_dontcache_pipe, "DONTCACHE is EOPNOTSUPP without a cache",
     .clause = "io_submit.rw_flags.dontcache")
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char byte = 'x';
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_write(&iocb, ends[1], &byte, 1, 0);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_DONTCACHE, &iocb)));
	prep_read(&iocb, ends[0], &byte, 1, 0);
	EXPECT_ERR(EOPNOTSUPP, submit_one(ctx, with(FLAG_DONTCACHE, &iocb)));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, rwf_dontcache_file,
     "DONTCACHE on ext4 and xfs is as the contract says",
     .clause = "io_submit.rw_flags.dontcache", .on = ON_FILE)
{
	long wanted = contract("io_submit.rw_flags.dontcache");
	aio_handle ctx = new_context(1);
	int fd = old_file(0);
	struct iocb iocb;
	char byte = 0;

	if (file_system(fd) != MAGIC_EXT4 && file_system(fd) != MAGIC_XFS)
		SKIP("neither ext4 nor xfs");
	prep_write(&iocb, fd, "x", 1, 0);
	EXPECT_EQ(wanted, outcome(ctx, with(FLAG_DONTCACHE, &iocb)));
	expect_content(fd, wanted > 0 ? "x123456789" : OLD);
	prep_read(&iocb, fd, &byte, 1, 3);
	EXPECT_EQ(wanted, outcome(ctx, with(FLAG_DONTCACHE, &iocb)));
	EXPECT_EQ(wanted > 0 ? '3' : 0, byte);
}

/* --- NOSIGNAL --- */

CASE(io_submit, rwf_nosignal, "NOSIGNAL gives EPIPE without a signal",
     .clause = "io_submit.rw_flags.nosignal")
{
	long wanted = contract("io_submit.rw_flags.nosignal");
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	int ends[2];

	count_signal(SIGPIPE, 0);
	open_pipe(ends, 0);
	drop(ends[0]);
	prep_write(&iocb, ends[1], "x", 1, 0);
	EXPECT_EQ(wanted < 0 ? wanted : -EPIPE,
		  outcome(ctx, with(FLAG_NOSIGNAL, &iocb)));
	EXPECT_EQ(0, signals_seen(SIGPIPE));
	/* which comes without the flag */
	EXPECT_EQ(-EPIPE, outcome(ctx, with(0, &iocb)));
	EXPECT_EQ(1, signals_seen(SIGPIPE));
}

CASE(io_submit, rwf_nosignal_good, "NOSIGNAL changes nothing where all is well",
     .clause = "io_submit.rw_flags.nosignal")
{
	long wanted = contract("io_submit.rw_flags.nosignal");
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char byte = 0;
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_write(&iocb, ends[1], "x", 1, 0);
	EXPECT_EQ(wanted, outcome(ctx, with(FLAG_NOSIGNAL, &iocb)));
	EXPECT_EQ(wanted < 0 ? -1 : 1, read(ends[0], &byte, 1));
}
