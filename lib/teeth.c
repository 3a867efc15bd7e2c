// SPDX-License-Identifier: GPL-2.0-or-later
#include "teeth.h"

#include <stdio.h>
#include <stdlib.h>

#include "json.h"
#include "record.h"
#include "sabotage.h"

#define PATIENCE   2   /* seconds, … */
#define ALONE	   1   /* … for a case that others wait for, and … */
#define SLOWER	   3   /* … this many times what the case takes unbroken */
#define TRIALS_MAX 120 /* after which a case is toothless, as it is … */
#define BUDGET	   20  /* … after so many seconds, … */
#define SHORT	   3   /* … and so many if others wait for it */
#define NTH_MAX	   4   /* calls of a case that are broken one by one */
#define HANGS_MAX  2   /* after which a case is believed to notice by hanging */
#define ENOUGH	   40  /* cases, to believe that a break shows by a hang */
#define HUNT_WIDTH 6   /* cases at once that a break meets in the second part */

struct trial {
	const struct breakage *breakage;
	unsigned int nth;
};

/* What breaks have done to the cases of an interface. */
struct tally {
	const char *suite;
	struct {
		unsigned int met, bitten, hung;
	} of[];
};

/* A case, and what it has noticed. */
struct bite {
	const struct aio_case *c;
	const struct flavour *flavour;
	struct device *device;
	unsigned int made[CALL_COUNT];
	double seconds;
	bool judged;   /* it passes unbroken */
	char why[500]; /* it is not judged */
	struct tally *tally;
	struct trial *tries;
	unsigned int try_count, next, hangs;
	double spent; /* seconds on trials */
	struct trial killer;
	const char *kind; /* of the failure; NULL: toothless so far */
	char reason[400];
};

/* A break, and who has noticed it. */
struct notice {
	const struct bite *by;
	const char *kind;
	const struct bite **meets; /* in the second part */
	unsigned int meet_count, next, in_flight, met;
};

static struct bite *bites;
static unsigned int bite_count;
static struct notice *notices;
static bool hunting, records;

static struct tally *tally_of(const char *suite)
{
	static struct tally *tallies[64];
	unsigned int i;

	for (i = 0; tallies[i]; i++)
		if (!strcmp(tallies[i]->suite, suite))
			return tallies[i];
	if (i + 1 == sizeof(tallies) / sizeof(tallies[0]))
		abort();
	tallies[i] =
		calloc(1, sizeof(**tallies) +
				  breakage_count * sizeof(*tallies[i]->of));
	if (!tallies[i])
		abort();
	tallies[i]->suite = suite;
	return tallies[i];
}

void teeth_add(const struct aio_case *c, const struct flavour *flavour,
	       struct device *device)
{
	bites = realloc(bites, (bite_count + 1) * sizeof(*bites));
	if (!bites)
		abort();
	bites[bite_count++] = (struct bite){
		.c = c,
		.flavour = flavour,
		.device = device,
		.tally = tally_of(c->suite),
	};
}

static void order(const struct bite *bite, const struct breakage *breakage,
		  unsigned int nth)
{
	struct item item = {
		.seq = (unsigned long)(bite - bites),
		.c = bite->c,
		.flavour = bite->flavour,
		.device = bite->device,
		.round = 1,
		.breakage = breakage,
		.nth = nth,
	};

	if (breakage)
		item.limit = (bite->c->serial ? ALONE : PATIENCE) +
			     SLOWER * bite->seconds;
	executor_add(&item);
}

/* --- what a case is to meet --- */

static unsigned int times_made(const struct bite *bite,
			       const struct breakage *breakage)
{
	unsigned int calls = breakage_calls(breakage), call, n = 0;

	for (call = 0; call < CALL_COUNT; call++)
		if (calls & 1u << call)
			n += bite->made[call];
	return n;
}

