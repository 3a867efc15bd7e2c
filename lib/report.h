// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a running case tells the executor, in memory that both share: it is
 * there whatever becomes of the case, and threads and children add to it.
 */
#ifndef AIOABI_REPORT_H
#define AIOABI_REPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "aio.h"

#define REPORT_TEXT	(48 * 1024)
#define REPORT_REASON	300
#define REPORT_FAILURES 20 /* shown in full; the rest is counted */

enum ending {
	ENDING_NONE,
	ENDING_FAIL,   /* an expectation on the clause did not hold */
	ENDING_STAGE,  /* an AIO call failed while the stage was set */
	ENDING_LEAK,   /* something was left behind */
	ENDING_BROKEN, /* the stage could not be set, by no fault of AIO */
	ENDING_SKIP,   /* a need was found unmet on the way */
};

/* Of the same layout in 32-bit and 64-bit programs, which share it. */
struct report {
	atomic_uint checks;
	atomic_uint failures;
	atomic_int ending;	/* the first enum ending that came */
	atomic_bool cut_short;	/* ended by ASSERT, STAGE, REQUIRE or SKIP */
	atomic_bool finished;	/* the body came to its end */
	atomic_bool quota_read; /* it looked at fs.aio-nr */
	atomic_uint text_used;
	char reason[REPORT_REASON];
	char text[REPORT_TEXT];
	struct call_trace trace __attribute__((aligned(8)));
};
_Static_assert(sizeof(struct call_record) == 72, "the same in both programs");
_Static_assert(offsetof(struct report, trace) % 8 == 0 &&
		       offsetof(struct call_trace, records) % 8 == 0,
	       "the same in both programs");

/* report_use() - the report of this process, made by the executor. */
void report_use(struct report *report);
struct report *report_current(void);

/* report_line() - add one line of diagnostics. Any thread, any process. */
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * report_ending() - note how the case ends unless it is noted already, with a
 * one-line reason. Does not end it.
 */
void report_ending(enum ending ending, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#endif
