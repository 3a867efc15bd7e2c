// SPDX-License-Identifier: GPL-2.0-or-later
/* What kernel/fail_nth counts: everything, unless it is told. */
#ifndef AIOABI_FAULT_KERNEL_H
#define AIOABI_FAULT_KERNEL_H

/*
 * fail_only_slab() - of allocations only those from this slab cache, until the
 * end of the case. fail_only_pages() - only those of pages. For serial cases
 * that need "fail_nth".
 */
void fail_only_slab(const char *cache);
void fail_only_pages(void);

#endif
