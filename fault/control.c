// SPDX-License-Identifier: GPL-2.0-or-later
#include "control.h"

#include <errno.h>
#include <fiu-control.h>
#define FIU_ENABLE
#include <fiu.h>
#include <string.h>
#include <unistd.h>

#define EVENTS "aio/event"

int fault_enabled;
const struct aio_calls *fault_kernel = &raw_calls;

/* Of each point, by its place in the list. */
static struct fault_counts own_counts[FAULT_POINTS_MAX];
static struct fault_counts *counts = own_counts;
static uint64_t masks[FAULT_POINTS_MAX];
static __thread bool missed;

static unsigned int index_of(const struct fault_point *point)
{
	return (unsigned int)(point - fault_points);
}

void fault_count_in(struct fault_counts *elsewhere)
{
	counts = elsewhere;
}

unsigned int fault_hits(const char *name)
{
	return atomic_load(&counts[index_of(fault_point_find(name))].hits);
}

unsigned int fault_fired(const char *name)
{
	return atomic_load(&counts[index_of(fault_point_find(name))].fired);
}

/* libfiu's own words for all points that begin so end in a star. */
bool fault_is_event(const char *name)
{
	size_t len = strlen(name);

	if (len && name[len - 1] == '*')
		return !strncmp(name, EVENTS, len - 1) ||
		       !strncmp(name, EVENTS, strlen(EVENTS));
	return !strncmp(name, EVENTS, strlen(EVENTS));
}

/* --- enabling --- */

/* What fiu_enable*() give, with the start that they all have. */
static bool begin(const char *name)
{
	const struct fault_point *point = fault_point_find(name);

	if (!point || fiu_init(0))
		return false;
	atomic_store(&counts[index_of(point)].hits, 0);
	atomic_store(&counts[index_of(point)].fired, 0);
	return true;
}

/* libfiu takes no failure that is 0, and failinfo is a pointer. */
#define FAILS 1
static void *info_of(const char *name, int info)
{
	return (void *)(intptr_t)(info ? info : fault_point_find(name)->info);
}

bool fault_enable_always(const char *name, int info, bool once)
{
	return begin(name) && !fiu_enable(name, FAILS, info_of(name, info),
					  once ? FIU_ONETIME : 0);
}

bool fault_enable_random(const char *name, int info, float probability,
			 unsigned int seed)
{
	if (!begin(name))
		return false;
	fiu_set_prng_seed(seed);
	return !fiu_enable_random(name, FAILS, info_of(name, info), 0,
				  probability);
}

/* Asked by libfiu for each hit: hits is one more than those before. */
static int by_mask(const char *name, int *failnum, void **failinfo,
		   unsigned int *flags)
{
	unsigned int i = index_of(fault_point_find(name));
	unsigned int hit = atomic_load(&counts[i].hits) - 1;

	return hit < 64 && masks[i] >> hit & 1;
}

bool fault_enable_hits(const char *name, int info, uint64_t mask)
{
	if (!begin(name))
		return false;
	masks[index_of(fault_point_find(name))] = mask;
	return !fiu_enable_external(name, FAILS, info_of(name, info), 0,
				    by_mask);
}

void fault_disable(const char *name)
{
	fiu_disable(name);
}

/* --- being asked --- */

static bool ask(const struct fault_point *point, int *info)
{
	unsigned int i = index_of(point);

	atomic_fetch_add(&counts[i].hits, 1);
	if (!fiu_fail(point->name))
		return false;
	*info = (int)(intptr_t)fiu_failinfo();
	/* enabled from outside, with nothing said */
	if (!*info)
		*info = point->info;
	atomic_fetch_add(&counts[i].fired, 1);
	return true;
}

bool fault_ask(const char *name, int *info)
{
	return __atomic_load_n(&fault_enabled, __ATOMIC_RELAXED) &&
	       ask(fault_point_find(name), info);
}

void fault_missed(void)
{
	missed = true;
}

long fault_make(const struct aio_args *args)
{
	long result;

	if (args->call == CALL_SETUP && fault_ring_wanted)
		return fault_ring_setup(args->nr_events, args->ctxp);
	if (fault_ring_call(args, &result))
		return result;
	return aio_make(fault_kernel, args);
}

static long act(const struct fault_point *point, const struct aio_args *args,
		int info)
{
	long result;

	missed = false;
	result = point->act(args, info);
	if (missed)
		atomic_fetch_sub(&counts[index_of(point)].fired, 1);
	return result;
}

long fault_handler(const struct aio_args *args)
{
	unsigned int i;
	int info;

	if (!__atomic_load_n(&fault_enabled, __ATOMIC_RELAXED))
		return fault_make(args);
	for (i = 0; i < fault_point_count; i++) {
		const struct fault_point *point = &fault_points[i];

		if (point->calls & 1u << args->call &&
		    (!point->meets || point->meets(args)) && ask(point, &info))
			return act(point, args, info);
	}
	return fault_make(args);
}
