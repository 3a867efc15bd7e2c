// SPDX-License-Identifier: GPL-2.0-or-later
#include "refusals.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#define OPCODE_UNKNOWN	     9
#define OPCODE_NOOP	     6
#define RW_FLAG_UNKNOWN	     0x40000000
#define IOPRIO_CLASS_UNKNOWN (int16_t)(7 << 13)
#define SEGMENTS_MOST	     1024 /* UIO_MAXIOV */

struct iocb *new_write(int fd)
{
	char *byte = GUARDED(char);
	struct iocb *iocb = prep_write(GUARDED(struct iocb), fd, byte, 1, 0);

	*byte = 'x';
	iocb->aio_key = KEY_BEFORE;
	return iocb;
}

int open_both_ways(int pipe_end)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", pipe_end);
	return keep(open(path, O_RDWR | O_CLOEXEC));
}

struct iocb *new_refused(const struct refusal *refusal, int fd)
{
	return refusal->spoil(new_write(fd));
}

void expect_key_of_refused(const struct refusal *refusal,
			   const struct iocb *iocb)
{
	if (refusal->reached == BEFORE_SLOT && refusal->error == EFAULT)
		return;
	if (refusal->reached == AFTER_KEY)
		EXPECT_EQ(0, iocb->aio_key);
	else
		EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
}

/* --- before a slot is taken --- */

static struct iocb *pointer_null(struct iocb *iocb)
{
	return NULL;
}

static struct iocb *pointer_unmapped(struct iocb *iocb)
{
	return nowhere();
}

static struct iocb *pointer_kernel(struct iocb *iocb)
{
	return kernel_address();
}

static struct iocb *pointer_cut(struct iocb *iocb)
{
	char *half = guarded(sizeof(*iocb) / 2);

	memcpy(half, iocb, sizeof(*iocb) / 2);
	return (struct iocb *)(uintptr_t)half;
}

static struct iocb *reserved2(struct iocb *iocb)
{
	iocb->aio_reserved2 = 1;
	return iocb;
}

static struct iocb *nbytes_negative(struct iocb *iocb)
{
	iocb->aio_nbytes = (uint64_t)1 << 63;
	return iocb;
}

/* --- before the file is taken --- */

static struct iocb *descriptor_closed(struct iocb *iocb)
{
	/* a number that nothing opened later is given */
	int fd = fcntl((int)iocb->aio_fildes, F_DUPFD_CLOEXEC, 900);

	REQUIRE(fd >= 900);
	REQUIRE(!close(fd));
	iocb->aio_fildes = (uint32_t)fd;
	return iocb;
}

static struct iocb *descriptor_negative(struct iocb *iocb)
{
	iocb->aio_fildes = (uint32_t)-1;
	return iocb;
}

static struct iocb *descriptor_o_path(struct iocb *iocb)
{
	iocb->aio_fildes = (uint32_t)keep(open("/", O_PATH | O_CLOEXEC));
	return iocb;
}

/* --- before the eventfd is taken, and before the key is written --- */

static struct iocb *resfd_negative(struct iocb *iocb)
{
	return notify(iocb, -1);
}

static struct iocb *resfd_no_eventfd(struct iocb *iocb)
{
	return notify(iocb, keep(open("/", O_RDONLY | O_CLOEXEC)));
}

static struct iocb *key_read_only(struct iocb *iocb)
{
	read_only(iocb, sizeof(*iocb));
	return iocb;
}

/* --- after the key is written --- */

static struct iocb *opcode_unknown(struct iocb *iocb)
{
	iocb->aio_lio_opcode = OPCODE_UNKNOWN;
	return iocb;
}

static struct iocb *opcode_noop(struct iocb *iocb)
{
	iocb->aio_lio_opcode = OPCODE_NOOP;
	return iocb;
}

static struct iocb *ioprio_class(struct iocb *iocb)
{
	iocb->aio_flags |= IOCB_FLAG_IOPRIO;
	iocb->aio_reqprio = IOPRIO_CLASS_UNKNOWN;
	return iocb;
}

