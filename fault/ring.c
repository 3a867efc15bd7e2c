// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A ring of ours: what stands between the kernel's events and the program,
 * whether it reaps by calls or from the ring itself.
 *
 * The program's handle is the address of a ring that this file fills. A thread
 * takes events from the kernel's ring, makes of them what the points say, and
 * puts them into ours. An eventfd is told when an event is there, not when the
 * kernel has it: requests go down as copies, without their IOCB_FLAG_RESFD.
 * What the program can see is as the kernel has it: capacity, errors, order of
 * the checks, EINTR, the file it polls. Only the mapping has no name.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "copy.h"
#include "points.h"
#include "ring.h"

#define BATCH	  64 /* events that the thread takes at once */
#define AT_ONCE	  0
#define PER_MSEC  1000000LL
#define PER_SEC	  1000000000LL
#define FOR_EVER  INT64_MAX
#define NO_RESULT INT64_MIN

/* A request between its submission and its event. */
struct request {
	struct iocb iocb; /* the kernel's copy; first, as events name it */
	struct iocb *theirs;
	int eventfd; /* to tell, or -1 */
	bool busy;
	/* of an event that is kept back */
	bool kept;
	bool till_overtaken;
	int64_t due;
	long long res, res2;
};

struct waiter_of_ring {
	int eventfd;
	struct waiter_of_ring *next;
};

struct own_ring {
	struct own_ring *next;
	pid_t pid;
	aio_handle ctx; /* the kernel's */
	volatile struct aio_ring *ring;
	size_t size;
	pthread_t pump;
	pthread_mutex_t lock;
	struct request *requests;
	unsigned int room; /* requests and events at once */
	unsigned int busy, kept;
	int64_t last_due;
	struct waiter_of_ring *waiters;
	bool dying;
	unsigned int users; /* calls that are in it */
};

bool fault_ring_wanted;
static pthread_mutex_t rings_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t users_gone = PTHREAD_COND_INITIALIZER;
static struct own_ring *rings;

static int64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * PER_SEC + ts.tv_nsec;
}

/* --- events into the ring --- */

static unsigned int unread(const struct own_ring *own)
{
	unsigned int head = own->ring->head % own->ring->nr;

	return (own->ring->tail + own->ring->nr - head) % own->ring->nr;
}

static void tell(int fd)
{
	static const uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return; /* closed meanwhile, as the kernel would not mind */
}

/* With the lock held. */
static void deliver(struct own_ring *own, struct request *request)
{
	volatile struct aio_ring *ring = own->ring;
	struct io_event event = { .data = request->iocb.aio_data,
				  .obj = (uintptr_t)request->theirs,
				  .res = request->res,
				  .res2 = request->res2 };
	const struct waiter_of_ring *waiter;

	memcpy((void *)&ring->events[ring->tail], &event, sizeof(event));
	atomic_thread_fence(memory_order_release);
	ring->tail = (ring->tail + 1) % ring->nr;
	request->busy = false;
	own->busy--;
	if (request->eventfd >= 0)
		tell(request->eventfd);
	for (waiter = own->waiters; waiter; waiter = waiter->next)
		tell(waiter->eventfd);
}

static void keep_back(struct own_ring *own, struct request *request,
		      int64_t due)
{
	request->kept = true;
	request->due = due;
	own->kept++;
}

/* One has gone past those that waited for it. */
static void let_follow(struct own_ring *own)
{
	unsigned int i;

	for (i = 0; own->kept && i < own->room; i++)
		if (own->requests[i].kept && own->requests[i].till_overtaken)
			own->requests[i].due = AT_ONCE;
}

