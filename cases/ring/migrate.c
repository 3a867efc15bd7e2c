// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pages of the ring are moved in physical memory while it is in use: the
 * kernel writes events by pages that it knows, and has to be told of each move.
 *
 * Memory compaction moves them on any machine, now and then this page and now
 * that; between memory nodes each page can be moved for certain.
 */
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"
#include "slope.h"

#define SPREAD	    100 /* pages between a ring and the next */
#define RINGS	    96
#define ATTEMPTS    8 /* to have one moved */
#define PIECE	    7
#define COMPACTIONS 4
#define NODE_ROUNDS 40
#define MID_EVENTS  100 /* a ring of two pages */
/* The context itself lists eight; this ring has sixteen. */
#define LARGE_EVENTS 1000
#define LARGE_ROUNDS 8

/* Rings of one page each, and the frames they lie in. */
struct rings {
	aio_handle ctx[RINGS];
	uint64_t frame[RINGS];
};

/*
 * Far from each other in physical memory, with much that is free between them:
 * compaction finds pages to move, and places to move them to.
 */
static struct rings *make_rings(void)
{
	size_t size = RINGS * SPREAD * PAGE_SIZE;
	static struct rings rings;
	unsigned int i;
	char *between;

	between = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(between != MAP_FAILED);
	madvise(between, size, MADV_NOHUGEPAGE);
	for (i = 0; i < RINGS; i++) {
		memset(between + i * SPREAD * PAGE_SIZE, 1, SPREAD * PAGE_SIZE);
		rings.ctx[i] = new_context(1);
		rings.frame[i] = page_frame((void *)rings.ctx[i]);
	}
	REQUIRE(!munmap(between, size));
	return &rings;
}

static unsigned int moved(const struct rings *rings)
{
	unsigned int i, n = 0;

	for (i = 0; i < RINGS; i++)
		n += page_frame((void *)rings->ctx[i]) != rings->frame[i];
	return n;
}

static void compact(void)
{
	int fd = open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC);

	REQUIRE(fd >= 0);
	REQUIRE(write(fd, "1", 1) == 1);
	close(fd);
}

/*
 * Filled until it is full: for the next time the kernel looks into the ring how
 * many were reaped. Some slots are left with CPUs that were here before.
 */
static void expect_slots_back(aio_handle ctx)
{
	long slots = ring_capacity(ring_of(ctx)->nr), got;
	struct io_event *events = GUARDED_ARRAY(struct io_event, slots + 1);
	uint64_t number;

	for (number = 0; number < 3; number++) {
		got = complete_now(ctx, slots + 1, number);
		if (!EXPECT_GE(slots / 2, got) ||
		    !EXPECT_EQ(got,
			       aio->getevents(ctx, got, got, events, NULL)))
			return;
		EXPECT_NUMBERED(events, (unsigned int)got, number);
	}
}

/* Rings that hold some, before and after; gives how many were moved. */
static unsigned int move_idle(void)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, PIECE);
	char *bytes = guarded(RINGS * PAGE_SIZE);
	struct rings *rings = make_rings();
	unsigned int i;

	for (i = 0; i < RINGS; i++) {
		EXPECT_WORKS(rings->ctx[i], i);
		stage_complete(rings->ctx[i], PIECE, i);
		memcpy(bytes + i * PAGE_SIZE, (void *)rings->ctx[i], PAGE_SIZE);
	}
	compact();
	for (i = 0; i < RINGS; i++)
		EXPECT_MEM(bytes + i * PAGE_SIZE, (void *)rings->ctx[i],
			   PAGE_SIZE);
	for (i = 0; i < RINGS; i++) {
		EXPECT_EQ(PIECE, aio->getevents(rings->ctx[i], PIECE, PIECE,
						events, NULL));
		EXPECT_NUMBERED(events, PIECE, i);
		EXPECT_WORKS(rings->ctx[i], i);
		if (page_frame((void *)rings->ctx[i]) != rings->frame[i])
			expect_slots_back(rings->ctx[i]);
	}
	return moved(rings);
}

CASE(ring, migrate_idle, "a ring that is moved keeps every byte",
     .clause = "ring.migrate.idle", .needs = "compaction page_frames",
     .serial = true, .flavours = NATIVE, .time_limit = 60,
     .quota = ATTEMPTS * RINGS)
{
	unsigned int i, n = 0;

	for (i = 0; i < ATTEMPTS && !n; i++)
		n = move_idle();
	if (!n)
		SKIP("the kernel had no reason to move a page");
}

