// SPDX-License-Identifier: GPL-2.0-or-later
/* The flavours of the six calls, and the trace that every call leaves. */
#include "aio.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "names.h"

const struct flavour flavours[] = {
	{ "raw", RAW, &raw_calls },
#ifndef AIOABI_COMPAT32
	{ "libaio", LIBAIO, &libaio_calls },
#endif
	{ "pgetevents", PGETEVENTS, &pgetevents_calls },
#ifdef AIOABI_COMPAT32
	{ "compat32", COMPAT32, &raw_calls },
	{ "time64", TIME64, &time64_calls },
};
unsigned int flavour_count = sizeof(flavours) / sizeof(flavours[0]);
#else
	/* of another program, and counted by compat32_find() */
	{ "compat32", COMPAT32, NULL },
	{ "time64", TIME64, NULL },
};
unsigned int flavour_count = sizeof(flavours) / sizeof(flavours[0]) - 2;
#endif

const struct aio_calls *aio_untraced = &raw_calls;

const struct flavour *flavour_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < flavour_count; i++)
		if (!strcmp(flavours[i].name, name))
			return &flavours[i];
	return NULL;
}

static struct call_trace own_trace;
static struct call_trace *trace = &own_trace;
static __thread struct call_record last_call;
static __thread bool called;
static _Atomic int contexts;

void trace_use(struct call_trace *shared)
{
	trace = shared;
}

const struct call_record *trace_last(void)
{
	return called ? &last_call : NULL;
}

unsigned int live_contexts(void)
{
	int n = atomic_load(&contexts);

	return n > 0 ? (unsigned int)n : 0;
}

/*
 * A call is written down before it is made, so that the executor can name the
 * call that a hung or crashed case never came back from.
 */
static struct call_record *trace_enter(enum aio_call call,
				       const uint64_t args[6])
{
	uint32_t seq = atomic_fetch_add(&trace->next, 1);
	struct call_record *record = &trace->records[seq % TRACE_DEPTH];

	atomic_fetch_add(&trace->made[call], 1);
	last_call = (struct call_record){ .call = call,
					  .tid = (int)syscall(SYS_gettid),
					  .seq = seq };
	memcpy(last_call.args, args, sizeof(last_call.args));
	called = true;
	*record = last_call;
	return record;
}

long long trace_errno(long long value)
{
	if (value < 0 && value > -32 * ERRNO_WORDS)
		atomic_fetch_or(&trace->errnos[-value / 32],
				1u << (-value % 32));
	return value;
}

static long trace_leave(struct call_record *record, long result)
{
	last_call.result = trace_errno(result);
	last_call.returned = true;
	/* another thread may have come round the ring meanwhile */
	if (record->seq == last_call.seq)
		*record = last_call;
	return result;
}

#define ARG(x) ((uint64_t)(unsigned long)(x))
#define TRACED(call, expression, ...)                                   \
	({                                                              \
		const uint64_t args_[6] = { __VA_ARGS__ };              \
		struct call_record *record_ = trace_enter(call, args_); \
		trace_leave(record_, (expression));                     \
	})

static long traced_setup(unsigned int nr_events, aio_handle *ctxp)
{
	long result = TRACED(CALL_SETUP, aio_untraced->setup(nr_events, ctxp),
			     nr_events, ARG(ctxp));

	if (!result)
		atomic_fetch_add(&contexts, 1);
	return result;
}

static long traced_destroy(aio_handle ctx)
{
	long result = TRACED(CALL_DESTROY, aio_untraced->destroy(ctx), ctx);

	if (!result)
		atomic_fetch_sub(&contexts, 1);
	return result;
}

static long traced_submit(aio_handle ctx, long nr, struct iocb **iocbpp)
{
	return TRACED(CALL_SUBMIT, aio_untraced->submit(ctx, nr, iocbpp), ctx,
		      ARG(nr), ARG(iocbpp));
}

