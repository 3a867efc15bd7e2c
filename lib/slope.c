// SPDX-License-Identifier: GPL-2.0-or-later
#include "slope.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "case.h"
#include "needs.h"

#define MEASUREMENTS  4	 /* of which each has to show a growth */
#define GRACE_PERIODS 40 /* in which what is freed later is freed */
#define FILE_TEXT     (1024 * 1024)

/*
 * Per-CPU memory goes by a few bytes each time, and first into pages that are
 * there already: only many times show in its pages.
 */
#define PERCPU_TIMES 8000
#define PERCPU_PAGES 3

/* Caches that AIO allocates from; the general ones by their sizes. */
static const char *const caches[] = {
	"kioctx",      "aio_kiocb",   "aio_inode_cache", "inode_cache",
	"filp",	       "cred",	      "cred_jar",	 "eventfd_ctx",
	"mm_struct",   "kmalloc-16",  "kmalloc-32",	 "kmalloc-64",
	"kmalloc-96",  "kmalloc-128", "kmalloc-192",	 "kmalloc-256",
	"kmalloc-512", "kmalloc-1k",  "kmalloc-2k",	 "kmalloc-4k",
	"kmalloc-8k",
};
#define CACHES	    (sizeof(caches) / sizeof(caches[0]))
#define UNACCOUNTED CACHES	 /* pages that nobody says he has */
#define PERCPU	    (CACHES + 1) /* pages of per-CPU memory of one CPU */
#define COUNTERS    (CACHES + 2)

struct counts {
	long n[COUNTERS]; /* -1: not to be had */
};

static char *read_text(const char *path)
{
	static char text[FILE_TEXT];
	size_t len = 0;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	text[0] = '\0';
	if (fd < 0)
		return NULL;
	while (len < sizeof(text) - 1 &&
	       (got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)got;
	close(fd);
	text[len] = '\0';
	return text;
}

/* Objects of a cache that are in use; -1 if nobody says. */
static long cache_objects(const char *name)
{
	char path[100], key[40], *text, *at;

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/objects", name);
	text = read_text(path);
	if (text && *text)
		return atol(text);
	text = read_text("/proc/slabinfo");
	snprintf(key, sizeof(key), "\n%s ", name);
	at = text ? strstr(text, key) : NULL;
	return at ? atol(at + strlen(key)) : -1;
}

/* Where a cache is told to give up what it has no use for. */
static int open_shrink(const char *name)
{
	char path[100];

	snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", name);
	return open(path, O_WRONLY | O_CLOEXEC);
}

static void shrink(const char *name)
{
	int fd = open_shrink(name);

	if (fd < 0)
		return;
	if (write(fd, "1", 1) < 0)
		breathe(); /* as if there were nothing to shrink */
	close(fd);
}

void slab_let_go(void)
{
	size_t i;

	for (i = 0; i < CACHES; i++)
		shrink(caches[i]);
}

long slab_objects(const char *name)
{
	shrink(name);
	return cache_objects(name);
}

/* A number of kB of /proc/meminfo, in pages; 0 where a kernel has none. */
static long meminfo(const char *text, const char *name)
{
	char key[40];
	const char *at;

	snprintf(key, sizeof(key), "\n%s:", name);
	at = strstr(text, key);
	return at ? atol(at + strlen(key)) * 1024 / (long)PAGE_SIZE : 0;
}

/* Free pages that each CPU keeps for itself: nobody has these, either. */
static long pages_of_cpus(void)
{
	const char *at = read_text("/proc/zoneinfo");
	long n = 0;

	if (!at)
		return 0;
	while ((at = strstr(at, " count:"))) {
		at += strlen(" count:");
		n += atol(at);
	}
	return n;
}

static void count(struct counts *counts)
{
	static const char *const owners[] = {
		"MemFree", "Buffers",	  "Cached",	"AnonPages",
		"Slab",	   "KernelStack", "PageTables", "Percpu",
	};
	const char *text;
	long total;
	size_t i;

	for (i = 0; i < CACHES; i++)
		counts->n[i] = cache_objects(caches[i]);
	text = read_text("/proc/meminfo");
	REQUIRE(text);
	/* the first line, which has no newline in front */
	total = atol(text + strcspn(text, ":") + 1) * 1024 / (long)PAGE_SIZE;
	for (i = 0; i < sizeof(owners) / sizeof(owners[0]); i++)
		total -= meminfo(text, owners[i]);
	counts->n[PERCPU] =
		meminfo(text, "Percpu") / sysconf(_SC_NPROCESSORS_CONF);
	counts->n[UNACCOUNTED] = total - pages_of_cpus();
}

/* What a leak of one each time would pass by far. */
static long limit(size_t counter, unsigned int times)
{
	if (counter != PERCPU)
		return times / 2;
	return times < PERCPU_TIMES ? LONG_MAX : PERCPU_PAGES;
}

static long growth(const struct counts *before, const struct counts *after,
		   size_t counter)
{
	if (before->n[counter] < 0 || after->n[counter] < 0)
		return 0;
	return after->n[counter] - before->n[counter];
}

static const char *counter_name(size_t counter)
{
	if (counter == UNACCOUNTED)
		return "pages that nobody has";
	if (counter == PERCPU)
		return "pages of per-CPU memory";
	return caches[counter];
}

/* Much is freed after a grace period, by a worker. */
static void grace_period(void)
{
	if (syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0))
		breathe();
}

