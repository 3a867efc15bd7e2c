// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * IOCB_FLAG_IOPRIO: a priority of the request's own, class and level. The
 * real-time class starves others, so it takes a capability; which ones suffice
 * has changed, and a check lost there is a hole.
 */
#include <linux/capability.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "case.h"
#include "own.h"

enum { CLASS_NONE, CLASS_REAL_TIME, CLASS_BEST_EFFORT, CLASS_IDLE, CLASSES };

#define LEVELS	    8
#define CLASS_SHIFT 13
#define CLASSES_MAX 8 /* that three bits can name */

static int16_t priority(int class, int data)
{
	return (int16_t)(uint16_t)(class << CLASS_SHIFT | data);
}

/* Keep only these capabilities, by number; -1 ends the list. */
static void keep_capabilities(int first, int second)
{
	struct __user_cap_header_struct header = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { { 0 } };
	int kept[] = { first, second }, i;

	for (i = 0; i < 2; i++) {
		if (kept[i] < 0)
			continue;
		data[kept[i] / 32].effective |= 1u << kept[i] % 32;
		data[kept[i] / 32].permitted |= 1u << kept[i] % 32;
	}
	REQUIRE(!syscall(SYS_capset, &header, data));
}

static int open_null(void)
{
	return keep(open("/dev/null", O_RDWR | O_CLOEXEC));
}

/* What a read and a write, each plain and vectored, of this priority give. */
static void expect_priority(aio_handle ctx, int fd, int16_t prio, long wanted)
{
	char *buffer = io_buffer(PAGE_SIZE);
	struct iovec *iov = GUARDED(struct iovec);
	struct io_event event;
	struct iocb iocbs[4];
	int i;

	iov->iov_base = buffer;
	iov->iov_len = 1;
	prep_read(&iocbs[0], fd, buffer, 1, 0);
	prep_readv(&iocbs[1], fd, iov, 1, 0);
	prep_write(&iocbs[2], fd, buffer, 1, 0);
	prep_writev(&iocbs[3], fd, iov, 1, 0);
	for (i = 0; i < 4; i++) {
		ROUND("priority 0x%04x, opcode %u", (uint16_t)prio,
		      iocbs[i].aio_lio_opcode);
		iocbs[i].aio_flags = IOCB_FLAG_IOPRIO;
		iocbs[i].aio_reqprio = prio;
		EXPECT_EQ(wanted, submit_one(ctx, &iocbs[i]));
		EXPECT_EQ(wanted > 0, ring_unread(ctx));
		if (wanted <= 0)
			continue;
		stage_reap(ctx, 1, &event);
		/* /dev/null has nothing to read, and takes all */
		EXPECT_EVENT(&event, &iocbs[i], i < 2 ? 0 : 1);
	}
	ROUNDS_END();
}

/* In a child, with what is left of root's capabilities. */
static void expect_real_time(int first, int second, long wanted)
{
	pid_t child = child_fork();
	aio_handle ctx;
	int level;

	if (child) {
		EXPECT_CHILD_OK(child);
		return;
	}
	ctx = new_context(1);
	keep_capabilities(first, second);
	for (level = 0; level < LEVELS; level++)
		expect_priority(ctx, open_null(),
				priority(CLASS_REAL_TIME, level), wanted);
	child_exit(0);
}

CASE(io_submit, real_time_refused,
     "the real-time class without a capability is EPERM",
     .clause = "io_submit.ioprio.eperm_rt", .needs = "root")
{
	expect_real_time(-1, -1, -EPERM);
	/* others do not help */
	expect_real_time(CAP_DAC_OVERRIDE, CAP_KILL, -EPERM);
}

CASE(io_submit, real_time_nice, "CAP_SYS_NICE alone allows it",
     .clause = "io_submit.ioprio.cap_nice", .needs = "root")
{
	expect_real_time(CAP_SYS_NICE, -1, 1);
}

CASE(io_submit, real_time_admin, "CAP_SYS_ADMIN alone allows it",
     .clause = "io_submit.ioprio.cap_admin", .needs = "root")
{
	expect_real_time(CAP_SYS_ADMIN, -1, 1);
}

