// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which errno comes when two things are wrong: the checks stand in an order,
 * and programs that probe what a kernel can do live on it. Each pair is tried
 * with all four ways to read and write.
 */
#include <unistd.h>

#include "refusals.h"

enum fault {
	FAULT_COPY,	     /* the last byte of the iocb cannot be read */
	FAULT_RESERVED,	     /* aio_reserved2 */
	FAULT_LENGTH,	     /* aio_nbytes negative */
	FAULT_FULL,	     /* no slot is free */
	FAULT_DESCRIPTOR,    /* not open */
	FAULT_RESFD_CLOSED,  /* not open either */
	FAULT_RESFD,	     /* no eventfd */
	FAULT_KEY,	     /* the iocb cannot be written */
	FAULT_OPCODE,	     /* unknown */
	FAULT_PRIORITY,	     /* of no class */
	FAULT_FLAGS,	     /* unknown */
	FAULT_MODE,	     /* open the other way */
	FAULT_MODE_AND_ITER, /* the same, and a file without the method */
	FAULT_ITER,	     /* a file without the method */
	FAULT_BUFFER,	     /* or the array of segments */
	FAULT_OFFSET,	     /* negative */
	FAULTS,
};

static const struct {
	const char *name;
	int error;
} faults[FAULTS] = {
	[FAULT_COPY] = { "an unreadable iocb", EFAULT },
	[FAULT_RESERVED] = { "aio_reserved2", EINVAL },
	[FAULT_LENGTH] = { "a negative length", EINVAL },
	[FAULT_FULL] = { "a full ring", EAGAIN },
	[FAULT_DESCRIPTOR] = { "a closed descriptor", EBADF },
	[FAULT_RESFD_CLOSED] = { "a closed aio_resfd", EBADF },
	[FAULT_RESFD] = { "an aio_resfd that is no eventfd", EINVAL },
	[FAULT_KEY] = { "an unwritable iocb", EFAULT },
	[FAULT_OPCODE] = { "an unknown opcode", EINVAL },
	[FAULT_PRIORITY] = { "an unknown priority class", EINVAL },
	[FAULT_FLAGS] = { "an unknown RWF_ flag", EOPNOTSUPP },
	[FAULT_MODE] = { "the wrong mode", EBADF },
	[FAULT_MODE_AND_ITER] = { "the wrong mode, no method", EBADF },
	[FAULT_ITER] = { "a file without the method", EINVAL },
	[FAULT_BUFFER] = { "a bad buffer", EFAULT },
	[FAULT_OFFSET] = { "a negative offset", EINVAL },
};

