// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * mremap(2) of the ring, as checkpoint tools do: a context follows its ring,
 * all of it or not at all.
 */
#include <sys/mman.h>

#include "case.h"

#define EVENTS 100 /* a ring of two pages */
#define UNREAD 3
#define POLLS  5

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static size_t size_of_ring(aio_handle ctx)
{
	return ring_size(ring_of(ctx)->nr);
}

/* Pages of nothing with room for a ring between two neighbours. */
static aio_handle free_place(size_t size)
{
	char *map = mmap(NULL, size + 2 * PAGE_SIZE, PROT_READ,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(map != MAP_FAILED);
	return (aio_handle)(map + PAGE_SIZE);
}

static bool neighbours_are_there(aio_handle place, size_t size)
{
	return is_mapped((char *)place - PAGE_SIZE) &&
	       is_mapped((char *)place + size);
}

/* mremap(), with -errno for a failure, and 0 for success. */
static long remap(aio_handle from, size_t old_size, size_t new_size, int flags,
		  aio_handle to)
{
	void *map = mremap((void *)from, old_size, new_size, flags, (void *)to);

	return map == MAP_FAILED ? -errno : 0;
}

static long move_to(aio_handle from, size_t old_size, size_t new_size,
		    aio_handle to)
{
	return remap(from, old_size, new_size, MREMAP_MAYMOVE | MREMAP_FIXED,
		     to);
}

/* The whole ring to another place; gives its new handle. */
static aio_handle move_ring(aio_handle ctx)
{
	size_t size = size_of_ring(ctx);
	aio_handle to = free_place(size);

	ASSERT_OK(move_to(ctx, size, size, to));
	return to;
}

/* A page of the program's own where the ring was, and the same id in it. */
static void forge(aio_handle place, unsigned int id)
{
	unsigned int *page =
		mmap((void *)place, PAGE_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	REQUIRE(page != MAP_FAILED);
	*page = id;
}

CASE(ring, mremap_move, "a ring that was moved is the handle where it is now",
     .clause = "ring.mremap.move", .needs = "eventfd")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, UNREAD);
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(EVENTS);

	stage_complete(ctx, UNREAD, 0);
	stage_poll(ctx, iocb);
	ctx = move_ring(ctx);
	EXPECT_EQ(UNREAD, aio->getevents(ctx, UNREAD, UNREAD, events, NULL));
	EXPECT_NUMBERED(events, UNREAD, 0);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, events));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, events, NULL));
	EXPECT_EVENT(events, iocb, 0);
	EXPECT_WORKS(ctx, 1);
	EXPECT_OK(aio->destroy(ctx));
}

CASE(ring, mremap_move_again, "a ring may be moved, and moved back",
     .clause = "ring.mremap.move")
{
	aio_handle ctx = new_context(EVENTS), moved = move_ring(ctx);

	EXPECT_WORKS(moved, 1);
	moved = move_ring(moved);
	EXPECT_WORKS(moved, 2);
	ASSERT_OK(
		move_to(moved, size_of_ring(moved), size_of_ring(moved), ctx));
	EXPECT_WORKS(ctx, 3);
}

CASE(ring, mremap_move_one, "of several rings the one that is moved moves",
     .clause = "ring.mremap.move")
{
	aio_handle ctx[3], moved;
	unsigned int i;

	for (i = 0; i < 3; i++)
		ctx[i] = new_context(EVENTS);
	moved = move_ring(ctx[1]);
	EXPECT_EQ(1, ring_of(moved)->id);
	EXPECT_WORKS(ctx[0], 0);
	EXPECT_WORKS(moved, 1);
	EXPECT_WORKS(ctx[2], 2);
}

CASE(ring, mremap_move_behind_hole,
     "a ring is moved whichever contexts before it have gone",
     .clause = "ring.mremap.move")
{
	aio_handle ctx[4];
	unsigned int i;

	for (i = 0; i < 4; i++)
		ctx[i] = new_context(EVENTS);
	end_context(ctx[0]);
	EXPECT_WORKS(move_ring(ctx[1]), 1);
	end_context(ctx[2]);
	EXPECT_WORKS(move_ring(ctx[3]), 3);
}

CASE(ring, mremap_old_handle, "where the ring was is no handle any more",
     .clause = "ring.mremap.old_handle", .flavours = RAW, .needs = "eventfd")
{
	aio_handle old = new_context(EVENTS), ctx;
	struct iocb *iocb = GUARDED(struct iocb);

	stage_poll(old, iocb);
	ctx = move_ring(old);
	EXPECT_TRUE(!is_mapped((void *)old));
	EXPECT_REFUSED(old, iocb);
	forge(old, ring_of(ctx)->id);
	EXPECT_REFUSED(old, iocb);
	EXPECT_WORKS(ctx, 1);
}

CASE(ring, mremap_destroy, "io_destroy() unmaps the ring where it is now",
     .clause = "ring.mremap.destroy")
{
	aio_handle old = new_context(EVENTS), ctx;
	size_t size = size_of_ring(old), at;
	void *other;

	ctx = move_ring(old);
	other = mmap((void *)old, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	REQUIRE(other != MAP_FAILED);
	pattern(other, size, 1);
	EXPECT_OK(aio->destroy(ctx));
	for (at = 0; at < size; at += PAGE_SIZE)
		EXPECT_TRUE(!is_mapped((char *)ctx + at));
	EXPECT_TRUE(neighbours_are_there(ctx, size));
	EXPECT_PATTERN(other, size, 1);
}

CASE(ring, mremap_in_flight, "requests in flight complete into a moved ring",
     .clause = "ring.mremap.in_flight", .needs = "eventfd")
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, POLLS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, POLLS);
	aio_handle ctx = new_context(EVENTS);
	int fds[POLLS], i;

	for (i = 0; i < POLLS; i++)
		fds[i] = stage_poll(ctx, &iocbs[i]);
	for (i = 0; i < POLLS; i++) {
		end_poll(fds[i]);
		ctx = move_ring(ctx);
	}
	EXPECT_EQ(POLLS, aio->getevents(ctx, POLLS, POLLS, events, NULL));
	for (i = 0; i < POLLS; i++)
		EXPECT_EVENT(&events[i], &iocbs[i], POLLIN);
}

