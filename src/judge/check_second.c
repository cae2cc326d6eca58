/* SIG-3, SIG-4: the second signal. */
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/say.h"
#include "judge/second.h"
#include "judge/shows.h"

#define PROMPT (2 * NSEC_PER_SEC)
#define WENT_ON (100 * NSEC_PER_MSEC)   /* who still answers then was not ended by the signal */

static bool second_applies(const struct scenario *sc, const struct facts *f, bool interrupt)
{
	if (sc->sweep)
		return false;
	for_each_round(f, r) {
		if (r->sig2)
			return (fact_a(f, r->sig2) == SIGINT) == interrupt;
	}
	return any_round(f) && second_planned(sc, interrupt);
}

static bool term_applies(const struct scenario *sc, const struct facts *f)
{
	return second_applies(sc, f, false);
}

static bool int_applies(const struct scenario *sc, const struct facts *f)
{
	return second_applies(sc, f, true);
}

static const char *second_name_of(const struct facts *f, const struct round_fact *r)
{
	return arena_printf(f->arena, "second signal (%s)", signal_name((int)fact_a(f, r->sig2)));
}

static void cite_second(const struct facts *f, const struct round_fact *r, struct finding *ret,
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

static void hangs(struct sum *t, const struct round_fact *r, const char *id, enum level level)
{
	const struct facts *f = t->f;
	const struct hung *h = hang_of(f, r);

	if (h->kind == HANG_BORDER || !h->charged)
		sum_unsure(t, r->exit ? r->exit : r->kill, "%s",
			h->why ? h->why : "it ended just at its limit");
	else if (strcmp(h->charged, id))
		sum_see(t, h->charged);
	else if (sum_bad(t, level, "server", "%s after the %s it was still there; suspect: %s",
			 between(f, r->sig2, r->kill ? r->kill : r->exit), second_name_of(f, r),
			 suspect_of(f, r)))
		cite_second(f, r, t->ret, NULL);
}

static bool released_after(const struct facts *f, const struct round_fact *r)
{
	return r->released && fact_t(f, r->released) > fact_t(f, r->sig2);
}

/* Policy force: the process ends promptly because of the second signal, not because the drain was done.
 */
static void judge_force(struct sum *t, const struct round_fact *r, const struct held *h, enum level level)
{
	const struct facts *f = t->f;
	nsec_t took = nsec_sub(fact_t(f, r->exit), fact_t(f, r->sig2));
	nsec_t prompt = grace_of(f) < PROMPT ? grace_of(f) : PROMPT;
	struct ending e = ending_of(f, r);
	const char *text = NULL;

	if (!h->owed)
		return; /* the first signal had cut what was in flight: nothing to force */
	if (h->went_on && (h->went_on > WENT_ON || released_after(f, r)))
		text = arena_printf(f->arena,
			"the %s did not end the drain: it went on for %s and answered what was in "
			"flight",
			second_name_of(f, r), time_text(f, h->went_on));
	else if (took > prompt)
		text = arena_printf(f->arena, "%s only %s after the %s; a forced exit is prompt (%s)",
			ending_text(f, &e), time_text(f, took), second_name_of(f, r),
			time_text(f, prompt));
	else if (!h->lost && h->completed == h->owed)
		sum_unsure(t, r->exit,
			"every request in flight was answered before the exit: the drain may have "
			"ended by itself");
	else
		t->good++;
	if (text && sum_bad(t, level, "server", "%s", text))
		cite_second(f, r, t->ret, NULL);
}

/* Policy idempotent: the second changes nothing. */
static void judge_idempotent(struct sum *t, const struct round_fact *r, const struct held *h)
{
	const struct facts *f = t->f;

	if (!h->lost)
		t->good++;
	else if (sum_bad(t, MUST, "server",
			 "%u of %u requests in flight were lost after the %s, which the policy says "
			 "changes nothing: %s",
			 h->lost, h->owed, second_name_of(f, r), loss_text(f, h->first_lost)))
		cite_second(f, r, t->ret, h->first_lost);
}

/* The first signal had ended it already: a fast stop is an answer too. */
static void nobody_left(const struct facts *f, const struct sum *t, struct finding *ret)
{
	if (ret->outcome == SKIP && !t->elsewhere)
		found(f, ret, SKIP,
			"nothing was in flight any more when the second signal was due: the first had "
			"ended it");
}

static void judge_sig_3(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	static const char *const expected[] = {
		[SECOND_ANY] = "the second signal either forces a prompt exit or changes nothing; it "
			       "never wedges the drain",
		[SECOND_FORCE] = "the second signal ends the process promptly (policy force)",
		[SECOND_IDEMPOTENT] = "the second signal changes nothing: what is in flight is "
				      "answered (policy idempotent)",
	};
	enum second_policy policy = second_policy(f);
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = expected[policy <= SECOND_IDEMPOTENT ? policy : SECOND_ANY];
	for_each_round(f, r) {
		struct held h;

		if (!r->sig2)
			continue;
		h = held_at_second(f, r);
		if (hang_of(f, r)->kind != HANG_NONE)
			hangs(&t, r, "SIG-3", MUST);
		else if (!r->exit)
			sum_unsure(&t, r->sig2, "no end of the process was seen");
		else if (policy == SECOND_FORCE)
			judge_force(&t, r, &h, MUST);
		else if (policy == SECOND_IDEMPOTENT)
			judge_idempotent(&t, r, &h);
		else
			t.good++;
	}
	sum_end(&t, "rounds with a second signal ended as the policy says");
	nobody_left(f, &t, ret);
}

static void judge_sig_4(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	enum level level = second_policy(f) == SECOND_FORCE ? MUST : SHOULD;
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->level = level;
	ret->expected = "a second SIGINT ends a drain that is being held open";
	if (second_policy(f) == SECOND_IDEMPOTENT) {
		found(f, ret, SKIP, "policy idempotent: the second signal is declared to change nothing");
		return;
	}
	for_each_round(f, r) {
		struct held h;

		if (!r->sig2)
			continue;
		h = held_at_second(f, r);
		bool freed = fact_before(f, r->released, fact_t(f, r->kill));

		/* a hang with nothing left to wait for is no patience: that is never right */
		if (hang_of(f, r)->kind != HANG_NONE)
			hangs(&t, r, "SIG-4", freed || !h.owed ? MUST : level);
		else if (!r->exit)
			sum_unsure(&t, r->sig2, "no end of the process was seen");
		else
			judge_force(&t, r, &h, level);
	}
	sum_end(&t, "drains that were held open ended by the second SIGINT");
	nobody_left(f, &t, ret);
}

const struct check check_sig_3 = {
	.id = "SIG-3", .title = "the second signal does as the policy says", .level = MUST,
	.shows = shows_second, .applies = term_applies, .judge = judge_sig_3,
	.why = "Orchestrators and people signal twice. Kubernetes' own API server exits with 1 on the second signal; others "
	       "ignore it. Both are contracts; a drain that hangs because of it, or loses work though it promised not to, is none.",
	.proof = "A request is held in flight (by the gate where there is one), both signals carry the "
		 "time of their call, and the exit is watched by pidfd: prompt means within 2 s of the "
		 "second. Under `any` either way is right, if the process ends.",
	.modes = "SD-FORCE-2ND-KILLS, SD-SIG-GROUP-DOUBLE, SD-SIG-UNSAFE-HANDLER",
	.fix_go = "stop() of signal.NotifyContext after the first restores the default: the second "
		  "then kills. To force: a second receive on the channel and os.Exit(1).",
	.fix_node = "process.once('SIGTERM', drain); process.on('SIGTERM', () => process.exit(1)) "
		    "registered inside drain forces.",
	.fix_python = "Keep a counter in the handler; do not start the drain a second time (a second "
		      "shutdown() waits for the first for ever).",
	.fix_c = "The handler only counts; the loop decides: 1 drain, 2 _exit(1). No locks, no stdio "
		 "in the handler (signal-safety(7)).",
	.fix_nginx = "QUIT then TERM forces; QUIT then QUIT changes nothing. Declare second: "
		     "accordingly.",
};

const struct check check_sig_4 = {
	.id = "SIG-4", .title = "a second Ctrl-C forces the exit", .level = MUST,
	.shows = shows_second_int, .applies = int_applies, .judge = judge_sig_4,
	.why = "At a terminal the second Ctrl-C means `now`. A server that ignores it leaves only "
	       "SIGKILL, and with it everything that SIGKILL leaves behind.",
	.proof = "A request is held in flight, so the drain cannot end by itself; the second SIGINT "
		 "must end the process within 2 s. MUST when the policy is force, else SHOULD.",
	.modes = "SD-FORCE-NONE, SD-STREAM-NEVER",
	.fix_go = "go func() { <-sigs; <-sigs; os.Exit(1) }(), as SetupSignalHandler of the Kubernetes "
		  "API server does.",
	.fix_node = "Count SIGINT: the second calls server.closeAllConnections() and "
		    "process.exit(130).",
	.fix_python = "asyncio: the second SIGINT cancels all tasks; uvicorn: a second INT (force_exit).",
	.fix_c = "On the second SIGINT: _exit(1) from the loop, or signal(SIGINT, SIG_DFL) after the "
		 "first.",
	.fix_nginx = "INT is already the fast shutdown.",
};
