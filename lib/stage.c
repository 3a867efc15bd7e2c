// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "case.h"
#include "journal.h"
#include "run_case.h"
#include "tasks.h"

/* --- contexts --- */

aio_handle new_context(unsigned int nr_events)
{
	aio_handle ctx = 0;

	STAGE_OK(aio->setup(nr_events, &ctx));
	return ctx;
}

void end_context(aio_handle ctx)
{
	STAGE_OK(aio->destroy(ctx));
}

aio_handle dead_context(void)
{
	aio_handle ctx = new_context(1);

	end_context(ctx);
	return ctx;
}

long submit_one(aio_handle ctx, struct iocb *iocb)
{
	struct iocb *list[] = { iocb };

	return aio->submit(ctx, 1, list);
}

void *submit_one_of(void *arg)
{
	struct one_submission *submission = arg;

	submission->result = submit_one(submission->ctx, submission->iocb);
	return NULL;
}

void stage_submit(aio_handle ctx, struct iocb *iocb)
{
	STAGE_EQ(1, submit_one(ctx, iocb));
}

void stage_reap(aio_handle ctx, long n, struct io_event *events)
{
	STAGE_EQ(n, aio->getevents(ctx, n, n, events, NULL));
}

/* --- requests --- */

static struct iocb *prep(struct iocb *iocb, int opcode, int fd, const void *buf,
			 size_t len, int64_t offset)
{
	memset(iocb, 0, sizeof(*iocb));
	iocb->aio_data = (uintptr_t)iocb;
	iocb->aio_lio_opcode = (uint16_t)opcode;
	iocb->aio_fildes = (uint32_t)fd;
	iocb->aio_buf = (uintptr_t)buf;
	iocb->aio_nbytes = len;
	iocb->aio_offset = offset;
	return iocb;
}

struct iocb *prep_read(struct iocb *iocb, int fd, void *buf, size_t len,
		       int64_t offset)
{
	return prep(iocb, IOCB_CMD_PREAD, fd, buf, len, offset);
}

struct iocb *prep_write(struct iocb *iocb, int fd, const void *buf, size_t len,
			int64_t offset)
{
	return prep(iocb, IOCB_CMD_PWRITE, fd, buf, len, offset);
}

struct iocb *prep_readv(struct iocb *iocb, int fd, const struct iovec *iov,
			size_t n, int64_t offset)
{
	return prep(iocb, IOCB_CMD_PREADV, fd, iov, n, offset);
}

struct iocb *prep_writev(struct iocb *iocb, int fd, const struct iovec *iov,
			 size_t n, int64_t offset)
{
	return prep(iocb, IOCB_CMD_PWRITEV, fd, iov, n, offset);
}

struct iocb *prep_fsync(struct iocb *iocb, int fd)
{
	return prep(iocb, IOCB_CMD_FSYNC, fd, NULL, 0, 0);
}

