// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The signal mask of io_pgetevents(): in force while the call waits, gone when
 * it is over, whatever ended it.
 *
 * It is the one way to wait for events and signals without a race. A mask that
 * came too late, or stayed, brings the race back or makes a program deaf.
 */
#include <stdarg.h>
#include <ucontext.h>
#include <unistd.h>

#include "case.h"

#define HOUR (3600 * 1000L)

/* The set of these signals, closed by a 0. */
static sigset_t set_of(int first, ...)
{
	sigset_t set;
	va_list args;
	int sig;

	sigemptyset(&set);
	va_start(args, first);
	for (sig = first; sig; sig = va_arg(args, int))
		sigaddset(&set, sig);
	va_end(args);
	return set;
}

static sigset_t mask_now(void)
{
	sigset_t mask;

	errno = pthread_sigmask(SIG_SETMASK, NULL, &mask);
	REQUIRE(!errno);
	return mask;
}

/* As bits, 1 << (signal - 1), so that a difference can be shown. */
static uint64_t bits_of(const sigset_t *set)
{
	uint64_t bits = 0;
	int sig;

	for (sig = 1; sig <= KERNEL_SIGSET_SIZE * 8; sig++)
		if (sigismember(set, sig) == 1)
			bits |= 1ull << (sig - 1);
	return bits;
}

#define EXPECT_MASK(wanted)                                   \
	do {                                                  \
		const sigset_t wanted_ = (wanted);            \
		const sigset_t now_ = mask_now();             \
                                                              \
		EXPECT_EQ(bits_of(&wanted_), bits_of(&now_)); \
	} while (0)

/* The mask outside the calls of most cases. */
static void stand_with_usr1_blocked(void)
{
	const sigset_t mask = set_of(SIGUSR1, 0);

	errno = pthread_sigmask(SIG_SETMASK, &mask, NULL);
	REQUIRE(!errno);
}

static void signal_me(void *tid)
{
	signal_thread(*(pid_t *)tid, SIGUSR1);
}

static void end_poll_of(void *fd)
{
	end_poll(*(int *)fd);
}

/* --- in force during the wait --- */

CASE(io_pgetevents, mask_let_in,
     "a signal that the mask lets in ends the wait, and its handler runs",
     .clause = "io_pgetevents.mask.let_in", .needs = "task_syscall")
{
	const sigset_t open = set_of(0);
	struct timespec hour = millis(HOUR);
	aio_handle ctx = new_context(1);
	struct errand *errand;
	struct io_event event;
	pid_t tid = own_tid();

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	errand = when_asleep(signal_me, &tid);
	EXPECT_ERR(EINTR, aio->pgetevents(ctx, 1, 1, &event, NULL, &open));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	errand_end(errand);

	errand = when_asleep(signal_me, &tid);
	EXPECT_ERR(EINTR, aio->pgetevents(ctx, 1, 1, &event, &hour, &open));
	EXPECT_EQ(2, signals_seen(SIGUSR1));
	errand_end(errand);
}

CASE(io_pgetevents, mask_let_in_pending,
     "a pending signal that the mask lets in ends the call before it waits",
     .clause = "io_pgetevents.mask.let_in_pending")
{
	const sigset_t open = set_of(0);
	struct timespec hour = millis(HOUR);
	aio_handle ctx = new_context(1);
	struct io_event event;
	unsigned int seen;

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	for (seen = 0; seen < 2; seen++) {
		signal_thread(own_tid(), SIGUSR1);
		EXPECT_EQ(seen, signals_seen(SIGUSR1));
		EXPECT_ERR(EINTR, aio->pgetevents(ctx, 1, 1, &event,
						  seen ? &hour : NULL, &open));
		EXPECT_EQ(seen + 1, signals_seen(SIGUSR1));
	}
}

