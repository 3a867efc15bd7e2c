// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program of callbacks, by the io_queue_*() functions of libaio, under every
 * failure of the calls that these make. What a call says they pass on, and each
 * request that was accepted is called back exactly once, with its own result.
 */
#define AIOABI_WITH_LIBAIO_H
#include "case.h"

#include <libaio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fault.h"
#include "queue.h"

#define ROOM	 8
#define READS	 3
#define REQUESTS (READS + 1) /* and a poll */
#define TRIES	 8	     /* of a call that fails */
#define GARBAGE	 ((io_context_t)0x5a5a)

/* libaio.h has it commented out, the library has it still. */
int io_queue_wait(io_context_t ctx, struct timespec *timeout);

struct request {
	struct iocb iocb; /* first: callbacks are given its address */
	bool accepted;
	unsigned int called;
	long res;
};

static struct request requests[REQUESTS];
static io_context_t queue;
static unsigned int called;

static void called_back(io_context_t ctx, struct iocb *iocb, long res,
			long res2)
{
	struct request *request = (struct request *)iocb;

	ASSERT_TRUE(request >= requests && request < requests + REQUESTS);
	EXPECT_EQ((uintptr_t)queue, (uintptr_t)ctx);
	EXPECT_EQ(0, res2);
	EXPECT_TRUE(request->accepted);
	request->called++;
	request->res = res;
	called++;
}

static void note(struct swept *swept, long result)
{
	if (result < 0 && !swept->error)
		swept->error = result;
}

/* Gives how many were accepted; what is refused for good is given up. */
static unsigned int submit_all(struct swept *swept)
{
	struct iocb *list[REQUESTS];
	unsigned int i, accepted = 0, tries = 0;
	int result, k;

	for (i = 0; i < REQUESTS; i++)
		list[i] = &requests[i].iocb;
	for (i = 0; i < REQUESTS;) {
		/* some events come before the call returns */
		result = io_submit(queue, REQUESTS - i, &list[i]);
		note(swept, result);
		EXPECT_LE(REQUESTS - i, result);
		for (k = 0; k < result; k++)
			requests[i + (unsigned int)k].accepted = true;
		if (result > 0)
			accepted += (unsigned int)result;
		if (result == -EAGAIN && ++tries < TRIES)
			continue;
		i += result > 0 ? (unsigned int)result : 1;
	}
	return accepted;
}

/* io_queue_run() never waits, so that it is called until all has come. */
static void run_all(struct swept *swept, unsigned int accepted)
{
	unsigned int failed = 0;
	int result;

	while (called < accepted) {
		result = io_queue_run(queue);
		note(swept, result);
		EXPECT_LE(0, result);
		if (result < 0)
			ASSERT_TRUE(++failed < TRIES);
		breathe();
	}
}

/* A call that says an errno is a function that says it. */
static bool is_passed_on(const char *point)
{
	static const char *const calls[] = {
		"aio/io_setup",
		"aio/io_submit",
		"aio/io_getevents",
		"aio/io_destroy",
	};
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!strcmp(calls[i], point))
			return true;
	return false;
}

static void queue_life(struct swept *swept)
{
	static const uint64_t one = 1;
	static char bytes[READS];
	int zero = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	int never = open_eventfd(0, EFD_NONBLOCK);
	unsigned int i, tries = 0;
	long result;

	memset(requests, 0, sizeof(requests));
	called = 0;
	queue = GARBAGE;
	for (i = 0; i < READS; i++)
		io_prep_pread(&requests[i].iocb, zero, bytes, i, 0);
	io_prep_poll(&requests[READS].iocb, never, POLLIN);
	for (i = 0; i < REQUESTS; i++)
		io_set_callback(&requests[i].iocb, called_back);

	result = io_queue_init(ROOM, &queue);
	note(swept, result);
	if (result) {
		EXPECT_EQ(0, (uintptr_t)queue);
	} else {
		i = submit_all(swept);
		REQUIRE(write(never, &one, sizeof(one)) == sizeof(one));
		run_all(swept, i);
		note(swept, io_queue_wait(queue, NULL));
		do {
			result = io_queue_release(queue);
			note(swept, result);
		} while (result && ++tries < TRIES);
		EXPECT_EQ(0, result);
	}
	for (i = 0; i < REQUESTS; i++) {
		EXPECT_EQ(requests[i].accepted, requests[i].called);
		if (requests[i].called && requests[i].res < 0)
			note(swept, requests[i].res);
	}
	if (is_passed_on(swept->point) && fault_came(swept->point))
		EXPECT_EQ(-swept->info, swept->error);
	drop(zero);
	drop(never);
}