static bool moves_data(const struct iocb *iocb)
{
	return iocb->aio_lio_opcode == IOCB_CMD_PREAD ||
	       iocb->aio_lio_opcode == IOCB_CMD_PREADV ||
	       iocb->aio_lio_opcode == IOCB_CMD_PWRITE ||
	       iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static bool can_fail(const struct iocb *iocb)
{
	return moves_data(iocb) || iocb->aio_lio_opcode == IOCB_CMD_FSYNC ||
	       iocb->aio_lio_opcode == IOCB_CMD_FDSYNC;
}

/* An event of the kernel's, and what the points make of it. */
static void take(struct own_ring *own, const struct io_event *event)
{
	struct request *request = (struct request *)(uintptr_t)event->obj;
	int64_t due;
	int info;

	request->res = event->res;
	request->res2 = event->res2;
	if (request->res >= 0 && can_fail(&request->iocb) &&
	    fault_ask("aio/event", &info))
		request->res = -info;
	if (request->res > 1 && moves_data(&request->iocb) &&
	    fault_ask("aio/event/short", &info))
		request->res = info < request->res ? request->res - info : 1;
	if (fault_ask("aio/event/late", &info)) {
		keep_back(own, request, now() + info * PER_MSEC);
		return;
	}
	if (fault_ask("aio/event/reorder", &info)) {
		request->till_overtaken = true;
		keep_back(own, request, now() + info * PER_MSEC);
		return;
	}
	if (fault_ask("aio/event/spread", &info)) {
		due = now();
		if (own->last_due > due)
			due = own->last_due;
		own->last_due = due + info * PER_MSEC;
		keep_back(own, request, own->last_due);
		return;
	}
	deliver(own, request);
	let_follow(own);
}

/* What is due is delivered, the earliest first; when the next one is. */
static int64_t deliver_due(struct own_ring *own)
{
	while (own->kept) {
		struct request *first = NULL;
		unsigned int i;

		for (i = 0; i < own->room; i++) {
			struct request *request = &own->requests[i];

			if (request->kept &&
			    (!first || request->due < first->due))
				first = request;
		}
		if (first->due > now())
			return first->due;
		first->kept = false;
		own->kept--;
		deliver(own, first);
	}
	return FOR_EVER;
}

static void *pump(void *arg)
{
	struct io_event events[BATCH];
	struct own_ring *own = arg;
	int64_t due = FOR_EVER;
	long n, i;

	for (;;) {
		int64_t left = due == FOR_EVER ? 0 : due - now();
		struct timespec timeout = { 0, 0 };

		if (left > 0)
			timeout = (struct timespec){ left / PER_SEC,
						     left % PER_SEC };
		/* libaio would look into a ring that may be gone */
		n = raw_calls.getevents(own->ctx, 1, BATCH, events,
					due == FOR_EVER ? NULL : &timeout);
		if (n < 0 && n != -EINTR)
			return NULL; /* destroyed */
		pthread_mutex_lock(&own->lock);
		for (i = 0; i < n; i++)
			take(own, &events[i]);
		due = deliver_due(own);
		pthread_mutex_unlock(&own->lock);
	}
}

/* --- contexts --- */

static void ring_free(struct own_ring *own)
{
	if (own->ring)
		munmap((void *)own->ring, own->size);
	free(own->requests);
	free(own);
}

/* No signal of the program's is for this thread. */
static bool pump_start(struct own_ring *own)
{
	sigset_t all, old;
	bool started;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	started = !pthread_create(&own->pump, NULL, pump, own);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return started;
}

static struct own_ring *ring_new(aio_handle ctx)
{
	const volatile struct aio_ring *kernels = ring_of(ctx);
	struct own_ring *own = calloc(1, sizeof(*own));
	void *map;

	if (!own)
		return NULL;
	own->ctx = ctx;
	own->pid = getpid();
	own->room = kernels->nr - 1;
	own->size =
		sizeof(*own->ring) + kernels->nr * sizeof(own->ring->events[0]);
	pthread_mutex_init(&own->lock, NULL);
	own->requests = calloc(own->room, sizeof(*own->requests));
	map = mmap(NULL, own->size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!own->requests || map == MAP_FAILED) {
		ring_free(own);
		return NULL;
	}
	own->ring = map;
	memcpy(map, (const void *)kernels, sizeof(*kernels));
	return own;
}

long fault_ring_setup(unsigned int nr_events, aio_handle *ctxp)
{
	aio_handle ctx = 0, old, handle;
	struct own_ring *own;
	long result;

	if (!copy_checked(&old, ctxp, sizeof(old)))
		return -EFAULT;
	if (old)
		return -EINVAL;
	result = fault_kernel->setup(nr_events, &ctx);
	if (result)
		return result;
	own = ring_new(ctx);
	handle = own ? (aio_handle)own->ring : 0;
	if (!own || !pump_start(own)) {
		result = -ENOMEM;
	} else if (!copy_checked(ctxp, &handle, sizeof(handle))) {
		result = -EFAULT;
	}
	if (result) {
		fault_kernel->destroy(ctx);
		if (own && result == -EFAULT)
			pthread_join(own->pump, NULL);
		if (own)
			ring_free(own);
		return result;
	}
	pthread_mutex_lock(&rings_lock);
	own->next = rings;
	rings = own;
	pthread_mutex_unlock(&rings_lock);
	return 0;
}

/* One's own, not a parent's, and not one that is being destroyed. */
static struct own_ring *ring_enter(aio_handle ctx)
{
	struct own_ring *own;

	pthread_mutex_lock(&rings_lock);
	for (own = rings; own; own = own->next)
		if ((aio_handle)own->ring == ctx && own->pid == getpid())
			break;
	if (own)
		own->users++;
	pthread_mutex_unlock(&rings_lock);
	return own;
}

static void ring_leave(struct own_ring *own)
{
	pthread_mutex_lock(&rings_lock);
	if (!--own->users)
		pthread_cond_broadcast(&users_gone);
	pthread_mutex_unlock(&rings_lock);
}

static bool ring_unlink(struct own_ring *own)
{
	struct own_ring **at;
	bool found = false;

	pthread_mutex_lock(&rings_lock);
	for (at = &rings; *at; at = &(*at)->next)
		if (*at == own) {
			*at = own->next;
			found = true;
			break;
		}
	pthread_mutex_unlock(&rings_lock);
	return found;
}

/* The kernel tells eventfds of requests that end with their context, too. */
static void ring_end(struct own_ring *own)
{
	const struct waiter_of_ring *waiter;
	unsigned int i;

	pthread_join(own->pump, NULL);
	pthread_mutex_lock(&own->lock);
	own->dying = true;
	for (i = 0; i < own->room; i++)
		if (own->requests[i].busy && own->requests[i].eventfd >= 0)
			tell(own->requests[i].eventfd);
	for (waiter = own->waiters; waiter; waiter = waiter->next)
		tell(waiter->eventfd);
	pthread_mutex_unlock(&own->lock);
}

/* Called by a user, who is the last when it returns. */
static long ring_destroy(struct own_ring *own)
{
	long result;

	if (!ring_unlink(own))
		return -EINVAL;
	result = fault_kernel->destroy(own->ctx);
	ring_end(own);
	pthread_mutex_lock(&rings_lock);
	while (own->users > 1)
		pthread_cond_wait(&users_gone, &rings_lock);
	pthread_mutex_unlock(&rings_lock);
	return result;
}

/* --- requests --- */

static struct request *request_new(struct own_ring *own)
{
	unsigned int i;

	if (own->busy + unread(own) >= own->room)
		return NULL;
	for (i = 0; own->requests[i].busy; i++)
		;
	own->requests[i] = (struct request){ .busy = true, .eventfd = -1 };
	own->busy++;
	return &own->requests[i];
}

static bool is_eventfd(int fd)
{
	char path[40], target[40] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, target, sizeof(target) - 1) < 0)
		return false;
	return !strcmp(target, "anon_inode:[eventfd]");
}

