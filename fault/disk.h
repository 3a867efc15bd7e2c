// SPDX-License-Identifier: GPL-2.0-or-later
/* Devices that fail what they are asked, while a point of theirs does. */
#ifndef AIOABI_FAULT_DISK_H
#define AIOABI_FAULT_DISK_H

#include <stdint.h>

/*
 * fault_disk() - make the device of this point, FAULT_DISK_SIZE bytes of
 * it, which fails nothing as long as the point does not; gives its path. One a
 * case. Ask for it with the needs of the point.
 */
const char *fault_disk(const char *point);
#define FAULT_DISK_SIZE (2 * 1024 * 1024)

/*
 * fault_disk_told() - with which errno a plain read or write failed when the
 * point did last: of some devices it is the kernel's choice.
 */
int fault_disk_told(void);

#endif