#define QUEUE(name_, point_, value_, least_, clause_, ...)                  \
	CASE(fault, queue_##name_,                                          \
	     "io_queue_*() live with " point_ " = " #value_ " at any time", \
	     .clause = clause_, .fault = point_, .flavours = LIBAIO,        \
	     ##__VA_ARGS__)                                                 \
	{                                                                   \
		fault_libaio(true);                                         \
		EXPECT_GE(least_, sweep(point_, value_, queue_life));       \
		fault_libaio(false);                                        \
	}

/* io_queue_init() */
QUEUE(setup_eagain, "aio/io_setup", EAGAIN, 1, "libaio.queue_init.eagain",
      .needs = "eventfd")
QUEUE(setup_enomem, "aio/io_setup", ENOMEM, 1, "libaio.queue_init.success",
      .needs = "eventfd")
QUEUE(setup_enosys, "aio/io_setup", ENOSYS, 1, "libaio.queue_init.success",
      .needs = "eventfd")
QUEUE(address_space, "mm/rlimit_as", 0, 1, "libaio.queue_init.success",
      .needs = "eventfd")
QUEUE(quota, "fs/aio_max_nr", 0, 1, "libaio.queue_init.eagain",
      .needs = "root aio_sysctls eventfd", .serial = SERIAL_BODY)
QUEUE(filter, "seccomp/errno", ENOSYS, 4, "libaio.queue_run.callbacks",
      .needs = "seccomp eventfd")
/* what is run */
QUEUE(submit_eagain, "aio/io_submit", EAGAIN, 1, "libaio.queue_run.callbacks",
      .needs = "eventfd")
QUEUE(submit_einval, "aio/io_submit", EINVAL, 1, "libaio.queue_run.callbacks",
      .needs = "eventfd")
QUEUE(submit_short, "aio/io_submit/short", 1, 1, "libaio.queue_run.callbacks",
      .needs = "eventfd")
QUEUE(submit_list, "mm/list", 8, 1, "libaio.queue_run.callbacks",
      .needs = "eventfd")
QUEUE(event_eio, "aio/event", EIO, READS, "libaio.queue_run.callbacks",
      .needs = "eventfd")
QUEUE(event_late, "aio/event/late", 2, REQUESTS, "libaio.queue_run.callbacks",
      .needs = "eventfd")
QUEUE(event_reorder, "aio/event/reorder", 2, REQUESTS,
      "libaio.queue_run.callbacks", .needs = "eventfd")
QUEUE(event_spread, "aio/event/spread", 2, REQUESTS,
      "libaio.queue_run.callbacks", .needs = "eventfd")
/* io_queue_run() and io_queue_wait() */
QUEUE(getevents_eintr, "aio/io_getevents", EINTR, REQUESTS + 1,
      "libaio.queue_run.callbacks", .needs = "eventfd")
QUEUE(getevents_efault, "mm/events", 0, REQUESTS, "libaio.queue_run.callbacks",
      .needs = "eventfd")
/* io_queue_release() */
QUEUE(destroy_einval, "aio/io_destroy", EINVAL, 1, "libaio.queue_release",
      .needs = "eventfd")

/* Within each call each of the kernel's own allocations and copies. */
#define QUEUE_KERNEL(call_, clause_)                                           \
	CASE(fault, queue_kernel_##call_,                                      \
	     "io_queue_*() live with any shortage of memory in " #call_ "()",  \
	     .clause = clause_, .fault = "kernel/" #call_, .flavours = LIBAIO, \
	     .needs = "fail_nth eventfd", .time_limit = 60)                    \
	{                                                                      \
		fault_libaio(true);                                            \
		sweep_each_info("kernel/" #call_, 1, queue_life);              \
		fault_libaio(false);                                           \
	}

QUEUE_KERNEL(io_setup, "libaio.queue_init.success")
QUEUE_KERNEL(io_submit, "libaio.queue_run.callbacks")
QUEUE_KERNEL(io_getevents, "libaio.queue_run.callbacks")
