// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A FunctionFS has an eventfd of its own, for the requests that have none. A
 * program that waits for one of the two would hang if the kernel took the
 * wrong one.
 */
#include <sys/eventfd.h>

#include "case.h"
#include "functionfs.h"

#define SEED   31
#define PACKET ENDPOINT_PACKET

CASE(io_submit, resfd_functionfs,
     "a request with an eventfd does not signal that of the function",
     .clause = "io_submit.resfd.functionfs", .needs = "functionfs")
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(2 * PACKET);
	unsigned char data[PACKET];
	aio_handle ctx = new_context(2);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	uint64_t signalled;
	unsigned int i;

	pattern(data, PACKET, SEED);
	stage_submit(ctx, notify(prep_read(&iocbs[0], endpoints->reader, buf,
					   PACKET, 0),
				 counter));
	stage_submit(ctx, prep_read(&iocbs[1], endpoints->reader, buf + PACKET,
				    PACKET, 0));
	for (i = 0; i < 2; i++)
		EXPECT_EQ(PACKET, endpoints_send(endpoints, data, PACKET));
	/* one worker ends them one after the other, and signals last */
	WAIT_FOR((signalled = eventfd_take(endpoints->eventfd)));
	EXPECT_EQ(1, signalled);
	EXPECT_EQ(1, eventfd_take(counter));
	EXPECT_EQ(2, ring_unread(ctx));
}

CASE(io_submit, resfd_functionfs_cancelled,
     "the same of requests that are cancelled",
     .clause = "io_submit.resfd.functionfs", .needs = "functionfs",
     .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(PACKET);
	aio_handle ctx = new_context(2);
	int counter = open_eventfd(0, EFD_NONBLOCK);
	uint64_t signalled;
	unsigned int i;

	stage_submit(ctx, notify(prep_read(&iocbs[0], endpoints->reader, buf,
					   PACKET, 0),
				 counter));
	stage_submit(ctx,
		     prep_read(&iocbs[1], endpoints->reader, buf, PACKET, 0));
	for (i = 0; i < 2; i++)
		EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[i], NULL));
	WAIT_FOR((signalled = eventfd_take(endpoints->eventfd)));
	EXPECT_EQ(1, signalled);
	EXPECT_EQ(1, eventfd_take(counter));
	EXPECT_EQ(2, ring_unread(ctx));
}
