// SPDX-License-Identifier: GPL-2.0-or-later
#include "held.h"

#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/mount.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"
#include "needs.h"

#define FILE_NODE    2
#define HELD_MAX     4096
#define REQUEST_ROOM (HELD_SIZE + 64 * 1024)
#define BACKGROUND   1024 /* requests that the kernel sends at once */
#define SYNC_OFFSET  (-1)

/* What the case asks of the server, one at a time through a pipe. */
struct order {
	int64_t offset;
	int error;
	bool all;
	bool wake;
};

struct held {
	atomic_uint kinds;  /* held when they come */
	atomic_uint count;  /* held now */
	atomic_uint served; /* orders that are done */
	atomic_uint ready;  /* poll(2) events */
	atomic_uint polls;  /* that came */
	atomic_uint asked;  /* by the last of them */
	atomic_uint asker;  /* its user */
	int orders[2];
	unsigned int ordered;
	pid_t server;
	struct held_sync last_sync;
	unsigned char data[HELD_SIZE];
};

/* A request that waits for its reply. */
struct pending {
	uint64_t unique;
	int64_t offset;
	uint32_t opcode, size;
	uint32_t ready; /* of a poll, when it came */
};

static struct pending pending[HELD_MAX];
static unsigned int pending_count, polls_held;
static uint64_t polled; /* the kernel's name for the file in use */
static int fuse;

/* --- the server --- */

static void reply(uint64_t unique, int error, const void *data, size_t size)
{
	static char buf[sizeof(struct fuse_out_header) + HELD_SIZE];
	struct fuse_out_header header = {
		.len = (uint32_t)(sizeof(header) + (error ? 0 : size)),
		.error = -error,
		.unique = unique,
	};

	memcpy(buf, &header, sizeof(header));
	if (!error && size)
		memcpy(buf + sizeof(header), data, size);
	/* ENOENT: the request was given up meanwhile */
	if (write(fuse, buf, header.len) < 0 && errno != ENOENT)
		_exit(1);
}

static void attributes(struct fuse_attr *attr, uint64_t node)
{
	memset(attr, 0, sizeof(*attr));
	attr->ino = node;
	attr->mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700;
	attr->nlink = 1;
	attr->size = node == FILE_NODE ? HELD_SIZE : 0;
	attr->blksize = HELD_BLOCK;
}

static void serve_init(uint64_t unique, const struct fuse_init_in *in)
{
	struct fuse_init_out out = {
		.major = FUSE_KERNEL_VERSION,
		.minor = in->minor < FUSE_KERNEL_MINOR_VERSION
				 ? in->minor
				 : FUSE_KERNEL_MINOR_VERSION,
		.max_readahead = 0,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_ASYNC_DIO |
				      FUSE_BIG_WRITES | FUSE_MAX_PAGES),
		.max_background = BACKGROUND,
		.congestion_threshold = BACKGROUND,
		.max_write = HELD_SIZE,
		.max_pages = HELD_SIZE / 4096,
		.time_gran = 1,
	};

	reply(unique, 0, &out, sizeof(out));
}

static void serve_entry(uint64_t unique)
{
	struct fuse_entry_out out = { .nodeid = FILE_NODE };

	out.entry_valid = out.attr_valid = 1000;
	attributes(&out.attr, FILE_NODE);
	reply(unique, 0, &out, sizeof(out));
}

static void serve_attr(uint64_t unique, uint64_t node)
{
	struct fuse_attr_out out = { .attr_valid = 1000 };

	attributes(&out.attr, node);
	reply(unique, 0, &out, sizeof(out));
}

/* End a read, write or sync: the data of a write stands in the file already. */
static void finish(struct held *held, const struct pending *request, int error)
{
	struct fuse_write_out written = { .size = request->size };
	struct fuse_poll_out ready = { .revents = request->ready };

	switch (request->opcode) {
	case FUSE_READ:
		reply(request->unique, error, held->data + request->offset,
		      request->size);
		break;
	case FUSE_WRITE:
		reply(request->unique, error, &written, sizeof(written));
		break;
	case FUSE_POLL:
		reply(request->unique, error, &ready, sizeof(ready));
		break;
	default:
		reply(request->unique, error, NULL, 0);
	}
}

