// SPDX-License-Identifier: GPL-2.0-or-later
#include "contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static struct {
	bool known;
	unsigned int a, b, c;
	char release[sizeof(((struct utsname *)NULL)->release)];
} kernel;

void contract_set_kernel(const char *release, const char *version)
{
	static const char debian[] = "Debian ";
	const char *package = strstr(version, debian);
	unsigned int a, b, c;

	kernel.known = true;
	kernel.a = kernel.b = kernel.c = 0;
	/* "7.3-rc7-amd64" has no third number: it counts as 7.3.0 */
	sscanf(release, "%u.%u.%u", &kernel.a, &kernel.b, &kernel.c);
	snprintf(kernel.release, sizeof(kernel.release), "%s", release);
	/*
	 * "5.10.0-32-amd64" hides the stable level, which stands in the
	 * version: "#1 SMP Debian 5.10.223-1 (2024-08-10)".
	 */
	if (package &&
	    sscanf(package + strlen(debian), "%u.%u.%u", &a, &b, &c) == 3 &&
	    a == kernel.a && b == kernel.b)
		kernel.c = c;
}

static void learn_kernel(void)
{
	struct utsname name;

	if (kernel.known)
		return;
	if (uname(&name))
		abort();
	contract_set_kernel(name.release, name.version);
}

/* Whether the kernel has come to where the range begins. */
static bool reached(const struct contract_range *range)
{
	unsigned int i;

	for (i = 0; i < range->n; i++)
		if (range->at[i].a == kernel.a && range->at[i].b == kernel.b)
			return kernel.c >= range->at[i].c;
	i = range->n - 1u;
	return kernel.a > range->at[i].a ||
	       (kernel.a == range->at[i].a && kernel.b > range->at[i].b);
}

static bool within(const struct contract_range *since,
		   const struct contract_range *until)
{
	learn_kernel();
	return (!since->n || reached(since)) && (!until->n || !reached(until));
}

static int by_id(const void *id, const void *clause)
{
	return strcmp(id, ((const struct contract_clause *)clause)->id);
}

const struct contract_clause *contract_find(const char *id)
{
	return bsearch(id, contract_clauses, contract_clause_count,
		       sizeof(*contract_clauses), by_id);
}

bool contract_applies(const struct contract_clause *clause)
{
	return within(&clause->since, &clause->until);
}

bool contract_lookup(const char *id, long *value)
{
	const struct contract_clause *clause = contract_find(id);
	unsigned int i;

	if (!clause || !clause->n_values)
		return false;
	*value = clause->values[clause->n_values - 1].value;
	for (i = 0; i < clause->n_values; i++) {
		if (within(&clause->values[i].since,
			   &clause->values[i].until)) {
			*value = clause->values[i].value;
			break;
		}
	}
	return true;
}

const char *contract_known(const char *case_id, const char *device)
{
	const struct contract_known *known = contract_known_failures;
	unsigned int i;

	learn_kernel();
	for (i = 0; i < contract_known_count; i++, known++)
		if (!strcmp(known->id, case_id) &&
		    (!*known->device || !strcmp(known->device, device)) &&
		    !strcmp(known->release, kernel.release))
			return known->reason;
	return NULL;
}
