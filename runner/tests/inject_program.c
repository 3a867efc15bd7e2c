// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A program of anybody's, for the tests of `aioabi inject`: it reads by libaio,
 * by syscall(2), by libaio's queue or from the ring, a number of rounds, and
 * lives with what passes. It prints what went wrong, and how often.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libaio.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#define ROUNDS	  40
#define REQUESTS  4
#define ERROR_MAX 512
#define COSTS	  200000

static unsigned int failed[2][ERROR_MAX]; /* of calls, of events */
static unsigned int completed[REQUESTS];
static struct iocb iocbs[REQUESTS];
static int by_number;

static long result_of(long result)
{
	return result < 0 ? -errno : result;
}

static long setup(int n, io_context_t *ctx)
{
	return by_number ? result_of(syscall(SYS_io_setup, n, ctx))
			 : io_setup(n, ctx);
}

static long submit(io_context_t ctx, long n, struct iocb **list)
{
	return by_number ? result_of(syscall(SYS_io_submit, ctx, n, list))
			 : io_submit(ctx, n, list);
}

static long getevents(io_context_t ctx, long min_nr, long n,
		      struct io_event *events)
{
	return by_number ? result_of(syscall(SYS_io_getevents, ctx, min_nr, n,
					     events, NULL))
			 : io_getevents(ctx, min_nr, n, events, NULL);
}

static long destroy(io_context_t ctx)
{
	return by_number ? result_of(syscall(SYS_io_destroy, ctx))
			 : io_destroy(ctx);
}

static long note(int of, long result)
{
	if (result < 0 && result > -ERROR_MAX)
		failed[of][-result]++;
	return result;
}

static void complete(struct iocb *iocb, long res)
{
	completed[iocb - iocbs]++;
	note(1, res);
}

static void called_back(io_context_t ctx, struct iocb *iocb, long res,
			long res2)
{
	complete(iocb, res);
}

/* As fio and QEMU do; struct aio_ring of the kernel. */
struct ring {
	unsigned int id, nr, head, tail, magic, compat, incompat, length;
	struct io_event events[];
};

static long reap_from_ring(io_context_t ctx, int told)
{
	volatile struct ring *ring = (volatile struct ring *)ctx;
	uint64_t count;
	long n = 0;

	if (read(told, &count, sizeof(count)) != sizeof(count))
		return -errno;
	while (ring->head != ring->tail) {
		struct io_event event;

		__sync_synchronize();
		event = *(struct io_event *)&ring->events[ring->head];
		ring->head = (ring->head + 1) % ring->nr;
		complete(event.obj, (long)event.res);
		n++;
	}
	return n;
}

static void one_round(io_context_t ctx, const char *how, int fd, int told)
{
	static char buffers[REQUESTS][64];
	struct iocb *list[REQUESTS];
	struct io_event events[REQUESTS];
	long taken = 0, reaped = 0, n, i;

	memset(completed, 0, sizeof(completed));
	for (i = 0; i < REQUESTS; i++) {
		list[i] = &iocbs[i];
		io_prep_pread(list[i], fd, buffers[i], sizeof(buffers[i]), 0);
		if (!strcmp(how, "queue"))
			io_set_callback(list[i], called_back);
		if (!strcmp(how, "ring"))
			io_set_eventfd(list[i], told);
	}
	while (taken < REQUESTS) {
		n = note(0, submit(ctx, REQUESTS - taken, list + taken));
		if (n > 0 && n < REQUESTS - taken)
			failed[0][0]++;
		if (n < 0 && n != -EAGAIN)
			exit(3);
		taken += n > 0 ? n : 0;
	}
	while (reaped < REQUESTS) {
		if (!strcmp(how, "queue")) {
			io_queue_run(ctx);
			for (reaped = i = 0; i < REQUESTS; i++)
				reaped += completed[i];
			continue;
		}
		if (!strcmp(how, "ring")) {
			n = reap_from_ring(ctx, told);
		} else {
			n = note(0, getevents(ctx, 1, REQUESTS, events));
			for (i = 0; i < n; i++)
				complete(events[i].obj, (long)events[i].res);
		}
		if (n < 0 && n != -EINTR)
			exit(4);
		reaped += n > 0 ? n : 0;
	}
	for (i = 0; i < REQUESTS; i++)
		if (completed[i] != 1)
			exit(5);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Nanoseconds of a call that does nothing, at best. */
static void print_cost(io_context_t ctx)
{
	struct iocb *list[1];
	double best = 1e9;
	int i, k;

	for (k = 0; k < 20; k++) {
		double begin = now(), each;

		for (i = 0; i < COSTS / 20; i++)
			submit(ctx, 0, list);
		each = (now() - begin) / (COSTS / 20);
		best = each < best ? each : best;
	}
	printf("cost %.1f\n", best);
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "libaio";
	int fd = open("/dev/zero", O_RDONLY), told = eventfd(0, 0), i;
	io_context_t ctx = NULL;
	long result;

	/* until somebody has enabled what is to fail */
	if (argc > 2 && !strcmp(argv[2], "wait"))
		getchar();
	by_number = !strcmp(how, "syscall");
	result = setup(REQUESTS, &ctx);
	if (result) {
		printf("setup %s\n", strerrorname_np((int)-result));
		return 2;
	}
	if (!strcmp(how, "cost"))
		print_cost(ctx);
	for (i = 0; i < ROUNDS && strcmp(how, "cost") != 0; i++)
		one_round(ctx, how, fd, told);
	result = destroy(ctx);
	if (result)
		printf("destroy %s\n", strerrorname_np((int)-result));
	for (i = 0; i < ERROR_MAX; i++) {
		if (failed[0][i])
			printf("call %s %u\n", i ? strerrorname_np(i) : "short",
			       failed[0][i]);
		if (failed[1][i])
			printf("event %s %u\n", strerrorname_np(i),
			       failed[1][i]);
	}
	printf("rounds %d\n", ROUNDS);
	return 0;
}
