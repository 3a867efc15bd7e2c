// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libaiofault.so: the points under any program that calls libaio, or syscall(2)
 * of the C library. Preload it; what is to fail is said as for any program
 * with libfiu, by FIU_ENABLE and, for fiu-ctrl, FIU_CTRL_FIFO; besides
 *
 *	AIOFAULT_HITS	NAME=N:INFO;...	the Nth time alone
 *	AIOFAULT_RING	1		contexts have a ring of ours, so that
 *					events can be made to fail later, too
 *	AIOFAULT_COUNTS	FILE		what was asked and failed, in all
 *					processes: two numbers of 32 bits for
 *					each point of points.def
 *
 * While nothing is enabled a call costs a few nanoseconds more.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#define FIU_ENABLE
#include <fiu.h>
#include <fiu-control.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "control.h"

#define OURS	   __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* --- what libfiu is told, from within or from without --- */

static void enabled(const char *name, int result)
{
	if (result)
		return;
	if (fault_is_event(name))
		fault_ring_wanted = true;
	__atomic_fetch_add(&fault_enabled, 1, __ATOMIC_RELAXED);
}

OURS int fiu_enable(const char *name, int failnum, void *failinfo,
		    unsigned int flags)
{
	int result = REAL(fiu_enable)(name, failnum, failinfo, flags);

	enabled(name, result);
	return result;
}

OURS int fiu_enable_random(const char *name, int failnum, void *failinfo,
			   unsigned int flags, float probability)
{
	int result = REAL(fiu_enable_random)(name, failnum, failinfo, flags,
					     probability);

	enabled(name, result);
	return result;
}

OURS int fiu_enable_external(const char *name, int failnum, void *failinfo,
			     unsigned int flags, external_cb_t *external_cb)
{
	int result = REAL(fiu_enable_external)(name, failnum, failinfo, flags,
					       external_cb);

	enabled(name, result);
	return result;
}

OURS int fiu_enable_stack_by_name(const char *name, int failnum, void *failinfo,
				  unsigned int flags, const char *func_name,
				  int func_pos_in_stack)
{
	int result = REAL(fiu_enable_stack_by_name)(
		name, failnum, failinfo, flags, func_name, func_pos_in_stack);

	enabled(name, result);
	return result;
}

OURS int fiu_disable(const char *name)
{
	int result = REAL(fiu_disable)(name);

	if (!result)
		__atomic_fetch_sub(&fault_enabled, 1, __ATOMIC_RELAXED);
	return result;
}

/* --- the environment --- */

static void die(const char *what, const char *why)
{
	fprintf(stderr, "libaiofault: %s: %s\n", what, why);
	exit(2);
}

/* One command a line. */
static void take_commands(const char *text)
{
	char *commands = strdup(text), *rest = commands, *line, *why = NULL;

	while (commands && (line = strsep(&rest, "\n")))
		if (*line && fiu_rc_string(line, &why))
			die(line, why ? why : "not understood");
	free(commands);
}

static void take_hits(const char *text)
{
	char *hits = strdup(text), *rest = hits, *one, name[64];
	unsigned int nth;
	int info;

	while (hits && (one = strsep(&rest, ";"))) {
		if (!*one)
			continue;
		if (sscanf(one, "%63[^=]=%u:%d", name, &nth, &info) != 3 ||
		    !nth || nth > 64 ||
		    !fault_enable_hits(name, info, 1ull << (nth - 1)))
			die(one, "not a point, or not a time from 1 to 64");
	}
	free(hits);
}

static void count_in(const char *path)
{
	size_t size = fault_point_count * sizeof(struct fault_counts);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *map = MAP_FAILED;

	if (fd >= 0 && !ftruncate(fd, (off_t)size))
		map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
			   0);
	if (map == MAP_FAILED)
		die(path, strerror(errno));
	close(fd);
	fault_count_in(map);
}

__attribute__((constructor)) static void start(void)
{
	const char *text;

	if (fiu_init(0))
		die("libfiu", "it does not start");
	text = getenv("AIOFAULT_COUNTS");
	if (text)
		count_in(text);
	text = getenv("AIOFAULT_RING");
	if (text)
		fault_ring_wanted = *text == '1';
	text = getenv("FIU_ENABLE");
	if (text)
		take_commands(text);
	text = getenv("AIOFAULT_HITS");
	if (text)
		take_hits(text);
	text = getenv("FIU_CTRL_FIFO");
	if (text && fiu_rc_fifo(text))
		die(text, strerror(errno));
}

/* --- the calls --- */

static long (*libc_syscall)(long number, ...);

static long (*real_syscall(void))(long number, ...)
{
	if (!libc_syscall)
		libc_syscall = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
	return libc_syscall;
}

/* What lib/flavour_raw.c calls here, since syscall() is ours. */
long fault_syscall(long number, ...);
long fault_syscall(long number, ...)
{
	long args[6];
	va_list list;
	int i;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	return real_syscall()(number, args[0], args[1], args[2], args[3],
			      args[4], args[5]);
}

