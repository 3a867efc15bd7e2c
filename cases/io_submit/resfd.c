// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * IOCB_FLAG_RESFD: the eventfd that counts completions. Event loops sleep on
 * it, so a count too few is a hang, and one too many a wait for an event that
 * never comes.
 */
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "held.h"
#include "refusals.h"

#define COUNT_MOST     (~(uint64_t)0 - 1) /* that write(2) can make */
#define COUNT_OVERFLOW (~(uint64_t)0)

static void eventfd_add(int efd, uint64_t n)
{
	REQUIRE(write(efd, &n, sizeof(n)) == sizeof(n));
}

static short polled(int fd)
{
	struct pollfd entry = { .fd = fd,
				.events = POLLIN | POLLOUT | POLLERR };

	REQUIRE(poll(&entry, 1, 0) >= 0);
	return entry.revents;
}

/* Wait until n have been counted on a blocking eventfd; more is too many. */
static uint64_t take_at_least(int efd, uint64_t n)
{
	uint64_t sum = 0;

	while (sum < n)
		sum += eventfd_take(efd);
	return sum;
}

/* --- which descriptor --- */

CASE(io_submit, resfd_closed_descriptor,
     "an aio_resfd that is not open is EBADF",
     .clause = "io_submit.resfd.ebadf", .needs = "eventfd")
{
	int ready = open_eventfd(1, 0), closed = open_eventfd(0, 0);
	aio_handle ctx = new_context(1);
	struct iocb iocb;

	drop(closed);
	prep_poll(&iocb, ready, POLLIN);
	EXPECT_ERR(EBADF, submit_one(ctx, notify(&iocb, -1)));
	EXPECT_ERR(EBADF, submit_one(ctx, notify(&iocb, closed)));
	EXPECT_ERR(EBADF, submit_one(ctx, notify(&iocb, 0x7fffffff)));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

/* A number cut to fewer bits would name the eventfd. */
CASE(io_submit, resfd_each_bit, "each bit of aio_resfd counts",
     .clause = "io_submit.resfd.ebadf", .needs = "eventfd")
{
	int ready = open_eventfd(1, 0), efd = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	int high, bit;

	prep_poll(&iocb, ready, POLLIN);
	for (bit = 10; bit < 32; bit++) {
		notify(&iocb, efd);
		iocb.aio_resfd |= 1U << bit;
		ROUND("aio_resfd 0x%x", iocb.aio_resfd);
		EXPECT_ERR(EBADF, submit_one(ctx, &iocb));
	}
	EXPECT_EQ(0, eventfd_take(efd));
	high = dup_high(efd);
	drop(efd);
	ROUND("aio_resfd %d", high);
	EXPECT_EQ(1, submit_one(ctx, notify(&iocb, high)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLIN);
	EXPECT_EQ(1, eventfd_take(high));
}

CASE(io_submit, resfd_no_eventfd, "an aio_resfd that is no eventfd is EINVAL",
     .clause = "io_submit.resfd.einval", .needs = "eventfd epoll",
     .on = ON_FILE)
{
	int ready = open_eventfd(1, 0), file = scratch_file("file", O_RDWR);
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	int ends[2];

	open_pipe(ends, 0);
	prep_poll(&iocb, ready, POLLIN);
	EXPECT_ERR(EINVAL, submit_one(ctx, notify(&iocb, ends[1])));
	EXPECT_ERR(EINVAL, submit_one(ctx, notify(&iocb, file)));
	EXPECT_EQ(0, ring_of(ctx)->tail);
}

CASE(io_submit, resfd_without_flag,
     "without the flag aio_resfd is not looked at",
     .clause = "io_submit.resfd.no_flag", .needs = "eventfd")
{
	int ready = open_eventfd(1, 0), efd = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(2);
	struct io_event event;
	struct iocb iocb;

	prep_poll(&iocb, ready, POLLIN);
	iocb.aio_resfd = (uint32_t)efd;
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLIN);
	iocb.aio_resfd = (uint32_t)-1;
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLIN);
	end_context(ctx);
	EXPECT_EQ(0, eventfd_take(efd));
}

