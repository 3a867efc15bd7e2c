// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Injected failures are like true ones: the same errno, the same state of
 * arguments and context after it. A failure that no kernel gives would teach
 * a program nothing.
 *
 * Each case lets the call fail twice, once truly and once injected, and
 * compares all that the program has before it.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"
#include "fault.h"
#include "held.h"

#define IOCBS  3
#define EVENTS 2
#define KEY    77 /* of requests that the kernel has not seen */
#define BEFORE 0x5a

/* All that a program has before it after a call. */
struct look {
	long result;
	long handle_changed;
	struct iocb iocbs[IOCBS];
	struct io_event events[EVENTS];
	long unread;
	long rings;
	long signals;
	long told; /* by the eventfd */
	long next; /* what the same call gives with nothing in its way */
};

enum way { TRULY, INJECTED };

static struct look *look_new(void)
{
	struct look *look = GUARDED(struct look);

	memset(look->events, BEFORE, sizeof(look->events));
	return look;
}

/*
 * The requests of both looks are the same memory, so that what the kernel
 * writes down of their addresses is the same, too.
 */
static struct iocb requests[IOCBS];

static struct iocb *request(unsigned int i, int fd)
{
	prep_poll(&requests[i], fd, POLLIN);
	requests[i].aio_key = KEY;
	return &requests[i];
}

static void look_after(struct look *look, aio_handle ctx)
{
	memcpy(look->iocbs, requests, sizeof(requests));
	look->unread = ctx ? ring_unread(ctx) : 0;
	look->rings = maps_named("/[aio]");
}

static void compare(int error, void (*see)(struct look *look, enum way way))
{
	struct look *truly = look_new(), *injected = look_new();

	see(truly, TRULY);
	EXPECT_EQ(-error, truly->result);
	see(injected, INJECTED);
	EXPECT_MEM(truly, injected, sizeof(*truly));
}

/* --- io_setup --- */

#define FEW 8

/* The true failure is one of another point, on the same call. */
struct fault {
	const char *point;
	int info;
};
static struct fault of_truth, of_call;
static unsigned int nr_truly = FEW; /* of io_setup(), where it is to blame */

static void see_setup(struct look *look, enum way way)
{
	const struct fault *fault = way == TRULY ? &of_truth : &of_call;
	unsigned int nr = way == TRULY ? nr_truly : FEW;
	aio_handle ctx = 0;

	if (fault->point)
		fault_on(fault->point, fault->info);
	look->result = aio->setup(nr, &ctx);
	if (fault->point)
		fault_off(fault->point);
	look->handle_changed = ctx != 0;
	look_after(look, 0);
	look->next = aio->setup(FEW, &ctx);
	if (!look->next)
		look->unread = ring_of(ctx)->nr;
	end_context(ctx);
}

static void equal_setup(const char *point, int info, int error)
{
	of_truth = (struct fault){ point, info };
	of_call = (struct fault){ "aio/io_setup", error };
	compare(error, see_setup);
}

CASE(fault, equal_setup_eagain, "injected EAGAIN of io_setup() is like a quota",
     .clause = "io_setup.eagain.max_nr", .fault = "aio/io_setup",
     .needs = "root aio_sysctls", .serial = SERIAL_BODY)
{
	equal_setup("fs/aio_max_nr", 0, EAGAIN);
}

CASE(fault, equal_setup_einval,
     "injected EINVAL of io_setup() is like 0 events",
     .clause = "io_setup.einval.nr_zero", .fault = "aio/io_setup")
{
	nr_truly = 0;
	equal_setup(NULL, 0, EINVAL);
}

CASE(fault, equal_setup_efault,
     "injected EFAULT of io_setup() is like a handle that cannot be written",
     .clause = "io_setup.efault.read_only", .fault = "aio/io_setup")
{
	equal_setup("mm/ctxp", sizeof(aio_handle), EFAULT);
}

CASE(fault, equal_setup_enomem,
     "injected ENOMEM of io_setup() is like no address space",
     .clause = "io_setup.enomem.address_space", .fault = "aio/io_setup")
{
	equal_setup("mm/rlimit_as", 0, ENOMEM);
}

CASE(fault, equal_setup_enosys,
     "injected ENOSYS of io_setup() is like a filter's",
     .clause = "io_setup.enosys.filter", .fault = "aio/io_setup",
     .needs = "seccomp")
{
	equal_setup("seccomp/errno", ENOSYS, ENOSYS);
}