static unsigned int kind_of(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READ:
		return HOLD_READS;
	case FUSE_WRITE:
		return HOLD_WRITES;
	case FUSE_POLL:
		return HOLD_POLLS;
	default:
		return HOLD_SYNCS;
	}
}

static void hold_or_finish(struct held *held, struct pending request)
{
	if (request.offset >= HELD_SIZE)
		request.size = 0;
	else if (request.offset >= 0 &&
		 request.offset + request.size > HELD_SIZE)
		request.size = (uint32_t)(HELD_SIZE - request.offset);
	if (!(atomic_load(&held->kinds) & kind_of(request.opcode)) ||
	    pending_count == HELD_MAX) {
		finish(held, &request, 0);
		return;
	}
	polls_held += request.opcode == FUSE_POLL;
	pending[pending_count++] = request;
	count_up(&held->count);
}

static void serve_request(struct held *held)
{
	static char buf[REQUEST_ROOM];
	struct fuse_in_header *in = (struct fuse_in_header *)buf;
	struct pending request = { 0 };
	struct fuse_open_out opened = { 0 };
	struct fuse_write_in *write_in;
	struct fuse_fsync_in *fsync_in;
	struct fuse_read_in *read_in;
	void *arg = in + 1;
	ssize_t len;

	len = read(fuse, buf, sizeof(buf));
	if (len < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
		return;
	if (len < (ssize_t)sizeof(*in))
		_exit(0); /* the file system is gone */
	request.unique = in->unique;
	request.opcode = in->opcode;
	switch (in->opcode) {
	case FUSE_INIT:
		serve_init(in->unique, arg);
		break;
	case FUSE_LOOKUP:
		serve_entry(in->unique);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		serve_attr(in->unique, in->nodeid);
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		reply(in->unique, 0, &opened, sizeof(opened));
		break;
	case FUSE_READ:
		read_in = arg;
		request.offset = (int64_t)read_in->offset;
		request.size = read_in->size;
		hold_or_finish(held, request);
		break;
	case FUSE_WRITE:
		write_in = arg;
		request.offset = (int64_t)write_in->offset;
		request.size = write_in->size;
		if (request.offset + request.size <= HELD_SIZE)
			memcpy(held->data + request.offset, write_in + 1,
			       request.size);
		hold_or_finish(held, request);
		break;
	case FUSE_FSYNC:
		fsync_in = arg;
		held->last_sync.datasync = fsync_in->fsync_flags &
					   FUSE_FSYNC_FDATASYNC;
		held->last_sync.uid = in->uid;
		held->last_sync.gid = in->gid;
		request.offset = SYNC_OFFSET;
		hold_or_finish(held, request);
		break;
	case FUSE_POLL:
		polled = ((struct fuse_poll_in *)arg)->kh;
		request.ready = atomic_load(&held->ready);
		atomic_store(&held->asked,
			     ((struct fuse_poll_in *)arg)->events);
		atomic_store(&held->asker, in->uid);
		atomic_fetch_add(&held->polls, 1);
		request.offset = HELD_POLL(polls_held);
		hold_or_finish(held, request);
		break;
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH:
		reply(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* take no reply */
	default:
		reply(in->unique, ENOSYS, NULL, 0);
	}
}

/* A message that no request asked for, and that is not answered. */
static void wake(void)
{
	struct {
		struct fuse_out_header header;
		struct fuse_notify_poll_wakeup_out who;
	} note = {
		.header = { .len = sizeof(note), .error = FUSE_NOTIFY_POLL },
		.who = { .kh = polled },
	};

	if (write(fuse, &note, sizeof(note)) != sizeof(note))
		_exit(1);
}

static void serve_order(struct held *held)
{
	struct order order;
	unsigned int i, n = 0;

	if (read(held->orders[0], &order, sizeof(order)) != sizeof(order))
		_exit(0);
	if (order.wake) {
		wake();
		count_up(&held->served);
		return;
	}
	for (i = 0; i < pending_count; i++) {
		bool meant = order.all || pending[i].offset == order.offset;

		if (!meant) {
			pending[n++] = pending[i];
			continue;
		}
		finish(held, &pending[i], order.error);
		atomic_fetch_sub(&held->count, 1);
	}
	pending_count = n;
	count_up(&held->served);
}

static void serve(struct held *held)
{
	struct pollfd fds[2] = {
		{ .fd = fuse, .events = POLLIN },
		{ .fd = held->orders[0], .events = POLLIN },
	};

	for (;;) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[0].revents)
			serve_request(held);
		if (fds[1].revents)
			serve_order(held);
	}
}

