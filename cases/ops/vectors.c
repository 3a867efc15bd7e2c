// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * PREADV and PWRITEV: how many segments, of what, and what is refused.
 *
 * The kernel keeps eight on its stack and takes memory for more, and has a
 * way of its own for one: each is a place to copy too much or to free twice.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"

#define ON_STACK 8    /* UIO_FASTIOV */
#define MOST	 1024 /* UIO_MAXIOV */
#define SEED	 5
#define FILLER	 0x5a

/* The largest transfer: MAX_RW_COUNT of the kernel. */
#define MOST_BYTES ((int64_t)(INT_MAX & ~(PAGE_SIZE - 1)))

static const unsigned int counts[] = { 1, 2, ON_STACK, ON_STACK + 1, MOST };
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

static int data_file(size_t len)
{
	int fd = scratch_file("data", O_RDWR);
	unsigned char *buf = io_buffer(len);

	pattern(buf, len, SEED);
	REQUIRE(pwrite(fd, buf, len, 0) == (ssize_t)len);
	return fd;
}

/* Segments of changing odd lengths, a byte between them; gives their sum. */
static size_t cut(unsigned char *buf, struct iovec *iov, unsigned int n)
{
	size_t sum = 0, at = 0;
	unsigned int i;

	for (i = 0; i < n; i++) {
		iov[i].iov_base = buf + at;
		iov[i].iov_len = 1 + i % 13;
		sum += iov[i].iov_len;
		at += iov[i].iov_len + 1;
	}
	return sum;
}

#define CUT_ROOM (MOST * 14)

CASE(ops, preadv_segments, "each segment is filled, in order, and no more",
     .clause = "ops.preadv.segments")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(CUT_ROOM);
	int fd = data_file(CUT_ROOM);
	struct iovec *iov;
	unsigned int c, i;
	size_t sum, k, at;

	for (c = 0; c < COUNTS; c++) {
		iov = GUARDED_ARRAY(struct iovec, counts[c]);
		memset(buf, FILLER, CUT_ROOM);
		sum = cut(buf, iov, counts[c]);
		prep_readv(iocb, fd, iov, counts[c], 3);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, sum));
		for (i = 0, at = 3; i < counts[c]; i++) {
			unsigned char *base = iov[i].iov_base;

			for (k = 0; k < iov[i].iov_len; k++)
				if (base[k] != pattern_at(SEED, at++))
					break;
			ASSERT_EQ(iov[i].iov_len, k);
			ASSERT_EQ(FILLER, base[k]);
		}
	}
}

CASE(ops, pwritev_segments, "each segment is written, in order, and no more",
     .clause = "ops.preadv.segments")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(CUT_ROOM), *back = io_buffer(CUT_ROOM);
	struct iovec *iov;
	unsigned int c, i;
	size_t sum, at;
	int fd;

	pattern(buf, CUT_ROOM, SEED);
	for (c = 0; c < COUNTS; c++) {
		iov = GUARDED_ARRAY(struct iovec, counts[c]);
		sum = cut(buf, iov, counts[c]);
		fd = scratch_file("file", O_RDWR | O_TRUNC);
		prep_writev(iocb, fd, iov, counts[c], 3);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, sum));
		EXPECT_EQ(sum, pread(fd, back, CUT_ROOM, 3));
		for (i = 0, at = 0; i < counts[c]; i++) {
			ASSERT_TRUE(EXPECT_MEM(iov[i].iov_base, back + at,
					       iov[i].iov_len));
			at += iov[i].iov_len;
		}
	}
}

