// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What stands between the trace and the kernel (sabotage, faults) sees every
 * call in one form.
 */
#ifndef AIOABI_INTERPOSE_H
#define AIOABI_INTERPOSE_H

#include "aio.h"

/* One of the calls; of the arguments those that it has. */
struct aio_args {
	enum aio_call call;
	unsigned int nr_events;
	aio_handle *ctxp;
	aio_handle ctx;
	long min_nr, nr;
	struct iocb **iocbpp;
	struct iocb *iocb;
	struct io_event *events; /* the result of io_cancel(2), too */
	struct timespec *timeout;
	const void *mask; /* sigset_t or struct aio_usig, as call says */
};

/* aio_make() - make the call, by this table. */
static inline long aio_make(const struct aio_calls *calls,
			    const struct aio_args *args)
{
	switch (args->call) {
	case CALL_SETUP:
		return calls->setup(args->nr_events, args->ctxp);
	case CALL_DESTROY:
		return calls->destroy(args->ctx);
	case CALL_SUBMIT:
		return calls->submit(args->ctx, args->nr, args->iocbpp);
	case CALL_CANCEL:
		return calls->cancel(args->ctx, args->iocb, args->events);
	case CALL_PGETEVENTS:
		return calls->pgetevents(args->ctx, args->min_nr, args->nr,
					 args->events, args->timeout,
					 args->mask);
	case CALL_PGETEVENTS_USIG:
		return calls->pgetevents_usig(args->ctx, args->min_nr, args->nr,
					      args->events, args->timeout,
					      args->mask);
	default:
		return calls->getevents(args->ctx, args->min_nr, args->nr,
					args->events, args->timeout);
	}
}

/*
 * AIO_INTERPOSER(name, handler) - a table name_calls, all calls of which go to
 * long handler(const struct aio_args *).
 */
#define AIO_INTERPOSER(name, handler)                                          \
	static long name##_setup(unsigned int nr_events, aio_handle *ctxp)     \
	{                                                                      \
		return handler(                                                \
			&(const struct aio_args){ .call = CALL_SETUP,          \
						  .nr_events = nr_events,      \
						  .ctxp = ctxp });             \
	}                                                                      \
	static long name##_destroy(aio_handle ctx)                             \
	{                                                                      \
		return handler(&(const struct aio_args){ .call = CALL_DESTROY, \
							 .ctx = ctx });        \
	}                                                                      \
	static long name##_submit(aio_handle ctx, long nr,                     \
				  struct iocb **iocbpp)                        \
	{                                                                      \
		return handler(&(const struct aio_args){ .call = CALL_SUBMIT,  \
							 .ctx = ctx,           \
							 .nr = nr,             \
							 .iocbpp = iocbpp });  \
	}                                                                      \
	static long name##_cancel(aio_handle ctx, struct iocb *iocb,           \
				  struct io_event *result)                     \
	{                                                                      \
		return handler(&(const struct aio_args){ .call = CALL_CANCEL,  \
							 .ctx = ctx,           \
							 .iocb = iocb,         \
							 .events = result });  \
	}                                                                      \
	static long name##_reap(enum aio_call call, aio_handle ctx,            \
				long min_nr, long nr, struct io_event *events, \
				struct timespec *timeout, const void *mask)    \
	{                                                                      \
		return handler(&(const struct aio_args){ .call = call,         \
							 .ctx = ctx,           \
							 .min_nr = min_nr,     \
							 .nr = nr,             \
							 .events = events,     \
							 .timeout = timeout,   \
							 .mask = mask });      \
	}                                                                      \
	static long name##_getevents(aio_handle ctx, long min_nr, long nr,     \
				     struct io_event *events,                  \
				     struct timespec *timeout)                 \
	{                                                                      \
		return name##_reap(CALL_GETEVENTS, ctx, min_nr, nr, events,    \
				   timeout, NULL);                             \
	}                                                                      \
	static long name##_pgetevents(                                         \
		aio_handle ctx, long min_nr, long nr, struct io_event *events, \
		struct timespec *timeout, const sigset_t *mask)                \
	{                                                                      \
		return name##_reap(CALL_PGETEVENTS, ctx, min_nr, nr, events,   \
				   timeout, mask);                             \
	}                                                                      \
	static long name##_pgetevents_usig(                                    \
		aio_handle ctx, long min_nr, long nr, struct io_event *events, \
		struct timespec *timeout, const struct aio_usig *usig)         \
	{                                                                      \
		return name##_reap(CALL_PGETEVENTS_USIG, ctx, min_nr, nr,      \
				   events, timeout, usig);                     \
	}                                                                      \
	static const struct aio_calls name##_calls = {                         \
		.setup = name##_setup,                                         \
		.destroy = name##_destroy,                                     \
		.submit = name##_submit,                                       \
		.cancel = name##_cancel,                                       \
		.getevents = name##_getevents,                                 \
		.pgetevents = name##_pgetevents,                               \
		.pgetevents_usig = name##_pgetevents_usig,                     \
	}

#endif
