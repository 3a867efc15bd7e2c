// SPDX-License-Identifier: GPL-2.0-or-later
#include "zoo.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dm.h"
#include "modules.h"

#define APPEARS_SECONDS 60 /* a disk, after its driver is there */
#define CONFIGFS	"/sys/kernel/config"
#define RAM_DISK	"/dev/ram0"
#define DM_BASE		"/dev/ram1"		 /* below the device-mapper */
#define SLICE		(64 * 1024 * 1024 / 512) /* sectors of that, for each */
#define ZRAM_SIZE	"64M"
#define LOOP_SIZE	(64 * 1024 * 1024ull)

struct why {
	char *text;
	unsigned int size;
};

struct animal {
	const char *name;
	bool is_block;
	const char *modules; /* all of them, blanks between */
	/* gives the path of the device or directory */
	bool (*make)(struct animal *animal, struct why *why);
	const char *detail; /* for make */
	char path[64];	    /* when it is made */
	char failed[300];   /* why it could not be */
};

static bool animal_make(const char *name, char *path, size_t size,
			struct why *why);

/* --- small things --- */

static bool fail(struct why *why, const char *what)
{
	snprintf(why->text, why->size, "%s: %s", what, strerror(errno));
	return false;
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok;

	if (fd < 0)
		return false;
	ok = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return ok;
}

/* The first word of a file; "" when there is none. */
static const char *read_word(const char *path, char *buf, size_t size)
{
	FILE *f = fopen(path, "re");

	*buf = '\0';
	if (!f)
		return buf;
	if (fgets(buf, (int)size, f))
		buf[strcspn(buf, " \n")] = '\0';
	fclose(f);
	return buf;
}

static bool has_word(const char *path, const char *word)
{
	char line[300], *rest, *token;
	bool found = false;
	FILE *f = fopen(path, "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		rest = line;
		while (!found && (token = strsep(&rest, " \t\n")))
			found = !strcmp(token, word);
	}
	if (f)
		fclose(f);
	return found;
}

/* --- disks that the machine has --- */

/*
 * The disk whose attribute below /sys/block/DISK is this; "virtio" disks carry
 * a serial number, for others the maker will do.
 */
