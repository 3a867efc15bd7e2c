// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The calls by way of libaio. The only file of lib/ that includes libaio.h:
 * its struct iocb has the layout of the kernel's, but other field names.
 */
#include <libaio.h>

#include "aio.h"

static long libaio_setup(unsigned int nr_events, aio_handle *ctxp)
{
	return io_setup((int)nr_events, (io_context_t *)ctxp);
}

static long libaio_destroy(aio_handle ctx)
{
	return io_destroy((io_context_t)ctx);
}

static long libaio_submit(aio_handle ctx, long nr, struct iocb **iocbpp)
{
	return io_submit((io_context_t)ctx, nr, iocbpp);
}

static long libaio_cancel(aio_handle ctx, struct iocb *iocb,
			  struct io_event *result)
{
	return io_cancel((io_context_t)ctx, iocb, result);
}

static long libaio_getevents(aio_handle ctx, long min_nr, long nr,
			     struct io_event *events, struct timespec *timeout)
{
	return io_getevents((io_context_t)ctx, min_nr, nr, events, timeout);
}

static long libaio_pgetevents(aio_handle ctx, long min_nr, long nr,
			      struct io_event *events, struct timespec *timeout,
			      const sigset_t *mask)
{
	return io_pgetevents((io_context_t)ctx, min_nr, nr, events, timeout,
			     (sigset_t *)mask);
}

static long raw_pgetevents(aio_handle ctx, long min_nr, long nr,
			   struct io_event *events, struct timespec *timeout,
			   const struct aio_usig *usig)
{
	return raw_calls.pgetevents_usig(ctx, min_nr, nr, events, timeout,
					 usig);
}

const struct aio_calls libaio_calls = {
	.setup = libaio_setup,
	.destroy = libaio_destroy,
	.submit = libaio_submit,
	.cancel = libaio_cancel,
	.getevents = libaio_getevents,
	.pgetevents = libaio_pgetevents,
	.pgetevents_usig = raw_pgetevents,
};
