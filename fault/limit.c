// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Limits that are reached for the time of a call. Each is proved by what must
 * fail under it, too: a fault that would not bite is not taken for one.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "case.h"
#include "needs.h"
#include "points.h"

#define NOBODY	  65534
#define MAP_COUNT 65530 /* vm.max_map_count as most have it */
#define FEW_MAPS  1000	/* where nobody else needs any */

static void *map_page(int protection)
{
	return mmap(NULL, PAGE_SIZE, protection,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static bool nothing_to_map(void)
{
	void *map = map_page(PROT_READ);

	if (map == MAP_FAILED)
		return errno == ENOMEM;
	REQUIRE(!munmap(map, PAGE_SIZE));
	return false;
}

long limit_address_space(const struct aio_args *args, int info)
{
	struct rlimit old, limit;
	bool bites;
	long result;

	REQUIRE(!getrlimit(RLIMIT_AS, &old));
	limit = old;
	limit.rlim_cur = PAGE_SIZE;
	REQUIRE(!setrlimit(RLIMIT_AS, &limit));
	result = fault_make(args);
	bites = nothing_to_map();
	REQUIRE(!setrlimit(RLIMIT_AS, &old));
	REQUIRE(bites);
	return result;
}

/* As many mappings as there may be: neighbours that cannot be joined. */
long limit_map_count(const struct aio_args *args, int info)
{
	long most = sysctl_get("vm/max_map_count"), result;
	void **maps = calloc(MAP_COUNT, sizeof(*maps));
	unsigned int n;
	bool bites;

	REQUIRE(maps);
	/* a slow guest takes minutes for as many as most have */
	if (machine_is_ours)
		sysctl_set("vm/max_map_count", FEW_MAPS);
	REQUIRE(sysctl_get("vm/max_map_count") <= MAP_COUNT);
	for (n = 0; n < MAP_COUNT; n++) {
		maps[n] = map_page(n % 2 ? PROT_READ : PROT_NONE);
		if (maps[n] == MAP_FAILED)
			break;
	}
	result = fault_make(args);
	bites = nothing_to_map();
	while (n)
		REQUIRE(!munmap(maps[--n], PAGE_SIZE));
	free(maps);
	if (machine_is_ours)
		sysctl_set("vm/max_map_count", most);
	REQUIRE(bites);
	return result;
}

/* No context may have more than what all have now. */
long limit_quota(const struct aio_args *args, int info)
{
	long most = sysctl_get("fs/aio-max-nr"), result;

	sysctl_set("fs/aio-max-nr", aio_nr());
	result = fault_make(args);
	sysctl_set("fs/aio-max-nr", most);
	return result;
}

/* Root may have files over the limit; others see ENFILE. */
long limit_files(const struct aio_args *args, int info)
{
	long most = sysctl_get("fs/file-max"), result;
	bool bites;

	sysctl_set("fs/file-max", 0);
	REQUIRE(!seteuid(NOBODY));
	bites = open("/", O_RDONLY | O_CLOEXEC) < 0 && errno == ENFILE;
	result = fault_make(args);
	REQUIRE(!seteuid(0));
	sysctl_set("fs/file-max", most);
	REQUIRE(bites);
	return result;
}
