// SPDX-License-Identifier: GPL-2.0-or-later
/* The devices under test: block devices, and directories that hold files. */
#ifndef AIOABI_DEVICE_H
#define AIOABI_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#define DEVICES_MAX   32
#define DEVICE_REGION (4 * 1024 * 1024) /* of one item, where there is room */

struct device {
	char name[32];
	char path[256];
	bool is_block; /* else a directory */
	bool made;     /* by this program, and gone with it */
	int fd;	       /* holds a block device, exclusively */
	uint64_t size; /* bytes */
	unsigned int logical_block, physical_block;
	unsigned int dma_alignment; /* bytes; 0: the kernel does not say */
	unsigned int max_sectors_kb;
	/* makes the device on first use (in a guest); NULL: it is there */
	bool (*make)(struct device *device, char *why, unsigned int size);
};

extern struct device devices[DEVICES_MAX];
extern unsigned int device_count;

/* device_find() - by its name, or NULL. */
struct device *device_find(const char *name);

/*
 * device_new() - the next place in devices, under this name; it counts when
 * device_count is raised. NULL, with a sentence in why, when there is no room
 * or the name is taken.
 */
struct device *device_new(const char *name, char *why, unsigned int size);

/*
 * device_open() - open the block device at device->path exclusively and read
 * its limits; as device_add() does.
 */
bool device_open(struct device *device, bool destroy, char *why,
		 unsigned int size);

/*
 * device_add() - put a block device or a directory under test.
 *
 * spec is PATH, NAME=PATH, or zoo:NAME in a guest (lib/zoo.h). A block device
 * is opened exclusively, so that one that is mounted, swap or held by another
 * is refused; one with a signature or partitions is refused unless destroy says
 * otherwise. False, with a sentence in why, when it cannot be used.
 */
bool device_add(const char *spec, bool destroy, char *why, unsigned int size);

/*
 * device_add_loop() - a loop device of our own over a nameless file in dir.
 *
 * The file has no name and the device is cleared by its last close, so both
 * are gone when this process is, however it ends.
 */
bool device_add_loop(const char *dir, uint64_t size, char *why,
		     unsigned int why_size);

/*
 * device_new_loop() - the same, as a descriptor that the device lives by; its
 * path in path. -1, with a sentence in why, when there can be none.
 */
int device_new_loop(const char *dir, uint64_t size, char *path,
		    unsigned int path_size, char *why, unsigned int why_size);

/*
 * device_loop_over() - a loop device over this file, as a descriptor that it
 * lives by; its path in path. -1 and errno when there can be none.
 */
int device_loop_over(int backing, char *path, unsigned int size);

/* device_add_dir() - a directory, by this name. */
bool device_add_dir(const char *name, const char *dir, char *why,
		    unsigned int size);

#endif
