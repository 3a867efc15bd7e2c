// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a case may need of the machine: declared at the case by name, tried
 * once by the executor, and named in the skip if it is not met.
 */
#ifndef AIOABI_NEEDS_H
#define AIOABI_NEEDS_H

#include <stdbool.h>

struct need {
	const char *name;
	const char *what; /* in words: "a kernel with userfaultfd" */
	/* NULL if it is met, else why not; called once */
	const char *(*probe)(void);
};

#define NEED(name_, what_)                                            \
	static const char *need_##name_(void);                        \
	static const struct need aio_need_##name_ = { #name_, what_,  \
						      need_##name_ }; \
	static const struct need *const aio_need_ptr_##name_          \
		__attribute__((used, section("aio_needs"))) =         \
			&aio_need_##name_;                            \
	static const char *need_##name_(void)

extern const struct need *const __start_aio_needs[];
extern const struct need *const __stop_aio_needs[];

/* Whether the machine is the run's own: --ours. */
extern bool machine_is_ours;

/*
 * needs_unmet() - the first of these (names, blanks between) that this machine
 * does not meet, as "what: why not" in buf; NULL if all are met.
 */
const char *needs_unmet(const char *names, char *buf, unsigned int size);

/* needs_unknown() - the first name that no need has, in buf; NULL if none. */
const char *needs_unknown(const char *names, char *buf, unsigned int size);

#endif
