// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libaio looks at the ring by itself when it is asked not to wait: an empty one
 * is answered without the kernel. What the kernel would have said, of wrong
 * arguments or of signals, is then not said; and what is no ring is read.
 */
#define AIOABI_WITH_LIBAIO_H
#include "case.h"

#include <libaio.h>
#include <stdlib.h>
#include <sys/wait.h>

static struct timespec none;
static struct timespec shortest = { .tv_nsec = 1 };

/* The words of the ring's header. */
enum { RING_ID, RING_NR, RING_HEAD, RING_TAIL, RING_MAGIC };

static volatile unsigned int *ring_words(io_context_t ctx)
{
	return (volatile unsigned int *)ctx;
}

/* A context that the kernel refuses from now on: only libaio can answer. */
static io_context_t refused_context(void)
{
	io_context_t ctx = (io_context_t)new_context(1);

	ring_words(ctx)[RING_ID]++;
	return ctx;
}

CASE(libaio, empty_answered_in_user_space,
     "an empty ring and a time-out of 0 are answered without the kernel",
     .clause = "libaio.getevents.empty_user", .flavours = LIBAIO)
{
	io_context_t ctx = refused_context();
	struct io_event event;

	EXPECT_EQ(0, io_getevents(ctx, 0, 1, &event, &none));
	EXPECT_EQ(0, io_getevents(ctx, 1, 1, &event, &none));
	EXPECT_ERR(EINVAL, io_getevents(ctx, 1, 1, &event, &shortest));
}

CASE(libaio, empty_not_checked, "wrong counts and arrays are not noticed then",
     .clause = "libaio.getevents.empty_unchecked", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	struct io_event event;

	EXPECT_EQ(0, io_getevents(ctx, 2, 1, &event, &none));
	EXPECT_EQ(0, io_getevents(ctx, -1, 1, &event, &none));
	EXPECT_EQ(0, io_getevents(ctx, 0, -1, &event, &none));
	EXPECT_EQ(0, io_getevents(ctx, 1, 1, nowhere(), &none));
}

CASE(libaio, null_context, "a context of NULL goes to the kernel",
     .clause = "libaio.getevents.null_context", .flavours = LIBAIO)
{
	struct io_event event;

	EXPECT_ERR(EINVAL, io_getevents(NULL, 0, 1, &event, &none));
	EXPECT_ERR(EINVAL, io_getevents(NULL, 0, 1, &event, NULL));
	EXPECT_ERR(EINVAL, io_pgetevents(NULL, 0, 1, &event, &none, NULL));
	EXPECT_ERR(EINVAL, io_pgetevents(NULL, 0, 1, &event, NULL, NULL));
}

#define DIED_OF_IT 7

static void leave(int sig)
{
	_Exit(DIED_OF_IT);
}

/* In a child, which says so if the context is read. */
static int reap_dead(aio_handle dead, struct timespec *timeout, bool masked)
{
	struct io_event event;
	pid_t pid = child_fork();

	if (!pid) {
		signal(SIGSEGV, leave);
		if (masked)
			io_pgetevents((io_context_t)dead, 0, 1, &event, timeout,
				      NULL);
		else
			io_getevents((io_context_t)dead, 0, 1, &event, timeout);
		child_exit(0);
	}
	return WEXITSTATUS(child_wait(pid));
}

CASE(libaio, dead_context_is_read,
     "a context that is not mapped is read all the same",
     .clause = "libaio.getevents.dead_context", .flavours = LIBAIO)
{
	aio_handle dead = dead_context();

	EXPECT_EQ(DIED_OF_IT, reap_dead(dead, &none, false));
	EXPECT_EQ(DIED_OF_IT, reap_dead(dead, &shortest, false));
	EXPECT_EQ(DIED_OF_IT, reap_dead(dead, NULL, false));
	EXPECT_EQ(DIED_OF_IT, reap_dead(dead, &none, true));
	EXPECT_EQ(DIED_OF_IT, reap_dead(dead, NULL, true));
}

CASE(libaio, other_magic, "a ring of another magic number is the kernel's",
     .clause = "libaio.getevents.magic", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	struct io_event event;

	ring_words(ctx)[RING_MAGIC]++;
	EXPECT_ERR(EINVAL, io_getevents(ctx, 2, 1, &event, &none));
	EXPECT_ERR(EINVAL, io_pgetevents(ctx, 2, 1, &event, &none, NULL));
	ring_words(ctx)[RING_MAGIC]--;
	EXPECT_EQ(0, io_getevents(ctx, 2, 1, &event, &none));
	EXPECT_EQ(0, io_pgetevents(ctx, 2, 1, &event, &none, NULL));
}

CASE(libaio, events_there, "a ring with events is the kernel's",
     .clause = "libaio.getevents.magic", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	struct io_event event;

	stage_complete((aio_handle)ctx, 1, 0);
	EXPECT_ERR(EINVAL, io_getevents(ctx, 2, 1, &event, &none));
	EXPECT_ERR(EINVAL, io_pgetevents(ctx, 2, 1, &event, &none, NULL));
	EXPECT_EQ(1, io_getevents(ctx, 1, 1, &event, &none));
	EXPECT_NUMBERED(&event, 1, 0);
}

CASE(libaio, other_timeouts, "with any other time-out the kernel is asked",
     .clause = "libaio.getevents.magic", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	struct timespec second = { .tv_sec = 1 };
	struct io_event event;

	EXPECT_ERR(EINVAL, io_getevents(ctx, 2, 1, &event, &shortest));
	EXPECT_ERR(EINVAL, io_getevents(ctx, 2, 1, &event, &second));
	EXPECT_ERR(EINVAL, io_getevents(ctx, 2, 1, &event, NULL));
	EXPECT_ERR(EINVAL, io_pgetevents(ctx, 2, 1, &event, &shortest, NULL));
	EXPECT_ERR(EINVAL, io_pgetevents(ctx, 2, 1, &event, &second, NULL));
	EXPECT_ERR(EINVAL, io_pgetevents(ctx, 2, 1, &event, NULL, NULL));
}

/* A signal that is pending, and a mask that would let it in. */
static sigset_t pending_signal(void)
{
	sigset_t mask;

	count_signal(SIGUSR1, 0);
	block_signal(SIGUSR1);
	signal_thread(own_tid(), SIGUSR1);
	sigemptyset(&mask);
	return mask;
}

CASE(libaio, empty_mask_not_looked_at,
     "a mask is not put in force for an empty ring and a time-out of 0",
     .clause = "libaio.pgetevents.empty_user", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	sigset_t mask = pending_signal();
	struct io_event event;

	EXPECT_EQ(0, io_pgetevents(ctx, 1, 1, &event, &none, &mask));
	EXPECT_EQ(0, signals_seen(SIGUSR1));
	EXPECT_EQ(0, io_pgetevents(ctx, 1, 1, &event, &none, nowhere()));
}

CASE(libaio, mask_handed_over, "else it is, as the kernel wants it",
     .clause = "libaio.pgetevents.mask", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	sigset_t mask = pending_signal();
	struct io_event event;

	EXPECT_ERR(EFAULT, io_pgetevents(ctx, 1, 1, &event, NULL, nowhere()));
	EXPECT_ERR(EINTR, io_pgetevents(ctx, 1, 1, &event, NULL, &mask));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	stage_complete((aio_handle)ctx, 1, 0);
	EXPECT_EQ(1, io_pgetevents(ctx, 1, 1, &event, NULL, &mask));
	EXPECT_NUMBERED(&event, 1, 0);
}
