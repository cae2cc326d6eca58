/* SIG-2: signals during start-up. */
#include "judge/blame.h"
#include "judge/say.h"
#include "judge/shows.h"

static bool sweep_applies(const struct scenario *sc, const struct facts *f)
{
	return sc->sweep && f->any_signal;
}

/* Does it serve in spite of the signal: did it answer a question at the end, or come to listen after
 * the signal? */
static uint32_t serves(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_READINESS, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) > 0 &&
			fact_t(f, n) > signal_end(f, r))
			return n;
	return r->ready ? r->ready : r->listening;
}

static uint32_t left_in(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_LEFT_PROCESS, n)
		if (fact_event(f, n)->round == r->id)
			return n;
	for_each_event(f, EV_REBIND, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) != 0)
			return n;
	return 0;
}

static const char *delay_text(const struct facts *f, const struct round_fact *r)
{
	return time_text(f, nsec_sub(signal_begin(f, r), fact_t(f, r->launch)));
}

/* Alive, and nobody saw it serve. A start that takes longer than it was given may be on its way still. */
static void no_end(struct sum *t, const struct round_fact *r)
{
	const struct facts *f = t->f;
	nsec_t given = nsec_sub(fact_t(f, r->kill), signal_end(f, r)), start = usual_start(f);

	if (!r->kill || given < grace_of(f) || given <= start || starved(f, r))
		sum_unsure(t, r->sig, "%s %s after exec: alive at the end, but nobody saw it serve", first_signal(f, r), delay_text(f, r));
	else if (sum_bad(t, MUST, "application", "%s %s after exec: %s later it had neither ended nor answered anybody (a start takes "
			 "%s); suspect: %s", first_signal(f, r), delay_text(f, r), time_text(f, given), time_text(f, start),
			 suspect_of(f, r))) {
		cite(t->ret, r->launch);
		cite(t->ret, r->sig);
		cite(t->ret, r->autopsy);
		cite(t->ret, r->kill);
		t->ret->hint = "the suspect is what it waits for: what the handler stops may not be running yet";
	}
}

static void one_start(struct sum *t, const struct round_fact *r)
{
	const struct facts *f = t->f;
	struct ending e = ending_of(f, r);
	uint32_t left = left_in(f, r), serving = serves(f, r);

	if (r->kill || e.kind == ENDED_NOT) {
		if (!r->kill || !serving) {
			no_end(t, r);
		} else if (sum_bad(t, MUST, "application",
				   "%s %s after exec was lost: the process came up and was alive and serving %s later",
				   first_signal(f, r), delay_text(f, r),
				   time_text(f, nsec_sub(fact_t(f, r->kill), signal_end(f, r))))) {
			cite(t->ret, r->launch);
			cite(t->ret, r->sig);
			cite(t->ret, serving);
			cite(t->ret, r->kill);
			t->ret->hint = "install the handler first, and look at its flag once more "
				       "after listen()";
		}
	} else if (left) {
		if (sum_bad(t, MUST, "application", "%s %s after exec: %s, but it left %s behind",
			    first_signal(f, r), delay_text(f, r), ending_text(f, &e),
			    fact_event(f, left)->kind == EV_REBIND ? "the port" : fact_text(f, left))) {
			cite(t->ret, r->sig);
			cite(t->ret, e.event);
			cite(t->ret, left);
		}
	} else {
		t->good++;
	}
}

static void judge_sig_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = "a signal at any moment of the start-up ends it, and nothing is left behind";
	for (uint32_t i = 0; i < f->n_rounds; i++)
		if (f->rounds[i].sig && f->rounds[i].launch)
			one_start(&t, &f->rounds[i]);
	sum_end(&t, arena_printf(arena, "signals between exec and the first answer, %s apart at most, ended it and left nothing", time_text(f, sweep_gap(f))));
}

const struct check check_sig_2 = {
	.id = "SIG-2", .title = "a signal during start-up is not lost", .level = MUST,
	.shows = shows_sweep, .applies = sweep_applies, .judge = judge_sig_2,
	.todo = "install the handler first thing in main, and look at its flag once more before serving",
	.why = "Rollouts and crash loops signal processes that are still starting. Death by default action is fine then; what is not: a "
	       "process that swallowed the signal, comes up, serves, and is never asked again.",
	.proof = "The same signal at steps from exec to the first answer, one launch each; PASS says how far apart they were. A failure is a process that was still alive at "
		 "the end of its grace, whether it serves or not, or that left a process or its port behind.",
	.modes = "SD-START-LOST, SD-START-DEATH, SD-START-READY-LIE",
	.fix_go = "signal.Notify before anything else, then `select` on the channel once more before Serve.",
	.fix_node = "Register handlers at the top of the entry file, before slow requires; let them "
		    "set a flag that listen()'s callback reads.",
	.fix_python = "Handlers before heavy imports; uvicorn 0.41.0 and later run the lifespan's shutdown also when stopped while starting.",
	.fix_c = "Block the signal in main, open a signalfd, and only then fork, bind and listen: what "
		 "is pending is not lost.",
	.fix_nginx = "Nothing to do.",
};
