// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Setting the stage: contexts, requests, files and devices. What is opened
 * here is closed when the case ends; a descriptor more than before is a leak.
 */
#ifndef AIOABI_STAGE_H
#define AIOABI_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct iocb;
struct io_event;
struct iovec;

/* --- contexts (failures are of the kind stage) --- */

/* new_context() - io_setup(nr_events). */
unsigned long new_context(unsigned int nr_events);
/* end_context() - io_destroy(). */
void end_context(unsigned long ctx);
/* dead_context() - a handle that io_destroy() has taken, its ring gone. */
unsigned long dead_context(void);

#ifndef AIOABI_WITH_LIBAIO_H
/* submit_one() - io_submit() of one request: what the call gives. */
long submit_one(unsigned long ctx, struct iocb *iocb);
/* submit_one_of() - the same in a thread, by a struct one_submission. */
struct one_submission {
	unsigned long ctx;
	struct iocb *iocb;
	long result;
};
void *submit_one_of(void *submission);
/* stage_submit() - the same, as part of the stage: it must be accepted. */
void stage_submit(unsigned long ctx, struct iocb *iocb);
/* stage_reap() - wait for exactly n events. */
void stage_reap(unsigned long ctx, long n, struct io_event *events);
/*
 * stage_poll() - submit a POLL that stays in flight until end_poll() of the
 * eventfd that this gives. It completes with POLLIN.
 */
int stage_poll(unsigned long ctx, struct iocb *iocb);
void end_poll(int eventfd);
/* stage_events() - have n events in the ring, of these iocbs, in order. */
void stage_events(unsigned long ctx, unsigned int n, struct iocb *iocbs);
/* stage_ring_at() - turn an empty ring on until head and tail stand there. */
void stage_ring_at(unsigned long ctx, unsigned int place);
/*
 * let_worker_look() - let the kernel do what wake-ups of POLLs left to it.
 *
 * A kernel worker looks after plain wake-ups. A sync is work of the same queue,
 * done after what the same CPU has queued before: who is pinned to a CPU and
 * has seen the event of a sync knows that the worker has looked. Needs memfd.
 */
void let_worker_look(void);

/* prep_*() - an iocb from scratch, aio_data its own address. Gives it. */
struct iocb *prep_read(struct iocb *iocb, int fd, void *buf, size_t len,
		       int64_t offset);
struct iocb *prep_write(struct iocb *iocb, int fd, const void *buf, size_t len,
			int64_t offset);
struct iocb *prep_readv(struct iocb *iocb, int fd, const struct iovec *iov,
			size_t n, int64_t offset);
struct iocb *prep_writev(struct iocb *iocb, int fd, const struct iovec *iov,
			 size_t n, int64_t offset);
struct iocb *prep_fsync(struct iocb *iocb, int fd);
struct iocb *prep_fdsync(struct iocb *iocb, int fd);
struct iocb *prep_poll(struct iocb *iocb, int fd, unsigned int events);
/* notify() - count the completion on this eventfd. Gives iocb. */
struct iocb *notify(struct iocb *iocb, int eventfd);

/*
 * EXPECT_EVENT() - the event is of this request, with this result: obj is the
 * iocb's address, data its aio_data, res2 is 0.
 */
