// SPDX-License-Identifier: GPL-2.0-or-later
/* Threads that wait for events, and what is done while they do. */
#ifndef AIOABI_WAITER_H
#define AIOABI_WAITER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "aio.h"

struct errand;

/* A thread of its own in one call of aio->getevents or aio->pgetevents. */
struct waiter {
	aio_handle ctx;
	long min_nr;
	long nr;
	struct io_event *events;
	struct timespec *timeout;
	bool masked; /* aio->pgetevents, with mask */
	sigset_t mask;
	struct thread *thread;
	/* what came of it, valid once it is done */
	long result;
	int64_t began; /* now_ns() before the call … */
	int64_t ended; /* … and after it */
	atomic_uint done;
};

/* waiter_run() - start the call in a thread; timeout may be NULL. */
struct waiter *waiter_run(aio_handle ctx, long min_nr, long nr,
			  struct io_event *events, struct timespec *timeout);
/* waiter_run_masked() - the same by aio->pgetevents with this mask. */
struct waiter *waiter_run_masked(aio_handle ctx, long min_nr, long nr,
				 struct io_event *events,
				 struct timespec *timeout,
				 const sigset_t *mask);

/* waiter_asleep() - wait until it sleeps in the call; false: it is done. */
bool waiter_asleep(struct waiter *waiter);
/* waiter_done() - whether the call has returned. */
bool waiter_done(struct waiter *waiter);
/* waiter_result() - wait for its end, and give what the call gave. */
long waiter_result(struct waiter *waiter);
/* waiter_slept() - how often the thread has gone to sleep so far. */
long waiter_slept(struct waiter *waiter);
/* waiter_signal() - send it a signal, to it alone. */
void waiter_signal(struct waiter *waiter, int sig);

/*
 * wait_asleep_reaping() - as wait_asleep_in(), in whichever system call reaps
 * in the flavour in use. False when it ended instead, or *done became 1; done
 * may be NULL.
 */
bool wait_asleep_reaping(pid_t tid, const atomic_uint *done);

/*
 * when_asleep() - as soon as the calling thread sleeps in io_getevents() or
 * io_pgetevents(), call fn(arg) in another thread.
 */
struct errand *when_asleep(void (*fn)(void *arg), void *arg);
/*
 * errand_end() - after the call: wait for fn, or forgo it if its time has not
 * come. Gives whether it was called.
 */
bool errand_end(struct errand *errand);

/* own_sleeps() - how often the calling thread has gone to sleep. */
long own_sleeps(void);
/*
 * fewest_sleeps() - the fewer of `fewest` and the sleeps since own_sleeps()
 * gave `before`. A page that has to be had, or a lock, may let any call sleep
 * now and then: of some rounds of the same calls the one with the fewest tells.
 */
long fewest_sleeps(long fewest, long before);
/*
 * voluntary_switches() - the same of any task of this process or a child; -1
 * when it has ended.
 */
long voluntary_switches(pid_t tid);

/*
 * timer_between() - whether a timer of the kernel is due between these two
 * times of now_ns(). Needs "timer_list".
 */
bool timer_between(int64_t from, int64_t to);

#endif