static void *compact_often(void *arg)
{
	atomic_bool *done = arg;
	unsigned int i;

	for (i = 0; i < COMPACTIONS; i++)
		compact();
	atomic_store(done, true);
	return NULL;
}

/* A piece of events in each ring, seen in it and reaped from it. */
static bool round_of_rings(const struct rings *rings, uint64_t number)
{
	struct io_event events[PIECE];
	unsigned int i;

	for (i = 0; i < RINGS; i++)
		if (!EXPECT_EQ(PIECE,
			       complete_now(rings->ctx[i], PIECE, number + i)))
			return false;
	for (i = 0; i < RINGS; i++)
		if (!EXPECT_EQ(PIECE, aio->getevents(rings->ctx[i], PIECE,
						     PIECE, events, NULL)) ||
		    !EXPECT_NUMBERED(events, PIECE, number + i))
			return false;
	return true;
}

CASE(ring, migrate_in_flight,
     "requests that complete while rings are moved lose no event",
     .clause = "ring.migrate.in_flight",
     .needs = "compaction page_frames eventfd", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, RINGS);
	struct rings *rings = make_rings();
	atomic_bool done = false;
	struct io_event event;
	struct thread *thread;
	unsigned int i;
	uint64_t number = 0;
	int fds[RINGS];

	for (i = 0; i < RINGS; i++)
		fds[i] = stage_poll(rings->ctx[i], &iocbs[i]);
	thread = thread_run(compact_often, &done);
	while (!atomic_load(&done) && round_of_rings(rings, number))
		number += PIECE;
	thread_join(thread);
	round_of_rings(rings, number);
	for (i = 0; i < RINGS; i++) {
		end_poll(fds[i]);
		EXPECT_EQ(1, aio->getevents(rings->ctx[i], 1, 1, &event, NULL));
		EXPECT_EVENT(&event, &iocbs[i], POLLIN);
		EXPECT_EQ(0, ring_unread(rings->ctx[i]));
	}
	if (!moved(rings))
		SKIP("the kernel had no reason to move a page");
}

#define MAKERS	   16
#define LIFETIMES  2
#define IN_A_BATCH 2

static void *make_and_destroy(void *arg)
{
	aio_handle ctx[IN_A_BATCH];
	unsigned int i, k;

	(void)arg;
	for (i = 0; i < LIFETIMES; i++) {
		for (k = 0; k < IN_A_BATCH; k++)
			ctx[k] = new_context(1);
		for (k = 0; k < IN_A_BATCH; k++)
			EXPECT_OK(aio->destroy(ctx[k]));
	}
	return NULL;
}

CASE(ring, migrate_teardown,
     "rings are made and destroyed while pages are moved",
     .clause = "ring.migrate.teardown", .needs = "compaction page_frames",
     .serial = true, .flavours = NATIVE, .time_limit = 60)
{
	struct thread *makers[MAKERS];
	atomic_bool done = false;
	struct thread *thread;
	unsigned int i;

	thread = thread_run(compact_often, &done);
	for (i = 0; i < MAKERS; i++)
		makers[i] = thread_run(make_and_destroy, NULL);
	for (i = 0; i < MAKERS; i++)
		thread_join(makers[i]);
	thread_join(thread);
	EXPECT_EQ(0, maps_named("/[aio]"));
	EXPECT_WORKS(new_context(1), 1);
}

#define MOVES	400
#define BATCHES 40 /* of rings, at most: then the kernel does not move them */

/*
 * Rings that are moved until so many were, a process for each batch, whose exit
 * waits while the next one is at work.
 */
static void move_many(unsigned int times)
{
	atomic_uint *done = shared_memory(sizeof(*done));
	pid_t pids[BATCHES];
	unsigned int n;
	int ends[2];
	char byte;

	for (n = 0; n < BATCHES && atomic_load(done) < times; n++) {
		open_pipe(ends, 0);
		pids[n] = child_fork();
		if (!pids[n]) {
			struct rings *rings = make_rings();

			compact();
			atomic_fetch_add(done, moved(rings));
			REQUIRE(write(ends[1], "x", 1) == 1);
			child_exit(0);
		}
		drop(ends[1]);
		REQUIRE(read(ends[0], &byte, 1) >= 0);
		drop(ends[0]);
	}
	while (n)
		EXPECT_CHILD_OK(pids[--n]);
	if (atomic_load(done) < times)
		SKIP("only %u pages were moved", atomic_load(done));
}

