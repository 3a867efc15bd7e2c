// SPDX-License-Identifier: GPL-2.0-or-later
#include "guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "json.h"
#include "modules.h"
#include "needs.h"
#include "zoo.h"

#define CONFIGURATION "/guest.conf"
#define ARGS_MAX      64
#define PORTS_MAX     4
#define LATE_MAX      4
#define FILES_MAX     4
#define FILE_SIZE_MAX (1 << 20)
#define PORT_SECONDS  30  /* for a port to appear */
#define PORT_PATIENCE 1	  /* second, before the next best is taken */
#define TOLD_MAX      900 /* bytes of a message: the kernel takes some more */

static char *args[ARGS_MAX] = { "aioabi-cases", "serve", "--ours" };
static unsigned int arg_count = 3;
static char *ports[PORTS_MAX], *late[LATE_MAX], *wanted[FILES_MAX];
static unsigned int port_count, late_count, file_count;
static bool alone;	   /* nobody is there but who reads the console */
static struct json absent; /* records of what the zoo lacks */

static void leave(void) __attribute__((noreturn));
static void leave(void)
{
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	for (;;)
		pause();
}

static void give_up(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
static void give_up(const char *format, ...)
{
	va_list list;

	fputs("aioabi: ", stderr);
	va_start(list, format);
	vfprintf(stderr, format, list);
	va_end(list);
	fputc('\n', stderr);
	leave();
}

/* --- file systems --- */

static const struct {
	const char *type, *where, *data;
} mounts[] = {
	{ "devtmpfs", "/dev", NULL },
	{ "proc", "/proc", NULL },
	{ "sysfs", "/sys", NULL },
	{ "devpts", "/dev/pts", "ptmxmode=0666" },
	{ "tmpfs", "/dev/shm", NULL },
	{ "tmpfs", "/tmp", NULL },
	{ "tmpfs", "/run", NULL },
	{ "tmpfs", "/var/tmp", NULL },
	{ "debugfs", "/sys/kernel/debug", NULL },
	{ "tracefs", "/sys/kernel/tracing", NULL },
	{ "cgroup2", "/sys/fs/cgroup", NULL },
};

/* What this kernel lacks, cases that need it find missing. */
static void mount_all(void)
{
	unsigned int i;

	umask(0);
	mkdir("/var", 0755);
	mkdir("/mnt", 0755);
	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].where, 0755);
		if (mount(mounts[i].type, mounts[i].where, mounts[i].type, 0,
			  mounts[i].data))
			chmod(mounts[i].where, 0755);
	}
	chmod("/tmp", 01777);
	chmod("/var/tmp", 01777);
	chmod("/dev/shm", 01777);
	symlink("/proc/self/fd", "/dev/fd");
	umask(022);
}

/* --- the port to the host --- */

