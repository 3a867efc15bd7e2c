// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that goes to the kernel: guarded, protected, shared, or not there. */
#ifndef AIOABI_MEMORY_H
#define AIOABI_MEMORY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * guarded() - size bytes of zeroes, their end at an inaccessible page, a page
 * of canary in front. A write before them fails the case when it ends.
 * Aligned as far as size is a multiple of the alignment. Freed by the end.
 */
void *guarded(size_t size);
#define GUARDED(type)	       ((type *)guarded(sizeof(type)))
#define GUARDED_ARRAY(type, n) ((type *)guarded(sizeof(type) * (n)))

/* io_buffer() - as guarded(), size rounded up to pages: fit for O_DIRECT. */
void *io_buffer(size_t size);

/* read_only() - no writes any more to the pages that hold these bytes. */
void read_only(void *memory, size_t size);
/* inaccessible() - neither reads nor writes. */
void inaccessible(void *memory, size_t size);
/* read_write() - and back. */
void read_write(void *memory, size_t size);

/* nowhere() - an address of user space at which nothing is mapped. */
void *nowhere(void);
/* kernel_address() - an address that no user may touch. */
void *kernel_address(void);
/*
 * kernel_alias() - an address at which the kernel itself may have the memory
 * of this page: way 0, 1 and on, until NULL. What a call stores there without
 * asking whose it is goes to the page, and harms nobody. Needs "page_frames";
 * with KASLR, /proc/kcore has to tell, or none of them is right.
 */
void *kernel_alias(const void *page, unsigned int way);
/*
 * page_frame() - the number of the page frame behind an address, which it has
 * from now on. Needs "page_frames".
 */
uint64_t page_frame(const void *address);
/* kernel_buffer() - such an address as aio_buf has it, which is 64 bits wide.
 */
uint64_t kernel_buffer(void);

/* shared_memory() - size bytes of zeroes that children share. */
void *shared_memory(size_t size);

/* pattern() - fill with bytes that depend on seed and position. */
void pattern(void *buf, size_t size, uint32_t seed);
/* pattern_at() - the byte of that seed at that position. */
unsigned char pattern_at(uint32_t seed, size_t position);
#define EXPECT_PATTERN(buf, size, seed) \
	check_pattern(PLACE_(#buf, HOW_EXPECT), (buf), (size), (seed))
struct place;
_Bool check_pattern(const struct place *place, const void *buf, size_t size,
		    uint32_t seed);

#define PAGE_SIZE ((size_t)page_size())
long page_size(void);

/* maps_named() - mappings of this process whose name begins so ("/[aio]"). */
unsigned int maps_named(const char *name);
/*
 * map_line() - the line of /proc/self/maps of the mapping that holds address,
 * without its newline; "" when there is none. Gives buf.
 */
const char *map_line(const void *address, char *buf, size_t size);
/* is_mapped() - whether the page at this address is mapped. */
_Bool is_mapped(const void *address);

#endif
