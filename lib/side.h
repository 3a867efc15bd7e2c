// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The other side of a race: a thread that does one thing in each round while
 * the case does another. When exactly is swept from round to round, so that
 * every order of the two is met without luck.
 */
#ifndef AIOABI_SIDE_H
#define AIOABI_SIDE_H

struct side;

#define SIDE_ROUNDS 1000 /* of a race that takes a few microseconds */

/* side_start() - a thread that does act(arg) in each round. */
struct side *side_start(void (*act)(void *arg), void *arg);

/*
 * side_go() - begin round i: both go on at once, and one of them, taking turns,
 * a little later than the other: the later, up to some microseconds, the larger
 * i is, then from the start again.
 */
void side_go(struct side *side, unsigned int i);

/* side_wait() - until it has acted. */
void side_wait(struct side *side);

/* side_end() - no more rounds: its thread ends. */
void side_end(struct side *side);

#endif
