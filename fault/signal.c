// SPDX-License-Identifier: GPL-2.0-or-later
/* A signal that comes when the call sleeps; the program has its handler. */
#include "case.h"
#include "points.h"

struct sleeper {
	pid_t tid;
	int sig;
};

static void disturb(void *arg)
{
	const struct sleeper *sleeper = arg;

	signal_thread(sleeper->tid, sleeper->sig);
}

long signal_comes(const struct aio_args *args, int info)
{
	struct sleeper sleeper = { own_tid(), info };
	struct errand *errand = when_asleep(disturb, &sleeper);
	long result = fault_make(args);

	if (!errand_end(errand))
		fault_missed();
	return result;
}
