// SPDX-License-Identifier: GPL-2.0-or-later
#include "uring.h"

#include <linux/io_uring.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"
#include "needs.h"

#define ENTRIES 8

struct uring {
	int fd;
	struct io_uring_params params;
	unsigned char *rings; /* both, in one mapping */
	struct io_uring_sqe *sqes;
};

static int setup(struct io_uring_params *params)
{
	memset(params, 0, sizeof(*params));
	return (int)syscall(SYS_io_uring_setup, ENTRIES, params);
}

NEED(io_uring, "io_uring(7)")
{
	struct io_uring_params params;
	int fd = setup(&params);
	bool one_mapping = params.features & IORING_FEAT_SINGLE_MMAP;

	if (fd < 0)
		return strerror(errno);
	close(fd);
	return one_mapping ? NULL : "it is older than Linux 5.4";
}

static _Atomic uint32_t *in_rings(struct uring *uring, uint32_t offset)
{
	return (_Atomic uint32_t *)(void *)(uring->rings + offset);
}

static void *map(int fd, size_t size, off_t offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_POPULATE, fd, offset);

	REQUIRE(memory != MAP_FAILED);
	return memory;
}

struct uring *uring_open(void)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	size_t size;

	REQUIRE(uring);
	uring->fd = keep(setup(&uring->params));
	size = uring->params.cq_off.cqes +
	       uring->params.cq_entries * sizeof(struct io_uring_cqe);
	uring->rings = map(uring->fd, size, IORING_OFF_SQ_RING);
	uring->sqes = map(uring->fd, ENTRIES * sizeof(struct io_uring_sqe),
			  IORING_OFF_SQES);
	return uring;
}

static void submit(struct uring *uring, const struct io_uring_sqe *sqe)
{
	const struct io_sqring_offsets *at = &uring->params.sq_off;
	_Atomic uint32_t *tail = in_rings(uring, at->tail);
	uint32_t i = *tail & (uring->params.sq_entries - 1);

	uring->sqes[i] = *sqe;
	in_rings(uring, at->array)[i] = i;
	atomic_fetch_add(tail, 1);
	REQUIRE(syscall(SYS_io_uring_enter, uring->fd, 1, 0, 0, NULL, 0) == 1);
}

void uring_read(struct uring *uring, int fd, void *buf, size_t len)
{
	submit(uring, &(struct io_uring_sqe){ .opcode = IORING_OP_READ,
					      .fd = fd,
					      .addr = (uintptr_t)buf,
					      .len = (uint32_t)len });
}

void uring_write(struct uring *uring, int fd, const void *buf, size_t len)
{
	submit(uring, &(struct io_uring_sqe){ .opcode = IORING_OP_WRITE,
					      .fd = fd,
					      .addr = (uintptr_t)buf,
					      .len = (uint32_t)len });
}

int uring_result(struct uring *uring)
{
	const struct io_cqring_offsets *at = &uring->params.cq_off;
	_Atomic uint32_t *head = in_rings(uring, at->head);
	struct io_uring_cqe *cqes = (void *)(uring->rings + at->cqes);
	int result;

	while (*head == *in_rings(uring, at->tail))
		REQUIRE(!syscall(SYS_io_uring_enter, uring->fd, 0, 1,
				 IORING_ENTER_GETEVENTS, NULL, 0) ||
			errno == EINTR);
	result = cqes[*head & (uring->params.cq_entries - 1)].res;
	atomic_fetch_add(head, 1);
	return result;
}
