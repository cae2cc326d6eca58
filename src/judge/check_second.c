/* SIG-3, SIG-4: the second signal. */
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/say.h"
#include "judge/second.h"
#include "judge/shows.h"

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

/* Policy idempotent: the second changes nothing. */
static void judge_idempotent(struct sum *t, const struct round_fact *r, const struct held *h)
{
	const struct facts *f = t->f;

	if (!h->lost)
		t->good++;
	else if (sum_bad(t, MUST, "server",
			 "%u of %u requests in flight were lost after the %s, which the policy says "
			 "changes nothing: %s",
			 h->lost, h->owed, second_label(f, r), loss_text(f, h->first_lost)))
		second_cite(f, r, t->ret, h->first_lost);
}

/* The first signal had ended it already: a fast stop is an answer too. */
static void nobody_left(const struct facts *f, const struct sum *t, struct finding *ret)
{
	if (ret->outcome == SKIP && !t->elsewhere && !t->unseen)
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
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = expected[policy <= SECOND_IDEMPOTENT ? policy : SECOND_ANY];
	for_each_round(f, r) {
		struct held h;

		if (!r->sig2)
			continue;
		h = held_at_second(f, r);
		if (hang_of(f, r)->kind != HANG_NONE)
			second_hangs(&t, r, "SIG-3", MUST);
		else if (!r->exit)
			sum_unsure(&t, r->sig2, "no end of the process was seen");
		else if (policy == SECOND_FORCE)
			second_forces(&t, r, &h, MUST);
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
	const struct round_fact *ignored = NULL;
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "rounds");
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

		if (root_ignored(f, r, SIGINT) && second_policy(f) == SECOND_ANY) {
			ignored = r;
			continue;
		}
		/* a hang with nothing left to wait for is no patience: that is never right */
		if (hang_of(f, r)->kind != HANG_NONE)
			second_hangs(&t, r, "SIG-4", freed || !h.owed ? MUST : level);
		else if (!r->exit)
			sum_unsure(&t, r->sig2, "no end of the process was seen");
		else
			second_forces(&t, r, &h, level);
	}
	sum_end(&t, "drains that were held open ended by the second SIGINT");
	nobody_left(f, &t, ret);
	if (ignored && ret->outcome == SKIP && !t.elsewhere)
		found(f, ret, SKIP,
			"the target ignores SIGINT (SigIgn in /proc/PID/status), as what a shell starts in the background "
			"does: nothing to judge; start it so that SIGINT reaches it");
}

const struct check check_sig_3 = {
	.id = "SIG-3", .title = "the second signal does as the policy says", .level = MUST,
	.shows = shows_second, .applies = term_applies, .judge = judge_sig_3,
	.todo = "count the signals: the first begins the drain, the second exits at once or does nothing at all",
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
	.todo = "on the second SIGINT exit at once (status 130): whoever presses Ctrl-C twice wants out",
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
