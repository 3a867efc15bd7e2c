// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contexts and the life of a process: fork(), vfork(), exec, and every way to
 * exit. A child inherits none; what a process leaves is drained for it.
 */
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "held.h"
#include "trap.h"

#define EVENTS 100

static int died_of(int status)
{
	return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* --- fork --- */

CASE(io_destroy, fork_child_has_none, "a child cannot use its parent's handle",
     .clause = "io_destroy.fork.child_einval", .flavours = RAW)
{
	aio_handle ctx = new_context(8);
	struct iocb iocb, *list[] = { &iocb };
	struct timespec none = { 0 };
	struct io_event event;
	int fd = open_eventfd(1, 0);
	pid_t pid;

	prep_poll(&iocb, fd, POLLIN);
	pid = child_fork();
	if (!pid) {
		EXPECT_ERR(EINVAL, aio->submit(ctx, 1, list));
		EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, 1, &event, &none));
		EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocb, &event));
		EXPECT_ERR(EINVAL, aio->destroy(ctx));
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_EQ(1, submit_one(ctx, &iocb));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, &iocb, POLLIN);
}

CASE(io_destroy, fork_parent_works_on,
     "requests in flight across fork() complete in the parent",
     .clause = "io_destroy.fork.in_flight")
{
	aio_handle ctx = new_context(8);
	int fd = open_eventfd(0, 0);
	struct io_event event;
	uint64_t one = 1;
	struct iocb iocb;
	pid_t pid;

	stage_submit(ctx, prep_poll(&iocb, fd, POLLIN));
	pid = child_fork();
	if (!pid)
		child_exit(0);
	EXPECT_CHILD_OK(pid);
	EXPECT_EQ(0, ring_unread(ctx));
	REQUIRE(write(fd, &one, sizeof(one)) == sizeof(one));
	EXPECT_EQ(1, aio->getevents(ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, &iocb, POLLIN);
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_destroy, fork_child_starts_afresh,
     "a child's own contexts start at index 0, its exit takes none of ours",
     .clause = "io_destroy.fork.child_own")
{
	aio_handle first = new_context(8), second = new_context(8);
	struct io_event event;
	pid_t pid;

	EXPECT_EQ(ring_of(first)->id + 1, ring_of(second)->id);
	pid = child_fork();
	if (!pid) {
		aio_handle own = 0;

		EXPECT_OK(aio->setup(8, &own));
		EXPECT_EQ(0, ring_of(own)->id);
		EXPECT_EQ(0, aio->getevents(own, 0, 1, &event, NULL));
		EXPECT_ERR(EINVAL, aio->destroy(second));
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_EQ(0, aio->getevents(first, 0, 1, &event, NULL));
	EXPECT_EQ(0, aio->getevents(second, 0, 1, &event, NULL));
}

/* What a child does with its parent's handle, and how it leaves. */
static const enum way {
	BY_EXIT,
	BY_SIGNAL,
	BY_EXEC,
	BY_LAST_THREAD
} ways[] = {
	BY_EXIT,
	BY_SIGNAL,
	BY_EXEC,
	BY_LAST_THREAD,
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))
static void leave_by(enum way way) __attribute__((noreturn));

static void expect_not_ours(aio_handle parents, struct iocb *iocb)
{
	struct io_event event;

	EXPECT_ERR(EINVAL, aio->cancel(parents, iocb, NULL));
	EXPECT_ERR(EINVAL, aio->getevents(parents, 1, 1, &event, NULL));
	EXPECT_ERR(EINVAL, aio->destroy(parents));
}

static void meddle(aio_handle parents, struct iocb *iocb)
{
	aio_handle own;

	expect_not_ours(parents, iocb);
	own = new_context(8);
	/* where the ring is not inherited its address is free for another */
	if (own != parents)
		expect_not_ours(parents, iocb);
	EXPECT_OK(aio->destroy(own));
	new_context(8);
}

CASE(io_destroy, fork_parent_unharmed,
     "whatever children do and however they leave, the parent's context works",
     .clause = "io_destroy.fork.parent_works", .needs = "eventfd",
     .flavours = RAW)
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(8);
	unsigned int i;
	pid_t pid;
	int fd;

	for (i = 0; i < WAYS; i++) {
		ROUND("way %u", i);
		fd = stage_poll(ctx, iocb);
		pid = child_fork();
		if (!pid) {
			meddle(ctx, iocb);
			leave_by(ways[i]);
		}
		EXPECT_EQ(ways[i] == BY_SIGNAL ? SIGKILL : 0, child_wait(pid));
		EXPECT_EQ(0, ring_unread(ctx));
		end_poll(fd);
		EXPECT_COMPLETES(ctx, iocb, POLLIN);
	}
	ROUNDS_END();
	fd = stage_poll(ctx, iocb);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_destroy, fork_ring_shared, "a child's copy of the ring is the parent's",
     .clause = "io_destroy.fork.ring_inherited")
{
	aio_handle ctx = new_context(8);
	struct timespec none = { 0 };
	struct io_event event;
	struct iocb iocb;
	int fd = open_eventfd(1, 0);
	pid_t pid;

	stage_submit(ctx, prep_poll(&iocb, fd, POLLIN));
	STAGE_EQ(1, ring_unread(ctx));
	pid = child_fork();
	if (!pid) {
		EXPECT_EQ(1, ring_of(ctx)->tail);
		ring_of(ctx)->head = 1;
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_EQ(1, ring_of(ctx)->head);
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, &none));
}

