// SPDX-License-Identifier: GPL-2.0-or-later
#include "tasks.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GUARD_MS 5000 /* for what it does; more than it takes */
#define DYING_MS 100  /* one in D state is not waited for */

static ssize_t read_file(char *buf, size_t size, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static ssize_t read_file(char *buf, size_t size, const char *format, ...)
{
	char path[96];
	va_list args;
	ssize_t len;
	int fd;

	va_start(args, format);
	vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	*buf = '\0';
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	len = read(fd, buf, size - 1);
	close(fd);
	buf[len > 0 ? len : 0] = '\0';
	return len;
}

/* Calls fn for each process of the session. */
static void for_each(pid_t session, void (*fn)(pid_t pid, void *arg), void *arg)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	char stat[512];

	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		pid_t pid = atoi(entry->d_name);
		const char *after;
		int of;

		if (pid <= 0 ||
		    read_file(stat, sizeof(stat), "/proc/%d/stat", pid) <= 0)
			continue;
		/* the name in parentheses may hold anything */
		after = strrchr(stat, ')');
		if (!after || sscanf(after, ") %*c %*d %*d %d", &of) != 1 ||
		    of != session)
			continue;
		fn(pid, arg);
	}
	closedir(dir);
}

struct text {
	char *buf;
	size_t size, used;
};

static void add(struct text *text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void add(struct text *text, const char *format, ...)
{
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text->buf + text->used, text->size - text->used, format,
			args);
	va_end(args);
	if (len > 0)
		text->used += (size_t)len;
	if (text->used >= text->size)
		text->used = text->size - 1;
}

static const char *call_name(long nr)
{
	static const struct {
		long nr;
		const char *name;
	} names[] = {
		{ SYS_io_setup, "io_setup" },
		{ SYS_io_destroy, "io_destroy" },
		{ SYS_io_submit, "io_submit" },
		{ SYS_io_cancel, "io_cancel" },
		{ SYS_io_getevents, "io_getevents" },
		{ SYS_io_pgetevents, "io_pgetevents" },
		{ SYS_futex, "futex" },
		{ SYS_read, "read" },
		{ SYS_write, "write" },
		{ SYS_wait4, "wait4" },
		{ SYS_exit_group, "exit_group" },
	};
	unsigned int i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].nr == nr)
			return names[i].name;
	return "";
}

static void describe_task(struct text *text, pid_t pid, pid_t tid)
{
	char name[64], state[4096], syscall[256], wchan[128], stack[4096];
	const char *at;
	char *line, *rest;
	long nr;

	read_file(name, sizeof(name), "/proc/%d/task/%d/comm", pid, tid);
	name[strcspn(name, "\n")] = '\0';
	read_file(state, sizeof(state), "/proc/%d/task/%d/stat", pid, tid);
	read_file(syscall, sizeof(syscall), "/proc/%d/task/%d/syscall", pid,
		  tid);
	read_file(wchan, sizeof(wchan), "/proc/%d/task/%d/wchan", pid, tid);
	at = strrchr(state, ')');
	nr = strtol(syscall, NULL, 10);
	add(text, "task %d (%s) state %c, system call %s%s%.*s, wchan %s\n",
	    tid, name, at && at[1] ? at[2] : '?',
	    *syscall >= '0' && *syscall <= '9' ? call_name(nr) : "",
	    *syscall >= '0' && *syscall <= '9' ? " = " : "",
	    (int)strcspn(syscall, "\n"), syscall, *wchan ? wchan : "?");
	read_file(stack, sizeof(stack), "/proc/%d/task/%d/stack", pid, tid);
	for (line = strtok_r(stack, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest))
		add(text, "    %s\n", line);
}

static void describe_process(pid_t pid, void *arg)
{
	struct dirent *entry;
	char path[64];
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir)))
		if (atoi(entry->d_name) > 0)
			describe_task(arg, pid, atoi(entry->d_name));
	closedir(dir);
}

#define DESCRIBE_MS 2000

void tasks_describe(pid_t session, char *buf, size_t size)
{
	struct text *text = mmap(NULL, sizeof(*text) + size,
				 PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int ms;

	*buf = '\0';
	if (text == MAP_FAILED)
		return;
	text->buf = (char *)(text + 1);
	text->size = size;
	pid = fork();
	if (!pid) {
		for_each(session, describe_process, text);
		_exit(0);
	}
	for (ms = 0; pid > 0 && !waitpid(pid, NULL, WNOHANG); ms++) {
		if (ms == DESCRIBE_MS) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
			break;
		}
		poll(NULL, 0, 1);
	}
	snprintf(buf, size, "%s", text->buf);
	munmap(text, sizeof(*text) + size);
}

static bool is_one_of(pid_t pid, const pid_t *pids, unsigned int n)
{
	while (n--)
		if (pids[n] == pid)
			return true;
	return false;
}

static bool is_guard(pid_t pid)
{
	char name[32];

	read_file(name, sizeof(name), "/proc/%d/comm", pid);
	return !strcmp(name, GUARD_NAME "\n");
}

static bool reaped_within(pid_t pid, unsigned int ms)
{
	for (; ms; ms--) {
		if (waitpid(pid, NULL, WNOHANG))
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/* Kill and reap the orphans there are now; gives how many were reaped. */
static unsigned int mop_once(const pid_t *others, unsigned int n)
{
	char children[4096], *at = children, *end;
	unsigned int reaped = 0;
	pid_t pid;

	read_file(children, sizeof(children), "/proc/self/task/%d/children",
		  getpid());
	while ((pid = (pid_t)strtol(at, &end, 10)) > 0) {
		at = end;
		if (is_one_of(pid, others, n))
			continue;
		if (is_guard(pid) && reaped_within(pid, GUARD_MS)) {
			reaped++;
			continue;
		}
		kill(pid, SIGKILL);
		reaped += reaped_within(pid, DYING_MS);
	}
	return reaped;
}

void tasks_mop_up(const pid_t *others, unsigned int n)
{
	while (mop_once(others, n))
		;
}