/* The device of a virtio port, by the name that the host gave it. */
static bool virtio_port(const char *name, char *path, size_t size)
{
	DIR *dir = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	char attribute[PATH_MAX], found[64];
	bool ok = false;
	FILE *f;

	while (dir && !ok && (entry = readdir(dir))) {
		snprintf(attribute, sizeof(attribute),
			 "/sys/class/virtio-ports/%s/name", entry->d_name);
		f = fopen(attribute, "re");
		if (!f)
			continue;
		ok = fscanf(f, "%63s", found) == 1 && !strcmp(found, name);
		fclose(f);
		snprintf(path, size, "/dev/%s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return ok;
}

static void make_raw(int fd)
{
	struct termios termios;

	if (tcgetattr(fd, &termios))
		return;
	cfmakeraw(&termios);
	cfsetspeed(&termios, B4000000);
	termios.c_cflag |= CLOCAL;
	tcsetattr(fd, TCSANOW, &termios);
}

static int try_port(const char *port)
{
	char path[PATH_MAX];

	if (*port == '/')
		snprintf(path, sizeof(path), "%s", port);
	else if (!virtio_port(port, path, sizeof(path)))
		return -1;
	return open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
}

/* The first of the ports; another only where that one does not appear. */
static int open_port(void)
{
	const int each = 2; /* ms */
	unsigned int i;
	int waited, fd = -1;

	for (waited = 0; fd < 0 && waited < PORT_SECONDS * 1000;
	     waited += each) {
		for (i = 0; fd < 0 && i < port_count; i++)
			if (!i || waited >= PORT_PATIENCE * 1000)
				fd = try_port(ports[i]);
		if (fd < 0)
			poll(NULL, 0, each);
	}
	if (fd < 0)
		give_up("no port to the host");
	make_raw(fd);
	return fd;
}

/* --- the configuration --- */

static void keep(char **list, unsigned int *count, unsigned int max,
		 const char *text)
{
	if (*count == max)
		give_up(CONFIGURATION ": too much of a kind: %s", text);
	list[*count] = strdup(text);
	if (!list[(*count)++])
		abort();
}

static void add_arg(const char *text)
{
	keep(args, &arg_count, ARGS_MAX - 1, text);
}

/*
 * One message of the kernel's log, and so a line of the console that the
 * kernel's own do not break into.
 */
static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
	static const char begin[] = "<4>aioabi: "; /* as loud as a warning */
	char text[TOLD_MAX];
	const int used = sizeof(begin) - 1;
	va_list list;
	int fd, len;

	memcpy(text, begin, sizeof(begin));
	va_start(list, format);
	len = vsnprintf(text + used, sizeof(text) - used, format, list) + used;
	va_end(list);
	if (len > (int)sizeof(text) - 1)
		len = sizeof(text) - 1;
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, (size_t)len) != len)
		fprintf(stderr, "%s\n", text + 3);
	close(fd);
}

static void want_device(const char *name)
{
	char why[300], spec[64];

	if (zoo_has(name, why, sizeof(why))) {
		snprintf(spec, sizeof(spec), "zoo:%s", name);
		add_arg("--device");
		add_arg(spec);
		return;
	}
	if (alone) {
		tell("not in this guest: %s: %s", name, why);
		return;
	}
	json_begin(&absent);
	json_string(&absent, "type", "absent");
	json_string(&absent, "name", name);
	json_string(&absent, "why", why);
	json_end(&absent);
}

static void load(const char *name)
{
	char why[300];

	if (module_known(name) && !module_load(name, why, sizeof(why)))
		fprintf(stderr, "aioabi: %s\n", why);
}

static void read_configuration(void)
{
	char line[300], *value;
	FILE *f = fopen(CONFIGURATION, "re");

	if (!f)
		give_up("%s: %s", CONFIGURATION, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		value = line + strcspn(line, " ");
		if (*value)
			*value++ = '\0';
		if (!strcmp(line, "load")) {
			load(value);
		} else if (!strcmp(line, "file")) {
			keep(wanted, &file_count, FILES_MAX, value);
		} else if (!strcmp(line, "late")) {
			keep(late, &late_count, LATE_MAX, value);
		} else if (!strcmp(line, "port")) {
			keep(ports, &port_count, PORTS_MAX, value);
		} else if (!strcmp(line, "device")) {
			want_device(value);
		} else if (!strcmp(line, "arg")) {
			add_arg(value);
		} else if (!strcmp(line, "alone")) {
			alone = true;
			args[1] = "run";
			add_arg("--format");
			add_arg("ktap");
		} else {
			give_up(CONFIGURATION ": %s?", line);
		}
	}
	fclose(f);
}

/* --- the executor --- */

static void run_executor(int input, int output) __attribute__((noreturn));
static void run_executor(int input, int output)
{
	const struct rlimit files = { 1024, 4096 };

	setsid();
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	setrlimit(RLIMIT_NOFILE, &files);
	execv("/proc/self/exe", args);
	_exit(127);
}

static void say(int port, struct json *json)
{
	const char *at = json->text;
	ssize_t n;

	while (json->used) {
		n = write(port, at, json->used);
		if (n <= 0)
			break;
		at += n;
		json->used -= (size_t)n;
	}
}

