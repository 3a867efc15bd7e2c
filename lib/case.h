// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How a case is written: the one header that a case includes.
 *
 *	CASE(io_setup, einval_ctx_not_zero,
 *	     "a handle that is not 0 is refused, and left as it was",
 *	     .clause = "io_setup.einval.ctx")
 *	{
 *		aio_handle ctx = 1;
 *
 *		EXPECT_ERR(EINVAL, aio->setup(1, &ctx));
 *		EXPECT_EQ(1, ctx);
 *	}
 *
 * EXPECT_* notes a broken promise and goes on. ASSERT_* ends the case with it.
 * STAGE_* is for AIO calls that only prepare: a failure there is one of the
 * kernel's all the same, of the kind "stage". REQUIRE* prepares with anything
 * else, and ends the case as broken. SKIP ends it as skipped.
 */
#ifndef AIOABI_CASE_H
#define AIOABI_CASE_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>

#ifndef AIOABI_WITH_LIBAIO_H /* the two define the same structures */
#include <linux/aio_abi.h>
#endif

#include "aio.h"

/* What kind of device a case uses. */
enum on {
	ON_NOTHING,
	ON_BLOCK, /* a block device */
	ON_FILE,  /* a directory for files */
	ON_ANY,	  /* either: open_storage() gives a device or a file */
};

/* Whether a case has the machine to itself. */
enum serial {
	NOT_SERIAL,
	/* nothing of another one is left: ".serial = true" */
	SERIAL,
	/*
	 * Of another one there may be the exit, which waits and does nothing:
	 * all that it had of fs.aio-nr is back, as for a case that looks at
	 * that number. Not for one that counts memory, or in which something
	 * stays in flight.
	 */
	SERIAL_BODY,
};

struct aio_case {
	const char *id;
	const char *suite;
	const char *title;
	const char *clause;   /* of cases/contract.toml */
	const char *needs;    /* names of lib/needs.c, blanks between */
	const char *fault;    /* a point of fault/, armed by the case itself */
	const char *fixed_by; /* the commit that mended the bug it is about */
	const char *cve;
	const char *file;
	unsigned int line;
	unsigned int flavours;	 /* enum flavour_bit; 0: by its nature */
	unsigned int time_limit; /* seconds on a fast machine; 0: ten */
	unsigned int quota;	 /* of fs.aio-nr, at most at once; 0: 1024 */
	enum on on;
	bool every_device;  /* it is about devices: run it on each */
	enum serial serial; /* nothing else may run meanwhile */
	void (*body)(void);
};

/* Metadata after the title is of struct aio_case. */
#define CASE(suite_, name_, title_, ...)                                    \
	static void case_##suite_##_##name_(void);                          \
	static const struct aio_case aio_case_##suite_##_##name_ = {        \
		.id = #suite_ "." #name_,                                   \
		.suite = #suite_,                                           \
		.title = title_,                                            \
		.file = __FILE__,                                           \
		.line = __LINE__,                                           \
		.body = case_##suite_##_##name_,                            \
		__VA_ARGS__                                                 \
	};                                                                  \
	static const struct aio_case *const aio_case_ptr_##suite_##_##name_ \
		__attribute__((used, section("aio_cases"))) =               \
			&aio_case_##suite_##_##name_;                       \
	static void case_##suite_##_##name_(void)

/* The case that runs. */
const struct aio_case *this_case(void);

/* --- expectations --- */

struct place {
	const char *file;
	unsigned int line;
	const char *text;  /* the expression under test */
	unsigned char how; /* enum how */
};
enum how { HOW_EXPECT, HOW_ASSERT, HOW_STAGE };
enum relation { REL_EQ, REL_NE, REL_LT, REL_LE, REL_GT, REL_GE };

#define PLACE_(text_, how_) \
	(&(const struct place){ __FILE__, __LINE__, text_, how_ })

bool check_relation(const struct place *place, enum relation relation,
		    long long wanted, long long got);
bool check_true(const struct place *place, bool got);
bool check_memory(const struct place *place, const void *wanted,
		  const void *got, size_t len);
bool check_string(const struct place *place, const char *wanted,
		  const char *got);

