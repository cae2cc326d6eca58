/* What happened around the worst finding, in a dozen lines. */
#pragma once
#include "judge/facts.h"

/* Lines "> 12.3ms  signal SIGTERM -> process 1234", '>' on those that the finding cites; NULL if
 * nothing failed. */
const char *story_of(const struct facts *f, const struct result *result, struct arena *arena);
