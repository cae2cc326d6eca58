/* The second signal: what it found in flight. */
#pragma once
#include "judge/say.h"

/* What was owed when the second signal came, and what became of it. */
struct held {
	uint32_t owed, completed, lost;
	nsec_t went_on;         /* the last whole answer came so long after the second signal */
	const struct conn_fact *first_lost;
};
struct held held_at_second(const struct facts *f, const struct round_fact *r);
/* Does the scenario mean to send a second signal, and is it SIGINT (interrupt) or not? */
bool second_planned(const struct scenario *sc, bool interrupt);

/* "second signal (SIGTERM)" */
const char *second_label(const struct facts *f, const struct round_fact *r);
void second_cite(const struct facts *f, const struct round_fact *r, struct finding *ret, const struct conn_fact *c);
/* It outlived its grace: is that check id's to say? */
void second_hangs(struct sum *t, const struct round_fact *r, const char *id, enum level level);
/* Policy force: the process ends promptly because of the second signal, not because the drain was done. */
void second_forces(struct sum *t, const struct round_fact *r, const struct held *h, enum level level);