CASE(ops, preadv_device, "segments of blocks are read by O_DIRECT, in order",
     .clause = "ops.preadv.segments", .on = ON_BLOCK, .every_device = true)
{
	enum { SEGMENTS = 100 };
	static const unsigned int numbers[] = { 1, 2, ON_STACK, ON_STACK + 1,
						SEGMENTS };
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, SEGMENTS);
	size_t block = storage.block;
	unsigned char *data = io_buffer(SEGMENTS * block);
	unsigned char *buf = io_buffer(2 * SEGMENTS * block);
	unsigned int c, i, n;

	for (i = 0; i < SEGMENTS; i++)
		pattern(data + i * block, block, SEED + i);
	REQUIRE(pwrite(storage.fd, data, SEGMENTS * block, storage.base) ==
		(ssize_t)(SEGMENTS * block));
	/* every other block of the buffer, the last one first */
	for (i = 0; i < SEGMENTS; i++) {
		iov[i].iov_base = buf + 2 * (SEGMENTS - 1 - i) * block;
		iov[i].iov_len = block;
	}
	for (c = 0; c < sizeof(numbers) / sizeof(numbers[0]); c++) {
		n = numbers[c];
		memset(buf, FILLER, 2 * SEGMENTS * block);
		prep_readv(iocb, storage.fd, iov, n, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, n * block));
		for (i = 0; i < SEGMENTS; i++) {
			unsigned char *base = iov[i].iov_base;

			if (i < n)
				EXPECT_PATTERN(base, block, SEED + i);
			else
				EXPECT_EQ(FILLER, base[0]);
			EXPECT_EQ(FILLER, base[block]);
		}
	}
}

CASE(ops, pwritev_device,
     "segments of blocks are written by O_DIRECT, in order",
     .clause = "ops.preadv.segments", .on = ON_BLOCK, .every_device = true)
{
	enum { SEGMENTS = 100 };
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, SEGMENTS);
	size_t block = storage.block;
	unsigned char *back = io_buffer(SEGMENTS * block);
	unsigned char *buf = io_buffer(2 * SEGMENTS * block);
	unsigned int i;

	for (i = 0; i < SEGMENTS; i++) {
		iov[i].iov_base = buf + 2 * (SEGMENTS - 1 - i) * block;
		iov[i].iov_len = block;
		pattern(iov[i].iov_base, block, SEED + i);
	}
	prep_writev(iocb, storage.fd, iov, SEGMENTS, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, SEGMENTS * block);
	REQUIRE(pread(storage.fd, back, SEGMENTS * block, storage.base) ==
		(ssize_t)(SEGMENTS * block));
	for (i = 0; i < SEGMENTS; i++)
		EXPECT_PATTERN(back + i * block, block, SEED + i);
}

