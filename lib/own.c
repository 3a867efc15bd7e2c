// SPDX-License-Identifier: GPL-2.0-or-later
#include "own.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "device.h"
#include "modules.h"
#include "needs.h"

/* Sparse; the least that mkfs makes without being told to. */
#define EXT4_SIZE  (16ull << 20)
#define XFS_SIZE   (320ull << 20)
#define BTRFS_SIZE (128ull << 20)

static const struct maker {
	const char *type, *program;
	const char *args[4];
	uint64_t size;
} makers[] = {
	{ "ext4", "mkfs.ext4", { "-q", "-F" }, EXT4_SIZE },
	{ "xfs", "mkfs.xfs", { "-q", "-f" }, XFS_SIZE },
	{ "btrfs", "mkfs.btrfs", { "-q", "-f" }, BTRFS_SIZE },
};

static const struct maker *maker_of(const char *type)
{
	size_t i;

	for (i = 0; i < sizeof(makers) / sizeof(makers[0]); i++)
		if (!strcmp(makers[i].type, type))
			return &makers[i];
	return NULL;
}

/* Where the program is, as root's PATH has it; NULL if nowhere. */
static const char *program_path(const char *program)
{
	static const char *const dirs[] = { "/usr/sbin", "/sbin" };
	static char path[64];
	size_t i;

	for (i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], program);
		if (!access(path, X_OK))
			return path;
	}
	return NULL;
}

/* --- needs --- */

static const char *no_loop(void)
{
	int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (fd < 0)
		return strerror(errno);
	close(fd);
	return NULL;
}

NEED(own_loop, "loop devices")
{
	return no_loop();
}

NEED(own_mounts, "mounts of its own, as root")
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWNS) ? errno : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return strerror(errno);
	return status ? strerror(WEXITSTATUS(status)) : NULL;
}

static const char *no_maker(const char *type)
{
	if (!program_path(maker_of(type)->program))
		return "there is no such program";
	return geteuid() ? "run by another user" : no_loop();
}

NEED(mkfs_ext4, "mkfs.ext4, and root to mount what it makes")
{
	return no_maker("ext4");
}

NEED(mkfs_xfs, "mkfs.xfs, and root to mount what it makes")
{
	return no_maker("xfs");
}

NEED(mkfs_btrfs, "mkfs.btrfs, and root to mount what it makes")
{
	return no_maker("btrfs");
}

/* --- loop devices --- */

const char *own_loop(uint64_t size, unsigned int block)
{
	char path[64], why[200] = "";
	int fd = device_new_loop(scratch_path("."), size, path, sizeof(path),
				 why, sizeof(why));

	if (fd < 0)
		end_broken(__FILE__, __LINE__, "%s", why);
	REQUIRE(!ioctl(fd, LOOP_SET_BLOCK_SIZE, (unsigned long)block));
	/* without CONFIG_BLK_DEV_WRITE_MOUNTED a writer keeps it unmounted */
	keep(open(path, O_RDONLY | O_CLOEXEC));
	close(fd);
	return strdup(path);
}

const char *own_loop_over(int backing, unsigned int block)
{
	char path[64];
	int fd = keep(device_loop_over(backing, path, sizeof(path)));

	REQUIRE(!ioctl(fd, LOOP_SET_BLOCK_SIZE, (unsigned long)block));
	return strdup(path);
}

/* --- delayed devices --- */

#define CONFIGFS "/sys/kernel/config"
#define NULLB	 CONFIGFS "/nullb"

NEED(null_blk, "null_blk, configured through configfs by root")
{
	char why[300];

	if (geteuid())
		return "run by another user";
	/* those of a guest; others have them, or have not */
	module_load("configfs", why, sizeof(why));
	module_load("null_blk", why, sizeof(why));
	if (machine_is_ours && access(NULLB, F_OK))
		mount("configfs", CONFIGFS, "configfs", 0, NULL);
	return access(NULLB, W_OK) ? "configfs has no nullb" : NULL;
}

static void set_null(const char *name, const char *attribute, const char *value)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), NULLB "/%s/%s", name, attribute);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	REQUIRE(write(fd, value, strlen(value)) == (ssize_t)strlen(value));
	close(fd);
}

static void remove_null(void *arg)
{
	char path[128];

	snprintf(path, sizeof(path), NULLB "/%s", (char *)arg);
	rmdir(path);
	free(arg);
}

/* A device is named after its process: those of killed cases are in the way. */
static void remove_orphans(void)
{
	DIR *dir = opendir(NULLB);
	struct dirent *entry;
	int pid;

	REQUIRE(dir);
	while ((entry = readdir(dir)))
		if (sscanf(entry->d_name, "aioabi-%d", &pid) == 1 &&
		    kill(pid, 0) && errno == ESRCH)
			remove_null(strdup(entry->d_name));
	closedir(dir);
}

