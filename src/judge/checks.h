/* The descriptors of checks.def. */
#pragma once
#include "judge/judge.h"

#define X(name) extern const struct check check_##name;
#include "judge/checks.def"
#undef X
