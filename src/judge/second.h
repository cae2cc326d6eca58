/* The second signal: what it found in flight. */
#pragma once
#include "judge/facts_read.h"

/* What was owed when the second signal came, and what became of it. */
struct held {
	uint32_t owed, completed, lost;
	nsec_t went_on;         /* the last whole answer came so long after the second signal */
	const struct conn_fact *first_lost;
};
struct held held_at_second(const struct facts *f, const struct round_fact *r);
/* Does the scenario mean to send a second signal, and is it SIGINT (interrupt) or not? */
bool second_planned(const struct scenario *sc, bool interrupt);