static void send_file(int port, const char *path)
{
	static unsigned char data[FILE_SIZE_MAX];
	static char text[2 * FILE_SIZE_MAX + 1];
	struct json record = { 0 };
	FILE *f = fopen(path, "re");
	size_t i, size;

	if (!f) {
		fprintf(stderr, "aioabi: %s: %s\n", path, strerror(errno));
		return;
	}
	size = fread(data, 1, sizeof(data), f);
	fclose(f);
	for (i = 0; i < size; i++)
		snprintf(text + 2 * i, 3, "%02x", data[i]);
	json_begin(&record);
	json_string(&record, "type", "file");
	json_string(&record, "name", path);
	json_string(&record, "hex", text);
	json_end(&record);
	say(port, &record);
	json_free(&record);
}

/* Whether this process has left; whoever else has is buried, too. */
static bool has_left(pid_t process, int *status)
{
	pid_t pid;

	while ((pid = waitpid(-1, status, WNOHANG)) > 0)
		if (pid == process)
			return true;
	return false;
}

/*
 * Tell what the executor prints, line by line, and wait for it: its output may
 * stay open for ever, where a process of a case cannot be killed.
 */
static int tell_all(int output, pid_t executor)
{
	struct pollfd polled = { .fd = output, .events = POLLIN };
	char data[4096], line[TOLD_MAX];
	int status = 0, i;
	bool left = false;
	size_t used = 0;
	ssize_t n;

	for (;;) {
		left = left || has_left(executor, &status);
		if (poll(&polled, 1, left ? 0 : 100) <= 0) {
			if (left)
				return status;
			continue;
		}
		n = read(output, data, sizeof(data));
		if (n <= 0)
			polled.fd = -1;
		for (i = 0; i < n; i++) {
			if (data[i] == '\n') {
				tell("%.*s", (int)used, line);
				used = 0;
			} else if (used < sizeof(line)) {
				line[used++] = data[i];
			}
		}
	}
}

static int run_for_host(void)
{
	int port = open_port(), status = 0;
	pid_t executor, pid;
	unsigned int i;

	say(port, &absent);
	executor = fork();
	if (executor < 0)
		give_up("fork: %s", strerror(errno));
	if (!executor)
		run_executor(port, port);
	if (!file_count)
		close(port);
	for (i = 0; i < late_count; i++)
		load(late[i]);
	do
		pid = wait(&status);
	while (pid != executor && (pid > 0 || errno == EINTR));
	for (i = 0; i < file_count; i++)
		send_file(port, wanted[i]);
	return status;
}

static int run_alone(void)
{
	int output[2], input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned int i;
	pid_t executor;

	if (pipe2(output, O_CLOEXEC))
		give_up("pipe: %s", strerror(errno));
	executor = fork();
	if (executor < 0)
		give_up("fork: %s", strerror(errno));
	if (!executor)
		run_executor(input, output[1]);
	close(output[1]);
	for (i = 0; i < late_count; i++)
		load(late[i]);
	return tell_all(output[0], executor);
}

void guest(void)
{
	int status;

	if (getpid() != 1) {
		fputs("aioabi-cases: guest is for the first process of a VM\n",
		      stderr);
		exit(2);
	}
	mount_all();
	modules_make_nodes();
	read_configuration();
	status = alone ? run_alone() : run_for_host();
	if (WIFSIGNALED(status))
		give_up("the executor was killed by signal %d",
			WTERMSIG(status));
	if (WEXITSTATUS(status) > 2)
		give_up("the executor left with status %d",
			WEXITSTATUS(status));
	if (alone)
		tell("ended with status %d", WEXITSTATUS(status));
	leave();
}

NEED(guest, "a guest of the suite's own")
{
	struct stat first, own;

	/* in a container, too, it may be the first process */
	if (access(CONFIGURATION, R_OK) || stat("/proc/1/exe", &first) ||
	    stat("/proc/self/exe", &own))
		return strerror(errno);
	return first.st_dev == own.st_dev && first.st_ino == own.st_ino
		       ? NULL
		       : "the machine is another's";
}
