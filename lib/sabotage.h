// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Breaking the six calls on purpose: what a case is worth shows when the
 * kernel under it is wrong. A break stands between the trace and the kernel,
 * and changes one thing about one of the calls.
 */
#ifndef AIOABI_SABOTAGE_H
#define AIOABI_SABOTAGE_H

#include "interpose.h"

struct breakage {
	const char *name;
	const char *what; /* what a kernel broken so would do */
	/* one of them: the call as it is broken */
	long (*setup)(unsigned int nr_events, aio_handle *ctxp);
	long (*destroy)(aio_handle ctx);
	long (*submit)(aio_handle ctx, long nr, struct iocb **iocbpp);
	long (*cancel)(aio_handle ctx, struct iocb *iocb,
		       struct io_event *result);
	long (*reap)(const struct aio_args *r);
	long (*mask)(const struct aio_args *r); /* io_pgetevents alone */
	bool leaks; /* the call does what it should, and keeps something */
};

extern const struct breakage breakages[];
extern const unsigned int breakage_count;

/* breakage_calls() - the calls that it breaks, as bits of 1 << CALL_*. */
unsigned int breakage_calls(const struct breakage *breakage);

/*
 * sabotage() - a table of calls with this break in it: in every call of its
 * kind, or in the nth only, counted over this process and those it forks.
 */
const struct aio_calls *sabotage(const struct aio_calls *calls,
				 const struct breakage *breakage,
				 unsigned int nth);

#endif