static bool find_disk(const char *prefix, const char *attribute,
		      const char *value, char *path, size_t size)
{
	DIR *dir = opendir("/sys/block");
	char file[PATH_MAX], found[64];
	struct dirent *entry;
	bool ok = false;

	while (dir && !ok && (entry = readdir(dir))) {
		if (strncmp(entry->d_name, prefix, strlen(prefix)))
			continue;
		snprintf(file, sizeof(file), "/sys/block/%s/%s", entry->d_name,
			 attribute);
		ok = !strcmp(read_word(file, found, sizeof(found)), value);
		snprintf(path, size, "/dev/%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return ok && !access(path, F_OK);
}

static bool wait_for_disk(const char *prefix, const char *attribute,
			  const char *value, struct animal *animal,
			  struct why *why)
{
	int tries;

	for (tries = 0; tries < APPEARS_SECONDS * 200; tries++) {
		if (find_disk(prefix, attribute, value, animal->path,
			      sizeof(animal->path)))
			return true;
		poll(NULL, 0, 5);
	}
	snprintf(why->text, why->size, "no disk %s* whose %s is %s appeared",
		 prefix, attribute, value);
	return false;
}

static bool make_virtio(struct animal *animal, struct why *why)
{
	return wait_for_disk("vd", "serial", animal->name, animal, why);
}

static bool make_nvme(struct animal *animal, struct why *why)
{
	return wait_for_disk("nvme", "device/serial", animal->name, animal,
			     why);
}

static bool make_scsi(struct animal *animal, struct why *why)
{
	return wait_for_disk("sd", "device/vendor", animal->detail, animal,
			     why);
}

/* --- devices of memory --- */

static bool make_ram(struct animal *animal, struct why *why)
{
	snprintf(animal->path, sizeof(animal->path), RAM_DISK);
	return !access(animal->path, F_OK) || fail(why, animal->path);
}

static bool make_zram(struct animal *animal, struct why *why)
{
	char number[16], attribute[PATH_MAX];

	if (!*read_word("/sys/class/zram-control/hot_add", number,
			sizeof(number)))
		return fail(why, "zram-control/hot_add");
	snprintf(attribute, sizeof(attribute), "/sys/block/zram%s/disksize",
		 number);
	if (!write_text(attribute, ZRAM_SIZE))
		return fail(why, attribute);
	snprintf(animal->path, sizeof(animal->path), "/dev/zram%s", number);
	return true;
}

/* detail: blanks between ATTRIBUTE=VALUE */
static bool make_null(struct animal *animal, struct why *why)
{
	char folder[128], file[PATH_MAX], settings[256];
	char *rest = settings, *word, number[16];

	if (!module_load("configfs", why->text, why->size))
		return false;
	/* that it fails because it is mounted already does no harm */
	mount("configfs", CONFIGFS, "configfs", 0, NULL);
	snprintf(folder, sizeof(folder), CONFIGFS "/nullb/%s", animal->name);
	if (mkdir(folder, 0755))
		return fail(why, folder);
	snprintf(settings, sizeof(settings),
		 "memory_backed=1 size=64 %s power=1", animal->detail);
	while ((word = strsep(&rest, " "))) {
		char *value = strchr(word, '=');

		*value++ = '\0';
		snprintf(file, sizeof(file), "%s/%s", folder, word);
		if (!write_text(file, value))
			return fail(why, file);
	}
	/* since 5.19 it is named as its folder */
	snprintf(animal->path, sizeof(animal->path), "/dev/%s", animal->name);
	if (!access(animal->path, F_OK))
		return true;
	snprintf(file, sizeof(file), "%s/index", folder);
	snprintf(animal->path, sizeof(animal->path), "/dev/nullb%s",
		 read_word(file, number, sizeof(number)));
	return !access(animal->path, F_OK) || fail(why, animal->path);
}

/* --- loop --- */

/* Where direct I/O works, if there is such a place. */
static void find_home(char *path, size_t size)
{
	static const char *const homes[] = { "ext4", "xfs", "btrfs", "f2fs" };
	char text[300];
	struct why ignored = { text, sizeof(text) };
	unsigned int i;

	for (i = 0; i < sizeof(homes) / sizeof(homes[0]); i++)
		if (zoo_has(homes[i], text, sizeof(text)) &&
		    animal_make(homes[i], path, size, &ignored))
			return;
	snprintf(path, size, "/run");
}

static bool make_loop(struct animal *animal, struct why *why)
{
	char home[64];

	find_home(home, sizeof(home));
	/* the descriptor stays open: with it the device would go */
	return device_new_loop(home, LOOP_SIZE, animal->path,
			       sizeof(animal->path), why->text, why->size) >= 0;
}

/* --- device-mapper --- */

/* detail: "SLICE TARGET PARAMETERS", % for the disk below and the place on it
 */
static bool make_dm(struct animal *animal, struct why *why)
{
	char type[16] = "", format[100] = "", parameters[200];
	unsigned int slice = 0;
	const char *percent;

	sscanf(animal->detail, "%u %15s %99[^\n]", &slice, type, format);
	percent = strchr(format, '%');
	snprintf(parameters, sizeof(parameters), "%.*s" DM_BASE " %u%s",
		 (int)(percent - format), format, slice * SLICE, percent + 1);
	return (dm_create(animal->name, animal->path, sizeof(animal->path)) &&
		dm_set(animal->name, SLICE, type, parameters)) ||
	       fail(why, animal->name);
}

/* --- file systems --- */

static bool mount_on(struct animal *animal, const char *what, const char *data,
		     struct why *why)
{
	snprintf(animal->path, sizeof(animal->path), "/mnt/%s", animal->name);
	if (mkdir(animal->path, 0755) && errno != EEXIST)
		return fail(why, animal->path);
	if (mount(what, animal->path, animal->name, 0, data))
		return fail(why, "mount");
	return !chmod(animal->path, 01777) || fail(why, animal->path);
}

/* The disk of this name carries it. */
static bool make_on_disk(struct animal *animal, struct why *why)
{
	char disk[64];

	if (!make_virtio(animal, why))
		return false;
	snprintf(disk, sizeof(disk), "%s", animal->path);
	return mount_on(animal, disk, NULL, why);
}

static bool make_tmpfs(struct animal *animal, struct why *why)
{
	return mount_on(animal, "tmpfs", NULL, why);
}

static bool make_overlay(struct animal *animal, struct why *why)
{
	static const char *const parts[] = { "lower", "upper", "work" };
	char home[64], folder[128], data[400];
	unsigned int i;

	find_home(home, sizeof(home));
	for (i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		snprintf(folder, sizeof(folder), "%s/.%s", home, parts[i]);
		if (mkdir(folder, 0755))
			return fail(why, folder);
	}
	snprintf(data, sizeof(data),
		 "lowerdir=%s/.lower,upperdir=%s/.upper,workdir=%s/.work", home,
		 home, home);
	return mount_on(animal, "overlay", data, why);
}

/* --- the zoo --- */

/*
 * The device-mapper's are at rest: no more than a millisecond's delay, and up
 * for a day. Cases change that.
 */
static struct animal animals[] = {
	{ "virtio", true, "virtio_blk", make_virtio, "", "", "" },
	{ "nvme", true, "nvme", make_nvme, "", "", "" },
	{ "scsi4k", true, "virtio_scsi sd_mod", make_scsi, "QEMU", "", "" },
	{ "loop", true, "loop", make_loop, "", "", "" },
	{ "nullblk", true, "null_blk", make_null, "irqmode=0", "", "" },
	{ "nulltimer", true, "null_blk", make_null,
	  "irqmode=2 completion_nsec=1000000", "", "" },
	{ "brd", true, "brd", make_ram, "", "", "" },
	{ "zram", true, "zram", make_zram, "", "", "" },
	{ "scsidebug", true, "sd_mod scsi_debug", make_scsi, "Linux", "", "" },
	{ "linear", true, "brd dm_mod", make_dm, "0 linear %", "", "" },
	{ "delay", true, "brd dm_mod dm_delay", make_dm, "1 delay % 1", "",
	  "" },
	{ "flakey", true, "brd dm_mod dm_flakey", make_dm, "2 flakey % 86400 0",
	  "", "" },
	{ "ext4", false, "virtio_blk ext4", make_on_disk, "", "", "" },
	{ "xfs", false, "virtio_blk xfs", make_on_disk, "", "", "" },
	{ "btrfs", false, "virtio_blk btrfs", make_on_disk, "", "", "" },
	{ "f2fs", false, "virtio_blk f2fs", make_on_disk, "", "", "" },
	{ "tmpfs", false, "shmem", make_tmpfs, "", "", "" },
	{ "overlay", false, "overlay", make_overlay, "", "", "" },
};

/* What shows that a kernel has this built in, when no index says so. */
static const struct {
	const char *module, *file, *word;
} signs[] = {
	{ "virtio_blk", "/proc/devices", "virtblk" },
	{ "nvme", "/proc/devices", "nvme" },
	{ "sd_mod", "/proc/devices", "sd" },
	{ "virtio_scsi", "/sys/bus/virtio/drivers/virtio_scsi", NULL },
	{ "loop", "/dev/loop-control", NULL },
	{ "null_blk", "/proc/devices", "nullb" },
	{ "brd", "/proc/devices", "ramdisk" },
	{ "zram", "/proc/devices", "zram" },
	{ "scsi_debug", "/sys/bus/pseudo/drivers/scsi_debug", NULL },
	{ "dm_mod", "/proc/misc", "device-mapper" },
	{ "ext4", "/proc/filesystems", "ext4" },
	{ "xfs", "/proc/filesystems", "xfs" },
	{ "btrfs", "/proc/filesystems", "btrfs" },
	{ "f2fs", "/proc/filesystems", "f2fs" },
	{ "shmem", "/proc/filesystems", "tmpfs" },
	{ "overlay", "/proc/filesystems", "overlay" },
};

static struct animal *find_animal(const char *name)
{
	unsigned int i;

	for (i = 0; i < sizeof(animals) / sizeof(animals[0]); i++)
		if (!strcmp(animals[i].name, name))
			return &animals[i];
	return NULL;
}

static bool has_module(const char *name)
{
	unsigned int i;

	if (module_known(name))
		return true;
	if (!strncmp(name, "dm_", 3) && dm_has_target(name + 3))
		return true;
	for (i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
		if (!strcmp(signs[i].module, name))
			return signs[i].word
				       ? has_word(signs[i].file, signs[i].word)
				       : !access(signs[i].file, F_OK);
	return false;
}

/* The next name of a list with blanks between; false at its end. */
static bool next_name(const char **list, char *name, size_t size)
{
	size_t len;

	*list += strspn(*list, " ");
	len = strcspn(*list, " ");
	snprintf(name, size, "%.*s", (int)len, *list);
	*list += len;
	return len;
}

bool zoo_has(const char *name, char *why, unsigned int size)
{
	const struct animal *animal = find_animal(name);
	const char *modules;
	char module[64];

	if (!animal) {
		snprintf(why, size, "the zoo has no %s", name);
		return false;
	}
	for (modules = animal->modules;
	     next_name(&modules, module, sizeof(module));)
		if (!has_module(module)) {
			snprintf(why, size, "this kernel has no %s", module);
			return false;
		}
	return true;
}

static bool load_all(const char *modules, struct why *why)
{
	char module[64];

	while (next_name(&modules, module, sizeof(module)))
		if (module_known(module) &&
		    !module_load(module, why->text, why->size))
			return false;
	return true;
}

/* Once: what could not be made the first time cannot the second. */
static bool animal_make(const char *name, char *path, size_t size,
			struct why *why)
{
	struct animal *animal = find_animal(name);
	struct why first = { animal->failed, sizeof(animal->failed) };

	if (!*animal->failed && !*animal->path &&
	    load_all(animal->modules, &first))
		animal->make(animal, &first);
	snprintf(path, size, "%s", animal->path);
	snprintf(why->text, why->size, "%s", animal->failed);
	return !*animal->failed;
}

static bool zoo_make(struct device *device, char *why, unsigned int size)
{
	struct why told = { why, size };

	if (!animal_make(device->name, device->path, sizeof(device->path),
			 &told))
		return false;
	return !device->is_block || device_open(device, true, why, size);
}

bool zoo_add(const char *name, char *why, unsigned int size)
{
	const struct animal *animal = find_animal(name);
	struct device *device;

	if (!zoo_has(name, why, size))
		return false;
	device = device_new(name, why, size);
	if (!device)
		return false;
	device->is_block = animal->is_block;
	device->made = true;
	device->make = zoo_make;
	snprintf(device->path, sizeof(device->path), "zoo:%s", name);
	device_count++;
	return true;
}
