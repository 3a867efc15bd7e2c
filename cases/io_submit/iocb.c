// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What becomes of the iocb itself: aio_key is written, the rest is only read,
 * and all of it before the call returns. Programs rely on both: they keep
 * iocbs on the stack, and find their request by what comes back.
 */
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "held.h"
#include "refusals.h"

#define SEED 7

/* --- aio_key --- */

CASE(io_submit, key_zeroed, "aio_key is 0 after submission, whatever it was",
     .clause = "io_submit.key", .needs = "eventfd")
{
	static const uint32_t keys[] = { ~0u, 1, 0, KEY_BEFORE, 0x80000000 };
	int ready = open_eventfd(1, 0), pending = open_eventfd(0, 0);
	aio_handle ctx = new_context(2 * sizeof(keys) / sizeof(keys[0]));
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned int i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		ROUND("key %u", keys[i]);
		prep_poll(iocb, ready, POLLIN);
		iocb->aio_key = keys[i];
		EXPECT_EQ(1, submit_one(ctx, iocb));
		EXPECT_EQ(0, iocb->aio_key);
		prep_poll(iocb, pending, POLLIN);
		iocb->aio_key = keys[i];
		EXPECT_EQ(1, submit_one(ctx, iocb));
		EXPECT_EQ(0, iocb->aio_key);
	}
}

CASE(io_submit, key_refused_late,
     "aio_key is written also when the operation is then refused",
     .clause = "io_submit.key.refused_late")
{
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	struct iocb *iocb;
	int ends[2];

	open_pipe(ends, 0);
	for_each_refusal(refusal) {
		if (refusal->reached != AFTER_KEY)
			continue;
		iocb = new_refused(refusal, ends[1]);
		STAGE_EQ(-refusal->error, submit_one(ctx, iocb));
		expect_key_of_refused(refusal, iocb);
	}
}

CASE(io_submit, key_refused_early,
     "aio_key is not written when the descriptor or the eventfd is bad",
     .clause = "io_submit.key.refused_early")
{
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	struct iocb *iocb;
	int ends[2];

	open_pipe(ends, 0);
	for_each_refusal(refusal) {
		if (refusal->reached == AFTER_KEY)
			continue;
		iocb = new_refused(refusal, ends[1]);
		STAGE_EQ(-refusal->error, submit_one(ctx, iocb));
		expect_key_of_refused(refusal, iocb);
	}
}

/* --- the other fields --- */

CASE(io_submit, iocb_unchanged, "nothing of an iocb but the key is written",
     .clause = "io_submit.iocb_unchanged", .needs = "eventfd", .on = ON_FILE)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 7), before;
	struct iovec *iov = GUARDED(struct iovec), iov_before;
	int file = scratch_file("file", O_RDWR), efd = open_eventfd(0, 0);
	int result = open_eventfd(0, 0), i;
	aio_handle ctx = new_context(7);
	struct io_event event;
	char byte = 'x';

	iov->iov_base = &byte;
	iov->iov_len = 1;
	iov_before = *iov;
	prep_write(&iocbs[0], file, &byte, 1, 3);
	prep_read(&iocbs[1], file, &byte, 1, 3);
	prep_writev(&iocbs[2], file, iov, 1, 5);
	prep_readv(&iocbs[3], file, iov, 1, 5);
	prep_fsync(&iocbs[4], file);
	prep_fdsync(&iocbs[5], file);
	prep_poll(&iocbs[6], efd, POLLIN);
	for (i = 0; i < 7; i++) {
		ROUND("opcode %u", iocbs[i].aio_lio_opcode);
		notify(&iocbs[i], result);
		iocbs[i].aio_data = 0x123456789abcdef0;
		iocbs[i].aio_reqprio = 3;
		before = iocbs[i];
		EXPECT_EQ(1, submit_one(ctx, &iocbs[i]));
		EXPECT_MEM(&before, &iocbs[i], sizeof(before));
		REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
		stage_reap(ctx, 1, &event);
		EXPECT_MEM(&before, &iocbs[i], sizeof(before));
		EXPECT_MEM(&iov_before, iov, sizeof(*iov));
		/* each was done with what it says */
		EXPECT_EVENT(&event, &iocbs[i], i < 4 ? 1 : i < 6 ? 0 : POLLIN);
		eventfd_take(efd);
	}
}

/* Its page may be read-only by the time the request ends. */
CASE(io_submit, iocb_unchanged_later,
     "an iocb made read-only after submission does not harm the completion",
     .clause = "io_submit.iocb_unchanged", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	int efd = open_eventfd(0, 0);
	aio_handle ctx = new_context(1);
	struct io_event event;

	stage_submit(ctx, prep_poll(iocb, efd, POLLIN));
	read_only(iocb, sizeof(*iocb));
	REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, iocb, POLLIN);
}