CASE(ops, preadv_zero_segments,
     "no segments complete with 0, wherever they are said to be",
     .clause = "ops.preadv.zero_segments")
{
	struct iovec *const arrays[] = { NULL, nowhere(), (void *)1 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = data_file(1);
	size_t i;

	for (i = 0; i < sizeof(arrays) / sizeof(arrays[0]); i++) {
		prep_readv(iocb, fd, arrays[i], 0, 0);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
		prep_writev(iocb, fd, arrays[i], 0, 0);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}

CASE(ops, preadv_empty_segments, "segments of no bytes are passed over",
     .clause = "ops.preadv.empty_segments")
{
	enum { SEGMENTS = 5, FIRST = 5, SECOND = 7 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, SEGMENTS);
	unsigned char *buf =
		memset(io_buffer(FIRST + SECOND), FILLER, FIRST + SECOND);
	int fd = data_file(FIRST + SECOND);

	iov[0].iov_base = NULL;
	iov[1].iov_base = buf;
	iov[1].iov_len = FIRST;
	iov[2].iov_base = nowhere();
	iov[3].iov_base = buf + FIRST;
	iov[3].iov_len = SECOND;
	prep_readv(iocb, fd, iov, SEGMENTS, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, FIRST + SECOND);
	EXPECT_PATTERN(buf, FIRST + SECOND, SEED);
	prep_writev(iocb, fd, iov, SEGMENTS, FIRST + SECOND);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, FIRST + SECOND);
	REQUIRE(pread(fd, buf, FIRST + SECOND, FIRST + SECOND) ==
		FIRST + SECOND);
	EXPECT_PATTERN(buf, FIRST + SECOND, SEED);
}

CASE(ops, preadv_all_empty, "nothing but such segments complete with 0",
     .clause = "ops.preadv.empty_segments")
{
	enum { SEGMENTS = 20 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, SEGMENTS);
	int fd = data_file(1);

	prep_readv(iocb, fd, iov, SEGMENTS, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 0);
	prep_writev(iocb, fd, iov, 1, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 0);
}

CASE(ops, preadv_too_many, "1025 segments are refused, and any number beyond",
     .clause = "ops.preadv.einval.count")
{
	static const unsigned int numbers[] = { MOST + 1, 2 * MOST, INT_MAX,
						0x80000000u, UINT_MAX };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, MOST + 1);
	int fd = data_file(1);
	size_t i;

	/* a 32-bit kernel takes the last two for negative lengths: also EINVAL
	 */
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		prep_readv(iocb, fd, iov, numbers[i], 0);
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		prep_writev(iocb, fd, iov, numbers[i], 0);
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, preadv_count_32bit, "only the low 32 bits of the number count",
     .clause = "ops.preadv.count_32bit", .needs = "native")
{
	enum { LEN = 10 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = memset(io_buffer(LEN), FILLER, LEN);
	struct iovec *iov = GUARDED(struct iovec);
	int fd = data_file(LEN);

	if (sizeof(size_t) == 4)
		SKIP("there are no more bits");
	iov->iov_base = buf;
	iov->iov_len = LEN;
	prep_readv(iocb, fd, iov, 1, 0);
	iocb->aio_nbytes |= 1ull << 32;
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_PATTERN(buf, LEN, SEED);
}

CASE(ops, preadv_no_vector, "segments that cannot be read at all are EFAULT",
     .clause = "ops.preadv.efault.vector")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = data_file(1);
	unsigned int c;

	for (c = 0; c < COUNTS; c++) {
		prep_readv(iocb, fd, nowhere(), counts[c], 0);
		EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
		prep_writev(iocb, fd, nowhere(), counts[c], 0);
		EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
		prep_readv(iocb, fd, NULL, counts[c], 0);
		EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, preadv_cut_vector,
     "segments of which the last cannot be read: EFAULT",
     .clause = "ops.preadv.efault.vector")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = memset(io_buffer(CUT_ROOM), FILLER, CUT_ROOM);
	int fd = data_file(CUT_ROOM);
	struct iovec *iov;
	unsigned int c;

	for (c = 1; c < COUNTS; c++) {
		iov = GUARDED_ARRAY(struct iovec, counts[c] - 1);
		cut(buf, iov, counts[c] - 1);
		prep_readv(iocb, fd, iov, counts[c], 0);
		EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
		prep_writev(iocb, fd, iov, counts[c], 0);
		EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_EQ(FILLER, buf[0]);
}

/* One bad segment: alone, last of those on the stack, last of more. */
static void expect_refused(int wanted, void *base, size_t len)
{
	static const unsigned int numbers[] = { 1, 2, ON_STACK, ON_STACK + 1 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = memset(io_buffer(CUT_ROOM), FILLER, CUT_ROOM);
	int fd = data_file(CUT_ROOM);
	struct iovec *iov;
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		iov = GUARDED_ARRAY(struct iovec, numbers[i]);
		cut(buf, iov, numbers[i]);
		iov[numbers[i] - 1].iov_base = base;
		iov[numbers[i] - 1].iov_len = len;
		prep_readv(iocb, fd, iov, numbers[i], 0);
		EXPECT_ERR(wanted, submit_one(ctx, iocb));
		prep_writev(iocb, fd, iov, numbers[i], 0);
		EXPECT_ERR(wanted, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_EQ(FILLER, buf[0]);
}

CASE(ops, preadv_negative_length, "a segment of negative length is refused",
     .clause = "ops.preadv.einval.length")
{
	expect_refused(EINVAL, io_buffer(1), (size_t)-1);
	expect_refused(EINVAL, io_buffer(1), (size_t)SSIZE_MAX + 1);
}

CASE(ops, preadv_kernel_address, "a segment of the kernel's memory is EFAULT",
     .clause = "ops.preadv.efault.base", .needs = "native")
{
	expect_refused(EFAULT, kernel_address(), 1);
}

CASE(ops, preadv_sum, "a sum over the largest length is cut to it",
     .clause = "ops.preadv.sum")
{
	enum { SEGMENTS = 3 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, SEGMENTS);
	int fd = keep(open("/dev/null", O_RDWR | O_CLOEXEC)), i;

	if (sizeof(size_t) == 4)
		SKIP("no such length fits into the address space");
	/* nobody looks at what goes there: it need not be */
	for (i = 0; i < SEGMENTS; i++) {
		iov[i].iov_base = (void *)PAGE_SIZE;
		iov[i].iov_len = (size_t)MOST_BYTES - 1;
	}
	prep_writev(iocb, fd, iov, SEGMENTS, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, MOST_BYTES);
}

CASE(ops, preadv_beyond,
     "a segment that ends beyond all memory: cut as well, or EFAULT",
     .clause = "ops.preadv.sum", .needs = "wide_long")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, 2);
	int fd = keep(open("/dev/null", O_RDWR | O_CLOEXEC)), n;
	long result;

	for (n = 1; n <= 2; n++) {
		iov[n - 1].iov_base = (void *)PAGE_SIZE;
		iov[n - 1].iov_len = SSIZE_MAX - 2 * PAGE_SIZE;
		prep_writev(iocb, fd, iov, (size_t)n, 0);
		result = submit_one(ctx, iocb);
		/* who looks at the address first, and how far, has changed */
		if (result == 1)
			EXPECT_COMPLETES(ctx, iocb, MOST_BYTES);
		else
			EXPECT_EQ(-EFAULT, result);
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, length_clamp, "a length over the largest is cut to it",
     .clause = "ops.length.clamp")
{
	const uint64_t lengths[] = {
		MOST_BYTES,	  (uint64_t)MOST_BYTES + 1,
		1ull << 31,	  1ull << 32,
		(1ull << 32) + 1, 1ull << 40,
		(1ull << 62) + 1, INT64_MAX,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = keep(open("/dev/null", O_RDWR | O_CLOEXEC));
	unsigned int i;
	size_t offset;

	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ROUND("%#llx bytes", (unsigned long long)lengths[i]);
		for (offset = 0; offset <= PAGE_SIZE; offset += PAGE_SIZE) {
			prep_write(iocb, fd, (void *)PAGE_SIZE, 0, offset);
			iocb->aio_nbytes = lengths[i];
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, MOST_BYTES);
			/* it is the cut one that has to end before all offsets
			 */
			prep_read(iocb, fd, (void *)PAGE_SIZE, 0, offset);
			iocb->aio_nbytes = lengths[i];
			ASSERT_EQ(1, submit_one(ctx, iocb));
			EXPECT_COMPLETES(ctx, iocb, 0);
		}
	}
}

/* Whether it is looked at is the driver's affair in the kernels of value 0. */
static void expect_cut_refused(aio_handle ctx, struct iocb *iocb, int64_t block)
{
	struct io_event *event = GUARDED(struct io_event);
	bool carried_out;

	ASSERT_EQ(1, submit_one(ctx, iocb));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	carried_out = !contract("ops.preadv.direct_segments") &&
		      event->res == 2 * block;
	EXPECT_EVENT(event, iocb, carried_out ? 2 * block : -EINVAL);
}

CASE(ops, preadv_direct_segments,
     "with O_DIRECT a segment that nothing fits ends with EINVAL",
     .clause = "ops.preadv.direct_segments", .on = ON_BLOCK,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, 2);
	unsigned char *buf =
		memset(io_buffer(4 * PAGE_SIZE), FILLER, 4 * PAGE_SIZE);

	/* the sum is two blocks, the cut is at an odd byte of one */
	iov[0].iov_base = buf;
	iov[0].iov_len = storage.block - 1;
	iov[1].iov_base = buf + 2 * PAGE_SIZE;
	iov[1].iov_len = storage.block + 1;
	prep_readv(iocb, storage.fd, iov, 2, storage.base);
	expect_cut_refused(ctx, iocb, storage.block);
	prep_writev(iocb, storage.fd, iov, 2, storage.base);
	expect_cut_refused(ctx, iocb, storage.block);
	if (contract("ops.preadv.direct_segments"))
		EXPECT_EQ(FILLER, buf[0]);
}
