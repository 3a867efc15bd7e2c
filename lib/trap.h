// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A trap is memory at whose first touch whoever touches it stops, the kernel
 * within a system call included, until the case lets go. It holds a call still
 * at an exact place: where it copies from or to its caller. Ask for it with
 * .needs = "userfaultfd".
 */
#ifndef AIOABI_TRAP_H
#define AIOABI_TRAP_H

#include <stddef.h>

struct trap;

/*
 * trap_set() - lay a trap on whole pages, of io_buffer() for example. What
 * stood in them is gone.
 */
struct trap *trap_set(void *pages, size_t size);
/*
 * trap_set_writes() - one for writes alone: what stands in the pages can be
 * read. For .needs = "write_traps"; trap_release() has the content stay as it
 * is.
 */
struct trap *trap_set_writes(void *pages, size_t size);
/* trap_wait() - wait until somebody is caught. */
void trap_wait(struct trap *trap);
/*
 * trap_release() - let go: the pages are there from now on, with this content
 * (as many bytes as the trap has) or, if NULL, with zeroes.
 */
void trap_release(struct trap *trap, const void *content);
/* trap_deny() - let go with an access that fails: nobody may touch them. */
void trap_deny(struct trap *trap);

#endif
