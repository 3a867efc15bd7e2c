// SPDX-License-Identifier: GPL-2.0-or-later
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "case.h"
#include "report.h"
#include "run_case.h"

#define CANARY 0xa5

/* One mapping: a page of canary, the pages of the block, a page of nothing. */
struct block {
	struct block *next;
	unsigned char *start; /* of the mapping */
	unsigned char *begin; /* of the block's own bytes */
	size_t size;
};
static struct block *blocks;

long page_size(void)
{
	static long size;

	if (!size)
		size = sysconf(_SC_PAGESIZE);
	return size;
}

static size_t round_to_pages(size_t size)
{
	return (size + PAGE_SIZE - 1) / PAGE_SIZE * PAGE_SIZE;
}

void *guarded(size_t size)
{
	size_t inside = round_to_pages(size ? size : 1);
	struct block *block = malloc(sizeof(*block));
	unsigned char *map;

	REQUIRE(block);
	map = mmap(NULL, inside + 2 * PAGE_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	REQUIRE(map != MAP_FAILED);
	block->start = map;
	block->begin = map + PAGE_SIZE + inside - size;
	block->size = size;
	memset(map, CANARY, (size_t)(block->begin - map));
	REQUIRE(!mprotect(map + PAGE_SIZE + inside, PAGE_SIZE, PROT_NONE));
	block->next = blocks;
	blocks = block;
	return block->begin;
}

void *io_buffer(size_t size)
{
	return guarded(round_to_pages(size ? size : 1));
}

void memory_check(void)
{
	struct block *block;
	unsigned char *at;

	for (block = blocks; block; block = block->next) {
		/* a case may have taken the pages away */
		if (!is_mapped(block->start))
			continue;
		for (at = block->start; at < block->begin; at++) {
			if (*at == CANARY)
				continue;
			report_ending(ENDING_FAIL,
				      "written %zu bytes before a buffer",
				      (size_t)(block->begin - at));
			report_line(
				"the canary before the %zu bytes at %p was overwritten, %zu bytes before them",
				block->size, (void *)block->begin,
				(size_t)(block->begin - at));
			break;
		}
	}
}

static void protect(void *memory, size_t size, int protection)
{
	uintptr_t from = (uintptr_t)memory / PAGE_SIZE * PAGE_SIZE;
	uintptr_t to = (uintptr_t)memory + size;

	REQUIRE(!mprotect((void *)from, round_to_pages(to - from), protection));
}

void read_only(void *memory, size_t size)
{
	protect(memory, size, PROT_READ);
}

void inaccessible(void *memory, size_t size)
{
	protect(memory, size, PROT_NONE);
}

void read_write(void *memory, size_t size)
{
	protect(memory, size, PROT_READ | PROT_WRITE);
}

/* Kept reserved, so that no later mapping lands there. */
void *nowhere(void)
{
	static void *page;

	if (!page) {
		page = mmap(NULL, PAGE_SIZE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		REQUIRE(page != MAP_FAILED);
	}
	return page;
}

/* The last page but one of the address space: the kernel's on every ABI. */
void *kernel_address(void)
{
	return (void *)(uintptr_t) - (2 * PAGE_SIZE);
}

uint64_t page_frame(const void *address)
{
	static int pagemap = -1;
	uint64_t entry;
	off_t at;

	if (pagemap < 0)
		pagemap =
			keep(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
	(void)*(const volatile char *)address;
	at = (off_t)((uintptr_t)address / PAGE_SIZE * sizeof(entry));
	REQUIRE(pread(pagemap, &entry, sizeof(entry), at) == sizeof(entry));
	return entry & ((1ull << 55) - 1);
}

/* The segment of the kernel's core image that has this physical address. */
static uint64_t in_kcore(uint64_t physical)
{
	int fd = open("/proc/kcore", O_RDONLY | O_CLOEXEC);
	uint64_t found = 0;
	Elf64_Ehdr header;
	Elf64_Phdr segment;
	unsigned int i;

	if (fd < 0 || read(fd, &header, sizeof(header)) != sizeof(header))
		header.e_phnum = 0;
	for (i = 0; i < header.e_phnum && !found; i++) {
		if (pread(fd, &segment, sizeof(segment),
			  (off_t)(header.e_phoff + i * sizeof(segment))) !=
		    sizeof(segment))
			break;
		if (segment.p_type == PT_LOAD && segment.p_paddr <= physical &&
		    physical - segment.p_paddr < segment.p_memsz)
			found = segment.p_vaddr + physical - segment.p_paddr;
	}
	if (fd >= 0)
		close(fd);
	return found;
}

/* Documentation/arch/x86/x86_64/mm.rst: of four levels, and of five. */
static const uint64_t direct_maps[] = { 0xffff888000000000,
					0xff11000000000000 };

void *kernel_alias(const void *page, unsigned int way)
{
	uint64_t physical = page_frame(page) * PAGE_SIZE;

	if (!way)
		return (void *)(uintptr_t)in_kcore(physical)
			       ?: kernel_address();
	if (way > sizeof(direct_maps) / sizeof(direct_maps[0]))
		return NULL;
	return (void *)(uintptr_t)(direct_maps[way - 1] + physical);
}

/* What a 32-bit program can point to is all user space to a 64-bit kernel. */
uint64_t kernel_buffer(void)
{
#ifdef AIOABI_COMPAT32
	return -(2 * (uint64_t)PAGE_SIZE);
#else
	return (uintptr_t)kernel_address();
#endif
}

void *shared_memory(size_t size)
{
	void *map = mmap(NULL, size, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	REQUIRE(map != MAP_FAILED);
	return map;
}

/* One step of a multiplicative hash: neighbours and seeds all differ. */
unsigned char pattern_at(uint32_t seed, size_t position)
{
	uint32_t x = (seed + 1) * 2654435761u ^ (uint32_t)position;

	x = (x ^ x >> 15) * 2246822519u;
	return (unsigned char)(x >> 24 ^ x >> 8);
}

void pattern(void *buf, size_t size, uint32_t seed)
{
	unsigned char *bytes = buf;
	size_t i;

	for (i = 0; i < size; i++)
		bytes[i] = pattern_at(seed, i);
}

/* A line of /proc/self/maps, taken apart. */
struct mapping {
	uintptr_t from, to;
	unsigned long inode;
	const char *name;
};

static bool mapping_parse(char *line, struct mapping *mapping)
{
	unsigned long from, to;
	int at = 0;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "%lx-%lx %*s %*s %*s %lu %n", &from, &to,
		   &mapping->inode, &at) < 3)
		return false;
	mapping->from = from;
	mapping->to = to;
	mapping->name = line + at;
	return true;
}

/*
 * Rings are told apart by their inodes: one that mprotect(2) has cut in two
 * is two lines, and still one ring.
 */
unsigned int maps_named(const char *name)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long last = 0;
	struct mapping mapping;
	unsigned int n = 0;
	char line[4096];

	if (!maps)
		return 0;
	while (fgets(line, sizeof(line), maps)) {
		if (!mapping_parse(line, &mapping) ||
		    strncmp(mapping.name, name, strlen(name)))
			continue;
		n += !n || mapping.inode != last;
		last = mapping.inode;
	}
	fclose(maps);
	return n;
}

const char *map_line(const void *address, char *buf, size_t size)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	struct mapping mapping;
	char line[4096], copy[4096];

	REQUIRE(maps);
	*buf = '\0';
	while (fgets(line, sizeof(line), maps)) {
		strcpy(copy, line);
		if (mapping_parse(copy, &mapping) &&
		    (uintptr_t)address >= mapping.from &&
		    (uintptr_t)address < mapping.to) {
			line[strcspn(line, "\n")] = '\0';
			snprintf(buf, size, "%s", line);
			break;
		}
	}
	fclose(maps);
	return buf;
}

bool is_mapped(const void *address)
{
	uintptr_t page = (uintptr_t)address / PAGE_SIZE * PAGE_SIZE;
	unsigned char vec;

	return !mincore((void *)page, PAGE_SIZE, &vec) || errno != ENOMEM;
}
