// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory cgroups (version 2) of a case's own, for processes that have memory
 * counted and bounded, and are killed together. Ask for them with .needs =
 * "memcg".
 */
#ifndef AIOABI_CGROUP_H
#define AIOABI_CGROUP_H

#include <stdbool.h>
#include <stddef.h>

/*
 * own_cgroup() - make one without processes, that may have so many bytes of
 * memory and no swap; gives its directory. It goes with the case: who is in it
 * must not outlive that.
 */
const char *own_cgroup(size_t limit);

/* cgroup_enter() - this process, and what it maps from now on, is in it. */
void cgroup_enter(const char *dir);

/* cgroup_can() - whether this kernel has such a file of it. */
bool cgroup_can(const char *dir, const char *file);

/* cgroup_set() - write a number to a file of it. */
void cgroup_set(const char *dir, const char *file, size_t value);

/* cgroup_kill() - kill all who are in it: at once, since 5.14. */
void cgroup_kill(const char *dir);

/*
 * cgroup_memory() - bytes that are charged to it, and cannot be reclaimed; for
 * one without processes.
 */
size_t cgroup_memory(const char *dir);

#endif