/* 0 is a descriptor like any other. */
CASE(io_submit, resfd_zero, "an eventfd at descriptor 0 is counted up",
     .clause = "io_submit.resfd.counted", .needs = "eventfd")
{
	int ready = open_eventfd(1, 0), efd = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	int saved = keep(dup(0));

	REQUIRE(dup2(efd, 0) == 0);
	EXPECT_EQ(1,
		  submit_one(ctx, notify(prep_poll(&iocb, ready, POLLIN), 0)));
	end_context(ctx);
	EXPECT_EQ(1, eventfd_take(efd));
	REQUIRE(dup2(saved, 0) == 0);
}

/* A number is nothing to remember a file by. */
CASE(io_submit, resfd_number_again,
     "an aio_resfd that names something else by now is that",
     .clause = "io_submit.resfd.number_again", .needs = "eventfd")
{
	int ready = open_eventfd(1, 0), first = open_eventfd(0, EFD_NONBLOCK);
	int second = open_eventfd(0, EFD_NONBLOCK), number = dup(first);
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int ends[2];

	open_pipe(ends, 0);
	REQUIRE(number >= 0);
	notify(prep_poll(iocb, ready, POLLIN), number);
	EXPECT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
	EXPECT_EQ(1, eventfd_take(first));
	REQUIRE(dup2(second, number) == number);
	EXPECT_EQ(1, submit_one(ctx, iocb));
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
	EXPECT_EQ(0, eventfd_take(first));
	EXPECT_EQ(1, eventfd_take(second));
	REQUIRE(dup2(ends[0], number) == number);
	EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	close(number);
	EXPECT_ERR(EBADF, submit_one(ctx, iocb));
	EXPECT_EQ(0, eventfd_take(first));
	EXPECT_EQ(0, eventfd_take(second));
}

/* --- how much --- */

CASE(io_submit, resfd_each_opcode,
     "an eventfd is counted up by one, whatever the request",
     .clause = "io_submit.resfd.counted", .needs = "eventfd", .on = ON_FILE)
{
	int file = scratch_file("file", O_RDWR), ready = open_eventfd(1, 0);
	struct iovec *iov = GUARDED(struct iovec);
	int later = open_eventfd(0, 0), i;
	struct iocb iocbs[8], *list[8];
	aio_handle ctx = new_context(8);
	struct io_event events[8];
	int efds[8];
	char byte = 'x';

	iov->iov_base = &byte;
	iov->iov_len = 1;
	prep_write(&iocbs[0], file, &byte, 1, 0);
	prep_read(&iocbs[1], file, &byte, 1, 0);
	prep_writev(&iocbs[2], file, iov, 1, 0);
	prep_readv(&iocbs[3], file, iov, 1, 0);
	prep_fsync(&iocbs[4], file);
	prep_fdsync(&iocbs[5], file);
	prep_poll(&iocbs[6], ready, POLLIN);
	prep_poll(&iocbs[7], later, POLLIN);
	for (i = 0; i < 8; i++) {
		efds[i] = open_eventfd(0, EFD_NONBLOCK);
		list[i] = notify(&iocbs[i], efds[i]);
	}
	STAGE_EQ(8, aio->submit(ctx, 8, list));
	stage_reap(ctx, 7, events);
	EXPECT_EQ(0, eventfd_take(efds[7]));
	eventfd_add(later, 1);
	stage_reap(ctx, 1, &events[7]);
	/* which waits for all that a completion does */
	end_context(ctx);
	for (i = 0; i < 8; i++) {
		ROUND("request %d, opcode %u", i, iocbs[i].aio_lio_opcode);
		EXPECT_TRUE(find_event(events, 8, &iocbs[i]));
		EXPECT_EQ(1, eventfd_take(efds[i]));
	}
}

