// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * POLL of a file that takes its time to say whether it is ready.
 *
 * Submission asks the file, and after a wake-up that does not say what for a
 * worker does. What happens meanwhile finds the request half-way; with a file
 * that answers when it is told to, there is no luck in that.
 */
#include <poll.h>
#include <sys/syscall.h>

#include "case.h"
#include "held.h"
#include "waiter.h"

struct look {
	aio_handle ctx;
	struct iocb *iocb;
	struct held *held;
	long result;
	atomic_uint done;
};

/* A file that is not ready, and a POLL of it that is yet to be submitted. */
static struct look new_look(void)
{
	struct look look = { .ctx = new_context(1),
			     .iocb = GUARDED(struct iocb) };
	int fd;

	look.held = held_open(&fd);
	held_ready(look.held, 0);
	prep_poll(look.iocb, fd, POLLIN);
	return look;
}

/* A POLL in flight whose file is about to tell a worker what it is ready for.
 */
static struct look stage_look(unsigned int ready)
{
	struct look look = new_look();

	stage_submit(look.ctx, look.iocb);
	held_ready(look.held, ready);
	hold(look.held, HOLD_POLLS);
	held_wake(look.held);
	held_wait(look.held, 1);
	return look;
}

static void expect_event(struct look *look, long res)
{
	struct io_event event;

	ASSERT_EQ(1, aio->getevents(look->ctx, 1, 1, &event, NULL));
	EXPECT_EVENT(&event, look->iocb, res);
	EXPECT_EQ(0, ring_unread(look->ctx));
}

CASE(ops, poll_look_wake,
     "a wake-up while the worker looks for the one before is not lost",
     .clause = "ops.poll.look.wake", .needs = "held")
{
	struct look look = stage_look(0);

	held_ready(look.held, POLLIN);
	held_wake(look.held);
	release_all(look.held);
	expect_event(&look, POLLIN);
}

CASE(ops, poll_look_nothing,
     "a worker that finds nothing leaves the POLL to the next wake-up",
     .clause = "ops.poll.look.wake", .needs = "held")
{
	struct look look = stage_look(0);
	unsigned int i;

	for (i = 0; i < 3; i++) {
		release_at(look.held, HELD_POLL(i), 0);
		held_wake(look.held);
		held_wait(look.held, 1);
		EXPECT_EQ(0, ring_unread(look.ctx));
	}
	held_ready(look.held, POLLIN);
	release_all(look.held);
	held_wake(look.held);
	expect_event(&look, POLLIN);
}

CASE(ops, poll_look_once, "the worker looks once for each wake-up, and no more",
     .clause = "ops.poll.look.wake", .needs = "held memfd")
{
	struct look look = stage_look(0);
	unsigned int i;

	held_wake(look.held);
	release_all(look.held);
	/* submission, and two wake-ups */
	WAIT_FOR(held_polls(look.held) == 3);
	for (i = 0; i < 20; i++)
		let_worker_look();
	EXPECT_EQ(3, held_polls(look.held));
	held_ready(look.held, POLLIN);
	held_wake(look.held);
	expect_event(&look, POLLIN);
	EXPECT_EQ(4, held_polls(look.held));
}

/* Some files look at nothing that they are not asked for. */
CASE(ops, poll_look_asks,
     "submission and the worker ask for what the POLL is for, and for errors",
     .clause = "ops.poll.look.asks", .needs = "held")
{
	static const unsigned int sets[] = {
		POLLIN,	    POLLOUT,
		POLLPRI,    POLLIN | POLLRDHUP,
		POLLRDNORM, POLLIN | POLLOUT | POLLPRI,
	};
	unsigned int i, all;

	for (i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		struct look look = new_look();

		ROUND("events 0x%x", sets[i]);
		all = sets[i] | POLLERR | POLLHUP;
		look.iocb->aio_buf = sets[i];
		stage_submit(look.ctx, look.iocb);
		EXPECT_EQ(all, held_asked(look.held));
		held_ready(look.held, sets[i]);
		held_wake(look.held);
		expect_event(&look, sets[i]);
		EXPECT_EQ(2, held_polls(look.held));
		EXPECT_EQ(all, held_asked(look.held));
	}
}

