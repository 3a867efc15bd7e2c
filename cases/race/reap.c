// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reapers against each other, against submitters, and against a program that
 * moves head itself: no event may be lost, and no room.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "case.h"
#include "side.h"

#define EVENTS 8

/* One reaper is stopped in the copying, the ring's lock in its hands. */
static void stopped_reaper(bool denied)
{
	struct io_event *page = io_buffer(PAGE_SIZE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 3 * EVENTS);
	struct io_event *content = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(4 * EVENTS);
	struct trap *trap = trap_set(page, PAGE_SIZE);
	struct waiter *stopped, *other;
	long wanted = denied ? 3 * EVENTS : 2 * EVENTS;

	stage_complete(ctx, EVENTS, 0);
	stopped = waiter_run(ctx, EVENTS, EVENTS, page, NULL);
	trap_wait(trap);
	stage_complete(ctx, EVENTS, EVENTS);
	other = waiter_run(ctx, wanted, wanted, events, NULL);
	waiter_asleep(other);
	stage_complete(ctx, EVENTS, 2 * EVENTS);
	EXPECT_TRUE(!waiter_done(stopped));
	EXPECT_TRUE(!waiter_done(other));
	if (denied)
		trap_deny(trap);
	else
		trap_release(trap, content);
	EXPECT_EQ(denied ? -EFAULT : EVENTS, waiter_result(stopped));
	ASSERT_EQ(wanted, waiter_result(other));
	if (!denied)
		EXPECT_NUMBERED(page, EVENTS, 0);
	EXPECT_NUMBERED(events, wanted, denied ? 0 : EVENTS);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(race, getevents_fault,
     "a reaper stopped in the copying delays reapers, nobody else",
     .clause = "race.getevents_fault", .needs = "userfaultfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	stopped_reaper(false);
}

CASE(race, getevents_fault_fails,
     "a reaper stopped in the copying that fails leaves all to the others",
     .clause = "race.getevents_fault", .needs = "userfaultfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	stopped_reaper(true);
}

/* Waiting for the copying, mremap() would wait for who waits for it. */
CASE(race, getevents_fault_mremap,
     "while a reaper is stopped in the copying, its ring can be moved",
     .clause = "race.getevents_fault", .needs = "userfaultfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct io_event *page = io_buffer(PAGE_SIZE);
	struct io_event *events = GUARDED_ARRAY(struct io_event, EVENTS);
	struct io_event *content = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(4 * EVENTS), to;
	size_t size = ring_size(ring_of(ctx)->nr);
	struct trap *trap = trap_set(page, PAGE_SIZE);
	struct waiter *stopped;
	void *place;

	stage_complete(ctx, EVENTS, 0);
	stopped = waiter_run(ctx, EVENTS, EVENTS, page, NULL);
	trap_wait(trap);
	place = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(place != MAP_FAILED);
	ASSERT_TRUE(mremap((void *)ctx, size, size,
			   MREMAP_MAYMOVE | MREMAP_FIXED, place) == place);
	to = (aio_handle)place;
	stage_complete(to, EVENTS, EVENTS);
	EXPECT_TRUE(!waiter_done(stopped));
	trap_release(trap, content);
	EXPECT_EQ(EVENTS, waiter_result(stopped));
	EXPECT_NUMBERED(page, EVENTS, 0);
	ASSERT_EQ(EVENTS, aio->getevents(to, EVENTS, EVENTS, events, NULL));
	EXPECT_NUMBERED(events, EVENTS, EVENTS);
	EXPECT_OK(aio->destroy(to));
}

#define ROUNDS 400

struct reaper {
	aio_handle ctx;
	struct io_event events[EVENTS];
	unsigned int got;
};

static void reap_in_user_space(void *arg)
{
	struct reaper *reaper = arg;

	reaper->got = ring_reap(reaper->ctx, reaper->events, EVENTS);
}

/* Each event is one of this round's requests, as the kernel completed it. */
static void mark(unsigned int *seen, const struct io_event *events, long n,
		 const struct iocb *iocbs)
{
	uint64_t place;
	long i;

	for (i = 0; i < n; i++) {
		place = events[i].data - iocbs[0].aio_data;
		ASSERT_TRUE(place < EVENTS);
		EXPECT_EVENT(&events[i], &iocbs[place], 1);
		*seen |= 1u << place;
	}
}

CASE(race, getevents_user_reap,
     "head moved while events are read: each goes to one of the two at least",
     .clause = "race.getevents_user_reap", .needs = "cpus2",
     .flavours = RAW | PGETEVENTS)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, EVENTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, EVENTS);
	struct reaper reaper = { .ctx = new_context(EVENTS) };
	struct side *side = side_start(reap_in_user_space, &reaper);
	int fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	struct timespec none = { 0 };
	struct iocb *list[EVENTS];
	unsigned int i, k, seen, nr_rounds = rounds(ROUNDS);
	char byte;
	long got;

	for (i = 0; i < nr_rounds; i++) {
		ROUND("round %u", i);
		for (k = 0; k < EVENTS; k++) {
			list[k] = prep_read(&iocbs[k], fd, &byte, 1, 0);
			iocbs[k].aio_data = i * EVENTS + k;
		}
		STAGE_EQ(EVENTS, aio->submit(reaper.ctx, EVENTS, list));
		side_go(side, i);
		got = aio->getevents(reaper.ctx, 0, EVENTS, events, &none);
		side_wait(side);
		ASSERT_TRUE(got >= 0 && got <= EVENTS);
		seen = 0;
		mark(&seen, events, got, iocbs);
		mark(&seen, reaper.events, reaper.got, iocbs);
		EXPECT_EQ((1u << EVENTS) - 1, seen);
		EXPECT_EQ(0, ring_unread(reaper.ctx));
	}
	side_end(side);
}