CASE(ring, migrate_leak, "rings that were moved leave no page behind",
     .clause = "ring.migrate.teardown",
     .needs = "compaction page_frames slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(move_many, MOVES);
}

/* What move_pages(2) says of each page of the ring: its node, or an error. */
static void move_ring_to(aio_handle ctx, int node)
{
	unsigned long n = ring_size(ring_of(ctx)->nr) / PAGE_SIZE, i;
	void **pages = GUARDED_ARRAY(void *, n);
	int *nodes = GUARDED_ARRAY(int, n), *status = GUARDED_ARRAY(int, n);

	for (i = 0; i < n; i++) {
		pages[i] = (char *)ctx + i * PAGE_SIZE;
		nodes[i] = node;
		/* it moves what is in the table of pages */
		page_frame(pages[i]);
	}
	EXPECT_EQ(0, syscall(SYS_move_pages, 0, n, pages, nodes, status, 0));
	for (i = 0; i < n; i++)
		EXPECT_EQ(node, status[i]);
}

/* The node of a page. */
static int node_of(aio_handle page)
{
	int node = -1;

	page_frame((void *)page);
	REQUIRE(!syscall(SYS_get_mempolicy, &node, NULL, 0ul, page,
			 MPOL_F_NODE | MPOL_F_ADDR));
	return node;
}

CASE(ring, node_of_policy,
     "the ring is made on the node that the caller's memory policy names",
     .clause = "ring.node_of_policy", .needs = "mempolicy page_frames")
{
	unsigned long nodes;
	unsigned int node;
	aio_handle ctx;

	pin_to_cpu(0);
	for (node = 0; node < 2; node++) {
		ROUND("node %u", node);
		nodes = 1ul << node;
		if (syscall(SYS_set_mempolicy, MPOL_BIND, &nodes,
			    8 * sizeof(nodes)))
			SKIP("set_mempolicy: %s", strerror(errno));
		ctx = 0;
		ASSERT_OK(aio->setup(MID_EVENTS, &ctx));
		EXPECT_EQ((int)node, node_of(ctx));
		EXPECT_EQ((int)node, node_of(ctx + PAGE_SIZE));
	}
	REQUIRE(!syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0ul));
}

CASE(ring, migrate_nodes_large,
     "a ring of more pages than a context has room to list is moved",
     .clause = "ring.migrate.nodes", .needs = "nodes2", .quota = LARGE_EVENTS)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, LARGE_EVENTS);
	aio_handle ctx = new_context(LARGE_EVENTS);
	unsigned int i;

	for (i = 0; i < LARGE_ROUNDS; i++) {
		stage_complete(ctx, LARGE_EVENTS / 2, i * LARGE_EVENTS);
		move_ring_to(ctx, (int)(i + 1) % 2);
		stage_complete(ctx, LARGE_EVENTS / 2,
			       i * LARGE_EVENTS + LARGE_EVENTS / 2);
		EXPECT_EQ(LARGE_EVENTS, ring_unread(ctx));
		ASSERT_EQ(LARGE_EVENTS,
			  aio->getevents(ctx, 0, LARGE_EVENTS, events, NULL));
		EXPECT_NUMBERED(events, LARGE_EVENTS, i * LARGE_EVENTS);
	}
}

CASE(ring, migrate_nodes,
     "a ring is moved from node to node with requests in flight",
     .clause = "ring.migrate.nodes", .needs = "nodes2 eventfd")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, MID_EVENTS);
	aio_handle ctx = new_context(MID_EVENTS);
	struct iocb *iocb = GUARDED(struct iocb);
	uint64_t number = 0;
	unsigned int i;
	int poll;

	for (i = 0; i < NODE_ROUNDS; i++) {
		poll = stage_poll(ctx, iocb);
		stage_complete(ctx, PIECE, number);
		move_ring_to(ctx, (int)(i + 1) % 2);
		move_ring_to(ctx, (int)i % 2);
		stage_complete(ctx, PIECE, number + PIECE);
		end_poll(poll);
		EXPECT_EQ(2 * PIECE + 1,
			  aio->getevents(ctx, 2 * PIECE + 1, MID_EVENTS, events,
					 NULL));
		EXPECT_NUMBERED(events, 2 * PIECE, number);
		EXPECT_EVENT(&events[2 * PIECE], iocb, POLLIN);
		number += 2 * PIECE;
	}
}