/* A call gives this errno, as -errno. */
#define EXPECT_ERR(errno_, call) \
	check_relation(PLACE_(#call, HOW_EXPECT), REL_EQ, -(errno_), (call))
#define ASSERT_ERR(errno_, call) \
	check_relation(PLACE_(#call, HOW_ASSERT), REL_EQ, -(errno_), (call))

/* A call gives 0. */
#define EXPECT_OK(call) \
	check_relation(PLACE_(#call, HOW_EXPECT), REL_EQ, 0, (call))
#define ASSERT_OK(call) \
	check_relation(PLACE_(#call, HOW_ASSERT), REL_EQ, 0, (call))
#define STAGE_OK(call) \
	check_relation(PLACE_(#call, HOW_STAGE), REL_EQ, 0, (call))

/* Numbers; in each, what is wanted or the bound comes first. */
#define EXPECT_EQ(wanted, got)                                                \
	check_relation(PLACE_(#got, HOW_EXPECT), REL_EQ, (long long)(wanted), \
		       (long long)(got))
#define ASSERT_EQ(wanted, got)                                                \
	check_relation(PLACE_(#got, HOW_ASSERT), REL_EQ, (long long)(wanted), \
		       (long long)(got))
#define STAGE_EQ(wanted, got)                                                \
	check_relation(PLACE_(#got, HOW_STAGE), REL_EQ, (long long)(wanted), \
		       (long long)(got))
#define EXPECT_NE(unwanted, got)                         \
	check_relation(PLACE_(#got, HOW_EXPECT), REL_NE, \
		       (long long)(unwanted), (long long)(got))
/* got is below, at most, above, at least the bound. */
#define EXPECT_LT(bound, got)                                                \
	check_relation(PLACE_(#got, HOW_EXPECT), REL_LT, (long long)(bound), \
		       (long long)(got))
#define EXPECT_LE(bound, got)                                                \
	check_relation(PLACE_(#got, HOW_EXPECT), REL_LE, (long long)(bound), \
		       (long long)(got))
#define EXPECT_GT(bound, got)                                                \
	check_relation(PLACE_(#got, HOW_EXPECT), REL_GT, (long long)(bound), \
		       (long long)(got))
#define EXPECT_GE(bound, got)                                                \
	check_relation(PLACE_(#got, HOW_EXPECT), REL_GE, (long long)(bound), \
		       (long long)(got))

#define EXPECT_TRUE(condition) \
	check_true(PLACE_(#condition, HOW_EXPECT), (condition))
#define ASSERT_TRUE(condition) \
	check_true(PLACE_(#condition, HOW_ASSERT), (condition))
#define STAGE_TRUE(condition) \
	check_true(PLACE_(#condition, HOW_STAGE), (condition))

#define EXPECT_MEM(wanted, got, len) \
	check_memory(PLACE_(#got, HOW_EXPECT), (wanted), (got), (len))
#define EXPECT_STR(wanted, got) \
	check_string(PLACE_(#got, HOW_EXPECT), (wanted), (got))

/* fail_case() - a broken promise that no EXPECT_* can say; goes on. */
#define EXPECT_NOT_REACHED(...) \
	check_unreached(PLACE_("", HOW_EXPECT), __VA_ARGS__)
bool check_unreached(const struct place *place, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * ROUND(format, ...) - name this round of a loop: every failure tells it, until
 * the next ROUND, or ROUNDS_END(). Of the whole process.
 */
#define ROUND(...)   round_begin(__VA_ARGS__)
#define ROUNDS_END() round_begin("%s", "")
void round_begin(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Setting the stage with anything that is not AIO. */
#define REQUIRE(condition)                                                   \
	do {                                                                 \
		if (!(condition))                                            \
			end_broken(__FILE__, __LINE__, "%s: %s", #condition, \
				   strerror(errno));                         \
	} while (0)
void end_broken(const char *file, unsigned int line, const char *format, ...)
	__attribute__((format(printf, 3, 4), noreturn));

/* SKIP(why, ...) - a need that only the case itself can find unmet. */
void end_skipped(const char *format, ...)
	__attribute__((format(printf, 1, 2), noreturn));
#define SKIP(...) end_skipped(__VA_ARGS__)

/*
 * contract() - what the contract says on this kernel, where kernels differ:
 * the value of a clause of cases/contract.toml. Broken when it has none.
 */
long contract(const char *clause);

/* contract_in_force() - whether this kernel is in the range of a clause. */
bool contract_in_force(const char *clause);

#include "ring.h"
#include "stage.h"
#include "memory.h"
#include "sync.h"

#endif
