// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The program of cases for 32-bit callers: it runs one item for the executor
 * of aioabi-cases (lib/compat32.h), and nothing by itself.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "journal.h"
#include "needs.h"
#include "run_case.h"

extern const struct aio_case *const __start_aio_cases[];
extern const struct aio_case *const __stop_aio_cases[];

static const struct aio_case *case_find(const char *id)
{
	const struct aio_case *const *at;

	for (at = __start_aio_cases; at < __stop_aio_cases; at++)
		if (!strcmp((*at)->id, id))
			return *at;
	return NULL;
}

static void bad(const char *what)
{
	fprintf(stderr, "aioabi-cases32: %s\n", what);
	exit(2);
}

/* What compat32_run() wrote. */
static void take_numbers(const char *numbers, struct surroundings *around,
			 struct device *device)
{
	int report, journal, ours, is_block;
	void *map;

	if (sscanf(numbers, "%d %d %u %u %ld %d %d %" SCNu64 " %u %u %u %u",
		   &report, &journal, &around->slot, &around->slots,
		   &around->aio_nr_at_start, &ours, &is_block, &device->size,
		   &device->logical_block, &device->physical_block,
		   &device->dma_alignment, &device->max_sectors_kb) != 12)
		bad("not the numbers of an item");
	machine_is_ours = ours;
	device->is_block = is_block;
	if (journal >= 0)
		journal_adopt(journal);
	map = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE,
		   MAP_SHARED, report, 0);
	if (map == MAP_FAILED)
		bad("no memory for the report");
	close(report);
	around->report = map;
}

static void run_item(char **args) __attribute__((noreturn));
static void run_item(char **args)
{
	struct device device = { .fd = -1 };
	struct surroundings around = {
		.c = case_find(args[0]),
		.flavour = flavour_find(args[1]),
		.device = &device,
		.scratch = args[3],
	};
	char why[300];

	prctl(PR_SET_NAME, args[2]);
	snprintf(device.name, sizeof(device.name), "%s", args[4]);
	snprintf(device.path, sizeof(device.path), "%s", args[5]);
	take_numbers(args[6], &around, &device);
	report_use(around.report);
	if (!around.c)
		SKIP("needs more than a 32-bit program has");
	/* some needs are of the program, as the width of its numbers */
	if (needs_unmet(around.c->needs, why, sizeof(why)))
		SKIP("%s", why);
	run_case(&around);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "exec"))
		return exec_run(argv[2], argv[3]);
	if (argc == 2 && !strcmp(argv[1], "--help")) {
		puts("aioabi-cases runs this program, for 32-bit flavours");
		return 0;
	}
	if (argc != 9 || strcmp(argv[1], "item"))
		bad("it is run by aioabi-cases, for 32-bit flavours");
	run_item(argv + 2);
}
