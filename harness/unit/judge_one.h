/* One client, parked in a phase when the signal comes. */
#pragma once
#include "judge_rig.h"

static inline int32_t one(enum phase phase, const char *line)
{
	unsigned spec = client("one", phase);

	starts();
	int32_t c = parked(spec, line);

	signalled();
	return c;
}
