// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"
#include "needs.h"
#include "own.h"

/* Where the one hierarchy is mounted; NULL if nowhere. */
static const char *cgroup_root(void)
{
	static char root[PATH_MAX];
	struct mntent *mount;
	FILE *mounts;

	mounts = setmntent("/proc/self/mounts", "re");
	if (!mounts)
		return NULL;
	*root = '\0';
	while (!*root && (mount = getmntent(mounts)))
		if (!strcmp(mount->mnt_type, "cgroup2"))
			snprintf(root, sizeof(root), "%s", mount->mnt_dir);
	endmntent(mounts);
	return *root ? root : NULL;
}

/* False and errno. */
static bool put(const char *dir, const char *file, const char *value)
{
	char path[PATH_MAX];
	ssize_t written;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	written = write(fd, value, strlen(value));
	close(fd);
	return written == (ssize_t)strlen(value);
}

/* Whether groups below it have their memory counted. */
static bool counts_memory(const char *dir)
{
	char line[256] = "", path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.subtree_control", dir);
	f = fopen(path, "re");
	if (!f)
		return false;
	if (!fgets(line, sizeof(line), f))
		*line = '\0';
	fclose(f);
	return strstr(line, "memory");
}

NEED(memcg, "memory cgroups of version 2, as root")
{
	const char *root = cgroup_root();

	if (geteuid())
		return "run by another user";
	if (!root)
		return "cgroup2 is not mounted";
	if (access(root, W_OK))
		return strerror(errno);
	/* that would be a change for all on a machine with others */
	if (machine_is_ours)
		put(root, "cgroup.subtree_control", "+memory");
	return counts_memory(root) ? NULL : "it does not count memory";
}

static const char *last_group;

/* Who was in it is dying, or dead. */
static void remove_group(int fd)
{
	while (rmdir(last_group) && errno == EBUSY)
		breathe();
}

const char *own_cgroup(size_t limit)
{
	static unsigned int n;
	char *dir;

	REQUIRE(asprintf(&dir, "%s/aioabi-%d-%u", cgroup_root(), getpid(),
			 n++) > 0);
	REQUIRE(!mkdir(dir, 0755));
	last_group = dir;
	at_death(remove_group, -1);
	cgroup_set(dir, "memory.max", limit);
	if (cgroup_can(dir, "memory.swap.max"))
		cgroup_set(dir, "memory.swap.max", 0);
	return dir;
}

void cgroup_enter(const char *dir)
{
	REQUIRE(put(dir, "cgroup.procs", "0"));
}

bool cgroup_can(const char *dir, const char *file)
{
	return !access(file_in(dir, file), F_OK);
}

void cgroup_set(const char *dir, const char *file, size_t value)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", value);
	REQUIRE(put(dir, file, text));
}

void cgroup_kill(const char *dir)
{
	FILE *members;
	int pid;

	if (cgroup_can(dir, "cgroup.kill")) {
		cgroup_set(dir, "cgroup.kill", 1);
		return;
	}
	members = fopen(file_in(dir, "cgroup.procs"), "re");
	REQUIRE(members);
	while (fscanf(members, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	fclose(members);
}

/*
 * A bound of nothing has the caches dropped, and given back what each CPU has
 * been charged in advance.
 */
size_t cgroup_memory(const char *dir)
{
	cgroup_set(dir, "memory.high", 0);
	return (size_t)file_number(file_in(dir, "memory.current"));
}
