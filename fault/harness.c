// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The executor itself fails: linked into the program of the harness's tests
 * alone, in front of the C library (--wrap). HARNESS_FAULTS=NAME=N:ERRNO;...
 * says which point fails, at its Nth time; at the end stands on standard error
 * what did. Only the executor counts, not the cases that it runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "control.h"

static pid_t executor;
static char point[64];

__attribute__((constructor)) static void start(void)
{
	const char *text = getenv("HARNESS_FAULTS");
	unsigned int nth;
	int error;

	if (!text)
		return;
	if (sscanf(text, "%63[^=]=%u:%d", point, &nth, &error) != 3 || !nth ||
	    !fault_enable_hits(point, error, 1ull << (nth - 1))) {
		fprintf(stderr, "HARNESS_FAULTS: not understood: %s\n", text);
		exit(3);
	}
	fault_enabled = 1;
	executor = getpid();
}

__attribute__((destructor)) static void end(void)
{
	if (executor == getpid())
		fprintf(stderr, "%s: %u of %u failed\n", point,
			fault_fired(point), fault_hits(point));
}

static bool fails(const char *name)
{
	int error;

	if (!executor || executor != getpid() || !fault_ask(name, &error))
		return false;
	errno = error;
	return true;
}

pid_t __real_fork(void);
pid_t __wrap_fork(void);
pid_t __wrap_fork(void)
{
	return fails("harness/fork") ? -1 : __real_fork();
}

int __real_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags);
int __wrap_pipe2(int ends[2], int flags)
{
	return fails("harness/pipe") ? -1 : __real_pipe2(ends, flags);
}

int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...)
{
	mode_t mode;
	va_list args;

	va_start(args, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
	va_end(args);
	return fails("harness/open") ? -1 : __real_open64(path, flags, mode);
}

ssize_t __real_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len);
ssize_t __wrap_write(int fd, const void *buf, size_t len)
{
	return fails("harness/write") ? -1 : __real_write(fd, buf, len);
}