CASE(io_destroy, fork_ring_not_copied, "a child has no copy of the ring",
     .clause = "io_destroy.fork.ring_not_copied")
{
	aio_handle ctx = new_context(8);
	pid_t pid = child_fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		child_exit(ring_of(ctx)->magic == AIO_RING_MAGIC);
	}
	EXPECT_EQ(SIGSEGV, died_of(child_wait(pid)));
}

CASE(io_destroy, fork_ring_sigbus,
     "a child's copy of the ring is empty when the parent destroys it",
     .clause = "io_destroy.fork.sigbus")
{
	aio_handle ctx = new_context(8);
	struct gate *gate = shared_memory(sizeof(*gate));
	pid_t pid = child_fork();

	if (!pid) {
		gate_wait(gate);
		/* the pages are freed some time after the call */
		WAIT_FOR(ring_of(ctx)->magic != AIO_RING_MAGIC);
		child_exit(0);
	}
	EXPECT_OK(aio->destroy(ctx));
	gate_open(gate);
	EXPECT_EQ(SIGBUS, died_of(child_wait(pid)));
}

CASE(io_destroy, fork_child_moves_ring,
     "a child that moves and unmaps its copy of the ring harms nobody",
     .clause = "io_destroy.mremap_child",
     .fixed_by = "81e9d6f86475 (\"aio: fix mremap after fork null-deref\")")
{
	aio_handle ctx = new_context(8);
	size_t size = ring_size(ring_of(ctx)->nr);
	struct io_event event;
	pid_t pid = child_fork();

	if (!pid) {
		void *to = mmap(NULL, size, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		void *moved = mremap((void *)ctx, size, size,
				     MREMAP_MAYMOVE | MREMAP_FIXED, to);

		EXPECT_EQ((uintptr_t)MAP_FAILED, (uintptr_t)moved);
		munmap((void *)ctx, size);
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_EQ(AIO_RING_MAGIC, ring_of(ctx)->magic);
	EXPECT_EQ(0, aio->getevents(ctx, 0, 1, &event, NULL));
	EXPECT_OK(aio->destroy(ctx));
}

/* --- shared memory --- */

struct vfork_child {
	aio_handle ctx, made;
	long got, set_up;
	struct io_event event;
};

static int use_and_leave(void *arg)
{
	struct vfork_child *child = arg;

	child->got = aio->getevents(child->ctx, 1, 1, &child->event, NULL);
	child->set_up = aio->setup(8, &child->made);
	syscall(SYS_exit, 0);
	return 0;
}

CASE(io_destroy, shared_memory_shares_contexts,
     "a process that shares the memory uses the same contexts",
     .clause = "io_destroy.vfork")
{
	const size_t stack_size = 64 * 1024;
	struct vfork_child child = { .ctx = new_context(8) };
	char *stack = guarded(stack_size);
	int fd = open_eventfd(1, 0);
	struct io_event event;
	struct iocb iocb;
	pid_t pid;

	stage_submit(child.ctx, prep_poll(&iocb, fd, POLLIN));
	pid = clone(use_and_leave, stack + stack_size,
		    CLONE_VM | CLONE_VFORK | SIGCHLD, &child);
	REQUIRE(pid > 0);
	child_wait(pid);
	EXPECT_EQ(1, child.got);
	EXPECT_EVENT(&child.event, &iocb, POLLIN);
	EXPECT_EQ(0, child.set_up);
	/* its exit was not the end of the address space */
	EXPECT_EQ(0, aio->getevents(child.ctx, 0, 1, &event, NULL));
	EXPECT_EQ(0, aio->getevents(child.made, 0, 1, &event, NULL));
	EXPECT_OK(aio->destroy(child.made));
	EXPECT_OK(aio->destroy(child.ctx));
}

/* --- exec --- */

EXEC_BODY(handle_is_dead)
{
	struct timespec none = { 0 };
	struct io_event event;
	aio_handle own = 0;

	/* something else may lie where it was */
	if (maps_named("/[aio]"))
		return 3;
	if (aio->getevents(arg, 0, 1, &event, &none) != -EINVAL)
		return 4;
	if (aio->destroy(arg) != -EINVAL)
		return 5;
	if (aio->setup(1, &own) || ring_of(own)->id)
		return 6;
	return 0;
}

CASE(io_destroy, exec_ends_contexts, "after execve() the contexts are gone",
     .clause = "io_destroy.exec.gone", .flavours = RAW)
{
	struct iocb iocb;
	int fd = open_eventfd(0, 0);
	pid_t pid = child_fork();

	if (!pid) {
		aio_handle ctx = new_context(8);

		stage_submit(ctx, prep_poll(&iocb, fd, POLLIN));
		child_exec("handle_is_dead", ctx);
	}
	EXPECT_CHILD_OK(pid);
}

/* --- exit --- */

EXEC_BODY(leave)
{
	return (int)arg;
}

static void *exit_thread(void *arg)
{
	syscall(SYS_exit_group, 0);
	return arg;
}

static void leave_by(enum way way)
{
	switch (way) {
	case BY_EXIT:
		_exit(0);
	case BY_SIGNAL:
		kill(getpid(), SIGKILL);
		break;
	case BY_EXEC:
		child_exec("leave", 0);
	case BY_LAST_THREAD:
		thread_run(exit_thread, NULL);
		break;
	}
	for (;;)
		breathe();
}

/* Contexts with holes between them, unreaped events and pending polls. */
static void populate(int pending_fd, int ready_fd)
{
	aio_handle ctx[4];
	static struct iocb iocbs[8];
	int i;

	for (i = 0; i < 4; i++)
		ctx[i] = new_context(EVENTS);
	for (i = 0; i < 4; i++) {
		stage_submit(ctx[i],
			     prep_poll(&iocbs[2 * i], pending_fd, POLLIN));
		stage_submit(ctx[i],
			     prep_poll(&iocbs[2 * i + 1], ready_fd, POLLIN));
	}
	end_context(ctx[1]);
}

static void check_exit(enum way way)
{
	int pending = open_eventfd(0, 0), ready = open_eventfd(1, 0);
	struct gate *made = shared_memory(sizeof(*made));
	struct gate *go = shared_memory(sizeof(*go));
	pid_t pid = child_fork();

	if (!pid) {
		populate(pending, ready);
		gate_open(made);
		gate_wait(go);
		leave_by(way);
	}
	gate_wait(made);
	EXPECT_EQ(aio_nr_at_start() + 3 * EVENTS, aio_nr());
	gate_open(go);
	child_wait(pid);
	EXPECT_QUOTA_BACK();
}

CASE(io_destroy, exit_returns_quota, "_exit() returns the quota, polls and all",
     .clause = "io_destroy.exit.quota", .flavours = NATIVE,
     .serial = SERIAL_BODY)
{
	check_exit(BY_EXIT);
}

/* Each ring says that it is another's: none is found by its handle. */
CASE(io_destroy, exit_hostile_id,
     "an exit ends every context, whatever stands in the rings",
     .clause = "io_destroy.exit.quota", .flavours = NATIVE,
     .serial = SERIAL_BODY)
{
	enum { CONTEXTS = 4 };
	aio_handle ctx[CONTEXTS];
	unsigned int i;
	pid_t pid;

	pid = child_fork();
	if (!pid) {
		for (i = 0; i < CONTEXTS; i++)
			ctx[i] = new_context(EVENTS);
		for (i = 0; i < CONTEXTS; i++)
			ring_of(ctx[i])->id = CONTEXTS - 1 - i;
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	EXPECT_QUOTA_BACK();
}

CASE(io_destroy, kill_returns_quota, "SIGKILL returns the quota",
     .clause = "io_destroy.exit.quota", .flavours = NATIVE,
     .serial = SERIAL_BODY)
{
	check_exit(BY_SIGNAL);
}

CASE(io_destroy, exec_returns_quota, "execve() returns the quota",
     .clause = "io_destroy.exec.gone", .flavours = NATIVE,
     .serial = SERIAL_BODY)
{
	check_exit(BY_EXEC);
}

CASE(io_destroy, thread_exit_returns_quota,
     "exit_group() in another thread returns the quota",
     .clause = "io_destroy.exit.quota", .flavours = NATIVE,
     .serial = SERIAL_BODY)
{
	check_exit(BY_LAST_THREAD);
}

CASE(io_destroy, exit_polls,
     "polls that nobody ends hold up no exit, by whichever way",
     .clause = "io_destroy.exit.polls", .needs = "eventfd", .flavours = RAW)
{
	enum { N = 16 };
	static struct iocb iocbs[N];
	int fd = open_eventfd(0, 0), counter = open_eventfd(0, EFD_NONBLOCK);
	unsigned int way, i;
	aio_handle ctx;
	pid_t pid;

	for (way = 0; way < WAYS; way++) {
		ROUND("way %u", way);
		pid = child_fork();
		if (!pid) {
			ctx = new_context(N);
			for (i = 0; i < N; i++)
				stage_submit(ctx, notify(prep_poll(&iocbs[i],
								   fd, POLLIN),
							 counter));
			leave_by(ways[way]);
		}
		EXPECT_EQ(ways[way] == BY_SIGNAL ? SIGKILL : 0,
			  child_wait(pid));
		EXPECT_EQ(N, eventfd_take(counter));
	}
}

/* The heir is a grandchild: it outlives the one that it has the ring of. */
CASE(io_destroy, exit_ring_sigbus,
     "a child's copy of the ring is empty when the parent is gone",
     .clause = "io_destroy.fork.sigbus_exit", .flavours = NATIVE)
{
	aio_handle ctx;
	unsigned int way;
	pid_t pid;
	int status;

	REQUIRE(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	for (way = 0; way < WAYS; way++) {
		ROUND("way %u", way);
		pid = child_fork();
		if (!pid) {
			ctx = new_context(EVENTS);
			if (!fork())
				WAIT_FOR(ring_of(ctx)->magic != AIO_RING_MAGIC);
			leave_by(ways[way]);
		}
		child_wait(pid);
		/* the heir is this process's child now */
		REQUIRE(wait(&status) > 0);
		EXPECT_EQ(SIGBUS, died_of(status));
	}
}

/* Of three contexts, each pattern of live and destroyed ones. */
static void leave_holes(unsigned int kept, int fd)
{
	enum { SLOTS = 3 };
	static struct iocb iocbs[SLOTS];
	aio_handle ctx[SLOTS];
	unsigned int i;

	for (i = 0; i < SLOTS; i++)
		ctx[i] = new_context(EVENTS);
	for (i = 0; i < SLOTS; i++) {
		stage_submit(ctx[i], prep_poll(&iocbs[i], fd, POLLIN));
		if (!(kept & 1 << i))
			end_context(ctx[i]);
	}
	child_exit(0);
}

/* What a process leaves for who holds its memory. */
struct estate {
	struct gate ready;
	char *page;
	aio_handle ring;
	size_t size;
	pid_t pid;
};

static void *hold_memory(void *arg)
{
	struct estate *estate = arg;
	char byte;
	struct iovec to = { &byte, 1 }, from = { estate->page, 1 };

	syscall(SYS_process_vm_readv, estate->pid, &to, 1, &from, 1, 0);
	return NULL;
}

/* A task gives up its memory first, and then the trap, with its descriptors. */
static void leave_memory_held(struct estate *estate)
{
	struct trap *trap = trap_set(estate->page, PAGE_SIZE);

	estate->ring = new_context(8);
	estate->size = ring_size(ring_of(estate->ring)->nr);
	gate_open(&estate->ready);
	trap_wait(trap);
	child_exit(0);
}

CASE(io_destroy, exit_foreign,
     "a context that ends in another task takes nothing of that task's",
     .clause = "io_destroy.exit.foreign", .needs = "userfaultfd process_vm",
     .flavours = RAW)
{
	struct estate *estate = shared_memory(sizeof(*estate));
	aio_handle ctx = new_context(8);
	unsigned int rings = maps_named("/[aio]"), i;
	struct thread *holder;
	char *ours;

	for (i = 0; i < rounds(20); i++) {
		ROUND("round %u", i);
		memset(estate, 0, sizeof(*estate));
		estate->page = io_buffer(PAGE_SIZE);
		estate->pid = child_fork();
		if (!estate->pid) {
			estate->pid = getpid();
			leave_memory_held(estate);
		}
		gate_wait(&estate->ready);
		ours = mmap((void *)estate->ring, estate->size,
			    PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE,
			    -1, 0);
		/* where a ring is not inherited, its place may be ours */
		if (ours == MAP_FAILED && estate->ring == ctx)
			ours = (char *)ctx;
		REQUIRE(ours == (char *)estate->ring);
		holder = thread_run(hold_memory, estate);
		EXPECT_CHILD_OK(estate->pid);
		thread_join(holder);
		EXPECT_TRUE(is_mapped(ours));
		EXPECT_EQ(rings, maps_named("/[aio]"));
		if (estate->ring != ctx)
			munmap(ours, estate->size);
	}
	EXPECT_OK(aio->destroy(ctx));
}

CASE(io_destroy, exit_holes,
     "an exit with holes between the contexts ends, and returns the rest",
     .clause = "io_destroy.exit.holes", .needs = "eventfd", .flavours = NATIVE,
     .serial = SERIAL_BODY)
{
	enum { PATTERNS = 8 };
	int fd = open_eventfd(0, 0);
	pid_t pids[PATTERNS];
	unsigned int kept;

	for (kept = 0; kept < PATTERNS; kept++) {
		pids[kept] = child_fork();
		if (!pids[kept])
			leave_holes(kept, fd);
	}
	for (kept = 0; kept < PATTERNS; kept++) {
		ROUND("keeping contexts 0x%x", kept);
		EXPECT_CHILD_OK(pids[kept]);
	}
	ROUNDS_END();
	EXPECT_QUOTA_BACK();
}

/* --- exit with requests that do not end by themselves --- */

struct exit_stage {
	struct held *held;
	pid_t pid;
};

/* A child with requests held on several contexts, on its way out. */
static struct exit_stage exit_while_held(enum way way, unsigned int contexts)
{
	struct gate *go = shared_memory(sizeof(*go));
	struct exit_stage stage;
	unsigned int i;
	int fd;

	stage.held = held_open(&fd);
	hold(stage.held, HOLD_READS);
	stage.pid = child_fork();
	if (!stage.pid) {
		static struct iocb iocbs[8];

		for (i = 0; i < contexts; i++) {
			void *buffer = io_buffer(HELD_BLOCK);

			stage_submit(new_context(EVENTS),
				     prep_read(&iocbs[i], fd, buffer,
					       HELD_BLOCK, i * HELD_BLOCK));
		}
		gate_wait(go);
		leave_by(way);
	}
	held_wait(stage.held, contexts);
	wait_asleep_in(stage.pid, SYS_futex);
	gate_open(go);
	return stage;
}

static void check_exit_waits(enum way way)
{
	const unsigned int contexts = 3;
	struct exit_stage stage = exit_while_held(way, contexts);
	unsigned int i;

	WAIT_FOR(aio_nr() == aio_nr_at_start());
	for (i = 0; i < contexts; i++) {
		/*
		 * In exit_aio(), by its state: /proc/PID/syscall of a task
		 * inside execve(2) waits for the end of the call.
		 */
		wait_asleep_in(stage.pid, ANY_CALL);
		EXPECT_TRUE(!child_has_gone(stage.pid));
		release_at(stage.held, i * HELD_BLOCK, 0);
	}
	child_wait(stage.pid);
	EXPECT_QUOTA_BACK();
}

CASE(io_destroy, exit_waits, "a process is gone when its requests have ended",
     .clause = "io_destroy.exit.in_flight", .needs = "held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY)
{
	check_exit_waits(BY_EXIT);
}

CASE(io_destroy, kill_waits, "SIGKILL waits for requests in flight",
     .clause = "io_destroy.exit.killed", .needs = "held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY)
{
	check_exit_waits(BY_SIGNAL);
}

CASE(io_destroy, exec_waits, "execve() waits for requests in flight",
     .clause = "io_destroy.exec.waits", .needs = "held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY)
{
	check_exit_waits(BY_EXEC);
}

/* --- exit from several contexts at once --- */

/* A POLL that alone keeps the reader's end of a pipe open. */
static void leave_poll(const int ends[2])
{
	struct iocb *iocb = GUARDED(struct iocb);

	stage_submit(new_context(EVENTS), prep_poll(iocb, ends[0], POLLIN));
	REQUIRE(!close(ends[0]));
}

/*
 * Of three contexts the middle one has a read in flight, the others a POLL that
 * ends when its context is killed: which its pipe's writer sees. They must not
 * wait for the read. Where they do the case hangs.
 */
static void check_exit_together(enum way way)
{
	struct gate *go = shared_memory(sizeof(*go));
	int fd, ends[2][2], i;
	struct pollfd writer;
	struct held *held;
	struct iocb iocb;
	pid_t pid;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	for (i = 0; i < 2; i++)
		REQUIRE(!pipe2(ends[i], O_CLOEXEC));
	pid = child_fork();
	if (!pid) {
		leave_poll(ends[0]);
		stage_submit(new_context(EVENTS),
			     prep_read(&iocb, fd, io_buffer(HELD_BLOCK),
				       HELD_BLOCK, 0));
		leave_poll(ends[1]);
		gate_wait(go);
		leave_by(way);
	}
	for (i = 0; i < 2; i++)
		REQUIRE(!close(ends[i][0]));
	held_wait(held, 1);
	wait_asleep_in(pid, SYS_futex);
	gate_open(go);
	for (i = 0; i < 2; i++) {
		writer = (struct pollfd){ .fd = ends[i][1] };
		REQUIRE(poll(&writer, 1, -1) == 1);
		EXPECT_EQ(POLLERR, writer.revents);
		EXPECT_TRUE(!child_has_gone(pid));
		REQUIRE(!close(ends[i][1]));
	}
	release_all(held);
	child_wait(pid);
	EXPECT_QUOTA_BACK();
}

CASE(io_destroy, exit_together,
     "exit kills all contexts before it waits for the first",
     .clause = "io_destroy.exit.together", .needs = "held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY, .fixed_by = "dc48e56d7616")
{
	check_exit_together(BY_EXIT);
}

CASE(io_destroy, kill_together,
     "SIGKILL kills all contexts before it waits for the first",
     .clause = "io_destroy.exit.together", .needs = "held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY, .fixed_by = "dc48e56d7616")
{
	check_exit_together(BY_SIGNAL);
}

/* --- the end of a whole world --- */

/* In the first process of a world: one of its own, with a read held. */
static void live_in_world(int fd)
{
	static struct iocb iocb;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!child_fork())
		stage_submit(new_context(EVENTS),
			     prep_read(&iocb, fd, io_buffer(HELD_BLOCK),
				       HELD_BLOCK, 0));
	for (;;)
		pause();
}

/* Its first process takes the others along, and is the last to go. */
CASE(io_destroy, world_waits,
     "a world of processes is gone when the requests of its last have ended",
     .clause = "io_destroy.exit.killed", .needs = "root held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY)
{
	struct held *held;
	pid_t pid;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	if (unshare(CLONE_NEWPID))
		SKIP("no processes of its own: %s", strerror(errno));
	/* not child_fork(): it cannot see its parent */
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid)
		live_in_world(fd);
	held_wait(held, 1);
	REQUIRE(!kill(pid, SIGKILL));
	WAIT_FOR(aio_nr() == aio_nr_at_start());
	wait_asleep_in(pid, ANY_CALL);
	EXPECT_TRUE(!child_has_gone(pid));
	EXPECT_EQ(1, held_count(held));
	release_all(held);
	EXPECT_EQ(SIGKILL, died_of(child_wait(pid)));
	EXPECT_QUOTA_BACK();
}
