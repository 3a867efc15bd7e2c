// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The executor: runs items (case × flavour × device), each in a child of its
 * own, side by side or alone, judges them, and writes the records.
 */
#ifndef AIOABI_EXECUTOR_H
#define AIOABI_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "case.h"
#include "device.h"

enum outcome {
	OUTCOME_PASS,
	OUTCOME_FAIL,
	OUTCOME_SKIP,
	OUTCOME_KNOWN,
	OUTCOME_FIXED,
	OUTCOME_BROKEN,
	OUTCOME_LOST,
	OUTCOME_COUNT,
};
extern const char *const outcome_names[OUTCOME_COUNT];

struct breakage;

struct item {
	struct item *next;
	unsigned long seq; /* the orderer's number */
	const struct aio_case *c;
	const struct flavour *flavour;
	struct device *device;
	unsigned int round;
	unsigned int attempt; /* counts repeats of a suspicious measurement */
	bool again; /* run once more to find who left something behind */
	const struct breakage *breakage; /* sabotage of its calls, or NULL */
	unsigned int nth; /* the one call that it breaks; 0: every */
	double limit;	  /* seconds, in place of the case's; 0: that one */
};

/* What is to be said of an item that has ended. */
struct verdict {
	enum outcome outcome;
	const char *kind; /* of a fail, else "" */
	char reason[400];
	char unwell[200]; /* what is wrong with the kernel from now on, or "" */
	double seconds;
	unsigned int checks;
	unsigned int made[CALL_COUNT]; /* calls */
	uint32_t errnos[ERRNO_WORDS];  /* that it met, as bits */
	bool unexpected;   /* an expectation failed before anything else */
	char *diagnostics; /* lines; may be NULL */
	char *output;
	char *kernel_log;
};

/* So many cases that hang end a run: more would say nothing new. */
#define RUN_HANGS_MAX 20

struct options {
	const char *dir;
	unsigned int jobs;
	unsigned int repeat;
	double timeout_scale;
	double deadline;   /* seconds from the start; 0: none */
	unsigned int hung; /* cases, in an earlier guest of the same run */
	bool ours;
	bool shuffled;
	unsigned long seed;
	const char *format; /* "records" or "ktap" */
	/*
	 * Takes the outcomes, and no record is written of items; it may add
	 * others. NULL: records are written.
	 */
	void (*on_end)(const struct item *item, const struct verdict *verdict);
};

/*
 * executor_open() - make ready: journal, kernel log, scratch directory.
 * False, with a sentence in why, when nothing can be run.
 */
bool executor_open(const struct options *options, char *why, unsigned int size);

/* executor_add() - queue an item; it is copied. */
void executor_add(const struct item *item);

/*
 * executor_go() - run what is queued.
 *
 * orders is a descriptor that may bring more orders meanwhile, or -1; handle
 * is called with each line that came. Gives false when the run is to end:
 * interrupted, or nobody is there any more.
 */
bool executor_go(int orders, void (*handle)(char *line));

/* executor_stop() - start nothing more; what is queued is lost. */
void executor_stop(const char *why);

/* executor_close() - clean up; gives the exit status of the run. */
int executor_close(void);

#endif
