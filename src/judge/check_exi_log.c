/* EXI-4: what the log owes. */
#include "judge/exit_set.h"
#include "judge/logged.h"
#include "judge/say.h"

static bool log_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f) && (sc->expect.log || logs_nonces(f));
}

static void one_log(struct sum *t, const struct round_fact *r, const struct conn_fact **hole)
{
	const struct facts *f = t->f;
	struct logged l = { 0 };

	count_logged(f, r, &l);
	if (!l.before && !l.before_missing)
		return;
	if (r->kill || !r->exit) {
		sum_killed(t, r);
	} else if (charged_to_default(f, r)) {
		sum_see(t, "SIG-1");
	} else if (crash_of(f, r)) {
		sum_see(t, "EXI-3");
	} else if (was_forced(f, r) && l.missing) {
		t->contract++;
	} else if (log_unread(f, r) && !was_forced(f, r)) {
		sum_see(t, "EXI-3");
	} else if (!l.missing) {
		t->good++;
	} else if (l.hole) {
		*hole = l.hole;
	} else if (l.before_missing && l.before) {
		sum_unsure(t, l.proof,
			"its log names some requests and not others even before the signal: it does "
			"not log every request");
	} else if (log_full(f, r)) {
		sum_unsure(t, log_full(f, r), "%s: what is missing may be its fault", fact_text(f, log_full(f, r)));
	} else if (sum_bad(t, MUST, "application",
			   "%u answered request%s missing from the log at the exit, although "
			   "it named the ones before %s; first: %s",
			   l.missing, l.missing > 1 ? "s are" : " is", first_signal(f, r),
			   client_name(f, l.first))) {
		cite(t->ret, l.proof);
		cite(t->ret, r->sig);
		cite(t->ret, l.request);
		cite(t->ret, l.answer);
		cite(t->ret, r->exit);
	}
}

/* The line that the scenario asks for: whatever its reason, it is not there. */
static void no_line(struct sum *t, const struct round_fact *r, const char *pattern)
{
	const struct facts *f = t->f;
	struct ending e = ending_of(f, r);

	if (!sum_bad(t, MUST, "application", "%s, %s after %s, and no line of its output matches '%s'%s", ending_text(f, &e),
		     after_signal(f, r, r->exit), first_signal(f, r), pattern, log_last_words(f, r)))
		return;
	cite(t->ret, r->sig);
	cite(t->ret, r->exit);
	t->ret->hint = "wait for what writes that line before the exit; if it was waited for, its last line says what it did "
		       "instead, or the line was not flushed";
}

static void judge_exi_4(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	const struct conn_fact *hole = NULL;
	bool names = logs_nonces(f);
	uint32_t line = 0;
	struct sum t;

	(void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = names || !sc->expect.log ? "every answered request that the log would name is in it when the process is gone" : "";
	if (sc->expect.log)
		ret->expected = arena_printf(f->arena, "%s%sa line of its output matches '%s'", ret->expected, names ? ", and " : "",
					     sc->expect.log);
	for_each_round(f, r) {
		one_log(&t, r, &hole);
		if (!sc->expect.log)
			continue;
		if (log_line_matches(f, r, sc->expect.log, &line)) {
			t.good++;
		} else if (r->kill || !r->exit) {
			sum_killed(&t, r);
		} else if (log_full(f, r)) {
			sum_unsure(&t, log_full(f, r), "%s: the line may be lost by it", fact_text(f, log_full(f, r)));
		} else {
			no_line(&t, r, sc->expect.log);
		}
	}
	sum_end(&t, "logs were complete");
	if (ret->outcome == SKIP && hole && !t.elsewhere)
		found(f, ret, SKIP, "its log leaves out single requests: one between two of the same connection that it names (%s); so what "
		      "is missing at the exit proves nothing", client_name(f, hole));
	if (ret->outcome == PASS && line && !names)
		found(f, ret, PASS, "it said '%.120s'", fact_text(f, line));
}

const struct check check_exi_4 = {
	.id = "EXI-4", .alone = true, .title = "the log is complete", .level = MUST,
	.applies = log_applies, .judge = judge_exi_4,
	.todo = "flush and close the log as the last step before the exit, and never leave by _exit() or SIGKILL",
	.why = "The last lines are the ones that people look for after an incident. stdout to a pipe is fully buffered"
	       " in C and Python, and os.Exit, _exit and process.exit skip the flush.",
	.proof = "Each request carries a nonce in its User-Agent. If the log named the requests before the signal, it "
		 "must name every answered one when the process is gone. With expect.log a line of its output matches, which shows that "
		 "what writes it was waited for.",
	.modes = "SD-EXIT-CODE, SD-START-DEATH",
	.fix_go = "Flush the logger (zap: Sync) as the last deferred call; os.Exit runs no deferred calls.",
	.fix_node = "On Linux writes to pipes are asynchronous, and process.exit() does not wait: set process.exitCode"
		    " and let the loop run empty, or exit in the last write's callback.",
	.fix_python = "logging.shutdown(), PYTHONUNBUFFERED=1; os._exit flushes nothing.",
	.fix_c = "setvbuf(stdout, NULL, _IOLBF, 0), and exit() instead of _exit().",
	.fix_nginx = "access_log with buffer= is flushed on QUIT, not on KILL.",
};
