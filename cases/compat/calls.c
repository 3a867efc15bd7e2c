// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What only 32-bit programs see: handles, pointers, time-outs and sets of
 * signals of their own sizes, which a 64-bit kernel reads by other functions.
 * What is promised to all callers they get from the cases of all callers.
 */
#include <limits.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"

CASE(compat, setup_handle, "io_setup() writes four bytes, and none behind them",
     .clause = "compat.setup.handle", .flavours = COMPAT32)
{
	const uint32_t garbage = 0x5a5a5a5a;
	struct {
		aio_handle ctx;
		uint32_t behind;
	} out = { 0, garbage };

	ASSERT_OK(aio->setup(1, &out.ctx));
	EXPECT_EQ(garbage, out.behind);
	EXPECT_EQ(AIO_RING_MAGIC, ring_of(out.ctx)->magic);
	/* a handle that ends where the memory ends */
	EXPECT_OK(aio->setup(1, GUARDED(aio_handle)));
}

CASE(compat, setup_errors, "io_setup() refuses what it refuses to all",
     .clause = "compat.setup.errors", .flavours = COMPAT32)
{
	const unsigned int over_limit = 4194305;
	aio_handle *at_page = io_buffer(PAGE_SIZE);
	aio_handle ctx = 1;

	EXPECT_ERR(EINVAL, aio->setup(1, &ctx));
	EXPECT_EQ(1, ctx);
	ctx = 0;
	EXPECT_ERR(EINVAL, aio->setup(0, &ctx));
	EXPECT_ERR(EINVAL, aio->setup(over_limit, &ctx));
	EXPECT_ERR(EINVAL, aio->setup(UINT32_MAX, &ctx));
	/* doubled in 32 bits it is none */
	EXPECT_ERR(EAGAIN, aio->setup(0x80000000u, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_ERR(EFAULT, aio->setup(0, nowhere()));
	EXPECT_ERR(EFAULT, aio->setup(1, NULL));
	read_only(at_page, PAGE_SIZE);
	EXPECT_ERR(EFAULT, aio->setup(1, at_page));
	EXPECT_EQ(0, maps_named("/[aio]"));
	STAGE_OK(aio->setup(1, &ctx));
	EXPECT_EQ(0, ring_of(ctx)->id);
}

CASE(compat, setup_quota,
     "io_setup() refuses over the quota, and takes it back",
     .clause = "compat.setup.errors", .needs = "root aio_sysctls",
     .flavours = COMPAT32, .serial = SERIAL_BODY)
{
	aio_handle *at_page = io_buffer(PAGE_SIZE);
	aio_handle ctx = 0;

	sysctl_set("fs/aio-max-nr", aio_nr() + 1);
	EXPECT_ERR(EAGAIN, aio->setup(2, &ctx));
	read_only(at_page, PAGE_SIZE);
	EXPECT_ERR(EFAULT, aio->setup(1, at_page));
	EXPECT_QUOTA_BACK();
	EXPECT_OK(aio->setup(1, &ctx));
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_QUOTA_BACK();
}

#define REQUESTS 3

CASE(compat, submit_pointers, "io_submit() reads an array of 32-bit pointers",
     .clause = "compat.submit.pointers", .flavours = COMPAT32)
{
	struct iocb **list = GUARDED_ARRAY(struct iocb *, REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	int fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	aio_handle ctx = new_context(REQUESTS);
	unsigned int i;
	char byte;

	for (i = 0; i < REQUESTS; i++)
		list[i] = prep_read(&iocbs[i], fd, &byte, 1, 0);
	ASSERT_EQ(REQUESTS, aio->submit(ctx, REQUESTS, list));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_COMPLETES(ctx, list[i], 1);
}

CASE(compat, submit_errors, "io_submit() refuses what it refuses to all",
     .clause = "compat.submit.errors", .flavours = COMPAT32)
{
	struct iocb **list = GUARDED_ARRAY(struct iocb *, REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	int fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	aio_handle ctx = new_context(2 * REQUESTS);
	unsigned int i;
	char byte;

	for (i = 0; i < REQUESTS; i++)
		list[i] = prep_read(&iocbs[i], fd, &byte, 1, 0);
	EXPECT_ERR(EINVAL, aio->submit(ctx, -1, list));
	EXPECT_ERR(EINVAL, aio->submit(ctx, LONG_MIN, list));
	EXPECT_ERR(EINVAL, aio->submit(ctx + 1, 1, list));
	EXPECT_ERR(EINVAL, aio->submit(dead_context(), 1, list));
	EXPECT_ERR(EINVAL, aio->submit(0, 0, list));
	EXPECT_ERR(EFAULT, aio->submit(ctx, 1, nowhere()));
	EXPECT_EQ(0, aio->submit(ctx, 0, nowhere()));
	list[0] = nowhere();
	EXPECT_ERR(EFAULT, aio->submit(ctx, REQUESTS, list));
	list[0] = &iocbs[0];
	iocbs[1].aio_lio_opcode = UINT16_MAX;
	EXPECT_EQ(1, aio->submit(ctx, REQUESTS, list));
	EXPECT_ERR(EINVAL, aio->submit(ctx, REQUESTS - 1, list + 1));
	list[1] = nowhere();
	EXPECT_EQ(1, aio->submit(ctx, REQUESTS, list));
	/* an array that is shorter than it says */
	EXPECT_EQ(1, aio->submit(ctx, REQUESTS, list + REQUESTS - 1));
	EXPECT_EQ(3, ring_unread(ctx));
}

CASE(compat, submit_vector, "segments are of two 32-bit words",
     .clause = "compat.submit.vector", .flavours = COMPAT32)
{
	struct iovec *iov = GUARDED_ARRAY(struct iovec, 2);
	int fd = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);

	iov[0] = (struct iovec){ io_buffer(1), 100 };
	iov[1] = (struct iovec){ io_buffer(1), 23 };
	prep_writev(iocb, fd, iov, 2, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 123);
	iov[1].iov_len = 1u << 31;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
}

CASE(compat, buf_high, "a buffer above all 32 bits is told of in the event",
     .clause = "compat.submit.buf_high", .flavours = COMPAT32)
{
	int fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);

	prep_read(iocb, fd, io_buffer(1), 1, 0);
	iocb->aio_buf |= 1ULL << 32;
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EFAULT);
}

CASE(compat, nbytes, "a length that only 32-bit programs call negative is none",
     .clause = "compat.submit.nbytes", .flavours = COMPAT32)
{
	const long long most = INT32_MAX / PAGE_SIZE * PAGE_SIZE;
	int fd = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);

	prep_write(iocb, fd, io_buffer(1), 1, 0);
	iocb->aio_nbytes = UINT32_MAX;
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, most);
}

