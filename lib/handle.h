// SPDX-License-Identifier: GPL-2.0-or-later
/* Whether a handle is one: all the calls have to agree on it. */
#ifndef AIOABI_HANDLE_H
#define AIOABI_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

struct iocb;
struct place;

/*
 * EXPECT_WORKS() - a request is taken, completes and is reaped. No events may
 * be in the ring; number tells this one from others (numbered.h).
 */
#define EXPECT_WORKS(ctx, number) \
	check_works(PLACE_(#ctx " works", HOW_EXPECT), (ctx), (number))
bool check_works(const struct place *place, unsigned long ctx, uint64_t number);

/*
 * EXPECT_REFUSED() - every call with this handle is -EINVAL. pending is a
 * request that would be cancelled if the handle were good, and reusable as
 * it is. For the raw calls, unless the ring can be read: libaio looks into it.
 */
#define EXPECT_REFUSED(ctx, pending) \
	check_refused(PLACE_(#ctx " is refused", HOW_EXPECT), (ctx), (pending))
bool check_refused(const struct place *place, unsigned long ctx,
		   struct iocb *pending);

#endif