/* libaio does not make the call when nothing is there and no time to wait. */
CASE(io_pgetevents, mask_let_in_pending_zero,
     "a pending signal is let in by a call that never waits, too: EINTR",
     .clause = "io_pgetevents.mask.let_in_pending", .flavours = RAW)
{
	const sigset_t open = set_of(0);
	struct timespec none = millis(0);
	aio_handle ctx = new_context(1);
	struct io_event event;

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	signal_thread(own_tid(), SIGUSR1);
	EXPECT_ERR(EINTR, aio->pgetevents(ctx, 1, 1, &event, &none, &open));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	/* and without events asked for */
	signal_thread(own_tid(), SIGUSR1);
	EXPECT_ERR(EINTR, aio->pgetevents(ctx, 0, 0, NULL, NULL, &open));
	EXPECT_EQ(2, signals_seen(SIGUSR1));
	EXPECT_MASK(set_of(SIGUSR1, 0));
}

CASE(io_pgetevents, mask_kept_out,
     "a signal that the mask keeps out waits for the end of the call",
     .clause = "io_pgetevents.mask.kept_out", .needs = "eventfd task_syscall")
{
	const sigset_t shut = set_of(SIGUSR1, 0);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct waiter *waiter;

	count_signal(SIGUSR1, 0);
	waiter = waiter_run_masked(ctx, 1, 1, event, NULL, &shut);
	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, SIGUSR1);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_EQ(0, signals_seen(SIGUSR1));
	end_poll(fd);
	ASSERT_EQ(1, waiter_result(waiter));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	EXPECT_EVENT(event, iocb, POLLIN);
}

CASE(io_pgetevents, mask_kept_out_timeout,
     "a signal that the mask keeps out does not turn a time-out into EINTR",
     .clause = "io_pgetevents.mask.kept_out", .needs = "task_syscall")
{
	enum { LONGEST = 8000 };
	const sigset_t shut = set_of(SIGUSR1, 0);
	aio_handle ctx = new_context(1);
	struct timespec timeout;
	struct errand *errand;
	struct io_event event;
	pid_t tid = own_tid();
	bool sent = false;
	int64_t began;
	long ms;

	count_signal(SIGUSR1, 0);
	/* longer where the signal comes too late */
	for (ms = 30; !sent && ms < LONGEST; ms *= 2) {
		timeout = millis(ms);
		errand = when_asleep(signal_me, &tid);
		began = now_ns();
		EXPECT_EQ(0,
			  aio->pgetevents(ctx, 1, 1, &event, &timeout, &shut));
		EXPECT_GE(began + ms * NSEC_PER_MSEC, now_ns());
		sent = errand_end(errand);
	}
	if (!sent)
		SKIP("the signal came after each time-out");
	WAIT_FOR(signals_seen(SIGUSR1) == 1);
}

CASE(io_pgetevents, mask_thread, "the mask is that of the calling thread alone",
     .clause = "io_pgetevents.mask.thread", .needs = "eventfd task_syscall")
{
	const sigset_t shut = set_of(SIGUSR1, SIGUSR2, 0);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	struct waiter *waiter;

	count_signal(SIGUSR1, 0);
	waiter = waiter_run_masked(ctx, 1, 1, event, NULL, &shut);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_MASK(set_of(0));
	/* to the process: it goes to the thread that lets it in, this one */
	REQUIRE(!kill(getpid(), SIGUSR1));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	ASSERT_TRUE(waiter_asleep(waiter));
	end_poll(fd);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
}

CASE(io_pgetevents, mask_thread_open,
     "a waiter that lets a signal in gets it, though all others block it",
     .clause = "io_pgetevents.mask.thread", .needs = "task_syscall")
{
	const sigset_t open = set_of(0);
	aio_handle ctx = new_context(1);
	struct waiter *waiter;
	struct io_event event;

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	waiter = waiter_run_masked(ctx, 1, 1, &event, NULL, &open);
	ASSERT_TRUE(waiter_asleep(waiter));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	REQUIRE(!kill(getpid(), SIGUSR1));
	EXPECT_ERR(EINTR, waiter_result(waiter));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
}

/* --- gone when the call is over --- */