CASE(io_submit, resfd_device, "also when the completion is a device's",
     .clause = "io_submit.resfd.counted", .needs = "eventfd", .on = ON_ANY,
     .every_device = true)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	unsigned char *buffer = io_buffer(PAGE_SIZE);
	int efd = open_eventfd(0, EFD_NONBLOCK);
	struct iocb iocbs[2], *list[2];
	aio_handle ctx = new_context(2);
	struct io_event events[2];

	list[0] = notify(prep_read(&iocbs[0], storage.fd, buffer, PAGE_SIZE,
				   storage.base),
			 efd);
	list[1] = notify(prep_fdsync(&iocbs[1], storage.fd), efd);
	STAGE_EQ(2, aio->submit(ctx, 2, list));
	stage_reap(ctx, 2, events);
	end_context(ctx);
	EXPECT_EQ(2, eventfd_take(efd));
}

CASE(io_submit, resfd_failed_request, "a request that fails counts as well",
     .clause = "io_submit.resfd.counted", .needs = "eventfd")
{
	int efd = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(2);
	struct io_event event;
	struct iocb iocb;
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	prep_write(&iocb, ends[1], nowhere(), 1, 0);
	EXPECT_EQ(1, submit_one(ctx, notify(&iocb, efd)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, -EFAULT);
	EXPECT_EQ(1, eventfd_take(efd));
	prep_read(&iocb, ends[0], nowhere(), 1, 0);
	EXPECT_EQ(1, submit_one(ctx, notify(&iocb, efd)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, -EAGAIN);
	EXPECT_EQ(1, eventfd_take(efd));
}

CASE(io_submit, resfd_held_error, "and one that fails after it was in flight",
     .clause = "io_submit.resfd.counted", .needs = "eventfd held")
{
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	int fd, efd = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct held *held;
	struct iocb iocb;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	prep_read(&iocb, fd, buffer, HELD_BLOCK, 0);
	stage_submit(ctx, notify(&iocb, efd));
	held_wait(held, 1);
	EXPECT_EQ(0, eventfd_take(efd));
	release_at(held, 0, EIO);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, -EIO);
	end_context(ctx);
	EXPECT_EQ(1, eventfd_take(efd));
}

#define MANY 100

CASE(io_submit, resfd_adds_up,
     "requests on one eventfd add up, on top of what was there",
     .clause = "io_submit.resfd.adds_up", .needs = "eventfd")
{
	int ready = open_eventfd(1, 0), later = open_eventfd(0, 0);
	int efd = open_eventfd(1000, EFD_NONBLOCK), i;
	struct iocb iocbs[MANY], *list[MANY];
	aio_handle ctx = new_context(MANY);
	struct io_event events[MANY];

	for (i = 0; i < MANY; i++) {
		prep_poll(&iocbs[i], i % 2 ? ready : later, POLLIN);
		list[i] = notify(&iocbs[i], efd);
	}
	STAGE_EQ(MANY, aio->submit(ctx, MANY, list));
	stage_reap(ctx, MANY / 2, events);
	EXPECT_EQ(1000 + MANY / 2, eventfd_take(efd));
	eventfd_add(later, 1);
	stage_reap(ctx, MANY / 2, events);
	end_context(ctx);
	EXPECT_EQ(MANY / 2, eventfd_take(efd));
}

CASE(io_submit, resfd_each_its_own,
     "requests on several eventfds go each to its own",
     .clause = "io_submit.resfd.adds_up", .needs = "eventfd")
{
	struct iocb iocbs[10], *list[10];
	aio_handle ctx = new_context(10);
	struct io_event events[10];
	int ready = open_eventfd(1, 0), efds[4], i;

	for (i = 0; i < 4; i++)
		efds[i] = open_eventfd(0, EFD_NONBLOCK);
	/* one for the second, two for the third, … none for the first */
	for (i = 0; i < 10; i++)
		list[i] = prep_poll(&iocbs[i], ready, POLLIN);
	for (i = 0; i < 6; i++)
		notify(&iocbs[i], efds[i < 1 ? 1 : i < 3 ? 2 : 3]);
	STAGE_EQ(10, aio->submit(ctx, 10, list));
	stage_reap(ctx, 10, events);
	end_context(ctx);
	for (i = 0; i < 4; i++) {
		ROUND("eventfd %d", i);
		EXPECT_EQ(i, eventfd_take(efds[i]));
	}
}

CASE(io_submit, resfd_semaphore, "a semaphore eventfd gives one a completion",
     .clause = "io_submit.resfd.semaphore", .needs = "eventfd")
{
	int efd = open_eventfd(0, EFD_NONBLOCK | EFD_SEMAPHORE), i;
	struct iocb iocbs[3], *list[3];
	aio_handle ctx = new_context(3);
	int ready = open_eventfd(1, 0);

	for (i = 0; i < 3; i++)
		list[i] = notify(prep_poll(&iocbs[i], ready, POLLIN), efd);
	STAGE_EQ(3, aio->submit(ctx, 3, list));
	end_context(ctx);
	for (i = 0; i < 3; i++)
		EXPECT_EQ(1, eventfd_take(efd));
	EXPECT_EQ(0, eventfd_take(efd));
}

static void expect_overflow(int flags)
{
	int ready = open_eventfd(1, 0), efd = open_eventfd(0, flags), i;
	aio_handle ctx = new_context(4);
	struct io_event event;
	struct iocb iocb;

	eventfd_add(efd, COUNT_MOST - 1);
	prep_poll(&iocb, ready, POLLIN);
	notify(&iocb, efd);
	/* to the largest, where writers would block */
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLIN);
	EXPECT_EQ(POLLIN, polled(efd));
	/* over it, and no further, however often */
	for (i = 0; i < 3; i++) {
		EXPECT_EQ(1, submit_one(ctx, &iocb));
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, &iocb, POLLIN);
		EXPECT_EQ(POLLIN | POLLERR, polled(efd));
	}
	EXPECT_EQ(COUNT_OVERFLOW, eventfd_take(efd));
	/* and all is well again */
	EXPECT_EQ(POLLOUT, polled(efd));
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	stage_reap(ctx, 1, &event);
	EXPECT_EQ(1, eventfd_take(efd));
}

