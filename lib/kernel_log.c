// SPDX-License-Identifier: GPL-2.0-or-later
#include "kernel_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REPORT_LINES 160
#define OURS	     "aioabi: " /* lib/guest.c begins its lines so, too */
#define MARK	     "<4>" OURS /* as loud as a warning */

/* What a report begins with; anywhere in the line. */
static const char *const beginnings[] = {
	"WARNING:",
	"BUG:",
	"BUG ", /* SLUB: "BUG kioctx (Not tainted): …" */
	"Oops",
	"kernel BUG at",
	"general protection fault",
	"Unable to handle kernel",
	"unable to handle",
	"KASAN",
	"KCSAN",
	"KFENCE",
	"UBSAN",
	"INFO: task ",
	"INFO: rcu",
	"INFO: possible",
	"INFO: suspicious",
	"rcu: INFO:",
	"possible recursive locking",
	"possible circular locking",
	"inconsistent lock state",
	"suspicious RCU usage",
	"sleeping function called from invalid context",
	"scheduling while atomic",
	"list_add corruption",
	"list_del corruption",
	"refcount_t:",
	"percpu ref",
	"soft lockup",
	"hard LOCKUP",
	"Kernel panic",
	"stack-protector",
	"new suspected memory leaks",
	"ODEBUG:",
};

/* What it ends with, where it says so. */
static const char *const ends[] = {
	"---[ end trace",
	"---[ end Kernel panic",
	"==================================================================",
};

/* A trace with one of these runs through AIO, whoever's task it is. */
static const char *const aio_symbols[] = {
	"aio_",	      "ioctx",	      "kiocb",	       "io_submit", "io_setup",
	"io_destroy", "io_getevents", "io_pgetevents", "io_cancel",
};

/* Tasks of the kernel's own, which may run what a case has caused. */
static const char *const kernel_tasks[] = {
	"kworker",  "swapper", "ksoftirqd", "rcu",	 "migration",
	"kthreadd", "loop",    "cpuhp",	    "kcompactd", "khugepaged",
	"jbd2",	    "kblockd", "kdmflush",
};

/*
 * What other parts of some kernels warn of whatever the case does, by the
 * function in the headline. FunctionFS waits, when it is unmounted, for a work
 * that it may never have set up (6.19 and 7.0); AIO waits for none anywhere.
 */
static const char *const elsewhere[] = {
	" at __flush_work+",
};

static int fd = -1;
static char text[REPORT_LINES * 100];
static size_t used;
static bool inside;

static bool has_any(const char *haystack, const char *const *needles,
		    unsigned int n)
{
	while (n--)
		if (strstr(haystack, needles[n]))
			return true;
	return false;
}
#define HAS_ANY(haystack, needles) \
	has_any(haystack, needles, sizeof(needles) / sizeof(needles[0]))

const char *kernel_log_open(void)
{
	fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return strerror(errno);
	if (lseek(fd, 0, SEEK_END) < 0) {
		close(fd);
		fd = -1;
		return strerror(errno);
	}
	return "read";
}

void kernel_log_mark(const char *format, ...)
{
	static int out = -1;
	char line[300] = MARK;
	va_list args;

	if (out < 0)
		out = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	va_start(args, format);
	vsnprintf(line + strlen(MARK), sizeof(line) - strlen(MARK), format,
		  args);
	va_end(args);
	/* without it, no more than the order of lines is lost */
	if (write(out, line, strlen(line)) < 0)
		out = -1;
}

int kernel_log_fd(void)
{
	return fd;
}

void kernel_log_close(void)
{
	if (fd >= 0)
		close(fd);
	fd = -1;
}

/* The task that a report names, "Comm: kworker/0:1 …"; "" when it does not. */
static void task_of(char *task, size_t size)
{
	const char *comm = strstr(text, "Comm: ");

	snprintf(task, size, "%.*s", comm ? (int)strcspn(comm + 6, " \n") : 0,
		 comm ? comm + 6 : "");
}

/*
 * Two CPUs that speak at once are mixed line by line, and the end of the one
 * cuts the other short: so the headlines decide, not the trace, which may be
 * gone. Any other headline, or a frame of AIO's, is somebody's. A line with
 * "? " is no frame but what a call before has left on the stack.
 */
static bool is_elsewhere(void)
{
	bool aio, headline;
	char line[300];
	const char *at;

	for (at = text; *at; at += strcspn(at, "\n") + 1) {
		snprintf(line, sizeof(line), "%.*s", (int)strcspn(at, "\n"),
			 at);
		aio = !strstr(line, " ? ") && HAS_ANY(line, aio_symbols);
		headline = HAS_ANY(line, beginnings);
		if (aio || (headline && !HAS_ANY(line, elsewhere)))
			return false;
	}
	return HAS_ANY(text, elsewhere);
}

static void finish(void (*found)(const struct kernel_report *))
{
	struct kernel_report report = { .text = text };
	const char *ours = strstr(text, TASK_NAME);
	char task[32], headline[300];

	inside = false;
	text[used] = '\0';
	if (!used)
		return;
	task_of(task, sizeof(task));
	if (is_elsewhere()) {
		report.blame = BLAME_NOBODY;
	} else if (ours) {
		report.blame = BLAME_ITEM;
		report.run = strtoul(ours + strlen(TASK_NAME), NULL, 10);
	} else if (HAS_ANY(text, aio_symbols) &&
		   (!*task || HAS_ANY(task, kernel_tasks))) {
		report.blame = BLAME_AIO;
	} else {
		report.blame = BLAME_FOREIGN;
	}
	snprintf(headline, sizeof(headline), "%.*s", (int)strcspn(text, "\n"),
		 text);
	report.headline = headline;
	found(&report);
	used = 0;
}

static void add_line(const char *line,
		     void (*found)(const struct kernel_report *))
{
	size_t len = strlen(line);

	if (!strncmp(line, OURS, strlen(OURS)))
		return;
	if (!inside && HAS_ANY(line, beginnings)) {
		inside = true;
		used = 0;
	}
	if (!inside)
		return;
	if (used + len + 2 >= sizeof(text)) {
		finish(found);
		return;
	}
	memcpy(text + used, line, len);
	used += len;
	text[used++] = '\n';
	/* KASAN frames its report: the line of = after the headline ends it */
	if (used > len + 1 && HAS_ANY(line, ends))
		finish(found);
}

/* "6,1234,56789,-;text\n KEY=value\n": only the text is of interest. */
static void take_record(char *record,
			void (*found)(const struct kernel_report *))
{
	char *line = strchr(record, ';');

	if (!line)
		return;
	line++;
	line[strcspn(line, "\n")] = '\0';
	add_line(line, found);
}

void kernel_log_read(bool all, void (*found)(const struct kernel_report *))
{
	char record[8192];
	ssize_t len;

	if (fd < 0)
		return;
	for (;;) {
		len = read(fd, record, sizeof(record) - 1);
		if (len < 0 && (errno == EPIPE || errno == EINTR))
			continue; /* overtaken: messages were lost */
		if (len <= 0)
			break;
		record[len] = '\0';
		take_record(record, found);
	}
	if (all && inside)
		finish(found);
}
