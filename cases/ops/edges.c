// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and writes of block devices at their edges: the end, no bytes at all,
 * and what O_DIRECT asks of offsets, lengths and buffers.
 *
 * What cannot be done is said in the event: a program that saw it as an error
 * of io_submit() would believe that nothing was submitted.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"
#include "own.h"

#define LEN    16384
#define SEED   11
#define FILLER 0x5a

static unsigned char *filled_buffer(size_t len)
{
	return memset(io_buffer(len), FILLER, len);
}

static void expect_filler(const unsigned char *buf, size_t len)
{
	size_t i;

	for (i = 0; i < len && buf[i] == FILLER; i++)
		;
	EXPECT_EQ(len, i);
}

static void put_pattern(const struct storage *storage, size_t len,
			int64_t offset, uint32_t seed)
{
	unsigned char *buf = io_buffer(len);

	pattern(buf, len, seed);
	REQUIRE(pwrite(storage->fd, buf, len, offset) == (ssize_t)len);
}

static unsigned char *get(const struct storage *storage, size_t len,
			  int64_t offset)
{
	unsigned char *buf = io_buffer(len);

	REQUIRE(pread(storage->fd, buf, len, offset) == (ssize_t)len);
	return buf;
}

/* --- the end --- */

static void read_at_the_end(int flags)
{
	struct storage storage = open_storage(O_RDWR | flags);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	int64_t beyond;

	for (beyond = 0; beyond <= 4 * LEN; beyond += LEN) {
		prep_read(iocb, storage.fd, buf, LEN, storage.size + beyond);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
	expect_filler(buf, LEN);
}

CASE(ops, pread_end, "a read at or past the end completes with 0",
     .clause = "ops.pread.end", .on = ON_ANY, .every_device = true)
{
	read_at_the_end(O_DIRECT);
}

CASE(ops, pread_end_buffered, "so it does through the page cache",
     .clause = "ops.pread.end", .on = ON_ANY, .every_device = true)
{
	read_at_the_end(0);
}

static void read_across_the_end(int flags)
{
	struct storage storage = open_storage(O_RDWR | flags);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);

	put_pattern(&storage, storage.block, storage.size - storage.block,
		    SEED);
	prep_read(iocb, storage.fd, buf, LEN, storage.size - storage.block);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, storage.block);
	EXPECT_PATTERN(buf, storage.block, SEED);
	expect_filler(buf + storage.block, LEN - storage.block);
}

CASE(ops, pread_short, "a read across the end completes with what there is",
     .clause = "ops.pread.short", .on = ON_BLOCK, .every_device = true,
     .serial = SERIAL_BODY)
{
	read_across_the_end(O_DIRECT);
}

CASE(ops, pread_short_buffered, "so it does through the page cache",
     .clause = "ops.pread.short", .on = ON_BLOCK, .every_device = true,
     .serial = SERIAL_BODY)
{
	read_across_the_end(0);
}

CASE(ops, pwrite_enospc, "a write at or past the end completes with ENOSPC",
     .clause = "ops.pwrite.enospc", .on = ON_BLOCK, .every_device = true)
{
	static const int flags[] = { O_DIRECT, 0 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	struct storage storage;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		storage = open_storage(O_RDWR | flags[i]);
		prep_write(iocb, storage.fd, buf, LEN, storage.size);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, -ENOSPC);
		prep_write(iocb, storage.fd, buf, LEN, storage.size + LEN);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, -ENOSPC);
	}
}

CASE(ops, pwrite_short, "a write across the end completes with what fits",
     .clause = "ops.pwrite.short", .on = ON_BLOCK, .every_device = true,
     .serial = SERIAL_BODY)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN), *back;

	pattern(buf, LEN, SEED);
	put_pattern(&storage, LEN, storage.size - LEN, SEED + 1);
	prep_write(iocb, storage.fd, buf, LEN, storage.size - storage.block);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, storage.block);
	back = get(&storage, LEN, storage.size - LEN);
	EXPECT_PATTERN(back, LEN - storage.block, SEED + 1);
	EXPECT_PATTERN(back + LEN - storage.block, storage.block, SEED);
}

/* --- no bytes --- */

