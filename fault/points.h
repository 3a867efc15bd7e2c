// SPDX-License-Identifier: GPL-2.0-or-later
/* The failure points (points.def), and what makes each of them real. */
#ifndef AIOABI_FAULT_POINTS_H
#define AIOABI_FAULT_POINTS_H

#include <stdbool.h>

#include "interpose.h"

struct fault_point {
	const char *name;
	const char *mechanism;
	const char *needs; /* names of lib/needs.c, blanks between */
	const char *what;
	unsigned int calls; /* that ask the point, as bits of 1 << CALL_* */
	/* whether the call can fail so; NULL: always */
	bool (*meets)(const struct aio_args *args);
	/* the call as it fails; NULL: what asks the point does it */
	long (*act)(const struct aio_args *args, int info);
	int info; /* where nobody gives one */
};

struct fault_gives {
	const char *point;
	int info;
	bool legal;	    /* a correct kernel may do it at any time */
	const char *clause; /* of cases/contract.toml */
	const char *proof;  /* a case: it looks like the true failure */
	const char *why;    /* there can be no such case */
	const char *text;   /* info by its name, "EIO" */
};

extern const struct fault_point fault_points[];
extern const unsigned int fault_point_count;
extern const struct fault_gives fault_gives[];
extern const unsigned int fault_gives_count;

/* fault_point_find() - the point of that name, or NULL. */
const struct fault_point *fault_point_find(const char *name);

/* --- what a mechanism uses --- */

/* The calls as they are without faults. */
extern const struct aio_calls *fault_kernel;

/*
 * fault_missed() - what act() tried did not come to pass, as when there were
 * no k allocations to fail: the call was one without a fault.
 */
void fault_missed(void);

/* fault_make() - the call as it is without faults, in a ring of ours or not. */
long fault_make(const struct aio_args *args);

/*
 * fault_ask() - whether this point fails now; *info is what it fails with.
 * Its own act, if it has one, is not called.
 */
bool fault_ask(const char *name, int *info);

/* --- the ring of ours (ring.c) --- */

/* Whether contexts that are made now get one. */
extern bool fault_ring_wanted;

/* fault_ring_call() - the call, for a context that has one; else false. */
bool fault_ring_call(const struct aio_args *args, long *result);
/* fault_ring_setup() - io_setup() of a context that gets one. */
long fault_ring_setup(unsigned int nr_events, aio_handle *ctxp);

/* --- the mechanisms of points.def --- */

bool call_takes_two(const struct aio_args *args);
bool call_waits_for_two(const struct aio_args *args);
bool call_may_wait(const struct aio_args *args);
bool call_has_timeout(const struct aio_args *args);

long call_fails(const struct aio_args *args, int info);
long submit_fails(const struct aio_args *args, int info);
long submit_short(const struct aio_args *args, int info);
long reap_short(const struct aio_args *args, int info);
long reap_early(const struct aio_args *args, int info);

long limit_address_space(const struct aio_args *args, int info);
long limit_map_count(const struct aio_args *args, int info);
long limit_quota(const struct aio_args *args, int info);
long limit_files(const struct aio_args *args, int info);

long memory_ctxp(const struct aio_args *args, int info);
long memory_list(const struct aio_args *args, int info);
long memory_iocb(const struct aio_args *args, int info);
long memory_events(const struct aio_args *args, int info);
long memory_timeout(const struct aio_args *args, int info);
long memory_usig(const struct aio_args *args, int info);

long filter_answers(const struct aio_args *args, int info);
long signal_comes(const struct aio_args *args, int info);
long kernel_fails_nth(const struct aio_args *args, int info);

#define FAULT_DEVICE(name)                                \
	bool reaches_##name(const struct aio_args *args); \
	long fails_##name(const struct aio_args *args, int info)
FAULT_DEVICE(dm_error);
FAULT_DEVICE(dm_flakey);
FAULT_DEVICE(dm_flakey_writes);
FAULT_DEVICE(dm_dust);
FAULT_DEVICE(null_blk);
FAULT_DEVICE(scsi_medium);
FAULT_DEVICE(scsi_sense);
FAULT_DEVICE(loop_full);

#endif