CASE(fault, equal_setup_eperm,
     "injected EPERM of io_setup() is like a filter's",
     .clause = "io_setup.enosys.filter", .fault = "aio/io_setup",
     .needs = "seccomp")
{
	equal_setup("seccomp/errno", EPERM, EPERM);
}

/* --- the calls on a context with a request in flight --- */

/*
 * What the call does when nothing is in its way, and how it fails truly, where
 * no other point does it.
 */
static long (*call)(aio_handle ctx, struct look *look);
static long (*call_to_blame)(aio_handle ctx, struct look *look);

/* After the call the request in flight is there, completes, and is reaped. */
static long what_is_left(aio_handle ctx, int fd)
{
	struct io_event event = { 0 };
	long n;

	end_poll(fd);
	n = aio->getevents(ctx, 1, 1, &event, NULL);
	return n == 1 ? (long)event.res : -1;
}

static void see_call(struct look *look, enum way way)
{
	const struct fault *fault = way == TRULY ? &of_truth : &of_call;
	aio_handle ctx = new_context(FEW);
	struct iocb iocb;
	int fd = stage_poll(ctx, &iocb), ready = open_eventfd(0, EFD_NONBLOCK);
	unsigned int i;

	for (i = 0; i < IOCBS; i++)
		request(i, ready);
	if (fault->point)
		fault_on(fault->point, fault->info);
	look->result = way == TRULY && call_to_blame ? call_to_blame(ctx, look)
						     : call(ctx, look);
	if (fault->point)
		fault_off(fault->point);
	look_after(look, ctx);
	look->signals = signals_seen(SIGUSR1) > 0;
	look->next = what_is_left(ctx, fd);
	end_context(ctx);
	drop(fd);
	drop(ready);
}

static void equal_call(const char *name, const char *point, int info, int error)
{
	of_truth = (struct fault){ point, info };
	of_call = (struct fault){ name, error };
	compare(error, see_call);
}

static long destroy_it(aio_handle ctx, struct look *look)
{
	return aio->destroy(ctx);
}

static long destroy_another(aio_handle ctx, struct look *look)
{
	return aio->destroy(ctx + PAGE_SIZE);
}

CASE(fault, equal_destroy_einval,
     "injected EINVAL of io_destroy() is like that of no context",
     .clause = "io_destroy.einval.ctx", .fault = "aio/io_destroy")
{
	call = destroy_it;
	call_to_blame = destroy_another;
	equal_call("aio/io_destroy", NULL, 0, EINVAL);
}

CASE(fault, equal_destroy_enosys,
     "injected ENOSYS of io_destroy() is like a filter's",
     .clause = "io_destroy.enosys", .fault = "aio/io_destroy",
     .needs = "seccomp")
{
	call = destroy_it;
	equal_call("aio/io_destroy", "seccomp/errno", ENOSYS, ENOSYS);
}

/* --- io_submit --- */

static long submit_first(aio_handle ctx, struct look *look)
{
	return submit_one(ctx, &requests[0]);
}

static long submit_flagged(aio_handle ctx, struct look *look)
{
	long result;

	requests[0].aio_reserved2 = 1;
	result = submit_first(ctx, look);
	requests[0].aio_reserved2 = 0;
	return result;
}

static long submit_closed(aio_handle ctx, struct look *look)
{
	uint32_t fd = requests[0].aio_fildes;
	long result;

	requests[0].aio_fildes = (uint32_t)-1;
	result = submit_first(ctx, look);
	requests[0].aio_fildes = fd;
	return result;
}

CASE(fault, equal_submit_einval,
     "injected EINVAL of io_submit() is like that of a reserved field",
     .clause = "io_submit.einval.reserved2", .fault = "aio/io_submit")
{
	call = submit_first;
	call_to_blame = submit_flagged;
	equal_call("aio/io_submit", NULL, 0, EINVAL);
}

CASE(fault, equal_submit_ebadf,
     "injected EBADF of io_submit() is like that of no descriptor",
     .clause = "io_submit.ebadf.closed", .fault = "aio/io_submit")
{
	call = submit_first;
	call_to_blame = submit_closed;
	equal_call("aio/io_submit", NULL, 0, EBADF);
}

