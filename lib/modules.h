// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The kernel's modules in a guest: files in /modules, side by side, and an
 * index of what each needs (runner/kernels.py writes it). This program is also
 * the kernel's /sbin/modprobe, so what the kernel asks for is loaded, too.
 */
#ifndef AIOABI_MODULES_H
#define AIOABI_MODULES_H

#include <stdbool.h>

/*
 * module_load() - load a module and what it needs, by its name or an alias.
 *
 * Parameters come from the kernel's command line (NAME.PARAMETER=VALUE), as
 * they do for what is built in. False, with a sentence in why, when there is
 * no such module or the kernel refuses it; true when it is built in.
 */
bool module_load(const char *name, char *why, unsigned int size);

/* module_known() - whether there is such a module, or it is built in. */
bool module_known(const char *name);

/* modules_make_nodes() - device nodes that load a module when opened. */
void modules_make_nodes(void);

/* modprobe() - what the kernel runs; gives an exit status. */
int modprobe(int argc, char **argv);

#endif