CASE(ring, mremap_grow, "the ring cannot grow, nor be mapped twice",
     .clause = "ring.mremap.grow")
{
	aio_handle ctx = new_context(EVENTS);
	size_t size = size_of_ring(ctx);
	aio_handle to = free_place(2 * size);

	EXPECT_ERR(EFAULT,
		   remap(ctx, size, size + PAGE_SIZE, MREMAP_MAYMOVE, 0));
	EXPECT_ERR(EFAULT, remap(ctx, size, 2 * size, 0, 0));
	EXPECT_ERR(EFAULT, move_to(ctx, size, 2 * size, to));
	EXPECT_ERR(EFAULT, remap(ctx, 0, size, MREMAP_MAYMOVE, 0));
	EXPECT_ERR(EFAULT, remap(ctx, 0, PAGE_SIZE, MREMAP_MAYMOVE, 0));
	EXPECT_EQ(1, maps_named("/[aio]"));
	EXPECT_WORKS(ctx, 1);
}

/* The kernel writes and reads by pages of its own, mapped here or not. */
CASE(ring, mremap_shrink,
     "a ring may shrink in place to the page of its header",
     .clause = "ring.mremap.shrink")
{
	aio_handle ctx = new_context(EVENTS);
	unsigned int nr = ring_of(ctx)->nr, i;
	size_t size = size_of_ring(ctx);

	EXPECT_OK(remap(ctx, size, PAGE_SIZE, 0, 0));
	EXPECT_TRUE(!is_mapped((char *)ctx + PAGE_SIZE));
	for (i = 0; i < nr + 10; i++)
		EXPECT_WORKS(ctx, i);
	EXPECT_OK(aio->destroy(ctx));
	EXPECT_TRUE(!is_mapped((void *)ctx));
}

/* What was moved by a kernel that did is the handle, of a shorter mapping. */
CASE(ring, mremap_shrink_move, "shrinking and moving in one",
     .clause = "ring.mremap.shrink_move")
{
	aio_handle ctx = new_context(EVENTS), to = free_place(PAGE_SIZE);
	long wanted = contract("ring.mremap.shrink_move");

	EXPECT_EQ(wanted, move_to(ctx, size_of_ring(ctx), PAGE_SIZE, to));
	EXPECT_WORKS(wanted ? ctx : to, 1);
}

CASE(ring, mremap_part, "moving a part of the ring",
     .clause = "ring.mremap.part", .needs = "eventfd")
{
	aio_handle ctx = new_context(EVENTS), to = free_place(PAGE_SIZE);
	long wanted = contract("ring.mremap.part");
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned int id = ring_of(ctx)->id;

	stage_poll(ctx, iocb);
	EXPECT_EQ(wanted, move_to(ctx + PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, to));
	if (wanted) {
		EXPECT_WORKS(ctx, 1);
		return;
	}
	EXPECT_REFUSED(ctx, iocb);
	ring_of(to)->id = id;
	EXPECT_WORKS(to, 1);
}

CASE(ring, mremap_dontunmap, "the ring cannot be moved and stay",
     .clause = "ring.mremap.dontunmap")
{
	aio_handle ctx = new_context(EVENTS);
	size_t size = size_of_ring(ctx);

	EXPECT_ERR(EINVAL, remap(ctx, size, size,
				 MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0));
	EXPECT_EQ(1, maps_named("/[aio]"));
	EXPECT_WORKS(ctx, 1);
}

/* A child has the mapping, and neither the context nor, at first, a table. */
static void child_moves(aio_handle ctx)
{
	size_t size = size_of_ring(ctx);
	aio_handle own;

	EXPECT_ERR(EINVAL, move_to(ctx, size, size, free_place(size)));
	own = new_context(EVENTS);
	EXPECT_ERR(EINVAL, move_to(ctx, size, size, free_place(size)));
	EXPECT_WORKS(own, 1);
	EXPECT_WORKS(move_ring(own), 2);
	child_exit(0);
}

CASE(ring, mremap_foreign, "a child cannot move the ring of its parent",
     .clause = "ring.mremap.foreign", .fixed_by = "81e9d6f86476")
{
	aio_handle ctx = new_context(EVENTS);
	pid_t pid = child_fork();

	if (!pid)
		child_moves(ctx);
	EXPECT_CHILD_OK(pid);
	EXPECT_WORKS(ctx, 3);
	EXPECT_WORKS(move_ring(ctx), 4);
}

CASE(ring, mremap_waiter, "who waits meanwhile has the event all the same",
     .clause = "ring.mremap.move", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	aio_handle ctx = new_context(EVENTS);
	struct waiter *waiter;
	struct io_event event;
	int fd;

	fd = stage_poll(ctx, &iocbs[0]);
	waiter = waiter_run(ctx, 1, 1, &event, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	ctx = move_ring(ctx);
	end_poll(fd);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(&event, &iocbs[0], POLLIN);
	/* and so by what is submitted there */
	waiter = waiter_run(ctx, 1, 1, &event, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	fd = stage_poll(ctx, &iocbs[1]);
	ctx = move_ring(ctx);
	end_poll(fd);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(&event, &iocbs[1], POLLIN);
	EXPECT_OK(aio->destroy(ctx));
}
