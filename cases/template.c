// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The promise in a sentence, as the manual page would put it.
 *
 * Why it matters: what a program would suffer from a kernel that breaks it.
 */
#include "case.h"

/*
 * The title goes on from the id. The clause is an entry of cases/contract.toml.
 * What else a case can say of itself is in lib/case.h: .needs, .on,
 * .every_device, .flavours, .serial, .time_limit, .quota, .fixed_by, .cve.
 */
CASE(SUITE, NAME, "what holds when the promise is kept",
     .clause = "SUITE.the.clause")
{
	aio_handle ctx = new_context(8); /* sets the stage: io_setup(8) */
	struct io_event event;

	/* EXPECT_* goes on when it fails, ASSERT_* ends the case. */
	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 2, 1, &event, NULL));
}