/* struct old_timespec32 and struct __kernel_timespec */
struct time32 {
	int32_t sec, nsec;
};
struct time64 {
	int64_t sec, nsec;
};

#define WAIT_NS (2 * NSEC_PER_MSEC)

CASE(compat, getevents_time32,
     "io_getevents() takes a time-out of 32-bit words",
     .clause = "compat.getevents.time32", .flavours = COMPAT32)
{
	struct time32 *timeout = GUARDED(struct time32);
	aio_handle ctx = new_context(1);
	struct io_event event;
	int64_t begin = now_ns();

	timeout->nsec = WAIT_NS;
	EXPECT_EQ(0, aio->getevents(ctx, 1, 1, &event, (void *)timeout));
	EXPECT_GE(WAIT_NS, now_ns() - begin);
	EXPECT_ERR(EINVAL, aio->getevents(ctx, -1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, -1, &event, NULL));
}

CASE(compat, getevents_errors, "io_getevents() refuses what it refuses to all",
     .clause = "compat.getevents.errors", .flavours = COMPAT32)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	struct io_event *at_page = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(2);
	struct timespec none = { 0 };

	stage_complete(ctx, 2, 0);
	EXPECT_ERR(EINVAL, aio->getevents(ctx + 1, 1, 1, events, &none));
	EXPECT_ERR(EINVAL, aio->getevents(dead_context(), 1, 1, events, &none));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 2, 1, events, &none));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, LONG_MIN, 1, events, &none));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 1, LONG_MIN, events, &none));
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, events, nowhere()));
	read_only(at_page, PAGE_SIZE);
	EXPECT_ERR(EFAULT, aio->getevents(ctx, 1, 1, at_page, &none));
	EXPECT_EQ(2, ring_unread(ctx));
	EXPECT_EQ(2, aio->getevents(ctx, 2, 2, events, &none));
	EXPECT_NUMBERED(events, 2, 0);
}

