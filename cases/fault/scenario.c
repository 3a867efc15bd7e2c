// SPDX-License-Identifier: GPL-2.0-or-later
#include "scenario.h"

#include <linux/fs.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "case.h"
#include "fault.h"

#define BLOCKS	 4
#define REQUESTS (BLOCKS + 1) /* at once */
#define ROOM	 8
#define TRIES	 8 /* of a call that fails */
#define SEED	 1234

struct request {
	struct iocb iocb;
	bool accepted;
	unsigned int completed;
	long long result;
};

struct life {
	struct swept *swept;
	aio_handle ctx;
	struct request *requests;
	unsigned int accepted, completed;
};

static void note(struct life *life, long result)
{
	if (result < 0 && !life->swept->error)
		life->swept->error = result;
}

static bool passes(long result)
{
	return result == -EAGAIN || result == -EINTR;
}

/* What is refused for good is given up, one request of the list. */
static void submit_all(struct life *life, unsigned int n)
{
	struct iocb *list[REQUESTS];
	unsigned int i, tries = 0;
	long result, k;

	for (i = 0; i < n; i++)
		list[i] = &life->requests[i].iocb;
	i = 0;
	while (i < n) {
		result = aio->submit(life->ctx, n - i, &list[i]);
		note(life, result);
		EXPECT_NE(0, result);
		EXPECT_LE(n - i, result);
		for (k = 0; k < result; k++)
			life->requests[i + k].accepted = true;
		if (result > 0)
			life->accepted += (unsigned int)result;
		if (passes(result) && ++tries < TRIES)
			continue;
		i += result > 0 ? (unsigned int)result : 1;
	}
}

static void take(struct life *life, const struct io_event *event)
{
	struct request *request = (struct request *)(uintptr_t)event->obj;

	ASSERT_TRUE(request >= life->requests &&
		    request < life->requests + REQUESTS);
	EXPECT_EQ((uintptr_t)&request->iocb, event->data);
	EXPECT_TRUE(request->accepted);
	request->completed++;
	request->result = event->res;
	note(life, (long)event->res);
	life->completed++;
}

/* All that was accepted, once each, and no more. */
static void reap_all(struct life *life, unsigned int n)
{
	struct timespec none = { 0 };
	struct io_event events[ROOM];
	unsigned int failed = 0;
	long got, i;

	while (life->completed < life->accepted) {
		got = aio->getevents(life->ctx,
				     (long)(life->accepted - life->completed),
				     ROOM, events, NULL);
		note(life, got);
		if (got <= 0)
			ASSERT_TRUE(++failed < TRIES);
		for (i = 0; i < got; i++)
			take(life, &events[i]);
	}
	got = aio->getevents(life->ctx, 0, ROOM, events, &none);
	note(life, got);
	if (got >= 0)
		EXPECT_EQ(0, got);
	for (i = 0; i < (long)n; i++)
		EXPECT_EQ(life->requests[i].accepted,
			  life->requests[i].completed);
}

static void begin(struct life *life)
{
	memset(life->requests, 0, REQUESTS * sizeof(*life->requests));
	life->accepted = life->completed = 0;
}

static bool setup(struct life *life, struct swept *swept)
{
	long result;

	*life = (struct life){ .swept = swept };
	life->requests = calloc(REQUESTS, sizeof(*life->requests));
	REQUIRE(life->requests);
	result = aio->setup(ROOM, &life->ctx);
	note(life, result);
	if (!result)
		return true;
	EXPECT_EQ(0, life->ctx);
	free(life->requests);
	return false;
}

static void tear_down(struct life *life)
{
	unsigned int tries = 0;
	long result;

	do {
		result = aio->destroy(life->ctx);
		note(life, result);
	} while (result && ++tries < TRIES);
	EXPECT_EQ(0, result);
	free(life->requests);
}

static const char *device;

void life_on_device(const char *path)
{
	device = path;
}

static struct storage open_device(void)
{
	struct storage storage = { .path = device };

	if (!device)
		return open_storage(O_RDWR | O_DIRECT);
	storage.fd = keep(open(device, O_RDWR | O_DIRECT | O_CLOEXEC));
	REQUIRE(!ioctl(storage.fd, BLKSSZGET, &storage.block));
	return storage;
}

static void write_and_read(struct life *life)
{
	struct storage storage = open_device();
	size_t size = storage.block;
	unsigned char *buffers = io_buffer(BLOCKS * size);
	struct request *written = calloc(REQUESTS, sizeof(*written));
	unsigned int i;

	REQUIRE(written);
	begin(life);
	pattern(buffers, BLOCKS * size, SEED);
	for (i = 0; i < BLOCKS; i++)
		prep_write(&life->requests[i].iocb, storage.fd,
			   buffers + i * size, size,
			   storage.base + (int64_t)(i * size));
	prep_fsync(&life->requests[BLOCKS].iocb, storage.fd);
	submit_all(life, REQUESTS);
	reap_all(life, REQUESTS);
	memcpy(written, life->requests, REQUESTS * sizeof(*written));

	begin(life);
	memset(buffers, 0, BLOCKS * size);
	for (i = 0; i < BLOCKS; i++)
		prep_read(&life->requests[i].iocb, storage.fd,
			  buffers + i * size, size,
			  storage.base + (int64_t)(i * size));
	submit_all(life, BLOCKS);
	reap_all(life, BLOCKS);
	for (i = 0; i < BLOCKS; i++) {
		long long len = life->requests[i].result;

		if (len < 0 || written[i].result < len || !written[i].accepted)
			continue;
		for (; len; len--)
			if (buffers[i * size + (size_t)len - 1] !=
			    pattern_at(SEED, i * size + (size_t)len - 1))
				break;
		EXPECT_EQ(0, len);
	}
	free(written);
	drop(storage.fd);
}

/* One that completes, and one that is called off, or completes if not. */
static void poll_and_cancel(struct life *life)
{
	int ready = open_eventfd(1, 0), never = open_eventfd(0, 0);
	struct io_event event;
	long result;

	begin(life);
	prep_poll(&life->requests[0].iocb, ready, POLLIN);
	prep_poll(&life->requests[1].iocb, never, POLLIN);
	submit_all(life, 2);
	if (life->requests[1].accepted) {
		result =
			aio->cancel(life->ctx, &life->requests[1].iocb, &event);
		if (result != -EINPROGRESS) {
			note(life, result);
			end_poll(never);
		}
	}
	reap_all(life, 2);
	drop(ready);
	drop(never);
}

void whole_life(struct swept *swept)
{
	struct life life;

	if (!setup(&life, swept))
		return;
	write_and_read(&life);
	poll_and_cancel(&life);
	tear_down(&life);
}

void short_life(struct swept *swept)
{
	struct life life;

	if (!setup(&life, swept))
		return;
	poll_and_cancel(&life);
	tear_down(&life);
}
