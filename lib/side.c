// SPDX-License-Identifier: GPL-2.0-or-later
#include "side.h"

#include <stdlib.h>

#include "case.h"

#define OFFSETS	    64 /* different delays */
#define OFFSET_STEP 16 /* turns of an empty loop */

struct side {
	void (*act)(void *arg);
	void *arg;
	struct meeting begin, end;
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

static void *side_main(void *arg)
{
	struct side *side = arg;

	for (;;) {
		meet(&side->begin);
		if (side->over)
			return NULL;
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
	meet(&side->begin);
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
