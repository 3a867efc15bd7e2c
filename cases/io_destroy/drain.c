// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_destroy() returns when no request of the context is in flight any more.
 * Programs free their buffers then: a kernel that returned early would let a
 * device write into memory that is somebody else's by now.
 */
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "case.h"
#include "held.h"

#define REQUESTS 8
#define SEED	 77

struct destroyer {
	aio_handle ctx;
	long result;
	atomic_uint done;
};

static void *destroy(void *arg)
{
	struct destroyer *destroyer = arg;

	destroyer->result = aio->destroy(destroyer->ctx);
	count_up(&destroyer->done);
	return NULL;
}

static struct thread *destroy_in_thread(struct destroyer *destroyer,
					aio_handle ctx)
{
	struct thread *thread;

	destroyer->ctx = ctx;
	thread = thread_run(destroy, destroyer);
	return thread;
}

/* It sleeps in the call, and has not come back. */
static void expect_waiting(struct thread *thread, struct destroyer *destroyer)
{
	wait_asleep_in(thread_tid(thread), SYS_io_destroy);
	EXPECT_EQ(0, atomic_load(&destroyer->done));
}

/*
 * Let what waits for nothing but its own teardown be over: some grace periods,
 * as many as others wait that come after it.
 */
static void let_others_end(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		end_context(new_context(1));
}

/* It does not come back, either, when that much has passed. */
static void expect_kept_waiting(struct thread *thread,
				struct destroyer *destroyer)
{
	expect_waiting(thread, destroyer);
	let_others_end();
	expect_waiting(thread, destroyer);
}

CASE(io_destroy, waits_for_reads, "reads in flight are waited for, all of them",
     .clause = "io_destroy.waits", .needs = "held task_syscall")
{
	aio_handle ctx = new_context(REQUESTS);
	struct destroyer destroyer = { 0 };
	struct iocb iocbs[REQUESTS];
	unsigned char *buffers[REQUESTS];
	struct thread *thread;
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	pattern(held_data(held), REQUESTS * HELD_BLOCK, SEED);
	hold(held, HOLD_READS);
	for (i = 0; i < REQUESTS; i++) {
		buffers[i] = io_buffer(HELD_BLOCK);
		stage_submit(ctx, prep_read(&iocbs[i], fd, buffers[i],
					    HELD_BLOCK, i * HELD_BLOCK));
	}
	held_wait(held, REQUESTS);
	thread = destroy_in_thread(&destroyer, ctx);
	for (i = 0; i < REQUESTS; i++) {
		expect_waiting(thread, &destroyer);
		release_at(held, i * HELD_BLOCK, 0);
	}
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
	for (i = 0; i < REQUESTS; i++)
		EXPECT_MEM(held_data(held) + i * HELD_BLOCK, buffers[i],
			   HELD_BLOCK);
}

CASE(io_destroy, waits_for_writes, "writes in flight are waited for",
     .clause = "io_destroy.waits", .needs = "held task_syscall")
{
	aio_handle ctx = new_context(REQUESTS);
	struct destroyer destroyer = { 0 };
	struct iocb iocbs[REQUESTS];
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	struct thread *thread;
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	pattern(buffer, HELD_BLOCK, SEED);
	hold(held, HOLD_WRITES);
	for (i = 0; i < REQUESTS; i++)
		stage_submit(ctx, prep_write(&iocbs[i], fd, buffer, HELD_BLOCK,
					     i * HELD_BLOCK));
	held_wait(held, REQUESTS);
	thread = destroy_in_thread(&destroyer, ctx);
	for (i = REQUESTS - 1; i >= 0; i--) {
		expect_waiting(thread, &destroyer);
		release_at(held, i * HELD_BLOCK, 0);
	}
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
}

CASE(io_destroy, waits_for_failures, "requests that end in an error count too",
     .clause = "io_destroy.waits", .needs = "held task_syscall")
{
	aio_handle ctx = new_context(2);
	struct destroyer destroyer = { 0 };
	unsigned char *buffer = io_buffer(2 * HELD_BLOCK);
	struct iocb iocbs[2];
	struct thread *thread;
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocbs[0], fd, buffer, HELD_BLOCK, 0));
	stage_submit(ctx, prep_read(&iocbs[1], fd, buffer + HELD_BLOCK,
				    HELD_BLOCK, HELD_BLOCK));
	held_wait(held, 2);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_waiting(thread, &destroyer);
	release_at(held, 0, EIO);
	expect_waiting(thread, &destroyer);
	release_at(held, HELD_BLOCK, EIO);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
}