CASE(ring, migrate_waiter,
     "a ring is moved while somebody waits for its events",
     .clause = "ring.migrate.nodes", .needs = "nodes2 eventfd task_syscall")
{
	aio_handle ctx = new_context(MID_EVENTS);
	struct iocb *iocb = GUARDED(struct iocb);
	struct waiter *waiter;
	struct io_event event;
	int node, poll;

	for (node = 0; node < 2; node++) {
		poll = stage_poll(ctx, iocb);
		waiter = waiter_run(ctx, 1, 1, &event, NULL);
		ASSERT_TRUE(waiter_asleep(waiter));
		move_ring_to(ctx, !node);
		move_ring_to(ctx, node);
		end_poll(poll);
		EXPECT_EQ(1, waiter_result(waiter));
		EXPECT_EVENT(&event, iocb, POLLIN);
	}
}

/* --- while somebody reaps --- */

/*
 * The reaper holds the lock of the ring while it copies. Who moves pages does
 * not wait for that, but goes on without the page.
 */
CASE(ring, migrate_locked,
     "a ring that somebody reaps from stays where it is, and holds up nobody",
     .clause = "ring.migrate.locked", .needs = "nodes2 userfaultfd")
{
	struct io_event *copy = io_buffer(PAGE_SIZE), *events;
	aio_handle ctx = new_context(1);
	void *pages[] = { (void *)ctx };
	int from, to, status;
	struct waiter *waiter;
	struct trap *trap;

	from = node_of(ctx);
	REQUIRE(from >= 0);
	to = !from;
	stage_complete(ctx, 1, PIECE);
	memset(copy, 0, PAGE_SIZE);
	events = io_buffer(PAGE_SIZE);
	trap = trap_set(events, PAGE_SIZE);
	waiter = waiter_run(ctx, 1, 1, events, NULL);
	trap_wait(trap);
	syscall(SYS_move_pages, 0, 1ul, pages, &to, &status, 0);
	EXPECT_EQ(from, node_of(ctx));
	EXPECT_TRUE(!waiter_done(waiter));
	trap_release(trap, copy);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_NUMBERED(events, 1, PIECE);
	EXPECT_EQ(0, syscall(SYS_move_pages, 0, 1ul, pages, &to, &status, 0));
	EXPECT_EQ(to, status);
	EXPECT_EQ(to, node_of(ctx));
	EXPECT_WORKS(ctx, 1);
}

struct impatient {
	aio_handle ctx;
	int to;
	atomic_uint tried;
	atomic_bool over;
};

static void *move_until_there(void *arg)
{
	struct impatient *impatient = arg;
	void *pages[] = { (void *)impatient->ctx };
	int status;

	while (!atomic_load(&impatient->over) &&
	       node_of(impatient->ctx) != impatient->to) {
		syscall(SYS_move_pages, 0, 1ul, pages, &impatient->to, &status,
			0);
		atomic_fetch_add(&impatient->tried, 1);
	}
	return NULL;
}

#define TURNS 12

/*
 * One reaper holds the lock, another stands in line for it, and so does who
 * moves the page: whichever comes next, the other finds the ring as it is.
 */
CASE(ring, migrate_between_reapers,
     "a ring that is moved between one reaper and the next loses nothing",
     .clause = "ring.migrate.reapers", .needs = "nodes2 userfaultfd cpus2")
{
	struct io_event *content = io_buffer(PAGE_SIZE), *page, event;
	aio_handle ctx = new_context(2);
	struct waiter *first, *second;
	struct thread *thread;
	struct impatient impatient;
	struct trap *trap;
	unsigned int i;

	for (i = 0; i < TURNS; i++) {
		ROUND("turn %u", i);
		stage_complete(ctx, 2, 2 * i);
		page = io_buffer(PAGE_SIZE);
		trap = trap_set(page, PAGE_SIZE);
		first = waiter_run(ctx, 1, 1, page, NULL);
		trap_wait(trap);
		second = waiter_run(ctx, 1, 1, &event, NULL);
		waiter_asleep(second);
		impatient =
			(struct impatient){ .ctx = ctx, .to = !node_of(ctx) };
		thread = thread_run(move_until_there, &impatient);
		WAIT_FOR(atomic_load(&impatient.tried));
		trap_release(trap, content);
		ASSERT_EQ(1, waiter_result(first));
		ASSERT_EQ(1, waiter_result(second));
		atomic_store(&impatient.over, true);
		thread_join(thread);
		EXPECT_NUMBERED(page, 1, 2 * i);
		EXPECT_NUMBERED(&event, 1, 2 * i + 1);
		ASSERT_EQ(0, ring_unread(ctx));
	}
}