/* In the order of the kernel's checks, as far as they are made here. */
static long request_take_over(struct request *request)
{
	static const uint32_t key = 0; /* KIOCB_KEY */
	struct iocb *iocb = &request->iocb;

	if (iocb->aio_flags & IOCB_FLAG_RESFD) {
		if (!is_eventfd((int)iocb->aio_resfd))
			return -EBADF;
		request->eventfd = (int)iocb->aio_resfd;
		iocb->aio_flags &= ~(uint32_t)IOCB_FLAG_RESFD;
	}
	return copy_checked(&request->theirs->aio_key, &key, sizeof(key))
		       ? 0
		       : -EFAULT;
}

/* The lock is not held in the kernel: a request may wait there. */
static long submit_to(struct own_ring *own, struct iocb *theirs)
{
	struct iocb copy, *list[1];
	struct request *request;
	long result;

	if (!copy_checked(&copy, theirs, sizeof(copy)))
		return -EFAULT;
	if (copy.aio_reserved2 || (ssize_t)copy.aio_nbytes < 0)
		return -EINVAL;
	pthread_mutex_lock(&own->lock);
	request = request_new(own);
	pthread_mutex_unlock(&own->lock);
	if (!request)
		return -EAGAIN;
	request->iocb = copy;
	request->theirs = theirs;
	result = request_take_over(request);
	list[0] = &request->iocb;
	if (!result)
		result = fault_kernel->submit(own->ctx, 1, list);
	if (result == 1)
		return 1;
	pthread_mutex_lock(&own->lock);
	request->busy = false;
	own->busy--;
	pthread_mutex_unlock(&own->lock);
	return result;
}