static struct iocb *rw_flags(struct iocb *iocb)
{
	iocb->aio_rw_flags = RW_FLAG_UNKNOWN;
	return iocb;
}

static struct iocb *read_of_write_end(struct iocb *iocb)
{
	iocb->aio_lio_opcode = IOCB_CMD_PREAD;
	return iocb;
}

static struct iocb *readv_of_write_end(struct iocb *iocb)
{
	iocb->aio_lio_opcode = IOCB_CMD_PREADV;
	return iocb;
}

static struct iocb *write_to_read_only(struct iocb *iocb)
{
	iocb->aio_fildes = (uint32_t)keep(open("/", O_RDONLY | O_CLOEXEC));
	return iocb;
}

static struct iocb *read_of_directory(struct iocb *iocb)
{
	iocb->aio_lio_opcode = IOCB_CMD_PREAD;
	return write_to_read_only(iocb);
}

static struct iocb *write_to_eventfd(struct iocb *iocb)
{
	iocb->aio_fildes = (uint32_t)open_eventfd(0, 0);
	return iocb;
}

static struct iocb *buffer_kernel(struct iocb *iocb)
{
	iocb->aio_buf = kernel_buffer();
	return iocb;
}

static struct iocb *vector_unmapped(struct iocb *iocb)
{
	iocb->aio_lio_opcode = IOCB_CMD_PWRITEV;
	iocb->aio_buf = (uintptr_t)nowhere();
	return iocb;
}

static struct iocb *vector_too_long(struct iocb *iocb)
{
	iocb->aio_lio_opcode = IOCB_CMD_PWRITEV;
	iocb->aio_buf = (uintptr_t)GUARDED_ARRAY(struct iovec, 1);
	iocb->aio_nbytes = SEGMENTS_MOST + 1;
	return iocb;
}

/* Long enough that the array of segments is allocated, and has to be freed. */
static struct iocb *vector_negative(struct iocb *iocb)
{
	static const size_t segments = 16;
	struct iovec *iov = GUARDED_ARRAY(struct iovec, segments);

	iov[segments - 1].iov_len = SIZE_MAX;
	iocb->aio_lio_opcode = IOCB_CMD_PWRITEV;
	iocb->aio_buf = (uintptr_t)iov;
	iocb->aio_nbytes = segments;
	return iocb;
}

static struct iocb *offset_negative(struct iocb *iocb)
{
	iocb->aio_offset = -1;
	return iocb;
}

static struct iocb *offset_overflow(struct iocb *iocb)
{
	iocb->aio_offset = INT64_MAX;
	return iocb;
}

static struct iocb *without_fields(struct iocb *iocb, int opcode)
{
	iocb->aio_lio_opcode = (uint16_t)opcode;
	iocb->aio_buf = 0;
	iocb->aio_nbytes = 0;
	return iocb;
}

static struct iocb *fsync_of_pipe(struct iocb *iocb)
{
	return without_fields(iocb, IOCB_CMD_FSYNC);
}

static struct iocb *fdsync_with_buffer(struct iocb *iocb)
{
	iocb->aio_lio_opcode = IOCB_CMD_FDSYNC;
	return iocb;
}

static struct iocb *poll_with_length(struct iocb *iocb)
{
	without_fields(iocb, IOCB_CMD_POLL);
	iocb->aio_nbytes = 1;
	return iocb;
}

static struct iocb *poll_wide_mask(struct iocb *iocb)
{
	without_fields(iocb, IOCB_CMD_POLL);
	iocb->aio_buf = 0x10000 | POLLOUT;
	return iocb;
}

/* A directory has no poll method, and is never ready for this. */
static struct iocb *poll_of_directory(struct iocb *iocb)
{
	without_fields(iocb, IOCB_CMD_POLL);
	iocb->aio_buf = POLLPRI;
	return write_to_read_only(iocb);
}

