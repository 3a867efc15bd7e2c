// SPDX-License-Identifier: GPL-2.0-or-later
#include "executor.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compat32.h"
#include "contract.h"
#include "journal.h"
#include "kernel_log.h"
#include "names.h"
#include "needs.h"
#include "record.h"
#include "report.h"
#include "run_case.h"
#include "tasks.h"

#define TIME_LIMIT     10   /* seconds, of a case that names none */
#define QUOTA	       1024 /* of fs.aio-nr, of a case that names none */
#define GRACE	       5    /* seconds from SIGKILL to "unkillable" */
#define IDLE	       15   /* percent at work, and below: nothing runs */
#define STILL(options) (10 + (options)->timeout_scale / 5) /* s, to a hang */
#define CUT_SHORT      0.5 /* seconds for what a child's ASSERT ended */
#define SETTLE	       0.5 /* seconds for fs.aio-nr to come back */
#define UNKILLABLE_MAX 3
#define HANGS_KNOWN    4 /* as many, and hanging is nothing new … */
#define HANGS_SHORTER  5 /* … so that limits are divided by this */
#define MEASUREMENTS   3 /* of what another program may have disturbed */
#define HUNT_SECONDS   20
#define OUTPUT_MAX     (16 * 1024)
#define SLOTS_MAX      64
#define LOOK	       100 /* milliseconds, if nothing happens, … */
#define LOOK_OFTEN     1   /* … or may at any moment without a sign */
#define ALIVE	       1   /* second, between two records of being well */

const char *const outcome_names[OUTCOME_COUNT] = {
	[OUTCOME_PASS] = "pass",   [OUTCOME_FAIL] = "fail",
	[OUTCOME_SKIP] = "skip",   [OUTCOME_KNOWN] = "known",
	[OUTCOME_FIXED] = "fixed", [OUTCOME_BROKEN] = "broken",
	[OUTCOME_LOST] = "lost",
};

/* A child at work. */
struct slot {
	struct item *item; /* NULL: free */
	unsigned long run; /* numbers every child; part of its task name */
	pid_t pid;
	int pidfd;
	int output_fd;
	struct report *report;
	int report_fd; /* of a report that another program shares, or -1 */
	double started, limit, killed; /* seconds of the monotonic clock */
	double cut_short; /* seen to be over, by the word of one of its tasks */
	char *output;
	size_t output_used, output_lost;
	char *tasks;	    /* what its tasks did when it hung */
	char *kernel_log;   /* reports laid to it */
	bool kernel_blames; /* one of them names a task of it */
	bool still;	    /* nothing in the machine ran when it was killed */
	bool exclusive;
	bool output_ended;
	bool leaves; /* it does nothing more but exit: another one may run */
	long aio_nr_before;
};

static const struct options *options;
static struct slot slots[SLOTS_MAX];
static struct item *queue, **queue_end = &queue;
static struct item *past, **past_end = &past; /* that did not end alone */
static unsigned int counts[OUTCOME_COUNT];
static unsigned long runs;
static unsigned int unkillable, hangs;
static double opened, said_alive;
static double last_busy; /* when the machine was seen at work; 0: not looked */
static const char *why_stopped;
static char why_buffer[200];
static bool interrupted;
static int signal_fd = -1;
static pid_t executor_pid;
static long aio_nr_idle;
static bool kernel_log_guilty; /* something that no item could be given */

static double now(void)
{
	return (double)now_ns() / 1e9;
}

/* --- fs.aio-nr --- */

static long read_aio_nr(void)
{
	return file_number("/proc/sys/fs/aio-nr");
}

/*
 * What fs.aio-nr has risen to since; waits a moment for it to come back, as
 * it may a little after the process is gone (a look into /proc holds on).
 */
static long settled_delta(long before)
{
	double until = now() + SETTLE * options->timeout_scale;
	long delta;

	if (before < 0)
		return 0;
	while ((delta = read_aio_nr() - before) && now() < until)
		poll(NULL, 0, 2);
	return delta;
}

static unsigned int quota_of(const struct item *item)
{
	return item->c->quota ? item->c->quota : QUOTA;
}

/* Room under fs.aio-max-nr beside what runs already. */
static bool quota_left_for(const struct item *item)
{
	long max = file_number("/proc/sys/fs/aio-max-nr");
	long taken = aio_nr_idle > 0 ? aio_nr_idle : 0;
	unsigned int i, busy = 0;

	for (i = 0; i < SLOTS_MAX; i++) {
		if (!slots[i].item)
			continue;
		taken += quota_of(slots[i].item);
		busy++;
	}
	return !busy || max < 0 || taken + (long)quota_of(item) <= max;
}

/* --- text --- */

