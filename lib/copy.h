// SPDX-License-Identifier: GPL-2.0-or-later
/* Memory that may not be there. */
#ifndef AIOABI_COPY_H
#define AIOABI_COPY_H

#include <stdbool.h>
#include <stddef.h>

/*
 * copy_checked() - copy len bytes as the kernel does, which finds out whether
 * both places can be reached. False: one cannot, and a part may be copied.
 */
bool copy_checked(void *to, const void *from, size_t len);

#endif
