// SPDX-License-Identifier: GPL-2.0-or-later
/* The list as tables. */
#include "points.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#define NOTHING	   0
#define SETUP	   (1u << CALL_SETUP)
#define DESTROY	   (1u << CALL_DESTROY)
#define SUBMIT	   (1u << CALL_SUBMIT)
#define CANCEL	   (1u << CALL_CANCEL)
#define GETEVENTS  (1u << CALL_GETEVENTS)
#define USIG	   (1u << CALL_PGETEVENTS_USIG)
#define PGETEVENTS (1u << CALL_PGETEVENTS | USIG)
#define ANY	   ((1u << CALL_COUNT) - 1)
#define LEGAL	   true
#define ERROR	   false

#define GIVES(...)
#define GIVES_ALONE(...)
#define POINT(name_, mechanism_, calls_, meets_, act_, info_, needs_, what_) \
	{ .name = name_,                                                     \
	  .mechanism = mechanism_,                                           \
	  .needs = needs_,                                                   \
	  .what = what_,                                                     \
	  .calls = calls_,                                                   \
	  .meets = meets_,                                                   \
	  .act = act_,                                                       \
	  .info = info_ },
#define IS(name_, mechanism_, needs_, what_) \
	{ .name = name_,                     \
	  .mechanism = mechanism_,           \
	  .needs = needs_,                   \
	  .what = what_ },
const struct fault_point fault_points[] = {
#include "points.def"
};
#undef GIVES
#undef GIVES_ALONE
#undef POINT
#undef IS
const unsigned int fault_point_count =
	sizeof(fault_points) / sizeof(fault_points[0]);

#define POINT(...)
#define IS(...)
#define GIVEN(point_, info_, text_, legal_, clause_, proof_, why_) \
	{ .point = point_,                                         \
	  .info = info_,                                           \
	  .legal = legal_,                                         \
	  .clause = clause_,                                       \
	  .proof = proof_,                                         \
	  .why = why_,                                             \
	  .text = text_ },
#define GIVES(point, info, legal, clause, proof) \
	GIVEN(point, info, #info, legal, clause, proof, "")
#define GIVES_ALONE(point, info, legal, clause, why) \
	GIVEN(point, info, #info, legal, clause, "", why)
const struct fault_gives fault_gives[] = {
#include "points.def"
};
const unsigned int fault_gives_count =
	sizeof(fault_gives) / sizeof(fault_gives[0]);

const struct fault_point *fault_point_find(const char *name)
{
	unsigned int i;

	for (i = 0; i < fault_point_count; i++)
		if (!strcmp(fault_points[i].name, name))
			return &fault_points[i];
	return NULL;
}