static long ring_submit(struct own_ring *own, long nr, struct iocb **iocbpp)
{
	struct iocb *theirs;
	long i, result = 0;

	if (nr < 0)
		return -EINVAL;
	for (i = 0; i < nr && i < (long)own->ring->nr; i++) {
		result = -EFAULT;
		if (copy_checked(&theirs, &iocbpp[i], sizeof(theirs)))
			result = submit_to(own, theirs);
		if (result < 0)
			break;
	}
	return i ? i : result;
}

static long ring_cancel(struct own_ring *own, struct iocb *theirs,
			struct io_event *events)
{
	struct iocb *copy = NULL;
	uint32_t key;
	unsigned int i;

	if (!copy_checked(&key, &theirs->aio_key, sizeof(key)))
		return -EFAULT;
	pthread_mutex_lock(&own->lock);
	for (i = 0; i < own->room && !key; i++)
		if (own->requests[i].busy && own->requests[i].theirs == theirs)
			copy = &own->requests[i].iocb;
	pthread_mutex_unlock(&own->lock);
	return copy ? fault_kernel->cancel(own->ctx, copy, events) : -EINVAL;
}

/* --- reaping --- */

/* Up to n events from the ring, or -EFAULT; with the lock held. */
static long reap_some(struct own_ring *own, struct io_event *events, long n)
{
	volatile struct aio_ring *ring = own->ring;
	long i;

	for (i = 0; i < n && unread(own); i++) {
		unsigned int head = ring->head % ring->nr;

		if (!copy_checked(&events[i], (const void *)&ring->events[head],
				  sizeof(*events)))
			return -EFAULT;
		ring->head = (head + 1) % ring->nr;
	}
	return i;
}

/* When to give up: AT_ONCE, FOR_EVER or a time; false if it is nowhere. */
static bool deadline_of(const struct timespec *timeout, int64_t *deadline)
{
	struct timespec ts;

	*deadline = FOR_EVER;
	if (!timeout)
		return true;
	if (!copy_checked(&ts, timeout, sizeof(ts)))
		return false;
	if (!ts.tv_sec && !ts.tv_nsec)
		*deadline = AT_ONCE;
	else if (ts.tv_sec >= 0 && ts.tv_nsec >= 0 &&
		 ts.tv_sec < INT64_MAX / PER_SEC - now() / PER_SEC - 1)
		*deadline = now() + ts.tv_sec * PER_SEC + ts.tv_nsec;
	return true;
}

