/* Saying what was found: sentences with numbers, and the events that prove them. */
#pragma once
#include "judge/blame.h"
#include "judge/checks.h"
#include "judge/outcome.h"

/* "client slow#3", in the arena. */
const char *client_name(const struct facts *f, const struct conn_fact *c);
/* "SIGTERM" of the first signal of the round. */
const char *first_signal(const struct facts *f, const struct round_fact *r);
/* "1.2ms" in the arena; "-" before a negative time. */
const char *time_text(const struct facts *f, nsec_t t);
/* From the first signal of the round to the event, from event to event. */
const char *after_signal(const struct facts *f, const struct round_fact *r, uint32_t event);
const char *between(const struct facts *f, uint32_t from, uint32_t to);
/* What the autopsy of a process that outlived its grace names first. */
const char *suspect_of(const struct facts *f, const struct round_fact *r);
/* How a request that was read came to nothing: "client slow#0: request ACKed 12ms before SIGTERM, then
 * FIN after 0 of 64 bytes of body, 1.2ms after the signal (frame 19)". */
const char *loss_text(const struct facts *f, const struct conn_fact *c);
/* When the server ended it: the wire's time if the wire saw it. */
nsec_t end_time(const struct facts *f, const struct conn_fact *c);

void cite(struct finding *ret, uint32_t event);
void cite_conn(const struct facts *f, struct finding *ret, const struct conn_fact *c);
/* Set outcome and actual. FAIL: whose is filled with "server" if it is not set yet. */
void found(const struct facts *f, struct finding *ret, enum outcome outcome, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define PHASES(phase) (1u << PHASE_##phase)

/* Rounds that were signalled and are judged. */
#define for_each_round(f, r)                                                                           \
	for (const struct round_fact *r = (f)->rounds; r < (f)->rounds + (f)->n_rounds; r++)           \
		if (!round_judged(f, r)) {                                                             \
		} else
/* Connections of the scenario's clients in such rounds. */
#define for_each_judged(f, c)                                                                          \
	for (const struct conn_fact *c = (f)->conns; c < (f)->conns + (f)->n_conns; c++)               \
		if (!c->opened || c->spec == NO_SPEC || !round_judged(f, round_of(f, c))) {            \
		} else

bool any_round(const struct facts *f);
/* Does the scenario have clients in one of these phases (bits PHASES(...))? */
bool has_phase(const struct scenario *sc, unsigned phases);
static inline bool in_phase(const struct conn_fact *c, unsigned phases)
{
	return c->phase < PHASE_N && phases >> c->phase & 1;
}

/* Many connections, one verdict: the first of the worst kind is told, the rest is counted. */
struct sum {
	const struct facts *f;
	struct finding *ret;
	uint32_t good, bad, unsure, contract, elsewhere, unseen;
	const char *unit;               /* of what it counts: "rounds"; NULL: good ones and bad ones are not of one kind */
	uint64_t see;                   /* who answers for elsewhere: finding.see */
	const char *unsure_text, *unseen_text;
	bool must;
};

void sum_begin(struct sum *t, const struct facts *f, struct finding *ret);      /* of connections */
void sum_begin_of(struct sum *t, const struct facts *f, struct finding *ret, const char *unit);
/* A violation; true if it is the one that will be told (cite it then). */
bool sum_bad(struct sum *t, enum level level, const char *whose, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* What cannot be said; true if it is the one that will be told, unless something bad comes (hint and cite more then). */
bool sum_unsure(struct sum *t, uint32_t event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Another check answers for it. It must FAIL in this scenario, or this verdict becomes UNSURE (yield.c). */
void sum_see(struct sum *t, const char *id);
/* The harness had to end the process, so nothing of its own end can be seen: the check that answers for that, or why
 * it cannot be said. */
void sum_killed(struct sum *t, const struct round_fact *r);
/* "CON-1, CON-2" of finding.see. */
const char *see_text(struct arena *arena, uint64_t see);
/* what: plural, "requests in flight completed". */
void sum_end(struct sum *t, const char *what);