CASE(ops, poll_look_cancel, "cancelled while the worker looks: one event",
     .clause = "ops.poll.look.cancel", .needs = "held")
{
	struct look look = stage_look(0);
	struct io_event event;

	EXPECT_EQ(-EINPROGRESS, aio->cancel(look.ctx, look.iocb, &event));
	EXPECT_ERR(EINVAL, aio->cancel(look.ctx, look.iocb, &event));
	EXPECT_EQ(0, ring_unread(look.ctx));
	release_all(look.held);
	expect_event(&look, 0);
}

CASE(ops, poll_look_cancel_ready,
     "cancelled while the worker is told that it is ready: one event of that",
     .clause = "ops.poll.look.cancel", .needs = "held")
{
	struct look look = stage_look(POLLIN);
	struct io_event event;

	EXPECT_EQ(-EINPROGRESS, aio->cancel(look.ctx, look.iocb, &event));
	release_all(look.held);
	expect_event(&look, POLLIN);
}

static void *destroy(void *arg)
{
	struct look *look = arg;

	look->result = aio->destroy(look->ctx);
	atomic_store(&look->done, 1);
	return NULL;
}

CASE(ops, poll_look_destroy, "io_destroy() waits for a worker that looks",
     .clause = "ops.poll.look.destroy", .needs = "held task_syscall")
{
	struct look look = stage_look(0);
	struct thread *destroyer = thread_run(destroy, &look);

	ASSERT_TRUE(wait_asleep_in(thread_tid(destroyer), SYS_io_destroy));
	EXPECT_EQ(0, atomic_load(&look.done));
	release_all(look.held);
	thread_join(destroyer);
	EXPECT_OK(look.result);
}

static void *submit(void *arg)
{
	struct look *look = arg;

	look->result = submit_one(look->ctx, look->iocb);
	return NULL;
}

/* Submission asks first, and then the worker; both wait for an answer. */
static struct thread *stage_two_looks(struct look *look, unsigned int ready)
{
	struct thread *submitter;

	hold(look->held, HOLD_POLLS);
	held_ready(look->held, ready);
	submitter = thread_run(submit, look);
	held_wait(look->held, 1);
	held_wake(look->held);
	held_wait(look->held, 2);
	return submitter;
}

CASE(ops, poll_look_submit,
     "a wake-up while submission looks leaves it to the worker: one event",
     .clause = "ops.poll.look.submit", .needs = "held")
{
	struct look look = new_look();
	struct thread *submitter = stage_two_looks(&look, POLLIN);

	release_at(look.held, HELD_POLL(0), 0);
	thread_join(submitter);
	EXPECT_EQ(1, look.result);
	EXPECT_EQ(0, ring_unread(look.ctx));
	release_all(look.held);
	expect_event(&look, POLLIN);
}

CASE(ops, poll_look_submit_worker_first,
     "the same when the worker is answered before submission is",
     .clause = "ops.poll.look.submit", .needs = "held")
{
	struct look look = new_look();
	struct thread *submitter = stage_two_looks(&look, POLLIN);

	release_at(look.held, HELD_POLL(1), 0);
	release_all(look.held);
	thread_join(submitter);
	EXPECT_EQ(1, look.result);
	expect_event(&look, POLLIN);
}

CASE(ops, poll_look_submit_nothing,
     "when neither finds anything, the POLL stays, and can be cancelled",
     .clause = "ops.poll.look.submit", .needs = "held")
{
	struct look look = new_look();
	struct thread *submitter = stage_two_looks(&look, 0);
	struct io_event event;

	release_all(look.held);
	thread_join(submitter);
	EXPECT_EQ(1, look.result);
	EXPECT_EQ(0, ring_unread(look.ctx));
	EXPECT_EQ(-EINPROGRESS, aio->cancel(look.ctx, look.iocb, &event));
	expect_event(&look, 0);
}
