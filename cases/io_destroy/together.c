// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Processes that end together, with what contains them: a memory cgroup that
 * is killed or has run out of memory, namespaces whose first process dies.
 * Requests in flight hold up each of them; afterwards the memory, mounts and
 * devices of the container are free.
 */
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "case.h"
#include "cgroup.h"
#include "held.h"
#include "own.h"

#define PROCESSES 2
#define CONTEXTS  3    /* of each */
#define EVENTS	  4096 /* a ring of 65 pages */
#define REQUESTS  (PROCESSES * CONTEXTS)

/* --- memory cgroups --- */

#define LIMIT (16 * 1024 * 1024) /* bytes, much more than the rings take */
#define MEAL  (1024 * 1024)

struct crowd {
	const char *group;
	struct held *held;
	pid_t pids[PROCESSES];
	struct gate *hungry; /* of the first one: it eats until it dies */
};

/* With a read in flight on each of some contexts. */
static void live(const char *group, int fd, unsigned int first,
		 struct gate *hungry)
{
	static struct iocb iocbs[CONTEXTS];
	unsigned int i;

	cgroup_enter(group);
	for (i = 0; i < CONTEXTS; i++)
		stage_submit(new_context(EVENTS),
			     prep_read(&iocbs[i], fd, io_buffer(HELD_BLOCK),
				       HELD_BLOCK, (first + i) * HELD_BLOCK));
	gate_wait(hungry);
	for (;;)
		memset(io_buffer(MEAL), 1, MEAL);
}

static struct crowd gather(void)
{
	struct gate *gates = shared_memory(PROCESSES * sizeof(*gates));
	struct crowd crowd = { .hungry = gates };
	unsigned int i;
	int fd;

	crowd.group = own_cgroup(LIMIT);
	crowd.held = held_open(&fd);
	hold(crowd.held, HOLD_READS);
	for (i = 0; i < PROCESSES; i++) {
		crowd.pids[i] = child_fork();
		if (!crowd.pids[i])
			live(crowd.group, fd, i * CONTEXTS, &gates[i]);
	}
	held_wait(crowd.held, REQUESTS);
	return crowd;
}

/* All contexts are killed at once, and each process goes after its last read.
 */
static void expect_end(const struct crowd *crowd)
{
	unsigned int i, k;

	WAIT_FOR(aio_nr() == aio_nr_at_start());
	EXPECT_EQ(REQUESTS, held_count(crowd->held));
	for (i = 0; i < PROCESSES; i++) {
		for (k = 0; k < CONTEXTS; k++) {
			wait_asleep_in(crowd->pids[i], ANY_CALL);
			EXPECT_TRUE(!child_has_gone(crowd->pids[i]));
			release_at(crowd->held, (i * CONTEXTS + k) * HELD_BLOCK,
				   0);
		}
		EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(crowd->pids[i])));
	}
	EXPECT_QUOTA_BACK();
	/* the rings go when nobody looks them up any more */
	WAIT_FOR(cgroup_memory(crowd->group) <
		 ring_size(ring_events_for(EVENTS)));
	WAIT_FOR(!rmdir(crowd->group));
}

