// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The mapping of the ring: its name and protection, what cannot be done to it,
 * and that it goes with the context.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>

#include "case.h"
#include "copy.h"

#define EVENTS 500 /* a ring of eight pages */

static size_t size_of_ring(aio_handle ctx)
{
	return ring_size(ring_of(ctx)->nr);
}

struct line {
	unsigned long from, to;
	char permissions[5];
	unsigned long offset;
	const char *name;
};

/* The line of the ring in /proc/self/maps, taken apart. */
static struct line line_of(aio_handle ctx)
{
	static char text[300];
	struct line line = { 0 };
	int name = 0;

	map_line((void *)ctx, text, sizeof(text));
	sscanf(text, "%lx-%lx %4s %lx %*s %*s %n", &line.from, &line.to,
	       line.permissions, &line.offset, &name);
	line.name = text + name;
	return line;
}

CASE(ring, map_name, "the ring is one shared mapping named /[aio]",
     .clause = "ring.map.name")
{
	const unsigned int counts[] = { 1, 63, EVENTS };
	struct line line;
	aio_handle ctx;
	unsigned int i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		ctx = new_context(counts[i]);
		line = line_of(ctx);
		EXPECT_EQ(ctx, line.from);
		EXPECT_EQ(size_of_ring(ctx), line.to - line.from);
		EXPECT_STR("rw-s", line.permissions);
		EXPECT_EQ(0, line.offset);
		EXPECT_STR("/[aio] (deleted)", line.name);
	}
}

static long protect(aio_handle ctx, int protection)
{
	return mprotect((void *)ctx, PAGE_SIZE, protection) ? -errno : 0;
}

CASE(ring, map_no_exec, "the ring cannot be made executable",
     .clause = "ring.map.no_exec")
{
	aio_handle ctx = new_context(1);

	EXPECT_ERR(EACCES, protect(ctx, PROT_READ | PROT_EXEC));
	EXPECT_ERR(EACCES, protect(ctx, PROT_READ | PROT_WRITE | PROT_EXEC));
	EXPECT_ERR(EACCES, protect(ctx, PROT_EXEC));
	EXPECT_STR("rw-s", line_of(ctx).permissions);
	EXPECT_WORKS(ctx, 1);
}

CASE(ring, map_no_exec_personality,
     "the ring is not executable when all that can be read is",
     .clause = "ring.map.no_exec")
{
	aio_handle ctx;

	REQUIRE(personality(READ_IMPLIES_EXEC) >= 0);
	ctx = new_context(1);
	EXPECT_STR("rw-s", line_of(ctx).permissions);
	EXPECT_ERR(EACCES, protect(ctx, PROT_EXEC));
	EXPECT_OK(protect(ctx, PROT_READ));
	EXPECT_STR("r--s", line_of(ctx).permissions);
}

/* Whether smaps has this flag ("de") for the mapping of the ring. */
static bool has_flag(aio_handle ctx, const char *flag)
{
	FILE *smaps = fopen("/proc/self/smaps", "re");
	bool found = false, here = false;
	unsigned long from, to;
	char line[500], *word;

	REQUIRE(smaps);
	while (!found && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = from == ctx;
		if (!here || strncmp(line, "VmFlags:", 8))
			continue;
		strtok(line, " ");
		while (!found && (word = strtok(NULL, " \n")))
			found = !strcmp(word, flag);
		break;
	}
	fclose(smaps);
	return found;
}

CASE(ring, map_flags, "the mapping may not be expanded",
     .clause = "ring.map.flags", .needs = "smaps")
{
	EXPECT_TRUE(has_flag(new_context(1), "de"));
	EXPECT_TRUE(has_flag(new_context(EVENTS), "de"));
}

CASE(ring, map_flags_usual,
     "the mapping is memory as any other: not locked, no device's",
     .clause = "ring.map.flags", .needs = "smaps")
{
	static const char *const there[] = { "rd", "wr", "sh", "mr", "mw" };
	static const char *const absent[] = {
		"ex", "me", "lo", "io", "pf", "gd", "dd", "wf", "mm",
		"sr", "rr", "ac", "nr", "ht", "hg", "nh", "mg",
	};
	aio_handle ctx = new_context(1);
	unsigned int i;

	for (i = 0; i < sizeof(there) / sizeof(there[0]); i++) {
		ROUND("flag %s", there[i]);
		EXPECT_TRUE(has_flag(ctx, there[i]));
	}
	for (i = 0; i < sizeof(absent) / sizeof(absent[0]); i++) {
		ROUND("flag %s", absent[i]);
		EXPECT_TRUE(!has_flag(ctx, absent[i]));
	}
}

