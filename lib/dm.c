// SPDX-License-Identifier: GPL-2.0-or-later
#include "dm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define ROOM	 16384
#define PART_MAX 512 /* a target and its parameters; of ROOM, some dozens */

struct request {
	struct dm_ioctl dm;
	union {
		struct {
			uint64_t sector; /* as dm_target_msg has it */
			char text[200];
		};
		char reply[ROOM];
	};
};

static bool ask(unsigned long call, struct request *request)
{
	int control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC), result;

	if (control < 0)
		return false;
	request->dm.version[0] = DM_VERSION_MAJOR;
	request->dm.data_size = sizeof(*request);
	request->dm.data_start = sizeof(request->dm);
	result = ioctl(control, call, request);
	close(control);
	return !result;
}

static void begin(struct request *request, const char *name)
{
	memset(request, 0, sizeof(*request));
	snprintf(request->dm.name, sizeof(request->dm.name), "%s", name);
}

bool dm_has_target(const char *type)
{
	struct request request;

	begin(&request, type);
	return ask(DM_GET_TARGET_VERSION, &request);
}

bool dm_create(const char *name, char *path, size_t size)
{
	struct request request;

	begin(&request, name);
	if (!ask(DM_DEV_CREATE, &request))
		return false;
	snprintf(path, size, "/dev/dm-%u", minor(request.dm.dev));
	return true;
}

bool dm_set_parts(const char *name, const struct dm_part *parts, unsigned int n)
{
	struct request request;
	struct dm_target_spec *target;
	uint64_t begins_at = 0;
	size_t used = 0;
	unsigned int i;

	begin(&request, name);
	request.dm.target_count = n;
	for (i = 0; i < n; i++) {
		target = (void *)(request.reply + used);
		target->sector_start = begins_at;
		target->length = parts[i].sectors;
		target->next = PART_MAX;
		snprintf(target->target_type, sizeof(target->target_type), "%s",
			 parts[i].type);
		snprintf((char *)(target + 1), PART_MAX - sizeof(*target), "%s",
			 parts[i].parameters);
		begins_at += parts[i].sectors;
		used += PART_MAX;
	}
	if (!ask(DM_TABLE_LOAD, &request))
		return false;
	/* without DM_SUSPEND_FLAG it resumes, with the new table */
	begin(&request, name);
	return ask(DM_DEV_SUSPEND, &request);
}

bool dm_set(const char *name, uint64_t sectors, const char *type,
	    const char *parameters)
{
	const struct dm_part part = { sectors, type, parameters };

	return dm_set_parts(name, &part, 1);
}

bool dm_message(const char *name, const char *text)
{
	struct request request;

	begin(&request, name);
	snprintf(request.text, sizeof(request.text), "%s", text);
	return ask(DM_TARGET_MSG, &request);
}

bool dm_remove_unused(const char *name)
{
	struct request request;

	begin(&request, name);
	request.dm.flags = DM_DEFERRED_REMOVE;
	return ask(DM_DEV_REMOVE, &request);
}