#define EXPECT_EVENT(event, iocb, result) \
	check_event(PLACE_(#event, HOW_EXPECT), (event), (iocb), (result))
bool check_event(const struct place *place, const struct io_event *event,
		 const struct iocb *iocb, long long result);
/*
 * EXPECT_COMPLETES() - wait for one event, and it is of this request, with this
 * result. EXPECT_COMPLETED() - the event is there already, and no other.
 */
#define EXPECT_COMPLETES(ctx, iocb, result)                                   \
	check_completes(PLACE_("event of " #iocb, HOW_EXPECT), (ctx), (iocb), \
			(result))
#define EXPECT_COMPLETED(ctx, iocb, result)                                   \
	check_completed(PLACE_("event of " #iocb, HOW_EXPECT), (ctx), (iocb), \
			(result))
bool check_completes(const struct place *place, unsigned long ctx,
		     const struct iocb *iocb, long long result);
bool check_completed(const struct place *place, unsigned long ctx,
		     const struct iocb *iocb, long long result);
/* find_event() - the first event of a request among n, or NULL. */
struct io_event *find_event(struct io_event *events, long n,
			    const struct iocb *iocb);
#endif

/* --- descriptors, closed at the end --- */

/* keep() - have this one closed at the end, too. Broken if negative. */
int keep(int fd);
/*
 * dup_high() - the same file again, under a number of more than 16 bits, or
 * the highest that the limit on descriptors allows. Raises the soft limit.
 */
int dup_high(int fd);
/* drop() - close a kept one now. */
void drop(int fd);
int open_eventfd(unsigned int initial, int flags);
/* eventfd_take() - read it: the sum, 0 when there is none and nonblocking. */
uint64_t eventfd_take(int fd);
/* open_pipe() - [0] to read, [1] to write; flags as pipe2(2). */
void open_pipe(int ends[2], int flags);
/* open_sockets() - a connected pair of stream sockets of AF_UNIX. */
void open_sockets(int ends[2]);
/* open_message_sockets() - a connected pair that keeps messages apart. */
void open_message_sockets(int ends[2]);
/*
 * scratch_file() - a file of this case's own, in the directory under test,
 * made if need be; flags as open(2), O_CREAT and mode 0600 added.
 */
int scratch_file(const char *name, int flags);
/* scratch_path() - its path, in a buffer that the next call overwrites. */
const char *scratch_path(const char *name);

/* --- the device under test --- */

struct storage {
	int fd;
	int64_t base; /* this case's own region, in bytes from the start */
	size_t len;   /* and its length, a MiB at least */
	unsigned int block;	    /* logical block size */
	unsigned int dma_alignment; /* of memory, in bytes; 0: unknown */
	bool is_block_device;
	int64_t size; /* of the whole device, or of the file */
	const char *path;
};

/*
 * open_storage() - open the device under test, or a file on it, with these
 * flags of open(2). Only base to base + len is this case's own, unless it is
 * a serial one.
 */
struct storage open_storage(int flags);
/* device_name() - the name of the device under test, as in the records. */
const char *device_name(void);

/* --- the system --- */

/* aio_nr() - fs.aio-nr now. A serial case may trust it. */
long aio_nr(void);
/* EXPECT_QUOTA_BACK() - fs.aio-nr is what it was when the case began. */
#define EXPECT_QUOTA_BACK() EXPECT_EQ(aio_nr_at_start(), aio_nr())
long aio_nr_at_start(void);

#define NOBODY 65534 /* a user without any right of its own */

/* sysctl_get(), sysctl_set() - a number below /proc/sys ("fs/aio-max-nr"). */
long sysctl_get(const char *name);
/*
 * sysctl_set() - change it for this case, which must be serial: put back at
 * the end, by the executor or the next one if this one is killed.
 */
void sysctl_set(const char *name, long value);
/* file_number() - the number at the start of a file; -1 if unreadable. */
long file_number(const char *path);

/* at_end() - run fn(arg) when the case ends by itself; last come, first run. */
void at_end(void (*fn)(void *arg), void *arg);
/*
 * at_death() - run fn(fd) when this thread, the case's first, is gone, however
 * it went: in a process of its own, which has the descriptors of now.
 */
void at_death(void (*fn)(int fd), int fd);

#include "trap.h"
#include "waiter.h"

/*
 * rounds() - how often a loop goes round of which no single round matters: so
 * often, and on a machine that is much slower than an emulated one is mostly
 * (a KASAN kernel in it) less, down to a tenth.
 */
unsigned int rounds(unsigned int wanted);
extern double machine_slowness; /* 1: as fast as most */

#endif
