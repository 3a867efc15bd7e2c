// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices and file systems of a case's own, which no other sees: for what
 * would disturb others, or would outlive a case that is killed. They are gone
 * with the process, however it ends.
 */
#ifndef AIOABI_OWN_H
#define AIOABI_OWN_H

#include <stdint.h>

/*
 * own_loop() - a loop device of size bytes with this logical block size; gives
 * its path. Ask for it with .needs = "own_loop".
 */
const char *own_loop(uint64_t size, unsigned int block);
/*
 * own_loop_over() - the same over this file, which the case can change while
 * the device is in use: cut it short, or let it find no room.
 */
const char *own_loop_over(int backing, unsigned int block);

/*
 * own_delayed() - a block device of memory whose requests end that long after
 * they came, and not before; gives its path. .needs = "null_blk".
 */
const char *own_delayed(long ns);
#define OWN_DELAYED_SIZE (4 * 1024 * 1024) /* bytes of it */
/* own_delayed_set() - an attribute of the one that was made last. */
void own_delayed_set(const char *attribute, const char *value);

/*
 * own_scheduled() - the same with one request in the device at a time and this
 * I/O scheduler before it, which keeps the others; gives its path. Skips the
 * case if the kernel has no such scheduler. .needs = "null_blk".
 */
const char *own_scheduled(long ns, const char *scheduler);
#define OWN_SCHEDULED_WAITING 8 /* requests that it keeps */

/*
 * own_queue_set() - an attribute of a device's request queue, one of
 * /sys/block/NAME/queue. Gives 0, or the errno that says it is not known there.
 */
int own_queue_set(const char *device, const char *attribute, const char *value);

/*
 * own_tmpfs() - a tmpfs with these mount options, in a mount namespace of this
 * process's own; gives where it is mounted. .needs = "own_mounts".
 */
const char *own_tmpfs(const char *options);

/*
 * own_filesystem() - "ext4", "xfs" or "btrfs" on a loop device of its own,
 * mounted likewise. .needs = "mkfs_ext4", "mkfs_xfs", "mkfs_btrfs".
 */
const char *own_filesystem(const char *type);
/*
 * own_mkfs() - make one on a device of the case's own, OWN_MKFS_SIZE bytes or
 * more; own_mount() mounts it. .needs as above.
 */
void own_mkfs(const char *type, const char *device);
#define OWN_MKFS_SIZE (16 * 1024 * 1024) /* for ext4 */

/*
 * own_mount() - any other one, by mount(2), on a directory made for it.
 * .needs = "own_mounts".
 */
const char *own_mount(const char *type, const char *source,
		      const char *options);

/* file_in() - a path in a directory, in a buffer that is never freed. */
const char *file_in(const char *dir, const char *name);

#endif
