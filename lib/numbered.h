// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Events by the thousand, each of which can be told from every other: requests
 * with serial numbers that complete before io_submit() returns.
 *
 * They read /dev/zero. The number stands in aio_data, decides the result and
 * which of a few iocbs is used. One thread at a time.
 */
#ifndef AIOABI_NUMBERED_H
#define AIOABI_NUMBERED_H

#include <stdbool.h>
#include <stdint.h>

struct io_event;
struct place;

/*
 * complete_now() - submit n requests, numbered first, first + 1 and on.
 *
 * Gives how many the kernel accepted before it refused one, or what it
 * answered to the first.
 */
long complete_now(unsigned long ctx, long n, uint64_t first);

/* stage_complete() - the same, as part of the stage: all must be accepted. */
void stage_complete(unsigned long ctx, long n, uint64_t first);

/* EXPECT_NUMBERED() - these n events are of n requests from first on. */
#define EXPECT_NUMBERED(events, n, first) \
	check_numbered(PLACE_(#events, HOW_EXPECT), (events), (n), (first))
bool check_numbered(const struct place *place, const struct io_event *events,
		    long n, uint64_t first);

#endif
