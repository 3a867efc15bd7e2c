// SPDX-License-Identifier: GPL-2.0-or-later
#include "waiter.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "case.h"

static void *waiter_main(void *arg)
{
	struct waiter *w = arg;

	w->began = now_ns();
	if (w->masked)
		w->result = aio->pgetevents(w->ctx, w->min_nr, w->nr, w->events,
					    w->timeout, &w->mask);
	else
		w->result = aio->getevents(w->ctx, w->min_nr, w->nr, w->events,
					   w->timeout);
	w->ended = now_ns();
	count_up(&w->done);
	return NULL;
}

static struct waiter *start(struct waiter call)
{
	struct waiter *waiter = malloc(sizeof(*waiter));

	REQUIRE(waiter);
	*waiter = call;
	waiter->thread = thread_run(waiter_main, waiter);
	return waiter;
}

struct waiter *waiter_run(aio_handle ctx, long min_nr, long nr,
			  struct io_event *events, struct timespec *timeout)
{
	return start((struct waiter){ .ctx = ctx,
				      .min_nr = min_nr,
				      .nr = nr,
				      .events = events,
				      .timeout = timeout });
}

struct waiter *waiter_run_masked(aio_handle ctx, long min_nr, long nr,
				 struct io_event *events,
				 struct timespec *timeout, const sigset_t *mask)
{
	return start((struct waiter){ .ctx = ctx,
				      .min_nr = min_nr,
				      .nr = nr,
				      .events = events,
				      .timeout = timeout,
				      .masked = true,
				      .mask = *mask });
}

/*
 * Which of the calls it is depends on the flavour, and on how libaio was
 * built. A task that is asleep in one of them stays in that one.
 */
static long reaping_call(pid_t tid)
{
	static const long calls[] = {
		SYS_io_getevents,
		SYS_io_pgetevents,
#ifdef SYS_io_pgetevents_time64
		SYS_io_pgetevents_time64,
#endif
	};
	unsigned int i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (is_asleep_in(tid, calls[i]))
			return calls[i];
	return -1;
}

/* Asleep at two looks, and not run from before the first to the second. */
bool wait_asleep_reaping(pid_t tid, const atomic_uint *done)
{
	long before = -1, now;

	while (!done || !atomic_load(done)) {
		now = voluntary_switches(tid);
		if (now < 0)
			return false;
		if (reaping_call(tid) < 0)
			now = -1;
		else if (now == before)
			return true;
		before = now;
		breathe();
	}
	return false;
}

bool waiter_asleep(struct waiter *waiter)
{
	return wait_asleep_reaping(thread_tid(waiter->thread), &waiter->done);
}

bool waiter_done(struct waiter *waiter)
{
	return atomic_load(&waiter->done);
}

long waiter_result(struct waiter *waiter)
{
	wait_until_ge(&waiter->done, 1);
	return waiter->result;
}

long waiter_slept(struct waiter *waiter)
{
	return voluntary_switches(thread_tid(waiter->thread));
}

void waiter_signal(struct waiter *waiter, int sig)
{
	signal_thread(thread_tid(waiter->thread), sig);
}

struct errand {
	pid_t tid;
	void (*fn)(void *arg);
	void *arg;
	struct thread *thread;
	atomic_uint over;
	bool done;
};

static void *errand_main(void *arg)
{
	struct errand *errand = arg;

	if (wait_asleep_reaping(errand->tid, &errand->over)) {
		errand->fn(errand->arg);
		errand->done = true;
	}
	return NULL;
}

struct errand *when_asleep(void (*fn)(void *arg), void *arg)
{
	struct errand *errand = calloc(1, sizeof(*errand));

	REQUIRE(errand);
	errand->tid = own_tid();
	errand->fn = fn;
	errand->arg = arg;
	errand->thread = thread_run(errand_main, errand);
	return errand;
}

bool errand_end(struct errand *errand)
{
	bool done;

	atomic_store(&errand->over, 1);
	thread_join(errand->thread);
	done = errand->done;
	free(errand);
	return done;
}

long own_sleeps(void)
{
	struct rusage usage;

	REQUIRE(!getrusage(RUSAGE_THREAD, &usage));
	return usage.ru_nvcsw;
}

long fewest_sleeps(long fewest, long before)
{
	long sleeps = own_sleeps() - before;

	return sleeps < fewest ? sleeps : fewest;
}

long voluntary_switches(pid_t tid)
{
	static const char state[] = "State:\t";
	static const char count[] = "voluntary_ctxt_switches:";
	char path[64], line[256];
	long value = -1;
	FILE *status;

	snprintf(path, sizeof(path), "/proc/%d/status", tid);
	status = fopen(path, "re");
	if (!status)
		return -1;
	while (fgets(line, sizeof(line), status)) {
		if (!strncmp(line, state, strlen(state)) &&
		    strchr("ZX", line[strlen(state)]))
			break;
		if (!strncmp(line, count, strlen(count)))
			value = atol(line + strlen(count));
	}
	fclose(status);
	return value;
}

static bool listed_between(int64_t from, int64_t to)
{
	FILE *list = fopen("/proc/timer_list", "re");
	bool found = false;
	long long due;
	char line[200];

	REQUIRE(list);
	while (!found && fgets(line, sizeof(line), list))
		found = sscanf(line, " # expires at %lld-", &due) == 1 &&
			from <= due && due <= to;
	fclose(list);
	return found;
}

bool timer_between(int64_t from, int64_t to)
{
	unsigned int looks;

	/* the list counts its way: who leaves it hides another meanwhile */
	for (looks = 0; looks < 100; looks++)
		if (listed_between(from, to))
			return true;
	return false;
}
