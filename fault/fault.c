// SPDX-License-Identifier: GPL-2.0-or-later
/* Failures for a case: arming, and judging whether they came. */
#include "fault.h"

#include "case.h"
#include "control.h"
#include "run_case.h"

#define SEED 1 /* of what fails at random: the same each time */

static bool armed[FAULT_POINTS_MAX];
static bool ever_fired;

AIO_INTERPOSER(faulty, fault_handler);

/* Between the flavour and all else; lib/run_case.c asks for it. */
const struct aio_calls *fault_calls(const struct aio_calls *calls)
{
	fault_kernel = calls;
	return &faulty_calls;
}

static unsigned int place_of(const char *name)
{
	const struct fault_point *point = fault_point_find(name);

	if (!point)
		end_broken(__FILE__, __LINE__, "no failure point %s", name);
	return (unsigned int)(point - fault_points);
}

static void arm(const char *name)
{
	armed[place_of(name)] = true;
	if (fault_is_event(name))
		fault_ring_wanted = true;
	fault_enabled++;
}

void fault_on(const char *point, int info)
{
	arm(point);
	REQUIRE(fault_enable_always(point, info, false));
}

void fault_once(const char *point, int info)
{
	arm(point);
	REQUIRE(fault_enable_always(point, info, true));
}

void fault_hit(const char *point, int info, unsigned int nth)
{
	arm(point);
	REQUIRE(fault_enable_hits(point, info, 1ull << (nth - 1)));
}

void fault_at_random(const char *point, int info, unsigned int percent)
{
	arm(point);
	REQUIRE(fault_enable_random(point, info, (float)percent / 100, SEED));
}

/* Disarmed, and whether it had fired. */
static bool disarm(const char *name)
{
	unsigned int place = place_of(name);

	if (!armed[place])
		return true;
	fault_disable(name);
	fault_enabled--;
	armed[place] = false;
	if (!fault_fired(name))
		return false;
	ever_fired = true;
	return true;
}

static void judge(const char *name)
{
	if (!disarm(name))
		report_ending(ENDING_BROKEN,
			      "the fault %s was armed and did not fire "
			      "(asked %u times)",
			      name, fault_hits(name));
}

void fault_off(const char *point)
{
	judge(point);
}

bool fault_off_if(const char *point)
{
	return disarm(point);
}

bool fault_came(const char *point)
{
	return fault_fired(point);
}

void fault_wait(const char *point)
{
	WAIT_FOR(fault_came(point));
}

void fault_ring(bool wanted)
{
	fault_ring_wanted = wanted;
}

/* A case that names a fault is about it. */
void fault_judge(void)
{
	unsigned int i;

	for (i = 0; i < fault_point_count; i++)
		if (armed[i])
			judge(fault_points[i].name);
	if (this_case()->fault && !ever_fired)
		report_ending(ENDING_BROKEN, "the fault %s was never made",
			      this_case()->fault);
}

/* --- sweeps --- */

#define HITS_MAX 64 /* bits of a mask */
#define FEW_HITS 4  /* of which pairs are tried */

/* What a run must leave as it was. */
struct left {
	unsigned int rings, descriptors, contexts;
};

static struct left left_now(void)
{
	return (struct left){ maps_named("/[aio]"), descriptors_open(),
			      live_contexts() };
}

static bool may_give(const char *point, int info, long error)
{
	unsigned int i;

	if (error == -info)
		return true;
	for (i = 0; i < fault_gives_count; i++)
		if (!strcmp(fault_gives[i].point, point) &&
		    fault_gives[i].info == -error)
			return true;
	return false;
}

static void run_once(struct swept *swept, void (*scenario)(struct swept *),
		     struct left before)
{
	struct left after;

