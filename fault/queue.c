// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The calls of libaio as the program is linked with: all that name them come
 * here first (ld --wrap), those of libaio's own io_queue_*() functions, too,
 * and then are made as cases make theirs: traced, and by way of the points.
 */
#include "queue.h"

#include <libaio.h>

#include "interpose.h"

static bool wanted;
static __thread bool inside; /* what the points call is the library */

int __real_io_setup(int maxevents, io_context_t *ctxp);
int __real_io_destroy(io_context_t ctx);
int __real_io_submit(io_context_t ctx, long nr, struct iocb *iocbpp[]);
int __real_io_getevents(io_context_t ctx, long min_nr, long nr,
			struct io_event *events, struct timespec *timeout);
int __wrap_io_setup(int maxevents, io_context_t *ctxp);
int __wrap_io_destroy(io_context_t ctx);
int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *iocbpp[]);
int __wrap_io_getevents(io_context_t ctx, long min_nr, long nr,
			struct io_event *events, struct timespec *timeout);

void fault_libaio(bool want)
{
	wanted = want;
}

static bool asks(void)
{
	return wanted && !inside;
}

static int handle(const struct aio_args *args)
{
	long result;

	inside = true;
	result = aio_make(aio, args);
	inside = false;
	return (int)result;
}

int __wrap_io_setup(int maxevents, io_context_t *ctxp)
{
	const struct aio_args args = { .call = CALL_SETUP,
				       .nr_events = (unsigned int)maxevents,
				       .ctxp = (aio_handle *)ctxp };

	return asks() ? handle(&args) : __real_io_setup(maxevents, ctxp);
}

int __wrap_io_destroy(io_context_t ctx)
{
	const struct aio_args args = { .call = CALL_DESTROY,
				       .ctx = (aio_handle)ctx };

	return asks() ? handle(&args) : __real_io_destroy(ctx);
}

int __wrap_io_submit(io_context_t ctx, long nr, struct iocb *iocbpp[])
{
	const struct aio_args args = { .call = CALL_SUBMIT,
				       .ctx = (aio_handle)ctx,
				       .nr = nr,
				       .iocbpp = iocbpp };

	return asks() ? handle(&args) : __real_io_submit(ctx, nr, iocbpp);
}

int __wrap_io_getevents(io_context_t ctx, long min_nr, long nr,
			struct io_event *events, struct timespec *timeout)
{
	const struct aio_args args = { .call = CALL_GETEVENTS,
				       .ctx = (aio_handle)ctx,
				       .min_nr = min_nr,
				       .nr = nr,
				       .events = events,
				       .timeout = timeout };

	return asks() ? handle(&args)
		      : __real_io_getevents(ctx, min_nr, nr, events, timeout);
}
