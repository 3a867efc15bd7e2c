// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libaio.h lays out the structures of the kernel a second time, and fills them:
 * every byte has to be where linux/aio_abi.h has it.
 */
#define AIOABI_WITH_LIBAIO_H
#include "case.h"

#include <libaio.h>
#include <sys/uio.h>

/* struct iocb of linux/aio_abi.h on a little-endian machine; numbers of it. */
struct kernel_iocb {
	uint64_t data;
	uint32_t key;
	uint32_t rw_flags;
	uint16_t opcode;
	int16_t reqprio;
	uint32_t fildes;
	uint64_t buf;
	uint64_t nbytes;
	int64_t offset;
	uint64_t reserved2;
	uint32_t flags;
	uint32_t resfd;
};
enum { PREAD, PWRITE, FSYNC, FDSYNC, POLL = 5, NOOP, PREADV, PWRITEV };
#define FLAG_RESFD 1

#define FD     0x11223344
#define LENGTH ((size_t)0x55667788)
#define OFFSET 0x123456789abcdefLL
#define FLAGS  0x7a
#define COUNT  9
#define EVENTS (POLLIN | POLLPRI)

static char buf[1];
static struct iovec vec[1];

/* An iocb that is full of something else. */
static struct iocb *used(void)
{
	struct iocb *iocb = GUARDED(struct iocb);

	memset(iocb, 0xff, sizeof(*iocb));
	return iocb;
}

#define EXPECT_IOCB(iocb, ...)                                 \
	do {                                                   \
		struct kernel_iocb wanted_ = { __VA_ARGS__ };  \
		EXPECT_MEM(&wanted_, (iocb), sizeof(wanted_)); \
	} while (0)

CASE(libaio, prep_rw, "io_prep_pread() and io_prep_pwrite() fill an iocb",
     .clause = "libaio.prep.rw", .flavours = LIBAIO)
{
	struct iocb *iocb = used();

	io_prep_pread(iocb, FD, buf, LENGTH, OFFSET);
	EXPECT_IOCB(iocb, .opcode = PREAD, .fildes = FD, .buf = (uintptr_t)buf,
		    .nbytes = LENGTH, .offset = OFFSET);
	iocb = used();
	io_prep_pwrite(iocb, FD, buf, LENGTH, OFFSET);
	EXPECT_IOCB(iocb, .opcode = PWRITE, .fildes = FD, .buf = (uintptr_t)buf,
		    .nbytes = LENGTH, .offset = OFFSET);
}

CASE(libaio, prep_vector, "io_prep_preadv() and io_prep_pwritev() fill an iocb",
     .clause = "libaio.prep.vector", .flavours = LIBAIO)
{
	struct iocb *iocb = used();

	io_prep_preadv(iocb, FD, vec, COUNT, OFFSET);
	EXPECT_IOCB(iocb, .opcode = PREADV, .fildes = FD, .buf = (uintptr_t)vec,
		    .nbytes = COUNT, .offset = OFFSET);
	iocb = used();
	io_prep_pwritev(iocb, FD, vec, COUNT, OFFSET);
	EXPECT_IOCB(iocb, .opcode = PWRITEV, .fildes = FD,
		    .buf = (uintptr_t)vec, .nbytes = COUNT, .offset = OFFSET);
}

CASE(libaio, prep_vector2, "io_prep_preadv2() and io_prep_pwritev2() set flags",
     .clause = "libaio.prep.vector2", .flavours = LIBAIO)
{
	struct iocb *iocb = used();

	io_prep_preadv2(iocb, FD, vec, COUNT, OFFSET, FLAGS);
	EXPECT_IOCB(iocb, .opcode = PREADV, .fildes = FD, .buf = (uintptr_t)vec,
		    .nbytes = COUNT, .offset = OFFSET, .rw_flags = FLAGS);
	iocb = used();
	io_prep_pwritev2(iocb, FD, vec, COUNT, OFFSET, FLAGS);
	EXPECT_IOCB(iocb, .opcode = PWRITEV, .fildes = FD,
		    .buf = (uintptr_t)vec, .nbytes = COUNT, .offset = OFFSET,
		    .rw_flags = FLAGS);
}

CASE(libaio, prep_poll, "io_prep_poll() fills an iocb",
     .clause = "libaio.prep.poll", .flavours = LIBAIO)
{
	struct iocb *iocb = used();

	io_prep_poll(iocb, FD, EVENTS);
	EXPECT_IOCB(iocb, .opcode = POLL, .fildes = FD, .buf = EVENTS);
}

CASE(libaio, prep_sync, "io_prep_fsync() and io_prep_fdsync() fill an iocb",
     .clause = "libaio.prep.sync", .flavours = LIBAIO)
{
	struct iocb *iocb = used();

	io_prep_fsync(iocb, FD);
	EXPECT_IOCB(iocb, .opcode = FSYNC, .fildes = FD);
	iocb = used();
	io_prep_fdsync(iocb, FD);
	EXPECT_IOCB(iocb, .opcode = FDSYNC, .fildes = FD);
}

static unsigned int called;

static void count(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	called++;
}

