// SPDX-License-Identifier: GPL-2.0-or-later
/* Structures and numbers that are the same, or known, in every program. */
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"

#define EXPECT_FIELD(type, field, at, size)                     \
	do {                                                    \
		EXPECT_EQ(at, offsetof(type, field));           \
		EXPECT_EQ(size, sizeof(((type *)NULL)->field)); \
	} while (0)

CASE(compat, layout_iocb, "struct iocb is 64 bytes, its fields in their places",
     .clause = "compat.layout.iocb", .flavours = RAW)
{
	EXPECT_EQ(64, sizeof(struct iocb));
	EXPECT_FIELD(struct iocb, aio_data, 0, 8);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
	EXPECT_FIELD(struct iocb, aio_key, 8, 4);
	EXPECT_FIELD(struct iocb, aio_rw_flags, 12, 4);
#else
	EXPECT_FIELD(struct iocb, aio_rw_flags, 8, 4);
	EXPECT_FIELD(struct iocb, aio_key, 12, 4);
#endif
	EXPECT_FIELD(struct iocb, aio_lio_opcode, 16, 2);
	EXPECT_FIELD(struct iocb, aio_reqprio, 18, 2);
	EXPECT_FIELD(struct iocb, aio_fildes, 20, 4);
	EXPECT_FIELD(struct iocb, aio_buf, 24, 8);
	EXPECT_FIELD(struct iocb, aio_nbytes, 32, 8);
	EXPECT_FIELD(struct iocb, aio_offset, 40, 8);
	EXPECT_FIELD(struct iocb, aio_reserved2, 48, 8);
	EXPECT_FIELD(struct iocb, aio_flags, 56, 4);
	EXPECT_FIELD(struct iocb, aio_resfd, 60, 4);
}

CASE(compat, layout_event, "struct io_event is four fields of 8 bytes",
     .clause = "compat.layout.event", .flavours = RAW)
{
	EXPECT_EQ(32, sizeof(struct io_event));
	EXPECT_FIELD(struct io_event, data, 0, 8);
	EXPECT_FIELD(struct io_event, obj, 8, 8);
	EXPECT_FIELD(struct io_event, res, 16, 8);
	EXPECT_FIELD(struct io_event, res2, 24, 8);
}

CASE(compat, layout_ring, "the ring's header is eight fields of 4 bytes",
     .clause = "compat.layout.ring", .flavours = RAW)
{
	uint32_t *header = (uint32_t *)new_context(1);

	EXPECT_EQ(0, header[0]);
	EXPECT_EQ(ring_events_for(1), header[1]);
	EXPECT_EQ(0, header[2]);
	EXPECT_EQ(0, header[3]);
	EXPECT_EQ(AIO_RING_MAGIC, header[4]);
	EXPECT_EQ(AIO_RING_COMPAT_FEATURES, header[5]);
	EXPECT_EQ(AIO_RING_INCOMPAT_FEATURES, header[6]);
	EXPECT_EQ(sizeof(uint32_t) * 8, header[7]);
}

#if defined(__x86_64__)
enum {
	NR_SETUP = 206,
	NR_DESTROY,
	NR_GETEVENTS,
	NR_SUBMIT,
	NR_CANCEL,
	NR_PGETEVENTS = 333
};
#elif defined(__i386__)
enum {
	NR_SETUP = 245,
	NR_DESTROY,
	NR_GETEVENTS,
	NR_SUBMIT,
	NR_CANCEL,
	NR_PGETEVENTS = 385
};
#endif

#if defined(__x86_64__) || defined(__i386__)
static long by_number(long number, unsigned long ctx, long a, long b,
		      const void *c)
{
	struct timespec none = { 0 };
	long result = syscall(number, ctx, a, b, c, &none, NULL);

	return result < 0 ? -errno : result;
}

CASE(compat, numbers, "the calls answer under their published numbers",
     .clause = "compat.numbers", .flavours = RAW)
{
	aio_handle ctx = new_context(1), none = 1;
	struct io_event event;

	EXPECT_ERR(EINVAL, by_number(NR_SETUP, 1, (long)&none, 0, NULL));
	EXPECT_EQ(0, by_number(NR_SUBMIT, ctx, 0, 0, NULL));
	EXPECT_ERR(EINVAL, by_number(NR_SUBMIT, ctx, -1, 0, NULL));
	stage_complete(ctx, 1, 0);
	EXPECT_EQ(1, by_number(NR_GETEVENTS, ctx, 1, 1, &event));
	EXPECT_NUMBERED(&event, 1, 0);
	stage_complete(ctx, 1, 1);
	EXPECT_EQ(1, by_number(NR_PGETEVENTS, ctx, 1, 1, &event));
	EXPECT_NUMBERED(&event, 1, 1);
	EXPECT_ERR(EFAULT, by_number(NR_CANCEL, ctx, (long)nowhere(), 0, NULL));
	EXPECT_ERR(EINVAL, by_number(NR_DESTROY, 0, 0, 0, NULL));
	EXPECT_OK(by_number(NR_DESTROY, ctx, 0, 0, NULL));
	EXPECT_TRUE(!is_mapped((void *)ctx));
}
#endif