static void add_try(struct bite *bite, const struct breakage *breakage,
		    unsigned int nth)
{
	bite->tries = realloc(bite->tries,
			      (bite->try_count + 1) * sizeof(*bite->tries));
	if (!bite->tries)
		abort();
	bite->tries[bite->try_count++] = (struct trial){ breakage, nth };
}

/* The calls that the cases of an interface are about; 0: any. */
static unsigned int calls_of_suite(const char *suite)
{
	static const struct {
		const char *suite;
		unsigned int calls;
	} own[] = {
		{ "io_setup", 1u << CALL_SETUP },
		{ "io_destroy", 1u << CALL_DESTROY },
		{ "io_submit", 1u << CALL_SUBMIT },
		{ "io_cancel", 1u << CALL_CANCEL },
		{ "io_getevents", 1u << CALL_GETEVENTS },
		{ "io_pgetevents",
		  1u << CALL_PGETEVENTS | 1u << CALL_PGETEVENTS_USIG },
	};
	unsigned int i;

	for (i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (!strcmp(own[i].suite, suite))
			return own[i].calls;
	return 0;
}

/*
 * First the breaks of the calls that the case is about. Each case begins at
 * another place, so that together they meet as many as they can.
 */
static void plan(struct bite *bite)
{
	unsigned int own = calls_of_suite(bite->c->suite);
	unsigned int start = (unsigned int)(bite - bites) * 7, i, pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < breakage_count; i++) {
			const struct breakage *breakage =
				&breakages[(start + i) % breakage_count];
			bool first = !own || breakage_calls(breakage) & own;

			if (!strcmp(bite->c->suite, "leak"))
				first = breakage->leaks;

			if (first == !pass && times_made(bite, breakage))
				add_try(bite, breakage, 0);
		}
}

/*
 * Broken everywhere, a call may spoil the stage, and the case never comes to
 * its point: break it there alone. The call in question is mostly the last.
 */
static void plan_nth(struct bite *bite, const struct trial *tried)
{
	unsigned int n = times_made(bite, tried->breakage), nth;
	const struct breakage *breakage = tried->breakage;

	if (tried->nth || n < 2)
		return;
	add_try(bite, breakage, n);
	for (nth = 1; nth < n && nth <= NTH_MAX; nth++)
		add_try(bite, breakage, nth);
}

/* --- what came of it --- */

static bool is_kind(const struct verdict *verdict, const char *kind)
{
	return verdict->outcome == OUTCOME_FAIL && !strcmp(verdict->kind, kind);
}

/* An expectation that failed; a hang or a crash is second best. */
static bool bitten(const struct verdict *verdict)
{
	return verdict->unexpected && verdict->checks &&
	       verdict->outcome == OUTCOME_FAIL;
}

static bool bitten_somehow(const struct verdict *verdict)
{
	return bitten(verdict) || is_kind(verdict, "hang") ||
	       is_kind(verdict, "crash");
}

static void note_kill(struct bite *bite, const struct item *item,
		      const struct verdict *verdict)
{
	size_t i = (size_t)(item->breakage - breakages);
	struct notice *notice = &notices[i];

	notice->met++;
	bite->tally->of[i].met++;
	bite->tally->of[i].bitten += bitten(verdict);
	bite->tally->of[i].hung += is_kind(verdict, "hang");
	/* what the harness finds left behind is no merit of the case */
	if (!bitten_somehow(verdict) && !is_kind(verdict, "leak"))
		return;
	if (!is_kind(verdict, "leak") && (!bite->kind || bitten(verdict))) {
		bite->killer = (struct trial){ item->breakage, item->nth };
		bite->kind = bitten(verdict) ? "expectation" : verdict->kind;
		snprintf(bite->reason, sizeof(bite->reason), "%s",
			 verdict->reason);
	}
	if (!notice->by ||
	    (bitten(verdict) && strcmp(notice->kind, "expectation") != 0)) {
		notice->by = bite;
		notice->kind = bitten(verdict) ? "expectation" : verdict->kind;
	}
}