static long traced_cancel(aio_handle ctx, struct iocb *iocb,
			  struct io_event *result)
{
	return TRACED(CALL_CANCEL, aio_untraced->cancel(ctx, iocb, result), ctx,
		      ARG(iocb), ARG(result));
}

static long traced_getevents(aio_handle ctx, long min_nr, long nr,
			     struct io_event *events, struct timespec *timeout)
{
	return TRACED(CALL_GETEVENTS,
		      aio_untraced->getevents(ctx, min_nr, nr, events, timeout),
		      ctx, ARG(min_nr), ARG(nr), ARG(events), ARG(timeout));
}

static long traced_pgetevents(aio_handle ctx, long min_nr, long nr,
			      struct io_event *events, struct timespec *timeout,
			      const sigset_t *mask)
{
	return TRACED(CALL_PGETEVENTS,
		      aio_untraced->pgetevents(ctx, min_nr, nr, events, timeout,
					       mask),
		      ctx, ARG(min_nr), ARG(nr), ARG(events), ARG(timeout),
		      ARG(mask));
}

static long traced_pgetevents_usig(aio_handle ctx, long min_nr, long nr,
				   struct io_event *events,
				   struct timespec *timeout,
				   const struct aio_usig *usig)
{
	return TRACED(CALL_PGETEVENTS_USIG,
		      aio_untraced->pgetevents_usig(ctx, min_nr, nr, events,
						    timeout, usig),
		      ctx, ARG(min_nr), ARG(nr), ARG(events), ARG(timeout),
		      ARG(usig));
}

static const struct aio_calls traced_calls = {
	.setup = traced_setup,
	.destroy = traced_destroy,
	.submit = traced_submit,
	.cancel = traced_cancel,
	.getevents = traced_getevents,
	.pgetevents = traced_pgetevents,
	.pgetevents_usig = traced_pgetevents_usig,
};
const struct aio_calls *const aio = &traced_calls;

/* How each argument of each call is shown: u number, d signed, p pointer. */
static const struct {
	const char *name;
	const char *args;
} call_formats[CALL_COUNT] = {
	[CALL_SETUP] = { "io_setup", "up" },
	[CALL_DESTROY] = { "io_destroy", "p" },
	[CALL_SUBMIT] = { "io_submit", "pdp" },
	[CALL_CANCEL] = { "io_cancel", "ppp" },
	[CALL_GETEVENTS] = { "io_getevents", "pddpp" },
	[CALL_PGETEVENTS] = { "io_pgetevents", "pddppp" },
	[CALL_PGETEVENTS_USIG] = { "io_pgetevents", "pddppp" },
};

int trace_format(const struct call_record *record, char *buf, size_t size)
{
	/* a case that a broken kernel writes into has this memory, too */
	unsigned int call = *(volatile const unsigned char *)&record->call, i;
	const char *format;
	char value[64];
	size_t len;

	if (call >= CALL_COUNT)
		return snprintf(buf, size, "a record that was overwritten");
	format = call_formats[call].args;
	len = (size_t)snprintf(buf, size, "%s(", call_formats[call].name);
	for (i = 0; format[i] && len < size; i++) {
		const char *comma = i ? ", " : "";
		unsigned long arg = (unsigned long)record->args[i];

		if (format[i] == 'u')
			snprintf(value, sizeof(value), "%lu", arg);
		else if (format[i] == 'd')
			snprintf(value, sizeof(value), "%ld", (long)arg);
		else if (arg)
			snprintf(value, sizeof(value), "0x%lx", arg);
		else
			snprintf(value, sizeof(value), "NULL");
		len += (size_t)snprintf(buf + len, size - len, "%s%s", comma,
					value);
	}
	if (len >= size)
		return (int)len;
	if (record->returned)
		len += (size_t)snprintf(
			buf + len, size - len, ") = %s",
			value_name(record->result, value, sizeof(value)));
	else
		len += (size_t)snprintf(buf + len, size - len,
					") has not returned");
	return (int)len;
}
