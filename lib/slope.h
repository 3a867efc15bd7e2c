// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Whether a way through AIO leaks: what the kernel has allocated before and
 * after it was gone some hundred times.
 *
 * Everybody's allocations are in these numbers, so a case that uses this is
 * serial, needs "slab_counts", and what grew counts when it grew each time of
 * several (lib/slope.c says how).
 */
#ifndef AIOABI_SLOPE_H
#define AIOABI_SLOPE_H

#include <stdbool.h>

struct place;

/*
 * slab_let_go() - have the caches that AIO allocates from give up what is free.
 * KASAN holds freed objects back, in a quarantine of many megabytes, and they
 * count as in use until their cache is shrunk (kasan_cache_shrink()). So do
 * free ones of a slab that a CPU has for itself, with any kernel.
 */
void slab_let_go(void);
/* slab_objects() - how many objects of this cache are in use; -1: nobody says.
 */
long slab_objects(const char *name);

/*
 * EXPECT_NO_LEAK() - way(times) goes a way so many times: nothing that could
 * be leaked on it has grown by half of that many. It takes 8000 times for
 * per-CPU memory to be judged.
 */
#define EXPECT_NO_LEAK(way, times) \
	check_no_leak(PLACE_("left by " #way, HOW_EXPECT), (way), (times))
bool check_no_leak(const struct place *place, void (*way)(unsigned int times),
		   unsigned int times);

#endif