CASE(io_submit, resfd_overflow,
     "at its largest an eventfd overflows to POLLERR",
     .clause = "io_submit.resfd.overflow", .needs = "eventfd")
{
	expect_overflow(0);
}

CASE(io_submit, resfd_overflow_nonblocking, "a nonblocking one as well",
     .clause = "io_submit.resfd.overflow", .needs = "eventfd")
{
	expect_overflow(EFD_NONBLOCK);
}

/* The flag is the request's: what the file was opened with is in force too. */
CASE(io_submit, resfd_file_flags, "and the file's own flags stay in force",
     .clause = "io_submit.resfd.counted", .needs = "eventfd", .on = ON_FILE)
{
	int file = scratch_file("file", O_RDWR | O_APPEND);
	int efd = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	char got[4] = { 0 };

	REQUIRE(write(file, "ab", 2) == 2);
	prep_write(&iocb, file, "c", 1, 0);
	EXPECT_EQ(1, submit_one(ctx, notify(&iocb, efd)));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 1);
	EXPECT_EQ(3, pread(file, got, sizeof(got), 0));
	EXPECT_STR("abc", got);
}

/* --- when --- */

/*
 * A POLL of the eventfd in the same context ends inside the signal. Were the
 * eventfd signalled first, its event would stand before the other.
 */
CASE(io_submit, resfd_event_first,
     "the event is in the ring before the eventfd is readable",
     .clause = "io_submit.resfd.event_first", .needs = "eventfd")
{
	struct iocb observer, observed;
	struct io_event events[2];
	aio_handle ctx = new_context(2);
	int ends[2], efd;

	open_pipe(ends, 0);
	efd = open_eventfd(0, EFD_NONBLOCK);
	stage_submit(ctx, prep_poll(&observer, efd, POLLIN));
	prep_write(&observed, ends[1], "x", 1, 0);
	stage_submit(ctx, notify(&observed, efd));
	stage_reap(ctx, 2, events);
	EXPECT_EVENT(&events[0], &observed, 1);
	EXPECT_EVENT(&events[1], &observer, POLLIN);
}

#define RACES 300

static void *submit_races(void *arg)
{
	struct iocb *iocb = arg;
	aio_handle ctx = iocb->aio_data;
	int i;

	for (i = 0; i < RACES; i++)
		stage_submit(ctx, iocb);
	return NULL;
}

