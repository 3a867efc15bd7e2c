// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What io_submit() refuses: contexts that are none, memory that cannot be
 * read, descriptors that do not fit, fields that mean nothing. Each refusal
 * has one errno, on which programs decide whether to try again.
 */
#include <limits.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "refusals.h"

/* MAX_RW_COUNT: no read or write is longer. */
#define MOST_BYTES ((long)(INT_MAX & ~(PAGE_SIZE - 1)))

/* Refused, without a trace in the ring and in the iocb's key. */
static void expect_no_context(aio_handle ctx)
{
	static struct iocb *iocb;
	int ends[2];

	if (!iocb) {
		open_pipe(ends, 0);
		iocb = new_write(ends[1]);
	}
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
}

/* --- the context --- */

CASE(io_submit, context_garbage, "what is no context is EINVAL",
     .clause = "io_submit.einval.ctx")
{
	unsigned int *word = GUARDED(unsigned int);
	aio_handle ctx = new_context(1);

	expect_no_context(0);
	expect_no_context(1);
	expect_no_context(~0ul);
	expect_no_context((uintptr_t)nowhere());
	expect_no_context((uintptr_t)kernel_address());
	/* readable memory that names the context above, a hole, and no place */
	*word = ring_of(ctx)->id;
	expect_no_context((uintptr_t)word);
	*word = ring_of(ctx)->id + 1;
	expect_no_context((uintptr_t)word);
	for (*word = 2; *word; *word <<= 1)
		expect_no_context((uintptr_t)word);
	*word = ~0u;
	expect_no_context((uintptr_t)word);
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, context_no_table,
     "with no context ever made every handle is EINVAL",
     .clause = "io_submit.einval.ctx_no_table")
{
	struct aio_ring *forged = io_buffer(PAGE_SIZE);

	expect_no_context((uintptr_t)forged);
	forged->magic = AIO_RING_MAGIC;
	forged->nr = ring_events_for(1);
	expect_no_context((uintptr_t)forged);
	expect_no_context(0);
	expect_no_context((uintptr_t)nowhere());
}

CASE(io_submit, context_destroyed, "a destroyed context is EINVAL",
     .clause = "io_submit.einval.ctx_destroyed")
{
	aio_handle keeps_table = new_context(1), ctx = new_context(1);
	size_t size = ring_size(ring_of(ctx)->nr);
	void *copy = io_buffer(size);

	memcpy(copy, (void *)ctx, size);
	end_context(ctx);
	expect_no_context(ctx);
	/* even with all that was there at its address again */
	REQUIRE(mmap((void *)ctx, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
		     0) == (void *)ctx);
	memcpy((void *)ctx, copy, size);
	expect_no_context(ctx);
	EXPECT_EQ(0, ring_of(keeps_table)->tail);
}

CASE(io_submit, context_foreign, "a child cannot use its parent's context",
     .clause = "io_submit.einval.ctx_foreign")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	int ends[2];
	pid_t child;

	open_pipe(ends, 0);
	iocb = new_write(ends[1]);
	child = child_fork();
	if (!child) {
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		/* nor with one of its own, of the same index, elsewhere */
		if (!is_mapped((void *)ctx))
			REQUIRE(mmap((void *)ctx, PAGE_SIZE, PROT_READ,
				     MAP_PRIVATE | MAP_ANONYMOUS |
					     MAP_FIXED_NOREPLACE,
				     -1, 0) == (void *)ctx);
		new_context(1);
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		child_exit(0);
	}
	EXPECT_CHILD_OK(child);
	EXPECT_EQ(0, ring_of(ctx)->tail);
	EXPECT_EQ(1, submit_one(ctx, iocb));
}

