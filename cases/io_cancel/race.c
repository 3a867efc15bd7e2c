// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_cancel() from other threads, and against the completion of its request.
 *
 * Whoever comes first, there is one event, and the answer of io_cancel() fits
 * it: two events for one request are a double free in the program, none is a
 * hang. The order is forced where the machine allows it, and left to chance
 * some hundred times.
 */
#include "case.h"

#define STEPS	20
#define STEP_NS 150
#define ROUNDS	(STEPS * STEPS)
/* What is left to chance is tried for so long at most. */
#define LONG_ENOUGH (NSEC_PER_SEC / 2)

struct cancel_call {
	aio_handle ctx;
	struct iocb *iocb;
	long result;
};

static void cancel_it(void *arg)
{
	struct cancel_call *call = arg;

	call->result = aio->cancel(call->ctx, call->iocb, NULL);
}

CASE(io_cancel, thread, "another thread can cancel while the submitter waits",
     .clause = "io_cancel.thread", .needs = "eventfd task_syscall",
     .flavours = RAW | LIBAIO | PGETEVENTS)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct cancel_call call = { .ctx = new_context(1), .iocb = iocb };
	struct errand *errand;
	struct io_event event;

	stage_poll(call.ctx, iocb);
	errand = when_asleep(cancel_it, &call);
	ASSERT_EQ(1, aio->getevents(call.ctx, 1, 1, &event, NULL));
	EXPECT_TRUE(errand_end(errand));
	EXPECT_ERR(EINPROGRESS, call.result);
	EXPECT_EVENT(&event, iocb, 0);
}

struct submit_call {
	aio_handle ctx;
	struct iocb *iocb;
	int fd;
};

static void *submit_it(void *arg)
{
	struct submit_call *call = arg;

	stage_submit(call->ctx, prep_poll(call->iocb, call->fd, POLLIN));
	return NULL;
}

CASE(io_cancel, thread_exited,
     "a request can be cancelled after its submitting thread has exited",
     .clause = "io_cancel.thread", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct submit_call call = { new_context(1), iocb, open_eventfd(0, 0) };

	thread_join(thread_run(submit_it, &call));
	EXPECT_EQ(0, ring_unread(call.ctx));
	EXPECT_ERR(EINPROGRESS, aio->cancel(call.ctx, iocb, NULL));
	EXPECT_COMPLETES(call.ctx, iocb, 0);
}

CASE(io_cancel, race_completion_first,
     "what has completed is not cancelled: EINVAL, and the file's result",
     .clause = "io_cancel.race", .needs = "eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);

	end_poll(stage_poll(ctx, iocb));
	EXPECT_ERR(EINVAL, aio->cancel(ctx, iocb, NULL));
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
	EXPECT_EQ(0, ring_unread(ctx));
}

/* What a worker has to do for either waits until this thread is done. */
CASE(io_cancel, race_completion_first_by_worker,
     "what completes and has no event yet is not cancelled either",
     .clause = "io_cancel.race", .needs = "realtime eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = open_eventfd(0, 0), counter = open_eventfd(0, 0);
	long result;

	/* on some kernels a worker does the rest of one with an eventfd */
	stage_submit(ctx, notify(prep_poll(iocb, fd, POLLIN), counter));
	hold_cpu();
	end_poll(fd);
	result = aio->cancel(ctx, iocb, NULL);
	let_cpu_go();
	EXPECT_ERR(EINVAL, result);
	EXPECT_COMPLETES(ctx, iocb, POLLIN);
	EXPECT_EQ(1, eventfd_take(counter));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(io_cancel, race_cancel_first,
     "what was cancelled does not complete: one event, with result 0",
     .clause = "io_cancel.race", .needs = "realtime eventfd")
{
	struct iocb *iocb = GUARDED(struct iocb);
	aio_handle ctx = new_context(1);
	int fd = stage_poll(ctx, iocb);
	unsigned int unread;
	long result;

	hold_cpu();
	result = aio->cancel(ctx, iocb, NULL);
	end_poll(fd);
	unread = ring_unread(ctx);
	let_cpu_go();
	EXPECT_ERR(EINPROGRESS, result);
	EXPECT_LE(1, unread);
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_EQ(0, ring_unread(ctx));
	EXPECT_OK(aio->destroy(ctx));
}

struct race {
	struct meeting meeting;
	aio_handle ctx;
	struct iocb *iocb;
	int fd;
	long result;
	int64_t until;
	unsigned int round;
	bool over; /* the round that ends now is the last one */
};

static void *canceller(void *arg)
{
	struct race *race = arg;

	do {
		meet(&race->meeting);
		spin_until(now_ns() + race->round % STEPS * STEP_NS);
		race->result = aio->cancel(race->ctx, race->iocb, NULL);
		meet(&race->meeting);
	} while (!race->over);
	return NULL;
}

static struct race race_for(struct iocb *iocb)
{
	return (struct race){ .meeting = { .n = 2 },
			      .ctx = new_context(8),
			      .iocb = iocb,
			      .fd = open_eventfd(0, 0),
			      .until = now_ns() + LONG_ENOUGH };
}

/* Both threads leave together, and this one a little later in each row. */
static void race_begin(struct race *race)
{
	stage_submit(race->ctx, prep_poll(race->iocb, race->fd, POLLIN));
	meet(&race->meeting);
	spin_until(now_ns() + race->round / STEPS * STEP_NS);
}

static void race_end(struct race *race)
{
	race->over = race->round == ROUNDS - 1 || now_ns() > race->until;
	meet(&race->meeting);
}

/*
 * The file is looked at once more after a wake-up that met the cancel, so that
 * a cancelled request may still say that it is ready.
 */
CASE(io_cancel, race, "against completion: one event, and it fits the answer",
     .clause = "io_cancel.race", .needs = "cpus2 eventfd", .time_limit = 60)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct race race = race_for(iocb);
	struct thread *thread = thread_run(canceller, &race);
	struct io_event event;

	for (; !race.over; race.round++) {
		race_begin(&race);
		end_poll(race.fd);
		race_end(&race);
		ASSERT_EQ(1, aio->getevents(race.ctx, 1, 1, &event, NULL));
		if (race.result == -EINPROGRESS && event.res == 0) {
			EXPECT_EVENT(&event, iocb, 0);
		} else {
			EXPECT_EVENT(&event, iocb, POLLIN);
			if (race.result != -EINPROGRESS)
				EXPECT_ERR(EINVAL, race.result);
		}
		EXPECT_EQ(0, ring_unread(race.ctx));
		REQUIRE(eventfd_take(race.fd) == 1);
	}
	thread_join(thread);
	EXPECT_EQ(0, ring_unread(race.ctx));
	EXPECT_OK(aio->destroy(race.ctx));
}

CASE(io_cancel, race_two_cancels,
     "of two threads that cancel one request, one is given EINPROGRESS",
     .clause = "io_cancel.race", .needs = "cpus2 eventfd", .time_limit = 60)
{
	struct iocb *iocb = GUARDED(struct iocb);
	struct race race = race_for(iocb);
	struct thread *thread = thread_run(canceller, &race);
	long mine;

	for (; !race.over; race.round++) {
		race_begin(&race);
		mine = aio->cancel(race.ctx, iocb, NULL);
		race_end(&race);
		EXPECT_EQ(-EINPROGRESS - EINVAL, mine + race.result);
		EXPECT_TRUE(mine == -EINPROGRESS || mine == -EINVAL);
		EXPECT_COMPLETES(race.ctx, iocb, 0);
		EXPECT_EQ(0, ring_unread(race.ctx));
	}
	thread_join(thread);
}