/* Sleep until told, for as long as there is time; false for a signal. */
static bool sleep_until(int fd, int64_t deadline, const sigset_t *mask)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int64_t left = deadline == FOR_EVER ? 0 : deadline - now();
	struct timespec timeout = { 0, 0 };
	uint64_t count;

	if (left > 0)
		timeout = (struct timespec){ left / PER_SEC, left % PER_SEC };
	if (ppoll(&pollfd, 1, deadline == FOR_EVER ? NULL : &timeout, mask) < 0)
		return false;
	if (pollfd.revents && read(fd, &count, sizeof(count)) < 0)
		return false;
	return true;
}

/* With the lock held, but for the sleep. */
static long reap_waiting(struct own_ring *own, const struct aio_args *args,
			 int64_t deadline, const sigset_t *mask)
{
	struct waiter_of_ring waiter = { .eventfd = -1 }, **at;
	long got = 0, result = NO_RESULT;

	while (result == NO_RESULT) {
		long n = reap_some(own, args->events + got, args->nr - got);
		bool awake;

		if (n > 0)
			got += n;
		if (n < 0)
			result = got ? got : n;
		else if (own->dying)
			result = got ? got : -EINVAL;
		else if (got >= args->min_nr || deadline <= now())
			result = got;
		if (result != NO_RESULT)
			break;
		if (waiter.eventfd < 0) {
			waiter.eventfd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
			if (waiter.eventfd < 0)
				return got ? got : -EAGAIN;
			waiter.next = own->waiters;
			own->waiters = &waiter;
		}
		pthread_mutex_unlock(&own->lock);
		awake = sleep_until(waiter.eventfd, deadline, mask);
		pthread_mutex_lock(&own->lock);
		/* an event that came with the signal goes first */
		if (!awake && !unread(own))
			result = got ? got : -EINTR;
	}
	if (waiter.eventfd >= 0) {
		for (at = &own->waiters; *at != &waiter; at = &(*at)->next)
			;
		*at = waiter.next;
		close(waiter.eventfd);
	}
	return result;
}

static long ring_reap_call(struct own_ring *own, const struct aio_args *args)
{
	const sigset_t *mask = args->mask;
	struct aio_usig usig = { 0 };
	int64_t deadline;
	long result;

	if (!deadline_of(args->timeout, &deadline))
		return -EFAULT;
	if (args->call == CALL_PGETEVENTS_USIG) {
		if (mask && !copy_checked(&usig, mask, sizeof(usig)))
			return -EFAULT;
		if (usig.mask && usig.size != KERNEL_SIGSET_SIZE)
			return -EINVAL;
		mask = usig.mask;
	}
	if (args->min_nr < 0 || args->min_nr > args->nr)
		return -EINVAL;
	pthread_mutex_lock(&own->lock);
	result = reap_waiting(own, args, deadline, mask);
	pthread_mutex_unlock(&own->lock);
	return result;
}

bool fault_ring_call(const struct aio_args *args, long *result)
{
	struct own_ring *own;

	if (!__atomic_load_n(&rings, __ATOMIC_RELAXED) ||
	    args->call == CALL_SETUP)
		return false;
	own = ring_enter(args->ctx);
	if (!own)
		return false;
	switch (args->call) {
	case CALL_DESTROY:
		*result = ring_destroy(own);
		if (*result != -EINVAL) {
			ring_free(own);
			return true;
		}
		break;
	case CALL_SUBMIT:
		*result = ring_submit(own, args->nr, args->iocbpp);
		break;
	case CALL_CANCEL:
		*result = ring_cancel(own, args->iocb, args->events);
		break;
	default:
		*result = ring_reap_call(own, args);
	}
	ring_leave(own);
	return true;
}