CASE(io_submit, event_data, "all bits of aio_data come back in the event",
     .clause = "io_submit.event.data", .needs = "eventfd")
{
	int ready = open_eventfd(1, 0), efd = open_eventfd(0, 0), bit;
	aio_handle ctx = new_context(2);
	struct io_event event;
	struct iocb iocb;

	for (bit = -1; bit <= 64; bit++) {
		uint64_t data = bit < 0 ? 0 : (uint64_t)1 << bit % 64;

		if (bit == 64)
			data = ~(uint64_t)0;
		ROUND("data 0x%llx", (unsigned long long)data);
		prep_poll(&iocb, ready, POLLIN);
		iocb.aio_data = data;
		stage_submit(ctx, &iocb);
		stage_reap(ctx, 1, &event);
		EXPECT_EQ(data, event.data);
		prep_poll(&iocb, efd, POLLIN);
		iocb.aio_data = data;
		stage_submit(ctx, &iocb);
		REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
		stage_reap(ctx, 1, &event);
		EXPECT_EQ(data, event.data);
		eventfd_take(efd);
	}
}

CASE(io_submit, event_obj, "the iocb's address comes back in the event",
     .clause = "io_submit.event.obj", .needs = "eventfd")
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 4), *list[4];
	char *unaligned = guarded(sizeof(struct iocb) + 1);
	int ready = open_eventfd(1, 0), i;
	aio_handle ctx = new_context(4);
	struct io_event events[4];

	for (i = 0; i < 4; i++) {
		list[i] = prep_poll(&iocbs[i], ready, POLLIN);
		iocbs[i].aio_data = 0;
	}
	memcpy(unaligned, &iocbs[0], sizeof(iocbs[0]));
	list[2] = (struct iocb *)(uintptr_t)unaligned;
	STAGE_EQ(4, aio->submit(ctx, 4, list));
	stage_reap(ctx, 4, events);
	for (i = 0; i < 4; i++)
		EXPECT_EQ((uintptr_t)list[i], events[i].obj);
}

/*
 * What is read into the iocb is there before io_submit() has returned, and is
 * none of the kernel's business: it has had its copy.
 */
CASE(io_submit, read_over_iocb, "an iocb may be what is read into",
     .clause = "io_submit.memory_free", .needs = "eventfd", .on = ON_FILE)
{
	int file = scratch_file("file", O_RDWR);
	int said = open_eventfd(0, EFD_NONBLOCK), vectored;
	int other = open_eventfd(0, EFD_NONBLOCK);
	struct iocb *iocb = GUARDED(struct iocb), wrong;
	aio_handle ctx = new_context(1);
	struct iovec iov = { iocb, sizeof(*iocb) };
	struct io_event event, wanted = { 0 };

	prep_poll(&wrong, other, POLLIN);
	notify(&wrong, other);
	wrong.aio_data = 0x123456789abcdef0;
	REQUIRE(pwrite(file, &wrong, sizeof(wrong), 0) == sizeof(wrong));
	for (vectored = 0; vectored < 2; vectored++) {
		ROUND("vectored %d", vectored);
		if (vectored)
			prep_readv(iocb, file, &iov, 1, 0);
		else
			prep_read(iocb, file, iocb, sizeof(*iocb), 0);
		notify(iocb, said);
		iocb->aio_data = 0x5a5a5a5a00c0ffee;
		wanted.data = iocb->aio_data;
		wanted.obj = (uintptr_t)iocb;
		wanted.res = sizeof(*iocb);
		EXPECT_EQ(1, submit_one(ctx, iocb));
		stage_reap(ctx, 1, &event);
		EXPECT_MEM(&wrong, iocb, sizeof(wrong));
		EXPECT_MEM(&wanted, &event, sizeof(event));
		EXPECT_EQ(1, eventfd_take(said));
		EXPECT_EQ(0, eventfd_take(other));
	}
}

/* --- one iocb, several requests --- */

CASE(io_submit, twice_in_one_call, "one iocb named twice is two requests",
     .clause = "io_submit.twice", .needs = "eventfd")
{
	int efd = open_eventfd(0, 0);
	aio_handle ctx = new_context(2);
	struct iocb iocb, *list[2] = { &iocb, &iocb };
	struct io_event events[2];

	prep_poll(&iocb, efd, POLLIN);
	EXPECT_EQ(2, aio->submit(ctx, 2, list));
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
	stage_reap(ctx, 2, events);
	EXPECT_EVENT(&events[0], &iocb, POLLIN);
	EXPECT_EVENT(&events[1], &iocb, POLLIN);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_submit, twice_in_two_calls,
     "an iocb submitted again while in flight is two requests",
     .clause = "io_submit.twice", .needs = "eventfd")
{
	int first = open_eventfd(0, 0), second = open_eventfd(0, 0);
	aio_handle ctx = new_context(2);
	struct io_event event;
	struct iocb iocb;

	stage_submit(ctx, prep_poll(&iocb, first, POLLIN));
	/* changed in between: each goes on as it was submitted */
	prep_poll(&iocb, second, POLLIN);
	iocb.aio_data = 2;
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(second, &(uint64_t){ 1 }, 8) == 8);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLIN);
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(first, &(uint64_t){ 1 }, 8) == 8);
	stage_reap(ctx, 1, &event);
	iocb.aio_data = (uintptr_t)&iocb;
	EXPECT_EVENT(&event, &iocb, POLLIN);
}

