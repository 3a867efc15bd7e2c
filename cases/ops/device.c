// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads and writes of block devices by O_DIRECT: what this interface is for.
 *
 * Every byte counts: the right data at the right offset, nothing beside it,
 * the true number of bytes in the event, for every length up to what makes
 * several requests of one.
 */
#include <fcntl.h>
#include <unistd.h>

#include "case.h"

#define LEN    16384 /* a multiple of every logical block size */
#define SEED   7
#define FILLER 0x5a

static void device_write(const struct storage *storage, size_t len,
			 int64_t offset, uint32_t seed)
{
	unsigned char *buf = io_buffer(len);

	pattern(buf, len, seed);
	REQUIRE(pwrite(storage->fd, buf, len, storage->base + offset) ==
		(ssize_t)len);
}

static unsigned char *device_read(const struct storage *storage, size_t len,
				  int64_t offset)
{
	unsigned char *buf = io_buffer(len);

	REQUIRE(pread(storage->fd, buf, len, storage->base + offset) ==
		(ssize_t)len);
	return buf;
}

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

CASE(ops, pread_full, "a read completes with its whole length",
     .clause = "ops.pread.full", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_read(iocb, storage.fd, filled_buffer(LEN), LEN, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, pread_data,
     "a read brings the data at its offset, and touches nothing beside",
     .clause = "ops.pread.data", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(3 * LEN);

	device_write(&storage, LEN, 0, SEED);
	device_write(&storage, LEN, LEN, SEED + 1);
	device_write(&storage, LEN, 2 * LEN, SEED + 2);
	prep_read(iocb, storage.fd, buf + LEN, LEN, storage.base + LEN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	expect_filler(buf, LEN);
	EXPECT_PATTERN(buf + LEN, LEN, SEED + 1);
	expect_filler(buf + 2 * LEN, LEN);
}

CASE(ops, pwrite_full, "a write completes with its whole length",
     .clause = "ops.pwrite.full", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);

	prep_write(iocb, storage.fd, filled_buffer(LEN), LEN, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, pwrite_data,
     "a write puts the data at its offset, and touches nothing beside",
     .clause = "ops.pwrite.data", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN), *back;

	device_write(&storage, LEN, 0, SEED);
	device_write(&storage, LEN, LEN, SEED + 1);
	device_write(&storage, LEN, 2 * LEN, SEED + 2);
	pattern(buf, LEN, SEED + 3);
	prep_write(iocb, storage.fd, buf, LEN, storage.base + LEN);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_PATTERN(buf, LEN, SEED + 3);
	back = device_read(&storage, 3 * LEN, 0);
	EXPECT_PATTERN(back, LEN, SEED);
	EXPECT_PATTERN(back + LEN, LEN, SEED + 3);
	EXPECT_PATTERN(back + 2 * LEN, LEN, SEED + 2);
}

CASE(ops, pwrite_then_pread, "what was written is read back, block by block",
     .clause = "ops.pwrite.data", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(storage.block);
	unsigned int i;

	for (i = 0; i < 8; i++) {
		pattern(buf, storage.block, SEED + i);
		prep_write(iocb, storage.fd, buf, storage.block,
			   storage.base + i * storage.block);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, storage.block);
	}
	for (i = 0; i < 8; i++) {
		memset(buf, FILLER, storage.block);
		prep_read(iocb, storage.fd, buf, storage.block,
			  storage.base + i * storage.block);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, storage.block);
		EXPECT_PATTERN(buf, storage.block, SEED + i);
	}
}

