// SPDX-License-Identifier: GPL-2.0-or-later
/* Looking at the tasks of a case that hangs. */
#ifndef AIOABI_TASKS_H
#define AIOABI_TASKS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * tasks_describe() - what every task of a session is doing: name, state,
 * system call, wait channel and kernel stack, as lines in buf.
 *
 * Some files of /proc wait for locks of the task, for ever if it is stuck in
 * execve(2): a child reads them, and is killed if it takes too long.
 */
void tasks_describe(pid_t session, char *buf, size_t size);

/* The name of one that ends by itself when its case is dead: at_death(). */
#define GUARD_NAME "aioabi-guard"

/*
 * tasks_mop_up() - kill the children of this process, a subreaper, other than
 * these: what a dead case has left behind, and what that leaves in turn. Guards
 * have some seconds for what they have to do.
 */
void tasks_mop_up(const pid_t *others, unsigned int n);

#endif
