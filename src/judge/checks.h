/* The descriptors of checks.def. */
#pragma once
#include "judge/judge.h"

#define X(name) extern const struct check check_##name;
#include "judge/checks.def"
#undef X

/* Bits of finding.see. */
enum {
#define X(name) CHECK_##name,
#include "judge/checks.def"
#undef X
	CHECK_N
};
_Static_assert(CHECK_N <= 64, "finding.see has a bit for each check");
