// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The last argument of io_pgetevents(): when there is none, and when it is
 * refused. It is the kernel's own, of eight bytes; C libraries have other
 * sizes, and wrappers that passed theirs have shipped.
 */
#include "case.h"

#define OUTSIDE SIGUSR1 /* blocked outside the calls, and pending */

/* The set as the kernel takes it: nothing blocked. */
static const uint64_t empty_mask;

/*
 * The mask of a refused call was never in force: the signal that is pending is
 * pending still.
 */
static void stand_with_pending_signal(void)
{
	count_signal(OUTSIDE, 0);
	block_signal(OUTSIDE);
	signal_thread(own_tid(), OUTSIDE);
}

static void expect_mask_untouched(void)
{
	sigset_t now;

	EXPECT_EQ(0, signals_seen(OUTSIDE));
	errno = pthread_sigmask(SIG_SETMASK, NULL, &now);
	REQUIRE(!errno);
	EXPECT_EQ(1, sigismember(&now, OUTSIDE));
	EXPECT_EQ(0, sigismember(&now, SIGUSR2));
	unblock_signal(OUTSIDE);
	EXPECT_EQ(1, signals_seen(OUTSIDE));
}

static aio_handle context_with_event(void)
{
	aio_handle ctx = new_context(1);

	stage_events(ctx, 1, GUARDED(struct iocb));
	return ctx;
}

CASE(io_pgetevents, mask_null, "without a sigset argument it is io_getevents",
     .clause = "io_pgetevents.mask.null", .needs = "eventfd", .flavours = RAW)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct timespec short_while = millis(2);
	aio_handle ctx = new_context(1);
	int64_t began = now_ns();

	EXPECT_EQ(0,
		  aio->pgetevents_usig(ctx, 1, 1, event, &short_while, NULL));
	EXPECT_GE(began + short_while.tv_nsec, now_ns());
	stage_events(ctx, 1, iocb);
	ASSERT_EQ(1, aio->pgetevents_usig(ctx, 1, 1, event, NULL, NULL));
	EXPECT_EVENT(event, iocb, POLLIN);
}

CASE(io_pgetevents, mask_null_any_size,
     "with a mask of NULL the size is not looked at",
     .clause = "io_pgetevents.mask.null", .needs = "eventfd", .flavours = RAW)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 128, SIZE_MAX };
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	struct aio_usig *usig = GUARDED(struct aio_usig);
	aio_handle ctx = new_context(1);
	unsigned int i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		*usig = (struct aio_usig){ NULL, sizes[i] };
		stage_events(ctx, 1, iocb);
		ASSERT_EQ(1,
			  aio->pgetevents_usig(ctx, 1, 1, event, NULL, usig));
		EXPECT_EVENT(event, iocb, POLLIN);
	}
}

CASE(io_pgetevents, mask_null_keeps,
     "without a mask the thread's own stays in force",
     .clause = "io_pgetevents.mask.null")
{
	aio_handle ctx = new_context(1);
	struct timespec short_while = millis(2);
	struct io_event event;

	stand_with_pending_signal();
	EXPECT_EQ(0, aio->pgetevents(ctx, 1, 1, &event, &short_while, NULL));
	expect_mask_untouched();
}

CASE(io_pgetevents, mask_exact,
     "a mask is eight bytes and the argument two words, no more is read",
     .clause = "io_pgetevents.mask.null", .needs = "eventfd", .flavours = RAW)
{
	uint64_t *mask = GUARDED(uint64_t);
	struct aio_usig *usig = GUARDED(struct aio_usig);
	aio_handle ctx = context_with_event();
	struct io_event event;

	*usig = (struct aio_usig){ mask, KERNEL_SIGSET_SIZE };
	EXPECT_EQ(1, aio->pgetevents_usig(ctx, 1, 1, &event, NULL, usig));
}

CASE(io_pgetevents, einval_sigsetsize, "a size other than eight is refused",
     .clause = "io_pgetevents.einval.sigsetsize", .needs = "eventfd",
     .flavours = RAW)
{
	static const size_t sizes[] = { 0, 1, 4, 7, 9, 16, 128, SIZE_MAX };
	aio_handle ctx = context_with_event();
	struct io_event event;
	struct aio_usig usig;
	unsigned int i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		usig = (struct aio_usig){ &empty_mask, sizes[i] };
		EXPECT_ERR(EINVAL, aio->pgetevents_usig(ctx, 1, 1, &event, NULL,
							&usig));
		usig.mask = nowhere();
		EXPECT_ERR(EINVAL, aio->pgetevents_usig(ctx, 1, 1, &event, NULL,
							&usig));
	}
	for (i = 4; i < 8 * sizeof(size_t); i++) {
		ROUND("bit %u", i);
		usig = (struct aio_usig){ &empty_mask,
					  KERNEL_SIGSET_SIZE | (size_t)1 << i };
		EXPECT_ERR(EINVAL, aio->pgetevents_usig(ctx, 1, 1, &event, NULL,
							&usig));
	}
	EXPECT_EQ(1, ring_unread(ctx));
}