	arm(swept->point);
	REQUIRE(fault_enable_hits(swept->point, swept->info, swept->hits));
	scenario(swept);
	swept->fired = fault_fired(swept->point);
	disarm(swept->point);
	after = left_now();
	ROUND("%s %d, hits %#llx", swept->point, swept->info,
	      (unsigned long long)swept->hits);
	EXPECT_EQ(before.rings, after.rings);
	EXPECT_EQ(before.descriptors, after.descriptors);
	EXPECT_EQ(before.contexts, after.contexts);
	if (!swept->fired)
		EXPECT_EQ(0, swept->error);
	else if (swept->error &&
		 !may_give(swept->point, swept->info, swept->error))
		EXPECT_NOT_REACHED("%s gave %ld", swept->point, swept->error);
	ROUNDS_END();
}

static unsigned int try_hits(const char *point, int info, uint64_t hits,
			     void (*scenario)(struct swept *),
			     struct left before)
{
	struct swept swept = { .point = point, .info = info, .hits = hits };

	run_once(&swept, scenario, before);
	return swept.fired;
}

/*
 * With nothing failing; what is made once, by the first run, is no leak. Gives
 * how often the point was asked.
 */
static unsigned int warm_up(const char *point, int info,
			    void (*scenario)(struct swept *),
			    struct left *before)
{
	struct swept swept = { .point = point, .info = info };
	unsigned int asked;

	arm(point);
	REQUIRE(fault_enable_hits(point, info, 0));
	scenario(&swept);
	asked = fault_hits(point);
	disarm(point);
	EXPECT_EQ(0, swept.error);
	*before = left_now();
	return asked;
}

unsigned int sweep(const char *point, int info,
		   void (*scenario)(struct swept *swept))
{
	unsigned int total, i, k, pairs = 0;
	struct left before;

	warm_up(point, info, scenario, &before);
	for (total = 0; total < HITS_MAX; total++)
		if (!try_hits(point, info, 1ull << total, scenario, before))
			break;
	for (i = 0; i < total && total <= FEW_HITS; i++)
		for (k = i + 1; k < total; k++)
			pairs += try_hits(point, info, 1ull << i | 1ull << k,
					  scenario, before) > 0;
	if (!total)
		report_ending(ENDING_BROKEN, "no hit of %s", point);
	report_line("sweep %s=%d: %u hits, %u pairs", point, info, total,
		    pairs);
	return total;
}

static unsigned int raise_info(const char *point, int first, unsigned int nth,
			       void (*scenario)(struct swept *),
			       struct left before)
{
	unsigned int total = 0;

	while (try_hits(point, first + (int)total, 1ull << (nth - 1), scenario,
			before))
		total++;
	return total;
}

unsigned int sweep_info_at(const char *point, int first, unsigned int nth,
			   void (*scenario)(struct swept *swept))
{
	struct left before;
	unsigned int total;

	warm_up(point, first, scenario, &before);
	total = raise_info(point, first, nth, scenario, before);
	if (!total)
		report_ending(ENDING_BROKEN, "%s did not fire", point);
	report_line("sweep %s from %d: %u", point, first, total);
	return total;
}

unsigned int sweep_info(const char *point, int first,
			void (*scenario)(struct swept *swept))
{
	return sweep_info_at(point, first, 1, scenario);
}

unsigned int sweep_each_info(const char *point, int first,
			     void (*scenario)(struct swept *swept))
{
	unsigned int asked, nth, one, total = 0;
	struct left before;

	asked = warm_up(point, first, scenario, &before);
	REQUIRE(asked <= HITS_MAX);
	for (nth = 1; nth <= asked; nth++) {
		one = raise_info(point, first, nth, scenario, before);
		total += one;
		report_line("sweep %s from %d, hit %u: %u", point, first, nth,
			    one);
	}
	if (!total)
		report_ending(ENDING_BROKEN, "%s did not fire", point);
	return total;
}

/* What the child counts has to be seen here. */
void swept_in_child(struct swept *swept, void (*scenario)(struct swept *))
{
	static struct fault_counts *counts;
	static struct swept *shared;
	pid_t pid;

	if (!counts) {
		counts = shared_memory(FAULT_POINTS_MAX * sizeof(*counts));
		shared = shared_memory(sizeof(*shared));
		fault_count_in(counts);
	}
	*shared = *swept;
	pid = child_fork();
	if (!pid) {
		scenario(shared);
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	*swept = *shared;
}
