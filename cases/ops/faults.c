// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Buffers that are not there, or may not be written.
 *
 * The kernel finds out late, and half way: what it then says in the event is
 * all that a program has to tell what was transferred.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"
#include "held.h"

#define SEED   23
#define FILLER 0x5a

static int data_file(size_t len)
{
	int fd = scratch_file("data", O_RDWR);
	unsigned char *buf = io_buffer(len);

	pattern(buf, len, SEED);
	REQUIRE(pwrite(fd, buf, len, 0) == (ssize_t)len);
	return fd;
}

static void expect_filler(const unsigned char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len && buf[i] == FILLER; i++)
		;
	EXPECT_EQ(len, i);
}

CASE(ops, efault_kernel_address,
     "a buffer in the kernel is EFAULT from the call",
     .clause = "ops.efault.kernel_address", .needs = "native")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = data_file(PAGE_SIZE);

	prep_read(iocb, fd, kernel_address(), 1, 0);
	EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
	prep_write(iocb, fd, kernel_address(), 1, 0);
	EXPECT_ERR(EFAULT, submit_one(ctx, iocb));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, efault_unmapped_read, "a read into nothing ends with EFAULT",
     .clause = "ops.efault.unmapped", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_read(iocb, data_file(PAGE_SIZE), nowhere(), PAGE_SIZE, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EFAULT);
}

CASE(ops, efault_unmapped_write, "a write from nothing ends with EFAULT",
     .clause = "ops.efault.unmapped", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *back = io_buffer(PAGE_SIZE);
	int fd = data_file(PAGE_SIZE);

	prep_write(iocb, fd, nowhere(), PAGE_SIZE, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EFAULT);
	REQUIRE(pread(fd, back, PAGE_SIZE, 0) == (ssize_t)PAGE_SIZE);
	EXPECT_PATTERN(back, PAGE_SIZE, SEED);
}

CASE(ops, efault_half_read, "a read into half of nothing is short",
     .clause = "ops.efault.unmapped", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PAGE_SIZE);

	/* what is behind the buffer cannot be written */
	prep_read(iocb, data_file(2 * PAGE_SIZE), buf, 2 * PAGE_SIZE, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, PAGE_SIZE);
	EXPECT_PATTERN(buf, PAGE_SIZE, SEED);
}

CASE(ops, efault_half_write, "a write from half of nothing is short, or EFAULT",
     .clause = "ops.efault.unmapped", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned char *buf = io_buffer(PAGE_SIZE);
	unsigned char *back = io_buffer(2 * PAGE_SIZE);
	int fd = data_file(2 * PAGE_SIZE);

	pattern(buf, PAGE_SIZE, SEED + 1);
	prep_write(iocb, fd, buf, 2 * PAGE_SIZE, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, event->res);
	REQUIRE(pread(fd, back, 2 * PAGE_SIZE, 0) == (ssize_t)(2 * PAGE_SIZE));
	/* what was not written is as it was */
	if (event->res == (int64_t)PAGE_SIZE) {
		EXPECT_PATTERN(back, PAGE_SIZE, SEED + 1);
		EXPECT_EQ(pattern_at(SEED, PAGE_SIZE), back[PAGE_SIZE]);
		EXPECT_EQ(pattern_at(SEED, 2 * PAGE_SIZE - 1),
			  back[2 * PAGE_SIZE - 1]);
	} else {
		EXPECT_EQ(-EFAULT, event->res);
		EXPECT_PATTERN(back, 2 * PAGE_SIZE, SEED);
	}
}

CASE(ops, efault_direct,
     "with O_DIRECT a buffer that is nowhere ends with an error",
     .clause = "ops.efault.direct", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_read(iocb, storage.fd, nowhere(), PAGE_SIZE, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, contract("ops.efault.direct"));
	prep_write(iocb, storage.fd, nowhere(), PAGE_SIZE, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, contract("ops.efault.direct"));
}

