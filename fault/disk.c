// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Block devices that truly fail: tables of the device-mapper, bad blocks of
 * null_blk, a disk of scsi_debug, a loop device whose file has no room.
 *
 * A call that submits to the device finds it broken, and it is whole again as
 * soon as all of the call's requests have completed. That it was broken is
 * known from a plain read or write of the same blocks, which must fail, too,
 * with the error that was asked for: so a kernel that keeps the error from an
 * event is one that fails, not a fault that did not come.
 *
 * QEMU's blkdebug is not among them. It is set up outside of the guest, so no
 * case could arm it, and what it gives is a disk that completes with EIO from
 * an interrupt, as null_blk and scsi_debug do.
 */
#include "copy.h"
#include "disk.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"
#include "dm.h"
#include "modules.h"
#include "needs.h"
#include "own.h"
#include "points.h"
#include "report.h"

#define BLOCK	512 /* logical, of those that are made here */
#define SECTOR	512
#define SECTORS (FAULT_DISK_SIZE / SECTOR)

/* Of the first request of a call that is for the device. */
struct extent {
	bool write;
	uint64_t offset, len;
};

struct kind {
	const char *point;
	bool reads, writes; /* that it fails */
	bool any_error;	    /* with which, the kernel says */
	const char *(*make)(void);
	void (*fail)(const struct extent *extent, int error);
	void (*mend)(const struct extent *extent, int error);
};

/* The one that this case has. */
static struct {
	const struct kind *kind;
	dev_t number;
	int fd;
	int told;
} device;

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}

/* --- the device-mapper --- */

static char dm_name[32], dm_below[100];

static const char *no_target(const char *type)
{
	char why[300];

	if (geteuid())
		return "run by another user";
	module_load("dm_mod", why, sizeof(why));
	if (dm_has_target(type))
		return NULL;
	return errno == EINVAL ? "there is no such target" : strerror(errno);
}

NEED(dm_error, "the device-mapper, with its target error, as root")
{
	return no_target("error");
}

NEED(dm_flakey, "the device-mapper, with its target flakey, as root")
{
	return no_target("flakey");
}

NEED(dm_delay, "the device-mapper, with its target delay, as root")
{
	return no_target("delay");
}

NEED(dm_dust, "the device-mapper, with its target dust, as root")
{
	return no_target("dust");
}

/* "%s": the device below. */
static void dm_table(const char *type, const char *format)
{
	char parameters[200];

	snprintf(parameters, sizeof(parameters), format, dm_below);
	REQUIRE(dm_set(dm_name, SECTORS, type, parameters));
}

static const char *make_dm(const char *type, const char *format)
{
	char path[32];

	snprintf(dm_below, sizeof(dm_below), "%s",
		 own_loop(FAULT_DISK_SIZE, BLOCK));
	snprintf(dm_name, sizeof(dm_name), "aioabi-%d", getpid());
	REQUIRE(dm_create(dm_name, path, sizeof(path)));
	dm_table(type, format);
	WAIT_FOR(!access(path, F_OK));
	/* however the case ends */
	keep(open(path, O_RDONLY | O_CLOEXEC));
	REQUIRE(dm_remove_unused(dm_name));
	return strdup(path);
}

#define LINEAR "linear", "%s 0"
#define DUST   "dust", "%s 0 512"

static const char *make_linear(void)
{
	return make_dm(LINEAR);
}

static void mend_linear(const struct extent *extent, int error)
{
	dm_table(LINEAR);
}

static void fail_error(const struct extent *extent, int error)
{
	dm_table("error", "");
}

/* Up for no time, down for a day. */
static void fail_flakey(const struct extent *extent, int error)
{
	dm_table("flakey", "%s 0 0 86400");
}

static void fail_flakey_writes(const struct extent *extent, int error)
{
	dm_table("flakey", "%s 0 0 86400 1 error_writes");
}

static const char *make_dust(void)
{
	return make_dm(DUST);
}

