// SPDX-License-Identifier: GPL-2.0-or-later
#include "needs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <linux/userfaultfd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define NEEDS_MAX 64

static unsigned int need_count(void)
{
	return (unsigned int)(__stop_aio_needs - __start_aio_needs);
}

/* Each need is tried once; what it said is kept by its place. */
static const char *answer(unsigned int i)
{
	static const char *answers[NEEDS_MAX];
	static bool asked[NEEDS_MAX];

	if (!asked[i]) {
		answers[i] = __start_aio_needs[i]->probe();
		asked[i] = true;
	}
	return answers[i];
}

/* The next name of a list, its length in len; NULL at the end. */
static const char *next_name(const char **names, size_t *len)
{
	const char *name;

	if (!*names)
		return NULL;
	name = *names + strspn(*names, " ");
	*len = strcspn(name, " ");
	*names = name + *len;
	return *len ? name : NULL;
}

static int need_index(const char *name, size_t len)
{
	unsigned int i;

	for (i = 0; i < need_count() && i < NEEDS_MAX; i++)
		if (strlen(__start_aio_needs[i]->name) == len &&
		    !strncmp(__start_aio_needs[i]->name, name, len))
			return (int)i;
	return -1;
}

const char *needs_unmet(const char *names, char *buf, unsigned int size)
{
	const char *name, *why;
	size_t len;
	int i;

	while ((name = next_name(&names, &len))) {
		i = need_index(name, len);
		why = i < 0 ? "no such need" : answer((unsigned int)i);
		if (!why)
			continue;
		snprintf(buf, size, "needs %s: %s",
			 i < 0 ? name : __start_aio_needs[i]->what, why);
		return buf;
	}
	return NULL;
}

const char *needs_unknown(const char *names, char *buf, unsigned int size)
{
	const char *name;
	size_t len;

	while ((name = next_name(&names, &len))) {
		if (need_index(name, len) >= 0)
			continue;
		snprintf(buf, size, "%.*s", (int)len, name);
		return buf;
	}
	return NULL;
}

/* A descriptor that could be made is closed; one that could not says why. */
static const char *made(int fd)
{
	if (fd < 0)
		return strerror(errno);
	close(fd);
	return NULL;
}

bool machine_is_ours;

NEED(ours, "a machine of its own, since other programs would suffer")
{
	return machine_is_ours ? NULL : "this one is shared";
}

NEED(root, "root")
{
	return geteuid() ? "run by another user" : NULL;
}

/* A 64-bit kernel takes what is the kernel's half here for the program's. */
NEED(native, "a kernel of the program's own word size")
{
	struct utsname name;

	uname(&name);
	return sizeof(long) == 4 && strstr(name.machine, "64") ? "it has 64"
							       : NULL;
}

NEED(cpus2, "two CPUs")
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		return strerror(errno);
	return CPU_COUNT(&set) < 2 ? "there is one" : NULL;
}

NEED(realtime, "real-time scheduling")
{
	const struct sched_param first = { .sched_priority = 1 };
	const struct sched_param normal = { 0 };

	if (sched_setscheduler(0, SCHED_FIFO, &first) ||
	    sched_setscheduler(0, SCHED_OTHER, &normal))
		return strerror(errno);
	return NULL;
}

static const char *no_userfaultfd(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	const char *why = NULL;

	if (fd < 0)
		return strerror(errno);
	if (ioctl(fd, UFFDIO_API, &api))
		why = strerror(errno);
	else if ((api.features & features) != features)
		why = "this one does not";
	close(fd);
	return why;
}

NEED(userfaultfd, "a userfaultfd that stops the kernel too")
{
	return no_userfaultfd(0);
}

NEED(write_traps, "a userfaultfd that protects from writes")
{
	return no_userfaultfd(UFFD_FEATURE_PAGEFAULT_FLAG_WP);
}

NEED(process_vm, "process_vm_readv(2)")
{
	char byte, other;
	struct iovec to = { &byte, 1 }, from = { &other, 1 };

	if (process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1)
		return NULL;
	return strerror(errno);
}

NEED(eventfd, "eventfd(2)")
{
	return made(eventfd(0, EFD_CLOEXEC));
}

NEED(epoll, "epoll(7)")
{
	return made(epoll_create1(EPOLL_CLOEXEC));
}

