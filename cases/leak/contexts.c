// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Contexts that come and go, each way that they can: made and destroyed, made
 * and refused at the last moment, left to exit, moved, cut and unmapped.
 */
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "case.h"
#include "slope.h"

#define EVENTS	520 /* a ring of nine pages: more than the kernel inlines */
#define FEW	2
#define THREADS 64 /* io_destroy() waits, so they do it side by side */
#define QUOTA	(2 * THREADS * EVENTS)

/* Run once(i) for so many i, in a number of threads. */
struct crew {
	void (*once)(unsigned int i);
	atomic_uint next;
	unsigned int times;
};

static void *work(void *arg)
{
	struct crew *crew = arg;
	unsigned int i;

	while ((i = atomic_fetch_add(&crew->next, 1)) < crew->times)
		crew->once(i);
	return NULL;
}

static void side_by_side(void (*once)(unsigned int i), unsigned int times)
{
	struct crew crew = { .once = once, .times = times };
	struct thread *threads[THREADS];
	unsigned int i;

	for (i = 0; i < THREADS; i++)
		threads[i] = thread_run(work, &crew);
	for (i = 0; i < THREADS; i++)
		thread_join(threads[i]);
}

static void live_and_die(unsigned int i)
{
	(void)i;
	end_context(new_context(EVENTS));
}

static void setup_and_destroy(unsigned int times)
{
	side_by_side(live_and_die, times);
}

CASE(leak, setup_destroy, "contexts that are destroyed leave nothing behind",
     .clause = "leak.setup_destroy", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .quota = QUOTA, .time_limit = 60)
{
	EXPECT_NO_LEAK(setup_and_destroy, 512);
}

static void refused_at_once(unsigned int times)
{
	aio_handle ctx;

	while (times--) {
		ctx = 1;
		EXPECT_ERR(EINVAL, aio->setup(EVENTS, &ctx));
		ctx = 0;
		EXPECT_ERR(EINVAL, aio->setup(0, &ctx));
		EXPECT_ERR(EINVAL, aio->setup(-1u, &ctx));
		EXPECT_ERR(EFAULT, aio->setup(EVENTS, nowhere()));
	}
}

CASE(leak, setup_failed, "calls that are refused at once leave nothing behind",
     .clause = "leak.setup_failed", .needs = "slab_counts", .serial = true,
     .flavours = RAW)
{
	EXPECT_NO_LEAK(refused_at_once, 2000);
}

/* Small rings, and the more of them: per-CPU memory goes by bytes. */
static void refused_by_sum(unsigned int times)
{
	aio_handle ctx = 0;

	while (times--)
		EXPECT_ERR(EAGAIN, aio->setup(FEW, &ctx));
}

CASE(leak, setup_failed_quota,
     "contexts made and refused by the quota leave nothing behind",
     .clause = "leak.setup_failed", .needs = "root slab_counts aio_sysctls",
     .serial = true, .flavours = NATIVE, .time_limit = 60)
{
	sysctl_set("fs/aio-max-nr", aio_nr() + FEW);
	new_context(1);
	EXPECT_NO_LEAK(refused_by_sum, 8000);
}

static void refused_by_handle(unsigned int times)
{
	aio_handle *ctxp = GUARDED(aio_handle);

	read_only(ctxp, sizeof(*ctxp));
	while (times--)
		EXPECT_ERR(EFAULT, aio->setup(FEW, ctxp));
}

CASE(leak, setup_failed_handle,
     "contexts made for a handle that cannot be written leave nothing behind",
     .clause = "leak.setup_failed", .needs = "slab_counts", .serial = true,
     .flavours = RAW, .quota = QUOTA, .time_limit = 60)
{
	EXPECT_NO_LEAK(refused_by_handle, 8000);
}

static void refused_by_memory(unsigned int times)
{
	struct rlimit limit, least;
	aio_handle ctx = 0;
	long result;

	REQUIRE(!getrlimit(RLIMIT_AS, &limit));
	least = limit;
	least.rlim_cur = PAGE_SIZE;
	while (times--) {
		REQUIRE(!setrlimit(RLIMIT_AS, &least));
		result = aio->setup(EVENTS, &ctx);
		REQUIRE(!setrlimit(RLIMIT_AS, &limit));
		EXPECT_EQ(-ENOMEM, result);
	}
}

CASE(leak, setup_failed_memory,
     "rings that could not be mapped leave nothing behind",
     .clause = "leak.setup_failed", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(refused_by_memory, rounds(8000));
}

/* Root may have files over the limit, so it is somebody else who asks. */
static void refused_by_files(unsigned int times)
{
	long file_max = sysctl_get("fs/file-max"), result = -ENOMEM;
	aio_handle ctx = 0;

	sysctl_set("fs/file-max", 0);
	REQUIRE(!seteuid(NOBODY));
	while (times-- && result == -ENOMEM)
		result = aio->setup(FEW, &ctx);
	REQUIRE(!seteuid(0));
	sysctl_set("fs/file-max", file_max);
	EXPECT_EQ(-ENOMEM, result);
}

CASE(leak, setup_failed_file,
     "rings whose file could not be had leave nothing behind",
     .clause = "leak.setup_failed", .needs = "root ours slab_counts",
     .serial = true, .flavours = NATIVE, .time_limit = 60)
{
	EXPECT_NO_LEAK(refused_by_files, 1000);
}

static void *place_for_ring(size_t size)
{
	void *map =
		mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	REQUIRE(map != MAP_FAILED);
	return map;
}

/* In turns: moved; shrunk; cut; moved by a destroyer who has to find it. */
static void maltreat(unsigned int i)
{
	aio_handle ctx = new_context(EVENTS);
	size_t size = ring_size(ring_of(ctx)->nr);

	switch (i % 3) {
	case 0:
		ctx = (aio_handle)mremap((void *)ctx, size, size,
					 MREMAP_MAYMOVE | MREMAP_FIXED,
					 place_for_ring(size));
		break;
	case 1:
		REQUIRE(mremap((void *)ctx, size, PAGE_SIZE, 0) != MAP_FAILED);
		break;
	default:
		REQUIRE(!munmap((char *)ctx + PAGE_SIZE, size - PAGE_SIZE));
	}
	end_context(ctx);
}

static void maltreated_rings(unsigned int times)
{
	side_by_side(maltreat, times);
}

CASE(leak, mremap, "rings that were moved, shrunk or cut leave nothing behind",
     .clause = "leak.mremap", .needs = "slab_counts", .serial = true,
     .flavours = NATIVE, .quota = QUOTA, .time_limit = 60)
{
	EXPECT_NO_LEAK(maltreated_rings, 512);
}