/* The same as a program sees it, which sleeps on the eventfd. */
CASE(io_submit, resfd_event_there,
     "who wakes on the eventfd finds as many events as it says",
     .clause = "io_submit.resfd.event_first", .needs = "eventfd cpus2",
     .quota = 1024)
{
	aio_handle ctx = new_context(RACES);
	int efd = open_eventfd(0, 0);
	struct thread *thread;
	uint64_t sum = 0;
	struct iocb iocb;
	int null = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));

	prep_write(&iocb, null, "x", 1, 0);
	iocb.aio_data = ctx;
	notify(&iocb, efd);
	thread = thread_run(submit_races, &iocb);
	while (sum < RACES) {
		sum += eventfd_take(efd);
		EXPECT_LE(ring_unread(ctx), sum);
	}
	thread_join(thread);
	EXPECT_EQ(RACES, sum);
}

/* --- not at all --- */

CASE(io_submit, resfd_refused, "a refused iocb does not signal its eventfd",
     .clause = "io_submit.resfd.refused", .needs = "eventfd")
{
	int efd = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	struct iocb *iocb;
	int ends[2];

	open_pipe(ends, O_NONBLOCK);
	for_each_refusal(refusal) {
		iocb = refusal->spoil(notify(new_write(ends[1]), efd));
		EXPECT_EQ(-refusal->error, submit_one(ctx, iocb));
		EXPECT_EQ(0, eventfd_take(efd));
	}
}

CASE(io_submit, resfd_cancelled, "a cancelled request signals its eventfd",
     .clause = "io_submit.resfd.cancelled", .needs = "eventfd")
{
	int efd = open_eventfd(0, EFD_NONBLOCK), never = open_eventfd(0, 0);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	prep_poll(&iocb, never, POLLIN);
	stage_submit(ctx, notify(&iocb, efd));
	STAGE_EQ(-EINPROGRESS, aio->cancel(ctx, &iocb, &event));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, 0);
	end_context(ctx);
	EXPECT_EQ(1, eventfd_take(efd));
}

/* --- closed, and let go --- */

CASE(io_submit, resfd_other_descriptor,
     "an eventfd closed meanwhile counts on under another descriptor",
     .clause = "io_submit.resfd.closed", .needs = "eventfd")
{
	int efd = open_eventfd(0, 0), other = keep(dup(efd));
	int later = open_eventfd(0, 0);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;

	prep_poll(&iocb, later, POLLIN);
	stage_submit(ctx, notify(&iocb, efd));
	drop(efd);
	eventfd_add(later, 1);
	EXPECT_EQ(1, take_at_least(other, 1));
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLIN);
}

CASE(io_submit, resfd_reused, "nor is another file signalled under its number",
     .clause = "io_submit.resfd.closed", .needs = "eventfd")
{
	int efd = open_eventfd(0, 0), stranger = open_eventfd(0, EFD_NONBLOCK);
	int later = open_eventfd(0, 0), other = keep(dup(efd));
	aio_handle ctx = new_context(1);
	struct iocb iocb;

	prep_poll(&iocb, later, POLLIN);
	stage_submit(ctx, notify(&iocb, efd));
	REQUIRE(dup2(stranger, efd) == efd);
	eventfd_add(later, 1);
	EXPECT_EQ(1, take_at_least(other, 1));
	end_context(ctx);
	EXPECT_EQ(0, eventfd_take(stranger));
}

/*
 * Each eventfd has a number in the whole system, the lowest that is free,
 * until nobody holds it any more: what leaks shows in the numbers that follow.
 */
static long eventfd_id(int efd)
{
	char path[40], line[100];
	long id = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", efd);
	f = fopen(path, "re");
	REQUIRE(f);
	while (id < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "eventfd-id: %ld", &id) == 1)
			break;
	fclose(f);
	REQUIRE(id >= 0);
	return id;
}

/* More than a virtual machine opens that starts meanwhile. */
#define LEAKS 1000

