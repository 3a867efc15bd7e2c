// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What cases are worth: each meets the breaks of the calls that it makes, one
 * at a time, until an expectation of its own fails (lib/sabotage.h).
 */
#ifndef AIOABI_TEETH_H
#define AIOABI_TEETH_H

#include "executor.h"

/* teeth_add() - a case to put to the test, in this flavour, on this device. */
void teeth_add(const struct aio_case *c, const struct flavour *flavour,
	       struct device *device);

/* teeth_on_end() - options.on_end of such a run. */
void teeth_on_end(const struct item *item, const struct verdict *verdict);

/*
 * teeth_run() - all of it, between executor_open() and executor_close(): write
 * what came of each case and of each break, as KTAP or as records. Gives the
 * exit status: 0 when every case has teeth and every break was noticed.
 */
int teeth_run(const char *format);

#endif
