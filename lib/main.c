// SPDX-License-Identifier: GPL-2.0-or-later
/* The program: its command line, and the orders of who drives it. */
#include <fnmatch.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat32.h"
#include "contract.h"
#include "executor.h"
#include "points.h"
#include "guest.h"
#include "json.h"
#include "mkfs.h"
#include "modules.h"
#include "needs.h"
#include "record.h"
#include "teeth.h"

#define LOOP_SIZE    (256ull * 1024 * 1024) /* sparse */
#define JOBS_DEFAULT 8 /* for each CPU: cases mostly wait … */
#define JOBS_OURS    4 /* … but for the CPU, where that is emulated */
#define JOBS_MAX     16

extern const struct aio_case *const __start_aio_cases[];
extern const struct aio_case *const __stop_aio_cases[];

static const struct aio_case **cases;
static unsigned int case_count;
static struct options options = {
	.dir = "/var/tmp",
	.repeat = 1,
};
static bool destroy;
static unsigned int flavours_wanted;
static const char *device_specs[DEVICES_MAX];
static unsigned int device_specs_count;

static void usage(FILE *f)
{
	fputs("usage: aioabi-cases list [--json] [PATTERN...]\n"
	      "       aioabi-cases run [OPTION...] [PATTERN...]\n"
	      "       aioabi-cases serve [OPTION...]\n"
	      "       aioabi-cases faults\n"
	      "\n"
	      "list   what cases there are\n"
	      "run    run them: exit status 0 all as the contract says, 1 a case\n"
	      "       failed, 2 nothing could be run\n"
	      "serve  run what comes in orders on standard input (lib/protocol.md)\n"
	      "faults the failure points, as JSON\n"
	      "\n"
	      "A PATTERN is a shell pattern, or a prefix up to a dot, of case ids;\n"
	      "with ! in front it leaves out.\n"
	      "\n"
	      "  --device [NAME=]PATH  test on this block device or directory\n"
	      "                        (default: a loop device of its own as root,\n"
	      "                        else files)\n"
	      "  --destroy             even if it carries a signature or partitions\n"
	      "  --dir DIR             where scratch files go (/var/tmp)\n"
	      "  --flavour F           raw, libaio, pgetevents, compat32 or time64;\n"
	      "                        may be repeated\n"
	      "  --jobs N              cases side by side (8 for each CPU, 16 at most)\n"
	      "  --repeat N            every case N times\n"
	      "  --shuffle SEED        in an order made from SEED (0: a new one)\n"
	      "  --timeout-scale X     multiply time limits (default: measured)\n"
	      "  --deadline S          what has not run after S seconds is lost\n"
	      "  --hung N              so many have hung elsewhere: see RUN_HANGS_MAX\n"
	      "  --format F            records or ktap (default: ktap on a terminal)\n"
	      "  --ours                the machine is the run's own: every kernel\n"
	      "                        message and change of fs.aio-nr counts\n"
	      "  --sabotage            break the calls under each case, one break at a\n"
	      "                        time: which cases notice none, which breaks\n"
	      "                        does none notice?\n"
	      "  --help                this text\n",
	      f);
}