CASE(io_submit, resfd_freed, "an eventfd is free after the completion",
     .clause = "io_submit.resfd.closed", .needs = "eventfd",
     .serial = SERIAL_BODY)
{
	int ready = open_eventfd(1, 0), later = open_eventfd(0, 0);
	int never = open_eventfd(0, 0), efd = open_eventfd(0, 0), i;
	struct iocb iocbs[3], *list[3];
	aio_handle ctx = new_context(3);
	struct io_event events[3];
	long first = eventfd_id(efd);

	drop(efd);
	for (i = 0; i < LEAKS; i++) {
		efd = open_eventfd(0, 0);
		list[0] = notify(prep_poll(&iocbs[0], ready, POLLIN), efd);
		list[1] = notify(prep_poll(&iocbs[1], later, POLLIN), efd);
		list[2] = notify(prep_poll(&iocbs[2], never, POLLIN), efd);
		STAGE_EQ(3, aio->submit(ctx, 3, list));
		drop(efd);
		eventfd_add(later, 1);
		STAGE_EQ(-EINPROGRESS, aio->cancel(ctx, &iocbs[2], &events[0]));
		stage_reap(ctx, 3, events);
		eventfd_take(later);
	}
	end_context(ctx);
	EXPECT_LT(first + LEAKS, eventfd_id(open_eventfd(0, 0)));
}

/* Each has memory of its own: so many that one guest that starts is no leak. */
#define LEAKS_REFUSED 100

CASE(io_submit, resfd_freed_when_refused,
     "a refused iocb leaves no reference on its eventfd",
     .clause = "io_submit.count.refused_leaves_nothing", .needs = "eventfd",
     .serial = SERIAL_BODY)
{
	int efd = open_eventfd(0, 0), i;
	long first = eventfd_id(efd);
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	struct iocb *iocb;
	int ends[2], n = (int)rounds(LEAKS_REFUSED);

	drop(efd);
	open_pipe(ends, O_NONBLOCK);
	for_each_refusal(refusal) {
		/* before that there is none to leave; others may open one */
		if (refusal->reached < BEFORE_KEY || refusal->own_file)
			continue;
		for (i = 0; i < n; i++) {
			efd = open_eventfd(0, 0);
			iocb = refusal->spoil(notify(new_write(ends[1]), efd));
			STAGE_EQ(-refusal->error, submit_one(ctx, iocb));
			drop(efd);
		}
		efd = open_eventfd(0, 0);
		EXPECT_LT(first + n, eventfd_id(efd));
		drop(efd);
	}
}

/* Held by the request alone: nobody else may get what is still in use. */
CASE(io_submit, resfd_kept_in_flight, "and is kept as long as it is in flight",
     .clause = "io_submit.resfd.closed", .needs = "eventfd",
     .serial = SERIAL_BODY)
{
	int later = open_eventfd(0, 0), efd, i;
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	long id;

	efd = open_eventfd(0, 0);
	id = eventfd_id(efd);
	prep_poll(&iocb, later, POLLIN);
	stage_submit(ctx, notify(&iocb, efd));
	drop(efd);
	for (i = 0; i < 10; i++)
		EXPECT_NE(id, eventfd_id(open_eventfd(0, 0)));
	eventfd_add(later, 1);
	stage_reap(ctx, 1, &event);
	EXPECT_EVENT(&event, &iocb, POLLIN);
}

/* --- other flags --- */

CASE(io_submit, flags_unknown, "unknown bits of aio_flags are ignored",
     .clause = "io_submit.flags_unknown")
{
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	int ends[2], bit;

	open_pipe(ends, 0);
	for (bit = 2; bit <= 32; bit++) {
		ROUND("bit %d", bit);
		prep_write(&iocb, ends[1], "x", 1, 0);
		iocb.aio_flags = bit < 32 ? 1u << bit
					  : ~(uint32_t)(IOCB_FLAG_RESFD |
							IOCB_FLAG_IOPRIO);
		/* which would be refused with the flags that there are */
		iocb.aio_resfd = (uint32_t)-1;
		iocb.aio_reqprio = -1;
		EXPECT_EQ(1, submit_one(ctx, &iocb));
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, &iocb, 1);
	}
}
