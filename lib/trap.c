// SPDX-License-Identifier: GPL-2.0-or-later
#include "trap.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"

struct trap {
	void *pages;
	size_t size;
	int fd;
	bool writes;
};

static struct trap *new_trap(void *pages, size_t size, uint64_t mode)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)pages, size },
		.mode = mode,
	};
	struct trap *trap = malloc(sizeof(*trap));

	REQUIRE(trap);
	trap->pages = pages;
	trap->size = size;
	trap->writes = mode == UFFDIO_REGISTER_MODE_WP;
	trap->fd = keep((int)syscall(SYS_userfaultfd, O_CLOEXEC));
	REQUIRE(!ioctl(trap->fd, UFFDIO_API, &api));
	REQUIRE(!ioctl(trap->fd, UFFDIO_REGISTER, &range));
	return trap;
}

struct trap *trap_set(void *pages, size_t size)
{
	REQUIRE(!madvise(pages, size, MADV_DONTNEED));
	return new_trap(pages, size, UFFDIO_REGISTER_MODE_MISSING);
}

static void protect(struct trap *trap, uint64_t mode)
{
	struct uffdio_writeprotect range = {
		.range = { (uintptr_t)trap->pages, trap->size },
		.mode = mode,
	};

	REQUIRE(!ioctl(trap->fd, UFFDIO_WRITEPROTECT, &range));
}

/* What is to be protected must be there. */
struct trap *trap_set_writes(void *pages, size_t size)
{
	volatile char *byte = pages;
	struct trap *trap;
	size_t at;
	char was;

	for (at = 0; at < size; at += PAGE_SIZE) {
		was = byte[at];
		byte[at] = was;
	}
	trap = new_trap(pages, size, UFFDIO_REGISTER_MODE_WP);
	protect(trap, UFFDIO_WRITEPROTECT_MODE_WP);
	return trap;
}

void trap_wait(struct trap *trap)
{
	struct uffd_msg msg;

	REQUIRE(read(trap->fd, &msg, sizeof(msg)) == sizeof(msg));
	REQUIRE(msg.event == UFFD_EVENT_PAGEFAULT);
}

void trap_release(struct trap *trap, const void *content)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)trap->pages,
				    .src = (uintptr_t)content,
				    .len = trap->size };
	struct uffdio_zeropage zeroes = {
		.range = { (uintptr_t)trap->pages, trap->size },
	};

	if (trap->writes)
		protect(trap, 0);
	else if (content)
		REQUIRE(!ioctl(trap->fd, UFFDIO_COPY, &copy));
	else
		REQUIRE(!ioctl(trap->fd, UFFDIO_ZEROPAGE, &zeroes));
}

/* Who is woken finds nothing again, and the memory to be nobody's. */
void trap_deny(struct trap *trap)
{
	struct uffdio_range range = { (uintptr_t)trap->pages, trap->size };

	inaccessible(trap->pages, trap->size);
	REQUIRE(!ioctl(trap->fd, UFFDIO_WAKE, &range));
}
