// SPDX-License-Identifier: GPL-2.0-or-later
#include "run_case.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "sabotage.h"

static const struct surroundings *around_case;

const struct surroundings *surroundings(void)
{
	return around_case;
}

const struct aio_case *this_case(void)
{
	return around_case->c;
}

/* A bit for each descriptor below 1024 that is open. */
struct descriptors {
	unsigned char open[1024 / 8];
	unsigned int n;
};

static void descriptors_read(struct descriptors *set)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;

	memset(set, 0, sizeof(*set));
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] == '.' || fd == dirfd(dir))
			continue;
		set->n++;
		if (fd < 1024)
			set->open[fd / 8] |= (unsigned char)(1 << fd % 8);
	}
	closedir(dir);
}

unsigned int descriptors_open(void)
{
	struct descriptors now;

	descriptors_read(&now);
	return now.n;
}

static void descriptors_judge(const struct descriptors *before)
{
	struct descriptors after;
	char path[64], target[200];
	int fd;

	descriptors_read(&after);
	if (after.n <= before->n)
		return;
	report_ending(ENDING_LEAK, "%u descriptors more than at the start",
		      after.n - before->n);
	for (fd = 0; fd < 1024; fd++) {
		ssize_t len;

		if (!(after.open[fd / 8] & ~before->open[fd / 8] & 1 << fd % 8))
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		len = readlink(path, target, sizeof(target) - 1);
		target[len > 0 ? len : 0] = '\0';
		report_line("left open: descriptor %d -> %s", fd, target);
	}
}

/* io_destroy() unmaps, and an io_setup() that failed has mapped nothing. */
static void mappings_judge(void)
{
	unsigned int mapped = maps_named("/[aio]");

	if (mapped <= live_contexts())
		return;
	report_ending(ENDING_LEAK, "%u mappings of [aio] for %u live contexts",
		      mapped, live_contexts());
	report_line(
		"%u rings are mapped, %u contexts are alive: io_destroy() or a failed io_setup() left a mapping",
		mapped, live_contexts());
}

void run_case(const struct surroundings *around)
{
	struct descriptors before;

	around_case = around;
	report_use(around->report);
	aio_untraced = around->flavour->calls;
	if (fault_calls)
		aio_untraced = fault_calls(aio_untraced);
	if (around->breakage)
		aio_untraced =
			sabotage(aio_untraced, around->breakage, around->nth);
	descriptors_read(&before);
	around->c->body();
	if (fault_judge)
		fault_judge();
	sync_clean_up();
	stage_clean_up();
	memory_check();
	descriptors_judge(&before);
	mappings_judge();
	atomic_store(&around->report->finished, true);
	/* the executor sees this, while the exit may have to wait */
	close(STDOUT_FILENO);
	close(STDERR_FILENO);
	_exit(0);
}