static void note_unbroken(struct bite *bite, const struct verdict *verdict)
{
	unsigned int call;

	if (verdict->outcome != OUTCOME_PASS) {
		snprintf(bite->why, sizeof(bite->why), "%s%s%s",
			 outcome_names[verdict->outcome],
			 *verdict->reason ? ": " : "", verdict->reason);
		return;
	}
	bite->judged = true;
	bite->seconds = verdict->seconds;
	for (call = 0; call < CALL_COUNT; call++)
		bite->made[call] = verdict->made[call];
	plan(bite);
}

/* How much is to be hoped of a break, by what it did to other cases. */
static int promise(const struct bite *bite, const struct trial *trial)
{
	size_t i = (size_t)(trial->breakage - breakages);
	const struct tally *tally = bite->tally;

	if (trial->nth)
		return 0;
	return (10 * (int)tally->of[i].bitten - 30 * (int)tally->of[i].hung) /
	       (int)(tally->of[i].met + 1);
}

/* The most promising comes next, the first of equals. */
static void choose(struct bite *bite)
{
	unsigned int best = bite->next, i;
	struct trial chosen;

	for (i = best + 1; i < bite->try_count; i++)
		if (promise(bite, &bite->tries[i]) >
		    promise(bite, &bite->tries[best]))
			best = i;
	chosen = bite->tries[best];
	for (; best > bite->next; best--)
		bite->tries[best] = bite->tries[best - 1];
	bite->tries[best] = chosen;
}

/* On a busy machine the time is over before it says anything of the case. */
static void give_up(struct bite *bite)
{
	if (bite->kind)
		return;
	bite->judged = false;
	snprintf(bite->why, sizeof(bite->why),
		 "slow: no time for more than %u breaks", bite->next);
}

static void go_on(struct bite *bite)
{
	const struct trial *trial;

	if (bite->next == bite->try_count || bite->next == TRIALS_MAX ||
	    bite->hangs == HANGS_MAX ||
	    (bite->kind && !strcmp(bite->kind, "expectation")))
		return;
	if (bite->spent > (bite->c->serial ? SHORT : BUDGET)) {
		give_up(bite);
		return;
	}
	choose(bite);
	trial = &bite->tries[bite->next++];
	order(bite, trial->breakage, trial->nth);
}

static bool noticed(const struct notice *notice)
{
	return notice->by &&
	       (!strcmp(notice->kind, "expectation") || notice->met >= ENOUGH);
}

static void hunt_on(struct notice *notice)
{
	while (!noticed(notice) && notice->in_flight < HUNT_WIDTH &&
	       notice->next < notice->meet_count) {
		notice->in_flight++;
		order(notice->meets[notice->next++],
		      &breakages[notice - notices], 0);
	}
}

void teeth_on_end(const struct item *item, const struct verdict *verdict)
{
	struct bite *bite = &bites[item->seq];
	struct trial tried = { item->breakage, item->nth };

	if (records)
		record_outcome(item, verdict);
	if (verdict->outcome == OUTCOME_LOST)
		return;
	if (!item->breakage) {
		note_unbroken(bite, verdict);
		go_on(bite);
		return;
	}
	note_kill(bite, item, verdict);
	if (hunting) {
		struct notice *notice = &notices[item->breakage - breakages];

		notice->in_flight--;
		hunt_on(notice);
		return;
	}
	bite->spent += verdict->seconds;
	if (is_kind(verdict, "hang"))
		bite->hangs++;
	if (!bitten(verdict) && verdict->outcome != OUTCOME_PASS)
		plan_nth(bite, &tried);
	go_on(bite);
}

/* --- breaks that nobody has noticed yet --- */

/*
 * Meet the cases that make the call: those that are about it first, and those
 * that run alone last, since nothing runs beside them any more.
 */