struct iocb *prep_fdsync(struct iocb *iocb, int fd)
{
	return prep(iocb, IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
}

struct iocb *prep_poll(struct iocb *iocb, int fd, unsigned int events)
{
	prep(iocb, IOCB_CMD_POLL, fd, NULL, 0, 0);
	iocb->aio_buf = events;
	return iocb;
}

struct iocb *notify(struct iocb *iocb, int eventfd)
{
	iocb->aio_flags |= IOCB_FLAG_RESFD;
	iocb->aio_resfd = (uint32_t)eventfd;
	return iocb;
}

bool check_completes(const struct place *place, aio_handle ctx,
		     const struct iocb *iocb, long long result)
{
	struct io_event event;
	long n = aio->getevents(ctx, 1, 1, &event, NULL);

	return check_event(place, n == 1 ? &event : NULL, iocb, result);
}

bool check_completed(const struct place *place, aio_handle ctx,
		     const struct iocb *iocb, long long result)
{
	struct place count = *place;

	count.text = "events in the ring";
	return check_relation(&count, REL_EQ, 1, ring_unread(ctx)) &&
	       check_completes(place, ctx, iocb, result);
}

struct io_event *find_event(struct io_event *events, long n,
			    const struct iocb *iocb)
{
	long i;

	for (i = 0; i < n; i++)
		if (events[i].obj == (uintptr_t)iocb)
			return &events[i];
	return NULL;
}

/* --- requests in flight, and completed at will --- */

int stage_poll(aio_handle ctx, struct iocb *iocb)
{
	int fd = open_eventfd(0, EFD_NONBLOCK);

	stage_submit(ctx, prep_poll(iocb, fd, POLLIN));
	return fd;
}

void end_poll(int eventfd)
{
	static const uint64_t one = 1;

	REQUIRE(write(eventfd, &one, sizeof(one)) == sizeof(one));
}

/* A POLL on what is ready is complete when io_submit() returns. */
void stage_events(aio_handle ctx, unsigned int n, struct iocb *iocbs)
{
	int fd = open_eventfd(1, 0);
	unsigned int i;

	for (i = 0; i < n; i++)
		stage_submit(ctx, prep_poll(&iocbs[i], fd, POLLIN));
	drop(fd);
}

void stage_ring_at(aio_handle ctx, unsigned int place)
{
	struct io_event event;
	struct iocb iocb;

	while (ring_of(ctx)->tail != place) {
		stage_events(ctx, 1, &iocb);
		stage_reap(ctx, 1, &event);
	}
	STAGE_EQ(place, ring_of(ctx)->head);
}

void let_worker_look(void)
{
	static aio_handle ctx;
	static int fd = -1;
	struct io_event event;
	struct iocb iocb;

	if (!ctx) {
		ctx = new_context(1);
		fd = keep(memfd_create("aioabi", MFD_CLOEXEC));
	}
	stage_submit(ctx, prep_fsync(&iocb, fd));
	stage_reap(ctx, 1, &event);
}

/* --- what is undone at the end --- */

#define ENDS_MAX 64

static struct {
	void (*fn)(void *arg);
	void *arg;
} ends[ENDS_MAX];
static unsigned int end_count;

void at_end(void (*fn)(void *arg), void *arg)
{
	REQUIRE(end_count < ENDS_MAX);
	ends[end_count].fn = fn;
	ends[end_count++].arg = arg;
}

/* Threads of a case open what they need side by side. */
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER;
static int *kept;
static unsigned int kept_count, kept_room;

int keep(int fd)
{
	REQUIRE(fd >= 0);
	pthread_mutex_lock(&kept_lock);
	if (kept_count == kept_room) {
		unsigned int room = kept_room ? kept_room * 2 : 64;
		int *more = realloc(kept, room * sizeof(*kept));

		REQUIRE(more);
		kept = more;
		kept_room = room;
	}
	kept[kept_count++] = fd;
	pthread_mutex_unlock(&kept_lock);
	return fd;
}

#define HIGH_FD 70000

int dup_high(int fd)
{
	struct rlimit limit;
	int high = HIGH_FD;

	REQUIRE(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = limit.rlim_max;
	REQUIRE(!setrlimit(RLIMIT_NOFILE, &limit));
	if (limit.rlim_cur <= HIGH_FD)
		high = (int)limit.rlim_cur - 1;
	return keep(dup3(fd, high, O_CLOEXEC));
}

void drop(int fd)
{
	unsigned int i;

	pthread_mutex_lock(&kept_lock);
	for (i = 0; i < kept_count; i++)
		if (kept[i] == fd)
			kept[i] = -1;
	pthread_mutex_unlock(&kept_lock);
	REQUIRE(!close(fd));
}

void stage_clean_up(void)
{
	while (end_count) {
		end_count--;
		ends[end_count].fn(ends[end_count].arg);
	}
	while (kept_count)
		if (kept[--kept_count] >= 0)
			close(kept[kept_count]);
}

/* --- descriptors --- */

int open_eventfd(unsigned int initial, int flags)
{
	return keep(eventfd(initial, flags | EFD_CLOEXEC));
}

uint64_t eventfd_take(int fd)
{
	uint64_t value;
	ssize_t len = read(fd, &value, sizeof(value));

	if (len < 0 && errno == EAGAIN)
		return 0;
	REQUIRE(len == sizeof(value));
	return value;
}

void open_pipe(int fds[2], int flags)
{
	REQUIRE(!pipe2(fds, flags | O_CLOEXEC));
	keep(fds[0]);
	keep(fds[1]);
}

static void open_socket_pair(int fds[2], int type)
{
	REQUIRE(!socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds));
	keep(fds[0]);
	keep(fds[1]);
}

void open_sockets(int fds[2])
{
	open_socket_pair(fds, SOCK_STREAM);
}

void open_message_sockets(int fds[2])
{
	open_socket_pair(fds, SOCK_DGRAM);
}

/* The executor removes the directory of this item after it. */
static const char *scratch_directory(void)
{
	const char *dir = surroundings()->scratch;

	REQUIRE(!mkdir(dir, 0700) || errno == EEXIST);
	return dir;
}

const char *scratch_path(const char *name)
{
	static __thread char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", scratch_directory(), name);
	return path;
}

int scratch_file(const char *name, int flags)
{
	return keep(
		open(scratch_path(name), flags | O_CREAT | O_CLOEXEC, 0600));
}

/* --- the device under test --- */

const char *device_name(void)
{
	return surroundings()->device->name;
}

/* What O_DIRECT on a file asks for: at most a page on the systems we know. */
static struct storage storage_file(int flags)
{
	struct storage storage = { .len = DEVICE_REGION };
	int fd;

