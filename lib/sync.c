// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "report.h"
#include "run_case.h"

/* --- threads --- */

struct thread {
	struct thread *next;
	pthread_t pthread;
	void *(*body)(void *arg);
	void *arg;
	atomic_uint tid;
	bool joined;
};
static struct thread *threads;

static void futex_wait(atomic_uint *word, unsigned int value)
{
	syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_wake(atomic_uint *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}

pid_t own_tid(void)
{
	return (pid_t)syscall(SYS_gettid);
}

static void *thread_main(void *arg)
{
	struct thread *thread = arg;

	atomic_store(&thread->tid, (unsigned int)own_tid());
	futex_wake(&thread->tid);
	return thread->body(thread->arg);
}

struct thread *thread_run(void *(*body)(void *arg), void *arg)
{
	struct thread *thread = calloc(1, sizeof(*thread));

	REQUIRE(thread);
	thread->body = body;
	thread->arg = arg;
	errno = pthread_create(&thread->pthread, NULL, thread_main, thread);
	REQUIRE(!errno);
	thread->next = threads;
	threads = thread;
	return thread;
}

void *thread_join(struct thread *thread)
{
	void *result;

	thread->joined = true;
	errno = pthread_join(thread->pthread, &result);
	REQUIRE(!errno);
	return result;
}

pid_t thread_tid(struct thread *thread)
{
	wait_until_ge(&thread->tid, 1);
	return (pid_t)atomic_load(&thread->tid);
}

void sync_clean_up(void)
{
	struct thread *thread;

	for (thread = threads; thread; thread = thread->next)
		if (!thread->joined)
			thread_join(thread);
}

/* --- where a task is --- */

static bool read_task_file(pid_t tid, const char *name, char *buf, size_t size)
{
	char path[64];
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = read(fd, buf, size - 1);
	close(fd);
	buf[len > 0 ? len : 0] = '\0';
	return len > 0;
}

/* How often a task has gone to sleep and been preempted; -1 if unknown. */
static long switches(const char *status)
{
	const char *voluntary = strstr(status, "\nvoluntary_ctxt_switches:");
	const char *other = strstr(status, "\nnonvoluntary_ctxt_switches:");

	if (!voluntary || !other)
		return -1;
	return atol(strchr(voluntary, ':') + 1) + atol(strchr(other, ':') + 1);
}

/* The letter in what /proc/TID/status says; 0: none. */
static char state_in(const char *status)
{
	const char *state = strstr(status, "\nState:\t");

	return state ? state[strlen("\nState:\t")] : 0;
}

char task_state(pid_t tid)
{
	char text[4096];

	if (!read_task_file(tid, "status", text, sizeof(text)))
		return 0;
	return state_in(text);
}

#define NOT_THERE (-1L)
#define ENDED	  (-2L)

/*
 * The switches of a task that is asleep there, else one of the above.
 * /proc/TID works for threads too. Its system call file says "running" of a
 * task that is not off the CPU, and begins with the number otherwise.
 */
static long asleep_in(pid_t tid, long syscall_nr)
{
	char text[4096], state;

	if (!read_task_file(tid, "status", text, sizeof(text)))
		return ENDED;
	state = state_in(text);
	if (!state || state == 'Z' || state == 'X')
		return ENDED;
	if (state != 'S' && state != 'D')
		return NOT_THERE;
	if (syscall_nr != ANY_CALL) {
		char call[256];

		if (!read_task_file(tid, "syscall", call, sizeof(call)) ||
		    !isdigit((unsigned char)*call) ||
		    strtol(call, NULL, 10) != syscall_nr)
			return NOT_THERE;
	}
	return switches(text);
}

bool is_asleep_in(pid_t tid, long syscall_nr)
{
	return asleep_in(tid, syscall_nr) >= 0;
}

bool wait_asleep_in(pid_t tid, long syscall_nr)
{
	long before = NOT_THERE, now;

	for (;;) {
		now = asleep_in(tid, syscall_nr);
		if (now == ENDED)
			return false;
		if (now >= 0 && now == before)
			return true;
		before = now;
		breathe();
	}
}

/* A pause between two looks at what cannot be waited for; proves nothing. */
void breathe(void)
{
	poll(NULL, 0, 1);
}

/* --- gates, counters, meetings --- */

void gate_open(struct gate *gate)
{
	atomic_store(&gate->open, 1);
	futex_wake(&gate->open);
}

void gate_wait(struct gate *gate)
{
	wait_until_ge(&gate->open, 1);
}

void wait_until_ge(atomic_uint *counter, unsigned int value)
{
	unsigned int now;

	while ((now = atomic_load(counter)) < value)
		futex_wait(counter, now);
}

void count_up(atomic_uint *counter)
{
	atomic_fetch_add(counter, 1);
	futex_wake(counter);
}

/*
 * Spins a little before it sleeps: parties that meet to race should leave as
 * close together as can be.
 */
void meet(struct meeting *meeting)
{
	unsigned int round = atomic_load(&meeting->round);
	unsigned int spins;

	if (atomic_fetch_add(&meeting->arrived, 1) + 1 == meeting->n) {
		atomic_store(&meeting->arrived, 0);
		atomic_fetch_add(&meeting->round, 1);
		futex_wake(&meeting->round);
		return;
	}
	for (spins = 0; spins < 20000; spins++)
		if (atomic_load(&meeting->round) != round)
			return;
	while (atomic_load(&meeting->round) == round)
		futex_wait(&meeting->round, round);
}

/* --- processes --- */

pid_t child_fork(void)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	REQUIRE(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	threads = NULL;
	return 0;
}

void child_exit(int status)
{
	_exit(status);
}

int child_wait(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		REQUIRE(errno == EINTR);
	if (atomic_load(&report_current()->cut_short))
		_exit(0);
	return status;
}

bool child_has_gone(pid_t pid)
{
	siginfo_t info = { 0 };

	REQUIRE(!waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT));
	return info.si_pid == pid;
}

