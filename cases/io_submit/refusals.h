/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every way in which one iocb can be refused, as a table: what the call says
 * of it, and how far submission comes before it is found out. Whatever must
 * hold for any bad iocb (the count, the slots, the references, the key) is
 * proved by going through the table.
 */
#ifndef AIOABI_IO_SUBMIT_REFUSALS_H
#define AIOABI_IO_SUBMIT_REFUSALS_H

#include <fcntl.h>

#include "case.h"

/* What stands in aio_key before submission, and stays when it is not written.
 */
#define KEY_BEFORE 0x5a5a5a5a

/* How far submission comes with the iocb that is refused. */
enum stage_reached {
	BEFORE_SLOT,  /* no slot is asked for: wins over a full ring */
	BEFORE_FILE,  /* a slot is taken, the file is not */
	BEFORE_EVENT, /* the file is taken, the eventfd is not */
	BEFORE_KEY,   /* both are taken, the key is not written */
	AFTER_KEY,    /* all that, and the key is written */
};

struct refusal {
	const char *name;
	int error;
	enum stage_reached reached;
	bool own_file; /* needs a file of its own, not the one of the base */
	/* spoils an iocb that would be accepted; gives the one to submit */
	struct iocb *(*spoil)(struct iocb *iocb);
};

/* for_each_refusal() - a loop over the table, each round named. */
#define for_each_refusal(r) \
	for ((r) = next_refusal(NULL); (r); (r) = next_refusal(r))
const struct refusal *next_refusal(const struct refusal *refusal);

/* new_write() - one byte to this descriptor, its key KEY_BEFORE: guarded. */
struct iocb *new_write(int fd);

/* new_refused() - the same, refused for this reason. */
struct iocb *new_refused(const struct refusal *refusal, int fd);

/*
 * expect_key_of_refused() - the key of an iocb that was refused has been
 * written or not, as the reason says.
 */
void expect_key_of_refused(const struct refusal *refusal,
			   const struct iocb *iocb);

/* open_both_ways() - the pipe of this end, to read and to write: two queues. */
int open_both_ways(int pipe_end);

#endif