CASE(fault, equal_submit_efault,
     "injected EFAULT of io_submit() is like that of no request there",
     .clause = "io_submit.efault.iocb", .fault = "aio/io_submit")
{
	call = submit_first;
	equal_call("aio/io_submit", "mm/iocb", 0, EFAULT);
	ROUND("a list that is not there");
	equal_call("aio/io_submit", "mm/list", 0, EFAULT);
}

CASE(fault, equal_submit_enosys,
     "injected ENOSYS of io_submit() is like a filter's",
     .clause = "io_setup.enosys.filter", .fault = "aio/io_submit",
     .needs = "seccomp")
{
	call = submit_first;
	equal_call("aio/io_submit", "seccomp/errno", ENOSYS, ENOSYS);
}

/* A ring that is full, and one that has room for one. */
static void see_full(struct look *look, enum way way)
{
	aio_handle ctx = new_context(1);
	unsigned int room = ring_capacity(ring_of(ctx)->nr), i;
	struct iocb *polls = GUARDED_ARRAY(struct iocb, room);
	int fd = open_eventfd(0, EFD_NONBLOCK);
	struct io_event event;

	if (way == INJECTED)
		room--;
	for (i = 0; i < room; i++)
		stage_submit(ctx, prep_poll(&polls[i], fd, POLLIN));
	request(0, fd);
	if (way == INJECTED)
		fault_on("aio/io_submit", EAGAIN);
	look->result = submit_one(ctx, &requests[0]);
	if (way == INJECTED)
		fault_off("aio/io_submit");
	look_after(look, ctx);
	/* one away, and there is room for it */
	STAGE_EQ(-EINPROGRESS, aio->cancel(ctx, &polls[0], &event));
	stage_reap(ctx, 1, &event);
	look->next = submit_one(ctx, &requests[0]);
	end_context(ctx);
	drop(fd);
}

CASE(fault, equal_submit_eagain,
     "injected EAGAIN of io_submit() is like a full ring",
     .clause = "io_submit.eagain.full", .fault = "aio/io_submit",
     .flavours = RAW)
{
	pin_to_cpu(0);
	compare(EAGAIN, see_full);
}

#define SEGMENTS 16 /* more than the kernel inlines */

/* A vector, for which the kernel needs memory. */
static long submit_vector(aio_handle ctx, struct look *look)
{
	static struct iovec segments[SEGMENTS];
	static char bytes[SEGMENTS];
	int fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	unsigned int i;
	long result;

	REQUIRE(fd >= 0);
	for (i = 0; i < SEGMENTS; i++)
		segments[i] = (struct iovec){ &bytes[i], 1 };
	prep_readv(&requests[0], fd, segments, SEGMENTS, 0);
	requests[0].aio_key = KEY;
	result = submit_first(ctx, look);
	requests[0].aio_fildes = 0;
	close(fd);
	return result;
}

/* Which of the kernel's allocations it is that gives ENOMEM. */
static int allocation_of_vector(void)
{
	aio_handle ctx = new_context(FEW);
	struct io_event event;
	long result = 0;
	int n;

	for (n = 1; result != -ENOMEM; n++) {
		fault_once("kernel/io_submit", n);
		result = submit_vector(ctx, NULL);
		if (!fault_off_if("kernel/io_submit"))
			end_broken(__FILE__, __LINE__, "no allocation of %d",
				   n - 1);
		if (result == 1)
			stage_reap(ctx, 1, &event);
	}
	end_context(ctx);
	return n - 1;
}

CASE(fault, equal_submit_enomem,
     "injected ENOMEM of io_submit() is like no memory for a vector",
     .clause = "ops.preadv.enomem", .fault = "aio/io_submit",
     .needs = "fail_nth", .flavours = RAW)
{
	int n = allocation_of_vector();

	call = submit_vector;
	equal_call("aio/io_submit", "kernel/io_submit", n, ENOMEM);
}

/* Of three the third is not taken, be it bad or not. */
static void see_short(struct look *look, enum way way)
{
	struct iocb *list[IOCBS];
	aio_handle ctx = new_context(FEW);
	int fd = open_eventfd(1, EFD_NONBLOCK);
	unsigned int i;

	for (i = 0; i < IOCBS; i++)
		list[i] = request(i, fd);
	if (way == TRULY)
		requests[IOCBS - 1].aio_fildes = (uint32_t)-1;
	else
		fault_on("aio/io_submit/short", 1);
	look->result = aio->submit(ctx, IOCBS, list);
	if (way == INJECTED)
		fault_off("aio/io_submit/short");
	requests[IOCBS - 1].aio_fildes = (uint32_t)fd;
	look_after(look, ctx);
	look->next = submit_one(ctx, list[IOCBS - 1]);
	end_context(ctx);
	drop(fd);
}