#define SUBMISSIONS 4000

struct crew {
	aio_handle ctx;
	int fd;
	unsigned int submissions;
	atomic_uint submitted;
};

static void *submit_on_cpu_1(void *arg)
{
	struct crew *crew = arg;
	struct iocb iocb, *list = &iocb;
	unsigned int done = 0;
	long result;
	char byte;

	pin_to_cpu(1);
	prep_read(&iocb, crew->fd, &byte, 1, 0);
	while (done < crew->submissions) {
		result = aio->submit(crew->ctx, 1, &list);
		if (result == 1)
			done++;
		else if (!EXPECT_EQ(-EAGAIN, result))
			break;
		else
			breathe();
	}
	atomic_fetch_add(&crew->submitted, done);
	return NULL;
}

/* All that one CPU can have in flight now. */
static unsigned int fill_from(unsigned int cpu, aio_handle ctx,
			      struct iocb *iocb)
{
	unsigned int n = 0;
	long result;

	pin_to_cpu(cpu);
	while ((result = submit_one(ctx, iocb)) == 1)
		n++;
	EXPECT_EQ(-EAGAIN, result);
	return n;
}

CASE(race, capacity,
     "submitters and reapers on two CPUs leave the ring's room whole",
     .clause = "race.capacity", .needs = "cpus2 eventfd",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct crew crew = {
		.ctx = new_context(1),
		.fd = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC)),
		.submissions = rounds(SUBMISSIONS),
	};
	unsigned int nr = ring_of(crew.ctx)->nr, reaped = 0;
	struct io_event *events = GUARDED_ARRAY(struct io_event, nr);
	struct thread *submitter;
	struct iocb poll;
	long got;

	pin_to_cpu(0);
	submitter = thread_run(submit_on_cpu_1, &crew);
	while (reaped < crew.submissions) {
		got = aio->getevents(crew.ctx, 1, nr, events, NULL);
		ASSERT_TRUE(got > 0 && got < (long)nr);
		reaped += (unsigned int)got;
	}
	thread_join(submitter);
	EXPECT_EQ(crew.submissions, reaped);
	EXPECT_EQ(0, ring_unread(crew.ctx));

	prep_poll(&poll, open_eventfd(0, 0), POLLIN);
	got = fill_from(0, crew.ctx, &poll);
	EXPECT_EQ(ring_capacity(nr), got + fill_from(1, crew.ctx, &poll));
}

/* --- events seen as soon as they are there --- */

#define WATCHED 5000
#define SPINS	1000 /* until the other may need this CPU */

struct writer {
	aio_handle ctx;
	int fd;
	atomic_bool over; /* one of the two has failed: the other is to end */
};

static void submit_watched(void *arg)
{
	struct writer *writer = arg;
	struct iocb iocb, *list = &iocb;
	unsigned int done = 0, n = rounds(WATCHED);
	long result;

	prep_write(&iocb, writer->fd, "x", 1, 0);
	while (done < n && !atomic_load(&writer->over)) {
		iocb.aio_data = done;
		result = aio->submit(writer->ctx, 1, &list);
		if (result != 1 && !EXPECT_EQ(-EAGAIN, result))
			atomic_store(&writer->over, true);
		done += result == 1;
		if (result != 1)
			sched_yield();
	}
}

/* Who reaps in user space takes no lock that would make it wait for the rest.
 */
CASE(race, user_reap, "what tail has passed is there, from another CPU, too",
     .clause = "ring.events.tail", .needs = "cpus2")
{
	struct writer writer = {
		.ctx = new_context(8),
		.fd = keep(open("/dev/null", O_WRONLY | O_CLOEXEC)),
	};
	struct side *side = side_start(submit_watched, &writer);
	volatile struct aio_ring *ring = ring_of(writer.ctx);
	unsigned int head = 0, nr = ring->nr, seen, n = rounds(WATCHED);
	unsigned int spins;
	uint64_t data;
	int64_t res;

	side_go(side, 0);
	for (seen = 0; seen < n; seen++) {
		for (spins = 0;
		     ring->tail == head && !atomic_load(&writer.over); spins++)
			if (spins > SPINS)
				sched_yield();
		if (ring->tail == head)
			break;
		data = ring->events[head].data;
		res = ring->events[head].res;
		if (!EXPECT_EQ(seen, data) || !EXPECT_EQ(1, res))
			break;
		head = (head + 1) % nr;
		ring->head = head;
	}
	atomic_store(&writer.over, true);
	side_wait(side);
	side_end(side);
}

/* --- a wake-up and who goes to sleep --- */

static void end_one(void *arg)
{
	REQUIRE(!eventfd_write(*(int *)arg, 1));
}

CASE(race, wake_sleep,
     "an event that comes as its waiter goes to sleep wakes it",
     .clause = "io_getevents.wake.nth", .needs = "eventfd cpus2",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = open_eventfd(0, 0);
	struct side *side = side_start(end_one, &fd);
	struct io_event event;
	unsigned int i, n = rounds(SIDE_ROUNDS);

	prep_poll(iocb, fd, POLLIN);
	for (i = 0; i < n; i++) {
		ROUND("round %u", i);
		stage_submit(ctx, iocb);
		side_go(side, i);
		ASSERT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
		EXPECT_EVENT(&event, iocb, POLLIN);
		side_wait(side);
		eventfd_take(fd);
	}
	side_end(side);
}