static char last_null[64];

void own_delayed_set(const char *attribute, const char *value)
{
	set_null(last_null, attribute, value);
}

static const char *new_delayed(long ns, bool one_by_one)
{
	static unsigned int n;
	char *name, *path, value[32], index[128];

	remove_orphans();
	REQUIRE(asprintf(&name, "aioabi-%d-%u", getpid(), n++) > 0);
	REQUIRE(asprintf(&path, NULLB "/%s", name) > 0);
	REQUIRE(!mkdir(path, 0755));
	snprintf(last_null, sizeof(last_null), "%s", name);
	at_end(remove_null, name);
	set_null(name, "memory_backed", "1");
	set_null(name, "size", "4");
	set_null(name, "irqmode", "2");
	snprintf(value, sizeof(value), "%ld", ns);
	set_null(name, "completion_nsec", value);
	if (one_by_one) {
		set_null(name, "submit_queues", "1");
		set_null(name, "hw_queue_depth", "1");
	}
	set_null(name, "power", "1");
	/* since 5.19 it is named as its folder */
	snprintf(index, sizeof(index), "%s/index", path);
	free(path);
	REQUIRE(asprintf(&path, "/dev/%s", name) > 0);
	if (!access(path, F_OK))
		return path;
	free(path);
	REQUIRE(asprintf(&path, "/dev/nullb%ld", file_number(index)) > 0);
	WAIT_FOR(!access(path, F_OK));
	return path;
}

const char *own_delayed(long ns)
{
	return new_delayed(ns, false);
}

int own_queue_set(const char *device, const char *attribute, const char *value)
{
	char path[128];
	ssize_t written;
	int fd;

	snprintf(path, sizeof(path), "/sys/block/%s/queue/%s",
		 strrchr(device, '/') + 1, attribute);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	REQUIRE(fd >= 0);
	written = write(fd, value, strlen(value));
	close(fd);
	return written < 0 ? errno : 0;
}

const char *own_scheduled(long ns, const char *scheduler)
{
	const char *device = new_delayed(ns, true);
	char waiting[16], why[300];
	int i;

	module_load(scheduler, why, sizeof(why));
	if (own_queue_set(device, "scheduler", scheduler))
		SKIP("the kernel has no scheduler %s", scheduler);
	/* 6.12's mq-deadline lets as many writes wait as were allowed before */
	for (i = 2; i > 0; i--) {
		snprintf(waiting, sizeof(waiting), "%d",
			 i * OWN_SCHEDULED_WAITING);
		REQUIRE(!own_queue_set(device, "nr_requests", waiting));
	}
	return device;
}

/* --- mounts --- */

const char *file_in(const char *dir, const char *name)
{
	char *path;

	REQUIRE(asprintf(&path, "%s/%s", dir, name) > 0);
	return path;
}

static void leave_mount(void *arg)
{
	umount2(arg, MNT_DETACH);
}

const char *own_mount(const char *type, const char *source, const char *options)
{
	static bool alone;
	static unsigned int n;
	char name[32];
	char *dir;

	if (!alone) {
		REQUIRE(!unshare(CLONE_NEWNS));
		REQUIRE(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		alone = true;
	}
	snprintf(name, sizeof(name), "mount%u", n++);
	dir = strdup(scratch_path(name));
	REQUIRE(dir);
	REQUIRE(!mkdir(dir, 0700));
	if (mount(source, dir, type, 0, options)) {
		/* a kernel need not have every file system */
		if (errno == ENODEV)
			SKIP("the kernel has no %s", type);
		REQUIRE(!errno);
	}
	at_end(leave_mount, dir);
	return dir;
}

const char *own_tmpfs(const char *options)
{
	return own_mount("tmpfs", "aioabi", options);
}

static void make_filesystem(const struct maker *maker, const char *device)
{
	const char *program = program_path(maker->program);
	const char *argv[] = { maker->program, maker->args[0], maker->args[1],
			       device, NULL };
	int status;
	pid_t pid = child_fork();

	if (!pid) {
		int null = open("/dev/null", O_WRONLY);

		dup2(null, STDOUT_FILENO);
		dup2(null, STDERR_FILENO);
		execv(program, (char **)argv);
		child_exit(127);
	}
	status = child_wait(pid);
	if (status)
		end_broken(__FILE__, __LINE__, "%s: status 0x%x", program,
			   (unsigned int)status);
}

void own_mkfs(const char *type, const char *device)
{
	make_filesystem(maker_of(type), device);
}

const char *own_filesystem(const char *type)
{
	const struct maker *maker = maker_of(type);
	const char *device = own_loop(maker->size, 512);

	make_filesystem(maker, device);
	return own_mount(type, device, NULL);
}