/* From a kernel with VM_DONTCOPY on the child has to make the page itself. */
CASE(io_submit, context_foreign_copied,
     "nor with the parent's ring copied to the same address",
     .clause = "io_submit.einval.ctx_foreign")
{
	aio_handle ctx = new_context(1);
	size_t size = ring_size(ring_of(ctx)->nr);
	void *copy = io_buffer(size);
	struct iocb *iocb;
	int ends[2];
	pid_t child;

	open_pipe(ends, 0);
	iocb = new_write(ends[1]);
	memcpy(copy, (void *)ctx, size);
	child = child_fork();
	if (!child) {
		REQUIRE(mmap((void *)ctx, size, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			     0) == (void *)ctx);
		memcpy((void *)ctx, copy, size);
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		child_exit(0);
	}
	EXPECT_CHILD_OK(child);
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, context_forged, "a copy of a live ring elsewhere is EINVAL",
     .clause = "io_submit.einval.ctx_forged")
{
	aio_handle first = new_context(1), second = new_context(1);
	void *forged = io_buffer(PAGE_SIZE);

	memcpy(forged, (void *)first, PAGE_SIZE);
	expect_no_context((uintptr_t)forged);
	memcpy(forged, (void *)second, PAGE_SIZE);
	expect_no_context((uintptr_t)forged);
	EXPECT_EQ(0, ring_of(first)->tail);
	EXPECT_EQ(0, ring_of(second)->tail);
}

CASE(io_submit, context_each_bit, "each bit of a handle counts",
     .clause = "io_submit.einval.ctx_forged")
{
	aio_handle ctx = new_context(1), other;
	unsigned int bit;

	for (bit = 0; bit < 8 * sizeof(ctx); bit++) {
		other = ctx ^ (aio_handle)1 << bit;
		ROUND("handle 0x%lx for 0x%lx", other, ctx);
		/* not every address can be had */
		if (mmap((void *)other, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1,
			 0) == (void *)other)
			memcpy((void *)other, (void *)ctx, PAGE_SIZE);
		expect_no_context(other);
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, context_inside, "an address inside a live ring is EINVAL",
     .clause = "io_submit.einval.ctx_inside")
{
	aio_handle ctx = new_context(1);
	size_t size = ring_size(ring_of(ctx)->nr), at;

	/* the events are still zeroes, which is the id */
	STAGE_EQ(0, ring_of(ctx)->id);
	for (at = sizeof(unsigned int); at < size; at += sizeof(unsigned int))
		expect_no_context(ctx + at);
	expect_no_context(ctx + 1);
	expect_no_context(ctx - sizeof(unsigned int));
	expect_no_context(ctx + size);
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

/* --- memory --- */

CASE(io_submit, array_unreadable, "an array that cannot be read is EFAULT",
     .clause = "io_submit.efault.iocbpp")
{
	aio_handle ctx = new_context(1);
	struct iocb **list = GUARDED_ARRAY(struct iocb *, 1);
	char *cut;
	int ends[2];

	open_pipe(ends, 0);
	list[0] = new_write(ends[1]);
	EXPECT_ERR(EFAULT, aio->submit(ctx, 1, NULL));
	EXPECT_ERR(EFAULT, aio->submit(ctx, 1, nowhere()));
	EXPECT_ERR(EFAULT, aio->submit(ctx, 1, kernel_address()));
	EXPECT_ERR(EFAULT, aio->submit(ctx, 3, list + 1));
	/* an entry that reaches over the edge by one byte */
	cut = (char *)list + 1;
	memmove(cut, list, sizeof(*list) - 1);
	EXPECT_ERR(EFAULT, aio->submit(ctx, 1, (struct iocb **)(uintptr_t)cut));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, iocb_unreadable, "an iocb that cannot be read is EFAULT",
     .clause = "io_submit.efault.iocb")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	int ends[2];

	open_pipe(ends, 0);
	EXPECT_ERR(EFAULT, submit_one(ctx, NULL));
	EXPECT_ERR(EFAULT, submit_one(ctx, nowhere()));
	EXPECT_ERR(EFAULT, submit_one(ctx, kernel_address()));
	iocb = new_write(ends[1]);
	inaccessible(iocb, sizeof(*iocb));
	EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_of(ctx)->tail);
	read_write(iocb, sizeof(*iocb));
	EXPECT_EQ(1, submit_one(ctx, iocb));
}