CASE(fault, equal_submit_short,
     "a list injected to be taken in part is like one with a bad request",
     .clause = "io_submit.einval.opcode", .fault = "aio/io_submit/short")
{
	compare(1 - IOCBS, see_short);
}

/* --- io_cancel --- */

static long cancel_first(aio_handle ctx, struct look *look)
{
	return aio->cancel(ctx, &requests[0], &look->events[0]);
}

static long cancel_stranger(aio_handle ctx, struct look *look)
{
	long result;

	requests[0].aio_key = 0;
	result = cancel_first(ctx, look);
	requests[0].aio_key = KEY;
	return result;
}

static long cancel_nowhere(aio_handle ctx, struct look *look)
{
	return aio->cancel(ctx, nowhere(), &look->events[0]);
}

CASE(fault, equal_cancel_einval,
     "injected EINVAL of io_cancel() is like that of no such request",
     .clause = "io_cancel.einval.never_submitted", .fault = "aio/io_cancel")
{
	call = cancel_first;
	call_to_blame = cancel_stranger;
	equal_call("aio/io_cancel", NULL, 0, EINVAL);
}

CASE(fault, equal_cancel_efault,
     "injected EFAULT of io_cancel() is like that of no request there",
     .clause = "io_cancel.efault.iocb", .fault = "aio/io_cancel")
{
	call = cancel_first;
	call_to_blame = cancel_nowhere;
	equal_call("aio/io_cancel", NULL, 0, EFAULT);
}

CASE(fault, equal_cancel_enosys,
     "injected ENOSYS of io_cancel() is like a filter's",
     .clause = "io_cancel.enosys", .fault = "aio/io_cancel", .needs = "seccomp")
{
	call = cancel_first;
	equal_call("aio/io_cancel", "seccomp/errno", ENOSYS, ENOSYS);
}

/* --- io_getevents, io_pgetevents --- */

static long reap(aio_handle ctx, struct look *look)
{
	return aio->getevents(ctx, 1, EVENTS, look->events, NULL);
}

static long reap_too_many(aio_handle ctx, struct look *look)
{
	return aio->getevents(ctx, EVENTS, 1, look->events, NULL);
}

static long reap_masked(aio_handle ctx, struct look *look)
{
	const struct aio_usig usig = { NULL, KERNEL_SIGSET_SIZE };

	return aio->pgetevents_usig(ctx, 1, EVENTS, look->events, NULL, &usig);
}

static long reap_mask_too_big(aio_handle ctx, struct look *look)
{
	const sigset_t none = { 0 };
	const struct aio_usig usig = { &none, KERNEL_SIGSET_SIZE + 1 };

	return aio->pgetevents_usig(ctx, 1, EVENTS, look->events, NULL, &usig);
}

static void see_reap_interrupted(struct look *look, enum way way)
{
	if (way == INJECTED)
		raise(SIGUSR1);
	see_call(look, way);
}

static void equal_eintr(const char *name)
{
	count_signal(SIGUSR1, 0);
	of_truth = (struct fault){ "signal/handled", SIGUSR1 };
	of_call = (struct fault){ name, EINTR };
	compare(EINTR, see_reap_interrupted);
}

CASE(fault, equal_getevents_eintr,
     "injected EINTR of io_getevents() is like a signal's",
     .clause = "io_getevents.signal.eintr", .fault = "aio/io_getevents")
{
	call = reap;
	equal_eintr("aio/io_getevents");
}

CASE(fault, equal_pgetevents_eintr,
     "injected EINTR of io_pgetevents() is like a signal's",
     .clause = "io_pgetevents.as_getevents", .fault = "aio/io_pgetevents",
     .flavours = RAW)
{
	call = reap_masked;
	equal_eintr("aio/io_pgetevents");
}

CASE(fault, equal_getevents_einval,
     "injected EINVAL of io_getevents() is like that of a bad number",
     .clause = "io_getevents.einval.min_nr_over_nr",
     .fault = "aio/io_getevents")
{
	call = reap;
	call_to_blame = reap_too_many;
	equal_call("aio/io_getevents", NULL, 0, EINVAL);
}