CASE(ops, efault_direct_half,
     "with O_DIRECT a buffer that is half there: short, or an error",
     .clause = "ops.efault.direct", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned char *buf = io_buffer(PAGE_SIZE);

	pattern(buf, PAGE_SIZE, SEED);
	REQUIRE(pwrite(storage.fd, buf, PAGE_SIZE, storage.base) ==
		(ssize_t)PAGE_SIZE);
	memset(buf, FILLER, PAGE_SIZE);
	prep_read(iocb, storage.fd, buf, 2 * PAGE_SIZE, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
	EXPECT_EVENT(event, iocb, event->res);
	if (event->res > 0) {
		EXPECT_LE(PAGE_SIZE, event->res);
		EXPECT_PATTERN(buf, (size_t)event->res, SEED);
	} else {
		EXPECT_EQ(contract("ops.efault.direct"), event->res);
	}
}

CASE(ops, efault_read_only, "a read into a read-only buffer ends with EFAULT",
     .clause = "ops.efault.read_only", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = memset(io_buffer(PAGE_SIZE), FILLER, PAGE_SIZE);

	read_only(buf, PAGE_SIZE);
	prep_read(iocb, data_file(PAGE_SIZE), buf, PAGE_SIZE, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EFAULT);
	expect_filler(buf, PAGE_SIZE);
}

CASE(ops, efault_read_only_direct,
     "with O_DIRECT a buffer that is read-only ends a read with an error",
     .clause = "ops.efault.direct", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = memset(io_buffer(PAGE_SIZE), FILLER, PAGE_SIZE);

	read_only(buf, PAGE_SIZE);
	prep_read(iocb, storage.fd, buf, PAGE_SIZE, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, contract("ops.efault.direct"));
	expect_filler(buf, PAGE_SIZE);
}

CASE(ops, read_only_write, "a write from a read-only buffer is fine",
     .clause = "ops.efault.read_only", .on = ON_ANY, .every_device = true)
{
	static const int flags[] = { O_DIRECT, 0 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PAGE_SIZE), *back = io_buffer(PAGE_SIZE);
	struct storage storage;
	int i;

	pattern(buf, PAGE_SIZE, SEED);
	read_only(buf, PAGE_SIZE);
	for (i = 0; i < 2; i++) {
		storage = open_storage(O_RDWR | flags[i]);
		prep_write(iocb, storage.fd, buf, PAGE_SIZE,
			   storage.base + i * (int64_t)PAGE_SIZE);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, PAGE_SIZE);
		REQUIRE(pread(storage.fd, back, PAGE_SIZE,
			      storage.base + i * (int64_t)PAGE_SIZE) ==
			(ssize_t)PAGE_SIZE);
		EXPECT_PATTERN(back, PAGE_SIZE, SEED);
	}
}

CASE(ops, unmapped_after_submit,
     "a buffer unmapped while the request is in flight is filled all the same",
     .clause = "ops.efault.none_after_submit", .needs = "held memfd")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int memory = keep(memfd_create("aioabi", MFD_CLOEXEC));
	unsigned char *buf;
	struct held *held;
	int fd;

	held = held_open(&fd);
	pattern(held_data(held), HELD_BLOCK, SEED);
	REQUIRE(!ftruncate(memory, HELD_BLOCK));
	buf = mmap(NULL, HELD_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED, memory,
		   0);
	REQUIRE(buf != MAP_FAILED);
	memset(buf, FILLER, HELD_BLOCK);
	hold(held, HOLD_READS);
	prep_read(iocb, fd, buf, HELD_BLOCK, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	held_wait(held, 1);
	REQUIRE(!munmap(buf, HELD_BLOCK));
	EXPECT_EQ(0, ring_unread(ctx));
	release_all(held);
	EXPECT_COMPLETES(ctx, iocb, HELD_BLOCK);
	buf = mmap(NULL, HELD_BLOCK, PROT_READ, MAP_SHARED, memory, 0);
	REQUIRE(buf != MAP_FAILED);
	EXPECT_PATTERN(buf, HELD_BLOCK, SEED);
}

CASE(ops, order_none, "one that takes its time does not hold the others up",
     .clause = "ops.order.none", .needs = "held")
{
	enum { REQUESTS = 4, SLOW = 0 };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct iocb *list[REQUESTS];
	unsigned char *buf = io_buffer(REQUESTS * HELD_BLOCK);
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	for (i = 0; i < REQUESTS; i++)
		list[i] = prep_read(&iocbs[i], fd, buf + i * HELD_BLOCK,
				    HELD_BLOCK, i * HELD_BLOCK);
	ASSERT_EQ(REQUESTS, aio->submit(ctx, REQUESTS, list));
	held_wait(held, REQUESTS);
	for (i = REQUESTS - 1; i > SLOW; i--) {
		release_at(held, i * HELD_BLOCK, 0);
		EXPECT_COMPLETES(ctx, &iocbs[i], HELD_BLOCK);
		EXPECT_EQ(0, ring_unread(ctx));
	}
	release_all(held);
	EXPECT_COMPLETES(ctx, &iocbs[SLOW], HELD_BLOCK);
}
