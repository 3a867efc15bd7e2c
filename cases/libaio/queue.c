// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The io_queue_* functions of libaio: contexts, and callbacks in the place of
 * events.
 */
#define AIOABI_WITH_LIBAIO_H
#include "case.h"

#include <libaio.h>

#define REQUESTS 4
#define GARBAGE	 ((io_context_t)0x5a5a)

/* What a callback was called with. */
struct called {
	io_context_t ctx;
	struct iocb *iocb;
	long res;
	long res2;
};
static struct called calls[2 * REQUESTS];
static unsigned int called;

static void note(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	struct called call = { ctx, iocb, res, res2 };

	REQUIRE(called < 2 * REQUESTS);
	calls[called++] = call;
}

static int zeroes(void)
{
	return keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
}

/* Requests that complete at once, the i-th with i bytes. */
static void submit_reads(io_context_t ctx, struct iocb *iocbs, unsigned int n)
{
	static char buf[REQUESTS];
	struct iocb *iocb;
	int fd = zeroes();
	unsigned int i;

	for (i = 0; i < n; i++) {
		iocb = &iocbs[i];
		io_prep_pread(iocb, fd, buf, i, 0);
		io_set_callback(iocb, note);
		STAGE_EQ(1, io_submit(ctx, 1, &iocb));
	}
}

CASE(libaio, queue_init,
     "io_queue_init() makes a context, whatever stood there",
     .clause = "libaio.queue_init.success", .flavours = LIBAIO)
{
	io_context_t ctx = GARBAGE;
	struct io_event event;

	ASSERT_EQ(0, io_queue_init(1, &ctx));
	stage_complete((aio_handle)ctx, 1, 0);
	EXPECT_EQ(1, io_getevents(ctx, 1, 1, &event, NULL));
	EXPECT_NUMBERED(&event, 1, 0);
	EXPECT_EQ(0, io_queue_release(ctx));
}

CASE(libaio, queue_init_einval,
     "a count of 0 or less is refused before anything is touched",
     .clause = "libaio.queue_init.einval", .flavours = LIBAIO)
{
	io_context_t ctx = GARBAGE;

	EXPECT_ERR(EINVAL, io_queue_init(0, &ctx));
	EXPECT_EQ((uintptr_t)GARBAGE, (uintptr_t)ctx);
	EXPECT_ERR(EINVAL, io_queue_init(-1, &ctx));
	EXPECT_EQ((uintptr_t)GARBAGE, (uintptr_t)ctx);
}

CASE(libaio, queue_init_eagain, "a count over the quota is refused with EAGAIN",
     .clause = "libaio.queue_init.eagain", .needs = "root aio_sysctls",
     .flavours = LIBAIO, .serial = SERIAL_BODY)
{
	io_context_t ctx = GARBAGE;

	sysctl_set("fs/aio-max-nr", aio_nr() + REQUESTS);
	EXPECT_ERR(EAGAIN, io_queue_init(REQUESTS + 1, &ctx));
	EXPECT_EQ(0, (uintptr_t)ctx);
	EXPECT_EQ(0, io_queue_init(REQUESTS, &ctx));
	EXPECT_EQ(0, io_queue_release(ctx));
}

CASE(libaio, queue_release, "io_queue_release() is io_destroy()",
     .clause = "libaio.queue_release", .flavours = LIBAIO)
{
	io_context_t ctx = NULL;

	STAGE_EQ(0, io_queue_init(1, &ctx));
	EXPECT_EQ(0, io_queue_release(ctx));
	EXPECT_TRUE(!is_mapped(ctx));
	EXPECT_ERR(EINVAL, io_queue_release(ctx));
	EXPECT_ERR(EINVAL, io_queue_release(NULL));
}

CASE(libaio, queue_run, "io_queue_run() calls back every event that is there",
     .clause = "libaio.queue_run.callbacks", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(REQUESTS);
	struct iocb iocbs[REQUESTS];
	unsigned int i;

	submit_reads(ctx, iocbs, REQUESTS);
	EXPECT_EQ(0, io_queue_run(ctx));
	ASSERT_EQ(REQUESTS, called);
	for (i = 0; i < REQUESTS; i++) {
		ROUND("callback %u", i);
		EXPECT_EQ((uintptr_t)ctx, (uintptr_t)calls[i].ctx);
		EXPECT_EQ((uintptr_t)&iocbs[i], (uintptr_t)calls[i].iocb);
		EXPECT_EQ(i, calls[i].res);
		EXPECT_EQ(0, calls[i].res2);
	}
}

CASE(libaio, queue_run_error, "a callback is given the error of its request",
     .clause = "libaio.queue_run.callbacks", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	struct iocb iocb, *list = &iocb;

	io_prep_pread(&iocb, zeroes(), nowhere(), 1, 0);
	io_set_callback(&iocb, note);
	STAGE_EQ(1, io_submit(ctx, 1, &list));
	EXPECT_EQ(0, io_queue_run(ctx));
	ASSERT_EQ(1, called);
	EXPECT_ERR(EFAULT, calls[0].res);
}

CASE(libaio, queue_run_no_wait, "io_queue_run() does not wait",
     .clause = "libaio.queue_run.no_wait", .needs = "eventfd",
     .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(1);
	int eventfd = open_eventfd(0, 0);
	struct iocb iocb;

	STAGE_EQ(1, io_poll(ctx, &iocb, note, eventfd, POLLIN));
	EXPECT_EQ(0, io_queue_run(ctx));
	EXPECT_EQ(0, called);
}

static struct iocb nested;

static void submit_more(io_context_t ctx, struct iocb *iocb, long res,
			long res2)
{
	submit_reads(ctx, &nested, 1);
}

CASE(libaio, queue_run_nested,
     "what a callback submits is called back in the same run",
     .clause = "libaio.queue_run.nested", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(2);
	struct iocb iocb;

	io_prep_pread(&iocb, zeroes(), NULL, 0, 0);
	io_set_callback(&iocb, submit_more);
	STAGE_EQ(1, io_submit(ctx, 1, (struct iocb *[]){ &iocb }));
	EXPECT_EQ(0, io_queue_run(ctx));
	ASSERT_EQ(1, called);
	EXPECT_EQ((uintptr_t)&nested, (uintptr_t)calls[0].iocb);
}

/* libaio.h has it commented out, the library has it still. */
int io_queue_wait(io_context_t ctx, struct timespec *timeout);

CASE(libaio, queue_wait, "io_queue_wait() gives 0 at once",
     .clause = "libaio.queue_wait", .needs = "eventfd", .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(2);
	struct timespec none = { 0 }, hour = { .tv_sec = 3600 };
	int eventfd = open_eventfd(0, 0);
	struct iocb iocbs[2];

	STAGE_EQ(1, io_poll(ctx, &iocbs[0], note, eventfd, POLLIN));
	EXPECT_EQ(0, io_queue_wait(ctx, &none));
	EXPECT_EQ(0, io_queue_wait(ctx, &hour));
	EXPECT_EQ(0, io_queue_wait(ctx, NULL));
	submit_reads(ctx, &iocbs[1], 1);
	EXPECT_EQ(0, io_queue_wait(ctx, NULL));
	EXPECT_EQ(0, io_queue_run(ctx));
	EXPECT_EQ(1, called);
}
