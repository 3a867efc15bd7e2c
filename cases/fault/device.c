// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Devices that truly fail: the error is the event's, never the call's, in each
 * way that a driver has to say it. Afterwards the context, the descriptor and
 * the same request are as good as new.
 */
#include <sys/eventfd.h>

#include "case.h"
#include "disk.h"
#include "fault.h"
#include "scenario.h"

#define LEN  4096      /* of a request: whole blocks everywhere */
#define STEP (2 * LEN) /* from one to the next, so that they stay apart */
#define SEED 71
#define ROOM 8

enum { FIRST, BAD, LAST, REQUESTS };

/* What stands on the device, and what is read from it or written to it. */
struct fixture {
	const char *point;
	bool writes;
	int fd;
	aio_handle ctx;
	struct iocb *iocbs;
	struct io_event *events;
	unsigned char *buf;
};

static struct fixture fixture_new(const char *point, bool writes)
{
	struct fixture fixture = { .point = point, .writes = writes };
	const char *path = fault_disk(point);
	unsigned int i;

	fixture.fd = keep(open(path, O_RDWR | O_DIRECT | O_CLOEXEC));
	fixture.ctx = new_context(ROOM);
	fixture.iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	fixture.events = GUARDED_ARRAY(struct io_event, REQUESTS);
	fixture.buf = io_buffer(REQUESTS * LEN);
	pattern(fixture.buf, REQUESTS * LEN, SEED);
	for (i = 0; i < REQUESTS; i++)
		REQUIRE(pwrite(fixture.fd, fixture.buf + i * LEN, LEN,
			       i * STEP) == LEN);
	return fixture;
}

static struct iocb *prepare(struct fixture *fixture, unsigned int i)
{
	unsigned char *buf = fixture->buf + i * LEN;

	if (fixture->writes)
		return prep_write(&fixture->iocbs[i], fixture->fd, buf, LEN,
				  i * STEP);
	memset(buf, 0, LEN);
	return prep_read(&fixture->iocbs[i], fixture->fd, buf, LEN, i * STEP);
}

