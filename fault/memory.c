// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Arguments of which the kernel can read or write the first k bytes only: a
 * copy that ends at a page that is not there, and the rest beyond. With as
 * many bytes as an argument has there is nothing to fail, but where the
 * kernel writes: then the copy can be read alone.
 */
#include <sys/mman.h>

#include "case.h"
#include "points.h"

/* A copy of size bytes, k of them before a page that is not there. */
struct cut {
	char *pages;
	size_t len;
	char *copy;
	size_t there;
};

static struct cut cut(const void *original, size_t size, size_t k)
{
	struct cut cut = { 0 };
	size_t room = (k + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;

	if (!room)
		room = PAGE_SIZE;
	cut.len = room + PAGE_SIZE;
	cut.pages = mmap(NULL, cut.len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(cut.pages != MAP_FAILED);
	cut.there = k < size ? k : size;
	cut.copy = cut.pages + room - k;
	memcpy(cut.copy, original, cut.there);
	if (k < size)
		REQUIRE(!mprotect(cut.pages + room, PAGE_SIZE, PROT_NONE));
	return cut;
}

static void copy_back(struct cut *cut, void *original)
{
	memcpy(original, cut->copy, cut->there);
	REQUIRE(!munmap(cut->pages, cut->len));
}

/* All is there, but not to be written. */
static void protect(struct cut *cut, size_t size, int k)
{
	if (k == (int)size)
		REQUIRE(!mprotect(cut->pages, cut->len, PROT_READ));
	else if (k > (int)size)
		fault_missed();
}

long memory_ctxp(const struct aio_args *args, int info)
{
	struct cut ctxp = cut(args->ctxp, sizeof(aio_handle), (size_t)info);
	struct aio_args altered = *args;
	long result;

	protect(&ctxp, sizeof(aio_handle), info);
	altered.ctxp = (aio_handle *)ctxp.copy;
	result = fault_make(&altered);
	copy_back(&ctxp, args->ctxp);
	return result;
}

long memory_list(const struct aio_args *args, int info)
{
	size_t size = (size_t)args->nr * sizeof(struct iocb *);
	struct cut list = cut(args->iocbpp, size, (size_t)info);
	struct aio_args altered = *args;
	long result;

	if (info >= (int)size)
		fault_missed();
	altered.iocbpp = (struct iocb **)list.copy;
	result = fault_make(&altered);
	copy_back(&list, args->iocbpp);
	return result;
}

/* A request that was taken would not be known again by its event. */
long memory_iocb(const struct aio_args *args, int info)
{
	struct iocb *first = args->iocbpp[0];
	struct aio_args altered = *args;
	struct iocb *list[] = { NULL };
	struct cut iocb;
	long result;

	if (info > (int)sizeof(*first)) {
		fault_missed();
		return fault_make(args);
	}
	iocb = cut(first, sizeof(*first), (size_t)info);
	protect(&iocb, sizeof(*first), info);
	list[0] = (struct iocb *)iocb.copy;
	altered.iocbpp = list;
	altered.nr = 1;
	result = fault_make(&altered);
	copy_back(&iocb, first);
	return result;
}

long memory_events(const struct aio_args *args, int info)
{
	size_t size = (size_t)args->nr * sizeof(struct io_event);
	struct cut events = cut(args->events, size, (size_t)info);
	struct aio_args altered = *args;
	long result;

	if (info >= (int)size)
		fault_missed();
	altered.events = (struct io_event *)events.copy;
	result = fault_make(&altered);
	copy_back(&events, args->events);
	return result;
}

long memory_timeout(const struct aio_args *args, int info)
{
	struct cut timeout =
		cut(args->timeout, sizeof(*args->timeout), (size_t)info);
	struct aio_args altered = *args;
	long result;

	if (info >= (int)sizeof(*args->timeout))
		fault_missed();
	altered.timeout = (struct timespec *)timeout.copy;
	result = fault_make(&altered);
	copy_back(&timeout, args->timeout);
	return result;
}

long memory_usig(const struct aio_args *args, int info)
{
	struct cut usig =
		cut(args->mask, sizeof(struct aio_usig), (size_t)info);
	struct aio_args altered = *args;
	struct aio_usig unused;
	long result;

	if (info >= (int)sizeof(struct aio_usig))
		fault_missed();
	altered.mask = usig.copy;
	result = fault_make(&altered);
	copy_back(&usig, &unused);
	return result;
}
