// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * io_setup() says ENOMEM when its ring's file or mapping cannot be had,
 * whatever other calls say for the same, and leaves nothing of the context
 * behind.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "cgroup.h"
#include "needs.h"
#include "own.h"

#define EVENTS	      1000 /* a ring of sixteen pages */
#define FEW	      1	   /* a ring of one page */
#define ROUNDS	      20
#define MAP_COUNT     65530 /* vm.max_map_count as most have it */
#define FEW_MAPS      1000  /* enough for the suite alone */
#define REST	      16    /* mappings that are not cut from one */
#define PROTECTION(i) ((i) % 2 ? PROT_READ : PROT_NONE)

/* What a limit was, to be put back before anything else is judged. */
static struct rlimit limit_set(int resource, rlim_t soft)
{
	struct rlimit old, limit;

	REQUIRE(!getrlimit((__rlimit_resource_t)resource, &old));
	limit = old;
	limit.rlim_cur = soft;
	REQUIRE(!setrlimit((__rlimit_resource_t)resource, &limit));
	return old;
}

static void limit_back(int resource, const struct rlimit *old)
{
	REQUIRE(!setrlimit((__rlimit_resource_t)resource, old));
}

static long setup_without_address_space(aio_handle *ctxp)
{
	struct rlimit old = limit_set(RLIMIT_AS, PAGE_SIZE);
	long result = aio->setup(EVENTS, ctxp);

	limit_back(RLIMIT_AS, &old);
	return result;
}

/* A ring has a file's size, but nobody has written it. */
CASE(io_setup, file_size_unlimited, "a limit on file sizes is none on rings",
     .clause = "io_setup.enomem.no_file_limit", .quota = 2000)
{
	aio_handle ctx = 0;

	limit_set(RLIMIT_FSIZE, 0);
	count_signal(SIGXFSZ, 0);
	EXPECT_OK(aio->setup(1, &ctx));
	ctx = 0;
	EXPECT_OK(aio->setup(1000, &ctx));
	EXPECT_EQ(0, signals_seen(SIGXFSZ));
}

/* The ring's file has no descriptor. */
CASE(io_setup, descriptors_unlimited,
     "a process that may open no file more can make a context",
     .clause = "io_setup.enomem.no_file_limit")
{
	struct rlimit old = limit_set(RLIMIT_NOFILE, 0);
	aio_handle ctx = 0;

	EXPECT_OK(aio->setup(1, &ctx));
	limit_back(RLIMIT_NOFILE, &old);
	EXPECT_WORKS(ctx, 1);
}

CASE(io_setup, eagain_before_enomem,
     "a count over the quota is EAGAIN where no ring could be mapped either",
     .clause = "io_setup.eagain.max_nr", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;
	struct rlimit old;
	long over;

	sysctl_set("fs/aio-max-nr", aio_nr() + EVENTS);
	old = limit_set(RLIMIT_AS, PAGE_SIZE);
	over = aio->setup(1000 * EVENTS, &ctx);
	limit_back(RLIMIT_AS, &old);
	EXPECT_EQ(-EAGAIN, over);
	EXPECT_EQ(-ENOMEM, setup_without_address_space(&ctx));
	EXPECT_EQ(0, ctx);
}

/* Nothing of a context is left, and the next call begins from nothing. */
static void expect_no_trace(aio_handle ctx)
{
	EXPECT_EQ(0, ctx);
	EXPECT_EQ(0, maps_named("/[aio]"));
	ASSERT_OK(aio->setup(EVENTS, &ctx));
	EXPECT_EQ(0, ring_of(ctx)->id);
	EXPECT_EQ(ring_events_for(EVENTS), ring_of(ctx)->nr);
}

CASE(io_setup, enomem_address_space,
     "ENOMEM when RLIMIT_AS has no room for the ring",
     .clause = "io_setup.enomem.address_space")
{
	aio_handle ctx = 0;

	EXPECT_EQ(-ENOMEM, setup_without_address_space(&ctx));
	expect_no_trace(ctx);
}

/*
 * As many mappings as there may be: neighbours that cannot be joined, cut from
 * one, and, since the last of all is not had by a cut, some made as such.
 */
struct maps {
	char *whole;
	size_t size;
	void *rest[REST];
	unsigned int n;
};

