/* A client in flight, and the end of the process: for the tests of the exit and of what it leaves. */
#pragma once
#include "judge_rig.h"

static inline int32_t waiting(void)
{
	unsigned slow = client("slow", PHASE_WAITING);

	starts();
	int32_t c = parked(slow, "GET /gate");

	add(MS(3), EV_GATE_REACHED, c, 0, 0, "x GET /gate");
	signalled();
	closes_listener(MS(5) + 200);
	return c;
}

static inline void answered(int32_t c, int us)
{
	answers(us, c, 0, 200, 64, "close");
	fin(us + 50, c, 1, 0);
}

static inline void over(int us)
{
	ends(us);
	judge();
}