/* libaio gives -errno, and leaves errno alone. */
static int call(const struct aio_args *args)
{
	int saved = errno;
	long result = fault_handler(args);

	errno = saved;
	return (int)result;
}

#define CALL(...) call(&(const struct aio_args){ __VA_ARGS__ })

OURS int io_setup(int nr_events, aio_handle *ctxp);
int io_setup(int nr_events, aio_handle *ctxp)
{
	return CALL(.call = CALL_SETUP, .nr_events = (unsigned int)nr_events,
		    .ctxp = ctxp);
}

OURS int io_destroy(aio_handle ctx);
int io_destroy(aio_handle ctx)
{
	return CALL(.call = CALL_DESTROY, .ctx = ctx);
}

OURS int io_submit(aio_handle ctx, long nr, struct iocb **iocbpp);
int io_submit(aio_handle ctx, long nr, struct iocb **iocbpp)
{
	return CALL(.call = CALL_SUBMIT, .ctx = ctx, .nr = nr,
		    .iocbpp = iocbpp);
}

OURS int io_cancel(aio_handle ctx, struct iocb *iocb, struct io_event *event);
int io_cancel(aio_handle ctx, struct iocb *iocb, struct io_event *event)
{
	return CALL(.call = CALL_CANCEL, .ctx = ctx, .iocb = iocb,
		    .events = event);
}

OURS int io_getevents(aio_handle ctx, long min_nr, long nr,
		      struct io_event *events, struct timespec *timeout);
int io_getevents(aio_handle ctx, long min_nr, long nr, struct io_event *events,
		 struct timespec *timeout)
{
	return CALL(.call = CALL_GETEVENTS, .ctx = ctx, .min_nr = min_nr,
		    .nr = nr, .events = events, .timeout = timeout);
}

OURS int io_pgetevents(aio_handle ctx, long min_nr, long nr,
		       struct io_event *events, struct timespec *timeout,
		       sigset_t *mask);
int io_pgetevents(aio_handle ctx, long min_nr, long nr, struct io_event *events,
		  struct timespec *timeout, sigset_t *mask)
{
	return CALL(.call = CALL_PGETEVENTS, .ctx = ctx, .min_nr = min_nr,
		    .nr = nr, .events = events, .timeout = timeout,
		    .mask = mask);
}

/* --- the calls by number --- */

/* What a call that has no number here asks for is not ours. */
static bool args_of(long number, const long a[6], struct aio_args *args)
{
	switch (number) {
	case SYS_io_setup:
		*args = (struct aio_args){ .call = CALL_SETUP,
					   .nr_events = (unsigned int)a[0],
					   .ctxp = (aio_handle *)a[1] };
		return true;
	case SYS_io_destroy:
		*args = (struct aio_args){ .call = CALL_DESTROY,
					   .ctx = (aio_handle)a[0] };
		return true;
	case SYS_io_submit:
		*args = (struct aio_args){ .call = CALL_SUBMIT,
					   .ctx = (aio_handle)a[0],
					   .nr = a[1],
					   .iocbpp = (struct iocb **)a[2] };
		return true;
	case SYS_io_cancel:
		*args = (struct aio_args){ .call = CALL_CANCEL,
					   .ctx = (aio_handle)a[0],
					   .iocb = (struct iocb *)a[1],
					   .events = (struct io_event *)a[2] };
		return true;
	case SYS_io_getevents:
	case SYS_io_pgetevents:
		*args = (struct aio_args){
			.call = number == SYS_io_getevents
					? CALL_GETEVENTS
					: CALL_PGETEVENTS_USIG,
			.ctx = (aio_handle)a[0],
			.min_nr = a[1],
			.nr = a[2],
			.events = (struct io_event *)a[3],
			.timeout = (struct timespec *)a[4],
			.mask = number == SYS_io_getevents ? NULL
							   : (void *)a[5],
		};
		return true;
	default:
		return false;
	}
}

OURS long syscall(long number, ...)
{
	struct aio_args args;
	long a[6], result;
	va_list list;
	int i;

	va_start(list, number);
	for (i = 0; i < 6; i++)
		a[i] = va_arg(list, long);
	va_end(list);
	if (!args_of(number, a, &args))
		return real_syscall()(number, a[0], a[1], a[2], a[3], a[4],
				      a[5]);
	result = fault_handler(&args);
	if (result >= 0)
		return result;
	errno = (int)-result;
	return -1;
}

/* --- the user's memory and descriptors --- */

OURS int posix_memalign(void **memory, size_t alignment, size_t size)
{
	int info;

	if (fault_ask("libc/posix_memalign", &info))
		return info;
	return REAL(posix_memalign)(memory, alignment, size);
}

OURS int eventfd(unsigned int initial, int flags);
int eventfd(unsigned int initial, int flags)
{
	int info;

	if (!fault_ask("libc/eventfd", &info))
		return REAL(eventfd)(initial, flags);
	errno = info;
	return -1;
}
