// SPDX-License-Identifier: GPL-2.0-or-later
/* The records of a run, as lib/protocol.md has them, and as KTAP version 1. */
#ifndef AIOABI_RECORD_H
#define AIOABI_RECORD_H

#include "executor.h"

struct run_facts {
	const struct options *options;
	long aio_nr, aio_max_nr;
	const char *kernel_log; /* "read", or why not */
};

/* record_open() - choose the form, and write to this descriptor. */
void record_open(const char *format, int fd);
void record_run(const struct run_facts *facts);
/* a device of the zoo was made: its limits are known from here on */
void record_device(const struct device *device);
/* the executor is well, though it has had nothing to say for a while */
void record_alive(void);
void record_plan(unsigned int total);
void record_start(const struct item *item);
void record_outcome(const struct item *item, const struct verdict *verdict);
void record_note(const char *text);
/* the run fails for what it says, though no item can be blamed */
void record_failing_note(const char *text);
void record_end(const unsigned int counts[OUTCOME_COUNT], double seconds,
		const char *why_incomplete);
/* record_failed() - whether a record could not be written: nobody reads. */
bool record_failed(void);

/* The build's own description of the sources, set by the Makefile. */
extern const char suite_version[];

#endif