CASE(io_submit, iocb_alias,
     "so is what the kernel itself has at another address",
     .clause = "io_submit.efault.iocb", .needs = "page_frames wide_long",
     .flavours = NATIVE)
{
	struct iocb *iocb = io_buffer(PAGE_SIZE), **list = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(1);
	unsigned int way;
	void *alias;
	int ends[2];

	open_pipe(ends, 0);
	prep_write(iocb, ends[1], "x", 1, 0);
	list[0] = iocb;
	for (way = 0; (alias = kernel_alias(iocb, way)); way++) {
		ROUND("way %u", way);
		EXPECT_ERR(EFAULT, submit_one(ctx, alias));
		alias = kernel_alias(list, way);
		EXPECT_ERR(EFAULT, aio->submit(ctx, 1, alias));
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, iocb_straddles, "an iocb over an edge of memory is EFAULT",
     .clause = "io_submit.efault.iocb_straddle")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	char *pages = io_buffer(2 * PAGE_SIZE), *at;
	int ends[2];
	size_t in;

	open_pipe(ends, 0);
	iocb = new_write(ends[1]);
	for (in = 1; in < sizeof(*iocb); in++) {
		ROUND("%zu bytes readable", in);
		at = guarded(in);
		memcpy(at, iocb, in);
		EXPECT_ERR(EFAULT,
			   submit_one(ctx, (struct iocb *)(uintptr_t)at));
	}
	/* readable at its end only */
	ROUND("the end readable");
	at = pages + PAGE_SIZE - sizeof(*iocb) / 2;
	memcpy(at, iocb, sizeof(*iocb));
	inaccessible(pages, PAGE_SIZE);
	EXPECT_ERR(EFAULT, submit_one(ctx, (struct iocb *)(uintptr_t)at));
	EXPECT_EQ(0, ring_of(ctx)->tail);
	/* aligned or not does not matter */
	read_write(pages, PAGE_SIZE);
	EXPECT_EQ(1, submit_one(ctx, (struct iocb *)(uintptr_t)at));
}

CASE(io_submit, iocb_read_only,
     "an iocb whose key cannot be written is EFAULT and not queued",
     .clause = "io_submit.efault.key_write")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	char byte;
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	iocb = new_write(ends[1]);
	read_only(iocb, sizeof(*iocb));
	EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_of(ctx)->tail);
	EXPECT_EQ(-1, read(ends[0], &byte, 1));
	EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
	/* a key of 0 already does not help */
	read_write(iocb, sizeof(*iocb));
	iocb->aio_key = 0;
	read_only(iocb, sizeof(*iocb));
	EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_of(ctx)->tail);
	read_write(iocb, sizeof(*iocb));
	EXPECT_EQ(1, submit_one(ctx, iocb));
}

/* --- the descriptor --- */

