// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The device-mapper: devices of one target or several, by its ioctls. Of what
 * fails, errno says why.
 */
#ifndef AIOABI_DM_H
#define AIOABI_DM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* dm_has_target() - whether the kernel has this target, or can load it. */
bool dm_has_target(const char *type);

/* dm_create() - a device without a table; path is where it will be. */
bool dm_create(const char *name, char *path, size_t size);

/*
 * dm_set() - have it be this target from its start, so many sectors. What is in
 * flight is waited for.
 */
bool dm_set(const char *name, uint64_t sectors, const char *type,
	    const char *parameters);

/* So many sectors of a device, and what they are. */
struct dm_part {
	uint64_t sectors;
	const char *type, *parameters;
};

/* dm_set_parts() - the same, of one part after the other. */
bool dm_set_parts(const char *name, const struct dm_part *parts,
		  unsigned int n);

/* dm_message() - to its target. */
bool dm_message(const char *name, const char *text);

/* dm_remove_unused() - it goes when the last descriptor is closed. */
bool dm_remove_unused(const char *name);

#endif