CASE(fault, equal_pgetevents_einval,
     "injected EINVAL of io_pgetevents() is like that of a bad size",
     .clause = "io_pgetevents.einval.sigsetsize", .fault = "aio/io_pgetevents",
     .flavours = RAW)
{
	call = reap_masked;
	call_to_blame = reap_mask_too_big;
	equal_call("aio/io_pgetevents", NULL, 0, EINVAL);
}

CASE(fault, equal_pgetevents_efault,
     "injected EFAULT of io_pgetevents() is like that of no mask there",
     .clause = "io_pgetevents.efault.usig", .fault = "aio/io_pgetevents",
     .flavours = RAW)
{
	call = reap_masked;
	equal_call("aio/io_pgetevents", "mm/usig", 0, EFAULT);
}

CASE(fault, equal_getevents_enosys,
     "injected ENOSYS of io_getevents() is like a filter's",
     .clause = "io_setup.enosys.filter", .fault = "aio/io_getevents",
     .needs = "seccomp")
{
	call = reap;
	equal_call("aio/io_getevents", "seccomp/errno", ENOSYS, ENOSYS);
}

CASE(fault, equal_pgetevents_enosys,
     "injected ENOSYS of io_pgetevents() is like a filter's",
     .clause = "io_setup.enosys.filter", .fault = "aio/io_pgetevents",
     .flavours = RAW, .needs = "seccomp")
{
	call = reap_masked;
	equal_call("aio/io_pgetevents", "seccomp/errno", ENOSYS, ENOSYS);
}

/* An event is there, and cannot be given. */
static void see_reap_efault(struct look *look, enum way way)
{
	aio_handle ctx = new_context(FEW);
	struct io_event event;

	stage_events(ctx, 1, requests);
	fault_on(way == TRULY ? "mm/events" : "aio/io_getevents",
		 way == TRULY ? 0 : EFAULT);
	look->result = aio->getevents(ctx, 1, EVENTS, look->events, NULL);
	fault_off(way == TRULY ? "mm/events" : "aio/io_getevents");
	look_after(look, ctx);
	requests[0].aio_fildes = 0;
	memcpy(look->iocbs, requests, sizeof(requests));
	look->next = aio->getevents(ctx, 1, 1, &event, NULL);
	look->events[0] = event;
	end_context(ctx);
}

CASE(fault, equal_getevents_efault,
     "injected EFAULT of io_getevents() loses no event, as a true one",
     .clause = "io_getevents.efault.nothing_lost", .fault = "aio/io_getevents")
{
	compare(EFAULT, see_reap_efault);
}

static long getevents(aio_handle ctx, long n, struct io_event *events,
		      struct timespec *timeout)
{
	return aio->getevents(ctx, n, n, events, timeout);
}

static long pgetevents(aio_handle ctx, long n, struct io_event *events,
		       struct timespec *timeout)
{
	return aio->pgetevents(ctx, n, n, events, timeout, NULL);
}

static long (*reap_all)(aio_handle ctx, long n, struct io_event *events,
			struct timespec *timeout) = getevents;
static const char *fault_short = "aio/io_getevents/short";
static const char *fault_early = "aio/io_getevents/early";

static void by_pgetevents(void)
{
	reap_all = pgetevents;
	fault_short = "aio/io_pgetevents/short";
	fault_early = "aio/io_pgetevents/early";
}

/* Two are waited for, one is there. */
static void see_reap_one(struct look *look, const char *point, int info,
			 struct timespec *timeout)
{
	aio_handle ctx = new_context(FEW);
	struct iocb later;
	int fd;

	stage_events(ctx, 1, requests);
	fd = stage_poll(ctx, &later);
	if (point)
		fault_on(point, info);
	look->result = reap_all(ctx, EVENTS, look->events, timeout);
	if (point)
		fault_off(point);
	look->unread = ring_unread(ctx);
	look->next = what_is_left(ctx, fd);
	end_context(ctx);
	drop(fd);
}

static void see_reap_short(struct look *look, enum way way)
{
	if (way == TRULY)
		see_reap_one(look, "signal/handled", SIGUSR1, NULL);
	else
		see_reap_one(look, fault_short, 1, NULL);
}

CASE(fault, equal_getevents_short,
     "io_getevents() injected to give less is like one that a signal ends",
     .clause = "io_getevents.signal.partial", .fault = "aio/io_getevents/short")
{
	count_signal(SIGUSR1, 0);
	compare(-1, see_reap_short);
}