struct call {
	aio_handle ctx;
	struct time32 timeout;
	long result;
};

static void *wait_negative(void *arg)
{
	struct call *call = arg;
	struct io_event event;

	call->result =
		aio->getevents(call->ctx, 1, 1, &event, (void *)&call->timeout);
	return NULL;
}

/* One that came back would not be found asleep, but gone. */
CASE(compat, getevents_negative, "a negative time-out waits without end",
     .clause = "compat.getevents.negative", .needs = "eventfd task_syscall",
     .flavours = COMPAT32)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct call call = { .ctx = new_context(1), .timeout = { -1, 0 } };
	int fd = stage_poll(call.ctx, iocb);
	struct thread *thread = thread_run(wait_negative, &call);

	EXPECT_TRUE(wait_asleep_in(thread_tid(thread), SYS_io_getevents));
	end_poll(fd);
	thread_join(thread);
	EXPECT_EQ(1, call.result);
}

CASE(compat, pgetevents_time32, "so does io_pgetevents()",
     .clause = "compat.pgetevents.time32", .flavours = COMPAT32)
{
	struct time32 *timeout = GUARDED(struct time32);
	aio_handle ctx = new_context(1);
	struct io_event event;
	int64_t begin = now_ns();

	timeout->nsec = WAIT_NS;
	EXPECT_EQ(0, aio->pgetevents(ctx, 1, 1, &event, (void *)timeout, NULL));
	EXPECT_GE(WAIT_NS, now_ns() - begin);
}

/* A call that 64-bit programs do not have, nor the table of calls. */
#define IO_PGETEVENTS_TIME64 416

static long pgetevents64(aio_handle ctx, struct io_event *event,
			 struct time64 *timeout, const struct aio_usig *usig)
{
	long result =
		syscall(IO_PGETEVENTS_TIME64, ctx, 1, 1, event, timeout, usig);

	return result < 0 ? -errno : result;
}

CASE(compat, pgetevents_time64,
     "io_pgetevents_time64() takes a time-out of 64-bit words",
     .clause = "compat.pgetevents.time64", .flavours = COMPAT32)
{
	struct time64 *timeout = GUARDED(struct time64);
	aio_handle ctx = new_context(1);
	struct io_event event;
	int64_t begin = now_ns();

	timeout->nsec = WAIT_NS;
	EXPECT_EQ(0, pgetevents64(ctx, &event, timeout, NULL));
	EXPECT_GE(WAIT_NS, now_ns() - begin);
	/* a program's padding, which would be some centuries */
	timeout->nsec = (int64_t)INT32_MAX << 32 | 1;
	EXPECT_EQ(0, pgetevents64(ctx, &event, timeout, NULL));
	stage_complete(ctx, 1, 0);
	EXPECT_EQ(1, pgetevents64(ctx, &event, NULL, NULL));
	EXPECT_NUMBERED(&event, 1, 0);
}

struct call64 {
	aio_handle ctx;
	struct time64 timeout;
	struct io_event event;
	long result;
};

static void *wait_long(void *arg)
{
	struct call64 *call = arg;

	call->result =
		pgetevents64(call->ctx, &call->event, &call->timeout, NULL);
	return NULL;
}

