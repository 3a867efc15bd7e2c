// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /sbin/mkfs.TYPE of a guest, which has no other programs: writes the empty
 * file system that lies in /mkfs, without its zeroes (runner/zoo.py).
 */
#ifndef AIOABI_MKFS_H
#define AIOABI_MKFS_H

/* mkfs() - the last argument is the device; gives an exit status. */
int mkfs(const char *type, int argc, char **argv);

#endif
