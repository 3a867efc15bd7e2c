// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program that writes consecutive integers block by block and reads them back
 * has their sum: whatever is lost, doubled or mixed up on the way changes it.
 */
#include <stdlib.h>

#include "case.h"

#define IN_FLIGHT  100
#define BLOCKS_MAX 256

struct program {
	aio_handle ctx;
	struct storage storage;
	unsigned int blocks;
	unsigned int per_block; /* integers */
	long min_nr, nr;
	/* a request and a buffer for each that can be in flight */
	struct iocb *iocbs;
	unsigned char *buffers;
	unsigned int idle[IN_FLIGHT], idle_count;
	uint64_t sum;
};

static uint32_t *buffer_of(const struct program *program, unsigned int slot)
{
	return (uint32_t *)(program->buffers +
			    (size_t)slot * program->storage.block);
}

static int64_t offset_of(const struct program *program, unsigned int block)
{
	return program->storage.base + (int64_t)block * program->storage.block;
}

/* The integers of a block, and where they go to or come from. */
static struct iocb *prepare(struct program *program, unsigned int slot,
			    unsigned int block, bool writing)
{
	struct iocb *iocb = &program->iocbs[slot];
	uint32_t *numbers = buffer_of(program, slot);
	unsigned int i;

	if (!writing) {
		memset(numbers, 0xff, program->storage.block);
		return prep_read(iocb, program->storage.fd, numbers,
				 program->storage.block,
				 offset_of(program, block));
	}
	for (i = 0; i < program->per_block; i++)
		numbers[i] = block * program->per_block + i;
	return prep_write(iocb, program->storage.fd, numbers,
			  program->storage.block, offset_of(program, block));
}

/* Submit while there are blocks and idle requests; gives how many. */
static unsigned int submit_more(struct program *program, unsigned int *next,
				bool writing)
{
	struct iocb *list[IN_FLIGHT];
	unsigned int n = 0, done = 0;
	long result;

	while (*next < program->blocks && program->idle_count)
		list[n++] = prepare(program,
				    program->idle[--program->idle_count],
				    (*next)++, writing);
	while (done < n) {
		result = aio->submit(program->ctx, n - done, list + done);
		ASSERT_TRUE(result > 0);
		done += (unsigned int)result;
	}
	return n;
}

static void take(struct program *program, const struct io_event *event,
		 bool writing)
{
	const struct iocb *iocb = (struct iocb *)(uintptr_t)event->obj;
	unsigned int slot = (unsigned int)(iocb - program->iocbs), i;

	ASSERT_TRUE(slot < IN_FLIGHT);
	EXPECT_EVENT(event, iocb, program->storage.block);
	for (i = 0; i < program->per_block && !writing; i++)
		program->sum += buffer_of(program, slot)[i];
	program->idle[program->idle_count++] = slot;
}

static void pass_over(struct program *program, bool writing)
{
	struct io_event events[IN_FLIGHT];
	unsigned int next = 0, in_flight = 0;
	long got, min_nr, i;

	program->idle_count = 0;
	while (program->idle_count < IN_FLIGHT) {
		program->idle[program->idle_count] = program->idle_count;
		program->idle_count++;
	}
	while (next < program->blocks || in_flight) {
		in_flight += submit_more(program, &next, writing);
		min_nr = program->min_nr < (long)in_flight ? program->min_nr
							   : (long)in_flight;
		got = aio->getevents(program->ctx, min_nr, program->nr, events,
				     NULL);
		ASSERT_TRUE(got >= min_nr && got <= program->nr);
		for (i = 0; i < got; i++)
			take(program, &events[i], writing);
		in_flight -= (unsigned int)got;
	}
}

static void run(long min_nr, long nr)
{
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	uint64_t n;
	struct program program = {
		.ctx = new_context(IN_FLIGHT),
		.storage = storage,
		.blocks = (unsigned int)(storage.len / storage.block),
		.per_block = storage.block / sizeof(uint32_t),
		.min_nr = min_nr,
		.nr = nr,
		.iocbs = GUARDED_ARRAY(struct iocb, IN_FLIGHT),
		.buffers = io_buffer((size_t)IN_FLIGHT * storage.block),
	};

	if (program.blocks > BLOCKS_MAX)
		program.blocks = BLOCKS_MAX;
	n = (uint64_t)program.blocks * program.per_block;
	pass_over(&program, true);
	pass_over(&program, false);
	EXPECT_EQ(n * (n - 1) / 2, program.sum);
}

#define ALL (RAW | LIBAIO | PGETEVENTS)

CASE(programs, sum_one_by_one, "the sum is right, reaped one by one",
     .clause = "programs.sum", .on = ON_ANY, .every_device = true,
     .flavours = ALL)
{
	run(1, 1);
}

CASE(programs, sum_as_they_come, "the sum is right, reaped as they come",
     .clause = "programs.sum", .on = ON_ANY, .every_device = true,
     .flavours = ALL)
{
	run(1, IN_FLIGHT);
}

CASE(programs, sum_some, "the sum is right, reaped some at a time",
     .clause = "programs.sum", .on = ON_ANY, .every_device = true,
     .flavours = ALL)
{
	run(7, 13);
}

CASE(programs, sum_all, "the sum is right, reaped all at a time",
     .clause = "programs.sum", .on = ON_ANY, .every_device = true,
     .flavours = ALL)
{
	run(IN_FLIGHT, IN_FLIGHT);
}