CASE(io_pgetevents, efault_usig,
     "a sigset argument that cannot be read is EFAULT",
     .clause = "io_pgetevents.efault.usig", .needs = "eventfd", .flavours = RAW)
{
	aio_handle ctx = context_with_event();
	/* its last byte is missing */
	char *straddling = guarded(sizeof(struct aio_usig) - 1);
	struct io_event event;

	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, 1, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EFAULT, aio->pgetevents_usig(ctx, 1, 1, &event, NULL,
						kernel_address()));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, 1, 1, &event, NULL,
					(const struct aio_usig *)straddling));
	EXPECT_EQ(1, ring_unread(ctx));
}

CASE(io_pgetevents, efault_mask, "a mask that cannot be read is EFAULT",
     .clause = "io_pgetevents.efault.mask", .needs = "eventfd")
{
	aio_handle ctx = context_with_event();
	char *straddling = guarded(KERNEL_SIGSET_SIZE - 1);
	struct io_event event;

	EXPECT_ERR(EFAULT, aio->pgetevents(ctx, 1, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents(ctx, 1, 1, &event, NULL, kernel_address()));
	EXPECT_ERR(EFAULT, aio->pgetevents(ctx, 1, 1, &event, NULL,
					   (const sigset_t *)straddling));
	EXPECT_EQ(1, ring_unread(ctx));
}

CASE(io_pgetevents, order_timeout,
     "an unreadable time-out wins over a bad size, and over all else",
     .clause = "io_pgetevents.order", .flavours = RAW)
{
	const struct aio_usig short_one = { &empty_mask,
					    KERNEL_SIGSET_SIZE - 1 };
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EFAULT, aio->pgetevents_usig(ctx, 1, 1, &event, nowhere(),
						&short_one));
	EXPECT_ERR(EFAULT, aio->pgetevents_usig(0, 1, 1, &event, nowhere(),
						&short_one));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, -1, -1, &event, nowhere(), NULL));
}

CASE(io_pgetevents, order_usig,
     "an unreadable sigset argument wins over a bad context and bad counts",
     .clause = "io_pgetevents.order", .flavours = RAW)
{
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(0, 1, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, 2, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, -1, 1, &event, NULL, nowhere()));
}

CASE(io_pgetevents, order_mask,
     "an unreadable mask wins over a bad context and bad counts",
     .clause = "io_pgetevents.order")
{
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EFAULT, aio->pgetevents(0, 1, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EFAULT, aio->pgetevents(ctx, 2, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents(ctx, -1, 1, &event, NULL, nowhere()));
}

CASE(io_pgetevents, not_on_error_size,
     "a call refused for its size has not let the signal in",
     .clause = "io_pgetevents.mask.not_on_error", .flavours = RAW)
{
	const struct aio_usig short_one = { &empty_mask,
					    KERNEL_SIGSET_SIZE - 1 };
	aio_handle ctx = new_context(1);
	struct io_event event;

	stand_with_pending_signal();
	EXPECT_ERR(EINVAL,
		   aio->pgetevents_usig(ctx, 1, 1, &event, NULL, &short_one));
	expect_mask_untouched();
}

CASE(io_pgetevents, not_on_error_pointer,
     "a call refused for a pointer has not let the signal in",
     .clause = "io_pgetevents.mask.not_on_error", .flavours = RAW)
{
	const struct aio_usig unreadable = { nowhere(), KERNEL_SIGSET_SIZE };
	const struct aio_usig good = { &empty_mask, KERNEL_SIGSET_SIZE };
	aio_handle ctx = new_context(1);
	struct io_event event;

	stand_with_pending_signal();
	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, 1, 1, &event, NULL, &unreadable));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, 1, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EFAULT,
		   aio->pgetevents_usig(ctx, 1, 1, &event, nowhere(), &good));
	expect_mask_untouched();
}
