// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A file whose requests end when the case says so.
 *
 * It is the one file of a FUSE file system that a child serves, opened with
 * O_DIRECT: reads and writes of native AIO are then truly in flight, as on a
 * slow disk, on any kernel and without a block device. The file system is
 * mounted nowhere, and its server dies with the case: then every request
 * still held ends with -ECONNABORTED. Ask for it with .needs = "held".
 */
#ifndef AIOABI_HELD_H
#define AIOABI_HELD_H

#include <stddef.h>
#include <stdint.h>

#define HELD_SIZE  (1024 * 1024) /* bytes of the file; it does not grow */
#define HELD_BLOCK 4096		 /* a length and an alignment that suit it */

enum held_kind {
	HOLD_READS = 1,
	HOLD_WRITES = 2,
	HOLD_SYNCS = 4, /* fsync and fdatasync */
	HOLD_ALL = 7,
	HOLD_POLLS = 8, /* who asks whether the file is ready */
};

struct held;

/*
 * held_open() - make the file and its server. *fd is its descriptor for
 * reading and writing with O_DIRECT, closed at the end of the case.
 */
struct held *held_open(int *fd);

/*
 * held_mountable() - the same, but *mnt is the file system, mounted nowhere as
 * yet, of which it is the one file, HELD_FILE: for move_mount(2). The server
 * ends when nobody has it mounted or in use.
 */
struct held *held_mountable(int *mnt);
#define HELD_FILE "file"

/* held_data() - the file's content, HELD_SIZE bytes, shared with the server. */
unsigned char *held_data(struct held *held);

/* hold() - requests of these kinds that come from now on stay in flight. */
void hold(struct held *held, unsigned int kinds);

/* held_wait() - wait until n requests are held. */
void held_wait(struct held *held, unsigned int n);

/* held_count() - requests held now. */
unsigned int held_count(struct held *held);

/*
 * release_at() - end the held request at this offset of the file, a sync at
 * offset -1, the n-th poll that was held, from 0 on, at HELD_POLL(n): with
 * success, or with error, a positive errno.
 */
#define HELD_POLL(n) (-2 - (int64_t)(n))
void release_at(struct held *held, int64_t offset, int error);

/* release_all() - end all that are held, oldest first, and hold no more. */
void release_all(struct held *held);

/*
 * held_ready() - what the file is ready for, for who polls from now on: at
 * first reading and writing. A poll that is held gets what was so when it came.
 */
void held_ready(struct held *held, unsigned int events);
/* held_polls() - how often it was asked. */
unsigned int held_polls(struct held *held);
/* held_asked() - for which events it was asked last. */
unsigned int held_asked(struct held *held);
/* held_asker() - as which user it was asked last. */
unsigned int held_asker(struct held *held);
/* held_wake() - wake who polls it, without a word of what for. */
void held_wake(struct held *held);

/* What came with a sync: fsync or fdatasync, and by whom. */
struct held_sync {
	int datasync;
	unsigned int uid, gid;
};
/* held_last_sync() - of the last sync that came, held or not. */
struct held_sync held_last_sync(struct held *held);

/* held_server() - the pid of the server: killing it fails all requests. */
int held_server(struct held *held);

#endif