CASE(io_destroy, waits_for_fsync, "an FSYNC and an FDSYNC are waited for",
     .clause = "io_destroy.waits.fsync", .needs = "held task_syscall")
{
	aio_handle ctx = new_context(2);
	struct destroyer destroyer = { 0 };
	struct iocb iocbs[2];
	struct thread *thread;
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_SYNCS);
	stage_submit(ctx, prep_fsync(&iocbs[0], fd));
	held_wait(held, 1);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_waiting(thread, &destroyer);
	release_all(held);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
}

/* What waits must not count what has ended, reaped or not, as in flight. */
CASE(io_destroy, waits_for_the_last, "only what is in flight is waited for",
     .clause = "io_destroy.waits", .needs = "held task_syscall")
{
	aio_handle ctx = new_context(REQUESTS);
	struct destroyer destroyer = { 0 };
	unsigned char *buffer = io_buffer(3 * HELD_BLOCK);
	struct iocb iocbs[4];
	struct io_event event;
	struct thread *thread;
	struct held *held;
	int fd, ends[2];

	held = held_open(&fd);
	open_pipe(ends, 0);
	stage_submit(ctx, prep_read(&iocbs[0], fd, buffer, HELD_BLOCK, 0));
	stage_reap(ctx, 1, &event);
	stage_submit(ctx, prep_read(&iocbs[1], fd, buffer + HELD_BLOCK,
				    HELD_BLOCK, 0));
	WAIT_FOR(ring_unread(ctx) == 1);
	stage_submit(ctx, prep_poll(&iocbs[2], ends[0], POLLIN));
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocbs[3], fd, buffer + 2 * HELD_BLOCK,
				    HELD_BLOCK, 0));
	held_wait(held, 1);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_waiting(thread, &destroyer);
	release_all(held);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
}

CASE(io_destroy, waits_through_signal, "a signal does not cut the wait short",
     .clause = "io_destroy.waits.signal", .needs = "held task_syscall")
{
	aio_handle ctx = new_context(1);
	struct destroyer destroyer = { 0 };
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	struct thread *thread;
	struct iocb iocb;
	struct held *held;
	int fd;

	count_signal(SIGUSR1, 0);
	held = held_open(&fd);
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocb, fd, buffer, HELD_BLOCK, 0));
	held_wait(held, 1);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_waiting(thread, &destroyer);
	signal_thread(thread_tid(thread), SIGUSR1);
	expect_waiting(thread, &destroyer);
	EXPECT_EQ(0, signals_seen(SIGUSR1));
	release_all(held);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
	EXPECT_EQ(1, signals_seen(SIGUSR1));
}

CASE(io_destroy, handle_dead_while_waiting,
     "while the first io_destroy waits, the handle is dead for all others",
     .clause = "io_destroy.two_threads.loser", .needs = "held task_syscall",
     .flavours = RAW)
{
	aio_handle ctx = new_context(2);
	struct destroyer destroyer = { 0 };
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	struct timespec none = { 0 };
	struct io_event event;
	struct iocb iocb, other;
	struct thread *thread;
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocb, fd, buffer, HELD_BLOCK, 0));
	held_wait(held, 1);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_waiting(thread, &destroyer);
	EXPECT_ERR(EINVAL, aio->destroy(ctx));
	EXPECT_ERR(EINVAL, submit_one(ctx, prep_fsync(&other, fd)));
	EXPECT_ERR(EINVAL, aio->getevents(ctx, 0, 1, &event, &none));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, &iocb, &event));
	EXPECT_EQ(0, atomic_load(&destroyer.done));
	release_all(held);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
}

CASE(io_destroy, quota_back_at_once,
     "fs.aio-nr is back when the call begins to wait",
     .clause = "io_destroy.quota_early", .needs = "held task_syscall",
     .serial = SERIAL_BODY)
{
	struct destroyer destroyer = { 0 };
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	struct thread *thread;
	struct held *held;
	struct iocb iocb;
	aio_handle ctx;
	int fd;

	held = held_open(&fd);
	ctx = new_context(100);
	EXPECT_EQ(aio_nr_at_start() + 100, aio_nr());
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocb, fd, buffer, HELD_BLOCK, 0));
	held_wait(held, 1);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_waiting(thread, &destroyer);
	EXPECT_QUOTA_BACK();
	release_all(held);
	thread_join(thread);
	EXPECT_QUOTA_BACK();
}

