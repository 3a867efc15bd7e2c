// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A ring that the program unmapped or protected. The kernel finds a context by
 * reading the ring as the program would; all else it does by pages of its own.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"

#define EVENTS 100 /* a ring of two pages */
#define UNREAD 3

static size_t size_of_ring(aio_handle ctx)
{
	return ring_size(ring_of(ctx)->nr);
}

static void unmap_ring(aio_handle ctx)
{
	REQUIRE(!munmap((void *)ctx, size_of_ring(ctx)));
}

CASE(ring, munmap, "with the ring unmapped every call is EINVAL",
     .clause = "ring.munmap", .flavours = RAW, .needs = "eventfd")
{
	aio_handle ctx = new_context(EVENTS);
	struct iocb *iocb = GUARDED(struct iocb);

	stage_poll(ctx, iocb);
	unmap_ring(ctx);
	EXPECT_REFUSED(ctx, iocb);
	EXPECT_EQ(1, ring_of(new_context(1))->id);
}

CASE(ring, munmap_accounting,
     "a context without its ring is charged until its process ends",
     .clause = "ring.munmap.accounting", .needs = "aio_sysctls",
     .serial = SERIAL_BODY)
{
	struct gate *gates = shared_memory(2 * sizeof(*gates));
	long before = aio_nr();
	aio_handle ctx;
	pid_t pid;

	pid = child_fork();
	if (!pid) {
		ctx = new_context(EVENTS);
		unmap_ring(ctx);
		EXPECT_ERR(EINVAL, aio->destroy(ctx));
		gate_open(&gates[0]);
		gate_wait(&gates[1]);
		child_exit(0);
	}
	gate_wait(&gates[0]);
	EXPECT_EQ(before + EVENTS, aio_nr());
	gate_open(&gates[1]);
	EXPECT_CHILD_OK(pid);
	/* who looks at the child in /proc keeps its memory for a moment */
	WAIT_FOR(aio_nr() == before);
	EXPECT_QUOTA_BACK();
}

CASE(ring, munmap_completions,
     "requests complete without the ring, and let go of what they hold",
     .clause = "ring.munmap.completions", .needs = "eventfd unix_sockets")
{
	aio_handle ctx = new_context(EVENTS);
	struct iocb *iocb = GUARDED(struct iocb);
	int counter = open_eventfd(0, 0), ends[2];
	char byte = 0;

	open_sockets(ends);
	stage_submit(ctx, notify(prep_poll(iocb, ends[0], POLLIN), counter));
	unmap_ring(ctx);
	drop(ends[0]);
	REQUIRE(write(ends[1], &byte, 1) == 1);
	EXPECT_EQ(1, eventfd_take(counter));
	/* the request was the last to hold the other end */
	REQUIRE(read(ends[1], &byte, 1) <= 0);
	EXPECT_ERR(EINVAL, aio->destroy(ctx));
}

/* Memory of the program's own at the place of the ring, this id in it. */
static void impersonate(aio_handle ctx, unsigned int id)
{
	struct aio_ring *page =
		mmap((void *)ctx, PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	REQUIRE(page != MAP_FAILED);
	page->id = id;
}

CASE(ring, munmap_impostor,
     "a page of the program's own with the right id is the handle",
     .clause = "ring.munmap.impostor", .needs = "eventfd")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, UNREAD);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle first = new_context(EVENTS), ctx = new_context(EVENTS);

	stage_poll(ctx, iocb);
	stage_complete(ctx, UNREAD, 0);
	unmap_ring(ctx);
	impersonate(ctx, ring_of(first)->id);
	EXPECT_REFUSED(ctx, iocb);
	impersonate(ctx, 1);
	EXPECT_EQ(UNREAD, aio->getevents(ctx, UNREAD, UNREAD, events, NULL));
	EXPECT_NUMBERED(events, UNREAD, 0);
	EXPECT_WORKS(ctx, 7);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, events));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, events, NULL));
	EXPECT_EVENT(events, iocb, 0);
	/* nothing of this reaches the page: the ring is elsewhere */
	EXPECT_EQ(0, ring_of(ctx)->head);
	EXPECT_EQ(0, ring_of(ctx)->tail);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_TRUE(!is_mapped((void *)ctx));
	EXPECT_WORKS(first, 8);
}

CASE(ring, munmap_part, "with the header left a ring works on",
     .clause = "ring.munmap.part")
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, i;

	REQUIRE(!munmap((char *)ctx + PAGE_SIZE,
			size_of_ring(ctx) - PAGE_SIZE));
	for (i = 0; i < nr + 10; i++)
		EXPECT_WORKS(ctx, i);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_TRUE(!is_mapped((void *)ctx));
}

CASE(ring, mprotect_none,
     "a ring that cannot be read is no handle, until it can again",
     .clause = "ring.mprotect.none", .flavours = RAW, .needs = "eventfd")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, UNREAD);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(EVENTS);
	size_t size = size_of_ring(ctx);

	stage_poll(ctx, iocb);
	stage_complete(ctx, UNREAD, 0);
	inaccessible((void *)ctx, size);
	EXPECT_REFUSED(ctx, iocb);
	read_write((void *)ctx, size);
	EXPECT_EQ(UNREAD, aio->getevents(ctx, UNREAD, UNREAD, events, NULL));
	EXPECT_NUMBERED(events, UNREAD, 0);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, events));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, events, NULL));
	EXPECT_EVENT(events, iocb, 0);
	EXPECT_OK(aio->destroy(ctx));
}

/*
 * Each page becomes a mapping of its own before it is touched: what the program
 * finds there must be what the kernel has there.
 */
CASE(ring, mprotect_each_page, "a ring cut into pages shows each in its place",
     .clause = "ring.mprotect.split")
{
	enum { MANY = 500 };
	aio_handle ctx = new_context(MANY);
	size_t size = size_of_ring(ctx), at;

	for (at = PAGE_SIZE; at < size; at += 2 * PAGE_SIZE)
		read_only((char *)ctx + at, PAGE_SIZE);
	stage_complete(ctx, MANY, 0);
	EXPECT_EQ(MANY, ring_unread(ctx));
	EXPECT_NUMBERED((const struct io_event *)ring_of(ctx)->events, MANY, 0);
	EXPECT_OK(aio->destroy(ctx));
	for (at = 0; at < size; at += PAGE_SIZE)
		EXPECT_TRUE(!is_mapped((char *)ctx + at));
}

CASE(ring, mprotect_read_only, "a ring that the program can only read works",
     .clause = "ring.mprotect.read_only")
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, i;

	read_only((void *)ctx, size_of_ring(ctx));
	for (i = 0; i < nr + 10; i++)
		EXPECT_WORKS(ctx, i);
	EXPECT_EQ((nr + 10) % nr, ring_of(ctx)->head);
	EXPECT_EQ((nr + 10) % nr, ring_of(ctx)->tail);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_TRUE(!is_mapped((void *)ctx));
}
