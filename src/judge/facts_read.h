/* Reading facts: times, values, rounds, processes. */
#pragma once
#include "judge/facts.h"

/* Saturating, because a log can hold any number. */
static inline nsec_t nsec_sub(nsec_t a, nsec_t b)
{
	nsec_t d;

	return __builtin_sub_overflow(a, b, &d) ? (b > 0 ? INT64_MIN : INT64_MAX) : d;
}

static inline nsec_t nsec_add(nsec_t a, nsec_t b)
{
	nsec_t s;

	return __builtin_add_overflow(a, b, &s) ? (b > 0 ? INT64_MAX : INT64_MIN) : s;
}

static inline const struct event *fact_event(const struct facts *f, uint32_t number)
{
	return &f->ev->v[number - 1];
}

/* When it happened; NSEC_NEVER for what was not seen. */
static inline nsec_t fact_t(const struct facts *f, uint32_t number)
{
	return number ? f->ev->v[number - 1].t : NSEC_NEVER;
}

static inline int64_t fact_a(const struct facts *f, uint32_t number)
{
	return number ? f->ev->v[number - 1].a : 0;
}

static inline int64_t fact_b(const struct facts *f, uint32_t number)
{
	return number ? f->ev->v[number - 1].b : 0;
}

static inline const char *fact_text(const struct facts *f, uint32_t number)
{
	return number && f->ev->v[number - 1].text ? f->ev->v[number - 1].text : "";
}

/* Did number happen before time t? False for what was not seen. */
static inline bool fact_before(const struct facts *f, uint32_t number, nsec_t t)
{
	return number && f->ev->v[number - 1].t < t;
}

#define for_each_event(f, kind, n) for (uint32_t n = (f)->first[kind]; n; n = (f)->next[n])
#define for_each_conn(f, c)                                                                            \
	for (const struct conn_fact *c = (f)->conns; c < (f)->conns + (f)->n_conns; c++)               \
		if (!c->opened) {                                                                      \
		} else

/* The event of this kind of a connection's request or answer number `number` (from 0); 0 if there is none. */
uint32_t conn_numbered(const struct facts *f, enum event_kind kind, const struct conn_fact *c, uint32_t number);

static inline const struct round_fact *round_of(const struct facts *f, const struct conn_fact *c)
{
	return &f->rounds[c->round];
}

/* The round in which event number n was recorded; NULL if it has none. */
const struct round_fact *round_at(const struct facts *f, uint32_t n);
/* Rounds that most checks look at: a signal was sent, and SIG-5 did not claim the round. */
bool round_judged(const struct facts *f, const struct round_fact *r);
/* What a start takes to its first answer, at most, in a round without a signal (a sweep's first ones); NSEC_NEVER if there is none. */
nsec_t usual_start(const struct facts *f);
/* Of a sweep: the widest gap between two delays from exec to the signal. What is lost in less time than that may have fallen into it. */
nsec_t sweep_gap(const struct facts *f);
/* The moment of the first signal: an interval. NSEC_NEVER if none was sent. */
nsec_t signal_begin(const struct facts *f, const struct round_fact *r);
nsec_t signal_end(const struct facts *f, const struct round_fact *r);

/* A number of a PROCESS event's JSON: masks are hexadecimal text, true is 1. false: none, or null. */
bool process_field(const struct facts *f, uint32_t number, const char *key, uint64_t *ret);
/* N of 'inode N' in an event's text (PEER_STATE), 0 if there is none. */
uint64_t event_inode(const struct facts *f, uint32_t number);
/* The string value of a key, copied and cut to n; false if not there. */
bool process_string(const struct facts *f, uint32_t number, const char *key, char *ret, size_t n);
