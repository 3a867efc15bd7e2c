// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a run changes in the system and must put right, written down first.
 *
 * A run's journal is a locked file in a directory of the user's own; a journal
 * whose lock is free is of a run that was killed, and the next one undoes it.
 */
#ifndef AIOABI_JOURNAL_H
#define AIOABI_JOURNAL_H

#include <stdbool.h>

/*
 * journal_open() - undo what dead runs left, and begin a journal.
 *
 * base holds the journals' directory. Without one (a read-only system) nothing
 * is written down; why then says so and false is given. undone is called with
 * a line for each thing that was put right.
 */
bool journal_open(const char *base, void (*undone)(const char *line), char *why,
		  unsigned int size);

/* journal_sysctl() - /proc/sys/NAME is about to go from old to set. */
bool journal_sysctl(const char *name, long old, long set);

/* journal_directory() - this directory is to be removed, with its content. */
bool journal_directory(const char *path);

/*
 * journal_undo_sysctls() - put back what stands in the journal, newest first,
 * and forget it. After each case that may have changed something.
 */
void journal_undo_sysctls(void);

/*
 * journal_move() - to this descriptor: a child that closes all others. Gives
 * whether there is a journal.
 */
bool journal_move(int fd);

/* journal_adopt() - a program's that was executed: the journal is this. */
void journal_adopt(int fd);

/* journal_close() - undo everything, and remove the journal. */
void journal_close(void);

/* remove_tree() - a directory and what is in it, without crossing devices. */
void remove_tree(const char *path);

#endif