CASE(ops, pread_position, "reads neither heed nor move the file position",
     .clause = "ops.pread.position", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = filled_buffer(LEN);
	off_t position = storage.base + LEN;

	device_write(&storage, LEN, 0, SEED);
	device_write(&storage, LEN, LEN, SEED + 1);
	REQUIRE(lseek(storage.fd, position, SEEK_SET) == position);
	prep_read(iocb, storage.fd, buf, LEN, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_PATTERN(buf, LEN, SEED);
	EXPECT_EQ(position, lseek(storage.fd, 0, SEEK_CUR));
}

CASE(ops, pwrite_position, "writes neither heed nor move the file position",
     .clause = "ops.pread.position", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN), *back;
	off_t position = storage.base + LEN;

	device_write(&storage, LEN, LEN, SEED + 1);
	pattern(buf, LEN, SEED);
	REQUIRE(lseek(storage.fd, position, SEEK_SET) == position);
	prep_write(iocb, storage.fd, buf, LEN, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_EQ(position, lseek(storage.fd, 0, SEEK_CUR));
	back = device_read(&storage, 2 * LEN, 0);
	EXPECT_PATTERN(back, LEN, SEED);
	EXPECT_PATTERN(back + LEN, LEN, SEED + 1);
}

/* More than a bio holds in pages, so that it takes two, where there is room. */
#define SEVERAL (1280 * 1024)

static size_t longest(const struct storage *storage)
{
	return storage->len < SEVERAL ? storage->len : SEVERAL;
}

/* The lengths: four times the last, and in the end no power of two. */
static size_t longer(const struct storage *storage, size_t len)
{
	size_t last = longest(storage) - storage->block;

	if (len == last)
		return 0;
	return 4 * len < last ? 4 * len : last;
}

CASE(ops, pread_sizes, "reads from one block to several requests' worth",
     .clause = "ops.pread.sizes", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	size_t most = longest(&storage), len;
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(most + PAGE_SIZE);

	device_write(&storage, most, 0, SEED);
	for (len = storage.block; len; len = longer(&storage, len)) {
		memset(buf, FILLER, len + PAGE_SIZE);
		prep_read(iocb, storage.fd, buf, len, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, len));
		EXPECT_PATTERN(buf, len, SEED);
		expect_filler(buf + len, PAGE_SIZE);
	}
}

CASE(ops, pwrite_sizes, "writes from one block to several requests' worth",
     .clause = "ops.pread.sizes", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	size_t most = longest(&storage), len;
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(most), *back;
	uint32_t seed = SEED;

	for (len = storage.block; len; len = longer(&storage, len)) {
		pattern(buf, len, ++seed);
		prep_write(iocb, storage.fd, buf, len, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		ASSERT_TRUE(EXPECT_COMPLETES(ctx, iocb, len));
		back = device_read(&storage, len, 0);
		EXPECT_PATTERN(back, len, seed);
	}
}

CASE(ops, pread_scattered_pages,
     "a buffer whose pages lie all over memory, in more than one piece each",
     .clause = "ops.pread.sizes", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	size_t len = longest(&storage), i;
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(len + PAGE_SIZE);

	/* touched backwards, page by page, they are not one behind the other */
	for (i = len + PAGE_SIZE; i >= PAGE_SIZE; i -= PAGE_SIZE)
		buf[i - PAGE_SIZE] = FILLER;
	memset(buf, FILLER, len + PAGE_SIZE);
	device_write(&storage, len, 0, SEED);
	prep_read(iocb, storage.fd, buf + storage.block, len, storage.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, len);
	expect_filler(buf, storage.block);
	EXPECT_PATTERN(buf + storage.block, len, SEED);
	expect_filler(buf + storage.block + len, PAGE_SIZE - storage.block);
}

CASE(ops, pwrite_sync_fd, "O_DSYNC and O_SYNC of the descriptor: in full",
     .clause = "ops.pwrite.sync_fd", .on = ON_ANY, .every_device = true)
{
	static const int flags[] = { O_DSYNC, O_SYNC };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN), *back;
	struct storage storage;
	unsigned int i;

	for (i = 0; i < 2; i++) {
		storage = open_storage(O_RDWR | O_DIRECT | flags[i]);
		pattern(buf, LEN, SEED + i);
		prep_write(iocb, storage.fd, buf, LEN, storage.base);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, LEN);
		back = device_read(&storage, LEN, 0);
		EXPECT_PATTERN(back, LEN, SEED + i);
	}
}