static void transfer_nothing(int flags)
{
	struct storage storage = open_storage(O_RDWR | flags);
	const int64_t offsets[] = { storage.base, storage.base + 1,
				    storage.size, storage.size + 1 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN), *back;
	unsigned int i;

	put_pattern(&storage, LEN, storage.base, SEED);
	for (i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		prep_read(iocb, storage.fd, buf, 0, offsets[i]);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
		prep_write(iocb, storage.fd, buf, 0, offsets[i]);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
	expect_filler(buf, LEN);
	back = get(&storage, LEN, storage.base);
	EXPECT_PATTERN(back, LEN, SEED);
}

CASE(ops, zero_length, "no bytes complete with 0, wherever",
     .clause = "ops.zero_length.device", .on = ON_BLOCK, .every_device = true)
{
	transfer_nothing(O_DIRECT);
}

CASE(ops, zero_length_buffered, "so they do through the page cache",
     .clause = "ops.zero_length.device", .on = ON_BLOCK, .every_device = true)
{
	transfer_nothing(0);
}

CASE(ops, zero_length_no_buffer,
     "with no bytes to transfer no buffer is needed",
     .clause = "ops.zero_length.buffer", .on = ON_ANY)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	void *const buffers[] = { NULL, nowhere(), (void *)1 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned int i;

	for (i = 0; i < sizeof(buffers) / sizeof(buffers[0]); i++) {
		prep_read(iocb, storage.fd, buffers[i], 0, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
		prep_write(iocb, storage.fd, buffers[i], 0, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}

CASE(ops, zero_length_file_knows,
     "no bytes are a matter of the file's all the same",
     .clause = "ops.zero_length.file", .needs = "eventfd unix_sockets")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];
	char byte;

	/* an empty message is one */
	open_message_sockets(ends);
	prep_write(iocb, ends[1], &byte, 0, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_EQ(0, recv(ends[0], &byte, 1, MSG_DONTWAIT));
	/* and a counter does not fit into no bytes */
	prep_read(iocb, open_eventfd(1, 0), &byte, 0, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EINVAL);
}

/* As for read(2); one of a byte would move it, wherever the mount lets it. */
CASE(ops, zero_length_atime, "reading no bytes is no access to the file",
     .clause = "ops.zero_length.file", .on = ON_FILE, .every_device = true)
{
	const struct timespec long_ago[2] = { { 1, 0 }, { 2, 0 } };
	int fd = scratch_file("file", O_RDWR);
	aio_handle ctx = new_context(1);
	struct iovec iov = { NULL, 0 };
	struct iocb iocb;
	struct stat st;
	char byte;

	REQUIRE(write(fd, "x", 1) == 1);
	REQUIRE(!futimens(fd, long_ago));
	REQUIRE(!pread(fd, &byte, 0, 0) && !fstat(fd, &st));
	if (st.st_atim.tv_sec != 1)
		SKIP("here one by pread(2) is");
	ASSERT_EQ(1, submit_one(ctx, prep_read(&iocb, fd, &byte, 0, 0)));
	EXPECT_COMPLETES(ctx, &iocb, 0);
	ASSERT_EQ(1, submit_one(ctx, prep_readv(&iocb, fd, &iov, 1, 0)));
	EXPECT_COMPLETES(ctx, &iocb, 0);
	REQUIRE(!fstat(fd, &st));
	EXPECT_EQ(1, st.st_atim.tv_sec);
}

/* --- alignment --- */

static void expect_einval(aio_handle ctx, struct iocb *iocb)
{
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EINVAL);
}

CASE(ops, direct_unaligned_offset,
     "an offset that is no multiple of the block size ends with EINVAL",
     .clause = "ops.direct.unaligned_offset", .on = ON_BLOCK,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	const int64_t beside[] = { 1, storage.block / 2, storage.block - 1,
				   storage.block + 1 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN), *back;
	unsigned int i;

	put_pattern(&storage, 2 * LEN, storage.base, SEED);
	for (i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		prep_read(iocb, storage.fd, buf, LEN, storage.base + beside[i]);
		expect_einval(ctx, iocb);
		prep_write(iocb, storage.fd, buf, LEN,
			   storage.base + beside[i]);
		expect_einval(ctx, iocb);
	}
	expect_filler(buf, LEN);
	back = get(&storage, 2 * LEN, storage.base);
	EXPECT_PATTERN(back, 2 * LEN, SEED);
}

CASE(ops, direct_unaligned_length,
     "a length that is no multiple of the block size ends with EINVAL",
     .clause = "ops.direct.unaligned_length", .on = ON_BLOCK,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	const size_t lengths[] = { 1, storage.block / 2, storage.block - 1,
				   storage.block + 1, LEN - 1 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN), *back;
	unsigned int i;

	put_pattern(&storage, LEN, storage.base, SEED);
	for (i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		prep_read(iocb, storage.fd, buf, lengths[i], storage.base);
		expect_einval(ctx, iocb);
		prep_write(iocb, storage.fd, buf, lengths[i], storage.base);
		expect_einval(ctx, iocb);
	}
	expect_filler(buf, LEN);
	back = get(&storage, LEN, storage.base);
	EXPECT_PATTERN(back, LEN, SEED);
}

CASE(ops, direct_refused_in_event,
     "one that is refused for alignment is one that was submitted",
     .clause = "ops.direct.in_event", .on = ON_BLOCK, .every_device = true)
{
	enum { REQUESTS = 3, BAD = 1 };
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	struct iocb *list[REQUESTS];
	unsigned char *buf = io_buffer(REQUESTS * LEN);
	int i;

	for (i = 0; i < REQUESTS; i++)
		list[i] = prep_read(&iocbs[i], storage.fd, buf + i * LEN, LEN,
				    storage.base + (i == BAD));
	ASSERT_EQ(REQUESTS, aio->submit(ctx, REQUESTS, list));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[i]), &iocbs[i],
			     i == BAD ? -EINVAL : LEN);
}

