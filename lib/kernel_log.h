// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel says while cases run: /dev/kmsg, cut into reports (a
 * warning, an oops, a sanitizer's finding), each laid to who caused it.
 */
#ifndef AIOABI_KERNEL_LOG_H
#define AIOABI_KERNEL_LOG_H

#include <stdbool.h>

/*
 * Tasks of a case are named so, with the run number of the item; the kernel
 * names the task in its reports.
 */
#define TASK_NAME "aioabi-"

enum blame {
	BLAME_ITEM, /* a task of an item: run says which */
	BLAME_AIO,  /* a kernel thread or interrupt, in AIO's own functions */
	BLAME_FOREIGN, /* somebody else */
	BLAME_NOBODY, /* a defect of another part of the kernel that is known */
};

struct kernel_report {
	enum blame blame;
	unsigned long run;
	const char *text; /* lines */
	const char *headline;
};

/* kernel_log_open() - from now on. Gives "read", or why it cannot be. */
const char *kernel_log_open(void);
/* kernel_log_fd() - readable when the kernel has spoken; -1 if not read. */
int kernel_log_fd(void);
/*
 * kernel_log_read() - hand each report that is complete to found; all = true
 * says that none is still being written: those cut short are complete too.
 */
void kernel_log_read(bool all, void (*found)(const struct kernel_report *));
/*
 * kernel_log_mark() - have the kernel log a line of ours, so that whoever
 * reads its console sees what ran between which of its own lines. Only on a
 * machine that is the run's own.
 */
void kernel_log_mark(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
void kernel_log_close(void);

#endif
