// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What libaio's functions answer: the negative errno, and errno itself is the
 * program's own. A wrapper that set errno, as most of the C library does, would
 * change what a program reads there after an earlier call.
 */
#define AIOABI_WITH_LIBAIO_H
#include "case.h"

#include <libaio.h>

#define OWN_ERRNO EXDEV /* that no call here gives */

/* The wrappers, refused and served, each as a number of its own. */
static long call(unsigned int number, io_context_t ctx)
{
	struct timespec soon = { .tv_nsec = 1 };
	struct iocb iocb = { 0 }, *list = &iocb;
	struct io_event event;
	io_context_t own = NULL;
	int result;

	iocb.aio_lio_opcode = -1;
	switch (number) {
	case 0:
		return io_setup(0, &own);
	case 1:
		return io_destroy(NULL);
	case 2:
		return io_submit(NULL, 1, &list);
	case 3:
		return io_submit(ctx, -1, &list);
	case 4:
		return io_cancel(ctx, &iocb, &event);
	case 5:
		return io_getevents(ctx, 2, 1, &event, NULL);
	case 6:
		return io_pgetevents(ctx, 2, 1, &event, NULL, NULL);
	case 7:
		return io_queue_init(0, &own);
	case 8:
		return io_queue_release(NULL);
	case 9:
		return io_queue_run(NULL);
	case 10:
		return io_queue_run(ctx);
	case 11:
		return io_getevents(ctx, 0, 1, &event, NULL);
	case 12:
		return io_pgetevents(ctx, 0, 1, &event, &soon, NULL);
	case 13:
		return io_submit(ctx, 0, NULL);
	default:
		result = io_queue_init(1, &own);
		return result ? result : io_queue_release(own);
	}
}

static const long wanted[] = {
	-EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL, -EINVAL,
	-EINVAL, -EINVAL, 0,	   0,	    0,	     0,	      0,
};
#define CALLS (sizeof(wanted) / sizeof(wanted[0]))

CASE(libaio, negative_errno, "each function gives 0 or the negative errno",
     .clause = "libaio.errno.negative", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	struct io_event event;
	unsigned int i;

	for (i = 0; i < CALLS; i++) {
		ROUND("call %u", i);
		EXPECT_EQ(wanted[i], call(i, ctx));
	}
	EXPECT_ERR(EFAULT, io_setup(1, nowhere()));
	EXPECT_ERR(EFAULT, io_submit(ctx, 1, nowhere()));
	EXPECT_ERR(EFAULT, io_cancel(ctx, nowhere(), &event));
	stage_complete((aio_handle)ctx, 1, 0);
	EXPECT_ERR(EFAULT, io_getevents(ctx, 1, 1, nowhere(), NULL));
	EXPECT_ERR(EFAULT, io_pgetevents(ctx, 1, 1, nowhere(), NULL, NULL));
}

CASE(libaio, errno_untouched, "errno stays what the program left in it",
     .clause = "libaio.errno.untouched", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	unsigned int i;
	int after;

	for (i = 0; i < CALLS; i++) {
		ROUND("call %u", i);
		errno = OWN_ERRNO;
		call(i, ctx);
		after = errno;
		EXPECT_EQ(OWN_ERRNO, after);
	}
}
