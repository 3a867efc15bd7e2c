// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The completion ring that io_setup(2) maps at the context's address. No uapi
 * header has it; this is struct aio_ring of fs/aio.c, fixed by its users.
 */
#ifndef AIOABI_RING_H
#define AIOABI_RING_H

#include "case.h"

#define AIO_RING_MAGIC		   0xa10a10a1u
#define AIO_RING_COMPAT_FEATURES   1
#define AIO_RING_INCOMPAT_FEATURES 0

#ifndef AIOABI_WITH_LIBAIO_H
struct aio_ring {
	unsigned int id;   /* index of the context in the process's table */
	unsigned int nr;   /* events that fit */
	unsigned int head; /* next to reap; user space may move it */
	unsigned int tail; /* next to be written; the kernel's */
	unsigned int magic;
	unsigned int compat_features;
	unsigned int incompat_features;
	unsigned int header_length;
	struct io_event events[];
};

/* ring_of() - the ring of a context. */
static inline volatile struct aio_ring *ring_of(aio_handle ctx)
{
	return (volatile struct aio_ring *)ctx;
}

/* possible_cpus() - how many CPUs the machine could ever have: its unit. */
unsigned int possible_cpus(void);

/*
 * ring_events_for() - how many events the ring of io_setup(nr_events) holds:
 * twice the larger of nr_events and four for each possible CPU, and two more,
 * with the header, rounded up to whole pages (aio_setup_ring(), ioctx_alloc()).
 */
unsigned int ring_events_for(unsigned int nr_events);

/* ring_size() - bytes of the mapping of a ring of that many events. */
size_t ring_size(unsigned int events);

/*
 * ring_batch() - how many of the places in a ring of that many events a CPU
 * takes at a time (ioctx_alloc()).
 */
unsigned int ring_batch(unsigned int events);

/*
 * ring_capacity() - how many requests, in flight or unreaped, such a ring takes
 * from one CPU: the batches that are in it. One place is always left empty.
 */
unsigned int ring_capacity(unsigned int events);

/* ring_unread() - events between head and tail. */
unsigned int ring_unread(aio_handle ctx);

/*
 * ring_reap() - take up to nr events in user space, as QEMU and fio do: read
 * between head and tail, then store head. Gives how many.
 */
unsigned int ring_reap(aio_handle ctx, struct io_event *events,
		       unsigned int nr);
#endif

#include "numbered.h"
#include "handle.h"

#endif