/* Who makes the call counts, not who made the context or the request. */
CASE(io_submit, real_time_of_caller, "it is the capabilities at the call",
     .clause = "io_submit.ioprio.eperm_rt", .needs = "root")
{
	pid_t child = child_fork();
	int16_t prio = priority(CLASS_REAL_TIME, 4);
	aio_handle ctx;
	int fd;

	if (child) {
		EXPECT_CHILD_OK(child);
		return;
	}
	fd = open_null();
	ctx = new_context(1);
	expect_priority(ctx, fd, prio, 1);
	keep_capabilities(-1, -1);
	expect_priority(ctx, fd, prio, -EPERM);
	expect_priority(ctx, fd, priority(CLASS_BEST_EFFORT, 4), 1);
	expect_priority(ctx, fd, priority(CLASS_IDLE, 4), 1);
	expect_priority(ctx, fd, priority(CLASS_NONE, 0), 1);
	child_exit(0);
}

CASE(io_submit, real_time_before_flags,
     "EPERM comes before unknown flags and the wrong mode",
     .clause = "io_submit.order.ioprio_flags", .needs = "root")
{
	pid_t child = child_fork();
	struct iocb iocb;
	aio_handle ctx;
	char byte;

	if (child) {
		EXPECT_CHILD_OK(child);
		return;
	}
	ctx = new_context(1);
	prep_read(&iocb, keep(open("/dev/null", O_WRONLY | O_CLOEXEC)), &byte,
		  1, 0);
	iocb.aio_flags = IOCB_FLAG_IOPRIO;
	iocb.aio_reqprio = priority(CLASS_REAL_TIME, 0);
	keep_capabilities(-1, -1);
	EXPECT_ERR(EPERM, submit_one(ctx, &iocb));
	iocb.aio_rw_flags = 0x40000000;
	EXPECT_ERR(EPERM, submit_one(ctx, &iocb));
	child_exit(0);
}

CASE(io_submit, priority_class, "a class that is none is EINVAL",
     .clause = "io_submit.ioprio.einval_class")
{
	aio_handle ctx = new_context(1);
	int fd = open_null(), class, level;

	for (class = CLASSES; class < CLASSES_MAX; class ++) {
		expect_priority(ctx, fd, priority(class, 0), -EINVAL);
		expect_priority(ctx, fd, priority(class, LEVELS - 1), -EINVAL);
	}
	for (level = 1; level < LEVELS; level++)
		expect_priority(ctx, fd, priority(CLASS_NONE, level), -EINVAL);
	expect_priority(ctx, fd, -1, -EINVAL);
}

CASE(io_submit, priority_level,
     "a level over seven is as the contract says for this kernel",
     .clause = "io_submit.ioprio.level", .needs = "root")
{
	long wanted = contract("io_submit.ioprio.level");
	aio_handle ctx = new_context(1);
	int fd = open_null();

	expect_priority(ctx, fd, priority(CLASS_BEST_EFFORT, LEVELS), wanted);
	expect_priority(ctx, fd, priority(CLASS_REAL_TIME, LEVELS), wanted);
}

CASE(io_submit, priority_accepted, "each class is accepted with each level",
     .clause = "io_submit.ioprio.accepted", .needs = "root")
{
	aio_handle ctx = new_context(1);
	int fd = open_null(), level;

	expect_priority(ctx, fd, priority(CLASS_NONE, 0), 1);
	for (level = 0; level < LEVELS; level++) {
		expect_priority(ctx, fd, priority(CLASS_BEST_EFFORT, level), 1);
		expect_priority(ctx, fd, priority(CLASS_IDLE, level), 1);
		expect_priority(ctx, fd, priority(CLASS_REAL_TIME, level), 1);
	}
}