static bool is_write(const struct iocb *iocb)
{
	return iocb->aio_lio_opcode == IOCB_CMD_PWRITE ||
	       iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static bool is_vectored(const struct iocb *iocb)
{
	return iocb->aio_lio_opcode == IOCB_CMD_PREADV ||
	       iocb->aio_lio_opcode == IOCB_CMD_PWRITEV;
}

static uint32_t opened(const char *path, int flags)
{
	return (uint32_t)keep(open(path, flags | O_CLOEXEC));
}

static void wrong_mode(struct iocb *iocb, bool no_method)
{
	if (is_write(iocb))
		iocb->aio_fildes =
			opened(no_method ? "/" : "/dev/null", O_RDONLY);
	else
		iocb->aio_fildes = opened(
			no_method ? "/proc/self/mem" : "/dev/null", O_WRONLY);
}

static void no_method(struct iocb *iocb)
{
	if (is_write(iocb))
		iocb->aio_fildes = (uint32_t)open_eventfd(0, 0);
	else
		iocb->aio_fildes = opened("/", O_RDONLY);
}

/* Give an iocb this fault; the last two change where it is. */
static struct iocb *give(enum fault fault, struct iocb *iocb)
{
	char *cut;

	switch (fault) {
	case FAULT_RESERVED:
		iocb->aio_reserved2 = 1;
		break;
	case FAULT_LENGTH:
		iocb->aio_nbytes = ~(uint64_t)0;
		break;
	case FAULT_DESCRIPTOR:
		iocb->aio_fildes = (uint32_t)-1;
		break;
	case FAULT_RESFD_CLOSED:
		notify(iocb, -1);
		break;
	case FAULT_RESFD:
		notify(iocb, (int)opened("/", O_RDONLY));
		break;
	case FAULT_OPCODE:
		iocb->aio_lio_opcode = 99;
		break;
	case FAULT_PRIORITY:
		iocb->aio_flags |= IOCB_FLAG_IOPRIO;
		iocb->aio_reqprio = (int16_t)(7 << 13);
		break;
	case FAULT_FLAGS:
		iocb->aio_rw_flags = 0x40000000;
		break;
	case FAULT_MODE:
		wrong_mode(iocb, false);
		break;
	case FAULT_MODE_AND_ITER:
		wrong_mode(iocb, true);
		break;
	case FAULT_ITER:
		no_method(iocb);
		break;
	case FAULT_BUFFER:
		iocb->aio_buf = is_vectored(iocb) ? (uintptr_t)nowhere()
						  : kernel_buffer();
		break;
	case FAULT_OFFSET:
		iocb->aio_offset = -1;
		break;
	case FAULT_KEY:
		read_only(iocb, sizeof(*iocb));
		break;
	case FAULT_COPY:
		cut = guarded(sizeof(*iocb) - 1);
		memcpy(cut, iocb, sizeof(*iocb) - 1);
		return (struct iocb *)(uintptr_t)cut;
	default:
		break;
	}
	return iocb;
}

/* A context with room, or one without, each made when first asked for. */
static aio_handle context(bool full)
{
	static aio_handle contexts[2];
	struct iocb iocb;

	if (contexts[full])
		return contexts[full];
	contexts[full] = new_context(1);
	prep_write(&iocb, (int)opened("/dev/null", O_WRONLY), "x", 1, 0);
	pin_to_cpu(0);
	while (full && submit_one(contexts[full], &iocb) == 1)
		;
	return contexts[full];
}

/* Both faults in one iocb give the errno of the first. */
static void expect_wins(enum fault winner, enum fault loser)
{
	static const int opcodes[] = { IOCB_CMD_PREAD, IOCB_CMD_PREADV,
				       IOCB_CMD_PWRITE, IOCB_CMD_PWRITEV };
	aio_handle ctx = context(winner == FAULT_FULL || loser == FAULT_FULL);
	unsigned int i, tail = ring_of(ctx)->tail;
	struct iocb *iocb;

	/* else the case would prove nothing */
	REQUIRE(faults[winner].error != faults[loser].error);
	for (i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		ROUND("%s and %s, opcode %d", faults[winner].name,
		      faults[loser].name, opcodes[i]);
		iocb = prep_read(GUARDED(struct iocb),
				 (int)opened("/dev/null", O_RDWR), io_buffer(1),
				 1, 0);
		iocb->aio_lio_opcode = (uint16_t)opcodes[i];
		/* what changes the place last of all */
		iocb = give(loser, iocb);
		iocb = give(winner, iocb);
		EXPECT_EQ(-faults[winner].error, submit_one(ctx, iocb));
	}
	EXPECT_EQ(tail, ring_of(ctx)->tail);
	ROUNDS_END();
}

/* As winner and loser, where the loser moves or locks the iocb. */
static void expect_wins_over_key(enum fault winner)
{
	aio_handle ctx = context(false);
	struct iocb *iocb;

	REQUIRE(faults[winner].error != EFAULT);
	ROUND("%s and an unwritable iocb", faults[winner].name);
	iocb = prep_read(GUARDED(struct iocb), (int)opened("/dev/null", O_RDWR),
			 io_buffer(1), 1, 0);
	iocb = give(winner, iocb);
	read_only(iocb, sizeof(*iocb));
	EXPECT_EQ(-faults[winner].error, submit_one(ctx, iocb));
	ROUNDS_END();
}

CASE(io_submit, order_nr_context_array,
     "a bad nr and a bad context come before a bad array",
     .clause = "io_submit.order.nr_ctx")
{
	aio_handle ctx = new_context(1);

	EXPECT_ERR(EINVAL, aio->submit(ctx, -1, NULL));
	EXPECT_ERR(EINVAL, aio->submit(ctx, -1, nowhere()));
	EXPECT_ERR(EINVAL, aio->submit(0, 1, NULL));
	EXPECT_ERR(EINVAL, aio->submit(0, 1, nowhere()));
	EXPECT_ERR(EINVAL, aio->submit(0, -1, nowhere()));
	EXPECT_ERR(EINVAL, aio->submit((uintptr_t)nowhere(), 1, nowhere()));
}

CASE(io_submit, order_copy_first, "an unreadable iocb comes before its fields",
     .clause = "io_submit.order.copy_reserved")
{
	expect_wins(FAULT_COPY, FAULT_RESERVED);
	expect_wins(FAULT_COPY, FAULT_LENGTH);
	expect_wins(FAULT_COPY, FAULT_FULL);
	expect_wins(FAULT_COPY, FAULT_DESCRIPTOR);
	expect_wins(FAULT_COPY, FAULT_RESFD);
	expect_wins(FAULT_COPY, FAULT_OPCODE);
	expect_wins(FAULT_COPY, FAULT_FLAGS);
}

CASE(io_submit, order_fields_full, "bad fields come before a full ring",
     .clause = "io_submit.order.reserved_full")
{
	expect_wins(FAULT_RESERVED, FAULT_FULL);
	expect_wins(FAULT_LENGTH, FAULT_FULL);
}

CASE(io_submit, order_fields_descriptor,
     "bad fields come before a bad descriptor",
     .clause = "io_submit.order.reserved_fd")
{
	expect_wins(FAULT_RESERVED, FAULT_DESCRIPTOR);
	expect_wins(FAULT_LENGTH, FAULT_DESCRIPTOR);
	expect_wins(FAULT_RESERVED, FAULT_RESFD_CLOSED);
	expect_wins(FAULT_LENGTH, FAULT_RESFD_CLOSED);
	expect_wins_over_key(FAULT_RESERVED);
	expect_wins_over_key(FAULT_LENGTH);
	expect_wins(FAULT_RESERVED, FAULT_FLAGS);
	expect_wins(FAULT_LENGTH, FAULT_FLAGS);
	expect_wins(FAULT_RESERVED, FAULT_BUFFER);
	expect_wins(FAULT_LENGTH, FAULT_BUFFER);
}

CASE(io_submit, order_full_rest, "a full ring comes before all that follows",
     .clause = "io_submit.eagain.before_descriptor")
{
	int fault;

	for (fault = FAULT_DESCRIPTOR; fault < FAULTS; fault++)
		expect_wins(FAULT_FULL, (enum fault)fault);
}

CASE(io_submit, order_descriptor_resfd,
     "a bad descriptor comes before a bad aio_resfd",
     .clause = "io_submit.order.fd_resfd")
{
	expect_wins(FAULT_DESCRIPTOR, FAULT_RESFD);
	expect_wins_over_key(FAULT_DESCRIPTOR);
}

CASE(io_submit, order_resfd_key,
     "a bad aio_resfd comes before an unwritable iocb",
     .clause = "io_submit.order.resfd_key")
{
	expect_wins_over_key(FAULT_RESFD);
	expect_wins_over_key(FAULT_RESFD_CLOSED);
	expect_wins(FAULT_RESFD_CLOSED, FAULT_OPCODE);
	expect_wins(FAULT_RESFD_CLOSED, FAULT_PRIORITY);
	expect_wins(FAULT_RESFD, FAULT_FLAGS);
	expect_wins(FAULT_RESFD, FAULT_MODE);
	expect_wins(FAULT_RESFD_CLOSED, FAULT_ITER);
	expect_wins(FAULT_RESFD, FAULT_BUFFER);
	expect_wins(FAULT_RESFD_CLOSED, FAULT_OFFSET);
}

CASE(io_submit, order_key_opcode,
     "an unwritable iocb comes before a bad opcode and its operation",
     .clause = "io_submit.order.key_opcode")
{
	expect_wins(FAULT_KEY, FAULT_OPCODE);
	expect_wins(FAULT_KEY, FAULT_PRIORITY);
	expect_wins(FAULT_KEY, FAULT_FLAGS);
	expect_wins(FAULT_KEY, FAULT_MODE);
	expect_wins(FAULT_KEY, FAULT_ITER);
	expect_wins(FAULT_KEY, FAULT_OFFSET);
}

CASE(io_submit, order_descriptor_opcode,
     "a bad descriptor comes before a bad opcode and its operation",
     .clause = "io_submit.order.fd_opcode")
{
	expect_wins(FAULT_DESCRIPTOR, FAULT_OPCODE);
	expect_wins(FAULT_DESCRIPTOR, FAULT_PRIORITY);
	expect_wins(FAULT_DESCRIPTOR, FAULT_FLAGS);
	expect_wins(FAULT_DESCRIPTOR, FAULT_BUFFER);
	expect_wins(FAULT_DESCRIPTOR, FAULT_OFFSET);
}

CASE(io_submit, order_priority_flags,
     "a bad priority comes before unknown flags and all that follows",
     .clause = "io_submit.order.ioprio_flags")
{
	expect_wins(FAULT_PRIORITY, FAULT_FLAGS);
	expect_wins(FAULT_PRIORITY, FAULT_MODE);
	expect_wins(FAULT_PRIORITY, FAULT_BUFFER);
}

CASE(io_submit, order_flags_mode,
     "unknown flags come before the wrong mode and all that follows",
     .clause = "io_submit.order.flags_mode")
{
	expect_wins(FAULT_FLAGS, FAULT_MODE);
	expect_wins(FAULT_FLAGS, FAULT_ITER);
	expect_wins(FAULT_FLAGS, FAULT_BUFFER);
	expect_wins(FAULT_FLAGS, FAULT_OFFSET);
}

CASE(io_submit, order_mode_method,
     "the wrong mode comes before a missing method and all that follows",
     .clause = "io_submit.order.mode_iter")
{
	expect_wins(FAULT_MODE, FAULT_ITER);
	expect_wins(FAULT_MODE_AND_ITER, FAULT_OFFSET);
	expect_wins(FAULT_MODE_AND_ITER, FAULT_BUFFER);
	expect_wins(FAULT_MODE, FAULT_BUFFER);
	expect_wins(FAULT_MODE, FAULT_OFFSET);
}

CASE(io_submit, order_method_buffer,
     "a missing method comes before a bad buffer",
     .clause = "io_submit.order.iter_buffer")
{
	expect_wins(FAULT_ITER, FAULT_BUFFER);
}

CASE(io_submit, order_buffer_offset, "a bad buffer comes before a bad offset",
     .clause = "io_submit.order.buffer_offset")
{
	expect_wins(FAULT_BUFFER, FAULT_OFFSET);
}
