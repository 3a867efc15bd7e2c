// SPDX-License-Identifier: GPL-2.0-or-later
#include "compat32.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "journal.h"
#include "needs.h"
#include "run_case.h"

#define ABOVE_ALL 100 /* a descriptor that nothing is moved to */

static char program[PATH_MAX];

void compat32_find(void)
{
	ssize_t len = readlink("/proc/self/exe", program, sizeof(program) - 3);

	if (len <= 0)
		return;
	strcpy(program + len, "32");
	if (!access(program, X_OK))
		flavour_count += 2;
}

int compat32_keep(int fd)
{
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD, ABOVE_ALL);
}

int compat32_move(int fd, int to)
{
	return fd < 0 ? -1 : dup2(fd, to);
}

/* As text, which is the same for both: lib/main32.c takes it apart. */
void compat32_run(const struct surroundings *around, const char *name,
		  int report)
{
	const struct device *device = around->device;
	bool journal = journal_move(STDERR_FILENO + 1);
	char numbers[300];

	snprintf(numbers, sizeof(numbers),
		 "%d %d %u %u %ld %d %d %" PRIu64 " %u %u %u %u", report,
		 journal ? STDERR_FILENO + 1 : -1, around->slot, around->slots,
		 around->aio_nr_at_start, machine_is_ours, device->is_block,
		 device->size, device->logical_block, device->physical_block,
		 device->dma_alignment, device->max_sectors_kb);
	if (journal)
		fcntl(STDERR_FILENO + 1, F_SETFD, 0);
	execl(program, program, "item", around->c->id, around->flavour->name,
	      name, around->scratch, device->name, device->path, numbers, NULL);
	report_use(around->report);
	SKIP("needs a kernel that runs 32-bit programs: %s", strerror(errno));
}
