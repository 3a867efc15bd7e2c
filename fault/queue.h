// SPDX-License-Identifier: GPL-2.0-or-later
/* The points under the calls that libaio makes itself. */
#ifndef AIOABI_FAULT_QUEUE_H
#define AIOABI_FAULT_QUEUE_H

#include <stdbool.h>

/*
 * fault_libaio() - whether calls of libaio's functions ask the points: those of
 * io_queue_init() and its like, and those that a case makes by their names.
 */
void fault_libaio(bool wanted);

#endif
