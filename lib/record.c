// SPDX-License-Identifier: GPL-2.0-or-later
#include "record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "json.h"
#include "names.h"
#include "sabotage.h"

#ifndef SUITE_VERSION
#define SUITE_VERSION "unknown"
#endif
const char suite_version[] = SUITE_VERSION;

static bool ktap, failed;
static int out = STDOUT_FILENO;
static unsigned int ktap_number;

void record_open(const char *format, int fd)
{
	ktap = !strcmp(format, "ktap");
	out = fd;
}

bool record_failed(void)
{
	return failed;
}

static void put(const char *text, size_t len)
{
	ssize_t n;

	while (len && !failed) {
		n = write(out, text, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			failed = true;
			return;
		}
		text += n;
		len -= (size_t)n;
	}
}

static void put_json(struct json *json)
{
	json_end(json);
	put(json->text, json->used);
	json_free(json);
}

static void put_line(const char *format, ...)
	__attribute__((format(printf, 1, 2)));
static void put_line(const char *format, ...)
{
	char text[1400];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(text, sizeof(text) - 1, format, args);
	va_end(args);
	if (len > (int)sizeof(text) - 2)
		len = sizeof(text) - 2;
	text[len++] = '\n';
	put(text, (size_t)len);
}

/* Seconds since 1970. */
static double wall_clock(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void add_device(struct json *json, const struct device *device)
{
	json_string(json, "name", device->name);
	json_string(json, "path", device->path);
	json_string(json, "kind", device->is_block ? "block" : "dir");
	json_bool(json, "default", device == devices);
	json_bool(json, "made", device->made);
	if (device->is_block && device->size) {
		json_number(json, "size", (long long)device->size);
		json_number(json, "logical_block", device->logical_block);
		json_number(json, "physical_block", device->physical_block);
		json_number(json, "dma_alignment", device->dma_alignment);
		json_number(json, "max_sectors_kb", device->max_sectors_kb);
	}
}

void record_run(const struct run_facts *facts)
{
	const struct options *options = facts->options;
	struct json json = { 0 };
	struct utsname name;
	struct sysinfo info;
	unsigned int i;

	uname(&name);
	sysinfo(&info);
	if (ktap) {
		put_line("KTAP version 1");
		put_line("# aioabi %s on %s %s", suite_version, name.release,
			 name.machine);
		put_line("# device %s (%s), kernel log %s", devices[0].name,
			 devices[0].path, facts->kernel_log);
		return;
	}
	json_begin(&json);
	json_string(&json, "type", "run");
	json_number(&json, "format", 1);
	json_string(&json, "suite", suite_version);
	json_string(&json, "release", name.release);
	json_string(&json, "version", name.version);
	json_string(&json, "arch", name.machine);
	json_number(&json, "cpus", get_nprocs());
	json_number(&json, "page_size", page_size());
	json_number(&json, "memory_kib",
		    (long long)((unsigned long long)info.totalram *
				info.mem_unit / 1024));
	json_number(&json, "uid", geteuid());
	json_number(&json, "pid", getpid());
	json_number(&json, "jobs", options->jobs);
	json_seconds(&json, "timeout_scale", options->timeout_scale);
	json_number(&json, "hangs_max", RUN_HANGS_MAX);
	json_number(&json, "seed", (long long)options->seed);
	json_number(&json, "aio_nr", facts->aio_nr);
	json_number(&json, "aio_max_nr", facts->aio_max_nr);
	json_string(&json, "kernel_log", facts->kernel_log);
	json_open(&json, "flavours", '[');
	for (i = 0; i < flavour_count; i++)
		json_element(&json, flavours[i].name, strlen(flavours[i].name));
	json_close(&json, ']');
	json_open(&json, "devices", '[');
	for (i = 0; i < device_count; i++) {
		json_open(&json, NULL, '{');
		add_device(&json, &devices[i]);
		json_close(&json, '}');
	}
	json_close(&json, ']');
	json_seconds(&json, "time", wall_clock());
	put_json(&json);
}

void record_device(const struct device *device)
{
	struct json json = { 0 };

	if (ktap)
		return;
	json_begin(&json);
	json_string(&json, "type", "device");
	add_device(&json, device);
	put_json(&json);
}

void record_alive(void)
{
	struct json json = { 0 };

	if (ktap)
		return;
	json_begin(&json);
	json_string(&json, "type", "alive");
	put_json(&json);
}

void record_plan(unsigned int total)
{
	struct json json = { 0 };

	if (ktap) {
		put_line("1..%u", total);
		return;
	}
	json_begin(&json);
	json_string(&json, "type", "plan");
	json_number(&json, "total", total);
	put_json(&json);
}

static void add_item(struct json *json, const char *type,
		     const struct item *item)
{
	json_begin(json);
	json_string(json, "type", type);
	json_number(json, "seq", (long long)item->seq);
	json_string(json, "id", item->c->id);
	json_string(json, "flavour", item->flavour->name);
	json_string(json, "device", item->device->name);
	json_number(json, "round", item->round);
	if (item->breakage) {
		json_string(json, "break", item->breakage->name);
		json_number(json, "nth", item->nth);
	}
	if (item->again)
		json_bool(json, "again", true);
}

void record_start(const struct item *item)
{
	struct json json = { 0 };

	if (ktap)
		return;
	add_item(&json, "start", item);
	json_seconds(&json, "time", wall_clock());
	put_json(&json);
}

static void put_comment(const char *text)
{
	while (text && *text) {
		size_t len = strcspn(text, "\n");

		put_line("# %.*s", (int)len, text);
		text += len + (text[len] == '\n');
	}
}

static void ktap_outcome(const struct item *item, const struct verdict *verdict)
{
	static const char *const directives[OUTCOME_COUNT] = {
		[OUTCOME_SKIP] = " # SKIP ",	[OUTCOME_KNOWN] = " # XFAIL ",
		[OUTCOME_FAIL] = " # ",		[OUTCOME_FIXED] = " # fixed ",
		[OUTCOME_BROKEN] = " # ERROR ", [OUTCOME_LOST] = " # ERROR ",
	};
	enum outcome outcome = verdict->outcome;
	bool ok = outcome == OUTCOME_PASS || outcome == OUTCOME_SKIP;

	if (ok && item->again)
		return;
	if (!ok) {
		put_comment(verdict->diagnostics);
		put_comment(verdict->output);
		put_comment(verdict->kernel_log);
	}
	put_line("%sok %u %s[%s-%s]%s%s%s%s", ok ? "" : "not ", ++ktap_number,
		 item->c->id, item->flavour->name, item->device->name,
		 directives[outcome] ? directives[outcome] : "", verdict->kind,
		 *verdict->kind ? ": " : "", verdict->reason);
}

static void add_errnos(struct json *json, const struct verdict *verdict)
{
	bool any = false;
	char name[32];
	int i;

	for (i = 1; i < 32 * ERRNO_WORDS; i++) {
		if (!(verdict->errnos[i / 32] & 1u << i % 32))
			continue;
		if (!any)
			json_open(json, "errnos", '[');
		any = true;
		value_name(-i, name, sizeof(name));
		json_element(json, name + 1, strlen(name) - 1);
	}
	if (any)
		json_close(json, ']');
}

void record_outcome(const struct item *item, const struct verdict *verdict)
{
	static const struct {
		const char *key;
		size_t offset;
	} texts[] = {
		{ "diagnostics", offsetof(struct verdict, diagnostics) },
		{ "output", offsetof(struct verdict, output) },
		{ "kernel_log", offsetof(struct verdict, kernel_log) },
	};
	struct json json = { 0 };
	unsigned int i;

	if (ktap) {
		ktap_outcome(item, verdict);
		return;
	}
	add_item(&json, "outcome", item);
	json_string(&json, "clause", item->c->clause);
	json_string(&json, "outcome", outcome_names[verdict->outcome]);
	if (*verdict->kind)
		json_string(&json, "kind", verdict->kind);
	json_seconds(&json, "seconds", verdict->seconds);
	json_number(&json, "checks", verdict->checks);
	add_errnos(&json, verdict);
	if (*verdict->reason)
		json_string(&json, "reason", verdict->reason);
	if (*verdict->unwell)
		json_string(&json, "unwell", verdict->unwell);
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const char *text = *(char *const *)((const char *)verdict +
						    texts[i].offset);

		if (text)
			json_lines(&json, texts[i].key, text, strlen(text));
	}
	json_seconds(&json, "time", wall_clock());
	put_json(&json);
}

