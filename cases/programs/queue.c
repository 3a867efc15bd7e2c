// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The engine of a virtual machine's disk: a queue in front of the context, that
 * is worked off as far as the kernel takes requests; the ring read in user
 * space; and new requests made while old ones are being completed.
 */
#include "case.h"

#define ROUNDS	  4    /* times the room of the context */
#define BATCH_MAX 2048 /* requests of one call */

struct request {
	struct iocb iocb;
	unsigned int answered;
	long result;
};

struct engine {
	aio_handle ctx;
	struct storage storage;
	unsigned char *buffers;
	struct request *requests;
	unsigned int total;
	unsigned int queued; /* the first that was not submitted */
	unsigned int answered;
	unsigned int full; /* times the kernel had no room */
	int eventfd;
	struct io_event *events;
	unsigned int room;
};

static struct iocb *iocb_of(struct engine *engine, unsigned int i)
{
	return &engine->requests[i].iocb;
}

static void answer(struct engine *engine, struct request *request, long result)
{
	request->answered++;
	request->result = result;
	engine->answered++;
}

static void engine_start(struct engine *engine)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	unsigned int i, blocks = (unsigned int)(storage.len / storage.block);

	engine->storage = storage;
	engine->ctx = new_context(1);
	engine->room = ring_of(engine->ctx)->nr;
	engine->total = ROUNDS * engine->room;
	engine->requests = GUARDED_ARRAY(struct request, engine->total);
	engine->events = GUARDED_ARRAY(struct io_event, engine->room);
	engine->buffers = io_buffer(storage.block);
	engine->eventfd = open_eventfd(0, 0);
	for (i = 0; i < engine->total; i++)
		notify(prep_read(iocb_of(engine, i), storage.fd,
				 engine->buffers, storage.block,
				 storage.base +
					 (int64_t)(i % blocks) * storage.block),
		       engine->eventfd);
}

/*
 * Work off the queue up to, not including, request `until`: all at once, and
 * what is refused is answered with its error, unless there is no room.
 */
static void submit_queued(struct engine *engine, unsigned int until)
{
	struct iocb *list[BATCH_MAX];
	unsigned int i, n;
	long result;

	while (engine->queued < until) {
		n = until - engine->queued;
		if (n > BATCH_MAX)
			n = BATCH_MAX;
		for (i = 0; i < n; i++)
			list[i] = iocb_of(engine, engine->queued + i);
		result = aio->submit(engine->ctx, (long)n, list);
		ASSERT_TRUE(result <= (long)n && result);
		if (result == -EAGAIN) {
			engine->full++;
			return;
		}
		if (result < 0) {
			answer(engine, &engine->requests[engine->queued],
			       result);
			result = 1;
		}
		engine->queued += (unsigned int)result;
	}
}

static void take(struct engine *engine, const struct io_event *event)
{
	struct request *request = (struct request *)(uintptr_t)event->obj;

	ASSERT_TRUE(request >= engine->requests &&
		    request < engine->requests + engine->total);
	EXPECT_EQ((uintptr_t)&request->iocb, event->data);
	EXPECT_EQ(0, event->res2);
	answer(engine, request, (long)event->res);
}

static void take_by_call(struct engine *engine)
{
	long got = aio->getevents(engine->ctx, 1, engine->room, engine->events,
				  NULL),
	     i;

	ASSERT_TRUE(got > 0);
	for (i = 0; i < got; i++)
		take(engine, &engine->events[i]);
}

static void expect_each_once(struct engine *engine)
{
	struct timespec none = { 0 };
	unsigned int i;

	for (i = 0; i < engine->total; i++) {
		ROUND("request %u", i);
		EXPECT_EQ(1, engine->requests[i].answered);
	}
	ROUNDS_END();
	EXPECT_EQ(0, aio->getevents(engine->ctx, 0, 1, engine->events, &none));
}

CASE(programs, queue_bounded,
     "a queue that stops at EAGAIN and goes on completes every request",
     .clause = "programs.queue.bounded", .on = ON_ANY, .needs = "eventfd")
{
	struct engine engine = { 0 };
	unsigned int i;

	engine_start(&engine);
	while (engine.answered < engine.total) {
		submit_queued(&engine, engine.total);
		take_by_call(&engine);
	}
	EXPECT_GE(1, engine.full);
	expect_each_once(&engine);
	for (i = 0; i < engine.total; i++)
		EXPECT_EQ(engine.storage.block, engine.requests[i].result);
	EXPECT_EQ(engine.total, eventfd_take(engine.eventfd));
}

/* Bad ones alone, in pairs, and as the first and last. */
static bool is_bad(const struct engine *engine, unsigned int i)
{
	return i % 7 == 0 || i % 7 == 1 || i == engine->total - 1;
}

CASE(programs, queue_error_first,
     "a refused request is answered so, and all others by their events",
     .clause = "programs.queue.error_first", .on = ON_ANY, .needs = "eventfd")
{
	struct engine engine = { 0 };
	unsigned int i;

	engine_start(&engine);
	for (i = 0; i < engine.total; i++)
		if (is_bad(&engine, i))
			iocb_of(&engine, i)->aio_fildes = (uint32_t)-1;
	while (engine.answered < engine.total) {
		submit_queued(&engine, engine.total);
		if (engine.answered < engine.total)
			take_by_call(&engine);
	}
	expect_each_once(&engine);
	for (i = 0; i < engine.total; i++) {
		ROUND("request %u", i);
		EXPECT_EQ(is_bad(&engine, i) ? -EBADF
					     : (long)engine.storage.block,
			  engine.requests[i].result);
	}
}

/* Each completion makes room for a request more, submitted from within. */
static void take_from_ring(struct engine *engine)
{
	unsigned int got, i;

	while ((got = ring_reap(engine->ctx, engine->events, engine->room)))
		for (i = 0; i < got; i++) {
			take(engine, &engine->events[i]);
			if (engine->queued < engine->total)
				submit_queued(engine, engine->queued + 1);
		}
}

#define DEPTH 16

CASE(programs, queue_ring_peek,
     "a program that reaps in user space loses and doubles nothing",
     .clause = "programs.queue.ring_peek", .on = ON_ANY, .needs = "eventfd")
{
	struct engine engine = { 0 };
	uint64_t announced = 0;

	engine_start(&engine);
	submit_queued(&engine, DEPTH);
	while (engine.answered < engine.total) {
		announced += eventfd_take(engine.eventfd);
		take_from_ring(&engine);
	}
	/* an event is in the ring before it is announced */
	while (announced < engine.total)
		announced += eventfd_take(engine.eventfd);
	EXPECT_EQ(engine.total, announced);
	EXPECT_EQ(0, engine.full);
	expect_each_once(&engine);
}
