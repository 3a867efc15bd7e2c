// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's own fault injection: within one call of one thread, the k-th
 * of what can fail does (/proc/PID/task/TID/fail-nth). What can fail are
 * allocations of slabs and pages, copies to and from the user, and requests to
 * block devices.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "case.h"
#include "kernel.h"
#include "needs.h"
#include "points.h"

#define FAIL_NTH "/proc/thread-self/fail-nth"
#define DEBUG	 "/sys/kernel/debug"

static bool set(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool written;

	if (fd < 0)
		return false;
	written = write(fd, text, strlen(text)) == (ssize_t)strlen(text);
	close(fd);
	return written;
}

/*
 * By default none fails where the caller could wait for memory, which is
 * almost everywhere, and each that does is told to the kernel's log.
 */
NEED(fail_nth, "a kernel in which the n-th allocation can be made to fail")
{
	static const char *const settings[][2] = {
		{ DEBUG "/failslab/ignore-gfp-wait", "N" },
		{ DEBUG "/failslab/verbose", "0" },
		{ DEBUG "/fail_page_alloc/ignore-gfp-wait", "N" },
		{ DEBUG "/fail_page_alloc/ignore-gfp-highmem", "N" },
		{ DEBUG "/fail_page_alloc/min-order", "0" },
		{ DEBUG "/fail_page_alloc/verbose", "0" },
		{ DEBUG "/fail_usercopy/verbose", "0" },
		{ DEBUG "/fail_make_request/verbose", "0" },
		{ DEBUG "/fail_futex/verbose", "0" },
	};
	size_t i;

	if (access(FAIL_NTH, W_OK))
		return strerror(errno);
	/* it changes what others' kernels do: on machines of our own only */
	if (!machine_is_ours)
		return "this one is shared";
	if (access(DEBUG "/failslab", F_OK))
		mount("debugfs", DEBUG, "debugfs", 0, NULL);
	for (i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (!set(settings[i][0], settings[i][1]) && errno != ENOENT)
			return strerror(errno);
	return NULL;
}

/* --- what is counted --- */

#define ANY_ORDER  "0"
#define NO_ORDER   "20"
#define MIN_ORDER  DEBUG "/fail_page_alloc/min-order"
#define BY_CACHE   DEBUG "/failslab/cache-filter"
#define CACHE_FLAG "/sys/kernel/slab/%s/failslab"

static char marked[200];

static void count_all(void *unused)
{
	REQUIRE(set(MIN_ORDER, ANY_ORDER));
	REQUIRE(set(BY_CACHE, "N"));
	if (*marked)
		REQUIRE(set(marked, "0"));
}

void fail_only_slab(const char *cache)
{
	REQUIRE(this_case()->serial);
	snprintf(marked, sizeof(marked), CACHE_FLAG, cache);
	at_end(count_all, NULL);
	REQUIRE(set(marked, "1"));
	REQUIRE(set(BY_CACHE, "Y"));
	REQUIRE(set(MIN_ORDER, NO_ORDER));
}

/* No cache is marked. */
void fail_only_pages(void)
{
	REQUIRE(this_case()->serial);
	*marked = '\0';
	at_end(count_all, NULL);
	REQUIRE(set(BY_CACHE, "Y"));
}

/*
 * What looks at the count copies to and from the user itself. If that is what
 * failed, the call was spared.
 */
static bool spared(int fd)
{
	char left[20] = "";
	ssize_t len = pread(fd, left, sizeof(left) - 1, 0);

	if (len > 0 && !atoi(left))
		return false;
	REQUIRE(len > 0 || errno == EFAULT);
	if (pwrite(fd, "0", 1, 0) < 0)
		REQUIRE(errno == EFAULT);
	return true;
}

long kernel_fails_nth(const struct aio_args *args, int info)
{
	int fd = open(FAIL_NTH, O_RDWR | O_CLOEXEC);
	char text[20];
	size_t len;
	long result;

	REQUIRE(fd >= 0);
	len = (size_t)snprintf(text, sizeof(text), "%d", info);
	REQUIRE(write(fd, text, len) == (ssize_t)len);
	result = fault_make(args);
	if (spared(fd))
		fault_missed();
	close(fd);
	return result;
}
