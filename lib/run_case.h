// SPDX-License-Identifier: GPL-2.0-or-later
/* Inside the child: what a case runs in, and running it. */
#ifndef AIOABI_RUN_CASE_H
#define AIOABI_RUN_CASE_H

#include "case.h"
#include "device.h"
#include "report.h"

struct surroundings {
	const struct aio_case *c;
	const struct flavour *flavour;
	const struct device *device;
	unsigned int slot;   /* of the items that run side by side … */
	unsigned int slots;  /* … this one of so many */
	const char *scratch; /* directory of this item's own, made on use */
	long aio_nr_at_start;
	struct report *report;
	const struct breakage *breakage; /* of the calls, or NULL */
	unsigned int nth;		 /* … of this one alone; 0: of all */
};

/* surroundings() - of the case that runs in this process. */
const struct surroundings *surroundings(void);

/*
 * run_case() - run a case in this process, which is a child made for it, and
 * leave. All that it has to say stands in the report then.
 */
void run_case(const struct surroundings *around) __attribute__((noreturn));

/* descriptors_open() - how many this process has. */
unsigned int descriptors_open(void);

/* The parts of the library that clean up, in this order, at a case's end. */
void stage_clean_up(void);
void sync_clean_up(void);
/* memory_check() - canaries; a broken one is a failure of the case. */
void memory_check(void);

/*
 * Of fault/, which not every program has: the calls with faults in them, and
 * whether those that were armed came.
 */
const struct aio_calls *fault_calls(const struct aio_calls *calls)
	__attribute__((weak));
void fault_judge(void) __attribute__((weak));

#endif