static void fail_dust(const struct extent *extent, int error)
{
	char text[64];

	snprintf(text, sizeof(text), "addbadblock %llu",
		 (unsigned long long)extent->offset / SECTOR);
	REQUIRE(dm_message(dm_name, text));
	REQUIRE(dm_message(dm_name, "enable"));
}

static void mend_dust(const struct extent *extent, int error)
{
	REQUIRE(dm_message(dm_name, "disable"));
	REQUIRE(dm_message(dm_name, "clearbadblocks"));
}

/* --- null_blk --- */

static const char *make_null(void)
{
	return own_delayed(0);
}

static void set_bad_blocks(char how, const struct extent *extent)
{
	unsigned long long first = extent->offset / SECTOR;
	char text[64];

	snprintf(text, sizeof(text), "%c%llu-%llu", how, first,
		 first + extent->len / SECTOR - 1);
	own_delayed_set("badblocks", text);
}

static void fail_null(const struct extent *extent, int error)
{
	set_bad_blocks('+', extent);
}

static void mend_null(const struct extent *extent, int error)
{
	set_bad_blocks('-', extent);
}

/* --- scsi_debug --- */

#define SCSI	     "/sys/bus/pseudo/drivers/scsi_debug"
#define SCSI_OPTIONS SCSI "/opts"
#define SCSI_MEDIUM  "/sys/module/scsi_debug/parameters/medium_error_"
#define SCSI_DEBUGFS "/sys/kernel/debug/scsi_debug"
#define APPEARS	     60 /* seconds for the disk, after its driver */

/* A word at the start of a file below /sys/block/NAME/device is this. */
static bool says(const char *disk, const char *attribute, const char *word)
{
	char path[300], found[64] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/%s/device/%s", disk,
		 attribute);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (fscanf(file, "%63s", found) != 1)
		*found = '\0';
	fclose(file);
	return !strcmp(found, word);
}

/* "sda", of the first that there is; "" if there is none. */
static const char *scsi_disk(void)
{
	static char name[64];
	struct dirent *entry;
	DIR *dir = opendir("/sys/block");

	*name = '\0';
	while (dir && !*name && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, "sd", 2) &&
		    says(entry->d_name, "model", "scsi_debug"))
			snprintf(name, sizeof(name), "%s", entry->d_name);
	if (dir)
		closedir(dir);
	return name;
}

/* All disks of the driver have the same faults: on a machine of our own only */
NEED(scsi_debug, "a disk of scsi_debug, and nobody else who uses one")
{
	char why[300];
	int tries;

	if (!machine_is_ours)
		return "this machine is shared";
	/* unless they are built in */
	module_load("sd_mod", why, sizeof(why));
	module_load("scsi_debug", why, sizeof(why));
	for (tries = 0; !*scsi_disk(); tries++) {
		if (access(SCSI, F_OK) || tries == APPEARS * 200)
			return "there is none";
		poll(NULL, 0, 5);
	}
	return access(SCSI_OPTIONS, W_OK) ? strerror(errno) : NULL;
}

/* "0:0:0:0" */
static const char *scsi_errors(void)
{
	static char path[200];
	char link[100], target[200] = "";

	snprintf(link, sizeof(link), "/sys/block/%s/device", scsi_disk());
	if (readlink(link, target, sizeof(target) - 1) < 0)
		return "";
	snprintf(path, sizeof(path), SCSI_DEBUGFS "/%s/error",
		 strrchr(target, '/') + 1);
	return path;
}

NEED(scsi_sense, "a scsi_debug that answers as it is told (since 6.7)")
{
	if (access("/sys/kernel/debug/scsi_debug", F_OK))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	return access(scsi_errors(), W_OK) ? strerror(errno) : NULL;
}

static const char *make_scsi(void)
{
	char *path;

	REQUIRE(this_case()->serial);
	REQUIRE(asprintf(&path, "/dev/%s", scsi_disk()) > 0);
	WAIT_FOR(!access(path, F_OK));
	return path;
}

static void set_number(const char *path, unsigned long long number)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", number);
	REQUIRE(write_text(path, text));
}

#define MEDIUM_ERROR 2 /* of opts */