extern const struct exec_body *const __start_aio_exec_bodies[]
	__attribute__((weak));
extern const struct exec_body *const __stop_aio_exec_bodies[]
	__attribute__((weak));

void child_exec(const char *name, unsigned long arg)
{
	char number[32];

	snprintf(number, sizeof(number), "%lu", arg);
	execl("/proc/self/exe", "aioabi-cases", "exec", name, number, NULL);
	_exit(127);
}

int exec_run(const char *name, const char *arg)
{
	const struct exec_body *const *at;

	for (at = __start_aio_exec_bodies; at < __stop_aio_exec_bodies; at++)
		if (!strcmp((*at)->name, name))
			return (*at)->body(strtoul(arg, NULL, 10));
	return 2;
}

static cpu_set_t usable;

static void usable_read(void)
{
	if (!CPU_COUNT(&usable))
		REQUIRE(!sched_getaffinity(0, sizeof(usable), &usable));
}

unsigned int cpus_usable(void)
{
	usable_read();
	return (unsigned int)CPU_COUNT(&usable);
}

/*
 * Where a case begins to count: most use the first one or two, and are not to
 * stand in each other's way while other CPUs are idle.
 */
static unsigned int first_of_case(void)
{
	unsigned int sum = 0;
	const char *c;

	for (c = this_case()->id; *c; c++)
		sum += (unsigned char)*c;
	return sum;
}

void pin_to_cpu(unsigned int n)
{
	cpu_set_t one;
	int cpu;

	n = (n + first_of_case()) % cpus_usable();
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &usable) && !n--)
			break;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
}

void unpin(void)
{
	usable_read();
	REQUIRE(!sched_setaffinity(0, sizeof(usable), &usable));
}

void hold_cpu(void)
{
	const struct sched_param param = { .sched_priority = 1 };
	cpu_set_t one;

	usable_read();
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	REQUIRE(!sched_setaffinity(0, sizeof(one), &one));
	REQUIRE(!sched_setscheduler(0, SCHED_FIFO, &param));
}

void let_cpu_go(void)
{
	const struct sched_param param = { 0 };

	REQUIRE(!sched_setscheduler(0, SCHED_OTHER, &param));
	unpin();
}

/* --- signals --- */

static atomic_uint seen[NSIG];

static void counting_handler(int sig)
{
	atomic_fetch_add(&seen[sig], 1);
}

void count_signal(int sig, int flags)
{
	struct sigaction action = {
		.sa_handler = counting_handler,
		.sa_flags = flags,
	};

	REQUIRE(!sigaction(sig, &action, NULL));
}

unsigned int signals_seen(int sig)
{
	return atomic_load(&seen[sig]);
}

static void change_mask(int how, int sig)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	errno = pthread_sigmask(how, &set, NULL);
	REQUIRE(!errno);
}

void block_signal(int sig)
{
	change_mask(SIG_BLOCK, sig);
}

void unblock_signal(int sig)
{
	change_mask(SIG_UNBLOCK, sig);
}

void signal_thread(pid_t tid, int sig)
{
	REQUIRE(!syscall(SYS_tgkill, getpid(), tid, sig));
}

/* --- time --- */

int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

void spin_until(int64_t ns)
{
	while (now_ns() < ns)
		;
}

struct timespec millis(long ms)
{
	return (struct timespec){ .tv_sec = ms / 1000,
				  .tv_nsec = ms % 1000 * NSEC_PER_MSEC };
}
