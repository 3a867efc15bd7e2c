// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * FSYNC and FDSYNC: what they take, whose they are, and what they say.
 *
 * A database that gets 0 here believes that its data will survive a crash; one
 * that is told nothing of an error loses it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"
#include "held.h"
#include "own.h"

#define LEN  16384
#define SEED 3

/* Either of the two requests. */
struct sync {
	struct iocb *(*prep)(struct iocb *iocb, int fd);
};
static const struct sync syncs[] = { { prep_fsync }, { prep_fdsync } };
#define SYNCS 2

static void expect_synced(int fd)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int i;

	for (i = 0; i < SYNCS; i++) {
		ASSERT_EQ(1, submit_one(ctx, syncs[i].prep(iocb, fd)));
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, fsync, "FSYNC of a file completes with 0",
     .clause = "ops.fsync.success", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR);

	REQUIRE(write(fd, "data", 4) == 4);
	ASSERT_EQ(1, submit_one(ctx, prep_fsync(iocb, fd)));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, fdsync, "FDSYNC of a file completes with 0",
     .clause = "ops.fsync.success", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR);

	REQUIRE(write(fd, "data", 4) == 4);
	ASSERT_EQ(1, submit_one(ctx, prep_fdsync(iocb, fd)));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, fsync_data_field, "the event has the request's data",
     .clause = "ops.fsync.success")
{
	aio_handle ctx = new_context(SYNCS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, SYNCS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, SYNCS);
	int fd = scratch_file("file", O_RDWR), i;

	for (i = 0; i < SYNCS; i++) {
		syncs[i].prep(&iocbs[i], fd);
		iocbs[i].aio_data = 0x0123456789abcdefull + (unsigned int)i;
		ASSERT_EQ(1, submit_one(ctx, &iocbs[i]));
	}
	ASSERT_EQ(SYNCS, aio->getevents(ctx, SYNCS, SYNCS, events, NULL));
	for (i = 0; i < SYNCS; i++)
		EXPECT_EVENT(find_event(events, SYNCS, &iocbs[i]), &iocbs[i],
			     0);
}

CASE(ops, fsync_fields, "a buffer, a length, an offset or flags are refused",
     .clause = "ops.fsync.einval.fields")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd = scratch_file("file", O_RDWR), i;

	for (i = 0; i < SYNCS; i++) {
		syncs[i].prep(iocb, fd)->aio_buf = 1;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		syncs[i].prep(iocb, fd)->aio_nbytes = 1;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		syncs[i].prep(iocb, fd)->aio_offset = 1;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		syncs[i].prep(iocb, fd)->aio_offset = LLONG_MIN;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
		syncs[i].prep(iocb, fd)->aio_rw_flags = 1;
		EXPECT_ERR(EINVAL, submit_one(ctx, iocb));
	}
	EXPECT_EQ(0, ring_unread(ctx));
}

static void expect_no_fsync(int fd)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int i;

	for (i = 0; i < SYNCS; i++)
		EXPECT_ERR(EINVAL, submit_one(ctx, syncs[i].prep(iocb, fd)));
	EXPECT_EQ(0, ring_unread(ctx));
}

CASE(ops, fsync_pipe, "a pipe cannot be synced",
     .clause = "ops.fsync.einval.no_fsync")
{
	int ends[2];

	open_pipe(ends, 0);
	expect_no_fsync(ends[0]);
	expect_no_fsync(ends[1]);
}

CASE(ops, fsync_socket, "a socket cannot be synced",
     .clause = "ops.fsync.einval.no_fsync", .needs = "unix_sockets")
{
	int ends[2];

	open_sockets(ends);
	expect_no_fsync(ends[0]);
}

CASE(ops, fsync_dev_null, "/dev/null cannot be synced",
     .clause = "ops.fsync.einval.no_fsync")
{
	expect_no_fsync(keep(open("/dev/null", O_RDWR | O_CLOEXEC)));
}