static void append(char **text, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void append(char **text, const char *format, ...)
{
	size_t used = *text ? strlen(*text) : 0;
	va_list args;
	char *more;
	int len;

	va_start(args, format);
	len = vasprintf(&more, format, args);
	va_end(args);
	if (len < 0)
		abort();
	*text = realloc(*text, used + (size_t)len + 1);
	if (!*text)
		abort();
	memcpy(*text + used, more, (size_t)len + 1);
	free(more);
}

/* --- other runs on this machine --- */

#define OTHERS_SECONDS 600

static int machine = -1;

static void read_signal(void);

/*
 * Cases that have the machine to themselves must not meet those of another
 * run: side by side, runs share a lock; alone, one has it. The lock is on a
 * file that every user can open and nobody can remove.
 */
static void lock_machine(int how)
{
	double until = now() + OTHERS_SECONDS;
	bool said = false;

	if (machine < 0)
		machine = open("/proc/sys/fs/aio-nr", O_RDONLY | O_CLOEXEC);
	if (machine < 0)
		return;
	/* not from one to the other at once: two runs could wait so for ever */
	flock(machine, LOCK_UN);
	while (flock(machine, how | LOCK_NB) && now() < until && !why_stopped) {
		if (!said)
			record_note("waiting for another run on this machine");
		said = true;
		poll(NULL, 0, 20);
		read_signal();
	}
}

/* --- the queue --- */

void executor_add(const struct item *item)
{
	struct item *copy = malloc(sizeof(*copy));

	if (!copy)
		abort();
	*copy = *item;
	copy->next = NULL;
	*queue_end = copy;
	queue_end = &copy->next;
}

static void queue_put_first(struct item *item)
{
	item->next = queue;
	queue = item;
	if (!item->next)
		queue_end = &item->next;
}

enum phase { SIDE_BY_SIDE, ONE_BY_ONE, HUNT };

static enum phase phase_of(const struct item *item)
{
	if (item->again)
		return HUNT;
	return item->c->serial == NOT_SERIAL ? SIDE_BY_SIDE : ONE_BY_ONE;
}

/* Take the first item of a phase. */
static struct item *queue_take(enum phase phase)
{
	struct item **at, *item;

	for (at = &queue; (item = *at); at = &item->next) {
		if (phase_of(item) != phase)
			continue;
		*at = item->next;
		if (queue_end == &item->next)
			queue_end = at;
		item->next = NULL;
		return item;
	}
	return NULL;
}

static void queue_shuffle(void)
{
	unsigned long state = options->seed * 2862933555777941757ul + 1;
	struct item **all, *item;
	size_t n = 0, i, k;

	for (item = queue; item; item = item->next)
		n++;
	all = calloc(n + 1, sizeof(*all));
	if (!all)
		abort();
	for (i = 0, item = queue; item; item = item->next)
		all[i++] = item;
	for (i = n; i > 1; i--) {
		state = state * 6364136223846793005ul + 1442695040888963407ul;
		k = (state >> 33) % i;
		item = all[i - 1];
		all[i - 1] = all[k];
		all[k] = item;
	}
	queue = NULL;
	queue_end = &queue;
	for (i = 0; i < n; i++) {
		all[i]->next = NULL;
		*queue_end = all[i];
		queue_end = &all[i]->next;
	}
	free(all);
}

/* --- saying how an item ended --- */

static void say_start(const struct item *item)
{
	if (options->on_end)
		return;
	record_start(item);
	if (options->ours)
		kernel_log_mark("start %lu %s[%s-%s]", item->seq, item->c->id,
				item->flavour->name, item->device->name);
}

static void say(const struct item *item, const struct verdict *verdict)
{
	if (options->on_end) {
		options->on_end(item, verdict);
		return;
	}
	if (!item->again || verdict->outcome == OUTCOME_FAIL)
		counts[verdict->outcome]++;
	record_outcome(item, verdict);
	if (options->ours)
		kernel_log_mark("end %lu %s", item->seq,
				outcome_names[verdict->outcome]);
}

static void say_simple(const struct item *item, enum outcome outcome,
		       const char *reason)
{
	struct verdict verdict = { .outcome = outcome, .kind = "" };

	snprintf(verdict.reason, sizeof(verdict.reason), "%s", reason);
	say(item, &verdict);
}

static void lose_queue(const char *why)
{
	struct item *item;

	while ((item = queue)) {
		queue = item->next;
		if (!item->again)
			say_simple(item, OUTCOME_LOST, why);
		free(item);
	}
	queue_end = &queue;
}

void executor_stop(const char *why)
{
	if (why_stopped)
		return;
	snprintf(why_buffer, sizeof(why_buffer), "%s", why);
	why_stopped = why_buffer;
}

/* --- needs --- */

/* Why an item cannot run here, in buf; NULL if it can. */
static const char *unmet(const struct item *item, char *buf, unsigned int size)
{
	const struct contract_clause *clause;

	if (item->c->on == ON_BLOCK && !item->device->is_block) {
		snprintf(buf, size, "needs a block device: %s is a directory%s",
			 item->device->path,
			 geteuid() ? " (not run as root)" : "");
		return buf;
	}
	clause = item->c->clause ? contract_find(item->c->clause) : NULL;
	if (clause && !contract_applies(clause)) {
		snprintf(buf, size, "needs a kernel that clause %s is about",
			 clause->id);
		return buf;
	}
	return needs_unmet(item->c->needs, buf, size);
}

/* --- devices that are made when they are wanted --- */

static bool make_run_directory(const struct device *device, char *why,
			       unsigned int size);

static bool ready(struct device *device, char *why, unsigned int size)
{
	if (!device->make)
		return true;
	if (!device->make(device, why, size) ||
	    (!device->is_block && !make_run_directory(device, why, size)))
		return false;
	device->make = NULL;
	record_device(device);
	return true;
}

/* --- starting a child --- */

static struct slot *free_slot(void)
{
	unsigned int i;

	for (i = 0; i < options->jobs && i < SLOTS_MAX; i++)
		if (!slots[i].item)
			return &slots[i];
	return NULL;
}

static unsigned int busy_slots(void)
{
	unsigned int i, n = 0;

	for (i = 0; i < SLOTS_MAX; i++)
		n += slots[i].item != NULL;
	return n;
}

/*
 * Files go below a directory of the run's own: in a directory under test, or,
 * beside a block device, in --dir.
 */
static void run_directory(const struct device *device, char *path, size_t size)
{
	snprintf(path, size, "%s/aioabi-%d",
		 device && !device->is_block ? device->path : options->dir,
		 executor_pid);
}

static void slot_scratch(const struct slot *slot, char *path, size_t size)
{
	run_directory(slot->item->device, path, size);
	snprintf(path + strlen(path), size - strlen(path), "/item-%lu",
		 slot->run);
}

/* The child keeps nothing of the executor's but the journal and the report. */
static void child_main(struct slot *slot, int output) __attribute__((noreturn));
static void child_main(struct slot *slot, int output)
{
	const struct item *item = slot->item;
	const struct rlimit none = { 0, 0 };
	char name[16], scratch[PATH_MAX];
	struct surroundings around = {
		.c = item->c,
		.flavour = item->flavour,
		.device = item->device,
		.slot = (unsigned int)(slot - slots),
		.slots = options->jobs,
		.scratch = scratch,
		.aio_nr_at_start = slot->aio_nr_before,
		.breakage = item->breakage,
		.nth = item->nth,
		.report = slot->report,
	};
	int null, report = compat32_keep(slot->report_fd);
	sigset_t empty;

	slot_scratch(slot, scratch, sizeof(scratch));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != executor_pid)
		_exit(1); /* it was killed before it could be watched */
	setsid();
	snprintf(name, sizeof(name), TASK_NAME "%lu", slot->run % 100000000);
	prctl(PR_SET_NAME, name);
	setrlimit(RLIMIT_CORE, &none);
	null = open("/dev/null", O_RDONLY);
	dup2(null, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	journal_move(STDERR_FILENO + 1);
	report = compat32_move(report, STDERR_FILENO + 2);
	syscall(SYS_close_range, STDERR_FILENO + (report < 0 ? 2 : 3), ~0U, 0);
	if (chdir("/"))
		_exit(1);
	umask(077);
	sigemptyset(&empty);
	sigprocmask(SIG_SETMASK, &empty, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (report >= 0)
		compat32_run(&around, name, report);
	run_case(&around);
}

/* *fd is what another program maps it by, if one is to, else -1. */
static struct report *new_report(const struct item *item, int *fd)
{
	int shared = MAP_SHARED | MAP_ANONYMOUS;
	void *map;

	*fd = -1;
	if (item->flavour->bit & (COMPAT32 | TIME64)) {
		shared = MAP_SHARED;
		*fd = (int)syscall(SYS_memfd_create, "report", MFD_CLOEXEC);
		if (*fd < 0 || ftruncate(*fd, sizeof(struct report)))
			return NULL;
	}
	map = mmap(NULL, sizeof(struct report), PROT_READ | PROT_WRITE, shared,
		   *fd, 0);
	return map == MAP_FAILED ? NULL : map;
}

/* False, with the item still the caller's, when no child can be made. */
static bool start(struct slot *slot, struct item *item, bool exclusive)
{
	unsigned int seconds = item->c->time_limit ? item->c->time_limit
						   : TIME_LIMIT;
	double limit = item->limit > 0 ? item->limit
				       : seconds * options->timeout_scale;
	int output[2] = { -1, -1 };

	memset(slot, 0, sizeof(*slot));
	slot->report = new_report(item, &slot->report_fd);
	if (!slot->report || pipe2(output, O_CLOEXEC))
		goto fail;
	slot->item = item;
	slot->run = ++runs;
	slot->exclusive = exclusive;
	slot->aio_nr_before = read_aio_nr();
	if (!item->attempt)
		say_start(item);
	slot->started = now();
	slot->limit = limit;
	slot->pid = fork();
	if (!slot->pid)
		child_main(slot, output[1]);
	if (slot->pid < 0)
		goto fail;
	if (slot->report_fd >= 0)
		close(slot->report_fd);
	slot->pidfd = (int)syscall(SYS_pidfd_open, slot->pid, 0);
	close(output[1]);
	slot->output_fd = output[0];
	fcntl(output[0], F_SETFL, O_NONBLOCK);
	return true;
fail:
	slot->item = NULL;
	if (slot->report)
		munmap(slot->report, sizeof(*slot->report));
	if (slot->report_fd >= 0)
		close(slot->report_fd);
	if (output[0] >= 0) {
		close(output[0]);
		close(output[1]);
	}
	return false;
}

/* --- what comes from a child --- */

static void drain_output(struct slot *slot)
{
	char buf[4096];
	ssize_t len;

	while ((len = read(slot->output_fd, buf, sizeof(buf))) > 0) {
		size_t room = OUTPUT_MAX - slot->output_used;
		size_t kept = (size_t)len < room ? (size_t)len : room;

		slot->output_lost += (size_t)len - kept;
		if (!kept)
			continue;
		slot->output = realloc(slot->output, OUTPUT_MAX + 1);
		if (!slot->output)
			abort();
		memcpy(slot->output + slot->output_used, buf, kept);
		slot->output_used += kept;
		slot->output[slot->output_used] = '\0';
	}
	slot->output_ended = !len;
}

/* --- the kernel's word --- */

static void laid_to(struct slot *slot, const struct kernel_report *report)
{
	append(&slot->kernel_log, "%s", report->text);
	if (report->blame == BLAME_ITEM)
		slot->kernel_blames = true;
}

static void found_report(const struct kernel_report *report)
{
	bool any = false;
	unsigned int i;
	char note[400];

	for (i = 0; i < SLOTS_MAX && report->blame != BLAME_NOBODY; i++) {
		struct slot *slot = &slots[i];

		if (!slot->item)
			continue;
		if (report->blame == BLAME_ITEM && slot->run != report->run)
			continue;
		if (report->blame == BLAME_FOREIGN && !options->ours)
			continue;
		laid_to(slot, report);
		any = true;
	}
	if (any)
		return;
	snprintf(note, sizeof(note), "the kernel said, beside any case: %s",
		 report->headline);
	if (report->blame == BLAME_NOBODY ||
	    (report->blame == BLAME_FOREIGN && !options->ours)) {
		record_note(note);
	} else {
		record_failing_note(note);
		kernel_log_guilty = true;
		for (const char *line = report->text; *line;) {
			snprintf(note, sizeof(note), "  %.*s",
				 (int)strcspn(line, "\n"), line);
			record_note(note);
			line += strcspn(line, "\n");
			line += *line == '\n';
		}
	}
}

/* --- judging --- */

static void add_trace(struct verdict *verdict, const struct report *report)
{
	uint32_t next = atomic_load(&report->trace.next);
	uint32_t seq = next > TRACE_DEPTH ? next - TRACE_DEPTH : 0;
	char call[400];

	if (!next)
		return;
	append(&verdict->diagnostics, "calls (the last %u of %u):\n",
	       next - seq, next);
	for (; seq < next; seq++) {
		const struct call_record *record =
			&report->trace.records[seq % TRACE_DEPTH];

		if (record->seq != seq)
			continue; /* overtaken */
		trace_format(record, call, sizeof(call));
		append(&verdict->diagnostics, "  [%d] %s\n", record->tid, call);
	}
}

static void fail_as(struct verdict *verdict, const char *kind,
		    const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static void fail_as(struct verdict *verdict, const char *kind,
		    const char *format, ...)
{
	va_list args;

	verdict->outcome = OUTCOME_FAIL;
	verdict->kind = kind;
	va_start(args, format);
	vsnprintf(verdict->reason, sizeof(verdict->reason), format, args);
	va_end(args);
}

static void judge_report(struct verdict *verdict, struct report *report)
{
	unsigned int used = atomic_load(&report->text_used);
	unsigned int failures = atomic_load(&report->failures);
	unsigned int call, i;

	report->reason[REPORT_REASON - 1] = '\0';
	if (used > REPORT_TEXT)
		used = REPORT_TEXT;
	if (used)
		append(&verdict->diagnostics, "%.*s", (int)used, report->text);
	if (failures > REPORT_FAILURES)
		append(&verdict->diagnostics, "%u failures in all\n", failures);
	verdict->checks = atomic_load(&report->checks);
	for (call = 0; call < CALL_COUNT; call++)
		verdict->made[call] =
			(unsigned int)atomic_load(&report->trace.made[call]);
	for (i = 0; i < ERRNO_WORDS; i++)
		verdict->errnos[i] = atomic_load(&report->trace.errnos[i]);
	switch (atomic_load(&report->ending)) {
	case ENDING_FAIL:
		verdict->unexpected = true;
		fail_as(verdict, "expectation", "%s", report->reason);
		return;
	case ENDING_STAGE:
		fail_as(verdict, "stage", "%s", report->reason);
		return;
	case ENDING_LEAK:
		fail_as(verdict, "leak", "%s", report->reason);
		return;
	case ENDING_BROKEN:
		verdict->outcome = OUTCOME_BROKEN;
		break;
	case ENDING_SKIP:
		verdict->outcome = OUTCOME_SKIP;
		break;
	default:
		if (!verdict->checks)
			fail_as(verdict, "expectation", "asserted nothing");
		return;
	}
	snprintf(verdict->reason, sizeof(verdict->reason), "%s",
		 report->reason);
}

#define NOTHING_RUNS ", and nothing runs any more"

static void note_hang(void)
{
	hangs++;
	if (hangs >= RUN_HANGS_MAX)
		executor_stop("too many cases hung");
}

/* What the child's end itself says; a case always leaves by itself with 0. */
static void judge_exit(struct verdict *verdict, const struct slot *slot,
		       int status)
{
	const struct report *report = slot->report;
	char name[32];

	if (slot->killed > 0 && slot->cut_short > 0)
		return;
	if (slot->killed > 0) {
		fail_as(verdict, "hang", "did not end within %.1f s%s",
			slot->limit, slot->still ? NOTHING_RUNS : "");
		return;
	}
	if (WIFSIGNALED(status)) {
		fail_as(verdict, "crash", "killed by %s",
			signal_name(WTERMSIG(status), name, sizeof(name)));
		return;
	}
	if (WEXITSTATUS(status) || (!atomic_load(&report->finished) &&
				    !atomic_load(&report->cut_short)))
		fail_as(verdict, "crash", "left with status %d before its end",
			WEXITSTATUS(status));
}

/*
 * A report that names a task of the case explains whatever else went wrong,
 * but for how it ended. One that may be anybody's only spoils a pass.
 */
static void judge_kernel_log(struct verdict *verdict, const struct slot *slot)
{
	const char *log = slot->kernel_log;
	bool failed = verdict->outcome == OUTCOME_FAIL;

	if (!log || (failed && !slot->kernel_blames) ||
	    (failed && (!strcmp(verdict->kind, "hang") ||
			!strcmp(verdict->kind, "crash"))))
		return;
	fail_as(verdict, "kernel", "%.*s%s", (int)strcspn(log, "\n"), log,
		slot->kernel_blames ? "" : " (this case or one beside it)");
}

static void judge_known(struct verdict *verdict, const struct item *item)
{
	const char *known = contract_known(item->c->id, item->device->name);

	if (!known)
		return;
	if (verdict->outcome == OUTCOME_PASS) {
		verdict->outcome = OUTCOME_FIXED;
		snprintf(verdict->reason, sizeof(verdict->reason),
			 "recorded as failing: %s", known);
	} else if (verdict->outcome == OUTCOME_FAIL &&
		   !strcmp(verdict->kind, "expectation")) {
		verdict->outcome = OUTCOME_KNOWN;
		verdict->kind = "";
		snprintf(verdict->reason, sizeof(verdict->reason), "%s", known);
	}
}

static void judge(struct verdict *verdict, struct slot *slot, int status)
{
	verdict->kind = "";
	judge_report(verdict, slot->report);
	judge_exit(verdict, slot, status);
	judge_kernel_log(verdict, slot);
	if (!slot->item->breakage)
		judge_known(verdict, slot->item);
	if (verdict->outcome == OUTCOME_FAIL ||
	    verdict->outcome == OUTCOME_BROKEN)
		add_trace(verdict, slot->report);
	if (slot->tasks)
		append(&verdict->diagnostics, "%s", slot->tasks);
	if (slot->output_lost)
		append(&slot->output, "\n%zu bytes more\n", slot->output_lost);
	verdict->output = slot->output;
	verdict->kernel_log = slot->kernel_log;
	verdict->seconds = now() - slot->started;
}

/* --- repeated measurements --- */

/* Whether fs.aio-nr moves while nothing of ours runs. */
static bool stranger_moves_quota(void)
{
	double until = now() + SETTLE * options->timeout_scale;
	long at = read_aio_nr();

	while (now() < until) {
		if (read_aio_nr() != at)
			return true;
		poll(NULL, 0, 1);
	}
	return false;
}

/*
 * fs.aio-nr counts for the whole system. On a machine that is not ours a
 * change, or the failure of a case that looked at the number or got no context,
 * counts when it shows in each of several runs, and when nobody else is moving
 * the number.
 *
 * True when the item is to run again.
 */
static bool judge_quota(struct verdict *verdict, struct slot *slot)
{
	bool failed = verdict->outcome == OUTCOME_FAIL;
	struct item *item = slot->item;
	long delta;

	if (!slot->exclusive || slot->leaves || item->breakage)
		return false;
	delta = settled_delta(slot->aio_nr_before);
	aio_nr_idle += delta; /* nobody has to be hunted for it */
	if (!delta && !(failed && atomic_load(&slot->report->quota_read)))
		return false;
	if (!options->ours && ++item->attempt < MEASUREMENTS)
		return true;
	if (!options->ours && stranger_moves_quota()) {
		verdict->outcome = OUTCOME_SKIP;
		verdict->kind = "";
		snprintf(verdict->reason, sizeof(verdict->reason),
			 "needs fs.aio-nr to itself: another program moves it");
		return false;
	}
	if (!delta)
		return false;
	append(&verdict->diagnostics,
	       "fs.aio-nr was %ld before the case and is %ld after it%s\n",
	       slot->aio_nr_before, slot->aio_nr_before + delta,
	       options->ours ? "" : ", each time it was run");
	if (verdict->outcome == OUTCOME_PASS)
		fail_as(verdict, "leak", "fs.aio-nr changed by %+ld", delta);
	snprintf(verdict->unwell, sizeof(verdict->unwell),
		 "fs.aio-nr is off by %+ld", delta);
	return false;
}

/* --- the end of a child --- */

static void slot_free(struct slot *slot)
{
	char scratch[PATH_MAX];

	slot_scratch(slot, scratch, sizeof(scratch));
	if (!access(scratch, F_OK))
		remove_tree(scratch);
	if (slot->exclusive && !slot->leaves)
		journal_undo_sysctls();
	close(slot->output_fd);
	if (slot->pidfd >= 0)
		close(slot->pidfd);
	munmap(slot->report, sizeof(*slot->report));
	free(slot->tasks);
	slot->item = NULL;
}

static void verdict_free(struct verdict *verdict)
{
	free(verdict->diagnostics);
	free(verdict->output);
	free(verdict->kernel_log);
}

static void keep_for_hunt(struct item *item)
{
	item->next = NULL;
	*past_end = item;
	past_end = &item->next;
}

static void end_item(struct slot *slot, int status)
{
	struct verdict verdict = { 0 };
	struct item *item = slot->item;
	bool alone = slot->exclusive && !slot->leaves, repeat;

	drain_output(slot);
	kernel_log_read(true, found_report);
	if (alone)
		journal_undo_sysctls();
	judge(&verdict, slot, status);
	repeat = judge_quota(&verdict, slot);
	if (!item->breakage && slot->killed > 0 && slot->cut_short <= 0)
		note_hang();
	if (!repeat)
		say(item, &verdict);
	slot_free(slot);
	verdict_free(&verdict);
	if (repeat)
		queue_put_first(item);
	else if (!alone)
		keep_for_hunt(item);
	else
		free(item);
}

static pid_t stuck[UNKILLABLE_MAX];

static void mop_up(void)
{
	pid_t others[SLOTS_MAX + UNKILLABLE_MAX];
	unsigned int i, n = 0;

	for (i = 0; i < SLOTS_MAX; i++)
		if (slots[i].item)
			others[n++] = slots[i].pid;
	for (i = 0; i < UNKILLABLE_MAX; i++)
		if (stuck[i])
			others[n++] = stuck[i];
	tasks_mop_up(others, n);
}

static void reap(struct slot *slot)
{
	int status;

	if (waitpid(slot->pid, &status, WNOHANG) != slot->pid)
		return;
	/* what it has left behind must not disturb the next one */
	kill(-slot->pid, SIGKILL);
	mop_up();
	end_item(slot, status);
}

static void abandon(struct slot *slot)
{
	struct verdict verdict = { 0 };

	if (unkillable < UNKILLABLE_MAX)
		stuck[unkillable] = slot->pid;
	unkillable++;
	note_hang();
	kernel_log_read(true, found_report);
	drain_output(slot);
	judge(&verdict, slot, 0);
	fail_as(&verdict, "hang",
		"did not end within %.1f s%s, and SIGKILL does not end it",
		slot->limit, slot->still ? NOTHING_RUNS : "");
	snprintf(verdict.unwell, sizeof(verdict.unwell),
		 "process %d cannot be killed", slot->pid);
	say(slot->item, &verdict);
	slot_free(slot);
	verdict_free(&verdict);
	if (unkillable >= UNKILLABLE_MAX)
		executor_stop("three cases could not be killed");
}

/*
 * A kernel on which one case after the other hangs must not take hours to be
 * told from a good one: it has failed by then, so that the rest need not have
 * all the time that a slow machine could need.
 */
static double shortened(const struct slot *slot, double seconds)
{
	bool known = hangs >= HANGS_KNOWN && !slot->item->breakage;

	return known ? seconds / HANGS_SHORTER : seconds;
}

/*
 * In a machine of our own, nobody is on the way to end a case when nothing
 * runs: its limit, which is made for a slow machine at work, need not pass.
 * Called once a second.
 */
static void look_whether_busy(void)
{
	static unsigned long long busy_before, all_before;
	unsigned long long t[8] = { 0 }, busy, all;
	char text[300] = "";
	int fd = open("/proc/stat", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (read(fd, text, sizeof(text) - 1) > 0)
		sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu %llu",
		       &t[0], &t[1], &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]);
	close(fd);
	busy = t[0] + t[1] + t[2] + t[5] + t[6] + t[7];
	all = busy + t[3] + t[4];
	if (!all || (busy - busy_before) * 100 > (all - all_before) * IDLE)
		last_busy = now();
	busy_before = busy;
	all_before = all;
}

/* Whether nothing has run for so long, from this moment on. */
static bool still_since(double since, double seconds)
{
	if (last_busy > since)
		since = last_busy;
	return last_busy > 0 && now() - since > seconds;
}

static void check_limits(struct slot *slot)
{
	double t = now(), limit, still = shortened(slot, STILL(options));

	if (slot->killed > 0) {
		if (still_since(slot->killed, still) ||
		    t - slot->killed >
			    shortened(slot, GRACE * options->timeout_scale))
			abandon(slot);
		return;
	}
	/* who waits for a child that has ended the case need not wait long */
	if (slot->cut_short <= 0 && atomic_load(&slot->report->cut_short))
		slot->cut_short = t;
	if (slot->cut_short > 0 &&
	    t - slot->cut_short <= CUT_SHORT * options->timeout_scale)
		return;
	limit = shortened(slot, slot->limit);
	slot->still = still_since(slot->started, still);
	if (slot->cut_short <= 0 && t - slot->started <= limit && !slot->still)
		return;
	slot->limit = slot->still ? t - slot->started : limit;
	slot->tasks = slot->cut_short > 0 ? NULL : malloc(32 * 1024);
	if (slot->tasks)
		tasks_describe(slot->pid, slot->tasks, 32 * 1024);
	slot->killed = t;
	kill(-slot->pid, SIGKILL);
	kill(slot->pid, SIGKILL);
}

/* --- the end of a case that runs alone --- */

/* Whether the case has ended well, and every task that can write its output. */
static bool only_exits(const struct slot *slot)
{
	const struct report *report = slot->report;

	return slot->output_ended && atomic_load(&report->finished) &&
	       !atomic_load(&report->ending) &&
	       slot->item->c->serial == SERIAL_BODY && !slot->item->again &&
	       !options->on_end && slot->aio_nr_before >= 0;
}

/*
 * Whether it holds nothing of fs.aio-nr any more, though its exit waits for
 * grace periods yet. This must be back as it was: to whom it is not it is laid
 * when he is gone, and what moves it later shows in the sum of all.
 */
static bool leaves(struct slot *slot)
{
	if (slot->leaves)
		return true;
	if (!only_exits(slot) || read_aio_nr() != slot->aio_nr_before)
		return false;
	journal_undo_sysctls();
	slot->leaves = true;
	return true;
}

/* --- the loop --- */

static void read_signal(void)
{
	struct signalfd_siginfo info;
	char name[32], why[64];

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGCHLD) /* only to wake the loop */
		return;
	interrupted = true;
	snprintf(why, sizeof(why), "stopped by %s",
		 signal_name((int)info.ssi_signo, name, sizeof(name)));
	executor_stop(why);
}

static bool read_orders(int fd, void (*handle)(char *line))
{
	static char buf[4096];
	static size_t used;
	ssize_t len = read(fd, buf + used, sizeof(buf) - 1 - used);
	char *line = buf, *end;

	if (len <= 0)
		return len < 0 && (errno == EAGAIN || errno == EINTR);
	used += (size_t)len;
	buf[used] = '\0';
	while ((end = strchr(line, '\n'))) {
		*end = '\0';
		handle(line);
		line = end + 1;
	}
	used -= (size_t)(line - buf);
	memmove(buf, line, used);
	if (used == sizeof(buf) - 1)
		used = 0; /* no order is that long */
	return true;
}

/* Wait for anything to happen; false when the orderer has gone. */
static bool wait_and_handle(int orders, void (*handle)(char *line))
{
	struct pollfd fds[2 * SLOTS_MAX + 3];
	struct slot *owner[2 * SLOTS_MAX + 3] = { 0 };
	unsigned int n = 0, i;
	bool there = true;
	int timeout = LOOK;

	fds[n++] = (struct pollfd){ .fd = signal_fd, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = orders, .events = POLLIN };
	fds[n++] = (struct pollfd){ .fd = kernel_log_fd(), .events = POLLIN };
	for (i = 0; i < SLOTS_MAX; i++) {
		if (!slots[i].item)
			continue;
		if (only_exits(&slots[i]) && !slots[i].leaves)
			timeout = LOOK_OFTEN;
		owner[n] = &slots[i];
		fds[n++] = (struct pollfd){ .fd = slots[i].pidfd,
					    .events = POLLIN };
		owner[n] = &slots[i];
		fds[n++] = (struct pollfd){ .fd = slots[i].output_ended
							  ? -1
							  : slots[i].output_fd,
					    .events = POLLIN };
	}
	poll(fds, n, timeout);
	if (options->ours && now() - said_alive > ALIVE) {
		record_alive();
		look_whether_busy();
		said_alive = now();
	}
	if (fds[0].revents)
		read_signal();
	if (orders >= 0 && fds[1].revents)
		there = read_orders(orders, handle);
	if (fds[2].revents)
		kernel_log_read(false, found_report);
	for (i = 3; i < n; i++)
		if (fds[i].revents && owner[i]->item)
			drain_output(owner[i]);
	for (i = 0; i < SLOTS_MAX; i++) {
		if (slots[i].item)
			reap(&slots[i]);
		if (slots[i].item)
			check_limits(&slots[i]);
	}
	if (options->deadline > 0 && now() - opened > options->deadline)
		executor_stop("the deadline of the run has passed");
	return there;
}

/* Past the deadline, or interrupted, nothing is waited for any more. */
static void kill_running(void)
{
	unsigned int i;

	for (i = 0; i < SLOTS_MAX; i++) {
		if (!slots[i].item || slots[i].killed > 0)
			continue;
		if (now() - slots[i].started < slots[i].limit)
			slots[i].limit = now() - slots[i].started;
	}
}

/* Whether an item that is to run alone can start. */
static bool has_the_machine(const struct item *item)
{
	unsigned int i;

	if (item->c->serial != SERIAL_BODY || item->again)
		return !busy_slots();
	for (i = 0; i < SLOTS_MAX; i++)
		if (slots[i].item && !leaves(&slots[i]))
			return false;
	return true;
}

static void start_what_can(enum phase phase)
{
	struct item *item;
	struct slot *slot;
	char why[300];

	while (!why_stopped && (slot = free_slot())) {
		item = queue_take(phase);
		if (!item)
			return;
		if (phase == SIDE_BY_SIDE ? !quota_left_for(item)
					  : !has_the_machine(item)) {
			queue_put_first(item);
			return;
		}
		if (unmet(item, why, sizeof(why))) {
			say_start(item);
			say_simple(item, OUTCOME_SKIP, why);
			free(item);
		} else if (!ready(item->device, why, sizeof(why))) {
			say_start(item);
			say_simple(item, OUTCOME_BROKEN, why);
			free(item);
		} else if (!start(slot, item, phase != SIDE_BY_SIDE)) {
			snprintf(why, sizeof(why), "no child: %s",
				 strerror(errno));
			say_simple(item, OUTCOME_BROKEN, why);
			free(item);
		}
	}
}

static bool run_phase(enum phase phase, int orders, void (*handle)(char *line))
{
	bool there = true;

	for (;;) {
		start_what_can(phase);
		if (!busy_slots())
			return there;
		if (why_stopped && (interrupted || options->deadline > 0 ||
				    unkillable >= UNKILLABLE_MAX))
			kill_running();
		if (!wait_and_handle(there ? orders : -1, handle)) {
			there = false;
			executor_stop("nobody is listening any more");
			interrupted = true;
		}
		if (record_failed())
			return false;
	}
}

/*
 * Cases that ran, or only ended, side by side cannot each be asked what they
 * took of fs.aio-nr. When some is missing after all of them, they run again
 * alone.
 */
static void hunt(int orders, void (*handle)(char *line))
{
	long before = read_aio_nr();
	double until = now() + HUNT_SECONDS * options->timeout_scale;
	struct item *item;
	char note[160];

	if (!past || options->on_end || settled_delta(aio_nr_idle) == 0)
		return;
	/* it may have been another run's */
	lock_machine(LOCK_EX);
	if (settled_delta(aio_nr_idle) == 0)
		return;
	snprintf(
		note, sizeof(note),
		"fs.aio-nr went from %ld to %ld while cases ran side by side: each is run again alone",
		aio_nr_idle, read_aio_nr());
	record_note(note);
	while ((item = past) && now() < until && !why_stopped) {
		past = item->next;
		item->again = true;
		item->round++;
		item->attempt = 0;
		aio_nr_idle = read_aio_nr();
		queue_put_first(item);
		run_phase(HUNT, orders, handle);
	}
	aio_nr_idle = read_aio_nr();
	if (counts[OUTCOME_FAIL])
		return;
	snprintf(note, sizeof(note),
		 "no case alone leaves fs.aio-nr other than it was%s",
		 options->ours ? ", so all of them together do" : "");
	if (options->ours && aio_nr_idle != before) {
		record_failing_note(note);
		kernel_log_guilty = true;
	} else {
		record_note(note);
	}
}

static void forget_past(void)
{
	struct item *item;

	while ((item = past)) {
		past = item->next;
		free(item);
	}
	past_end = &past;
}

bool executor_go(int orders, void (*handle)(char *line))
{
	double started = now();
	struct item *item;
	unsigned int total = 0;
	bool there;

	for (item = queue; item; item = item->next)
		total++;
	if (!options->on_end)
		record_plan(total);
	if (options->shuffled)
		queue_shuffle();
	lock_machine(LOCK_SH);
	aio_nr_idle = read_aio_nr();
	there = run_phase(SIDE_BY_SIDE, orders, handle);
	if (!why_stopped)
		hunt(orders, handle);
	forget_past();
	if (!why_stopped && queue) {
		lock_machine(LOCK_EX);
		aio_nr_idle = read_aio_nr();
		there = run_phase(ONE_BY_ONE, there ? orders : -1, handle) &&
			there;
	}
	if (!why_stopped)
		hunt(orders, handle);
	forget_past();
	if (why_stopped)
		lose_queue(why_stopped);
	if (machine >= 0)
		flock(machine, LOCK_UN);
	kernel_log_read(true, found_report);
	if (!options->on_end)
		record_end(counts, now() - started, why_stopped);
	return there && !interrupted && !record_failed();
}

/* --- opening and closing --- */

static void say_undone(const char *line)
{
	char note[PATH_MAX + 200];

	snprintf(note, sizeof(note), "left by a run that was killed: %s", line);
	record_note(note);
}

/* SIGCHLD too, so that a child's end wakes the loop without pidfds. */
static bool open_signals(void)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return signal_fd >= 0;
}