CASE(io_pgetevents, mask_restored_events,
     "after events the mask is what it was before",
     .clause = "io_pgetevents.mask.restored", .needs = "eventfd task_syscall")
{
	const sigset_t inside = set_of(SIGUSR2, SIGALRM, 0);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	aio_handle ctx = new_context(2);
	struct errand *errand;
	struct io_event event;
	int fd;

	stand_with_usr1_blocked();
	/* that were there, and that were waited for */
	stage_events(ctx, 1, &iocbs[0]);
	EXPECT_EQ(1, aio->pgetevents(ctx, 1, 1, &event, NULL, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	fd = stage_poll(ctx, &iocbs[1]);
	errand = when_asleep(end_poll_of, &fd);
	EXPECT_EQ(1, aio->pgetevents(ctx, 1, 1, &event, NULL, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	errand_end(errand);
}

CASE(io_pgetevents, mask_restored_timeout,
     "after a time-out the mask is what it was before",
     .clause = "io_pgetevents.mask.restored")
{
	const sigset_t inside = set_of(SIGUSR2, SIGALRM, 0);
	struct timespec none = millis(0), timeout = millis(2);
	aio_handle ctx = new_context(1);
	struct io_event event;

	stand_with_usr1_blocked();
	EXPECT_EQ(0, aio->pgetevents(ctx, 1, 1, &event, &timeout, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	EXPECT_EQ(0, aio->pgetevents(ctx, 1, 1, &event, &none, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	EXPECT_EQ(0, aio->pgetevents(ctx, 0, 1, &event, NULL, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
}

CASE(io_pgetevents, mask_restored_signal,
     "after a signal the mask is what it was before",
     .clause = "io_pgetevents.mask.restored", .needs = "task_syscall")
{
	const sigset_t inside = set_of(SIGUSR2, SIGALRM, 0);
	aio_handle ctx = new_context(1);
	struct errand *errand;
	struct io_event event;
	pid_t tid = own_tid();

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	errand = when_asleep(signal_me, &tid);
	EXPECT_ERR(EINTR, aio->pgetevents(ctx, 1, 1, &event, NULL, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	errand_end(errand);
	/* it is blocked again: one more stays pending */
	signal_thread(tid, SIGUSR1);
	EXPECT_EQ(1, signals_seen(SIGUSR1));
}

CASE(io_pgetevents, mask_restored_error,
     "after an error of the wait the mask is what it was before",
     .clause = "io_pgetevents.mask.restored", .needs = "eventfd")
{
	const sigset_t inside = set_of(SIGUSR2, SIGALRM, 0);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	struct io_event event;

	stand_with_usr1_blocked();
	EXPECT_ERR(EINVAL, aio->pgetevents(0, 1, 1, &event, NULL, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	EXPECT_ERR(EINVAL, aio->pgetevents(ctx, 2, 1, &event, NULL, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
	stage_events(ctx, 1, iocb);
	EXPECT_ERR(EFAULT,
		   aio->pgetevents(ctx, 1, 1, nowhere(), NULL, &inside));
	EXPECT_MASK(set_of(SIGUSR1, 0));
}

CASE(io_pgetevents, mask_restored_destroyed,
     "after the context went the mask is what it was before",
     .clause = "io_pgetevents.mask.restored", .needs = "task_syscall")
{
	const sigset_t shut = set_of(SIGUSR1, 0);
	aio_handle ctx = new_context(1);
	struct waiter *waiter;
	struct io_event event;

	count_signal(SIGUSR1, 0);
	waiter = waiter_run_masked(ctx, 1, 1, &event, NULL, &shut);
	ASSERT_TRUE(waiter_asleep(waiter));
	waiter_signal(waiter, SIGUSR1);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_ERR(EINVAL, waiter_result(waiter));
	/* the signal that was kept out is let in */
	EXPECT_EQ(1, signals_seen(SIGUSR1));
}

/* What a handler saw. */
static struct {
	volatile bool ran;
	sigset_t inside;
	sigset_t returns_to;
} seen_by_handler;

static void look_at_masks(int sig, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	sigprocmask(SIG_SETMASK, NULL, &seen_by_handler.inside);
	memcpy(&seen_by_handler.returns_to, &interrupted->uc_sigmask,
	       KERNEL_SIGSET_SIZE);
	seen_by_handler.ran = true;
}

CASE(io_pgetevents, mask_restored_in_handler,
     "the handler runs with the call's mask, and returns to the one before",
     .clause = "io_pgetevents.mask.restored_in_handler",
     .needs = "task_syscall")
{
	const sigset_t call = set_of(SIGUSR2, 0);
	const sigset_t before = set_of(SIGUSR1, 0);
	const sigset_t in_handler = set_of(SIGUSR1, SIGUSR2, SIGALRM, 0);
	struct sigaction action = { .sa_sigaction = look_at_masks,
				    .sa_mask = set_of(SIGALRM, 0),
				    .sa_flags = SA_SIGINFO };
	aio_handle ctx = new_context(1);
	struct errand *errand;
	struct io_event event;
	pid_t tid = own_tid();

	REQUIRE(!sigaction(SIGUSR1, &action, NULL));
	stand_with_usr1_blocked();
	errand = when_asleep(signal_me, &tid);
	EXPECT_ERR(EINTR, aio->pgetevents(ctx, 1, 1, &event, NULL, &call));
	errand_end(errand);
	ASSERT_TRUE(seen_by_handler.ran);
	EXPECT_EQ(bits_of(&in_handler), bits_of(&seen_by_handler.inside));
	EXPECT_EQ(bits_of(&before), bits_of(&seen_by_handler.returns_to));
	EXPECT_MASK(before);
}

/* --- events and a signal at once --- */

CASE(io_pgetevents, events_and_signal,
     "with events there and a signal let in, the events are given",
     .clause = "io_pgetevents.events_and_signal", .needs = "eventfd")
{
	enum { THERE = 2 };
	const sigset_t open = set_of(0);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, THERE);
	aio_handle ctx = new_context(THERE);

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	signal_thread(own_tid(), SIGUSR1);
	stage_events(ctx, THERE, iocbs);
	ASSERT_EQ(THERE,
		  aio->pgetevents(ctx, THERE, THERE, events, NULL, &open));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	EXPECT_EVENT(&events[0], &iocbs[0], POLLIN);
	EXPECT_EVENT(&events[1], &iocbs[1], POLLIN);
	EXPECT_MASK(set_of(SIGUSR1, 0));
}

CASE(io_pgetevents, events_and_signal_too_few,
     "with fewer than min_nr there and a signal let in, those are given",
     .clause = "io_pgetevents.events_and_signal", .needs = "eventfd")
{
	enum { THERE = 2, MIN_NR = 3 };
	const sigset_t open = set_of(0);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, THERE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, MIN_NR);
	struct timespec none = millis(0);
	aio_handle ctx = new_context(MIN_NR);

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	signal_thread(own_tid(), SIGUSR1);
	stage_events(ctx, THERE, iocbs);
	EXPECT_EQ(THERE,
		  aio->pgetevents(ctx, MIN_NR, MIN_NR, events, NULL, &open));
	EXPECT_EQ(1, signals_seen(SIGUSR1));

	signal_thread(own_tid(), SIGUSR1);
	stage_events(ctx, THERE, iocbs);
	EXPECT_EQ(THERE,
		  aio->pgetevents(ctx, MIN_NR, MIN_NR, events, &none, &open));
	EXPECT_EQ(2, signals_seen(SIGUSR1));
	EXPECT_MASK(set_of(SIGUSR1, 0));
}

CASE(io_pgetevents, error_and_signal,
     "an error of the wait is given although a signal is let in",
     .clause = "io_pgetevents.events_and_signal")
{
	const sigset_t open = set_of(0);
	aio_handle ctx = new_context(1);
	struct io_event event;

	count_signal(SIGUSR1, 0);
	stand_with_usr1_blocked();
	signal_thread(own_tid(), SIGUSR1);
	EXPECT_ERR(EINVAL, aio->pgetevents(ctx, 2, 1, &event, NULL, &open));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	EXPECT_MASK(set_of(SIGUSR1, 0));
}
