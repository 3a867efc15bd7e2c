// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The zoo: block devices and file systems of a guest, each made when the first
 * case wants it.
 */
#ifndef AIOABI_ZOO_H
#define AIOABI_ZOO_H

#include <stdbool.h>

#include "device.h"

/*
 * zoo_has() - whether this kernel and this machine can have it; false, with a
 * sentence in why.
 */
bool zoo_has(const char *name, char *why, unsigned int size);

/* zoo_add() - put it under test, to be made when a case wants it. */
bool zoo_add(const char *name, char *why, unsigned int size);

#endif