CASE(ops, fsync_eventfd, "an eventfd cannot be synced",
     .clause = "ops.fsync.einval.no_fsync", .needs = "eventfd")
{
	expect_no_fsync(open_eventfd(0, 0));
}

CASE(ops, fsync_directory, "a directory can be synced",
     .clause = "ops.fsync.directory", .on = ON_FILE, .every_device = true)
{
	expect_synced(keep(
		open(scratch_path("."), O_RDONLY | O_DIRECTORY | O_CLOEXEC)));
}

CASE(ops, fsync_read_only_fd,
     "a descriptor that is open for reading only can be synced",
     .clause = "ops.fsync.read_only_fd", .on = ON_FILE, .every_device = true)
{
	scratch_file("file", O_RDWR);
	expect_synced(scratch_file("file", O_RDONLY));
}

CASE(ops, fsync_write_only_fd, "so can one that is open for writing only",
     .clause = "ops.fsync.success")
{
	expect_synced(scratch_file("file", O_WRONLY));
}

CASE(ops, fsync_memfd, "a memory file can be synced",
     .clause = "ops.fsync.success", .needs = "memfd")
{
	expect_synced(keep(memfd_create("aioabi", MFD_CLOEXEC)));
}

CASE(ops, fsync_block_device,
     "a block device can be synced, and has what was buffered then",
     .clause = "ops.fsync.block_device", .on = ON_BLOCK, .every_device = true)
{
	struct storage storage = open_storage(O_RDWR);
	unsigned char *buf = io_buffer(LEN);

	pattern(buf, LEN, SEED);
	REQUIRE(pwrite(storage.fd, buf, LEN, storage.base) == LEN);
	expect_synced(storage.fd);
	memset(buf, 0, LEN);
	REQUIRE(pread(storage.fd, buf, LEN, storage.base) == LEN);
	EXPECT_PATTERN(buf, LEN, SEED);
}

/*
 * Dirty pages far apart, in one sync: a range whose end was cut to 32 bits, of
 * bytes or of pages, would leave the last ones where they are.
 */
CASE(ops, fsync_far, "what was written beyond 2 GiB, 4 GiB, 16 TiB is synced",
     .clause = "ops.fsync.far", .needs = "own_loop memfd")
{
	static const off_t places[] = { 0, 1ll << 31, 5ll << 30, 17ll << 40 };
	enum { PLACES = sizeof(places) / sizeof(places[0]) };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	unsigned char *buf = io_buffer(PAGE_SIZE);
	int backing = keep(memfd_create("aioabi", MFD_CLOEXEC));
	int fd, i, k;

	REQUIRE(!ftruncate(backing, 18ll << 40));
	fd = keep(open(own_loop_over(backing, 512), O_RDWR | O_CLOEXEC));
	for (i = 0; i < SYNCS; i++) {
		ROUND("%s", i ? "FDSYNC" : "FSYNC");
		pattern(buf, PAGE_SIZE, SEED + (uint32_t)i);
		for (k = 0; k < PLACES; k++)
			REQUIRE(pwrite(fd, buf, PAGE_SIZE, places[k]) ==
				(ssize_t)PAGE_SIZE);
		ASSERT_EQ(1, submit_one(ctx, syncs[i].prep(iocb, fd)));
		EXPECT_COMPLETES(ctx, iocb, 0);
		for (k = 0; k < PLACES; k++) {
			ROUND("%s at %lld", i ? "FDSYNC" : "FSYNC",
			      (long long)places[k]);
			REQUIRE(pread(backing, buf, PAGE_SIZE, places[k]) ==
				(ssize_t)PAGE_SIZE);
			EXPECT_PATTERN(buf, PAGE_SIZE, SEED + (uint32_t)i);
		}
	}
}