CASE(ops, direct_then_buffered,
     "what was written by O_DIRECT is read through the page cache",
     .clause = "ops.direct.mixed", .on = ON_ANY, .every_device = true)
{
	struct storage direct = open_storage(O_RDWR | O_DIRECT);
	struct storage buffered = open_storage(O_RDWR);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN);

	/* what the page cache holds is old then */
	device_write(&buffered, LEN, 0, SEED + 1);
	device_read(&buffered, LEN, 0);
	pattern(buf, LEN, SEED);
	prep_write(iocb, direct.fd, buf, LEN, direct.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	memset(buf, FILLER, LEN);
	prep_read(iocb, buffered.fd, buf, LEN, buffered.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_PATTERN(buf, LEN, SEED);
}

CASE(ops, buffered_then_direct,
     "what was written through the page cache is read by O_DIRECT",
     .clause = "ops.direct.mixed", .on = ON_ANY, .every_device = true)
{
	struct storage direct = open_storage(O_RDWR | O_DIRECT);
	struct storage buffered = open_storage(O_RDWR);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(LEN);

	device_write(&direct, LEN, 0, SEED + 1);
	pattern(buf, LEN, SEED);
	prep_write(iocb, buffered.fd, buf, LEN, buffered.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	memset(buf, FILLER, LEN);
	prep_read(iocb, direct.fd, buf, LEN, direct.base);
	ASSERT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, LEN);
	EXPECT_PATTERN(buf, LEN, SEED);
}

#define MANY 128

CASE(ops, many_writes, "many writes in one call: each once, each in its place",
     .clause = "ops.order.once", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(MANY);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, MANY), *list[MANY];
	struct io_event *events = GUARDED_ARRAY(struct io_event, MANY);
	unsigned char *buf = io_buffer(MANY * storage.block), *back;
	unsigned int i;

	for (i = 0; i < MANY; i++) {
		pattern(buf + i * storage.block, storage.block, SEED + i);
		list[i] = prep_write(&iocbs[i], storage.fd,
				     buf + i * storage.block, storage.block,
				     storage.base + i * storage.block);
	}
	ASSERT_EQ(MANY, aio->submit(ctx, MANY, list));
	ASSERT_EQ(MANY, aio->getevents(ctx, MANY, MANY, events, NULL));
	for (i = 0; i < MANY; i++)
		EXPECT_EVENT(find_event(events, MANY, &iocbs[i]), &iocbs[i],
			     storage.block);
	EXPECT_EQ(0, ring_unread(ctx));
	back = device_read(&storage, MANY * storage.block, 0);
	for (i = 0; i < MANY; i++)
		EXPECT_PATTERN(back + i * storage.block, storage.block,
			       SEED + i);
}

CASE(ops, many_reads, "many reads in one call: each once, each its own data",
     .clause = "ops.order.once", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(MANY);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, MANY), *list[MANY];
	struct io_event *events = GUARDED_ARRAY(struct io_event, MANY);
	unsigned char *buf = filled_buffer(MANY * storage.block);
	unsigned char *all = io_buffer(MANY * storage.block);
	unsigned int i;

	for (i = 0; i < MANY; i++)
		pattern(all + i * storage.block, storage.block, SEED + i);
	REQUIRE(pwrite(storage.fd, all, MANY * storage.block, storage.base) ==
		(ssize_t)(MANY * storage.block));
	for (i = 0; i < MANY; i++)
		list[i] = prep_read(&iocbs[i], storage.fd,
				    buf + i * storage.block, storage.block,
				    storage.base + i * storage.block);
	ASSERT_EQ(MANY, aio->submit(ctx, MANY, list));
	ASSERT_EQ(MANY, aio->getevents(ctx, MANY, MANY, events, NULL));
	for (i = 0; i < MANY; i++) {
		EXPECT_EVENT(find_event(events, MANY, &iocbs[i]), &iocbs[i],
			     storage.block);
		EXPECT_PATTERN(buf + i * storage.block, storage.block,
			       SEED + i);
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, many_with_a_bad_one,
     "a batch that is cut at a bad request: those before it complete, once",
     .clause = "ops.order.once", .on = ON_BLOCK)
{
	enum { BAD = 20, ALL = 40 };
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	aio_handle ctx = new_context(ALL);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, ALL), *list[ALL];
	struct io_event *events = GUARDED_ARRAY(struct io_event, ALL);
	unsigned char *buf = filled_buffer(ALL * storage.block);
	int i;

	for (i = 0; i < ALL; i++)
		list[i] = prep_read(&iocbs[i], storage.fd,
				    buf + i * storage.block, storage.block,
				    storage.base + i * storage.block);
	iocbs[BAD].aio_fildes = (uint32_t)-1;
	ASSERT_EQ(BAD, aio->submit(ctx, ALL, list));
	ASSERT_EQ(BAD, aio->getevents(ctx, BAD, ALL, events, NULL));
	for (i = 0; i < BAD; i++)
		EXPECT_EVENT(find_event(events, BAD, &iocbs[i]), &iocbs[i],
			     storage.block);
	EXPECT_EQ(0, ring_unread(ctx));
	expect_filler(buf + BAD * storage.block, (ALL - BAD) * storage.block);
}