/* --- while somebody has a page --- */

#define PINNED_MOVES 400

static aio_handle pinned;

static void move_pinned(unsigned int times)
{
	void *pages[] = { (void *)pinned };
	int to = !node_of(pinned), status;

	while (times--) {
		page_frame((void *)pinned);
		syscall(SYS_move_pages, 0, 1ul, pages, &to, &status, 0);
	}
}

CASE(ring, migrate_pinned,
     "a ring that a pipe has a page of stays where it is, and each attempt to "
     "move it leaves nothing behind",
     .clause = "ring.migrate.pinned", .needs = "nodes2 slab_counts",
     .serial = true, .flavours = NATIVE, .time_limit = 60)
{
	struct iovec page = { .iov_len = PAGE_SIZE };
	uint64_t frame;
	int ends[2];
	char *bytes;

	pinned = new_context(1);
	bytes = guarded(PAGE_SIZE);
	page.iov_base = (void *)pinned;
	frame = page_frame((void *)pinned);
	open_pipe(ends, 0);
	REQUIRE(vmsplice(ends[1], &page, 1, 0) == (ssize_t)PAGE_SIZE);
	EXPECT_NO_LEAK(move_pinned, PINNED_MOVES);
	EXPECT_EQ(frame, page_frame((void *)pinned));
	EXPECT_WORKS(pinned, 1);
	memcpy(bytes, (void *)pinned, PAGE_SIZE);
	/* What the pipe has is the ring itself, then it is free to go. */
	page.iov_base = guarded(PAGE_SIZE);
	REQUIRE(read(ends[0], page.iov_base, PAGE_SIZE) == (ssize_t)PAGE_SIZE);
	EXPECT_MEM(bytes, page.iov_base, PAGE_SIZE);
	move_ring_to(pinned, !node_of(pinned));
	EXPECT_MEM(bytes, (void *)pinned, PAGE_SIZE);
	EXPECT_WORKS(pinned, 1);
}

/* Events of one ring after the other, in step with who reaps them. */
struct completer {
	const aio_handle *ctx;
	unsigned int rings;
	atomic_uint rounds; /* that it has done */
	atomic_uint reaped; /* that were reaped: it is one ahead at most */
	atomic_bool done;
};

static void *complete_often(void *arg)
{
	struct completer *completer = arg;
	unsigned int round, i;

	for (round = 0; !atomic_load(&completer->done); round++) {
		pin_to_cpu(round + 1);
		for (i = 0; i < completer->rings; i++)
			stage_complete(completer->ctx[i], PIECE,
				       round * PIECE + i);
		count_up(&completer->rounds);
		wait_until_ge(&completer->reaped, round + 1);
	}
	return NULL;
}

/* The reaper, on another CPU in each round, until the mover has done. */
static void expect_none_lost(struct completer *completer, atomic_bool *moved)
{
	struct thread *thread = thread_run(complete_often, completer);
	struct io_event events[PIECE];
	unsigned int round, i;

	for (round = 0; !atomic_load(&completer->done); round++) {
		pin_to_cpu(round);
		for (i = 0; i < completer->rings; i++) {
			ASSERT_EQ(PIECE,
				  aio->getevents(completer->ctx[i], PIECE,
						 PIECE, events, NULL));
			EXPECT_NUMBERED(events, PIECE, round * PIECE + i);
		}
		/* before the completer looks whether there is more to do */
		atomic_store(&completer->done, atomic_load(moved));
		count_up(&completer->reaped);
	}
	unpin();
	thread_join(thread);
	EXPECT_EQ(round, atomic_load(&completer->rounds));
	for (i = 0; i < completer->rings; i++)
		EXPECT_EQ(0, ring_unread(completer->ctx[i]));
}

