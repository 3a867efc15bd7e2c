// SPDX-License-Identifier: GPL-2.0-or-later
/* Numbers of the kernel as the names that a reader knows. */
#ifndef AIOABI_NAMES_H
#define AIOABI_NAMES_H

#include <stddef.h>

/*
 * value_name() - a result as text: "-EINVAL" for what can be a negative
 * errno (-4095 to -1, codes internal to the kernel included), else decimal.
 *
 * Gives buf.
 */
const char *value_name(long long value, char *buf, size_t size);

/* signal_name() - "SIGSEGV", or "signal 99". Gives buf. */
const char *signal_name(int sig, char *buf, size_t size);

#endif