static void map_all(struct maps *maps)
{
	size_t at;

	maps->size = 2 * MAP_COUNT * PAGE_SIZE;
	maps->whole = mmap(NULL, maps->size, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	REQUIRE(maps->whole != MAP_FAILED);
	for (at = PAGE_SIZE; at < maps->size; at += 2 * PAGE_SIZE)
		if (mprotect(maps->whole + at, PAGE_SIZE, PROT_READ))
			break;
	REQUIRE(at < maps->size && errno == ENOMEM);
	for (maps->n = 0; maps->n < REST; maps->n++) {
		maps->rest[maps->n] = mmap(
			NULL, PAGE_SIZE, PROTECTION(maps->n),
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (maps->rest[maps->n] == MAP_FAILED)
			break;
	}
	REQUIRE(maps->n < REST);
}

static void unmap_all(const struct maps *maps)
{
	unsigned int i;

	REQUIRE(!munmap(maps->whole, maps->size));
	for (i = 0; i < maps->n; i++)
		REQUIRE(!munmap(maps->rest[i], PAGE_SIZE));
}

CASE(io_setup, enomem_map_count,
     "ENOMEM when the process has all the mappings that it may have",
     .clause = "io_setup.enomem.map_count", .needs = "root", .serial = true,
     .flavours = NATIVE)
{
	aio_handle ctx = 0;
	struct maps maps;
	long result;

	/* others may need as many as they are used to; a slow guest has none */
	if (machine_is_ours)
		sysctl_set("vm/max_map_count", FEW_MAPS);
	else if (sysctl_get("vm/max_map_count") > MAP_COUNT)
		sysctl_set("vm/max_map_count", MAP_COUNT);
	map_all(&maps);
	result = aio->setup(EVENTS, &ctx);
	unmap_all(&maps);
	EXPECT_EQ(-ENOMEM, result);
	expect_no_trace(ctx);
}

/* Locked memory over the limit is EAGAIN for mmap(2), and root has no limit. */
static long setup_locked(unsigned int nr_events, aio_handle *ctxp)
{
	struct rlimit old = limit_set(RLIMIT_MEMLOCK, PAGE_SIZE);
	long result;
	void *map;

	REQUIRE(!seteuid(NOBODY));
	REQUIRE(!mlockall(MCL_FUTURE));
	map = mmap(NULL, 2 * PAGE_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS,
		   -1, 0);
	REQUIRE(map == MAP_FAILED && errno == EAGAIN);
	result = aio->setup(nr_events, ctxp);
	REQUIRE(!munlockall());
	REQUIRE(!seteuid(0));
	limit_back(RLIMIT_MEMLOCK, &old);
	return result;
}

CASE(io_setup, enomem_locked,
     "ENOMEM when mlockall() would lock the ring over RLIMIT_MEMLOCK",
     .clause = "io_setup.enomem.locked", .needs = "root")
{
	aio_handle ctx = 0;

	EXPECT_EQ(-ENOMEM, setup_locked(EVENTS, &ctx));
	EXPECT_EQ(0, ctx);
	EXPECT_OK(setup_locked(FEW, &ctx));
	EXPECT_EQ(0, ring_of(ctx)->id);
}

CASE(io_setup, not_locked,
     "a ring is not locked memory: who may lock nothing has one",
     .clause = "io_setup.enomem.not_locked", .needs = "root")
{
	struct rlimit old = limit_set(RLIMIT_MEMLOCK, 0);
	aio_handle ctx = 0;
	long result;

	REQUIRE(!seteuid(NOBODY));
	result = aio->setup(EVENTS, &ctx);
	REQUIRE(!seteuid(0));
	limit_back(RLIMIT_MEMLOCK, &old);
	ASSERT_EQ(0, result);
	EXPECT_EQ(0, ring_of(ctx)->id);
}

CASE(io_setup, enomem_mapping,
     "a ring that cannot be mapped is ENOMEM whatever mmap(2) says, "
     "and leaves nothing",
     .clause = "io_setup.enomem.mapping", .needs = "root aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;

	EXPECT_EQ(-ENOMEM, setup_locked(EVENTS, &ctx));
	EXPECT_QUOTA_BACK();
	EXPECT_EQ(-ENOMEM, setup_without_address_space(&ctx));
	EXPECT_QUOTA_BACK();
	expect_no_trace(ctx);
}

/* Root may have files over the limit; others see ENFILE from open(2). */
CASE(io_setup, enomem_file_max,
     "ENOMEM when there are as many open files as the system may have",
     .clause = "io_setup.enomem.file_max", .needs = "root ours", .serial = true)
{
	long file_max = sysctl_get("fs/file-max"), result;
	bool refused;
	aio_handle ctx = 0;

	sysctl_set("fs/file-max", 0);
	REQUIRE(!seteuid(NOBODY));
	refused = open("/", O_RDONLY | O_CLOEXEC) < 0 && errno == ENFILE;
	result = aio->setup(EVENTS, &ctx);
	REQUIRE(!seteuid(0));
	sysctl_set("fs/file-max", file_max);
	REQUIRE(refused);
	EXPECT_EQ(-ENOMEM, result);
	expect_no_trace(ctx);
}

CASE(io_setup, enomem_undone, "after many ENOMEMs the quota is what it was",
     .clause = "io_setup.enomem.undone", .needs = "aio_sysctls",
     .serial = SERIAL_BODY)
{
	aio_handle ctx = 0;
	unsigned int i;

	for (i = 0; i < ROUNDS; i++) {
		EXPECT_EQ(-ENOMEM, setup_without_address_space(&ctx));
		EXPECT_QUOTA_BACK();
	}
	expect_no_trace(ctx);
	EXPECT_EQ(aio_nr_at_start() + EVENTS, aio_nr());
}

/* --- a memory cgroup's bound --- */

#define LIMIT	 (2 * 1024 * 1024) /* bytes */
#define RING	 4000		   /* events: a ring of 63 pages */
#define LARGE	 (4 * RING)	   /* one that takes all that another had */
#define CONTEXTS 10		   /* more of RING than there is room for */
#define A_LITTLE "2162688"	   /* bytes: LIMIT and 16 pages */

/*
 * In a child: until there is no room for another one, and for hardly anything
 * else. All that it touches is there, for where a fault is refused its memory
 * it is tried for ever.
 */
static unsigned int fill_group(const char *group, aio_handle *ctxs)
{
	unsigned int n;

	REQUIRE(!mlockall(MCL_CURRENT));
	cgroup_enter(group);
	for (n = 0; n < CONTEXTS; n++)
		if (aio->setup(RING, &ctxs[n]))
			break;
	return n;
}

/* What is out of memory is not to be killed for it. */
static void be_spared(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	REQUIRE(fd >= 0 && write(fd, "-1000", 5) == 5);
	close(fd);
}

static void expect_freed(const char *group)
{
	EXPECT_QUOTA_BACK();
	WAIT_FOR(cgroup_memory(group) < ring_size(ring_events_for(RING)));
}

/*
 * A large ring that fails takes all pages there are: had it kept them there
 * would be no room again.
 */
CASE(io_setup, enomem_pages,
     "ENOMEM when a cgroup has no room for the ring, and its pages go back",
     .clause = "io_setup.enomem.pages", .needs = "memcg", .flavours = NATIVE,
     .serial = SERIAL_BODY, .quota = CONTEXTS * RING + LARGE)
{
	const char *group = own_cgroup(LIMIT);
	aio_handle ctxs[CONTEXTS] = { 0 }, large = 0;
	int max =
		keep(open(file_in(group, "memory.max"), O_WRONLY | O_CLOEXEC));
	pid_t pid = child_fork();
	unsigned int n;

	if (!pid) {
		be_spared();
		n = fill_group(group, ctxs);
		ASSERT_ERR(ENOMEM, aio->setup(RING, &ctxs[n]));
		EXPECT_EQ(0, ctxs[n]);
		/* the kernel has to look at the ring, which takes a page table
		 */
		REQUIRE(write(max, A_LITTLE, strlen(A_LITTLE)) ==
			(ssize_t)strlen(A_LITTLE));
		STAGE_OK(aio->destroy(ctxs[--n]));
		EXPECT_ERR(ENOMEM, aio->setup(LARGE, &large));
		EXPECT_EQ(0, large);
		ctxs[n] = 0;
		WAIT_FOR(!aio->setup(RING, &ctxs[n]));
		child_exit(0);
	}
	EXPECT_CHILD_OK(pid);
	expect_freed(group);
}

CASE(io_setup, enomem_killed,
     "who is killed for want of memory for a ring leaves nothing of it",
     .clause = "io_setup.enomem.pages", .needs = "memcg", .flavours = NATIVE,
     .serial = SERIAL_BODY, .quota = CONTEXTS * RING)
{
	const char *group = own_cgroup(LIMIT);
	aio_handle ctxs[CONTEXTS] = { 0 };
	pid_t pid = child_fork();

	if (!pid) {
		fill_group(group, ctxs);
		child_exit(0);
	}
	EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(pid)));
	expect_freed(group);
}