CASE(ring, map_dontcopy, "the mapping is not for children",
     .clause = "ring.map.dontcopy", .needs = "smaps")
{
	EXPECT_TRUE(has_flag(new_context(1), "dc"));
	EXPECT_TRUE(has_flag(new_context(EVENTS), "dc"));
}

CASE(ring, map_gone, "when io_destroy() returns, every page is unmapped",
     .clause = "ring.map.gone")
{
	aio_handle ctx = new_context(EVENTS);
	size_t size = size_of_ring(ctx), at;

	ASSERT_OK(aio->destroy(ctx));
	for (at = 0; at < size; at += PAGE_SIZE)
		EXPECT_TRUE(!is_mapped((char *)ctx + at));
	EXPECT_EQ(0, maps_named("/[aio]"));
}

CASE(ring, map_unreachable, "the ring's file cannot be opened again",
     .clause = "ring.map.unreachable", .needs = "root")
{
	aio_handle ctx = new_context(1);
	struct line line = line_of(ctx);
	char path[100];

	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", line.from,
		 line.to);
	EXPECT_EQ(-1, open(path, O_RDWR | O_CLOEXEC));
	EXPECT_EQ(-ENXIO, -errno);
	EXPECT_EQ(-1, open(path, O_RDONLY | O_CLOEXEC));
	EXPECT_EQ(-ENXIO, -errno);
}

CASE(ring, map_dontneed, "what is in the ring is there after MADV_DONTNEED",
     .clause = "ring.map.dontneed", .needs = "madvise")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, EVENTS);
	aio_handle ctx = new_context(EVENTS);

	stage_complete(ctx, EVENTS, 0);
	stage_reap(ctx, 1, events);
	REQUIRE(!madvise((void *)ctx, size_of_ring(ctx), MADV_DONTNEED));
	EXPECT_EQ(1, ring_of(ctx)->head);
	EXPECT_EQ(EVENTS, ring_of(ctx)->tail);
	EXPECT_EQ(AIO_RING_MAGIC, ring_of(ctx)->magic);
	EXPECT_NUMBERED((struct io_event *)ring_of(ctx)->events, EVENTS, 0);
	EXPECT_EQ(EVENTS - 1, aio->getevents(ctx, 0, EVENTS, events, NULL));
	EXPECT_NUMBERED(events, EVENTS - 1, 1);
}

/* The context has each page, too, so that none is the last one's to free. */
CASE(ring, map_pageout, "no page of the ring is taken back while it lives",
     .clause = "ring.map.pageout", .needs = "madvise")
{
	struct io_event *events = GUARDED_ARRAY(struct io_event, EVENTS);
	aio_handle ctx = new_context(EVENTS);
	char *at = (char *)ctx;
	size_t offset;

	stage_complete(ctx, EVENTS, 0);
	stage_reap(ctx, 1, events);
	if (madvise(at, size_of_ring(ctx), MADV_PAGEOUT))
		SKIP("MADV_PAGEOUT: %s", strerror(errno));
	for (offset = 0; offset < size_of_ring(ctx); offset += PAGE_SIZE) {
		uint32_t word;

		ASSERT_TRUE(copy_checked(&word, at + offset, sizeof(word)));
	}
	EXPECT_EQ(1, ring_of(ctx)->head);
	EXPECT_EQ(EVENTS, ring_of(ctx)->tail);
	EXPECT_EQ(EVENTS - 1, aio->getevents(ctx, 0, EVENTS, events, NULL));
	EXPECT_NUMBERED(events, EVENTS - 1, 1);
	EXPECT_WORKS(ctx, EVENTS);
}

CASE(ring, map_mlock, "the ring can be locked into memory and let go",
     .clause = "ring.map.mlock")
{
	aio_handle ctx = new_context(EVENTS);
	size_t size = size_of_ring(ctx);

	EXPECT_EQ(0, mlock((void *)ctx, size));
	EXPECT_WORKS(ctx, 1);
	EXPECT_EQ(0, munlock((void *)ctx, size));
	EXPECT_WORKS(ctx, 2);
	EXPECT_EQ(0, mlock((void *)ctx, size));
	EXPECT_OK(aio->destroy(ctx));
}

CASE(ring, map_no_file_system,
     "rings lie on no file system that can be mounted",
     .clause = "ring.map.no_file_system", .flavours = NATIVE)
{
	FILE *file = fopen("/proc/filesystems", "re");
	char line[100];

	REQUIRE(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		EXPECT_TRUE(strcmp(line, "nodev\taio"));
		EXPECT_TRUE(strcmp(line, "\taio"));
	}
	fclose(file);
	EXPECT_EQ(-1, mount("none", scratch_path(""), "aio", 0, NULL));
	/* who may not mount at all is not told */
	if (errno != EPERM)
		EXPECT_EQ(ENODEV, errno);
}