static bool make_run_directory(const struct device *device, char *why,
			       unsigned int size)
{
	char path[PATH_MAX];

	run_directory(device, path, sizeof(path));
	journal_directory(path);
	if (!mkdir(path, 0700))
		return true;
	snprintf(why, size, "%s: %s", path, strerror(errno));
	return false;
}

static bool make_run_directories(char *why, unsigned int size)
{
	unsigned int i;

	for (i = 0; i < device_count; i++)
		if (!devices[i].is_block && !devices[i].make &&
		    !make_run_directory(&devices[i], why, size))
			return false;
	/* the default device of a run without root is this directory */
	if (device_count && !devices[0].is_block &&
	    !strcmp(devices[0].path, options->dir))
		return true;
	return make_run_directory(NULL, why, size);
}

static void remove_run_directories(void)
{
	char path[PATH_MAX];
	unsigned int i;

	for (i = 0; i <= device_count; i++) {
		run_directory(i < device_count ? &devices[i] : NULL, path,
			      sizeof(path));
		if (!access(path, F_OK))
			remove_tree(path);
	}
}

bool executor_open(const struct options *opts, char *why, unsigned int size)
{
	struct run_facts facts = { .options = opts };

	options = opts;
	hangs = opts->hung;
	opened = now();
	executor_pid = getpid();
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (!open_signals()) {
		snprintf(why, size, "signalfd: %s", strerror(errno));
		return false;
	}
	facts.kernel_log = kernel_log_open();
	facts.aio_nr = read_aio_nr();
	facts.aio_max_nr = file_number("/proc/sys/fs/aio-max-nr");
	record_run(&facts);
	if (!journal_open(opts->dir, say_undone, why, size))
		record_note(why);
	return make_run_directories(why, size);
}

int executor_close(void)
{
	remove_run_directories();
	journal_close();
	kernel_log_close();
	if (counts[OUTCOME_FAIL] || counts[OUTCOME_FIXED] ||
	    counts[OUTCOME_LOST] || kernel_log_guilty)
		return 1;
	if (counts[OUTCOME_BROKEN] || record_failed())
		return 2;
	return 0;
}
