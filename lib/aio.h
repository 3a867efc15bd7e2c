// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The six system calls as a table of functions, one table per flavour.
 *
 * Whatever the flavour, a call gives what the kernel gives: a result, or a
 * negative errno; errno itself means nothing here. Cases call through `aio`,
 * which also writes down every call for the diagnostics.
 */
#ifndef AIOABI_AIO_H
#define AIOABI_AIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <time.h>

struct iocb;
struct io_event;

/* aio_context_t of linux/aio_abi.h; spelt out since libaio.h clashes with it */
typedef unsigned long aio_handle;

enum flavour_bit {
	RAW = 1,	/* syscall(2) */
	LIBAIO = 2,	/* libaio's wrappers, linked statically */
	PGETEVENTS = 4, /* syscall(2), io_pgetevents in place of io_getevents */
	COMPAT32 = 8,	/* syscall(2) of a 32-bit program on a 64-bit kernel */
	/*
	 * RAW, and not again by 32-bit programs: nothing that they have of
	 * their own is on the way.
	 */
	NATIVE = RAW | 16,
	/* as COMPAT32, io_pgetevents_time64 in place of io_getevents */
	TIME64 = 32,
};

/* What io_pgetevents(2) takes as its last argument: struct __aio_sigset. */
struct aio_usig {
	const void *mask;
	size_t size;
};

struct aio_calls {
	long (*setup)(unsigned int nr_events, aio_handle *ctxp);
	long (*destroy)(aio_handle ctx);
	long (*submit)(aio_handle ctx, long nr, struct iocb **iocbpp);
	long (*cancel)(aio_handle ctx, struct iocb *iocb,
		       struct io_event *result);
	long (*getevents)(aio_handle ctx, long min_nr, long nr,
			  struct io_event *events, struct timespec *timeout);
	long (*pgetevents)(aio_handle ctx, long min_nr, long nr,
			   struct io_event *events, struct timespec *timeout,
			   const sigset_t *mask);
	/* As pgetevents, the last argument bare: always the raw call. */
	long (*pgetevents_usig)(aio_handle ctx, long min_nr, long nr,
				struct io_event *events,
				struct timespec *timeout,
				const struct aio_usig *usig);
};

enum aio_call {
	CALL_SETUP,
	CALL_DESTROY,
	CALL_SUBMIT,
	CALL_CANCEL,
	CALL_GETEVENTS,
	CALL_PGETEVENTS,
	CALL_PGETEVENTS_USIG,
	CALL_COUNT,
};

struct flavour {
	const char *name;
	unsigned int bit;
	const struct aio_calls *calls;
};

extern const struct flavour flavours[];
extern unsigned int flavour_count;

/* flavour_find() - the flavour of that name, or NULL. */
const struct flavour *flavour_find(const char *name);

/* The calls as cases make them: traced, of the flavour in use. */
extern const struct aio_calls *const aio;

/*
 * The calls below the tracing. A case never uses them; what stands between
 * the trace and the kernel (the sabotage) replaces them.
 */
extern const struct aio_calls *aio_untraced;

extern const struct aio_calls raw_calls;
extern const struct aio_calls pgetevents_calls;
extern const struct aio_calls time64_calls; /* of 32-bit programs */
extern const struct aio_calls libaio_calls;

/* The kernel's size of a signal set: the only sigsetsize it takes. */
#define KERNEL_SIGSET_SIZE 8

/* --- the trace --- */

#define TRACE_DEPTH 16

/* Of the same layout in 32-bit and 64-bit programs, which share it. */
struct call_record {
	unsigned char call; /* enum aio_call */
	bool returned;
	int tid;
	uint32_t seq;
	uint32_t padding;
	uint64_t args[6];
	int64_t result;
};

#define ERRNO_WORDS 6 /* of 32 errnos each: more than there are */

struct call_trace {
	_Atomic uint32_t next;
	_Atomic uint32_t made[CALL_COUNT];
	_Atomic uint32_t errnos[ERRNO_WORDS]; /* what was met, as bits */
	struct call_record records[TRACE_DEPTH];
};

/* trace_use() - where calls are written down; shared with the executor. */
void trace_use(struct call_trace *trace);

/*
 * trace_format() - one call as text, "io_setup(8, 0x7ffd…) = 0".
 *
 * Gives the length as snprintf(3) does.
 */
int trace_format(const struct call_record *record, char *buf, size_t size);

/*
 * trace_errno() - note that a negative errno was met: by a call, which is done
 * here, or where it was expected. Gives the value, which may be any other.
 */
long long trace_errno(long long value);

/* trace_last() - the last call that this thread made, or NULL. */
const struct call_record *trace_last(void);

/* Contexts of this process that io_setup gave and io_destroy has not taken. */
unsigned int live_contexts(void);

#endif
