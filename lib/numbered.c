// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>

#include "case.h"

#define IOCBS	256
#define RESULTS 1021 /* prime, so that iocb and result do not go together */

/* Data that lost a part of its 64 bits is not taken for another number. */
#define DATA_OF(number) ((number) ^ 0xa5c3f00d00000000ull)

static struct iocb iocbs[IOCBS];
static char sink[RESULTS];

static struct iocb *prep_numbered(uint64_t number)
{
	static int zero = -1;
	struct iocb *iocb = &iocbs[number % IOCBS];

	if (zero < 0)
		zero = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	prep_read(iocb, zero, sink, number % RESULTS, 0);
	iocb->aio_data = DATA_OF(number);
	return iocb;
}

long complete_now(aio_handle ctx, long n, uint64_t first)
{
	struct iocb *list[IOCBS];
	long accepted = 0, batch, i, ret;

	while (accepted < n) {
		batch = n - accepted < IOCBS ? n - accepted : IOCBS;
		for (i = 0; i < batch; i++)
			list[i] =
				prep_numbered(first + (uint64_t)(accepted + i));
		ret = aio->submit(ctx, batch, list);
		if (ret < 0)
			return accepted ? accepted : ret;
		accepted += ret;
		if (ret < batch)
			break;
	}
	return accepted;
}

void stage_complete(aio_handle ctx, long n, uint64_t first)
{
	STAGE_EQ(n, complete_now(ctx, n, first));
}

bool check_numbered(const struct place *place, const struct io_event *events,
		    long n, uint64_t first)
{
	uint64_t number;
	long i;

	for (i = 0; i < n; i++, events++) {
		number = first + (uint64_t)i;
		if (!check_relation(place, REL_EQ, (long long)number,
				    (long long)DATA_OF(events->data)) ||
		    !check_relation(
			    place, REL_EQ,
			    (long long)(uintptr_t)&iocbs[number % IOCBS],
			    (long long)events->obj) ||
		    !check_relation(place, REL_EQ,
				    (long long)(number % RESULTS),
				    events->res) ||
		    !check_relation(place, REL_EQ, 0, events->res2))
			return false;
	}
	return true;
}
