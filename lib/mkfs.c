// SPDX-License-Identifier: GPL-2.0-or-later
#include "mkfs.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 4096

/* An offset (little-endian, as x86 is) and the block that goes there. */
struct entry {
	uint64_t offset;
	char block[BLOCK];
} __attribute__((packed));

int mkfs(const char *type, int argc, char **argv)
{
	char template[64];
	struct entry entry;
	int device, status = 1;
	FILE *f;

	snprintf(template, sizeof(template), "/mkfs/%s", type);
	f = fopen(template, "re");
	device = open(argv[argc - 1], O_WRONLY | O_CLOEXEC);
	if (!f || device < 0)
		goto out;
	while (fread(&entry, sizeof(entry), 1, f) == 1)
		if (pwrite(device, entry.block, BLOCK, (off_t)entry.offset) !=
		    BLOCK)
			goto out;
	if (!ferror(f) && !fsync(device))
		status = 0;
out:
	if (status)
		fprintf(stderr, "mkfs.%s: %s\n", type, strerror(errno));
	if (f)
		fclose(f);
	if (device >= 0)
		close(device);
	return status;
}