/* All goes well, and the device has what it should. */
static void expect_whole(struct fixture *fixture)
{
	unsigned char *back = io_buffer(REQUESTS * LEN);
	struct iocb *list[REQUESTS];
	unsigned int i;

	for (i = 0; i < REQUESTS; i++)
		list[i] = prepare(fixture, i);
	ASSERT_EQ(REQUESTS, aio->submit(fixture->ctx, REQUESTS, list));
	ASSERT_EQ(REQUESTS, aio->getevents(fixture->ctx, REQUESTS, REQUESTS,
					   fixture->events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EVENT(find_event(fixture->events, REQUESTS, list[i]),
			     list[i], LEN);
	EXPECT_PATTERN(fixture->buf, REQUESTS * LEN, SEED);
	for (i = 0; i < REQUESTS; i++)
		REQUIRE(pread(fixture->fd, back + i * LEN, LEN, i * STEP) ==
			LEN);
	EXPECT_PATTERN(back, REQUESTS * LEN, SEED);
	EXPECT_EQ(0, ring_unread(fixture->ctx));
}

/* One that fails, told once; between two good ones if only its blocks are bad
 */
static void expect_error(struct fixture *fixture, int error, bool alone)
{
	int told = open_eventfd(0, EFD_NONBLOCK);
	struct iocb *bad = notify(prepare(fixture, BAD), told);
	struct iocb *list[] = { bad, prepare(fixture, FIRST),
				prepare(fixture, LAST) };
	long n = alone ? REQUESTS : 1, i;

	fault_once(fixture->point, error);
	ASSERT_EQ(n, aio->submit(fixture->ctx, n, list));
	fault_off(fixture->point);
	EXPECT_EQ(n, ring_unread(fixture->ctx));
	ASSERT_EQ(n, aio->getevents(fixture->ctx, n, REQUESTS, fixture->events,
				    NULL));
	for (i = 0; i < n; i++)
		EXPECT_EVENT(find_event(fixture->events, n, list[i]), list[i],
			     list[i] == bad ? -fault_disk_told() : LEN);
	EXPECT_EQ(1, eventfd_take(told));
	EXPECT_EQ(0, ring_unread(fixture->ctx));
	drop(told);
}

static void fails_and_recovers(const char *point, int error, bool writes,
			       bool alone)
{
	struct fixture fixture = fixture_new(point, writes);

	expect_whole(&fixture);
	expect_error(&fixture, error, alone);
	expect_whole(&fixture);
	expect_error(&fixture, error, alone);
	end_context(fixture.ctx);
	fixture.ctx = new_context(ROOM);
	expect_whole(&fixture);
	EXPECT_OK(aio->destroy(fixture.ctx));
}

#define ALL   false /* requests of the call fail */
#define ALONE true  /* the bad one fails */

/* needs: those of the point */
#define READ(name, point, error, alone, needs_, ...)                         \
	CASE(fault, device_##name##_read,                                    \
	     "a read that " point " fails is " #error " in its event, once", \
	     .clause = "ops.error.device", .fault = point,                   \
	     .needs = "eventfd " needs_, ##__VA_ARGS__)                      \
	{                                                                    \
		fails_and_recovers(point, error, false, alone);              \
	}
#define WRITE(name, point, error, alone, needs_, ...)                         \
	CASE(fault, device_##name##_write,                                    \
	     "a write that " point " fails is " #error " in its event, once", \
	     .clause = "ops.error.device", .fault = point,                    \
	     .needs = "eventfd " needs_, ##__VA_ARGS__)                       \
	{                                                                     \
		fails_and_recovers(point, error, true, alone);                \
	}

READ(error, "dm/error", EIO, ALL, "own_loop dm_error")
WRITE(error, "dm/error", EIO, ALL, "own_loop dm_error")
READ(flakey, "dm/flakey", EIO, ALL, "own_loop dm_flakey")
WRITE(flakey, "dm/flakey", EIO, ALL, "own_loop dm_flakey")
WRITE(flakey_writes, "dm/flakey/writes", EIO, ALL, "own_loop dm_flakey")
READ(dust, "dm/dust", EIO, ALONE, "own_loop dm_dust")
READ(null, "null_blk/badblocks", EIO, ALONE, "null_blk")
WRITE(null, "null_blk/badblocks", EIO, ALONE, "null_blk")
READ(medium, "scsi_debug/medium", ENODATA, ALONE, "scsi_debug", .serial = true)
READ(sense, "scsi_debug/sense", EREMOTEIO, ALL, "scsi_debug scsi_sense",
     .serial = true)
WRITE(sense, "scsi_debug/sense", ENOSPC, ALL, "scsi_debug scsi_sense",
      .serial = true)

/*
 * Whether the loop driver knows of the reason depends on the kernel; the event
 * says what a plain write is told.
 */
WRITE(full, "loop/full", EIO, ALONE, "own_loop own_mounts")

/* --- a whole life on such a device --- */

#define LIFE(name, point, error, hits, needs_, ...)                         \
	CASE(fault, device_##name##_life,                                   \
	     "a program lives with " point " at any time",                  \
	     .clause = "ops.error.device", .fault = point, .flavours = RAW, \
	     .needs = "eventfd " needs_, ##__VA_ARGS__)                     \
	{                                                                   \
		life_on_device(fault_disk(point));                          \
		EXPECT_EQ(hits, sweep(point, error, whole_life));           \
	}

LIFE(error, "dm/error", EIO, 2, "own_loop dm_error")
LIFE(flakey, "dm/flakey", EIO, 2, "own_loop dm_flakey")
LIFE(flakey_writes, "dm/flakey/writes", EIO, 1, "own_loop dm_flakey")
LIFE(dust, "dm/dust", EIO, 1, "own_loop dm_dust")
LIFE(null, "null_blk/badblocks", EIO, 2, "null_blk")
LIFE(medium, "scsi_debug/medium", ENODATA, 1, "scsi_debug", .serial = true)
LIFE(sense, "scsi_debug/sense", ENOSPC, 2, "scsi_debug scsi_sense",
     .serial = true)
LIFE(full, "loop/full", EIO, 1, "own_loop own_mounts")