static void bad(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
static void bad(const char *format, ...)
{
	va_list args;

	fputs("aioabi-cases: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

/* --- cases --- */

static int by_id(const void *a, const void *b)
{
	return strcmp((*(const struct aio_case *const *)a)->id,
		      (*(const struct aio_case *const *)b)->id);
}

/*
 * What a raw call promises it promises 32-bit programs too. Those have no
 * libfiu, and no faults. A case that has the machine to itself is about what
 * the kernel counts: libaio cannot tell it anything that the raw call has not,
 * and 32-bit programs only in io_setup(), which is another function for them.
 */
static unsigned int flavours_of(const struct aio_case *c)
{
	unsigned int bits = c->flavours			   ? c->flavours
			    : !c->serial		   ? RAW | LIBAIO
			    : strcmp(c->suite, "io_setup") ? NATIVE
							   : RAW;

	if (bits & RAW && (bits & NATIVE) != NATIVE && !c->fault)
		bits |= COMPAT32;
	if (bits & COMPAT32 &&
	    (bits & PGETEVENTS || !strcmp(c->suite, "io_pgetevents")))
		bits |= TIME64;
	return bits;
}

static const char *file_of(const struct aio_case *c)
{
	const char *at = strstr(c->file, "cases/");

	return at ? at : c->file;
}

static void cases_collect(void)
{
	char unknown[64];
	unsigned int i;

	case_count = (unsigned int)(__stop_aio_cases - __start_aio_cases);
	cases = malloc((case_count + 1) * sizeof(*cases));
	if (!cases)
		abort();
	memcpy(cases, __start_aio_cases, case_count * sizeof(*cases));
	qsort(cases, case_count, sizeof(*cases), by_id);
	for (i = 0; i < case_count; i++) {
		if (i && !strcmp(cases[i]->id, cases[i - 1]->id))
			bad("two cases named %s", cases[i]->id);
		if (needs_unknown(cases[i]->needs, unknown, sizeof(unknown)))
			bad("%s: no such need: %s", cases[i]->id, unknown);
		if (cases[i]->clause && !contract_find(cases[i]->clause))
			bad("%s: no such clause: %s", cases[i]->id,
			    cases[i]->clause);
		if (cases[i]->fault && !fault_point_find(cases[i]->fault))
			bad("%s: no such failure point: %s", cases[i]->id,
			    cases[i]->fault);
	}
}

static bool matches(const char *pattern, const char *id)
{
	size_t len = strlen(pattern);

	if (!fnmatch(pattern, id, 0))
		return true;
	return !strncmp(pattern, id, len) && id[len] == '.';
}

/* Without a pattern that takes in, all are in. */
static bool selected(const struct aio_case *c, char **patterns, int n)
{
	bool in = true;
	int i;

	for (i = 0; i < n; i++)
		if (*patterns[i] != '!')
			in = false;
	for (i = 0; i < n; i++) {
		if (*patterns[i] == '!') {
			if (matches(patterns[i] + 1, c->id))
				return false;
		} else if (matches(patterns[i], c->id)) {
			in = true;
		}
	}
	return in;
}

static const struct aio_case *case_find(const char *id)
{
	struct aio_case key = { .id = id };
	const struct aio_case *at = &key, **found;

	found = bsearch(&at, cases, case_count, sizeof(*cases), by_id);
	return found ? *found : NULL;
}

/* --- list --- */

static const char *const on_names[] = {
	[ON_NOTHING] = "",
	[ON_BLOCK] = "block",
	[ON_FILE] = "file",
	[ON_ANY] = "any",
};

static void list_names(struct json *json, const char *key, const char *names)
{
	json_open(json, key, '[');
	while (names && *(names += strspn(names, " "))) {
		json_element(json, names, strcspn(names, " "));
		names += strcspn(names, " ");
	}
	json_close(json, ']');
}

static void list_flavours(struct json *json, unsigned int bits)
{
	unsigned int i;

	json_open(json, "flavours", '[');
	for (i = 0; i < flavour_count; i++)
		if (flavours[i].bit & bits)
			json_element(json, flavours[i].name,
				     strlen(flavours[i].name));
	json_close(json, ']');
}

static void list_case(struct json *json, const struct aio_case *c)
{
	json_open(json, NULL, '{');
	json_string(json, "id", c->id);
	json_string(json, "clause", c->clause);
	json_string(json, "title", c->title);
	json_string(json, "file", file_of(c));
	json_number(json, "line", c->line);
	list_names(json, "needs", c->needs);
	json_string(json, "fault", c->fault);
	list_flavours(json, flavours_of(c));
	json_string(json, "on", on_names[c->on]);
	json_bool(json, "every_device", c->every_device);
	json_bool(json, "serial", c->serial);
	json_string(json, "fixed_by", c->fixed_by);
	json_string(json, "cve", c->cve);
	json_number(json, "time_limit", c->time_limit ? c->time_limit : 10);
	json_close(json, '}');
}

static void list_json(char **patterns, int n)
{
	const struct need *const *need;
	struct json json = { 0 };
	unsigned int i;

	json_begin(&json);
	json_number(&json, "format", 1);
	json_string(&json, "suite", suite_version);
	json_string(&json, "arch", ARCH);
	list_flavours(&json, ~0u);
	json_open(&json, "needs", '{');
	for (need = __start_aio_needs; need < __stop_aio_needs; need++)
		json_string(&json, (*need)->name, (*need)->what);
	json_close(&json, '}');
	json_open(&json, "cases", '[');
	for (i = 0; i < case_count; i++)
		if (selected(cases[i], patterns, n))
			list_case(&json, cases[i]);
	json_close(&json, ']');
	json_end(&json);
	fwrite(json.text, 1, json.used, stdout);
	json_free(&json);
}

/* --- faults --- */

static void list_gives(struct json *json, const struct fault_point *point)
{
	unsigned int i;

	json_open(json, "gives", '[');
	for (i = 0; i < fault_gives_count; i++) {
		const struct fault_gives *gives = &fault_gives[i];

		if (strcmp(gives->point, point->name) != 0)
			continue;
		json_open(json, NULL, '{');
		json_string(json, "value", gives->text);
		json_number(json, "number", gives->info);
		json_bool(json, "legal", gives->legal);
		json_string(json, "clause", gives->clause);
		json_string(json, "proof", gives->proof);
		json_string(json, "why", gives->why);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void list_faults(void)
{
	struct json json = { 0 };
	unsigned int i;

	json_begin(&json);
	json_number(&json, "format", 1);
	json_open(&json, "points", '[');
	for (i = 0; i < fault_point_count; i++) {
		const struct fault_point *point = &fault_points[i];

		json_open(&json, NULL, '{');
		json_string(&json, "name", point->name);
		json_string(&json, "what", point->what);
		json_string(&json, "mechanism", point->mechanism);
		list_names(&json, "needs", point->needs);
		json_number(&json, "value", point->info);
		list_gives(&json, point);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_end(&json);
	fwrite(json.text, 1, json.used, stdout);
	json_free(&json);
}

static void list_table(char **patterns, int n)
{
	unsigned int i, shown = 0;

	for (i = 0; i < case_count; i++) {
		if (!selected(cases[i], patterns, n))
			continue;
		printf("%-50s %s\n", cases[i]->id, cases[i]->title);
		shown++;
	}
	printf("%u cases\n", shown);
}

/* --- items --- */

static bool device_fits(const struct aio_case *c, const struct device *device)
{
	return c->on == ON_ANY || (c->on == ON_BLOCK) == device->is_block;
}

/* A case that is about devices runs on each that fits, others on the first. */
static unsigned int add_on_devices(struct item *item)
{
	unsigned int i, n = 0;

	for (i = 0; i < device_count && item->c->every_device; i++) {
		if (!device_fits(item->c, &devices[i]))
			continue;
		item->device = &devices[i];
		executor_add(item);
		item->seq++;
		n++;
	}
	if (n)
		return n;
	item->device = &devices[0];
	executor_add(item);
	item->seq++;
	return 1;
}

static unsigned int add_items(char **patterns, int n)
{
	struct item item = { .seq = 1 };
	unsigned int i, k, total = 0;

	for (item.round = 1; item.round <= options.repeat; item.round++)
		for (i = 0; i < case_count; i++)
			for (k = 0; k < flavour_count; k++) {
				item.c = cases[i];
				item.flavour = &flavours[k];
				if (!selected(cases[i], patterns, n) ||
				    !(flavours[k].bit & flavours_of(cases[i]) &
				      flavours_wanted))
					continue;
				total += add_on_devices(&item);
			}
	return total;
}

/* A case is broken in one flavour: the breaks are above them. */
static unsigned int add_victims(char **patterns, int n)
{
	unsigned int i, k, total = 0;

	for (i = 0; i < case_count; i++) {
		if (!selected(cases[i], patterns, n))
			continue;
		for (k = 0; k < flavour_count; k++)
			if (flavours[k].bit & flavours_of(cases[i]) &
			    flavours_wanted)
				break;
		if (k == flavour_count)
			continue;
		teeth_add(cases[i], &flavours[k], &devices[0]);
		total++;
	}
	return total;
}

/* --- orders --- */

static bool going, quitting;

static void order_bad(const char *line)
{
	char note[200];

	snprintf(note, sizeof(note), "order not understood: %s", line);
	record_note(note);
}

static void order_case(char *line)
{
	char id[128], flavour[32], device[32];
	struct item item = { 0 };

	if (sscanf(line, "case %lu %127s %31s %31s %lf", &item.seq, id, flavour,
		   device, &item.limit) < 4) {
		order_bad(line);
		return;
	}
	item.c = case_find(id);
	item.flavour = flavour_find(flavour);
	item.device = device_find(device);
	if (!item.c || !item.flavour || !item.device) {
		order_bad(line);
		return;
	}
	for (item.round = 1; item.round <= options.repeat; item.round++)
		executor_add(&item);
}

static void order(char *line)
{
	if (!strncmp(line, "case ", 5))
		order_case(line);
	else if (!strcmp(line, "go"))
		going = true;
	else if (!strcmp(line, "stop"))
		executor_stop("told to stop");
	else if (!strcmp(line, "quit"))
		quitting = true;
	else if (*line)
		order_bad(line);
}

/*
 * While a queue runs the executor reads the orders itself; `quit` and the end
 * of the file mean that nobody waits for the rest.
 */
static void order_while_running(char *line)
{
	order(line);
	if (quitting)
		executor_stop("told to quit");
}

/* One order a line, read byte by byte: what follows `go` is the executor's. */
static bool read_order(char *line, size_t size)
{
	size_t used = 0;
	ssize_t len;
	char c;

	while ((len = read(STDIN_FILENO, &c, 1)) == 1 ||
	       (len < 0 && errno == EINTR)) {
		if (len < 0)
			continue;
		if (c == '\n')
			break;
		if (used < size - 1)
			line[used++] = c;
	}
	line[used] = '\0';
	return len == 1;
}

static void serve(void)
{
	char line[300];

	while (!quitting && read_order(line, sizeof(line))) {
		order(line);
		/* more may have been ordered, `go` included, meanwhile */
		while (going && !quitting) {
			going = false;
			if (!executor_go(STDIN_FILENO, order_while_running))
				return;
		}
	}
}

/* --- options --- */

static unsigned long number_of(const char *option, const char *text,
			       unsigned long least, unsigned long most)
{
	unsigned long value;
	char *end;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || value < least ||
	    value > most)
		bad("--%s takes a number from %lu to %lu, not '%s'", option,
		    least, most, text);
	return value;
}

static double factor_of(const char *option, const char *text)
{
	double value;
	char *end;

	value = strtod(text, &end);
	if (*end || end == text || !(value > 0) || value > 1e6)
		bad("--%s takes a number above 0, not '%s'", option, text);
	return value;
}

/*
 * How much slower than a common machine forks and waits are here; the least
 * of a few, since others may be running. Never below 1, nor so much that a hang
 * would take hours: a case takes a second or so of its ten.
 */
static double measured_scale(void)
{
	const double common = 0.0003, most = 100;
	double least = 1e9;
	int tries, i;

	for (tries = 0; tries < 3; tries++) {
		int64_t begin = now_ns();
		double each;

		for (i = 0; i < 20; i++) {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
		each = (double)(now_ns() - begin) / 1e9 / 20;
		if (each < least)
			least = each;
	}
	if (least < common)
		return 1;
	return least > most * common ? most : least / common;
}

static unsigned int default_jobs(void)
{
	long each = options.ours ? JOBS_OURS : JOBS_DEFAULT;
	long jobs = sysconf(_SC_NPROCESSORS_ONLN) * each;

	return jobs < 1 ? 1 : jobs > JOBS_MAX ? JOBS_MAX : (unsigned int)jobs;
}

enum {
	OPT_DEVICE = 256,
	OPT_DESTROY,
	OPT_DIR,
	OPT_FLAVOUR,
	OPT_JOBS,
	OPT_REPEAT,
	OPT_SHUFFLE,
	OPT_SCALE,
	OPT_DEADLINE,
	OPT_HUNG,
	OPT_FORMAT,
	OPT_OURS,
	OPT_SABOTAGE,
	OPT_JSON,
	OPT_HELP,
};

static const struct option long_options[] = {
	{ "device", required_argument, NULL, OPT_DEVICE },
	{ "destroy", no_argument, NULL, OPT_DESTROY },
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "flavour", required_argument, NULL, OPT_FLAVOUR },
	{ "jobs", required_argument, NULL, OPT_JOBS },
	{ "repeat", required_argument, NULL, OPT_REPEAT },
	{ "shuffle", required_argument, NULL, OPT_SHUFFLE },
	{ "timeout-scale", required_argument, NULL, OPT_SCALE },
	{ "deadline", required_argument, NULL, OPT_DEADLINE },
	{ "hung", required_argument, NULL, OPT_HUNG },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "ours", no_argument, NULL, OPT_OURS },
	{ "sabotage", no_argument, NULL, OPT_SABOTAGE },
	{ "json", no_argument, NULL, OPT_JSON },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static bool json_wanted;

static void take_option(int option, const char *value)
{
	const struct flavour *flavour;

	switch (option) {
	case OPT_DEVICE:
		if (device_specs_count == DEVICES_MAX)
			bad("more than %d devices", DEVICES_MAX);
		device_specs[device_specs_count++] = value;
		return;
	case OPT_DESTROY:
		destroy = true;
		return;
	case OPT_DIR:
		options.dir = realpath(value, NULL);
		if (!options.dir || access(options.dir, W_OK | X_OK))
			bad("--dir %s: %s", value, strerror(errno));
		return;
	case OPT_FLAVOUR:
		flavour = flavour_find(value);
		if (!flavour)
			bad("no flavour '%s'", value);
		flavours_wanted |= flavour->bit;
		return;
	case OPT_JOBS:
		options.jobs = (unsigned int)number_of("jobs", value, 1, 64);
		return;
	case OPT_REPEAT:
		options.repeat =
			(unsigned int)number_of("repeat", value, 1, 1000000);
		return;
	case OPT_SHUFFLE:
		options.shuffled = true;
		options.seed = number_of("shuffle", value, 0, LONG_MAX);
		if (!options.seed)
			options.seed = (unsigned long)now_ns() % 1000000 + 1;
		return;
	case OPT_SCALE:
		options.timeout_scale = factor_of("timeout-scale", value);
		return;
	case OPT_DEADLINE:
		options.deadline = factor_of("deadline", value);
		return;
	case OPT_HUNG:
		options.hung = (unsigned int)number_of("hung", value, 0,
						       RUN_HANGS_MAX);
		return;
	case OPT_FORMAT:
		if (strcmp(value, "records") && strcmp(value, "ktap"))
			bad("--format is records or ktap, not '%s'", value);
		options.format = value;
		return;
	case OPT_OURS:
		options.ours = true;
		machine_is_ours = true;
		return;
	case OPT_SABOTAGE:
		options.on_end = teeth_on_end;
		return;
	case OPT_JSON:
		json_wanted = true;
		return;
	case OPT_HELP:
		usage(stdout);
		exit(0);
	default:
		fputs("aioabi-cases --help lists the options\n", stderr);
		exit(2);
	}
}

static void open_devices(void)
{
	char why[400] = "";
	unsigned int i;

	for (i = 0; i < device_specs_count; i++)
		if (!device_add(device_specs[i], destroy, why, sizeof(why)))
			bad("%s", why);
	if (device_count)
		return;
	if (!geteuid() &&
	    device_add_loop(options.dir, LOOP_SIZE, why, sizeof(why)))
		return;
	if (*why)
		fprintf(stderr,
			"aioabi-cases: %s; block devices are left out\n", why);
	if (!device_add_dir("file", options.dir, why, sizeof(why)))
		bad("%s", why);
}

static int run(bool serving, char **patterns, int n)
{
	int status = 0, closed;
	char why[400];

	if (!flavours_wanted)
		flavours_wanted = ~0u;
	if (!options.format)
		options.format = isatty(STDOUT_FILENO) && !serving ? "ktap"
								   : "records";
	if (!options.jobs)
		options.jobs = default_jobs();
	if (options.timeout_scale <= 0)
		options.timeout_scale = measured_scale();
	machine_slowness = options.timeout_scale;
	open_devices();
	record_open(options.format, STDOUT_FILENO);
	if (serving && options.on_end)
		bad("--sabotage goes with run");
	if (!serving && !(options.on_end ? add_victims(patterns, n)
					 : add_items(patterns, n)))
		bad("no case matches");
	if (!executor_open(&options, why, sizeof(why)))
		bad("%s", why);
	if (serving)
		serve();
	else if (options.on_end)
		status = teeth_run(options.format);
	else
		executor_go(-1, NULL);
	closed = executor_close();
	return status > closed ? status : closed;
}

int main(int argc, char **argv)
{
	const char *command;
	int option;

	/* in a guest, where it is every program */
	if (!strcmp(program_invocation_short_name, "modprobe"))
		return modprobe(argc, argv);
	if (getpid() == 1 && !strcmp(program_invocation_short_name, "poweroff"))
		return reboot(RB_POWER_OFF);
	if (!strncmp(program_invocation_short_name, "mkfs.", 5))
		return mkfs(program_invocation_short_name + 5, argc, argv);
	compat32_find();
	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(option, optarg);
	if (optind == argc) {
		usage(stderr);
		return 2;
	}
	command = argv[optind++];
	if (!strcmp(command, "exec") && optind + 2 == argc)
		return exec_run(argv[optind], argv[optind + 1]);
	cases_collect();
	if (!strcmp(command, "list")) {
		if (json_wanted)
			list_json(argv + optind, argc - optind);
		else
			list_table(argv + optind, argc - optind);
		return 0;
	}
	if (!strcmp(command, "faults") && optind == argc) {
		list_faults();
		return 0;
	}
	if (!strcmp(command, "guest") && optind == argc)
		guest();
	if (!strcmp(command, "run"))
		return run(false, argv + optind, argc - optind);
	if (!strcmp(command, "serve") && optind == argc)
		return run(true, NULL, 0);
	bad("no such command: %s", command);
}