CASE(ops, direct_buffer_aligned_to_block,
     "a buffer that is not aligned to the block size ends with EINVAL",
     .clause = "ops.direct.unaligned_buffer_block", .on = ON_BLOCK,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(2 * LEN);
	unsigned int beside;

	for (beside = 1; beside < storage.block; beside *= 2) {
		prep_read(iocb, storage.fd, buf + beside, LEN, storage.base);
		expect_einval(ctx, iocb);
	}
	expect_filler(buf, 2 * LEN);
}

/*
 * zram takes every segment for a whole page (is_partial_io() in its driver) and
 * asks for no alignment that would make it one: since 6.0 it reads over what
 * lies before such a buffer, and writes that in its place. AIO has no part in
 * it, and there is no release without it to expect better of.
 */
static void skip_unsaid_alignment(const struct storage *storage)
{
	if (!storage->dma_alignment)
		SKIP("the kernel does not say what the device asks for");
	if (!strncmp(storage->path, "/dev/zram", 9))
		SKIP("zram asks for less alignment than it needs");
}

/* The smallest offset of a buffer of which the kernel promises something. */
static unsigned int least_beside(const struct storage *storage)
{
	return contract("ops.direct.unaligned_buffer_dma")
		       ? 1
		       : storage->dma_alignment;
}

static unsigned int most_beside(const struct storage *storage)
{
	return storage->dma_alignment > storage->block ? storage->dma_alignment
						       : storage->block;
}

CASE(ops, direct_buffer_aligned_to_dma,
     "a buffer need be aligned to what the device's DMA asks for, no more",
     .clause = "ops.direct.unaligned_buffer_dma", .on = ON_BLOCK,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned char *buf = io_buffer(2 * LEN);
	unsigned int beside;

	skip_unsaid_alignment(&storage);
	put_pattern(&storage, LEN, storage.base, SEED);
	for (beside = least_beside(&storage); beside <= most_beside(&storage);
	     beside *= 2) {
		memset(buf, FILLER, 2 * LEN);
		prep_read(iocb, storage.fd, buf + beside, LEN, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb,
			     beside < storage.dma_alignment ? -EINVAL : LEN);
		expect_filler(buf, beside);
		if (event->res == LEN)
			EXPECT_PATTERN(buf + beside, LEN, SEED);
		else
			expect_filler(buf + beside, LEN);
		expect_filler(buf + beside + LEN, LEN - beside);
	}
}

CASE(ops, direct_buffer_aligned_to_dma_write,
     "what is written from such a buffer is what stands in it",
     .clause = "ops.direct.unaligned_buffer_dma", .on = ON_BLOCK,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct io_event *event = GUARDED(struct io_event);
	unsigned char *buf = filled_buffer(2 * LEN), *back;
	unsigned int beside;

	skip_unsaid_alignment(&storage);
	for (beside = least_beside(&storage); beside <= most_beside(&storage);
	     beside *= 2) {
		put_pattern(&storage, LEN, storage.base, SEED);
		pattern(buf + beside, LEN, SEED + beside);
		prep_write(iocb, storage.fd, buf + beside, LEN, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, event, NULL));
		EXPECT_EVENT(event, iocb,
			     beside < storage.dma_alignment ? -EINVAL : LEN);
		back = get(&storage, LEN, storage.base);
		EXPECT_PATTERN(back, LEN,
			       event->res == LEN ? SEED + beside : SEED);
	}
}

static void expect_smallest(unsigned int block)
{
	int fd = keep(open(own_loop(1024 * 1024, block),
			   O_RDWR | O_DIRECT | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);

	prep_write(iocb, fd, buf, block, block);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, block);
	prep_write(iocb, fd, buf, block, block / 2);
	expect_einval(ctx, iocb);
	prep_write(iocb, fd, buf, block / 2, block);
	expect_einval(ctx, iocb);
	prep_read(iocb, fd, buf, 3 * block, 5 * block);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, 3 * block);
	prep_read(iocb, fd, buf, 3 * block, 5 * block + block / 2);
	expect_einval(ctx, iocb);
}

CASE(ops, direct_block_512, "a device of 512-byte blocks takes 512 bytes",
     .clause = "ops.direct.logical_block", .needs = "own_loop")
{
	expect_smallest(512);
}

CASE(ops, direct_block_4096, "a device of 4096-byte blocks takes 4096 bytes",
     .clause = "ops.direct.logical_block", .needs = "own_loop")
{
	expect_smallest(4096);
}

/* --- a device that has become read-only --- */

static void make_writable(void *fd)
{
	const int writable = 0;

	REQUIRE(!ioctl(*(int *)fd, BLKROSET, &writable));
}

CASE(ops, pwrite_read_only_device,
     "a device made read-only after it was opened ends writes with EPERM",
     .clause = "ops.pwrite.read_only_device", .needs = "own_loop")
{
	const int read_only = 1;
	int fd = keep(open(own_loop(1024 * 1024, 512),
			   O_RDWR | O_DIRECT | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);

	at_end(make_writable, &fd);
	REQUIRE(!ioctl(fd, BLKROSET, &read_only));
	prep_write(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, -EPERM);
	prep_read(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	make_writable(&fd);
	prep_write(iocb, fd, buf, LEN, 0);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
}
