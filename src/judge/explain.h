/* `drainspec explain ID`: why a check matters, how it is proven, what it catches, how to repair it. */
#pragma once
#include "judge/judge.h"

void explain_print(const struct check *check, struct buf *out);