static void fail_medium(const struct extent *extent, int error)
{
	set_number(SCSI_MEDIUM "start", extent->offset / SECTOR);
	set_number(SCSI_MEDIUM "count", extent->len / SECTOR);
	set_number(SCSI_OPTIONS, MEDIUM_ERROR);
}

static void mend_medium(const struct extent *extent, int error)
{
	set_number(SCSI_OPTIONS, 0);
}

/* What a disk says of a command, and what the kernel makes of it. */
static const struct {
	int error;
	unsigned int key, code, qualifier;
} senses[] = {
	{ ENOSPC, 0x07, 0x27, 0x07 },	 /* space allocation failed */
	{ ENODATA, 0x03, 0x11, 0x00 },	 /* unrecovered read error */
	{ EREMOTEIO, 0x04, 0x44, 0x00 }, /* internal target failure */
};
#define READ_10	 0x28u
#define WRITE_10 0x2au

static unsigned int opcode_of(const struct extent *extent)
{
	return extent->write ? WRITE_10 : READ_10;
}

static void fail_sense(const struct extent *extent, int error)
{
	char text[100];
	size_t i;

	for (i = 0; i < sizeof(senses) / sizeof(senses[0]); i++)
		if (senses[i].error == error)
			break;
	REQUIRE(i < sizeof(senses) / sizeof(senses[0]));
	/* always, not a number of times; check condition */
	snprintf(text, sizeof(text), "2 1 %#x 0 0 0x2 %#x %#x %#x",
		 opcode_of(extent), senses[i].key, senses[i].code,
		 senses[i].qualifier);
	REQUIRE(write_text(scsi_errors(), text));
}

static void mend_sense(const struct extent *extent, int error)
{
	char text[32];

	snprintf(text, sizeof(text), "- 2 %#x", opcode_of(extent));
	REQUIRE(write_text(scsi_errors(), text));
}

/* --- a loop device over a file system that is full --- */

#define ROOM (2 * FAULT_DISK_SIZE)
static int full_backing, full_filler;

