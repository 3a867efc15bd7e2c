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
};

struct trap *trap_set(void *pages, size_t size)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register range = {
		.range = { (uintptr_t)pages, size },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};
	struct trap *trap = malloc(sizeof(*trap));

	REQUIRE(trap);
	trap->pages = pages;
	trap->size = size;
	trap->fd = keep((int)syscall(SYS_userfaultfd, O_CLOEXEC));
	REQUIRE(!ioctl(trap->fd, UFFDIO_API, &api));
	REQUIRE(!madvise(pages, size, MADV_DONTNEED));
	REQUIRE(!ioctl(trap->fd, UFFDIO_REGISTER, &range));
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

	if (content)
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
