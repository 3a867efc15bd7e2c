// SPDX-License-Identifier: GPL-2.0-or-later
#include "journal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define JOURNAL_MAX (64 * 1024)

static int journal = -1;
static char journal_path[PATH_MAX];

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	remove(path);
	return 0;
}

void remove_tree(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static bool sysctl_path(char *path, size_t size, const char *name)
{
	return !strstr(name, "..") &&
	       snprintf(path, size, "/proc/sys/%s", name) < (int)size;
}

static bool sysctl_is(const char *name, long value)
{
	char path[200];
	bool same;
	FILE *f;
	long now;

	if (!sysctl_path(path, sizeof(path), name))
		return false;
	f = fopen(path, "re");
	if (!f)
		return false;
	same = fscanf(f, "%ld", &now) == 1 && now == value;
	fclose(f);
	return same;
}

static void sysctl_write(const char *name, long value)
{
	char path[200];
	FILE *f;

	if (!sysctl_path(path, sizeof(path), name))
		return;
	f = fopen(path, "we");
	if (!f)
		return;
	fprintf(f, "%ld\n", value);
	fclose(f);
}

/*
 * After a run that died, a value that is not the one it set is somebody's who
 * came later; after a case of our own there is nobody else, but the kernel may
 * show what was written otherwise.
 */
static void undo_line(char *line, bool dead, void (*undone)(const char *line))
{
	char name[160], note[PATH_MAX + 100], *path;
	long old, set;

	line[strcspn(line, "\n")] = '\0';
	if (sscanf(line, "sysctl %159s %ld %ld", name, &old, &set) == 3) {
		if (sysctl_is(name, old) || (dead && !sysctl_is(name, set)))
			return;
		sysctl_write(name, old);
		snprintf(note, sizeof(note), "put %s back from %ld to %ld",
			 name, set, old);
	} else if (!strncmp(line, "directory ", 10)) {
		path = line + 10;
		if (access(path, F_OK) || !strstr(path, "/aioabi-"))
			return;
		remove_tree(path);
		snprintf(note, sizeof(note), "removed %s", path);
	} else {
		return;
	}
	if (undone)
		undone(note);
}

/*
 * Newest first. Directories only if all is to be undone. By pread(2) on this
 * very descriptor: closing another one would give up the lock.
 */
static void undo_file(int fd, off_t from, bool all, bool dead,
		      void (*undone)(const char *line))
{
	char *text = malloc(JOURNAL_MAX + 1), *line;
	ssize_t len;

	if (!text)
		return;
	len = pread(fd, text, JOURNAL_MAX, from);
	text[len > 0 ? len : 0] = '\0';
	while (*text) {
		char *end = strrchr(text, '\n');

		/* a last line without its newline was never finished */
		if (!end)
			break;
		*end = '\0';
		line = strrchr(text, '\n');
		line = line ? line + 1 : text;
		if (all || !strncmp(line, "sysctl ", 7))
			undo_line(line, dead, undone);
		if (line == text)
			break;
		line[0] = '\0';
	}
	free(text);
}

/* Of the process, not of its children, which may outlive it in D state. */
static bool lock(int fd)
{
	struct flock whole = { .l_type = F_WRLCK };

	return !fcntl(fd, F_SETLK, &whole);
}

static void undo_dead_runs(const char *dir, void (*undone)(const char *line))
{
	DIR *d = opendir(dir);
	struct dirent *entry;
	char path[PATH_MAX];
	int fd;

	if (!d)
		return;
	while ((entry = readdir(d))) {
		if (strncmp(entry->d_name, "run-", 4))
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		fd = open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (lock(fd)) {
			undo_file(fd, 0, true, true, undone);
			unlink(path);
		}
		close(fd);
	}
	closedir(d);
}

/* Anybody may make names in /var/tmp: trust only a directory of our own. */
static bool own_directory(const char *dir)
{
	struct stat st;

	if (mkdir(dir, 0700) && errno != EEXIST)
		return false;
	errno = EPERM;
	return !lstat(dir, &st) && S_ISDIR(st.st_mode) &&
	       st.st_uid == geteuid() && !(st.st_mode & 077);
}

bool journal_open(const char *base, void (*undone)(const char *line), char *why,
		  unsigned int size)
{
	char dir[PATH_MAX - 64];

	snprintf(dir, sizeof(dir), "%s/aioabi.%u", base,
		 (unsigned int)geteuid());
	if (!own_directory(dir)) {
		snprintf(why, size, "no journal in %s: %s", dir,
			 strerror(errno));
		return false;
	}
	undo_dead_runs(dir, undone);
	snprintf(journal_path, sizeof(journal_path), "%s/run-%d", dir,
		 getpid());
	journal = open(journal_path,
		       O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (journal < 0 || !lock(journal)) {
		snprintf(why, size, "%s: %s", journal_path, strerror(errno));
		return false;
	}
	return true;
}

/* On the disk before the change is made. */
static bool journal_write(const char *line, int len)
{
	if (journal < 0)
		return false;
	return write(journal, line, (size_t)len) == len && !fdatasync(journal);
}

bool journal_sysctl(const char *name, long old, long set)
{
	char line[300];

	return journal_write(line,
			     snprintf(line, sizeof(line), "sysctl %s %ld %ld\n",
				      name, old, set));
}

bool journal_directory(const char *path)
{
	char line[PATH_MAX + 32];

	return journal_write(
		line, snprintf(line, sizeof(line), "directory %s\n", path));
}

void journal_undo_sysctls(void)
{
	static off_t undone;
	off_t end;

	if (journal < 0)
		return;
	end = lseek(journal, 0, SEEK_END);
	if (end == undone)
		return;
	undo_file(journal, undone, false, false, NULL);
	undone = end;
}

bool journal_move(int fd)
{
	if (journal >= 0 && journal != fd)
		journal = dup2(journal, fd) < 0 ? -1 : fd;
	return journal >= 0;
}

void journal_adopt(int fd)
{
	journal = fd;
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

void journal_close(void)
{
	if (journal < 0)
		return;
	journal_undo_sysctls();
	undo_file(journal, 0, true, true, NULL);
	unlink(journal_path);
	close(journal);
	journal = -1;
}
