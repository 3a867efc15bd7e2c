// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory that the kernel takes for a request and has to give back, when the
 * request ends and when it is refused. A server makes millions of both.
 */
#include <stdio.h>
#include <sys/uio.h>
#include <unistd.h>

#include "refusals.h"
#include "slope.h"

#define REQUESTS 20000
#define VECTORS	 2000
#define SOME	 400  /* where each takes its time */
#define SEGMENTS 1024 /* 16 bytes each, or 8 */

/* The caches of requests may be shared with others: only a slope tells. */
static long request_objects(void)
{
	long n = slab_objects("aio_kiocb");

	if (n < 0)
		SKIP("aio_kiocb is counted nowhere");
	return n;
}

/* KiB of memory in slabs that cannot be reclaimed. */
static long slab_kib(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	char line[100];
	long kib = -1;

	REQUIRE(f);
	slab_let_go();
	while (kib < 0 && fgets(line, sizeof(line), f))
		if (sscanf(line, "SUnreclaim: %ld", &kib) == 1)
			break;
	fclose(f);
	REQUIRE(kib >= 0);
	return kib;
}

CASE(io_submit, refused_memory_back, "a refused iocb keeps no memory",
     .clause = "io_submit.count.refused_leaves_nothing", .needs = "slab_counts",
     .serial = true)
{
	aio_handle ctx = new_context(1);
	const struct refusal *refusal;
	long before, i;
	struct iocb *iocb;
	int ends[2];

	open_pipe(ends, 0);
	before = request_objects();
	for_each_refusal(refusal) {
		iocb = new_refused(refusal, ends[1]);
		for (i = 0; i < REQUESTS / 10; i++)
			STAGE_EQ(-refusal->error, submit_one(ctx, iocb));
		EXPECT_LT(before + REQUESTS / 20, request_objects());
	}
}

CASE(io_submit, finished_memory_back, "a finished request keeps no memory",
     .clause = "io_submit.count", .needs = "eventfd slab_counts",
     .serial = true)
{
	int ready = open_eventfd(1, 0), later = open_eventfd(0, 0);
	aio_handle ctx = new_context(3);
	struct iocb iocbs[3], *list[3];
	struct io_event events[3];
	long before, i;
	int null = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));

	list[0] = prep_write(&iocbs[0], null, "x", 1, 0);
	list[1] = prep_poll(&iocbs[1], ready, POLLIN);
	list[2] = prep_poll(&iocbs[2], later, POLLIN);
	before = request_objects();
	for (i = 0; i < REQUESTS / 4; i++) {
		STAGE_EQ(3, aio->submit(ctx, 3, list));
		REQUIRE(write(later, &(uint64_t){ 1 }, 8) == 8);
		stage_reap(ctx, 3, events);
		eventfd_take(later);
	}
	EXPECT_LT(before + REQUESTS / 8, request_objects());
}

/* A full ring is noticed when the memory of the request is already there. */
CASE(io_submit, full_memory_back, "a request that found no slot keeps none",
     .clause = "io_submit.eagain.nothing_lost", .needs = "slab_counts",
     .serial = true)
{
	aio_handle ctx = new_context(1);
	struct iocb iocb;
	long room = ring_capacity(ring_of(ctx)->nr), before, i;

	prep_write(&iocb, keep(open("/dev/null", O_WRONLY | O_CLOEXEC)), "x", 1,
		   0);
	pin_to_cpu(0);
	for (i = 0; i < room && submit_one(ctx, &iocb) == 1; i++)
		;
	before = request_objects();
	for (i = 0; i < REQUESTS; i++)
		STAGE_EQ(-EAGAIN, submit_one(ctx, &iocb));
	EXPECT_LT(before + REQUESTS / 2, request_objects());
}

/* Arrays of segments over a few are copied into memory of their own. */
static void expect_vectors_of(int fd, int opcode, int64_t offset,
			      struct iovec first, long wanted, long times)
{
	struct iovec *iov = GUARDED_ARRAY(struct iovec, SEGMENTS);
	long kib = times * (long)(SEGMENTS * sizeof(*iov)) / 1024;
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	long before, i;

	iov[0] = first;
	prep_readv(&iocb, fd, iov, SEGMENTS, offset);
	iocb.aio_lio_opcode = (uint16_t)opcode;
	before = slab_kib();
	for (i = 0; i < times; i++) {
		EXPECT_EQ(wanted, submit_one(ctx, &iocb));
		if (wanted > 0)
			stage_reap(ctx, 1, &event);
	}
	EXPECT_LT(before + kib / 2, slab_kib());
}

static void expect_vectors_back(int fd, int opcode, int64_t offset, long wanted)
{
	char byte = 0;

	expect_vectors_of(fd, opcode, offset, (struct iovec){ &byte, 1 },
			  wanted, VECTORS);
}

CASE(io_submit, segments_memory_back,
     "the copy of the segments is freed when the request ends",
     .clause = "io_submit.vector_free", .needs = "slab_counts", .serial = true)
{
	int in = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	int out = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));

	expect_vectors_back(in, IOCB_CMD_PREADV, 0, 1);
	expect_vectors_back(out, IOCB_CMD_PWRITEV, 0, 1);
}

CASE(io_submit, segments_memory_back_direct,
     "so it is of a request that was in flight when the call returned",
     .clause = "io_submit.vector_free", .needs = "slab_counts", .serial = true,
     .on = ON_ANY)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	struct iovec block = { io_buffer(storage.block), storage.block };

	expect_vectors_of(storage.fd, IOCB_CMD_PREADV, storage.base, block, 1,
			  SOME);
	expect_vectors_of(storage.fd, IOCB_CMD_PWRITEV, storage.base, block, 1,
			  SOME);
}

CASE(io_submit, segments_memory_back_refused,
     "the copy of the segments is freed when the request is refused",
     .clause = "io_submit.count.refused_leaves_nothing", .needs = "slab_counts",
     .serial = true)
{
	int in = keep(open("/dev/zero", O_RDONLY | O_CLOEXEC));
	int out = keep(open("/dev/null", O_WRONLY | O_CLOEXEC));

	expect_vectors_back(in, IOCB_CMD_PREADV, -1, -EINVAL);
	expect_vectors_back(out, IOCB_CMD_PWRITEV, -1, -EINVAL);
}
