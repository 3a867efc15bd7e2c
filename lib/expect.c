// SPDX-License-Identifier: GPL-2.0-or-later
/* Expectations: judged here, and told in words a kernel developer can use. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "case.h"
#include "contract.h"
#include "names.h"
#include "report.h"
#include "run_case.h"

/* What was called last is part of a failure if the failure is about it. */
static bool is_call(const struct place *place)
{
	return strstr(place->text, "aio->") ||
	       strstr(place->text, "submit_one");
}

static char round_name[80];

void round_begin(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(round_name, sizeof(round_name), format, args);
	va_end(args);
}

static void end_case(void) __attribute__((noreturn));
static void end_case(void)
{
	atomic_store(&report_current()->cut_short, true);
	_exit(0);
}

/* The file as a reader of the source tree knows it. */
static const char *short_file(const char *file)
{
	const char *at = strstr(file, "cases/");

	return at ? at : file;
}

/*
 * First the sentence that is repeated as the reason, then what explains it.
 * The whole failure is one block, so that threads do not mix theirs.
 */
static void fail_at(const struct place *place, const char *wanted,
		    const char *got)
{
	struct report *report = report_current();
	unsigned int n = atomic_fetch_add(&report->failures, 1);
	bool stage = place->how == HOW_STAGE;
	const struct aio_case *c = this_case();
	const struct contract_clause *clause;
	char call[300] = "";

	if (is_call(place) && trace_last())
		trace_format(trace_last(), call, sizeof(call));
	report_ending(stage ? ENDING_STAGE : ENDING_FAIL,
		      "%s%s%s: expected %s, got %s", round_name,
		      *round_name ? ": " : "",
		      *place->text ? place->text : "unexpected", wanted, got);
	if (n < REPORT_FAILURES) {
		clause = c->clause ? contract_find(c->clause) : NULL;
		report_line("%s:%u: %s%s%s%s\n"
			    "  expected  %s\n"
			    "  got       %s%s%s%s%s",
			    short_file(place->file), place->line,
			    stage ? "setting the stage: " : "", place->text,
			    *call ? "\n  called    " : "", call, wanted, got,
			    *round_name ? "\n  in round  " : "", round_name,
			    clause && !n ? "\n  clause    " : "",
			    clause && !n ? clause->id : "");
		if (clause && !n)
			report_line("  promise   %s\n  source    %s",
				    clause->promise, clause->source);
	} else if (n == REPORT_FAILURES) {
		report_line("further failures are only counted");
	}
	if (place->how != HOW_EXPECT)
		end_case();
}

static bool holds(enum relation relation, long long wanted, long long got)
{
	switch (relation) {
	case REL_EQ:
		return got == wanted;
	case REL_NE:
		return got != wanted;
	case REL_LT:
		return got < wanted;
	case REL_LE:
		return got <= wanted;
	case REL_GT:
		return got > wanted;
	case REL_GE:
		return got >= wanted;
	}
	return false;
}

static void count_check(void)
{
	atomic_fetch_add(&report_current()->checks, 1);
}

/* A number that is no errno is given in hexadecimal too when it is large. */
static const char *number(long long value, char *buf, size_t size)
{
	size_t len;

	value_name(value, buf, size);
	len = strlen(buf);
	if (value > 0xffff)
		snprintf(buf + len, size - len, " (0x%llx)", value);
	else if (value < 0 && !isdigit((unsigned char)buf[1]))
		snprintf(buf + len, size - len, " (%lld)", value);
	return buf;
}

bool check_relation(const struct place *place, enum relation relation,
		    long long wanted, long long got)
{
	static const char *const words[] = {
		[REL_EQ] = "",	     [REL_NE] = "anything but ",
		[REL_LT] = "below ", [REL_LE] = "at most ",
		[REL_GT] = "above ", [REL_GE] = "at least ",
	};
	char wanted_text[100], got_text[100], text[80];

	if (place->how != HOW_STAGE)
		count_check();
	if (holds(relation, wanted, got)) {
		/* -1 is more often no errno */
		if (relation == REL_EQ && got < -1)
			trace_errno(got);
		return true;
	}
	snprintf(wanted_text, sizeof(wanted_text), "%s%s", words[relation],
		 number(wanted, text, sizeof(text)));
	number(got, got_text, sizeof(got_text));
	fail_at(place, wanted_text, got_text);
	return false;
}