CASE(libaio, set_callback, "io_set_callback() stores a function as data",
     .clause = "libaio.set_callback", .flavours = LIBAIO)
{
	struct iocb *iocb = GUARDED(struct iocb);

	io_set_callback(iocb, count);
	EXPECT_IOCB(iocb, .data = (uintptr_t)count);
}

CASE(libaio, set_eventfd, "io_set_eventfd() sets a flag and the descriptor",
     .clause = "libaio.set_eventfd", .flavours = LIBAIO)
{
	struct iocb *iocb = GUARDED(struct iocb);

	iocb->u.c.flags = FLAGS & ~FLAG_RESFD;
	io_set_eventfd(iocb, FD);
	EXPECT_IOCB(iocb, .flags = FLAGS | FLAG_RESFD, .resfd = FD);
}

CASE(libaio, submit_helpers, "io_poll(), io_fsync() and io_fdsync() submit",
     .clause = "libaio.submit_helpers", .on = ON_FILE, .needs = "eventfd",
     .flavours = LIBAIO)
{
	io_context_t ctx = (io_context_t)new_context(3);
	int fd = scratch_file("synced", O_RDWR);
	int eventfd = open_eventfd(1, 0);
	struct iocb iocbs[3];
	struct io_event events[3];
	unsigned int i;

	EXPECT_EQ(1, io_poll(ctx, &iocbs[0], count, eventfd, POLLIN));
	EXPECT_EQ(1, io_fsync(ctx, &iocbs[1], count, fd));
	EXPECT_EQ(1, io_fdsync(ctx, &iocbs[2], count, fd));
	ASSERT_EQ(3, io_getevents(ctx, 3, 3, events, NULL));
	for (i = 0; i < 3; i++) {
		bool poll = events[i].obj == &iocbs[0];

		ROUND("event %u", i);
		EXPECT_EQ((uintptr_t)count, (uintptr_t)events[i].data);
		EXPECT_EQ(poll ? POLLIN : 0, (long)events[i].res);
		EXPECT_EQ(0, events[i].res2);
	}
	ROUNDS_END();
	EXPECT_IOCB(&iocbs[0], .data = (uintptr_t)count, .opcode = POLL,
		    .fildes = (uint32_t)eventfd, .buf = POLLIN);
	EXPECT_IOCB(&iocbs[1], .data = (uintptr_t)count, .opcode = FSYNC,
		    .fildes = (uint32_t)fd);
	EXPECT_IOCB(&iocbs[2], .data = (uintptr_t)count, .opcode = FDSYNC,
		    .fildes = (uint32_t)fd);
	EXPECT_EQ(0, called);
}

CASE(libaio, opcodes, "the library's opcodes are the kernel's",
     .clause = "libaio.opcodes", .flavours = LIBAIO)
{
	EXPECT_EQ(PREAD, IO_CMD_PREAD);
	EXPECT_EQ(PWRITE, IO_CMD_PWRITE);
	EXPECT_EQ(FSYNC, IO_CMD_FSYNC);
	EXPECT_EQ(FDSYNC, IO_CMD_FDSYNC);
	EXPECT_EQ(POLL, IO_CMD_POLL);
	EXPECT_EQ(NOOP, IO_CMD_NOOP);
	EXPECT_EQ(PREADV, IO_CMD_PREADV);
	EXPECT_EQ(PWRITEV, IO_CMD_PWRITEV);
}

#define EXPECT_FIELD(field, kernel_field)                                  \
	do {                                                               \
		EXPECT_EQ(offsetof(struct kernel_iocb, kernel_field),      \
			  offsetof(struct iocb, field));                   \
		EXPECT_LE(sizeof(((struct kernel_iocb *)0)->kernel_field), \
			  sizeof(((struct iocb *)0)->field));              \
	} while (0)

CASE(libaio, layout_iocb, "the library's struct iocb is the kernel's",
     .clause = "libaio.layout.iocb", .flavours = LIBAIO)
{
	EXPECT_EQ(64, sizeof(struct iocb));
	EXPECT_FIELD(data, data);
	EXPECT_FIELD(key, key);
	EXPECT_FIELD(aio_rw_flags, rw_flags);
	EXPECT_FIELD(aio_lio_opcode, opcode);
	EXPECT_FIELD(aio_reqprio, reqprio);
	EXPECT_FIELD(aio_fildes, fildes);
	EXPECT_FIELD(u.c.buf, buf);
	EXPECT_FIELD(u.c.nbytes, nbytes);
	EXPECT_FIELD(u.c.offset, offset);
	EXPECT_FIELD(u.c.flags, flags);
	EXPECT_FIELD(u.c.resfd, resfd);
	EXPECT_FIELD(u.v.vec, buf);
	EXPECT_FIELD(u.v.nr, nbytes);
	EXPECT_FIELD(u.v.offset, offset);
	EXPECT_FIELD(u.poll.events, buf);
}

CASE(libaio, layout_event, "the library's struct io_event is the kernel's",
     .clause = "libaio.layout.event", .flavours = LIBAIO)
{
	EXPECT_EQ(32, sizeof(struct io_event));
	EXPECT_EQ(0, offsetof(struct io_event, data));
	EXPECT_EQ(8, offsetof(struct io_event, obj));
	EXPECT_EQ(16, offsetof(struct io_event, res));
	EXPECT_EQ(24, offsetof(struct io_event, res2));
}
