// SPDX-License-Identifier: GPL-2.0-or-later
#include "device.h"

#include <blkid/blkid.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "zoo.h"

struct device devices[DEVICES_MAX];
unsigned int device_count;

struct device *device_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < device_count; i++)
		if (!strcmp(devices[i].name, name))
			return &devices[i];
	return NULL;
}

struct device *device_new(const char *name, char *why, unsigned int size)
{
	struct device *device;

	if (device_find(name)) {
		snprintf(why, size, "there are two devices named %s", name);
		return NULL;
	}
	if (device_count == DEVICES_MAX) {
		snprintf(why, size, "more than %d devices", DEVICES_MAX);
		return NULL;
	}
	device = &devices[device_count];
	memset(device, 0, sizeof(*device));
	device->fd = -1;
	snprintf(device->name, sizeof(device->name), "%s", name);
	return device;
}

/* A number below /sys/dev/block/MAJ:MIN, or of the disk of a partition. */
static unsigned int queue_number(dev_t dev, const char *attribute)
{
	static const char *const places[] = { "queue", "../queue" };
	char path[128];
	unsigned int i, value;
	FILE *f;
	int n;

	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/%s/%s",
			 major(dev), minor(dev), places[i], attribute);
		f = fopen(path, "re");
		if (!f)
			continue;
		n = fscanf(f, "%u", &value);
		fclose(f);
		if (n == 1)
			return value;
	}
	return 0;
}

static bool limits_read(struct device *device, char *why, unsigned int size)
{
	struct stat st;
	int logical;
	unsigned int physical;

	if (fstat(device->fd, &st) ||
	    ioctl(device->fd, BLKGETSIZE64, &device->size) ||
	    ioctl(device->fd, BLKSSZGET, &logical) ||
	    ioctl(device->fd, BLKPBSZGET, &physical)) {
		snprintf(why, size, "%s: %s", device->path, strerror(errno));
		return false;
	}
	device->is_block = true;
	device->logical_block = (unsigned int)logical;
	device->physical_block = physical;
	/* dma_alignment is a mask, and in sysfs since 6.0 only */
	device->dma_alignment = queue_number(st.st_rdev, "dma_alignment");
	if (device->dma_alignment)
		device->dma_alignment++;
	device->max_sectors_kb = queue_number(st.st_rdev, "max_sectors_kb");
	return true;
}

/* What libblkid finds on a device, in words; false when it finds nothing. */
static bool signature(int fd, char *what, unsigned int size)
{
	blkid_probe probe = blkid_new_probe();
	const char *type = NULL;
	bool found;

	if (!probe || blkid_probe_set_device(probe, fd, 0, 0)) {
		snprintf(what, size, "something that libblkid cannot read");
		return true;
	}
	blkid_probe_enable_superblocks(probe, 1);
	blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE);
	blkid_probe_enable_partitions(probe, 1);
	found = blkid_do_safeprobe(probe) != 1;
	if (found && !blkid_probe_lookup_value(probe, "TYPE", &type, NULL))
		snprintf(what, size, "a %s signature", type);
	else if (found &&
		 !blkid_probe_lookup_value(probe, "PTTYPE", &type, NULL))
		snprintf(what, size, "a %s partition table", type);
	else
		snprintf(what, size, "several signatures");
	blkid_free_probe(probe);
	return found;
}

bool device_open(struct device *device, bool destroy, char *why,
		 unsigned int size)
{
	char what[100];

	device->fd = open(device->path, O_RDWR | O_EXCL | O_CLOEXEC);
	if (device->fd < 0) {
		snprintf(
			why, size, "%s: %s", device->path,
			errno == EBUSY
				? "in use: mounted, swap, or held by another device"
				: strerror(errno));
		return false;
	}
	if (!destroy && signature(device->fd, what, sizeof(what))) {
		snprintf(
			why, size,
			"%s carries %s; --destroy (DESTROY=yes) lets it be overwritten",
			device->path, what);
		return false;
	}
	return limits_read(device, why, size);
}

bool device_add(const char *spec, bool destroy, char *why, unsigned int size)
{
	const char *equals = strchr(spec, '=');
	struct device *device;
	char name[32] = "";
	struct stat st;
	bool ok;

	if (!strncmp(spec, "zoo:", 4))
		return zoo_add(spec + 4, why, size);
	if (equals && !memchr(spec, '/', (size_t)(equals - spec))) {
		snprintf(name, sizeof(name), "%.*s", (int)(equals - spec),
			 spec);
		spec = equals + 1;
	} else {
		const char *slash = strrchr(spec, '/');

		snprintf(name, sizeof(name), "%s", slash ? slash + 1 : spec);
	}
	if (!*name || strspn(name, "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_") != strlen(name)) {
		snprintf(
			why, size,
			"'%s' is no name for a device: use NAME=PATH with letters, digits and _",
			name);
		return false;
	}
	if (stat(spec, &st)) {
		snprintf(why, size, "%s: %s", spec, strerror(errno));
		return false;
	}
	if (S_ISDIR(st.st_mode))
		return device_add_dir(name, spec, why, size);
	if (!S_ISBLK(st.st_mode)) {
		snprintf(why, size,
			 "%s: neither a block device nor a directory", spec);
		return false;
	}
	device = device_new(name, why, size);
	if (!device)
		return false;
	snprintf(device->path, sizeof(device->path), "%s", spec);
	ok = device_open(device, destroy, why, size);
	if (ok)
		device_count++;
	else if (device->fd >= 0)
		close(device->fd);
	return ok;
}

bool device_add_dir(const char *name, const char *dir, char *why,
		    unsigned int size)
{
	struct device *device = device_new(name, why, size);
	char path[PATH_MAX];

	if (!device)
		return false;
	if (!realpath(dir, path) || access(path, W_OK | X_OK)) {
		snprintf(why, size, "%s: %s", dir, strerror(errno));
		return false;
	}
	snprintf(device->path, sizeof(device->path), "%s", path);
	device_count++;
	return true;
}

bool device_add_loop(const char *dir, uint64_t size, char *why,
		     unsigned int why_size)
{
	struct device *device = device_new("loop", why, why_size);

	if (!device)
		return false;
	device->fd = device_new_loop(dir, size, device->path,
				     sizeof(device->path), why, why_size);
	if (device->fd < 0)
		return false;
	device->made = true;
	if (!limits_read(device, why, why_size)) {
		close(device->fd);
		return false;
	}
	device_count++;
	return true;
}
