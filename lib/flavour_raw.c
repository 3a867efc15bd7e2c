// SPDX-License-Identifier: GPL-2.0-or-later
/* The calls by way of syscall(2), and io_pgetevents(2) for io_getevents(2). */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "aio.h"
#include "copy.h"
#include "memory.h"

#define RESULT(call)                            \
	({                                      \
		long result_ = (call);          \
		result_ < 0 ? -errno : result_; \
	})

static long raw_setup(unsigned int nr_events, aio_handle *ctxp)
{
	return RESULT(syscall(SYS_io_setup, nr_events, ctxp));
}

static long raw_destroy(aio_handle ctx)
{
	return RESULT(syscall(SYS_io_destroy, ctx));
}

static long raw_submit(aio_handle ctx, long nr, struct iocb **iocbpp)
{
	return RESULT(syscall(SYS_io_submit, ctx, nr, iocbpp));
}

static long raw_cancel(aio_handle ctx, struct iocb *iocb,
		       struct io_event *result)
{
	return RESULT(syscall(SYS_io_cancel, ctx, iocb, result));
}

static long raw_getevents(aio_handle ctx, long min_nr, long nr,
			  struct io_event *events, struct timespec *timeout)
{
	return RESULT(
		syscall(SYS_io_getevents, ctx, min_nr, nr, events, timeout));
}

static long raw_pgetevents_usig(aio_handle ctx, long min_nr, long nr,
				struct io_event *events,
				struct timespec *timeout,
				const struct aio_usig *usig)
{
	return RESULT(syscall(SYS_io_pgetevents, ctx, min_nr, nr, events,
			      timeout, usig));
}

static long raw_pgetevents(aio_handle ctx, long min_nr, long nr,
			   struct io_event *events, struct timespec *timeout,
			   const sigset_t *mask)
{
	const struct aio_usig usig = { mask, KERNEL_SIGSET_SIZE };

	return raw_pgetevents_usig(ctx, min_nr, nr, events, timeout, &usig);
}

/* io_pgetevents(2) without a mask promises what io_getevents(2) does. */
static long getevents_by_pgetevents(aio_handle ctx, long min_nr, long nr,
				    struct io_event *events,
				    struct timespec *timeout)
{
	return raw_pgetevents_usig(ctx, min_nr, nr, events, timeout, NULL);
}

const struct aio_calls raw_calls = {
	.setup = raw_setup,
	.destroy = raw_destroy,
	.submit = raw_submit,
	.cancel = raw_cancel,
	.getevents = raw_getevents,
	.pgetevents = raw_pgetevents,
	.pgetevents_usig = raw_pgetevents_usig,
};

#ifdef AIOABI_COMPAT32
#define IO_PGETEVENTS_TIME64 416

/*
 * False for what cannot be read, which is left to the kernel, and for a trap of
 * userfaultfd(2), which is laid for the kernel: whole seconds, with zeroes
 * behind them, are the same in either width.
 */
static bool take_timeout(struct timespec *to, struct timespec *timeout)
{
	uintptr_t page = (uintptr_t)timeout & -(uintptr_t)PAGE_SIZE;
	unsigned char there;

	return !mincore((void *)page, 1, &there) && there & 1 &&
	       copy_checked(to, timeout, sizeof(*to));
}

static long time64_pgetevents_usig(aio_handle ctx, long min_nr, long nr,
				   struct io_event *events,
				   struct timespec *timeout,
				   const struct aio_usig *usig)
{
	struct timespec given;
	struct {
		int64_t sec, nsec;
	} wide;
	const void *passed = timeout;

	if (take_timeout(&given, timeout)) {
		wide.sec = given.tv_sec;
		wide.nsec = given.tv_nsec;
		passed = &wide;
	}
	return RESULT(syscall(IO_PGETEVENTS_TIME64, ctx, min_nr, nr, events,
			      passed, usig));
}

static long time64_pgetevents(aio_handle ctx, long min_nr, long nr,
			      struct io_event *events, struct timespec *timeout,
			      const sigset_t *mask)
{
	const struct aio_usig usig = { mask, KERNEL_SIGSET_SIZE };

	return time64_pgetevents_usig(ctx, min_nr, nr, events, timeout, &usig);
}

static long time64_getevents(aio_handle ctx, long min_nr, long nr,
			     struct io_event *events, struct timespec *timeout)
{
	return time64_pgetevents_usig(ctx, min_nr, nr, events, timeout, NULL);
}

const struct aio_calls time64_calls = {
	.setup = raw_setup,
	.destroy = raw_destroy,
	.submit = raw_submit,
	.cancel = raw_cancel,
	.getevents = time64_getevents,
	.pgetevents = time64_pgetevents,
	.pgetevents_usig = time64_pgetevents_usig,
};
#endif

const struct aio_calls pgetevents_calls = {
	.setup = raw_setup,
	.destroy = raw_destroy,
	.submit = raw_submit,
	.cancel = raw_cancel,
	.getevents = getevents_by_pgetevents,
	.pgetevents = raw_pgetevents,
	.pgetevents_usig = raw_pgetevents_usig,
};