/* Each opcode on this descriptor gives this errno. */
static void expect_descriptor(aio_handle ctx, int fd, int error)
{
	static const int opcodes[] = {
		IOCB_CMD_PREAD,	  IOCB_CMD_PWRITE, IOCB_CMD_FSYNC,
		IOCB_CMD_FDSYNC,  IOCB_CMD_POLL,   IOCB_CMD_PREADV,
		IOCB_CMD_PWRITEV,
	};
	struct iocb iocb;
	unsigned int i;

	for (i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		ROUND("descriptor %d, opcode %d", fd, opcodes[i]);
		prep_fsync(&iocb, fd);
		iocb.aio_lio_opcode = (uint16_t)opcodes[i];
		EXPECT_ERR(error, submit_one(ctx, &iocb));
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, descriptor_closed, "a descriptor that is not open is EBADF",
     .clause = "io_submit.ebadf.closed")
{
	aio_handle ctx = new_context(1);
	struct rlimit most;
	int ends[2];

	open_pipe(ends, 0);
	drop(ends[1]);
	expect_descriptor(ctx, ends[1], EBADF);
	expect_descriptor(ctx, -1, EBADF);
	expect_descriptor(ctx, INT_MAX, EBADF);
	expect_descriptor(ctx, INT_MIN, EBADF);
	REQUIRE(!getrlimit(RLIMIT_NOFILE, &most));
	expect_descriptor(ctx, (int)most.rlim_cur, EBADF);
	/* the first that the table has no room for, and around it */
	expect_descriptor(ctx, 63, EBADF);
	expect_descriptor(ctx, 64, EBADF);
	expect_descriptor(ctx, 65, EBADF);
	expect_descriptor(ctx, 256, EBADF);
}

/* A number cut to fewer bits would name a descriptor that is open. */
CASE(io_submit, descriptor_each_bit, "each bit of a descriptor counts",
     .clause = "io_submit.ebadf.closed", .on = ON_FILE)
{
	int file = scratch_file("file", O_RDWR), high, bit;
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	for (bit = 10; bit < 32; bit++)
		expect_descriptor(ctx, (int)((unsigned int)file | 1U << bit),
				  EBADF);
	high = dup_high(file);
	drop(file);
	ROUND("descriptor %d", high);
	EXPECT_EQ(1, submit_one(ctx, prep_fsync(&iocb, high)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 0);
}

CASE(io_submit, descriptor_o_path, "an O_PATH descriptor is EBADF",
     .clause = "io_submit.ebadf.o_path", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);

	keep(open(scratch_path("file"), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
	expect_descriptor(ctx,
			  keep(open(scratch_path("file"), O_PATH | O_CLOEXEC)),
			  EBADF);
	expect_descriptor(ctx, keep(open("/", O_PATH | O_CLOEXEC)), EBADF);
}

CASE(io_submit, read_of_write_only, "reading a write-only descriptor is EBADF",
     .clause = "io_submit.ebadf.read_mode", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fds[3], ends[2];
	struct iovec iov;
	struct iocb iocb;
	char byte;
	int i;

	iov.iov_base = &byte;
	iov.iov_len = 1;
	open_pipe(ends, 0);
	fds[0] = scratch_file("file", O_WRONLY);
	fds[1] = ends[1];
	/* for ioctl(2) alone */
	fds[2] = scratch_file("neither", O_ACCMODE);
	for (i = 0; i < 3; i++) {
		prep_read(&iocb, fds[i], &byte, 1, 0);
		EXPECT_ERR(EBADF, submit_one(ctx, &iocb));
		prep_readv(&iocb, fds[i], &iov, 1, 0);
		EXPECT_ERR(EBADF, submit_one(ctx, &iocb));
		/* not even nothing may be read */
		prep_read(&iocb, fds[i], &byte, 0, 0);
		EXPECT_ERR(EBADF, submit_one(ctx, &iocb));
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, write_of_read_only, "writing a read-only descriptor is EBADF",
     .clause = "io_submit.ebadf.write_mode", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	int fds[3], ends[2];
	struct iovec iov;
	struct iocb iocb;
	char byte = 'x';
	int i;

	iov.iov_base = &byte;
	iov.iov_len = 1;
	open_pipe(ends, 0);
	fds[0] = scratch_file("file", O_RDONLY);
	fds[1] = ends[0];
	fds[2] = scratch_file("neither", O_ACCMODE);
	for (i = 0; i < 3; i++) {
		prep_write(&iocb, fds[i], &byte, 1, 0);
		EXPECT_ERR(EBADF, submit_one(ctx, &iocb));
		prep_writev(&iocb, fds[i], &iov, 1, 0);
		EXPECT_ERR(EBADF, submit_one(ctx, &iocb));
		prep_write(&iocb, fds[i], &byte, 0, 0);
		EXPECT_ERR(EBADF, submit_one(ctx, &iocb));
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

/* Other ways round are fine: the mode is asked for as the request needs it. */
CASE(io_submit, mode_that_fits, "a descriptor of just the mode needed will do",
     .clause = "io_submit.ebadf.read_mode", .on = ON_FILE)
{
	aio_handle ctx = new_context(2);
	int write_only = scratch_file("file", O_WRONLY);
	int read_only_fd = scratch_file("file", O_RDONLY);
	struct io_event event;
	struct iocb iocb;
	char byte = 'x';

	EXPECT_EQ(1,
		  submit_one(ctx, prep_write(&iocb, write_only, &byte, 1, 0)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 1);
	byte = 0;
	EXPECT_EQ(1,
		  submit_one(ctx, prep_read(&iocb, read_only_fd, &byte, 1, 0)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 1);
	EXPECT_EQ('x', byte);
}

/* --- files without the method --- */

static void expect_no_method(aio_handle ctx, int fd, int opcode)
{
	struct iovec *iov = GUARDED(struct iovec);
	struct iocb iocb;
	char byte[8];

	iov->iov_base = byte;
	iov->iov_len = sizeof(byte);
	prep_read(&iocb, fd,
		  opcode == IOCB_CMD_PREADV || opcode == IOCB_CMD_PWRITEV
			  ? (void *)iov
			  : byte,
		  1, 0);
	iocb.aio_lio_opcode = (uint16_t)opcode;
	EXPECT_ERR(EINVAL, submit_one(ctx, &iocb));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, no_read_iter, "reading what has no iterator read is EINVAL",
     .clause = "io_submit.einval.no_read_iter", .needs = "epoll", .on = ON_FILE)
{
	aio_handle ctx = new_context(1);
	struct {
		const char *name;
		int fd;
	} files[4];
	unsigned int i;

	files[0].name = "a directory";
	scratch_file("file", O_RDWR);
	files[0].fd = keep(open(scratch_path("."), O_RDONLY | O_DIRECTORY));
	files[1].name = "an epoll descriptor";
	files[1].fd = keep(epoll_create1(EPOLL_CLOEXEC));
	files[2].name = "an inotify descriptor";
	files[2].fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	files[3].name = "a pidfd";
	files[3].fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		/* the last two may be configured out */
		if (files[i].fd < 0)
			continue;
		ROUND("%s", files[i].name);
		expect_no_method(ctx, files[i].fd, IOCB_CMD_PREAD);
		expect_no_method(ctx, files[i].fd, IOCB_CMD_PREADV);
		if (i >= 2)
			close(files[i].fd);
	}
}

CASE(io_submit, no_write_iter, "writing what has no iterator write is EINVAL",
     .clause = "io_submit.einval.no_write_iter", .needs = "eventfd epoll")
{
	aio_handle ctx = new_context(1);
	int fds[2] = { open_eventfd(0, EFD_NONBLOCK),
		       keep(epoll_create1(EPOLL_CLOEXEC)) };
	int i;

	for (i = 0; i < 2; i++) {
		ROUND(i ? "an epoll descriptor" : "an eventfd");
		expect_no_method(ctx, fds[i], IOCB_CMD_PWRITE);
		expect_no_method(ctx, fds[i], IOCB_CMD_PWRITEV);
	}
	EXPECT_EQ(0, eventfd_take(fds[0]));
}

CASE(io_submit, read_timerfd, "a timerfd can be read where it has the method",
     .clause = "io_submit.read_iter.timerfd", .needs = "timerfd")
{
	int fd = keep(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	long wanted = contract("io_submit.read_iter.timerfd");
	struct itimerspec soon = { .it_value.tv_nsec = 1 };
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	uint64_t ticks = 0;

	REQUIRE(!timerfd_settime(fd, 0, &soon, NULL));
	prep_read(&iocb, fd, &ticks, sizeof(ticks), 0);
	EXPECT_EQ(wanted, submit_one(ctx, &iocb));
	EXPECT_EQ(wanted > 0, ring_of(ctx)->tail);
	if (wanted < 0)
		return;
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, sizeof(ticks));
	EXPECT_EQ(1, ticks);
}

CASE(io_submit, read_signalfd, "a signalfd can be read where it has the method",
     .clause = "io_submit.read_iter.timerfd", .needs = "signalfd")
{
	long wanted = contract("io_submit.read_iter.timerfd");
	struct signalfd_siginfo info = { 0 };
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	sigset_t set;
	int fd;

	block_signal(SIGUSR1);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	fd = keep(signalfd(-1, &set, SFD_CLOEXEC));
	signal_thread(own_tid(), SIGUSR1);
	prep_read(&iocb, fd, &info, sizeof(info), 0);
	EXPECT_EQ(wanted, submit_one(ctx, &iocb));
	EXPECT_EQ(wanted > 0, ring_of(ctx)->tail);
	if (wanted < 0)
		return;
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, sizeof(info));
	EXPECT_EQ(SIGUSR1, info.ssi_signo);
}

/* --- fields --- */

CASE(io_submit, opcode_unknown, "an opcode that is none is EINVAL",
     .clause = "io_submit.einval.opcode")
{
	/* with those that are one, when cut to seven or eight bits */
	static const uint16_t opcodes[] = {
		9,	10,	15,	16,	32,	64,	99,
		0x7f,	0x80,	0x81,	0xff,	0x100,	0x101,	0x105,
		0x7fff, 0x8000, 0x8001, 0xff00, 0xff05, 0xfffe, 0xffff,
	};
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	int ends[2];
	unsigned int i;

	open_pipe(ends, 0);
	iocb = new_write(ends[1]);
	for (i = 0; i < sizeof(opcodes) / sizeof(opcodes[0]); i++) {
		ROUND("opcode %u", opcodes[i]);
		iocb->aio_lio_opcode = opcodes[i];
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, opcode_unused, "the numbers of PREADX and NOOP are EINVAL",
     .clause = "io_submit.einval.opcode_unused")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	int ends[2];

	open_pipe(ends, 0);
	iocb = new_write(ends[1]);
	iocb->aio_lio_opcode = 4;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	iocb->aio_lio_opcode = 6;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	/* not even with all fields 0 */
	prep_fsync(iocb, ends[1]);
	iocb->aio_lio_opcode = 6;
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, reserved2, "aio_reserved2 that is not 0 is EINVAL",
     .clause = "io_submit.einval.reserved2")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	int ends[2], bit;

	open_pipe(ends, 0);
	iocb = new_write(ends[1]);
	for (bit = 0; bit < 64; bit++) {
		ROUND("bit %d", bit);
		iocb->aio_reserved2 = (uint64_t)1 << bit;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
	EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
	iocb->aio_reserved2 = 0;
	EXPECT_EQ(1, submit_one(ctx, iocb));
}

CASE(io_submit, nbytes_negative, "aio_nbytes negative as ssize_t is EINVAL",
     .clause = "io_submit.einval.nbytes")
{
	static const uint64_t lengths[] = {
		(uint64_t)1 << 63,
		((uint64_t)1 << 63) + 1,
		~(uint64_t)0,
		~(uint64_t)0 - 1,
	};
	aio_handle ctx = new_context(1);
	unsigned int i, opcode;
	struct iocb *iocb;
	int ends[2];

	open_pipe(ends, 0);
	iocb = new_write(ends[1]);
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		for (opcode = 0; opcode < 10; opcode++) {
			ROUND("length %u, opcode %u", i, opcode);
			iocb->aio_lio_opcode = (uint16_t)opcode;
			iocb->aio_nbytes = lengths[i];
			EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
			EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
		}
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, wide_fields,
     "a buffer or a length over 32 bits is EINVAL where there are no more",
     .clause = "io_submit.einval.buf_32bit", .needs = "kernel32")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb;
	int ends[2], bit;

	open_pipe(ends, 0);
	for (bit = 32; bit < 64; bit++) {
		ROUND("bit %d", bit);
		iocb = new_write(ends[1]);
		iocb->aio_buf |= (uint64_t)1 << bit;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
		iocb = new_write(ends[1]);
		iocb->aio_nbytes |= (uint64_t)1 << bit;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		EXPECT_EQ(KEY_BEFORE, iocb->aio_key);
	}
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, nbytes_most, "aio_nbytes of SSIZE_MAX is cut, not refused",
     .clause = "io_submit.nbytes_max")
{
	int fd = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	char *byte = GUARDED(char);
	struct io_event event;
	struct iocb iocb;

	/* which takes any bytes and reads none */
	prep_write(&iocb, fd, byte, SSIZE_MAX, 0);
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, MOST_BYTES);
	prep_write(&iocb, fd, byte, (size_t)MOST_BYTES, 0);
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, MOST_BYTES);
}

CASE(io_submit, nbytes_most_read, "and reads give what there is",
     .clause = "io_submit.nbytes_max", .on = ON_FILE)
{
	unsigned char *buffer = io_buffer(PAGE_SIZE);
	int fd = scratch_file("file", O_RDWR);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	pattern(buffer, PAGE_SIZE, 1);
	REQUIRE(write(fd, buffer, PAGE_SIZE) == (ssize_t)PAGE_SIZE);
	memset(buffer, 0, PAGE_SIZE);
	prep_read(&iocb, fd, buffer, SSIZE_MAX, 0);
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, (long)PAGE_SIZE);
	EXPECT_PATTERN(buffer, PAGE_SIZE, 1);
}

/* --- offsets --- */

/* Each of the four ways to read and write, with this offset and length. */
static void expect_offset(aio_handle ctx, int fd, int64_t offset, size_t len,
			  long wanted)
{
	struct iovec *iov = GUARDED(struct iovec);
	char *buffer = io_buffer(PAGE_SIZE);
	struct iocb iocbs[4];
	struct io_event event;
	ssize_t done;
	int i;

	REQUIRE(len <= PAGE_SIZE);
	iov->iov_base = buffer;
	iov->iov_len = len;
	prep_read(&iocbs[0], fd, buffer, len, offset);
	prep_readv(&iocbs[1], fd, iov, 1, offset);
	prep_write(&iocbs[2], fd, buffer, len, offset);
	prep_writev(&iocbs[3], fd, iov, 1, offset);
	for (i = 0; i < 4; i++) {
		ROUND("offset 0x%llx, length %zu, opcode %u",
		      (unsigned long long)offset, len, iocbs[i].aio_lio_opcode);
		EXPECT_EQ(wanted, submit_one(ctx, &iocbs[i]));
		EXPECT_EQ(wanted > 0, ring_unread(ctx));
		if (wanted <= 0)
			continue;
		stage_reap(ctx, 1, &event);
		/* how far a file can reach is the file system's to say */
		done = i < 2 ? pread(fd, buffer, len, offset)
			     : pwrite(fd, buffer, len, offset);
		EXPECT_EVENT(&event, &iocbs[i], done < 0 ? -errno : done);
	}
	ROUNDS_END();
}

CASE(io_submit, offset_negative, "a negative offset is EINVAL from the call",
     .clause = "io_submit.einval.offset_negative", .on = ON_FILE)
{
	int fd = scratch_file("file", O_RDWR);
	aio_handle ctx = new_context(1);

	expect_offset(ctx, fd, -1, 1, -EINVAL);
	expect_offset(ctx, fd, -1, 0, -EINVAL);
	expect_offset(ctx, fd, -(int64_t)PAGE_SIZE, PAGE_SIZE, -EINVAL);
	expect_offset(ctx, fd, INT64_MIN, 1, -EINVAL);
	expect_offset(ctx, fd, INT64_MIN, 0, -EINVAL);
}

CASE(io_submit, offset_negative_stream,
     "also where offsets mean nothing: on a pipe",
     .clause = "io_submit.einval.offset_negative")
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	char byte = 'x';
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_write(&iocb, ends[1], &byte, 1, -1);
	EXPECT_ERR(EINVAL, submit_one(ctx, &iocb));
	prep_read(&iocb, ends[0], &byte, 1, -1);
	EXPECT_ERR(EINVAL, submit_one(ctx, &iocb));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, offset_overflow,
     "an offset whose end is past the largest is EINVAL, up to it is not",
     .clause = "io_submit.einval.offset_overflow", .on = ON_FILE)
{
	int fds[2] = { scratch_file("file", O_RDWR),
		       keep(open("/dev/null", O_RDWR | O_CLOEXEC)) };
	aio_handle ctx = new_context(1);
	int64_t page = (int64_t)PAGE_SIZE;
	int i;

	for (i = 0; i < 2; i++) {
		expect_offset(ctx, fds[i], INT64_MAX, 1, -EINVAL);
		expect_offset(ctx, fds[i], INT64_MAX, PAGE_SIZE, -EINVAL);
		expect_offset(ctx, fds[i], INT64_MAX - page + 1, PAGE_SIZE,
			      -EINVAL);
		expect_offset(ctx, fds[i], INT64_MAX - page, PAGE_SIZE, 1);
		expect_offset(ctx, fds[i], INT64_MAX - 1, 1, 1);
		expect_offset(ctx, fds[i], INT64_MAX, 0, 1);
	}
}