CASE(ops, fsync_fd_closed, "the descriptor may be closed at once",
     .clause = "ops.fsync.fd_closed", .on = ON_FILE, .every_device = true)
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	int fd, i;

	for (i = 0; i < SYNCS; i++) {
		fd = scratch_file("file", O_RDWR);
		REQUIRE(write(fd, "data", 4) == 4);
		ASSERT_EQ(1, submit_one(ctx, syncs[i].prep(iocb, fd)));
		drop(fd);
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}

CASE(ops, fsync_many, "a hundred of them: each completes, once",
     .clause = "ops.order.once")
{
	enum { REQUESTS = 100 };
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct iocb *list[REQUESTS];
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	int fd = scratch_file("file", O_RDWR), i;

	for (i = 0; i < REQUESTS; i++)
		list[i] = syncs[i % SYNCS].prep(&iocbs[i], fd);
	ASSERT_EQ(REQUESTS, aio->submit(ctx, REQUESTS, list));
	ASSERT_EQ(REQUESTS,
		  aio->getevents(ctx, REQUESTS, REQUESTS, events, NULL));
	for (i = 0; i < REQUESTS; i++)
		EXPECT_EVENT(find_event(events, REQUESTS, &iocbs[i]), &iocbs[i],
			     0);
	EXPECT_EQ(0, ring_unread(ctx));
}

/* --- by a file system that this program is --- */

CASE(ops, fsync_asynchronous, "the call does not wait for the sync",
     .clause = "ops.fsync.asynchronous", .needs = "held")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	for (i = 0; i < SYNCS; i++) {
		hold(held, HOLD_SYNCS);
		ASSERT_EQ(1, submit_one(ctx, syncs[i].prep(iocb, fd)));
		held_wait(held, 1);
		EXPECT_EQ(0, ring_unread(ctx));
		release_all(held);
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}

CASE(ops, fsync_read_only_asked,
     "for a descriptor that only reads the file system is asked, too",
     .clause = "ops.fsync.read_only_fd", .needs = "held")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct held *held;
	char path[40];
	int fd, i;

	held = held_open(&fd);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = keep(open(path, O_RDONLY | O_CLOEXEC));
	for (i = 0; i < SYNCS; i++) {
		hold(held, HOLD_SYNCS);
		ASSERT_EQ(1, submit_one(ctx, syncs[i].prep(iocb, fd)));
		held_wait(held, 1);
		release_all(held);
		EXPECT_COMPLETES(ctx, iocb, 0);
	}
}

CASE(ops, fsync_overtakes, "a sync that lasts holds up none of another file",
     .clause = "ops.fsync.asynchronous", .needs = "held", .on = ON_FILE)
{
	aio_handle ctx = new_context(2), other = new_context(1);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	int fd, i, file = scratch_file("file", O_RDWR);
	struct held *held;

	held = held_open(&fd);
	for (i = 0; i < SYNCS; i++) {
		hold(held, HOLD_SYNCS);
		ASSERT_EQ(1, submit_one(ctx, syncs[i].prep(&iocbs[0], fd)));
		held_wait(held, 1);
		ASSERT_EQ(1, submit_one(ctx, prep_fsync(&iocbs[1], file)));
		EXPECT_COMPLETES(ctx, &iocbs[1], 0);
		ASSERT_EQ(1, submit_one(other, prep_fdsync(&iocbs[1], file)));
		EXPECT_COMPLETES(other, &iocbs[1], 0);
		EXPECT_EQ(0, ring_unread(ctx));
		release_all(held);
		EXPECT_COMPLETES(ctx, &iocbs[0], 0);
	}
}

