// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The catalogue of clauses as the program has it: cases/contract.toml, compiled
 * in by runner/contract.py, and what of it holds for the running kernel.
 */
#ifndef AIOABI_CONTRACT_H
#define AIOABI_CONTRACT_H

#include <stdbool.h>

/*
 * A kernel by stable branch: on a branch a.b that is listed from a.b.c on, on
 * any other when it is not older than the last entry. Empty: no bound.
 */
struct contract_range {
	unsigned char n;
	struct {
		unsigned short a, b, c;
	} at[12];
};

/* What kernels from since on and before until do. */
struct contract_value {
	struct contract_range since, until;
	long value;
};

struct contract_clause {
	const char *id;
	const char *promise;
	const char *source;
	struct contract_range since, until;
	unsigned int n_values;
	const struct contract_value *values;
};

/* A failure that is expected of one release, as uname -r says. */
struct contract_known {
	const char *id;
	const char *device; /* its name in the records; empty: any */
	const char *release;
	const char *reason;
};

/* Made by runner/contract.py; the clauses and the known ones sorted by id. */
extern const struct contract_clause contract_clauses[];
extern const unsigned int contract_clause_count;
extern const struct contract_known contract_known_failures[];
extern const unsigned int contract_known_count;

/* contract_find() - the clause of this id; NULL if there is none. */
const struct contract_clause *contract_find(const char *id);

/* contract_applies() - whether the kernel is in the clause's range. */
bool contract_applies(const struct contract_clause *clause);

/*
 * contract_lookup() - the value of a clause for the kernel.
 *
 * A kernel that no range covers gets the newest. False when there is no such
 * clause, or it has no values.
 */
bool contract_lookup(const char *id, long *value);

/*
 * contract_known() - why a case fails on the kernel and this device; NULL if it
 * should not.
 */
const char *contract_known(const char *case_id, const char *device);

/*
 * contract_set_kernel() - judge by this kernel instead of the running one:
 * release and version as uname(2) gives them.
 */
void contract_set_kernel(const char *release, const char *version);

#endif
