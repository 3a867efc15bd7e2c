// SPDX-License-Identifier: GPL-2.0-or-later
#include "report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct report *current;

void report_use(struct report *report)
{
	current = report;
	trace_use(&report->trace);
}

struct report *report_current(void)
{
	return current;
}

void report_line(const char *format, ...)
{
	char line[1000];
	va_list args;
	unsigned int at, len;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0)
		return;
	len = (unsigned int)n;
	if (len > sizeof(line) - 2)
		len = sizeof(line) - 2;
	line[len++] = '\n';
	at = atomic_fetch_add(&current->text_used, len);
	if (at >= REPORT_TEXT)
		return;
	if (len > REPORT_TEXT - at)
		len = REPORT_TEXT - at;
	memcpy(current->text + at, line, len);
}

void report_ending(enum ending ending, const char *format, ...)
{
	int none = ENDING_NONE;
	va_list args;

	if (!atomic_compare_exchange_strong(&current->ending, &none,
					    (int)ending))
		return;
	va_start(args, format);
	vsnprintf(current->reason, sizeof(current->reason), format, args);
	va_end(args);
}