	storage.path = strdup(scratch_path("storage"));
	fd = open(storage.path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	REQUIRE(fd >= 0);
	REQUIRE(!ftruncate(fd, DEVICE_REGION));
	close(fd);
	storage.fd = open(storage.path, flags | O_CLOEXEC);
	if (storage.fd < 0 && errno == EINVAL && flags & O_DIRECT)
		SKIP("no O_DIRECT in %s", surroundings()->device->path);
	keep(storage.fd);
	storage.size = DEVICE_REGION;
	storage.block = (unsigned int)PAGE_SIZE;
	return storage;
}

/* Items side by side have regions of their own, in the order of their slots. */
struct storage open_storage(int flags)
{
	const struct surroundings *around = surroundings();
	const struct device *device = around->device;
	struct storage storage = { 0 };
	uint64_t region;

	if (!device->is_block || around->c->on == ON_FILE)
		return storage_file(flags);
	region = device->size / around->slots / PAGE_SIZE * PAGE_SIZE;
	if (region > DEVICE_REGION)
		region = DEVICE_REGION;
	REQUIRE(region >= 1024 * 1024);
	storage.fd = keep(open(device->path, flags | O_CLOEXEC));
	storage.base = (int64_t)(region * around->slot);
	storage.len = region;
	storage.block = device->logical_block;
	storage.dma_alignment = device->dma_alignment;
	storage.is_block_device = true;
	storage.size = (int64_t)device->size;
	storage.path = device->path;
	return storage;
}

/* --- the system --- */

long file_number(const char *path)
{
	FILE *f = fopen(path, "re");
	long value = -1;

	if (!f)
		return -1;
	if (fscanf(f, "%ld", &value) != 1)
		value = -1;
	fclose(f);
	return value;
}

long aio_nr(void)
{
	atomic_store(&report_current()->quota_read, true);
	return sysctl_get("fs/aio-nr");
}

long aio_nr_at_start(void)
{
	return surroundings()->aio_nr_at_start;
}

long sysctl_get(const char *name)
{
	char path[200];
	long value;

	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	value = file_number(path);
	REQUIRE(value >= 0);
	return value;
}

void sysctl_set(const char *name, long value)
{
	char path[200];
	bool value_taken;
	FILE *f;

	REQUIRE(this_case()->serial);
	REQUIRE(journal_sysctl(name, sysctl_get(name), value));
	snprintf(path, sizeof(path), "/proc/sys/%s", name);
	f = fopen(path, "we");
	REQUIRE(f);
	value_taken = fprintf(f, "%ld\n", value) > 0;
	value_taken = !fclose(f) && value_taken;
	/* any number is one for a limit: who refuses it is the kernel */
	STAGE_TRUE(value_taken);
}

void at_death(void (*fn)(int fd), int fd)
{
	pid_t case_pid = getpid(), pid;
	sigset_t death;
	int ready[2];
	char byte;

	REQUIRE(!pipe2(ready, O_CLOEXEC));
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid) {
		/* who kills the case's session leaves this one alone */
		setsid();
		prctl(PR_SET_NAME, GUARD_NAME);
		sigemptyset(&death);
		sigaddset(&death, SIGTERM);
		sigprocmask(SIG_BLOCK, &death, NULL);
		/* at the end of the thread, though others be stuck for ever */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		close(ready[0]);
		close(ready[1]);
		if (getppid() == case_pid)
			sigwaitinfo(&death, NULL);
		fn(fd);
		_exit(0);
	}
	close(ready[1]);
	REQUIRE(!read(ready[0], &byte, 1));
	close(ready[0]);
}

/* --- rounds --- */

#define EMULATED 20 /* times as slow as most, and no more */
#define FEWEST	 10 /* a tenth */

double machine_slowness = 1;

unsigned int rounds(unsigned int wanted)
{
	double slow = machine_slowness / EMULATED;

	if (slow <= 1)
		return wanted;
	slow *= slow; /* many are slow together, and wait for each other */
	wanted = (unsigned int)(wanted / (slow < FEWEST ? slow : FEWEST));
	/* none would prove nothing */
	return wanted ? wanted : 1;
}
