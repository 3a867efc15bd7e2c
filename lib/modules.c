// SPDX-License-Identifier: GPL-2.0-or-later
#include "modules.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MODULES "/modules"

/* Run fn on each line of the index of this kind, until it says that it is done:
 * true. The line is without its kind, and fn may cut it up.
 */
static bool each_line(const char *kind, bool (*fn)(char *line, void *arg),
		      void *arg)
{
	size_t len = strlen(kind), size = 0;
	char *line = NULL;
	bool done = false;
	FILE *index = fopen(MODULES "/index", "re");

	if (!index)
		return false;
	while (!done && getline(&line, &size, index) > 0) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, kind, len) && line[len] == ' ')
			done = fn(line + len + 1, arg);
	}
	free(line);
	fclose(index);
	return done;
}

/* The kernel takes - and _ for the same in a module's name. */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(strchr("-_", *a) && strchr("-_", *b)))
			return false;
	return *a == *b;
}

/* What stands on the kernel's command line for a module, as it takes it. */
static void parameters(const char *name, char *buf, size_t size)
{
	static char line[8192];
	static bool read_before;
	const char *word, *dot;
	size_t used = 0;

	if (!read_before) {
		FILE *f = fopen("/proc/cmdline", "re");

		if (f && !fgets(line, sizeof(line), f))
			*line = '\0';
		if (f)
			fclose(f);
		line[strcspn(line, "\n")] = '\0';
		read_before = true;
	}
	*buf = '\0';
	for (word = line; *word; word += strspn(word, " ")) {
		size_t len = strcspn(word, " ");
		char owner[64];

		dot = memchr(word, '.', len);
		if (dot) {
			snprintf(owner, sizeof(owner), "%.*s",
				 (int)(dot - word), word);
			if (same_name(owner, name) && used < size)
				used += (size_t)snprintf(
					buf + used, size - used, "%s%.*s",
					used ? " " : "",
					(int)(word + len - dot - 1), dot + 1);
		}
		word += len;
	}
}

static bool load_file(const char *file, char *why, unsigned int size)
{
	char path[PATH_MAX], name[64], params[1024];
	bool ok;
	int fd;

	snprintf(path, sizeof(path), MODULES "/%s", file);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(file, "."), file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		snprintf(why, size, "%s: %s", path, strerror(errno));
		return false;
	}
	parameters(name, params, sizeof(params));
	ok = !syscall(SYS_finit_module, fd, params, 0) || errno == EEXIST;
	if (!ok)
		snprintf(why, size, "the module %s: %s", name, strerror(errno));
	close(fd);
	return ok;
}

struct search {
	const char *name;
	char *buf;
	size_t size;
};

/* "NAME FILE..." */
static bool files_of(char *line, void *arg)
{
	struct search *search = arg;
	char *files = strchr(line, ' ');

	if (!files)
		return false;
	*files++ = '\0';
	if (!same_name(line, search->name))
		return false;
	snprintf(search->buf, search->size, "%s", files);
	return true;
}

/* "PATTERN NAME" */
static bool alias_of(char *line, void *arg)
{
	struct search *search = arg;
	char *name = strchr(line, ' ');

	if (!name)
		return false;
	*name++ = '\0';
	if (fnmatch(line, search->name, 0))
		return false;
	snprintf(search->buf, search->size, "%s", name);
	return true;
}

static bool is_it(char *line, void *arg)
{
	return same_name(line, arg);
}

static bool is_loaded(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return !access(path, F_OK);
}

static bool is_built_in(const char *name)
{
	return each_line("builtin", is_it, (char *)name) || is_loaded(name);
}

static bool find_files(const char *name, char *files, size_t size)
{
	char real[64];
	struct search search = { .name = name, .buf = files, .size = size };
	struct search alias = { .name = name,
				.buf = real,
				.size = sizeof(real) };

	if (each_line("module", files_of, &search))
		return true;
	if (!each_line("alias", alias_of, &alias))
		return false;
	search.name = real;
	return each_line("module", files_of, &search);
}

bool module_known(const char *name)
{
	char files[1024];

	return find_files(name, files, sizeof(files)) || is_built_in(name);
}

bool module_load(const char *name, char *why, unsigned int size)
{
	char files[1024], *file, *rest = files;

	if (is_loaded(name))
		return true;
	if (!find_files(name, files, sizeof(files))) {
		if (is_built_in(name))
			return true;
		snprintf(why, size, "there is no module %s", name);
		return false;
	}
	while ((file = strsep(&rest, " ")))
		if (*file && !load_file(file, why, size))
			return false;
	return true;
}

/* "NAME TYPE MAJOR MINOR" */
static bool make_node(char *line, void *arg)
{
	char name[64], path[PATH_MAX], type, *slash;
	unsigned int major_nr, minor_nr;

	if (sscanf(line, "%63s %c %u %u", name, &type, &major_nr, &minor_nr) !=
	    4)
		return false;
	snprintf(path, sizeof(path), "/dev/%s", name);
	slash = strrchr(path + strlen("/dev/"), '/');
	if (slash) {
		*slash = '\0';
		mkdir(path, 0755);
		*slash = '/';
	}
	mknod(path, (type == 'b' ? S_IFBLK : S_IFCHR) | 0600,
	      makedev(major_nr, minor_nr));
	return false;
}

void modules_make_nodes(void)
{
	each_line("node", make_node, NULL);
}

int modprobe(int argc, char **argv)
{
	char why[300];
	int i;

	for (i = 1; i < argc; i++)
		if (*argv[i] != '-' && !module_load(argv[i], why, sizeof(why)))
			return 1;
	return 0;
}