CASE(fault, equal_pgetevents_short,
     "io_pgetevents() injected to give less is like one that a signal ends",
     .clause = "io_pgetevents.as_getevents", .fault = "aio/io_pgetevents/short")
{
	by_pgetevents();
	count_signal(SIGUSR1, 0);
	compare(-1, see_reap_short);
}

static void see_reap_early(struct look *look, enum way way)
{
	struct timespec moment = millis(1), hour = { .tv_sec = 3600 };

	if (way == TRULY)
		see_reap_one(look, NULL, 0, &moment);
	else
		see_reap_one(look, fault_early, 0, &hour);
}

CASE(fault, equal_getevents_early,
     "io_getevents() injected not to wait is like one whose time is out",
     .clause = "io_getevents.timeout.partial",
     .fault = "aio/io_getevents/early")
{
	compare(-1, see_reap_early);
}

CASE(fault, equal_pgetevents_early,
     "io_pgetevents() injected not to wait is like one whose time is out",
     .clause = "io_pgetevents.as_getevents", .fault = "aio/io_pgetevents/early")
{
	by_pgetevents();
	compare(-1, see_reap_early);
}

/* --- events --- */

/* A write to a file that fails it, and one to a file that does not. */
static void see_event(struct look *look, enum way way, int error)
{
	char *buffer = io_buffer(HELD_BLOCK);
	int fd, told = open_eventfd(0, EFD_NONBLOCK);
	struct held *held = held_open(&fd);
	aio_handle ctx;

	if (way == INJECTED)
		fault_on("aio/event", error);
	ctx = new_context(FEW);
	if (way == TRULY)
		hold(held, HOLD_WRITES);
	stage_submit(ctx,
		     notify(prep_write(&requests[0], fd, buffer, HELD_BLOCK, 0),
			    told));
	if (way == TRULY) {
		held_wait(held, 1);
		release_at(held, 0, error);
	}
	look->next = aio->getevents(ctx, 1, EVENTS, look->events, NULL);
	if (way == INJECTED)
		fault_off("aio/event");
	fault_ring(false);
	look->result = (long)look->events[0].res;
	look->unread = ring_unread(ctx);
	look->told = (long)eventfd_take(told);
	end_context(ctx);
	drop(told);
}