CASE(io_submit, priority_device, "and a device does what it is asked for",
     .clause = "io_submit.ioprio.accepted", .needs = "root", .on = ON_ANY,
     .every_device = true)
{
	static const int classes[] = { CLASS_REAL_TIME, CLASS_BEST_EFFORT,
				       CLASS_IDLE };
	struct storage storage = open_storage(O_RDWR | O_DIRECT);
	unsigned char *out = io_buffer(PAGE_SIZE), *in = io_buffer(PAGE_SIZE);
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	uint32_t i;

	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		ROUND("class %d", classes[i]);
		pattern(out, PAGE_SIZE, i);
		prep_write(&iocb, storage.fd, out, PAGE_SIZE, storage.base);
		iocb.aio_flags = IOCB_FLAG_IOPRIO;
		iocb.aio_reqprio = priority(classes[i], 3);
		EXPECT_EQ(1, submit_one(ctx, &iocb));
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, &iocb, (long)PAGE_SIZE);
		memset(in, 0xee, PAGE_SIZE);
		prep_read(&iocb, storage.fd, in, PAGE_SIZE, storage.base);
		iocb.aio_flags = IOCB_FLAG_IOPRIO;
		iocb.aio_reqprio = priority(classes[i], 5);
		EXPECT_EQ(1, submit_one(ctx, &iocb));
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, &iocb, (long)PAGE_SIZE);
		EXPECT_PATTERN(in, PAGE_SIZE, i);
	}
}

CASE(io_submit, priority_without_flag,
     "without the flag aio_reqprio is not looked at",
     .clause = "io_submit.ioprio.no_flag")
{
	static const int16_t priorities[] = { -1, 1, 0x7fff, INT16_MIN };
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocb;
	unsigned int i;
	int fd = open_null();

	for (i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++) {
		ROUND("priority %d", priorities[i]);
		prep_write(&iocb, fd, "x", 1, 0);
		iocb.aio_reqprio = priorities[i];
		EXPECT_EQ(1, submit_one(ctx, &iocb));
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, &iocb, 1);
	}
}

#define WHO_PROCESS 1 /* IOPRIO_WHO_PROCESS */

CASE(io_submit, priority_not_of_thread,
     "the thread's own priority is not what its requests have",
     .clause = "io_submit.ioprio.task")
{
	aio_handle ctx = new_context(1);
	long before = syscall(SYS_ioprio_get, WHO_PROCESS, 0);
	int level;

	REQUIRE(before >= 0);
	for (level = 0; level < LEVELS; level++) {
		expect_priority(ctx, open_null(),
				priority(CLASS_BEST_EFFORT, level), 1);
		EXPECT_EQ(before, syscall(SYS_ioprio_get, WHO_PROCESS, 0));
	}
}

CASE(io_submit, priority_of_others,
     "FSYNC and POLL do not look at it, flag or not",
     .clause = "io_submit.ioprio.rw_only", .needs = "eventfd", .on = ON_FILE)
{
	int file = scratch_file("file", O_RDWR), ready = open_eventfd(1, 0), i;
	aio_handle ctx = new_context(1);
	struct io_event event;
	struct iocb iocbs[3];

	prep_fsync(&iocbs[0], file);
	prep_fdsync(&iocbs[1], file);
	prep_poll(&iocbs[2], ready, POLLIN);
	for (i = 0; i < 3; i++) {
		ROUND("opcode %u", iocbs[i].aio_lio_opcode);
		iocbs[i].aio_flags = IOCB_FLAG_IOPRIO;
		iocbs[i].aio_reqprio = -1;
		EXPECT_EQ(1, submit_one(ctx, &iocbs[i]));
		stage_reap(ctx, 1, &event);
		EXPECT_EVENT(&event, &iocbs[i], i < 2 ? 0 : POLLIN);
	}
}

/* --- what becomes of it --- */

#define DEVICE_NS   50000000 /* for a request: two more come meanwhile */
#define TRIES	    40	     /* that the CPU was taken away for so long */
#define LEN	    4096     /* bytes */
#define WHO_PROCESS 1	     /* IOPRIO_WHO_PROCESS */

/* What comes with a request, and who asks for it. */
struct wish {
	int submitter, class;
};

static void prefer(int class)
{
	REQUIRE(!syscall(SYS_ioprio_set, WHO_PROCESS, 0,
			 priority(class, class == CLASS_NONE ? 0 : 4)));
}

/*
 * On a device that does one request at a time: behind others comes one that can
 * wait, and then, for what lies behind, one that cannot. With nothing to tell
 * the two apart they would go as they came, and by place.
 */