bool check_true(const struct place *place, bool got)
{
	if (place->how != HOW_STAGE)
		count_check();
	if (!got)
		fail_at(place, "true", "false");
	return got;
}

bool check_memory(const struct place *place, const void *wanted,
		  const void *got, size_t len)
{
	const unsigned char *w = wanted, *g = got;
	char wanted_text[100], got_text[100];
	size_t i, n = 0;

	count_check();
	if (!memcmp(wanted, got, len))
		return true;
	for (i = 0; w[i] == g[i];)
		i++;
	for (size_t k = i; k < len; k++)
		n += w[k] != g[k];
	snprintf(wanted_text, sizeof(wanted_text), "0x%02x at byte %zu of %zu",
		 w[i], i, len);
	snprintf(got_text, sizeof(got_text), "0x%02x; %zu bytes differ", g[i],
		 n);
	fail_at(place, wanted_text, got_text);
	return false;
}

bool check_pattern(const struct place *place, const void *buf, size_t size,
		   uint32_t seed)
{
	const unsigned char *got = buf;
	char wanted_text[100], got_text[100];
	size_t i, first = size, n = 0;

	count_check();
	for (i = 0; i < size; i++) {
		if (got[i] == pattern_at(seed, i))
			continue;
		if (!n++)
			first = i;
	}
	if (!n)
		return true;
	snprintf(wanted_text, sizeof(wanted_text),
		 "the data of seed %u: 0x%02x at byte %zu of %zu", seed,
		 pattern_at(seed, first), first, size);
	snprintf(got_text, sizeof(got_text), "0x%02x; %zu bytes differ",
		 got[first], n);
	fail_at(place, wanted_text, got_text);
	return false;
}

bool check_string(const struct place *place, const char *wanted,
		  const char *got)
{
	count_check();
	if (!strcmp(wanted, got))
		return true;
	fail_at(place, wanted, got);
	return false;
}

bool check_unreached(const struct place *place, const char *format, ...)
{
	char text[400];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	count_check();
	fail_at(place, "never to happen", text);
	return false;
}

bool check_event(const struct place *place, const struct io_event *event,
		 const struct iocb *iocb, long long result)
{
	char wanted[300], got[300], name[80];

	count_check();
	if (event && event->obj == (uintptr_t)iocb &&
	    event->data == iocb->aio_data && event->res == result &&
	    event->res2 == 0) {
		trace_errno(result);
		return true;
	}
	snprintf(wanted, sizeof(wanted), "obj 0x%llx data 0x%llx res %s res2 0",
		 (unsigned long long)(uintptr_t)iocb,
		 (unsigned long long)iocb->aio_data,
		 value_name(result, name, sizeof(name)));
	if (event)
		snprintf(got, sizeof(got),
			 "obj 0x%llx data 0x%llx res %s res2 %lld",
			 (unsigned long long)event->obj,
			 (unsigned long long)event->data,
			 value_name(event->res, name, sizeof(name)),
			 (long long)event->res2);
	else
		snprintf(got, sizeof(got), "no event");
	fail_at(place, wanted, got);
	return false;
}

void end_broken(const char *file, unsigned int line, const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report_ending(ENDING_BROKEN, "%s", text);
	report_line("%s:%u: required to set the stage: %s", short_file(file),
		    line, text);
	end_case();
}

void end_skipped(const char *format, ...)
{
	char text[300];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	report_ending(ENDING_SKIP, "%s", text);
	end_case();
}

long contract(const char *clause)
{
	long value;

	if (!contract_lookup(clause, &value))
		end_broken(
			__FILE__, __LINE__,
			"cases/contract.toml has no value of %s for this kernel",
			clause);
	return value;
}

bool contract_in_force(const char *clause)
{
	const struct contract_clause *found = contract_find(clause);

	if (!found)
		end_broken(__FILE__, __LINE__,
			   "cases/contract.toml has no clause %s", clause);
	return contract_applies(found);
}