/* What was written after the first began must be synced by the second. */
CASE(ops, fsync_each,
     "a sync beside one of the same file that lasts is its own",
     .clause = "ops.fsync.each", .needs = "held")
{
	aio_handle ctx = new_context(2);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct held *held;
	int fd, first, second;

	held = held_open(&fd);
	for (first = 0; first < SYNCS; first++) {
		for (second = 0; second < SYNCS; second++) {
			ROUND("%d, then %d", first, second);
			hold(held, HOLD_SYNCS);
			ASSERT_EQ(1, submit_one(ctx, syncs[first].prep(
							     &iocbs[0], fd)));
			held_wait(held, 1);
			ASSERT_EQ(1, submit_one(ctx, syncs[second].prep(
							     &iocbs[1], fd)));
			EXPECT_EQ(0, ring_unread(ctx));
			release_at(held, -1, 0);
			/* the server is asked again */
			held_wait(held, 1);
			EXPECT_COMPLETES(ctx, &iocbs[0], 0);
			EXPECT_EQ(second, held_last_sync(held).datasync);
			release_all(held);
			EXPECT_COMPLETES(ctx, &iocbs[1], 0);
		}
	}
}

CASE(ops, fsync_error, "the error of the sync is the event's",
     .clause = "ops.fsync.error", .needs = "held")
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct held *held;
	size_t k;
	int fd, i;

	held = held_open(&fd);
	for (i = 0; i < SYNCS; i++)
		for (k = 0; k < sizeof(errors) / sizeof(errors[0]); k++) {
			hold(held, HOLD_SYNCS);
			ASSERT_EQ(1, submit_one(ctx, syncs[i].prep(iocb, fd)));
			held_wait(held, 1);
			release_at(held, -1, errors[k]);
			EXPECT_COMPLETES(ctx, iocb, -errors[k]);
		}
}

CASE(ops, fsync_datasync, "FDSYNC asks for the data only, FSYNC for all",
     .clause = "ops.fsync.datasync", .needs = "held")
{
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct held *held;
	int fd;

	held = held_open(&fd);
	ASSERT_EQ(1, submit_one(ctx, prep_fsync(iocb, fd)));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_EQ(0, held_last_sync(held).datasync);
	ASSERT_EQ(1, submit_one(ctx, prep_fdsync(iocb, fd)));
	EXPECT_COMPLETES(ctx, iocb, 0);
	EXPECT_EQ(1, held_last_sync(held).datasync);
}

CASE(ops, fsync_creds, "the sync is done with the submitter's credentials",
     .clause = "ops.fsync.creds", .needs = "held root")
{
	enum { USER = 12345, GROUP = 54321 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct held *held;
	int fd, i;

	held = held_open(&fd);
	for (i = 0; i < 2; i++) {
		ROUND("%s", i ? "FDSYNC" : "FSYNC");
		(i ? prep_fdsync : prep_fsync)(iocb, fd);
		setfsgid(GROUP);
		setfsuid(USER);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
		EXPECT_EQ(USER, held_last_sync(held).uid);
		EXPECT_EQ(GROUP, held_last_sync(held).gid);
		setfsuid(0);
		setfsgid(0);
		ASSERT_EQ(1, submit_one(ctx, iocb));
		EXPECT_COMPLETES(ctx, iocb, 0);
		EXPECT_EQ(0, held_last_sync(held).uid);
		EXPECT_EQ(0, held_last_sync(held).gid);
	}
}

/* What a worker does next for AIO it does as itself again. */
CASE(ops, fsync_creds_given_back,
     "and they are the worker's no longer when it has done the sync",
     .clause = "ops.fsync.creds", .needs = "held root")
{
	enum { USER = 12345, ROUNDS = 20 };
	aio_handle ctx = new_context(1);
	struct iocb *iocb = GUARDED(struct iocb);
	struct held *held;
	unsigned int i;
	int fd;

	/* so that it is one worker, mostly */
	pin_to_cpu(0);
	held = held_open(&fd);
	for (i = 0; i < ROUNDS; i++) {
		ROUND("round %u", i);
		setfsuid(USER);
		ASSERT_EQ(1, submit_one(ctx, prep_fsync(iocb, fd)));
		EXPECT_COMPLETES(ctx, iocb, 0);
		setfsuid(0);
		held_ready(held, 0);
		stage_submit(ctx, prep_poll(iocb, fd, POLLIN));
		held_ready(held, POLLIN);
		held_wake(held);
		EXPECT_COMPLETES(ctx, iocb, POLLIN);
		ASSERT_EQ(0, held_asker(held));
	}
}

/* Each sync waits for the one before it, in a worker of its own. */
CASE(ops, fsync_beside_many,
     "a sync does not wait for many that hang elsewhere",
     .clause = "ops.fsync.asynchronous", .needs = "held", .on = ON_FILE)
{
	enum { HANGING = 40 };
	aio_handle ctx = new_context(HANGING + 1), other = new_context(1);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, HANGING + 1);
	struct io_event *events = GUARDED_ARRAY(struct io_event, HANGING);
	int file = scratch_file("file", O_RDWR), fd;
	struct held *held;
	unsigned int i;

	pin_to_cpu(0);
	held = held_open(&fd);
	hold(held, HOLD_SYNCS);
	for (i = 0; i < HANGING; i++)
		ASSERT_EQ(1, submit_one(ctx, prep_fsync(&iocbs[i], fd)));
	held_wait(held, 1);
	ASSERT_EQ(1, submit_one(other, prep_fsync(&iocbs[i], file)));
	EXPECT_COMPLETES(other, &iocbs[i], 0);
	EXPECT_EQ(0, ring_unread(ctx));
	release_all(held);
	ASSERT_EQ(HANGING, aio->getevents(ctx, HANGING, HANGING, events, NULL));
}

