// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 32-bit programs on a 64-bit kernel: the cases built a second time, as
 * aioabi-cases32 beside aioabi-cases. The executor stays the 64-bit one; the
 * child of an item of the flavours compat32 and time64 executes the other
 * program, which runs the case of the same name and reports in the same memory.
 */
#ifndef AIOABI_COMPAT32_H
#define AIOABI_COMPAT32_H

#include <stdbool.h>

struct surroundings;

/* compat32_find() - offer the flavours if the second program is there. */
void compat32_find(void);

/*
 * compat32_keep() - in a child: put the report's descriptor out of the way of
 * those that are about to be moved; compat32_move() - give it its own number.
 * Both give -1 for -1.
 */
int compat32_keep(int fd);
int compat32_move(int fd, int to);

/*
 * compat32_run() - in a child: run the case in the other program. report is
 * the report's descriptor, name that of the task.
 */
void compat32_run(const struct surroundings *around, const char *name,
		  int report) __attribute__((noreturn));

#endif
