// SPDX-License-Identifier: GPL-2.0-or-later
#include "side.h"

#include <sched.h>
#include <stdlib.h>

#include "case.h"

#define OFFSETS	    64	   /* different delays */
#define OFFSET_STEP 16	   /* turns of an empty loop */
#define SPINS	    100000 /* until the other may need this CPU */

struct side {
	void (*act)(void *arg);
	void *arg;
	struct meeting begin, end;
	atomic_uint lined_up; /* how often either of the two was */
	unsigned int round;
	unsigned int delay; /* of the side, in this round */
	bool over;
	struct thread *thread;
};

/* Not a wait for anything: only a shift of the two against each other. */
static void linger(unsigned int turns)
{
	volatile unsigned int i;

	for (i = 0; i < turns; i++)
		;
}

/*
 * Who slept until the meeting comes microseconds after who woke it: only when
 * both have come do they leave, and neither has a call of its own to end.
 */
static void line_up(struct side *side)
{
	unsigned int spins;

	atomic_fetch_add(&side->lined_up, 1);
	for (spins = 0; atomic_load(&side->lined_up) < 2 * side->round; spins++)
		if (spins > SPINS)
			sched_yield();
}

static void *side_main(void *arg)
{
	struct side *side = arg;

	for (;;) {
		meet(&side->begin);
		if (side->over)
			return NULL;
		line_up(side);
		linger(side->delay);
		side->act(side->arg);
		meet(&side->end);
	}
}

struct side *side_start(void (*act)(void *arg), void *arg)
{
	struct side *side = calloc(1, sizeof(*side));

	REQUIRE(side);
	side->act = act;
	side->arg = arg;
	side->begin.n = 2;
	side->end.n = 2;
	side->thread = thread_run(side_main, side);
	return side;
}

void side_go(struct side *side, unsigned int i)
{
	unsigned int delay = i / 2 % OFFSETS * OFFSET_STEP;

	side->delay = i % 2 ? delay : 0;
	side->round++;
	meet(&side->begin);
	line_up(side);
	if (i % 2 == 0)
		linger(delay);
}

void side_wait(struct side *side)
{
	meet(&side->end);
}

void side_end(struct side *side)
{
	side->over = true;
	meet(&side->begin);
	thread_join(side->thread);
	free(side);
}
