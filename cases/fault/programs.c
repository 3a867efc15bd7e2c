// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The programs of cases/programs, under what a correct kernel may do at any
 * time: late and overtaking events, and lists that are always taken in part.
 * Which events is random, and the same each time.
 */
#include "case.h"
#include "fault.h"

#define PERCENT 30 /* of the events */

extern const struct aio_case *const __start_aio_cases[];
extern const struct aio_case *const __stop_aio_cases[];

/* As it is, in this process, with this case's device. */
static void run_program(const char *id)
{
	const struct aio_case *const *at;

	for (at = __start_aio_cases; at < __stop_aio_cases; at++)
		if (!strcmp((*at)->id, id))
			break;
	REQUIRE(at < __stop_aio_cases);
	(*at)->body();
}

static void run_under(const char *id, const char *point)
{
	if (!strncmp(point, "aio/event", strlen("aio/event")))
		fault_at_random(point, 0, PERCENT);
	else
		fault_on(point, 0);
	run_program(id);
	fault_off(point);
}

#define UNDER(name, id, what, point, clause_)                     \
	CASE(fault, program_##name, id " goes right under " what, \
	     .clause = clause_, .fault = point, .on = ON_ANY,     \
	     .needs = "eventfd", .flavours = RAW)                 \
	{                                                         \
		run_under(id, point);                             \
	}

UNDER(sum_late, "programs.sum_as_they_come", "late events", "aio/event/late",
      "programs.sum")
UNDER(sum_reorder, "programs.sum_one_by_one", "overtaking events",
      "aio/event/reorder", "programs.sum")
UNDER(sum_short, "programs.sum_all", "short lists", "aio/io_submit/short",
      "programs.sum")
UNDER(epoll_late, "programs.eventfd_epoll", "late events", "aio/event/late",
      "programs.eventfd_epoll")
UNDER(epoll_reorder, "programs.eventfd_epoll", "overtaking events",
      "aio/event/reorder", "programs.eventfd_epoll")
UNDER(queue_short, "programs.queue_bounded", "short lists",
      "aio/io_submit/short", "programs.queue.bounded")
UNDER(queue_reorder, "programs.queue_bounded", "overtaking events",
      "aio/event/reorder", "programs.queue.bounded")
UNDER(error_reorder, "programs.queue_error_first", "overtaking events",
      "aio/event/reorder", "programs.queue.error_first")
UNDER(ring_late, "programs.queue_ring_peek", "late events", "aio/event/late",
      "programs.queue.ring_peek")
UNDER(ring_reorder, "programs.queue_ring_peek", "overtaking events",
      "aio/event/reorder", "programs.queue.ring_peek")
