// SPDX-License-Identifier: GPL-2.0-or-later
/* Calls that fail without being made, or are made with less. */
#include <errno.h>
#include <linux/aio_abi.h>

#include "copy.h"
#include "points.h"

/* What cannot be read is the kernel's to refuse. */
static bool timeout_is_zero(const struct aio_args *args)
{
	struct timespec timeout;

	return args->timeout &&
	       copy_checked(&timeout, args->timeout, sizeof(timeout)) &&
	       !timeout.tv_sec && !timeout.tv_nsec;
}

bool call_takes_two(const struct aio_args *args)
{
	return args->nr > 1;
}

bool call_waits_for_two(const struct aio_args *args)
{
	return args->min_nr > 1 && args->min_nr <= args->nr;
}

bool call_may_wait(const struct aio_args *args)
{
	return args->min_nr > 0 && args->min_nr <= args->nr &&
	       !timeout_is_zero(args);
}

bool call_has_timeout(const struct aio_args *args)
{
	return args->timeout;
}

long call_fails(const struct aio_args *args, int info)
{
	return -info;
}

/*
 * The kernel has written the key of the request by the time when it has no
 * memory for its vector, and not yet when it has none for the request.
 */
long submit_fails(const struct aio_args *args, int info)
{
	static const uint32_t key = 0; /* KIOCB_KEY */
	struct iocb *first;

	if (info == ENOMEM && args->nr > 0 &&
	    copy_checked(&first, args->iocbpp, sizeof(first)))
		copy_checked(&first->aio_key, &key, sizeof(key));
	return -info;
}

long submit_short(const struct aio_args *args, int info)
{
	struct aio_args less = *args;

	less.nr = info < args->nr ? args->nr - info : 1;
	return fault_make(&less);
}

long reap_short(const struct aio_args *args, int info)
{
	struct aio_args less = *args;

	if (info < args->min_nr)
		less.min_nr = less.nr = info;
	else
		less.nr = --less.min_nr;
	return fault_make(&less);
}

long reap_early(const struct aio_args *args, int info)
{
	struct timespec none = { 0 };
	struct aio_args hasty = *args;

	hasty.timeout = &none;
	return fault_make(&hasty);
}
