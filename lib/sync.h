// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Threads, processes and signals, and how to know where they are: without
 * sleeping, since a time that is right here is wrong on a slow machine.
 */
#ifndef AIOABI_SYNC_H
#define AIOABI_SYNC_H

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* --- threads --- */

struct thread;

/* thread_run() - start body(arg). Joined by the end of the case at the latest.
 */
struct thread *thread_run(void *(*body)(void *arg), void *arg);
/* thread_join() - wait for its end; gives what body returned. */
void *thread_join(struct thread *thread);
/* thread_tid() - its kernel id, waiting until it has one. */
pid_t thread_tid(struct thread *thread);
pid_t own_tid(void);

/*
 * task_state() - the state of a thread, of this process or another, as
 * /proc/TID/status has it ('S', 'Z', ...); 0 when it is gone.
 */
char task_state(pid_t tid);

/*
 * wait_asleep_in() - wait until a task is asleep inside this system call
 * (/proc/PID/syscall and its state), and has not run between two looks.
 *
 * tid is of this process or of a child. False when the task has ended instead.
 * Never gives up otherwise: the time limit of the case does, and its report
 * shows where the task was.
 */
bool wait_asleep_in(pid_t tid, long syscall_nr);
/*
 * ANY_CALL is any, and on the way out of a process. Who looks at a process has
 * a hold on its memory meanwhile, and if it lets go then it is the one who
 * looks that waits for requests in flight: look when fs.aio-nr has fallen by
 * what the process had, for then it waits by itself.
 */
#define ANY_CALL (-1L)
/* is_asleep_in() - whether it is asleep there now. */
bool is_asleep_in(pid_t tid, long syscall_nr);

/* --- gates and counters between threads and between processes --- */

/* A gate is shut until it is opened, once. Zeroed memory is a shut gate. */
struct gate {
	atomic_uint open;
};
void gate_open(struct gate *gate);
void gate_wait(struct gate *gate);

/* wait_until_ge() - wait until a counter has reached a value. */
void wait_until_ge(atomic_uint *counter, unsigned int value);
/* count_up() - add one and wake who waits. */
void count_up(atomic_uint *counter);

/* A barrier that n threads or processes pass together, again and again. */
struct meeting {
	atomic_uint arrived;
	atomic_uint round;
	unsigned int n;
};
void meet(struct meeting *meeting);

/* breathe() - let others run while polling for what cannot be waited on. */
void breathe(void);
/* WAIT_FOR(condition) - poll; the time limit of the case is the hang guard. */
#define WAIT_FOR(condition)          \
	do {                         \
		while (!(condition)) \
			breathe();   \
	} while (0)

/* --- processes --- */

/*
 * child_fork() - fork; 0 in the child, which dies with this process. The child
 * leaves by child_exit() or a signal.
 */
pid_t child_fork(void);
void child_exit(int status) __attribute__((noreturn));
/*
 * child_wait() - wait for its end; gives the status as waitpid(2) does. When
 * an ASSERT, STAGE, REQUIRE or SKIP in the child ended the case, it ends here.
 */
int child_wait(pid_t pid);
/* child_has_gone() - whether it has ended; not reaped, and not on its way. */
bool child_has_gone(pid_t pid);
/* EXPECT_CHILD_OK() - it left with status 0. */
#define EXPECT_CHILD_OK(pid) EXPECT_EQ(0, child_wait(pid))

/*
 * child_exec() - in a child: execve(2) this program, which then runs the
 * EXEC_BODY of that name with arg, and leaves with the status that it gives.
 */
void child_exec(const char *name, unsigned long arg) __attribute__((noreturn));

struct exec_body {
	const char *name;
	int (*body)(unsigned long arg);
};
#define EXEC_BODY(name_)                                                    \
	static int exec_##name_(unsigned long arg);                         \
	static const struct exec_body exec_body_##name_ = { #name_,         \
							    exec_##name_ }; \
	static const struct exec_body *const exec_body_ptr_##name_          \
		__attribute__((used, section("aio_exec_bodies"))) =         \
			&exec_body_##name_;                                 \
	static int exec_##name_(unsigned long arg)

/* exec_run() - what `aioabi-cases exec NAME ARG` does. */
int exec_run(const char *name, const char *arg);

/*
 * pin_to_cpu() - run this thread on the n-th CPU that it may use, n modulo
 * their number, counted from one that is another in each case.
 */
void pin_to_cpu(unsigned int n);
/* cpus_usable() - how many CPUs that makes. */
unsigned int cpus_usable(void);
/* unpin() - run anywhere again. */
void unpin(void);
/*
 * hold_cpu() - until let_cpu_go() nothing else runs on this thread's CPU, the
 * kernel's own work that was queued there included. Ask for it with .needs =
 * "realtime", and keep it short.
 */
void hold_cpu(void);
void let_cpu_go(void);

/* --- signals --- */

/* count_signal() - install a handler that only counts (sigaction flags). */
void count_signal(int sig, int flags);
/* signals_seen() - how often it ran, in all threads. */
unsigned int signals_seen(int sig);
/* signal_mask() - the mask of this thread, SIG_BLOCK/SIG_UNBLOCK one signal. */
void block_signal(int sig);
void unblock_signal(int sig);
/* signal_thread() - to one thread of this process. */
void signal_thread(pid_t tid, int sig);

/* --- time --- */

#define NSEC_PER_SEC  1000000000LL
#define NSEC_PER_MSEC 1000000LL
/* now_ns() - CLOCK_MONOTONIC, which the kernel's time-outs follow. */
int64_t now_ns(void);
/*
 * spin_until() - busily, until that now_ns(): to shift one side of a race, for
 * which sleeping is too coarse; never to wait for anything.
 */
void spin_until(int64_t ns);
struct timespec;
/* millis() - a relative time-out. */
struct timespec millis(long ms);

#endif