static void hunt_for(struct notice *notice)
{
	const struct breakage *breakage = &breakages[notice - notices];
	unsigned int calls = breakage_calls(breakage), i, pass;

	notice->meets = calloc(bite_count + 1, sizeof(*notice->meets));
	if (!notice->meets)
		abort();
	for (pass = 0; pass < 4; pass++)
		for (i = 0; i < bite_count; i++) {
			bool about = calls_of_suite(bites[i].c->suite) & calls;

			if (bites[i].judged && about == !(pass % 2) &&
			    bites[i].c->serial == pass / 2 &&
			    times_made(&bites[i], breakage))
				notice->meets[notice->meet_count++] = &bites[i];
		}
	hunt_on(notice);
}

/* --- what is said --- */

static const char *killer_name(const struct bite *bite, char *buf, size_t size)
{
	snprintf(buf, size, bite->killer.nth ? "%s@%u" : "%s",
		 bite->killer.breakage->name, bite->killer.nth);
	return buf;
}

static void say_json(void)
{
	struct json json;
	unsigned int i;
	char name[80];

	for (i = 0; i < bite_count; i++) {
		const struct bite *bite = &bites[i];

		json = (struct json){ 0 };
		json_begin(&json);
		json_string(&json, "type", "teeth");
		json_string(&json, "id", bite->c->id);
		json_string(&json, "flavour", bite->flavour->name);
		json_bool(&json, "judged", bite->judged);
		if (!bite->judged)
			json_string(&json, "why", bite->why);
		json_number(&json, "tried", bite->next);
		if (bite->kind) {
			json_string(&json, "break",
				    killer_name(bite, name, sizeof(name)));
			json_string(&json, "kind", bite->kind);
			json_string(&json, "reason", bite->reason);
		}
		json_end(&json);
		fwrite(json.text, 1, json.used, stdout);
		json_free(&json);
	}
	for (i = 0; i < breakage_count; i++) {
		json = (struct json){ 0 };
		json_begin(&json);
		json_string(&json, "type", "break");
		json_string(&json, "name", breakages[i].name);
		json_string(&json, "what", breakages[i].what);
		json_number(&json, "met", notices[i].met);
		if (notices[i].by) {
			json_string(&json, "by", notices[i].by->c->id);
			json_string(&json, "kind", notices[i].kind);
		}
		json_end(&json);
		fwrite(json.text, 1, json.used, stdout);
		json_free(&json);
	}
}

static void say_ktap(void)
{
	unsigned int i, n = 0;
	char name[80];

	printf("1..%u\n", bite_count + breakage_count);
	for (i = 0; i < bite_count; i++) {
		const struct bite *bite = &bites[i];

		if (!bite->judged)
			printf("ok %u %s # SKIP %s\n", ++n, bite->c->id,
			       bite->why);
		else if (bite->kind)
			printf("ok %u %s # %s: %s\n", ++n, bite->c->id,
			       killer_name(bite, name, sizeof(name)),
			       bite->reason);
		else
			printf("not ok %u %s # passes under all breaks\n", ++n,
			       bite->c->id);
	}
	for (i = 0; i < breakage_count; i++)
		if (notices[i].by)
			printf("ok %u break.%s # %s\n", ++n, breakages[i].name,
			       notices[i].by->c->id);
		else
			printf("not ok %u break.%s # no case notices: %s\n",
			       ++n, breakages[i].name, breakages[i].what);
}

int teeth_run(const char *format)
{
	unsigned int i;
	int status = 0;

	records = strcmp(format, "ktap") != 0;
	notices = calloc(breakage_count, sizeof(*notices));
	if (!notices)
		abort();
	for (i = 0; i < bite_count; i++)
		order(&bites[i], NULL, 0);
	if (!executor_go(-1, NULL))
		return 2;
	hunting = true;
	for (i = 0; i < breakage_count; i++)
		if (!noticed(&notices[i]))
			hunt_for(&notices[i]);
	if (!executor_go(-1, NULL))
		return 2;
	if (records)
		say_json();
	else
		say_ktap();
	for (i = 0; i < bite_count; i++)
		if (bites[i].judged && !bites[i].kind)
			status = 1;
	for (i = 0; i < breakage_count; i++)
		if (!notices[i].by)
			status = 1;
	return status;
}
