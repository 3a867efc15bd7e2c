// SPDX-License-Identifier: GPL-2.0-or-later
#include "handle.h"

#include "case.h"

bool check_works(const struct place *place, aio_handle ctx, uint64_t number)
{
	struct io_event event;

	return check_relation(place, REL_EQ, 1, complete_now(ctx, 1, number)) &&
	       check_relation(place, REL_EQ, 1,
			      aio->getevents(ctx, 1, 1, &event, NULL)) &&
	       check_numbered(place, &event, 1, number);
}

/* io_destroy() comes last: what it took by mistake could not be asked more. */
bool check_refused(const struct place *place, aio_handle ctx,
		   struct iocb *pending)
{
	struct io_event event;

	return check_relation(place, REL_EQ, -EINVAL,
			      submit_one(ctx, pending)) &&
	       check_relation(place, REL_EQ, -EINVAL,
			      aio->submit(ctx, 0, NULL)) &&
	       check_relation(place, REL_EQ, -EINVAL,
			      aio->getevents(ctx, 0, 1, &event, NULL)) &&
	       check_relation(place, REL_EQ, -EINVAL,
			      aio->pgetevents(ctx, 0, 1, &event, NULL, NULL)) &&
	       check_relation(place, REL_EQ, -EINVAL,
			      aio->cancel(ctx, pending, &event)) &&
	       check_relation(place, REL_EQ, -EINVAL, aio->destroy(ctx));
}