static const char *make_full(void)
{
	char options[32];
	const char *dir;

	snprintf(options, sizeof(options), "size=%d", ROOM);
	dir = own_tmpfs(options);
	full_backing = keep(open(file_in(dir, "backing"),
				 O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	full_filler = keep(open(file_in(dir, "filler"),
				O_CREAT | O_RDWR | O_CLOEXEC, 0600));
	REQUIRE(!ftruncate(full_backing, FAULT_DISK_SIZE));
	return own_loop_over(full_backing, (unsigned int)PAGE_SIZE);
}

/* What has its place already could be written. */
static void fail_full(const struct extent *extent, int error)
{
	off_t at = (off_t)extent->offset, page = (off_t)PAGE_SIZE;
	off_t size = 0;

	REQUIRE(!fallocate(full_backing,
			   FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at,
			   (off_t)extent->len));
	while (!fallocate(full_filler, 0, size, page))
		size += page;
	REQUIRE(errno == ENOSPC);
}

static void mend_full(const struct extent *extent, int error)
{
	REQUIRE(!ftruncate(full_filler, 0));
}

/* --- the points --- */

static const struct kind kinds[] = {
	{ "dm/error", true, true, false, make_linear, fail_error, mend_linear },
	{ "dm/flakey", true, true, false, make_linear, fail_flakey,
	  mend_linear },
	{ "dm/flakey/writes", false, true, false, make_linear,
	  fail_flakey_writes, mend_linear },
	{ "dm/dust", true, false, false, make_dust, fail_dust, mend_dust },
	{ "null_blk/badblocks", true, true, false, make_null, fail_null,
	  mend_null },
	{ "scsi_debug/medium", true, false, false, make_scsi, fail_medium,
	  mend_medium },
	{ "scsi_debug/sense", true, true, false, make_scsi, fail_sense,
	  mend_sense },
	{ "loop/full", false, true, true, make_full, fail_full, mend_full },
};

const char *fault_disk(const char *point)
{
	struct stat stat;
	const char *path;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (!strcmp(kinds[i].point, point))
			device.kind = &kinds[i];
	REQUIRE(device.kind);
	path = device.kind->make();
	device.fd = keep(open(path, O_RDWR | O_DIRECT | O_CLOEXEC));
	REQUIRE(!fstat(device.fd, &stat));
	device.number = stat.st_rdev;
	return path;
}

int fault_disk_told(void)
{
	return device.told;
}

static bool is_for_device(const struct iocb *iocb)
{
	struct stat stat;

	return !fstat((int)iocb->aio_fildes, &stat) && S_ISBLK(stat.st_mode) &&
	       stat.st_rdev == device.number;
}

/* The k-th request of a list that may not be there. */
static bool get_iocb(const struct aio_args *args, long k, struct iocb *iocb)
{
	struct iocb *address;

	return copy_checked(&address, &args->iocbpp[k], sizeof(address)) &&
	       copy_checked(iocb, address, sizeof(*iocb));
}

/* Only what ends by itself can be waited for. */
static bool ends(const struct iocb *iocb)
{
	return iocb->aio_lio_opcode != IOCB_CMD_POLL;
}

static bool find_extent(const struct aio_args *args, struct extent *extent,
			struct iocb *first)
{
	bool found = false;
	struct iocb iocb;
	long k;

	for (k = 0; k < args->nr; k++) {
		bool write;

		if (!get_iocb(args, k, &iocb) || !ends(&iocb))
			return false;
		write = iocb.aio_lio_opcode == IOCB_CMD_PWRITE;
		if (found || (!write && iocb.aio_lio_opcode != IOCB_CMD_PREAD))
			continue;
		if (!(write ? device.kind->writes : device.kind->reads) ||
		    !is_for_device(&iocb))
			continue;
		*first = iocb;
		*extent = (struct extent){ write, (uint64_t)iocb.aio_offset,
					   iocb.aio_nbytes };
		found = true;
	}
	return found;
}

static bool reaches(const struct aio_args *args, const char *point)
{
	struct extent extent;
	struct iocb first;

	return device.kind && !strcmp(device.kind->point, point) &&
	       find_extent(args, &extent, &first);
}

/* What a program is told that does not use AIO. */
static int plain_error(const struct extent *extent, const struct iocb *first)
{
	void *buf = (void *)(uintptr_t)first->aio_buf;
	off_t at = (off_t)extent->offset;
	ssize_t n;

	if (extent->write) {
		n = pwrite(device.fd, buf, extent->len, at);
	} else {
		REQUIRE(!posix_memalign(&buf, PAGE_SIZE, extent->len));
		n = pread(device.fd, buf, extent->len, at);
		free(buf);
	}
	return n < 0 ? errno : 0;
}

static long submit_broken(const struct aio_args *args, int error)
{
	volatile struct aio_ring *ring = ring_of(args->ctx);
	unsigned int tail = ring->tail;
	struct extent extent;
	struct iocb first;
	long result;

	REQUIRE(find_extent(args, &extent, &first));
	device.kind->fail(&extent, error);
	result = fault_make(args);
	if (result > 0)
		WAIT_FOR((ring->tail + ring->nr - tail) % ring->nr >= result);
	device.told = plain_error(&extent, &first);
	device.kind->mend(&extent, error);
	if (!device.told || (device.told != error && !device.kind->any_error)) {
		report_line("%s: a plain call was told %s", device.kind->point,
			    strerror(device.told));
		fault_missed();
	}
	return result;
}

#define DEVICE(name, point)                                       \
	bool reaches_##name(const struct aio_args *args)          \
	{                                                         \
		return reaches(args, point);                      \
	}                                                         \
	long fails_##name(const struct aio_args *args, int error) \
	{                                                         \
		return submit_broken(args, error);                \
	}

DEVICE(dm_error, "dm/error")
DEVICE(dm_flakey, "dm/flakey")
DEVICE(dm_flakey_writes, "dm/flakey/writes")
DEVICE(dm_dust, "dm/dust")
DEVICE(null_blk, "null_blk/badblocks")
DEVICE(scsi_medium, "scsi_debug/medium")
DEVICE(scsi_sense, "scsi_debug/sense")
DEVICE(loop_full, "loop/full")