/* One measurement after the other, each of so many times. */
struct slope {
	struct counts first, before, after;
	unsigned int times;
	unsigned int n; /* which measurement it is, from 1 */
	bool suspect[COUNTERS];
};

/*
 * A leak grows in each measurement, though what is freed late may hide some of
 * it in one; all together it is what a leak of one each time makes at least
 * half of. What others have allocated once is in the sum, but does not go on.
 */
static bool over(const struct slope *slope, size_t counter)
{
	long most = limit(counter, slope->times);

	return growth(&slope->before, &slope->after, counter) > most / 4 &&
	       growth(&slope->first, &slope->after, counter) / (long)slope->n >
		       most;
}

static bool any_over(const struct slope *slope)
{
	size_t i;

	for (i = 0; i < COUNTERS; i++)
		if (slope->suspect[i] && over(slope, i))
			return true;
	return false;
}

/* What is freed may still be held back: see slab_let_go(). */
static void shrink_what_grew(const struct slope *slope)
{
	size_t i;

	for (i = 0; i < CACHES; i++)
		if (over(slope, i))
			shrink(caches[i]);
}

static void measure(struct slope *slope, void (*way)(unsigned int times))
{
	unsigned int waits;

	slab_let_go();
	count(&slope->before);
	if (!slope->n++)
		slope->first = slope->before;
	way(slope->times);
	count(&slope->after);
	for (waits = 0; waits < GRACE_PERIODS && any_over(slope); waits++) {
		grace_period();
		shrink_what_grew(slope);
		count(&slope->after);
	}
}

bool check_no_leak(const struct place *place, void (*way)(unsigned int times),
		   unsigned int times)
{
	struct slope slope = { .times = times };
	bool ok = true;
	size_t k;

	memset(slope.suspect, true, sizeof(slope.suspect));
	while (slope.n < MEASUREMENTS) {
		measure(&slope, way);
		if (!any_over(&slope))
			return check_relation(place, REL_EQ, 0, 0);
		for (k = 0; k < COUNTERS; k++)
			slope.suspect[k] = slope.suspect[k] && over(&slope, k);
	}
	for (k = 0; k < COUNTERS; k++) {
		char text[100];
		struct place named = *place;

		if (!slope.suspect[k])
			continue;
		snprintf(text, sizeof(text), "%s %s in %u times",
			 counter_name(k), place->text, slope.n * times);
		named.text = text;
		ok = check_relation(&named, REL_LE,
				    (long)slope.n * limit(k, times),
				    growth(&slope.first, &slope.after, k)) &&
		     ok;
	}
	return ok;
}

static bool has_kernel_symbol(const char *name)
{
	FILE *symbols = fopen("/proc/kallsyms", "re");
	char line[400], found[200];
	bool has = false;

	while (symbols && !has && fgets(line, sizeof(line), symbols))
		has = sscanf(line, "%*x %*c %199s", found) == 1 &&
		      !strcmp(found, name);
	if (symbols)
		fclose(symbols);
	return has;
}

NEED(slab_counts, "what slab caches hold, as root may see")
{
	int fd;

	if (cache_objects("kioctx") < 0)
		return "kioctx is counted nowhere";
	fd = open_shrink("kioctx");
	if (fd >= 0)
		close(fd);
	else if (has_kernel_symbol("kasan_quarantine_put"))
		return "KASAN holds back what is freed, and cannot be told";
	return NULL;
}
