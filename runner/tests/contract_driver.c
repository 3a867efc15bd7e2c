// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Answers for a compiled catalogue. On every two lines of the input: a release,
 * a version; out: for each clause whether it applies, and its value.
 */
#include "contract.h"
#include <stdio.h>
#include <string.h>

int main(void)
{
	char release[200], version[200];
	const char *known;
	unsigned int i;
	long value;

	while (fgets(release, sizeof(release), stdin) &&
	       fgets(version, sizeof(version), stdin)) {
		release[strcspn(release, "\n")] = 0;
		contract_set_kernel(release, version);
		for (i = 0; i < contract_clause_count; i++) {
			if (contract_find(contract_clauses[i].id) !=
			    &contract_clauses[i])
				return 1;
			printf("%s %d", contract_clauses[i].id,
			       contract_applies(&contract_clauses[i]));
			if (contract_lookup(contract_clauses[i].id, &value))
				printf(" %ld", value);
			puts("");
		}
		known = contract_known("ring.part_stays", "zram");
		printf("known_on_zram %s\n", known ? known : "-");
		known = contract_known("ring.part_stays", "loop");
		printf("known %s\n", known ? known : "-");
		if (contract_find("io_setup") || contract_find("") ||
		    contract_lookup("io_setup.no", &value))
			return 1;
	}
	return 0;
}
