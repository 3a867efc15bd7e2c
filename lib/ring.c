// SPDX-License-Identifier: GPL-2.0-or-later
#include "case.h"

#include <stdio.h>

#define RING_HEADER sizeof(struct aio_ring)

/* num_possible_cpus(), which the kernel gives only as a list of ranges. */
unsigned int possible_cpus(void)
{
	unsigned int n = 0, from, to;
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");

	REQUIRE(f);
	while (fscanf(f, "%u", &from) == 1) {
		to = from;
		if (fscanf(f, "-%u", &to) < 0)
			to = from;
		n += to - from + 1;
		if (fgetc(f) != ',')
			break;
	}
	fclose(f);
	REQUIRE(n);
	return n;
}

unsigned int ring_events_for(unsigned int nr_events)
{
	unsigned int least = possible_cpus() * 4;
	size_t wanted = nr_events > least ? nr_events : least;
	size_t bytes = RING_HEADER + (wanted * 2 + 2) * sizeof(struct io_event);
	size_t pages = (bytes + PAGE_SIZE - 1) / PAGE_SIZE;

	return (unsigned int)((pages * PAGE_SIZE - RING_HEADER) /
			      sizeof(struct io_event));
}

unsigned int ring_batch(unsigned int events)
{
	unsigned int batch = (events - 1) / (possible_cpus() * 4);

	return batch ? batch : 1;
}

unsigned int ring_capacity(unsigned int events)
{
	unsigned int batch = ring_batch(events);

	return (events - 1) / batch * batch;
}

size_t ring_size(unsigned int events)
{
	size_t bytes = RING_HEADER + events * sizeof(struct io_event);

	return (bytes + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

unsigned int ring_unread(aio_handle ctx)
{
	volatile struct aio_ring *ring = ring_of(ctx);
	unsigned int head = ring->head, tail = ring->tail;

	return tail >= head ? tail - head : ring->nr - head + tail;
}

unsigned int ring_reap(aio_handle ctx, struct io_event *events, unsigned int nr)
{
	volatile struct aio_ring *ring = ring_of(ctx);
	unsigned int head = ring->head, n = 0;

	while (n < nr && head != ring->tail) {
		/* the events up to tail are written before tail is */
		atomic_thread_fence(memory_order_acquire);
		memcpy(&events[n++], (void *)&ring->events[head],
		       sizeof(*events));
		head = (head + 1) % ring->nr;
	}
	/* and are read before their places are given back */
	atomic_thread_fence(memory_order_seq_cst);
	ring->head = head;
	return n;
}
