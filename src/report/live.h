/* The status line on stderr while scenarios run. */
#pragma once
#include "report/report.h"

struct live {
	bool on, drawn;
	size_t planned, counted;        /* results already in the counts */
	size_t failed, other;           /* other: BROKEN, UNSURE */
	nsec_t next;
};

void live_init(struct live *live, bool on, size_t planned);
void live_draw(struct live *live, const struct result *all, size_t n, bool strict, const char *running);
void live_wipe(struct live *live);
