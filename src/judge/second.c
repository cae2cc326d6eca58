#include "judge/second.h"

#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/say.h"

#define PROMPT (2 * NSEC_PER_SEC)
#define WENT_ON (100 * NSEC_PER_MSEC)   /* who still answers then was not ended by the signal */

/* The answer that was owed. Of a pipeline that is the first: what crossed the close behind it may be sent again. */
static uint32_t owed_answer(const struct facts *f, const struct conn_fact *c)
{
	if (c->phase == PHASE_PIPELINED && (c->outcome == CONN_COMPLETED || c->outcome == CONN_IDLE_RACE))
		return conn_numbered(f, EV_ANSWER, c, 0);
	return c->outcome == CONN_COMPLETED ? c->answer : 0;
}

/* It has no answer, and nothing was lost by that. */
static bool nothing_lost(const struct facts *f, const struct conn_fact *c)
{
	return c->outcome == CONN_HUNG || c->outcome == CONN_RETRY_SAFE ||
	       (c->phase == PHASE_SLOW_READER && !conn_means_to_read(f, c));
}

struct held held_at_second(const struct facts *f, const struct round_fact *r)
{
	struct held h = { 0 };
	nsec_t second = fact_t(f, r->sig2);

	for_each_judged(f, c) {
		if (round_of(f, c) != r || !conn_in_flight(f, c))
			continue;
		uint32_t answer = owed_answer(f, c);
		bool completed = answer || c->outcome == CONN_COMPLETED;
		nsec_t over = completed ? fact_t(f, answer) : end_time(f, c);

		if (over < second)
			continue;
		h.owed++;
		if (completed && !(c->fail5xx && answer == c->fail5xx)) {
			h.completed++;
			if (nsec_sub(over, second) > h.went_on)
				h.went_on = nsec_sub(over, second);
		} else if (completed || !nothing_lost(f, c)) {
			h.lost++;
			h.first_lost = h.first_lost ? h.first_lost : c;
		}
	}
	return h;
}

bool second_planned(const struct scenario *sc, bool interrupt)
{
	uint32_t n = 0;

	for (size_t i = 0; i < sc->n_signals; i++) {
		n += sc->signals[i].count ? sc->signals[i].count : 1;
		if (n >= 2)
			return (sc->signals[i].signo == SIGINT) == interrupt;
	}
	return false;
}

const char *second_label(const struct facts *f, const struct round_fact *r)
{
	int signo = (int)fact_a(f, r->sig2);

	return arena_printf(f->arena, "second signal (%s%s)", signal_name(signo),
		root_ignored(f, r, signo) ? ", which it ignores: SigIgn" : "");
}

void second_cite(const struct facts *f, const struct round_fact *r, struct finding *ret,
	const struct conn_fact *c)
{
	const struct hung *h = hang_of(f, r);

	cite(ret, r->sig);
	cite(ret, r->sig2);
	cite(ret, r->released);
	if (c)
		cite_conn(f, ret, c);
	cite(ret, r->exit);
	cite(ret, r->kill);
	cite(ret, r->autopsy);
	for (unsigned i = 0; i < h->n_cites; i++)
		cite(ret, h->cites[i]);
}

/* What the same drain without the second signal came to. */
static const char *alone_text(const struct facts *f, const struct hung *h)
{
	const struct round_fact *c = h->alone;
	struct ending e;

	if (!c || hang_of(f, c)->kind != HANG_NONE)
		return "";
	e = ending_of(f, c);
	return arena_printf(f->arena, "; with the first signal alone: %s after %s", ending_text(f, &e),
		after_signal(f, c, c->exit));
}

void second_hangs(struct sum *t, const struct round_fact *r, const char *id, enum level level)
{
	const struct facts *f = t->f;
	const struct hung *h = hang_of(f, r);

	if (h->excused)
		sum_killed(t, r);
	else if (h->kind == HANG_BORDER || !h->charged)
		sum_unsure(t, r->exit ? r->exit : r->kill, "%s",
			h->why ? h->why : "it ended just at its limit");
	else if (strcmp(h->charged, id))
		sum_see(t, h->charged);
	else if (sum_bad(t, level, "server", "%s after the %s it was still there%s; suspect: %s",
			 between(f, r->sig2, r->kill ? r->kill : r->exit), second_label(f, r),
			 alone_text(f, h), suspect_of(f, r))) {
		second_cite(f, r, t->ret, NULL);
		cite(t->ret, h->alone ? h->alone->exit : 0);
	}
}

static bool released_after(const struct facts *f, const struct round_fact *r)
{
	return r->released && fact_t(f, r->released) > fact_t(f, r->sig2);
}

void second_forces(struct sum *t, const struct round_fact *r, const struct held *h, enum level level)
{
	const struct facts *f = t->f;
	nsec_t took = nsec_sub(fact_t(f, r->exit), fact_t(f, r->sig2));
	nsec_t prompt = grace_of(f) < PROMPT ? grace_of(f) : PROMPT;
	struct ending e = ending_of(f, r);
	const char *text = NULL;

	prompt += busy_part(cpu_wait_of(f, r), prompt);
	if (!h->owed)
		return; /* the first signal had cut what was in flight: nothing to force */
	if (h->went_on && (h->went_on > WENT_ON || released_after(f, r)))
		text = arena_printf(f->arena,
			"the %s did not end the drain: it went on for %s and answered what was in "
			"flight",
			second_label(f, r), time_text(f, h->went_on));
	else if (took > prompt)
		text = arena_printf(f->arena, "%s only %s after the %s; a forced exit is prompt (%s)",
			ending_text(f, &e), time_text(f, took), second_label(f, r),
			time_text(f, prompt));
	else if (!h->lost && h->completed == h->owed)
		sum_unsure(t, r->exit,
			"every request in flight was answered before the exit: the drain may have "
			"ended by itself");
	else
		t->good++;
	if (text && sum_bad(t, level, "server", "%s", text))
		second_cite(f, r, t->ret, NULL);
}