struct syncer {
	aio_handle ctx;
	struct iocb *iocb;
	unsigned int user;
};

/* setfsuid(2) is for the calling thread alone. */
static void *sync_as(void *arg)
{
	struct syncer *syncer = arg;

	setfsuid(syncer->user);
	return (void *)submit_one(syncer->ctx, syncer->iocb);
}

CASE(ops, fsync_creds_of_thread, "those of the thread that submits it",
     .clause = "ops.fsync.creds", .needs = "held root")
{
	enum { USER = 12345, OTHER = 23456 };
	struct iocb *iocb = GUARDED(struct iocb);
	struct syncer syncer = { new_context(1), iocb, USER };
	struct held *held;
	int fd;

	held = held_open(&fd);
	prep_fsync(iocb, fd);
	hold(held, HOLD_SYNCS);
	ASSERT_EQ(1, (long)thread_join(thread_run(sync_as, &syncer)));
	held_wait(held, 1);
	/* nothing is left of the thread when its sync ends */
	end_context(new_context(1));
	release_all(held);
	EXPECT_COMPLETES(syncer.ctx, iocb, 0);
	EXPECT_EQ(USER, held_last_sync(held).uid);
	/* with the first thread's, who made the context, different again */
	setfsuid(OTHER);
	ASSERT_EQ(1, (long)thread_join(thread_run(sync_as, &syncer)));
	EXPECT_COMPLETES(syncer.ctx, iocb, 0);
	EXPECT_EQ(USER, held_last_sync(held).uid);
	setfsuid(0);
}

CASE(ops, fsync_creds_of_then, "and not with those that it has by then",
     .clause = "ops.fsync.creds", .needs = "held root")
{
	enum { USER = 12345 };
	aio_handle ctx = new_context(2);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, 2);
	struct io_event *events = GUARDED_ARRAY(struct io_event, 2);
	struct held *held;
	int fd;

	held = held_open(&fd);
	hold(held, HOLD_SYNCS);
	/* of one file: the second is not begun before the first is done */
	setfsuid(USER);
	ASSERT_EQ(1, submit_one(ctx, prep_fsync(&iocbs[0], fd)));
	ASSERT_EQ(1, submit_one(ctx, prep_fsync(&iocbs[1], fd)));
	setfsuid(0);
	release_all(held);
	ASSERT_EQ(2, aio->getevents(ctx, 2, 2, events, NULL));
	EXPECT_EQ(USER, held_last_sync(held).uid);
}