static void expect_overtaken(int fd, unsigned int opcode, struct wish patient,
			     struct wish urgent, uint32_t flags)
{
	enum { OTHERS = 4, PATIENT = OTHERS, URGENT, REQUESTS };
	struct wish wishes[REQUESTS] = {
		[PATIENT] = patient, [URGENT] = urgent
	};
	aio_handle ctx = new_context(REQUESTS);
	struct iocb *iocbs = GUARDED_ARRAY(struct iocb, REQUESTS);
	struct io_event *events = GUARDED_ARRAY(struct io_event, REQUESTS);
	struct io_event *first, *second;
	unsigned char *buf = io_buffer(REQUESTS * LEN);
	bool in_time = false;
	int i, try;

	for (try = 0; try < TRIES && !in_time; try++) {
		for (i = 0; i < REQUESTS; i++) {
			prefer(wishes[i].submitter);
			prep_read(&iocbs[i], fd, buf + i * LEN, LEN, i * LEN);
			iocbs[i].aio_lio_opcode = opcode;
			iocbs[i].aio_reqprio = priority(wishes[i].class, 0);
			iocbs[i].aio_flags = flags;
			STAGE_EQ(1, submit_one(ctx, &iocbs[i]));
		}
		in_time = !ring_unread(ctx);
		ASSERT_EQ(REQUESTS, aio->getevents(ctx, REQUESTS, REQUESTS,
						   events, NULL));
	}
	REQUIRE(in_time);
	first = find_event(events, REQUESTS, &iocbs[URGENT]);
	second = find_event(events, REQUESTS, &iocbs[PATIENT]);
	EXPECT_EVENT(first, &iocbs[URGENT], LEN);
	EXPECT_EVENT(second, &iocbs[PATIENT], LEN);
	EXPECT_TRUE(first < second);
}

static void expect_overtakes(struct wish patient, struct wish urgent,
			     uint32_t flags)
{
	int fd = keep(open(own_scheduled(DEVICE_NS, "mq-deadline"),
			   O_RDWR | O_DIRECT | O_CLOEXEC));

	expect_overtaken(fd, IOCB_CMD_PREAD, patient, urgent, flags);
	expect_overtaken(fd, IOCB_CMD_PWRITE, patient, urgent, flags);
}

CASE(io_submit, priority_overtakes,
     "a request of a better class is done before one of a worse",
     .clause = "io_submit.ioprio.reaches_device", .needs = "root null_blk",
     .time_limit = 20)
{
	const struct wish patient = { CLASS_NONE, CLASS_IDLE };
	const struct wish urgent = { CLASS_NONE, CLASS_REAL_TIME };

	expect_overtakes(patient, urgent, IOCB_FLAG_IOPRIO);
}

CASE(io_submit, priority_of_request_overtakes,
     "it is the request's class, not the submitter's, with the flag",
     .clause = "io_submit.ioprio.reaches_device", .needs = "root null_blk",
     .time_limit = 20)
{
	const struct wish patient = { CLASS_REAL_TIME, CLASS_IDLE };
	const struct wish urgent = { CLASS_IDLE, CLASS_REAL_TIME };

	expect_overtakes(patient, urgent, IOCB_FLAG_IOPRIO);
}

CASE(io_submit, priority_of_submitter_overtakes,
     "it is the submitter's class, not the request's, without the flag",
     .clause = "io_submit.ioprio.reaches_device", .needs = "root null_blk",
     .time_limit = 20)
{
	const struct wish patient = { CLASS_IDLE, CLASS_REAL_TIME };
	const struct wish urgent = { CLASS_REAL_TIME, CLASS_IDLE };

	expect_overtakes(patient, urgent, 0);
}

static void *overtake_as_itself(void *arg)
{
	(void)arg;
	expect_overtakes((struct wish){ CLASS_IDLE, CLASS_REAL_TIME },
			 (struct wish){ CLASS_REAL_TIME, CLASS_IDLE }, 0);
	return NULL;
}

CASE(io_submit, priority_of_thread_overtakes,
     "and the submitting thread's, not that of the first of its process",
     .clause = "io_submit.ioprio.reaches_device", .needs = "root null_blk",
     .time_limit = 20)
{
	thread_join(thread_run(overtake_as_itself, NULL));
}
