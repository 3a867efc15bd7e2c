// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_submit() while another thread changes, takes away or ends what it is
 * reading. What the kernel has checked must be what it then uses.
 */
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"
#include "side.h"

struct call {
	aio_handle ctx;
	struct iocb *iocb;
	long result;
	atomic_uint done;
};

static void *submit(void *arg)
{
	struct call *call = arg;

	call->result = submit_one(call->ctx, call->iocb);
	count_up(&call->done);
	return NULL;
}

static void *destroy(void *arg)
{
	struct call *call = arg;

	call->result = aio->destroy(call->ctx);
	count_up(&call->done);
	return NULL;
}

CASE(race, submit_destroy_copy,
     "a context destroyed while an iocb is read: the call ends first",
     .clause = "race.submit_destroy.copy",
     .needs = "userfaultfd eventfd task_syscall")
{
	struct iocb *page = io_buffer(PAGE_SIZE), *content;
	struct call submission = { .ctx = new_context(1), .iocb = page };
	struct call end = { .ctx = submission.ctx };
	struct trap *trap = trap_set(page, PAGE_SIZE);
	struct thread *submitter = thread_run(submit, &submission), *ender;

	content = io_buffer(PAGE_SIZE);
	prep_poll(content, open_eventfd(0, 0), POLLIN);
	trap_wait(trap);
	ender = thread_run(destroy, &end);
	ASSERT_TRUE(wait_asleep_in(thread_tid(ender), SYS_io_destroy));
	EXPECT_EQ(0, atomic_load(&submission.done));
	trap_release(trap, content);
	thread_join(submitter);
	thread_join(ender);
	EXPECT_EQ(1, submission.result);
	EXPECT_EQ(0, end.result);
}

#define CHANGES 512 /* of the other side, in a round */
#define ROUNDS	200

/* One byte makes the address the kernel's: no half-read one is another. */
#define IN_KERNEL (1ULL << 63)

struct changing {
	volatile uint64_t *word;
	uint64_t values[2];
};

static void change(void *arg)
{
	struct changing *changing = arg;
	unsigned int i;

	for (i = 0; i < CHANGES; i++)
		*changing->word = changing->values[i % 2];
}

CASE(race, submit_change_address,
     "a buffer's address that changes: refused, or the one that was good",
     .clause = "race.submit_change", .needs = "cpus2")
{
	struct iocb *iocb = GUARDED(struct iocb);
	uint64_t good = (uintptr_t)io_buffer(1);
	struct changing changing = {
		.word = (volatile uint64_t *)&iocb->aio_buf,
		.values = { good, good | IN_KERNEL },
	};
	struct side *side = side_start(change, &changing);
	int fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	unsigned int i, nr_rounds = rounds(ROUNDS);
	long result;

	prep_read(iocb, fd, (void *)(uintptr_t)good, 1, 0);
	for (i = 0; i < nr_rounds; i++) {
		ROUND("round %u", i);
		side_go(side, i);
		result = submit_one(ctx, iocb);
		side_wait(side);
		if (result == 1)
			EXPECT_COMPLETED(ctx, iocb, 1);
		else
			EXPECT_EQ(-EFAULT, result);
	}
	side_end(side);
}

CASE(race, submit_change_length,
     "a length that changes: a read of the one or of the other",
     .clause = "race.submit_change", .needs = "cpus2")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct changing changing = {
		.word = (volatile uint64_t *)&iocb->aio_nbytes,
		.values = { 1, 7 },
	};
	struct side *side = side_start(change, &changing);
	int fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	aio_handle ctx = new_context(1);
	struct io_event event;
	unsigned int i, nr_rounds = rounds(ROUNDS);

	prep_read(iocb, fd, io_buffer(1), 1, 0);
	for (i = 0; i < nr_rounds; i++) {
		ROUND("round %u", i);
		side_go(side, i);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		side_wait(side);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
		EXPECT_EVENT(&event, iocb, event.res == 7 ? 7 : 1);
	}
	side_end(side);
}

#define BATCH 8

static void take_away(void *arg)
{
	inaccessible(arg, PAGE_SIZE);
}

