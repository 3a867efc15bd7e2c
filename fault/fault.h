// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Failures for a case: points of fault/points.def, by name.
 *
 *	CASE(io_setup, enomem_no_address_space, "…", .clause = "…",
 *	     .fault = "mm/rlimit_as")
 *	{
 *		aio_handle ctx = 0;
 *
 *		fault_on("mm/rlimit_as", 0);
 *		EXPECT_ERR(ENOMEM, aio->setup(8, &ctx));
 *		fault_off("mm/rlimit_as");
 *	}
 *
 * A fault that was armed and did not fire makes the case broken. Here and
 * below info is what the point fails with, mostly an errno; 0 is its default.
 */
#ifndef AIOABI_FAULT_H
#define AIOABI_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* fault_on() - from now on the point fails whenever it is asked. */
void fault_on(const char *point, int info);
/* fault_once() - it fails the next time alone. */
void fault_once(const char *point, int info);
/* fault_hit() - it fails the nth time, counted from here, alone. */
void fault_hit(const char *point, int info, unsigned int nth);
/* fault_at_random() - in so many of a hundred times, the same each run. */
void fault_at_random(const char *point, int info, unsigned int percent);
/* fault_off() - no more. */
void fault_off(const char *point);
/*
 * fault_off_if() - the same, where nobody knows whether there was anything to
 * fail: gives whether it did.
 */
bool fault_off_if(const char *point);
/* fault_came() - whether it has failed since it was armed. */
bool fault_came(const char *point);
/* fault_wait() - until it has, where another thread makes it. */
void fault_wait(const char *point);

/* fault_ring() - contexts made from now on have a ring of ours, or not. */
void fault_ring(bool wanted);

/* --- sweeps --- */

/* A run of a scenario in which something is to fail. */
struct swept {
	const char *point;
	int info;
	uint64_t hits; /* bit 0: the first time that the point is asked */
	unsigned int fired;
	/* what the scenario says */
	long error; /* the first that it met, negative; 0: none */
};

/*
 * sweep() - run scenario with the first hit of the point failing, with the
 * second, … and last with one that never comes, and then with each two, if
 * there are few. After each, what went wrong must be what the point may give,
 * and nothing be left. Gives how many hits there were: none is broken.
 */
unsigned int sweep(const char *point, int info,
		   void (*scenario)(struct swept *swept));

/*
 * sweep_info() - run scenario with info first, first + 1, … at the first hit,
 * until one no longer makes it fail. Gives how many did: none is broken.
 */
unsigned int sweep_info(const char *point, int first,
			void (*scenario)(struct swept *swept));
/* sweep_info_at() - the same at the nth hit. */
unsigned int sweep_info_at(const char *point, int first, unsigned int nth,
			   void (*scenario)(struct swept *swept));
/* sweep_each_info() - the same at each hit that there is, one by one. */
unsigned int sweep_each_info(const char *point, int first,
			     void (*scenario)(struct swept *swept));

/*
 * swept_in_child() - for a scenario that must find its process as it was: run
 * it in a child. Its contexts end with the child.
 */
void swept_in_child(struct swept *swept, void (*scenario)(struct swept *swept));

#endif