CASE(compat, pgetevents_time64_wide, "and has seconds of more than 31 bits",
     .clause = "compat.pgetevents.time64",
     .needs = "eventfd task_syscall timer_list", .flavours = COMPAT32)
{
	struct call64 call = { .ctx = new_context(1) };
	struct iocb *iocb = GUARDED(struct iocb);
	struct thread *thread;
	int64_t before, span;
	unsigned int bit;
	int fd;

	for (bit = 31; bit < 34; bit++) {
		ROUND("bit %u", bit);
		call.timeout.sec = (int64_t)1 << bit;
		span = call.timeout.sec * NSEC_PER_SEC;
		fd = stage_poll(call.ctx, iocb);
		before = now_ns();
		thread = thread_run(wait_long, &call);
		EXPECT_TRUE(wait_asleep_in(thread_tid(thread),
					   IO_PGETEVENTS_TIME64));
		EXPECT_TRUE(timer_between(before + span, now_ns() + span));
		end_poll(fd);
		thread_join(thread);
		ASSERT_EQ(1, call.result);
	}
}

CASE(compat, pgetevents_sigset, "the size of a set of signals must be 8",
     .clause = "compat.pgetevents.sigset", .flavours = COMPAT32)
{
	struct aio_usig *usig = GUARDED(struct aio_usig);
	struct timespec none = { 0 };
	struct time64 none64 = { 0 };
	aio_handle ctx = new_context(1);
	struct io_event event;
	static const size_t wrong[] = { 0, 4, 7, 9, 16, 128 };
	sigset_t mask;
	unsigned int i;

	sigemptyset(&mask);
	usig->mask = &mask;
	for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		ROUND("size %u", (unsigned int)wrong[i]);
		usig->size = wrong[i];
		EXPECT_ERR(EINVAL, aio->pgetevents_usig(ctx, 0, 1, &event,
							&none, usig));
		EXPECT_ERR(EINVAL, pgetevents64(ctx, &event, &none64, usig));
	}
	ROUNDS_END();
	usig->size = KERNEL_SIGSET_SIZE;
	EXPECT_EQ(0, aio->pgetevents_usig(ctx, 0, 1, &event, &none, usig));
	EXPECT_EQ(0, pgetevents64(ctx, &event, &none64, usig));
}

CASE(compat, pgetevents_errors, "what cannot be read is EFAULT",
     .clause = "compat.pgetevents.errors", .flavours = COMPAT32)
{
	struct aio_usig nowhere_mask = { nowhere(), KERNEL_SIGSET_SIZE };
	struct time64 none = { 0 };
	aio_handle ctx = new_context(1);
	struct io_event event;

	EXPECT_ERR(EFAULT, pgetevents64(ctx, &event, nowhere(), NULL));
	EXPECT_ERR(EFAULT, pgetevents64(ctx, &event, &none, nowhere()));
	EXPECT_ERR(EFAULT, pgetevents64(ctx, &event, &none, &nowhere_mask));
	EXPECT_ERR(EINVAL, pgetevents64(0, &event, &none, NULL));
}

CASE(compat, pgetevents_mask, "the mask is in force during the wait alone",
     .clause = "compat.pgetevents.mask", .flavours = COMPAT32)
{
	aio_handle ctx = new_context(1);
	struct aio_usig usig = { .size = KERNEL_SIGSET_SIZE };
	struct io_event event;
	sigset_t mask;

	sigemptyset(&mask);
	usig.mask = &mask;
	count_signal(SIGUSR1, 0);
	block_signal(SIGUSR1);
	signal_thread(own_tid(), SIGUSR1);
	EXPECT_ERR(EINTR, pgetevents64(ctx, &event, NULL, &usig));
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	signal_thread(own_tid(), SIGUSR1);
	EXPECT_EQ(1, signals_seen(SIGUSR1));
	EXPECT_ERR(EINTR, aio->pgetevents(ctx, 1, 1, &event, NULL, &mask));
	EXPECT_EQ(2, signals_seen(SIGUSR1));
	signal_thread(own_tid(), SIGUSR1);
	EXPECT_EQ(2, signals_seen(SIGUSR1));
}

CASE(compat, cancel_destroy, "io_cancel() and io_destroy() take 32-bit handles",
     .clause = "compat.cancel_destroy", .needs = "eventfd",
     .flavours = COMPAT32)
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);

	stage_poll(ctx, iocb);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_TRUE(!is_mapped((void *)ctx));
}