#define EQUAL_EVENT(name, error_, clause_)                                     \
	static void see_event_##name(struct look *look, enum way way)          \
	{                                                                      \
		see_event(look, way, error_);                                  \
	}                                                                      \
	CASE(fault, equal_event_##name,                                        \
	     "an event injected to say " #error_ " is like a failing file's",  \
	     .clause = clause_, .fault = "aio/event", .needs = "held eventfd") \
	{                                                                      \
		compare(error_, see_event_##name);                             \
	}

EQUAL_EVENT(eio, EIO, "ops.event.res")
EQUAL_EVENT(enospc, ENOSPC, "ops.pwrite.enospc")
EQUAL_EVENT(eagain, EAGAIN, "ops.event.res")

/*
 * A read of a pipe, that waits and is interrupted; injected, one that is not.
 * Without data the one, with data that is read the other: nothing is left.
 */
static void see_event_eintr(struct look *look, enum way way)
{
	static char byte;
	int ends[2], told = open_eventfd(0, EFD_NONBLOCK);
	struct one_submission submission = { .iocb = &requests[0] };
	struct thread *thread;

	open_pipe(ends, 0);
	if (way == INJECTED) {
		fault_on("aio/event", EINTR);
		REQUIRE(write(ends[1], "x", 1) == 1);
	}
	submission.ctx = new_context(FEW);
	notify(prep_read(&requests[0], ends[0], &byte, 1, 0), told);
	thread = thread_run(submit_one_of, &submission);
	if (way == TRULY) {
		wait_asleep_in(thread_tid(thread), SYS_io_submit);
		signal_thread(thread_tid(thread), SIGUSR1);
	}
	thread_join(thread);
	look->next =
		aio->getevents(submission.ctx, 1, EVENTS, look->events, NULL);
	if (way == INJECTED)
		fault_off("aio/event");
	fault_ring(false);
	look->result = (long)look->events[0].res;
	look->handle_changed = submission.result;
	look->unread = ring_unread(submission.ctx);
	look->told = (long)eventfd_take(told);
	end_context(submission.ctx);
	drop(told);
}

CASE(fault, equal_event_eintr,
     "an event injected to say EINTR is like that of an interrupted read",
     .clause = "ops.signal.eintr", .fault = "aio/event",
     .needs = "task_syscall eventfd")
{
	count_signal(SIGUSR1, 0);
	compare(EINTR, see_event_eintr);
}

#define LONG 60000 /* milliseconds for one event to come after another */
#define LATE 20	   /* of an event that does come */

/* Until then nothing is asked for. */
static void let_pass(int64_t until)
{
	struct timespec timeout = millis(LATE);
	struct io_event event;
	aio_handle idle = new_context(1);

	while (now_ns() < until)
		STAGE_EQ(0, aio->getevents(idle, 1, 1, &event, &timeout));
	end_context(idle);
}

struct slow {
	int fd;
	struct held *held;
	aio_handle ctx;
	int64_t begin;
};

/* Some writes to a file that holds them, or whose events a point holds. */
static struct slow slow_writes(enum way way, unsigned int n, int told)
{
	unsigned char *buffer = io_buffer(EVENTS * HELD_BLOCK);
	struct slow slow;
	unsigned int i;

	slow.held = held_open(&slow.fd);
	slow.ctx = new_context(FEW);
	if (way == TRULY)
		hold(slow.held, HOLD_WRITES);
	slow.begin = now_ns();
	for (i = 0; i < n; i++) {
		prep_write(&requests[i], slow.fd, buffer + i * HELD_BLOCK,
			   HELD_BLOCK, i * HELD_BLOCK);
		stage_submit(slow.ctx, notify(&requests[i], told));
		/* not the same in both looks */
		requests[i].aio_buf = 0;
		requests[i].aio_fildes = requests[i].aio_resfd = 0;
	}
	if (way == TRULY)
		held_wait(slow.held, n);
	return slow;
}

/* Before it comes there is nothing, for nobody. */
static void see_not_yet(struct look *look, enum way way)
{
	int told = open_eventfd(0, EFD_NONBLOCK);
	struct timespec moment = millis(LATE);
	struct slow slow;

	if (way == INJECTED)
		fault_on("aio/event/late", LONG);
	slow = slow_writes(way, 1, told);
	if (way == INJECTED)
		fault_wait("aio/event/late");
	look->result =
		aio->getevents(slow.ctx, 1, EVENTS, look->events, &moment);
	if (way == INJECTED)
		fault_off("aio/event/late");
	fault_ring(false);
	look->told = (long)eventfd_take(told);
	look_after(look, slow.ctx);
	look->rings = 0; /* of the two that there are one is ours */
	look->next = aio->cancel(slow.ctx, &requests[0], &look->events[1]);
	release_all(slow.held);
	end_context(slow.ctx);
	drop(told);
}

/* And when its time has come it is as any other. */
static void see_late(struct look *look, enum way way)
{
	int told = open_eventfd(0, EFD_NONBLOCK);
	struct slow slow;

	if (way == INJECTED)
		fault_on("aio/event/late", LATE);
	slow = slow_writes(way, 1, told);
	if (way == TRULY) {
		let_pass(slow.begin + LATE * NSEC_PER_MSEC);
		release_all(slow.held);
	}
	look->next = aio->getevents(slow.ctx, 1, EVENTS, look->events, NULL);
	look->result = slow.begin + LATE * NSEC_PER_MSEC <= now_ns() ? -1 : 0;
	if (way == INJECTED)
		fault_off("aio/event/late");
	fault_ring(false);
	look->told = (long)eventfd_take(told);
	look->unread = ring_unread(slow.ctx);
	memcpy(look->iocbs, requests, sizeof(requests));
	end_context(slow.ctx);
	drop(told);
}

CASE(fault, equal_event_late,
     "an event injected to be late is like that of a slow file",
     .clause = "ops.order.none", .fault = "aio/event/late",
     .needs = "held eventfd")
{
	compare(0, see_not_yet);
	compare(1, see_late);
}

/* The first has come, and the second will not for long. */
static void see_apart(struct look *look, enum way way)
{
	int told = open_eventfd(0, EFD_NONBLOCK);
	struct timespec moment = millis(LATE);
	struct slow slow;

	if (way == INJECTED)
		fault_hit("aio/event/spread", LONG, 2);
	slow = slow_writes(way, EVENTS, told);
	if (way == TRULY)
		release_at(slow.held, 0, 0);
	else
		fault_wait("aio/event/spread");
	WAIT_FOR(ring_unread(slow.ctx));
	look->result = -aio->getevents(slow.ctx, EVENTS, EVENTS, look->events,
				       &moment);
	if (way == INJECTED)
		fault_off("aio/event/spread");
	fault_ring(false);
	look->told = (long)eventfd_take(told);
	look_after(look, slow.ctx);
	look->rings = 0;
	release_all(slow.held);
	end_context(slow.ctx);
	drop(told);
}

/* One by one, with time between them. */
static void see_spread(struct look *look, enum way way)
{
	int told = open_eventfd(0, EFD_NONBLOCK);
	struct slow slow;
	int64_t last;
	unsigned int i;

	if (way == INJECTED)
		fault_on("aio/event/spread", LATE);
	slow = slow_writes(way, EVENTS, told);
	last = slow.begin + EVENTS * LATE * NSEC_PER_MSEC;
	for (i = 0; way == TRULY && i < EVENTS; i++) {
		let_pass(slow.begin + (i + 1) * LATE * NSEC_PER_MSEC);
		release_at(slow.held, i * HELD_BLOCK, 0);
	}
	look->next =
		aio->getevents(slow.ctx, EVENTS, EVENTS, look->events, NULL);
	look->result = last <= now_ns() ? -1 : 0;
	if (way == INJECTED)
		fault_off("aio/event/spread");
	fault_ring(false);
	look->told = (long)eventfd_take(told);
	look->unread = ring_unread(slow.ctx);
	memcpy(look->iocbs, requests, sizeof(requests));
	end_context(slow.ctx);
	drop(told);
}

CASE(fault, equal_event_spread,
     "events injected to come one by one are like those of a slow file",
     .clause = "ops.order.none", .fault = "aio/event/spread",
     .needs = "held eventfd")
{
	compare(1, see_apart);
	compare(1, see_spread);
}

/* Two writes, of which the second is done first. */
static void see_reordered(struct look *look, enum way way)
{
	char *buffer = io_buffer(EVENTS * HELD_BLOCK);
	unsigned int i;
	int fd;
	struct held *held = held_open(&fd);
	aio_handle ctx;

	if (way == INJECTED)
		fault_hit("aio/event/reorder", LONG, 1);
	ctx = new_context(FEW);
	if (way == TRULY)
		hold(held, HOLD_WRITES);
	for (i = 0; i < EVENTS; i++) {
		stage_submit(ctx, prep_write(&requests[i], fd,
					     buffer + i * HELD_BLOCK,
					     HELD_BLOCK, i * HELD_BLOCK));
		requests[i].aio_buf = 0;
	}
	if (way == TRULY) {
		held_wait(held, EVENTS);
		release_at(held, HELD_BLOCK, 0);
		WAIT_FOR(ring_unread(ctx) == 1);
		release_at(held, 0, 0);
	}
	look->next = aio->getevents(ctx, EVENTS, EVENTS, look->events, NULL);
	if (way == INJECTED)
		fault_off("aio/event/reorder");
	fault_ring(false);
	look->result = look->events[0].obj == (uintptr_t)&requests[1];
	look->unread = ring_unread(ctx);
	end_context(ctx);
}

CASE(fault, equal_event_reorder,
     "events injected to overtake are like those of a file that has it so",
     .clause = "ops.order.none", .fault = "aio/event/reorder", .needs = "held")
{
	compare(-1, see_reordered);
}

#define WHOLE 1024
#define PART  512

/* A file of half the length, and one of the whole. */
static void see_event_short(struct look *look, enum way way)
{
	static char buffer[WHOLE];
	int fd = keep(memfd_create("aioabi", MFD_CLOEXEC));
	aio_handle ctx;

	REQUIRE(!ftruncate(fd, way == TRULY ? PART : WHOLE));
	if (way == INJECTED)
		fault_on("aio/event/short", WHOLE - PART);
	ctx = new_context(FEW);
	stage_submit(ctx, prep_read(&requests[0], fd, buffer, WHOLE, 0));
	look->next = aio->getevents(ctx, 1, EVENTS, look->events, NULL);
	if (way == INJECTED)
		fault_off("aio/event/short");
	fault_ring(false);
	look->result = (long)look->events[0].res;
	look->unread = ring_unread(ctx);
	end_context(ctx);
	drop(fd);
}

CASE(fault, equal_event_short,
     "an event injected to be short is like that of a file's end",
     .clause = "ops.pread.short", .fault = "aio/event/short", .needs = "memfd")
{
	compare(-PART, see_event_short);
}