CASE(io_destroy, cgroup_killed,
     "who is killed with a cgroup goes with the last request, the memory too",
     .clause = "io_destroy.exit.killed", .needs = "memcg held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY, .quota = REQUESTS * EVENTS)
{
	struct crowd crowd = gather();

	cgroup_kill(crowd.group);
	expect_end(&crowd);
}

CASE(io_destroy, cgroup_oom,
     "so does who is killed since the cgroup is out of memory",
     .clause = "io_destroy.exit.killed", .needs = "memcg held task_syscall",
     .flavours = NATIVE, .serial = SERIAL_BODY, .quota = REQUESTS * EVENTS)
{
	struct crowd crowd = gather();

	cgroup_set(crowd.group, "memory.oom.group", 1);
	gate_open(crowd.hungry);
	expect_end(&crowd);
}

/* --- namespaces --- */

#define USED 2 /* contexts of one request, of each process */

struct world {
	const char *device, *dir; /* an ext4, and where it is mounted there */
	int mnt;		  /* the file system of a held file */
	atomic_uint ready;
};

/* A read in flight, and a POLL that alone keeps a FIFO open. */
static void use_mounts(struct world *world, unsigned int number)
{
	static struct iocb read, poll;
	int fd = open(file_in(world->dir, "held/" HELD_FILE),
		      O_RDWR | O_DIRECT | O_CLOEXEC);
	int fifo = open(file_in(world->dir, "fifo"),
			O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	REQUIRE(fd >= 0 && fifo >= 0);
	stage_submit(new_context(1),
		     prep_read(&read, fd, io_buffer(HELD_BLOCK), HELD_BLOCK,
			       number * HELD_BLOCK));
	stage_submit(new_context(1), prep_poll(&poll, fifo, POLLIN));
	REQUIRE(!close(fd) && !close(fifo));
	count_up(&world->ready);
	for (;;)
		pause();
}

/* In the first process of a world: what is mounted there is nowhere else. */
static void begin_world(struct world *world)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	REQUIRE(!unshare(CLONE_NEWNS));
	REQUIRE(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	REQUIRE(!mount(world->device, world->dir, "ext4", 0, NULL));
	REQUIRE(!mkfifo(file_in(world->dir, "fifo"), 0600));
	REQUIRE(!mkdir(file_in(world->dir, "held"), 0700));
	REQUIRE(!syscall(SYS_move_mount, world->mnt, "", AT_FDCWD,
			 file_in(world->dir, "held"), MOVE_MOUNT_F_EMPTY_PATH));
	REQUIRE(!close(world->mnt));
	use_mounts(world, child_fork() ? 0 : 1);
}

/* Whether nobody has it mounted. */
static bool is_free(const char *device)
{
	int fd = open(device, O_RDWR | O_EXCL | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

CASE(io_destroy, namespaces_free_mounts,
     "namespaces end after the last request in them, and free their mounts",
     .clause = "io_destroy.exit.killed",
     .needs = "root held mkfs_ext4 own_mounts task_syscall", .flavours = NATIVE,
     .serial = SERIAL_BODY)
{
	struct world *world = shared_memory(sizeof(*world));
	struct held *held;
	unsigned int i;
	pid_t pid;

	world->device = own_loop(OWN_MKFS_SIZE, 512);
	own_mkfs("ext4", world->device);
	world->dir = strdup(scratch_path("world"));
	REQUIRE(!mkdir(world->dir, 0700));
	held = held_mountable(&world->mnt);
	hold(held, HOLD_READS);
	if (unshare(CLONE_NEWPID))
		SKIP("no processes of its own: %s", strerror(errno));
	/* not child_fork(): it cannot see its parent */
	pid = fork();
	REQUIRE(pid >= 0);
	if (!pid)
		begin_world(world);
	REQUIRE(!close(world->mnt));
	wait_until_ge(&world->ready, PROCESSES);
	held_wait(held, PROCESSES);
	REQUIRE(!kill(pid, SIGKILL));
	/* the first one takes the other along when its own read has ended */
	for (i = 0; i < PROCESSES; i++) {
		WAIT_FOR(aio_nr() ==
			 aio_nr_at_start() + (long)(PROCESSES - 1 - i) * USED);
		wait_asleep_in(pid, ANY_CALL);
		EXPECT_TRUE(!child_has_gone(pid));
		EXPECT_TRUE(!is_free(world->device));
		EXPECT_EQ(PROCESSES - i, held_count(held));
		release_at(held, i * HELD_BLOCK, 0);
	}
	EXPECT_EQ(SIGKILL, WTERMSIG(child_wait(pid)));
	EXPECT_QUOTA_BACK();
	/* soon; with a reference lost, never */
	WAIT_FOR(is_free(world->device));
	WAIT_FOR(child_has_gone(held_server(held)));
}