/*
 * The buffers are the program's after the call: what it writes into them then
 * must stay, though the device was asked to fill them.
 */
CASE(io_destroy, buffers_final, "nothing writes to the buffers after the call",
     .clause = "io_destroy.waits", .needs = "held task_syscall")
{
	aio_handle ctx = new_context(REQUESTS);
	struct destroyer destroyer = { 0 };
	struct iocb iocbs[REQUESTS];
	unsigned char *buffer = io_buffer(REQUESTS * HELD_BLOCK);
	struct thread *thread;
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	pattern(held_data(held), REQUESTS * HELD_BLOCK, SEED);
	hold(held, HOLD_READS);
	for (i = 0; i < REQUESTS; i++)
		stage_submit(ctx,
			     prep_read(&iocbs[i], fd, buffer + i * HELD_BLOCK,
				       HELD_BLOCK, i * HELD_BLOCK));
	held_wait(held, REQUESTS);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_waiting(thread, &destroyer);
	release_all(held);
	thread_join(thread);
	EXPECT_PATTERN(buffer, REQUESTS * HELD_BLOCK, SEED);
	pattern(buffer, REQUESTS * HELD_BLOCK, SEED + 1);
	kill(held_server(held), SIGKILL);
	EXPECT_PATTERN(buffer, REQUESTS * HELD_BLOCK, SEED + 1);
}

/* From one request to as many as the context was made for. */
CASE(io_destroy, waits_for_any_number, "one request or many: the last decides",
     .clause = "io_destroy.waits", .needs = "held task_syscall")
{
	static const int numbers[] = { 1, 2, 3, 7, 16, 31, 64 };
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	static struct iocb iocbs[64];
	struct held *held;
	unsigned int k;
	int fd, i;

	held = held_open(&fd);
	for (k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
		aio_handle ctx = new_context((unsigned int)numbers[k]);
		struct destroyer destroyer = { 0 };
		struct thread *thread;

		hold(held, HOLD_WRITES);
		for (i = 0; i < numbers[k]; i++)
			stage_submit(ctx,
				     prep_write(&iocbs[i], fd, buffer,
						HELD_BLOCK, i * HELD_BLOCK));
		held_wait(held, (unsigned int)numbers[k]);
		thread = destroy_in_thread(&destroyer, ctx);
		for (i = 0; i < numbers[k] - 1; i++)
			release_at(held, i * HELD_BLOCK, 0);
		expect_waiting(thread, &destroyer);
		release_all(held);
		thread_join(thread);
		EXPECT_EQ(0, destroyer.result);
	}
}

/* --- for as long as it takes --- */

#define LONG_WAIT 6 /* s: more than a time-out of a hasty kernel would be */

static void let_time_pass(time_t seconds)
{
	const struct timespec span = { .tv_sec = seconds };

	REQUIRE(!clock_nanosleep(CLOCK_MONOTONIC, 0, &span, NULL));
}

static aio_handle read_held(struct iocb *iocb, int fd, unsigned int block)
{
	aio_handle ctx = new_context(1);

	stage_submit(ctx, prep_read(iocb, fd, io_buffer(HELD_BLOCK), HELD_BLOCK,
				    block * HELD_BLOCK));
	return ctx;
}

CASE(io_destroy, waits_for_long,
     "a request that takes seconds is waited for: by io_destroy(), by exit, "
     "by a reaper",
     .clause = "io_destroy.waits", .needs = "held task_syscall",
     .flavours = NATIVE)
{
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 3);
	struct destroyer destroyer = { 0 };
	struct io_event event;
	struct waiter *waiter;
	struct thread *thread;
	struct held *held;
	pid_t pid;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	pid = child_fork();
	if (!pid) {
		read_held(&iocbs[0], fd, 0);
		child_exit(0);
	}
	waiter = waiter_run(read_held(&iocbs[1], fd, 1), 1, 1, &event, NULL);
	thread = destroy_in_thread(&destroyer, read_held(&iocbs[2], fd, 2));
	held_wait(held, 3);
	expect_waiting(thread, &destroyer);
	waiter_asleep(waiter);
	let_time_pass(LONG_WAIT);
	EXPECT_EQ(0, atomic_load(&destroyer.done));
	EXPECT_TRUE(!waiter_done(waiter));
	EXPECT_TRUE(!child_has_gone(pid));
	release_all(held);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_EVENT(&event, &iocbs[1], HELD_BLOCK);
	EXPECT_CHILD_OK(pid);
}