/* Take this page away, again and again, while a batch is submitted. */
static void expect_fault_or_count(void *page, struct iocb **list,
				  aio_handle ctx)
{
	struct side *side = side_start(take_away, page);
	struct io_event events[BATCH];
	unsigned int i, nr_rounds = rounds(ROUNDS);
	long result, k;

	for (i = 0; i < nr_rounds; i++) {
		ROUND("round %u", i);
		side_go(side, i);
		result = aio->submit(ctx, BATCH, list);
		side_wait(side);
		read_write(page, PAGE_SIZE);
		if (result < 0) {
			EXPECT_EQ(-EFAULT, result);
			result = 0;
		}
		ASSERT_TRUE(result <= BATCH);
		ASSERT_EQ(result, ring_unread(ctx));
		if (!result)
			continue;
		ASSERT_EQ(result,
			  aio->getevents(ctx, result, BATCH, events, NULL));
		for (k = 0; k < result; k++)
			EXPECT_EVENT(&events[k], list[k],
				     events[k].res == -EFAULT ? -EFAULT : 1);
	}
	side_end(side);
}

static void prepare(struct iocb **list, struct iocb *iocbs, void *buf)
{
	int fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	unsigned int i;

	for (i = 0; i < BATCH; i++)
		list[i] = prep_read(&iocbs[i], fd, buf, 1, 0);
}

CASE(race, submit_unmap_array, "the array taken away: EFAULT, or a count",
     .clause = "race.submit_unmap", .needs = "cpus2")
{
	struct iocb **list = io_buffer(PAGE_SIZE);

	prepare(list, GUARDED_ARRAY(struct iocb, BATCH), io_buffer(1));
	expect_fault_or_count(list, list, new_context(BATCH));
}

CASE(race, submit_unmap_iocbs, "the iocbs taken away: EFAULT, or a count",
     .clause = "race.submit_unmap", .needs = "cpus2")
{
	struct iocb *list[BATCH], *iocbs = io_buffer(PAGE_SIZE);

	prepare(list, iocbs, io_buffer(1));
	expect_fault_or_count(iocbs, list, new_context(BATCH));
}

CASE(race, submit_unmap_buffer, "the buffers taken away: told in the events",
     .clause = "race.submit_unmap", .needs = "cpus2")
{
	void *buf = io_buffer(PAGE_SIZE);
	struct iocb *list[BATCH];

	prepare(list, GUARDED_ARRAY(struct iocb, BATCH), buf);
	expect_fault_or_count(buf, list, new_context(BATCH));
}

struct counting {
	int eventfd;
	uint64_t sum;
	int closed;
};

/* Read what has been counted so far, of a descriptor that comes and goes. */
static void read_and_close(void *arg)
{
	struct counting *counting = arg;
	int fd = dup(counting->eventfd);
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	REQUIRE(fd >= 0);
	if (poll(&ready, 1, 0) == 1)
		counting->sum += eventfd_take(fd);
	close(fd);
	close(counting->closed);
}

CASE(race, resfd_close,
     "an eventfd closed, polled and read meanwhile: its counts add up",
     .clause = "race.resfd_close", .needs = "eventfd cpus2")
{
	struct counting counting = { .eventfd = open_eventfd(0, O_NONBLOCK) };
	struct side *side = side_start(read_and_close, &counting);
	struct iocb iocbs[BATCH], *list[BATCH];
	aio_handle ctx = new_context(BATCH);
	struct io_event events[BATCH];
	unsigned int i, k, nr_rounds = rounds(ROUNDS);

	prepare(list, iocbs, io_buffer(1));
	for (i = 0; i < nr_rounds; i++) {
		ROUND("round %u", i);
		counting.closed = dup(counting.eventfd);
		REQUIRE(counting.closed >= 0);
		for (k = 0; k < BATCH; k++)
			notify(list[k],
			       k % 2 ? counting.eventfd : counting.closed);
		side_go(side, i);
		for (k = 0; k < BATCH; k++) {
			long result = submit_one(ctx, list[k]);

			/* closed before the call came to it */
			if (result == -EBADF)
				notify(list[k], counting.eventfd);
			ASSERT_EQ(1, result == -EBADF ? submit_one(ctx, list[k])
						      : result);
		}
		side_wait(side);
		ASSERT_EQ(BATCH,
			  aio->getevents(ctx, BATCH, BATCH, events, NULL));
	}
	side_end(side);
	EXPECT_EQ(nr_rounds * BATCH,
		  counting.sum + eventfd_take(counting.eventfd));
}
