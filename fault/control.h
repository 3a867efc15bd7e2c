// SPDX-License-Identifier: GPL-2.0-or-later
/* The points under libfiu: what both cases and the preload library need. */
#ifndef AIOABI_FAULT_CONTROL_H
#define AIOABI_FAULT_CONTROL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "points.h"

#define FAULT_POINTS_MAX 64

/* How many points are enabled; a call asks libfiu only if any is. */
extern int fault_enabled;

/* Of a point: how often it was asked, and failed. */
struct fault_counts {
	atomic_uint hits, fired;
};

/* fault_count_in() - from now on count here: an array, by place in the list. */
void fault_count_in(struct fault_counts *counts);

/* fault_handler() - a call, with what the points make of it. */
long fault_handler(const struct aio_args *args);

/* fault_enable() - of a point, the hits in mask: bit 0 is the first. */
bool fault_enable_hits(const char *name, int info, uint64_t mask);
/* fault_enable_always() - all hits, or the first alone. */
bool fault_enable_always(const char *name, int info, bool once);
/* fault_enable_random() - each hit with this probability, as the seed has it.
 */
bool fault_enable_random(const char *name, int info, float probability,
			 unsigned int seed);
void fault_disable(const char *name);

/* How often a point was asked, and failed, since it was enabled last. */
unsigned int fault_hits(const char *name);
unsigned int fault_fired(const char *name);

/* fault_is_event() - whether enabling this name asks for a ring of ours. */
bool fault_is_event(const char *name);

#endif