CASE(ring, migrate_complete,
     "rings are moved between those who complete and reap on other CPUs",
     .clause = "race.migrate_complete", .needs = "compaction page_frames cpus2",
     .serial = true, .flavours = NATIVE, .time_limit = 60)
{
	struct rings *rings = make_rings();
	struct completer completer = { .ctx = rings->ctx, .rings = RINGS };
	atomic_bool done = false;
	struct thread *mover = thread_run(compact_often, &done);

	expect_none_lost(&completer, &done);
	thread_join(mover);
	if (!moved(rings))
		SKIP("the kernel had no reason to move a page");
}

#define NODE_RINGS 4

struct mover {
	aio_handle ctx[NODE_RINGS];
	unsigned int times; /* that a page was moved */
	atomic_bool done;
};

/* Pages that are in use at that moment stay where they are. */
static void *move_often(void *arg)
{
	struct mover *mover = arg;
	unsigned int i, k;

	for (i = 0; mover->times < NODE_ROUNDS; i++) {
		for (k = 0; k < NODE_RINGS; k++) {
			void *pages[] = { (void *)mover->ctx[k] };
			int node = (int)i % 2, status = -1;

			page_frame((void *)mover->ctx[k]);
			syscall(SYS_move_pages, 0, 1ul, pages, &node, &status,
				0);
			mover->times += status == node;
		}
	}
	atomic_store(&mover->done, true);
	return NULL;
}

CASE(ring, migrate_complete_nodes, "the same, from node to node",
     .clause = "race.migrate_complete", .needs = "nodes2 cpus2",
     .time_limit = 60)
{
	struct mover mover = { 0 };
	struct completer completer = { .ctx = mover.ctx, .rings = NODE_RINGS };
	struct thread *thread;
	unsigned int i;

	for (i = 0; i < NODE_RINGS; i++)
		mover.ctx[i] = new_context(1);
	thread = thread_run(move_often, &mover);
	expect_none_lost(&completer, &mover.done);
	thread_join(thread);
	for (i = 0; i < NODE_RINGS; i++)
		EXPECT_OK(aio->destroy(mover.ctx[i]));
}

/* --- while events are written --- */

#define BATCH	      64   /* events that are written without a pause */
#define WRITTEN_MOVES 1000 /* of the page they are written to */

struct writer {
	aio_handle ctx;
	atomic_bool done;
};

/*
 * As many events as can be in the time, since the page is copied in a moment.
 * The program reaps for itself: the ring's lock is free for whoever moves it.
 * An event that is lost leaves what was there one time round before, which is
 * never of the same request.
 */
static void *write_on(void *arg)
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, BATCH);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, BATCH);
	struct writer *writer = arg;
	int null = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));
	struct iocb *list[BATCH];
	unsigned int i;

	REQUIRE(ring_of(writer->ctx)->nr % BATCH);
	for (i = 0; i < BATCH; i++)
		list[i] = prep_write(&iocbs[i], null, "x", 1, 0);
	pin_to_cpu(1);
	while (!atomic_load(&writer->done)) {
		STAGE_EQ(BATCH, aio->submit(writer->ctx, BATCH, list));
		ASSERT_EQ(BATCH, ring_reap(writer->ctx, events, BATCH));
		for (i = 0; i < BATCH; i++)
			ASSERT_EQ((uintptr_t)list[i], events[i].obj);
	}
	return NULL;
}

CASE(ring, migrate_written,
     "an event that is written while its page is moved is there afterwards",
     .clause = "race.migrate_complete", .needs = "nodes2 cpus2",
     .time_limit = 60)
{
	struct writer writer = { .ctx = new_context(1) };
	struct thread *thread = thread_run(write_on, &writer);
	void *pages[] = { (void *)writer.ctx };
	unsigned int moves = 0, nr_moves = rounds(WRITTEN_MOVES);
	int node, status;

	pin_to_cpu(0);
	while (moves < nr_moves) {
		ROUND("move %u", moves);
		node = (int)moves % 2;
		status = -1;
		page_frame((void *)writer.ctx);
		syscall(SYS_move_pages, 0, 1ul, pages, &node, &status, 0);
		moves += status == node;
	}
	atomic_store(&writer.done, true);
	thread_join(thread);
	EXPECT_EQ(nr_moves, moves);
}