CASE(io_destroy, killed_waits,
     "who is killed inside io_destroy() is gone when the request has ended",
     .clause = "io_destroy.waits.signal", .needs = "held task_syscall",
     .flavours = NATIVE)
{
	struct held *held;
	pid_t pid;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	pid = child_fork();
	if (!pid) {
		static struct iocb iocb;

		aio->destroy(read_held(&iocb, fd, 0));
		child_exit(0);
	}
	held_wait(held, 1);
	wait_asleep_in(pid, SYS_io_destroy);
	kill(pid, SIGKILL);
	let_others_end();
	EXPECT_TRUE(!child_has_gone(pid));
	release_all(held);
	EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(pid)));
}

/* --- who is inside io_getevents() --- */

/* The reaper is held where the kernel copies its event. */
CASE(io_destroy, waits_for_reaper,
     "who is inside io_getevents() is waited for, and has its event",
     .clause = "io_destroy.waits.reaper", .needs = "userfaultfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct io_event *page = io_buffer(PAGE_SIZE);
	struct io_event *content = io_buffer(PAGE_SIZE);
	struct destroyer destroyer = { 0 };
	aio_handle ctx = new_context(1);
	struct waiter *waiter;
	struct thread *thread;
	struct trap *trap;

	stage_complete(ctx, 1, SEED);
	trap = trap_set(page, PAGE_SIZE);
	waiter = waiter_run(ctx, 1, 1, page, NULL);
	trap_wait(trap);
	thread = destroy_in_thread(&destroyer, ctx);
	expect_kept_waiting(thread, &destroyer);
	EXPECT_TRUE(!waiter_done(waiter));
	trap_release(trap, content);
	EXPECT_EQ(1, waiter_result(waiter));
	EXPECT_NUMBERED(page, 1, SEED);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
}

/* --- who is inside io_submit() --- */

/* The submitter is held where the kernel copies its iocb. */
CASE(io_destroy, waits_for_submitter,
     "who is inside io_submit() is waited for, and what it queues cancelled",
     .clause = "io_destroy.waits.submitter",
     .needs = "userfaultfd task_syscall eventfd")
{
	struct one_submission submission = { .ctx = new_context(1) };
	int fd = open_eventfd(0, 0), counter = open_eventfd(0, EFD_NONBLOCK);
	struct iocb *content = io_buffer(PAGE_SIZE);
	struct destroyer destroyer = { 0 };
	struct thread *submitter, *thread;
	struct trap *trap;

	notify(prep_poll(content, fd, POLLIN), counter);
	submission.iocb = io_buffer(PAGE_SIZE);
	trap = trap_set(submission.iocb, PAGE_SIZE);
	submitter = thread_run(submit_one_of, &submission);
	trap_wait(trap);
	thread = destroy_in_thread(&destroyer, submission.ctx);
	expect_kept_waiting(thread, &destroyer);
	trap_release(trap, content);
	thread_join(submitter);
	EXPECT_EQ(1, submission.result);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
	EXPECT_EQ(1, eventfd_take(counter));
}

CASE(io_destroy, waits_for_submitter_and_read,
     "what it queues and cannot be cancelled is waited for as well",
     .clause = "io_destroy.waits.submitter",
     .needs = "held userfaultfd task_syscall")
{
	struct one_submission submission = { .ctx = new_context(1) };
	struct iocb *content = io_buffer(PAGE_SIZE);
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	struct destroyer destroyer = { 0 };
	struct thread *submitter, *thread;
	struct held *held;
	struct trap *trap;
	int fd;

	held = held_open(&fd);
	pattern(held_data(held), HELD_BLOCK, SEED);
	hold(held, HOLD_READS);
	prep_read(content, fd, buffer, HELD_BLOCK, 0);
	submission.iocb = io_buffer(PAGE_SIZE);
	trap = trap_set(submission.iocb, PAGE_SIZE);
	submitter = thread_run(submit_one_of, &submission);
	trap_wait(trap);
	thread = destroy_in_thread(&destroyer, submission.ctx);
	expect_kept_waiting(thread, &destroyer);
	trap_release(trap, content);
	thread_join(submitter);
	EXPECT_EQ(1, submission.result);
	held_wait(held, 1);
	expect_kept_waiting(thread, &destroyer);
	release_all(held);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
	EXPECT_PATTERN(buffer, HELD_BLOCK, SEED);
}

