// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Requests of io_uring, one at a time, beside those of native AIO: files see
 * both, and must not take one for the other. Ask for it with
 * .needs = "io_uring".
 */
#ifndef AIOABI_URING_H
#define AIOABI_URING_H

#include <stddef.h>

struct uring;

/* uring_open() - a ring of its own, closed at the end of the case. */
struct uring *uring_open(void);

/* uring_read(), uring_write() - submit one, and come back at once. */
void uring_read(struct uring *uring, int fd, void *buf, size_t len);
void uring_write(struct uring *uring, int fd, const void *buf, size_t len);

/* uring_result() - wait until one completes; gives its result. */
int uring_result(struct uring *uring);

#endif
