// SPDX-License-Identifier: GPL-2.0-or-later
/* Programs that live with failures, for the sweeps. */
#ifndef AIOABI_FAULT_SCENARIO_H
#define AIOABI_FAULT_SCENARIO_H

struct swept;

/*
 * whole_life() - a context is made, writes some blocks, syncs and reads them,
 * polls, cancels and is destroyed. It goes on after whatever fails as a careful
 * program does, and judges that each request that was accepted completes
 * exactly once, and that what was reported as written is there. Ask for it
 * with .on = ON_ANY.
 */
void whole_life(struct swept *swept);

/*
 * life_on_device() - from now on that device is the one of whole_life(), which
 * then needs no .on.
 */
void life_on_device(const char *path);

/* short_life() - the same without the device: polls alone. */
void short_life(struct swept *swept);

#endif