/* --- many at once --- */

/* Were one to wait for another, the first to be let go would not come back. */
CASE(io_destroy, waits_apart,
     "contexts destroyed at once wait for their own requests only",
     .clause = "io_destroy.concurrent", .needs = "held task_syscall")
{
	struct destroyer destroyers[REQUESTS] = { 0 };
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	struct thread *threads[REQUESTS];
	struct iocb iocbs[REQUESTS];
	struct held *held;
	int fd, i, k;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	for (i = 0; i < REQUESTS; i++) {
		destroyers[i].ctx = new_context(1);
		stage_submit(destroyers[i].ctx,
			     prep_read(&iocbs[i], fd, buffer, HELD_BLOCK,
				       i * HELD_BLOCK));
	}
	held_wait(held, REQUESTS);
	for (i = 0; i < REQUESTS; i++) {
		threads[i] =
			destroy_in_thread(&destroyers[i], destroyers[i].ctx);
		expect_waiting(threads[i], &destroyers[i]);
	}
	for (i = REQUESTS - 1; i >= 0; i--) {
		release_at(held, i * HELD_BLOCK, 0);
		thread_join(threads[i]);
		EXPECT_EQ(0, destroyers[i].result);
		for (k = 0; k < i; k++)
			EXPECT_EQ(0, atomic_load(&destroyers[k].done));
	}
}

/* --- of every kind, and with company --- */

/* Each of them alone keeps the call from coming back, but for the POLL. */
CASE(io_destroy, waits_for_mixture,
     "reads, writes and syncs are waited for, in any mixture with polls",
     .clause = "io_destroy.waits", .needs = "held task_syscall eventfd")
{
	enum { READ, WRITE, SYNC, POLLED, KINDS };
	static const int64_t at[] = { 0, HELD_BLOCK, -1 };
	unsigned char *buffer = io_buffer(2 * HELD_BLOCK);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	aio_handle ctx = new_context(KINDS);
	struct destroyer destroyer = { 0 };
	struct iocb iocbs[KINDS];
	struct thread *thread;
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	pattern(held_data(held), HELD_BLOCK, SEED);
	hold(held, HOLD_ALL);
	prep_read(&iocbs[READ], fd, buffer, HELD_BLOCK, 0);
	prep_write(&iocbs[WRITE], fd, buffer + HELD_BLOCK, HELD_BLOCK,
		   HELD_BLOCK);
	prep_fsync(&iocbs[SYNC], fd);
	prep_poll(&iocbs[POLLED], open_eventfd(0, 0), POLLIN);
	for (i = 0; i < KINDS; i++)
		stage_submit(ctx, notify(&iocbs[i], counter));
	held_wait(held, POLLED);
	thread = destroy_in_thread(&destroyer, ctx);
	for (i = 0; i < POLLED; i++) {
		expect_waiting(thread, &destroyer);
		release_at(held, at[i], 0);
	}
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
	EXPECT_EQ(KINDS, eventfd_take(counter));
	EXPECT_PATTERN(buffer, HELD_BLOCK, SEED);
}

CASE(io_destroy, wakes_waiter_while_held,
     "a thread that waits for events is sent away before the requests end",
     .clause = "io_destroy.against.getevents", .needs = "held task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	unsigned char *buffer = io_buffer(HELD_BLOCK);
	struct destroyer destroyer = { 0 };
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct waiter *waiter;
	struct thread *thread;
	struct iocb iocb;
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_READS);
	stage_submit(ctx, prep_read(&iocb, fd, buffer, HELD_BLOCK, 0));
	held_wait(held, 1);
	waiter = waiter_run(ctx, 1, 1, &event, NULL);
	ASSERT_TRUE(waiter_asleep(waiter));
	thread = destroy_in_thread(&destroyer, ctx);
	EXPECT_ERR(EINVAL, waiter_result(waiter));
	expect_waiting(thread, &destroyer);
	EXPECT_EQ(1, held_count(held));
	release_all(held);
	thread_join(thread);
	EXPECT_EQ(0, destroyer.result);
}
