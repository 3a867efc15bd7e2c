// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The second result of an event was the first once more where FunctionFS had
 * completed the request, as long as a driver could give one.
 */
#include "case.h"
#include "functionfs.h"

#define PACKET ENDPOINT_PACKET
#define SHORT  100

CASE(ops, event_res2_functionfs,
     "res2 is the result once more, of success and of failure",
     .clause = "ops.event.res2_functionfs", .needs = "functionfs",
     .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	unsigned char *buf = io_buffer(PACKET);
	unsigned char data[PACKET] = { 0 };
	aio_handle ctx = new_context(2);
	struct io_event events[2];
	unsigned int i;

	for (i = 0; i < 2; i++)
		stage_submit(ctx, prep_read(&iocbs[i], endpoints->reader, buf,
					    PACKET, 0));
	EXPECT_EQ(PACKET, endpoints_send(endpoints, data, PACKET));
	stage_reap(ctx, 1, &events[0]);
	EXPECT_ERR(EINPROGRESS, aio->cancel(ctx, &iocbs[1], NULL));
	stage_reap(ctx, 1, &events[1]);
	EXPECT_EQ(PACKET, events[0].res);
	EXPECT_EQ(PACKET, events[0].res2);
	EXPECT_EQ(-ECONNRESET, events[1].res);
	EXPECT_EQ(-ECONNRESET, events[1].res2);
}

CASE(ops, event_res_functionfs,
     "a packet that is shorter than the read ends it with its length",
     .clause = "ops.event.res", .needs = "functionfs", .flavours = RAW)
{
	struct endpoints *endpoints = endpoints_open();
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PACKET);
	unsigned char data[SHORT];
	aio_handle ctx = new_context(1);
	struct io_event event;

	pattern(data, SHORT, 1);
	stage_submit(ctx, prep_read(iocb, endpoints->reader, buf, PACKET, 0));
	EXPECT_EQ(SHORT, endpoints_send(endpoints, data, SHORT));
	reap_endpoints(ctx, 1, &event);
	EXPECT_EVENT(&event, iocb, SHORT);
	EXPECT_PATTERN(buf, SHORT, 1);
}