NEED(signalfd, "signalfd(2)")
{
	sigset_t set;

	sigemptyset(&set);
	return made(signalfd(-1, &set, SFD_CLOEXEC));
}

NEED(inotify, "inotify(7)")
{
	return made(inotify_init1(IN_CLOEXEC));
}

NEED(timerfd, "timerfd_create(2)")
{
	return made(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
}

NEED(memfd, "memfd_create(2)")
{
	return made(memfd_create("aioabi", MFD_CLOEXEC));
}

NEED(unix_sockets, "sockets of AF_UNIX")
{
	return made(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

NEED(inet_sockets, "sockets of AF_INET")
{
	return made(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
}

NEED(fuse, "/dev/fuse")
{
	return made(open("/dev/fuse", O_RDWR | O_CLOEXEC));
}

NEED(pty, "pseudo-terminals")
{
	return made(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC));
}

NEED(task_syscall, "/proc/PID/syscall")
{
	return made(open("/proc/self/syscall", O_RDONLY | O_CLOEXEC));
}

NEED(sysctls, "/proc/sys")
{
	return access("/proc/sys/fs/file-max", F_OK) ? strerror(errno) : NULL;
}

NEED(aio_sysctls, "fs.aio-nr and fs.aio-max-nr")
{
	return made(open("/proc/sys/fs/aio-nr", O_RDONLY | O_CLOEXEC));
}

NEED(kernel32, "a kernel for 32-bit machines")
{
	struct utsname name;

	if (sizeof(long) > 4)
		return "this program is for 64 bits";
	if (uname(&name))
		return strerror(errno);
	return strstr(name.machine, "64") ? "the kernel is for 64 bits" : NULL;
}

NEED(wide_long, "a long of 64 bits")
{
	return sizeof(long) < 8 ? "it has 32" : NULL;
}

NEED(seccomp, "filters of seccomp(2)")
{
	/* a filter at no address: looked for, if filters there are */
	if (!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) ||
	    errno == EFAULT)
		return NULL;
	return strerror(errno);
}

/* In a time namespace it tells of another clock than clock_gettime(2). */
NEED(timer_list, "/proc/timer_list, and its clock")
{
	FILE *list = fopen("/proc/timer_list", "re");
	long long now = -1;
	struct timespec ts;
	char line[100];

	if (!list)
		return strerror(errno);
	while (now < 0 && fgets(line, sizeof(line), list))
		sscanf(line, "now at %lld nsecs", &now);
	fclose(list);
	if (now < 0 || clock_gettime(CLOCK_MONOTONIC, &ts))
		return "it does not say what time it is";
	return llabs(now / 1000000000 - ts.tv_sec) > 1
		       ? "its clock is another one"
		       : NULL;
}

NEED(smaps, "/proc/PID/smaps")
{
	return made(open("/proc/self/smaps", O_RDONLY | O_CLOEXEC));
}

NEED(page_frames, "page frames in /proc/PID/pagemap")
{
	uint64_t entry = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	off_t at = (off_t)((uintptr_t)&entry / (size_t)sysconf(_SC_PAGESIZE) *
			   sizeof(entry));

	if (fd < 0)
		return strerror(errno);
	if (pread(fd, &entry, sizeof(entry), at) < 0)
		entry = 0;
	close(fd);
	return entry << 9 ? NULL : "frames are not shown";
}

NEED(compaction, "memory that can be compacted")
{
	return made(open("/proc/sys/vm/compact_memory", O_WRONLY | O_CLOEXEC));
}

NEED(madvise, "madvise(2)")
{
	return madvise(NULL, 0, MADV_NORMAL) ? strerror(errno) : NULL;
}

/* What a call said that only nodes make sense of, where there are two. */
static const char *with_two_nodes(long result)
{
	if (access("/sys/devices/system/node/node1", F_OK))
		return "there is one";
	return result ? strerror(errno) : NULL;
}

NEED(mempolicy, "two memory nodes, and set_mempolicy(2)")
{
	return with_two_nodes(syscall(SYS_set_mempolicy, 0, NULL, 0ul));
}

/* One without CONFIG_NUMA_MIGRATION (7.3) has the nodes and not the call. */
NEED(nodes2, "two memory nodes, and move_pages(2)")
{
	return with_two_nodes(
		syscall(SYS_move_pages, 0, 0ul, NULL, NULL, NULL, 0));
}