/* --- mounting it nowhere --- */

/* The mount's descriptor is all that there is of it; -1 and errno if none. */
static int mount_fuse(int dev)
{
	int fs = (int)syscall(SYS_fsopen, "fuse", FSOPEN_CLOEXEC), mnt;
	char number[16];

	if (fs < 0)
		return -1;
	snprintf(number, sizeof(number), "%d", dev);
	if (syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "source", "aioabi",
		    0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "fd", number, 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "rootmode", "40700",
		    0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "user_id", "0", 0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, "group_id", "0",
		    0) ||
	    syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0)) {
		close(fs);
		return -1;
	}
	mnt = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0);
	close(fs);
	return mnt;
}

NEED(held, "a device that can be held: FUSE, mounted as root")
{
	int dev = open("/dev/fuse", O_RDWR | O_CLOEXEC), mnt;

	if (dev < 0)
		return strerror(errno);
	mnt = mount_fuse(dev);
	close(dev);
	if (mnt < 0)
		return strerror(errno);
	close(mnt);
	return NULL;
}

/* --- the case's side --- */

static void end_server(void *arg)
{
	struct held *held = arg;

	kill(held->server, SIGKILL);
	child_wait(held->server);
	close(held->orders[1]);
}

/*
 * The server is another process and the only one to hold /dev/fuse: a case
 * that is killed waits in its exit for the requests that it holds, and only
 * the death of the server, by the executor, ends them.
 */
struct held *held_mountable(int *mnt)
{
	struct held *held = shared_memory(sizeof(*held));
	pid_t server;
	int dev;

	held_ready(held, POLLIN | POLLOUT | POLLRDNORM | POLLWRNORM);
	dev = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	REQUIRE(dev >= 0);
	*mnt = mount_fuse(dev);
	REQUIRE(*mnt >= 0);
	REQUIRE(!pipe2(held->orders, O_CLOEXEC));
	server = child_fork();
	if (!server) {
		fuse = dev;
		close(*mnt);
		close(held->orders[1]);
		serve(held);
	}
	held->server = server;
	close(dev);
	close(held->orders[0]);
	at_end(end_server, held);
	return held;
}

struct held *held_open(int *fd)
{
	struct held *held;
	int mnt;

	held = held_mountable(&mnt);
	*fd = keep(openat(mnt, HELD_FILE, O_RDWR | O_DIRECT | O_CLOEXEC));
	close(mnt);
	return held;
}

unsigned char *held_data(struct held *held)
{
	return held->data;
}

struct held_sync held_last_sync(struct held *held)
{
	return held->last_sync;
}

int held_server(struct held *held)
{
	return held->server;
}

void hold(struct held *held, unsigned int kinds)
{
	atomic_store(&held->kinds, kinds);
}

void held_wait(struct held *held, unsigned int n)
{
	wait_until_ge(&held->count, n);
}

unsigned int held_count(struct held *held)
{
	return atomic_load(&held->count);
}

/* The server has replied when this returns. */
static void send_order(struct held *held, struct order order)
{
	REQUIRE(write(held->orders[1], &order, sizeof(order)) == sizeof(order));
	wait_until_ge(&held->served, ++held->ordered);
}

void held_ready(struct held *held, unsigned int events)
{
	atomic_store(&held->ready, events);
}

unsigned int held_polls(struct held *held)
{
	return atomic_load(&held->polls);
}

unsigned int held_asked(struct held *held)
{
	return atomic_load(&held->asked);
}

unsigned int held_asker(struct held *held)
{
	return atomic_load(&held->asker);
}

void held_wake(struct held *held)
{
	send_order(held, (struct order){ .wake = true });
}

void release_at(struct held *held, int64_t offset, int error)
{
	send_order(held, (struct order){ .offset = offset, .error = error });
}

void release_all(struct held *held)
{
	hold(held, 0);
	send_order(held, (struct order){ .all = true });
}