static void put_note(const char *text, bool fails)
{
	struct json json = { 0 };

	if (ktap) {
		put_comment(text);
		return;
	}
	json_begin(&json);
	json_string(&json, "type", "note");
	json_string(&json, "text", text);
	if (fails)
		json_bool(&json, "fails", true);
	put_json(&json);
}

void record_note(const char *text)
{
	put_note(text, false);
}

void record_failing_note(const char *text)
{
	put_note(text, true);
}

void record_end(const unsigned int counts[OUTCOME_COUNT], double seconds,
		const char *why_incomplete)
{
	struct json json = { 0 };
	unsigned int i;

	if (ktap) {
		char text[300] = "#";

		for (i = 0; i < OUTCOME_COUNT; i++)
			if (counts[i])
				snprintf(text + strlen(text),
					 sizeof(text) - strlen(text), " %s %u",
					 outcome_names[i], counts[i]);
		put_line("%s (%.1f s)%s%s", text, seconds,
			 why_incomplete ? ": " : "",
			 why_incomplete ? why_incomplete : "");
		return;
	}
	json_begin(&json);
	json_string(&json, "type", "end");
	json_open(&json, "counts", '{');
	for (i = 0; i < OUTCOME_COUNT; i++)
		if (counts[i])
			json_number(&json, outcome_names[i], counts[i]);
	json_close(&json, '}');
	json_seconds(&json, "seconds", seconds);
	json_bool(&json, "complete", !why_incomplete);
	if (why_incomplete)
		json_string(&json, "why", why_incomplete);
	put_json(&json);
}