/* --- memory that is the program's again --- */

CASE(io_submit, memory_overwritten,
     "array and iocbs overwritten after the call, the requests go on",
     .clause = "io_submit.memory_free", .needs = "held")
{
	unsigned char *buffer = io_buffer(2 * HELD_BLOCK);
	struct iocb iocbs[2], *list[2] = { &iocbs[0], &iocbs[1] };
	aio_handle ctx = new_context(2);
	struct io_event events[2];
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	pattern(held_data(held), 2 * HELD_BLOCK, SEED);
	hold(held, HOLD_READS);
	for (i = 0; i < 2; i++)
		prep_read(&iocbs[i], fd, buffer + i * HELD_BLOCK, HELD_BLOCK,
			  i * HELD_BLOCK);
	EXPECT_EQ(2, aio->submit(ctx, 2, list));
	memset(iocbs, 0xff, sizeof(iocbs));
	memset(list, 0xff, sizeof(list));
	held_wait(held, 2);
	release_all(held);
	stage_reap(ctx, 2, events);
	for (i = 0; i < 2; i++) {
		struct io_event *event = find_event(events, 2, &iocbs[i]);

		ASSERT_TRUE(event);
		EXPECT_EQ((uintptr_t)&iocbs[i], event->data);
		EXPECT_EQ(HELD_BLOCK, event->res);
	}
	EXPECT_PATTERN(buffer, 2 * HELD_BLOCK, SEED);
}

CASE(io_submit, memory_unmapped,
     "array and iocb unmapped after the call, the requests go on",
     .clause = "io_submit.memory_free", .needs = "held eventfd")
{
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	aio_handle ctx = new_context(2);
	int fd, efd = open_eventfd(0, 0);
	struct io_event event;
	struct held *held;
	struct iocb *iocbs, **list;

	held = held_open(&fd);
	pattern(buffer, HELD_BLOCK, SEED);
	hold(held, HOLD_WRITES);
	iocbs = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(iocbs != MAP_FAILED);
	list = (struct iocb **)(iocbs + 2);
	list[0] = prep_poll(&iocbs[0], efd, POLLIN);
	list[1] = prep_write(&iocbs[1], fd, buffer, HELD_BLOCK, 0);
	EXPECT_EQ(2, aio->submit(ctx, 2, list));
	REQUIRE(!munmap(iocbs, PAGE_SIZE));
	held_wait(held, 1);
	release_all(held);
	stage_reap(ctx, 1, &event);
	EXPECT_EQ((uintptr_t)&iocbs[1], event.obj);
	EXPECT_EQ((uintptr_t)&iocbs[1], event.data);
	EXPECT_EQ(HELD_BLOCK, event.res);
	EXPECT_PATTERN(held_data(held), HELD_BLOCK, SEED);
	REQUIRE(write(efd, &(uint64_t){ 1 }, 8) == 8);
	stage_reap(ctx, 1, &event);
	EXPECT_EQ((uintptr_t)&iocbs[0], event.obj);
	EXPECT_EQ((uintptr_t)&iocbs[0], event.data);
	EXPECT_EQ(POLLIN, event.res);
}

/* As many segments as are kept on the kernel's stack, and more. */
static void expect_vector_free(size_t segments)
{
	size_t each = HELD_BLOCK, all = segments * each, i;
	unsigned char *in = io_buffer(all), *out = io_buffer(all);
	struct iovec *iov = GUARDED_ARRAY(struct iovec, segments);
	struct iocb write_iocb, read_iocb;
	aio_handle ctx = new_context(2);
	struct io_event event;
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_ALL);
	pattern(out, all, SEED);
	for (i = 0; i < segments; i++) {
		iov[i].iov_base = out + i * each;
		iov[i].iov_len = each;
	}
	stage_submit(ctx, prep_writev(&write_iocb, fd, iov, segments, 0));
	memset(iov, 0xff, segments * sizeof(*iov));
	held_wait(held, 1);
	release_all(held);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &write_iocb, (long)all);
	EXPECT_PATTERN(held_data(held), all, SEED);

	hold(held, HOLD_ALL);
	for (i = 0; i < segments; i++) {
		iov[i].iov_base = in + i * each;
		iov[i].iov_len = each;
	}
	stage_submit(ctx, prep_readv(&read_iocb, fd, iov, segments, 0));
	inaccessible(iov, segments * sizeof(*iov));
	held_wait(held, 1);
	release_all(held);
	stage_reap(ctx, 1, &event);
	read_write(iov, segments * sizeof(*iov));
	EXPECT_EVENT(&event, &read_iocb, (long)all);
	EXPECT_PATTERN(in, all, SEED);
}

CASE(io_submit, vector_overwritten,
     "segments overwritten or gone after the call, the requests go on",
     .clause = "io_submit.vector_free", .needs = "held")
{
	expect_vector_free(2);
}

CASE(io_submit, vector_overwritten_long,
     "also when there are more than fit on the kernel's stack",
     .clause = "io_submit.vector_free", .needs = "held")
{
	expect_vector_free(20);
}
