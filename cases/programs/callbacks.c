// SPDX-License-Identifier: GPL-2.0-or-later
/* A program in the style of libaio's manual pages: callbacks, and no events. */
#define AIOABI_WITH_LIBAIO_H
#include "case.h"

#include <libaio.h>

#define REQUESTS 64

struct request {
	struct iocb iocb; /* first: a callback is given its address */
	unsigned int called;
	size_t wanted;
};
static unsigned int called;

static void done(io_context_t ctx, struct iocb *iocb, long res, long res2)
{
	struct request *request = (struct request *)iocb;

	EXPECT_EQ(request->wanted, res);
	EXPECT_EQ(0, res2);
	request->called++;
	called++;
}

CASE(programs, callbacks, "each request is called back once, with its result",
     .clause = "programs.callbacks", .on = ON_ANY, .every_device = true,
     .needs = "eventfd", .flavours = LIBAIO)
{
	struct storage storage = open_storage(O_RDONLY | O_DIRECT);
	struct request *requests = GUARDED_ARRAY(struct request, REQUESTS);
	size_t most = storage.block * 2;
	unsigned char *buffers = io_buffer(REQUESTS * most);
	io_context_t ctx = (io_context_t)new_context(REQUESTS);
	int eventfd = open_eventfd(0, 0);
	struct iocb *list[REQUESTS];
	unsigned int i;

	for (i = 0; i < REQUESTS; i++) {
		list[i] = &requests[i].iocb;
		requests[i].wanted = storage.block * (i % 2 + 1);
		io_prep_pread(list[i], storage.fd, buffers + i * most,
			      requests[i].wanted,
			      storage.base + (int64_t)(i * most));
		io_set_callback(list[i], done);
		io_set_eventfd(list[i], eventfd);
	}
	ASSERT_EQ(REQUESTS, io_submit(ctx, REQUESTS, list));
	while (called < REQUESTS) {
		eventfd_take(eventfd);
		ASSERT_EQ(0, io_queue_run(ctx));
	}
	for (i = 0; i < REQUESTS; i++) {
		ROUND("request %u", i);
		EXPECT_EQ(1, requests[i].called);
	}
}