/* A pipe that one descriptor reads and writes has two wait queues. */
static struct iocb *poll_two_queues(struct iocb *iocb)
{
	int ends[2];

	open_pipe(ends, 0);
	iocb->aio_fildes = (uint32_t)open_both_ways(ends[0]);
	without_fields(iocb, IOCB_CMD_POLL);
	iocb->aio_buf = POLLIN;
	return iocb;
}

static const struct refusal refusals[] = {
	{ "a null pointer", EFAULT, BEFORE_SLOT, false, pointer_null },
	{ "an unmapped iocb", EFAULT, BEFORE_SLOT, false, pointer_unmapped },
	{ "an iocb of the kernel", EFAULT, BEFORE_SLOT, false, pointer_kernel },
	{ "half an iocb", EFAULT, BEFORE_SLOT, false, pointer_cut },
	{ "aio_reserved2", EINVAL, BEFORE_SLOT, false, reserved2 },
	{ "aio_nbytes negative", EINVAL, BEFORE_SLOT, false, nbytes_negative },
	{ "a closed descriptor", EBADF, BEFORE_FILE, true, descriptor_closed },
	{ "descriptor -1", EBADF, BEFORE_FILE, true, descriptor_negative },
	{ "an O_PATH descriptor", EBADF, BEFORE_FILE, true, descriptor_o_path },
	{ "aio_resfd -1", EBADF, BEFORE_EVENT, false, resfd_negative },
	{ "aio_resfd no eventfd", EINVAL, BEFORE_EVENT, false,
	  resfd_no_eventfd },
	{ "a read-only iocb", EFAULT, BEFORE_KEY, false, key_read_only },
	{ "an unknown opcode", EINVAL, AFTER_KEY, false, opcode_unknown },
	{ "the opcode NOOP", EINVAL, AFTER_KEY, false, opcode_noop },
	{ "an unknown priority class", EINVAL, AFTER_KEY, false, ioprio_class },
	{ "an unknown RWF_ flag", EOPNOTSUPP, AFTER_KEY, false, rw_flags },
	{ "a read of a write end", EBADF, AFTER_KEY, false, read_of_write_end },
	{ "a vectored read of a write end", EBADF, AFTER_KEY, false,
	  readv_of_write_end },
	{ "a write to a read-only descriptor", EBADF, AFTER_KEY, true,
	  write_to_read_only },
	{ "a read of a directory", EINVAL, AFTER_KEY, true, read_of_directory },
	{ "a write to an eventfd", EINVAL, AFTER_KEY, true, write_to_eventfd },
	{ "a buffer of the kernel", EFAULT, AFTER_KEY, false, buffer_kernel },
	{ "unmapped segments", EFAULT, AFTER_KEY, false, vector_unmapped },
	{ "too many segments", EINVAL, AFTER_KEY, false, vector_too_long },
	{ "a negative segment", EINVAL, AFTER_KEY, false, vector_negative },
	{ "a negative offset", EINVAL, AFTER_KEY, false, offset_negative },
	{ "an offset too far", EINVAL, AFTER_KEY, false, offset_overflow },
	{ "FSYNC of a pipe", EINVAL, AFTER_KEY, false, fsync_of_pipe },
	{ "FDSYNC with a buffer", EINVAL, AFTER_KEY, false,
	  fdsync_with_buffer },
	{ "POLL with a length", EINVAL, AFTER_KEY, false, poll_with_length },
	{ "POLL with a wide mask", EINVAL, AFTER_KEY, false, poll_wide_mask },
	{ "POLL of a directory", EINVAL, AFTER_KEY, true, poll_of_directory },
	{ "POLL with two wait queues", EINVAL, AFTER_KEY, true,
	  poll_two_queues },
};

const struct refusal *next_refusal(const struct refusal *refusal)
{
	refusal = refusal ? refusal + 1 : refusals;
	if (refusal == refusals + sizeof(refusals) / sizeof(refusals[0])) {
		ROUNDS_END();
		return NULL;
	}
	ROUND("%s", refusal->name);
	return refusal;
}
