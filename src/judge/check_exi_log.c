/* EXI-3, EXI-4: last words. */
#include <regex.h>
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/say.h"

#define LOG_SCANNED (INT64_C(8) << 20)  /* the run layer reads that much of each stream */

static bool exit_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f);
}

/* Of the round's processes: the one that crashed on or after the signal, not by our hand and not by the signal that was sent. */
static uint32_t crash_of(const struct facts *f, const struct round_fact *r)
{
	for each_event(f, EV_KILLED, n) {
		const struct event *e = fact_event(f, n);
		const char *text = fact_text(f, n);

		if (e->round != r->id || e->t < signal_begin(f, r) || e->t >= fact_t(f, r->relaunch) || strstr(text, "by harness") ||
		    e->t >= fact_t(f, r->kill))
			continue;
		bool allowed = false;

		for (size_t i = 0; i < f->sc->expect.n_exits; i++)
			allowed |= f->sc->expect.exits[i].how == EXIT_SIGNAL && f->sc->expect.exits[i].value == e->b;
		if (!allowed && fatal_signal((int)(e->b & 0xFFFF)) && e->b != fact_a(f, r->sig) && !(r->sig2 && e->b == fact_a(f, r->sig2)))
			return n;
	}
	return 0;
}

/* A traceback after a second signal is what "by force" looks like in some languages; a sanitizer's report never is. */
static uint32_t bad_words(const struct facts *f, const struct round_fact *r)
{
	for each_event(f, EV_LOG_BAD, n) {
		const char *text = fact_text(f, n);
		bool report = strstr(text, "Sanitizer") || strstr(text, "runtime error: ") || strstr(text, "stack smashing") ||
			      strstr(text, "free(") || strstr(text, "malloc(") || strstr(text, "Assertion");

		if (fact_event(f, n)->round != r->id)
			continue;
		if (!report && was_forced(f, r))
			continue;
		/* we ask some runtimes for their stacks before we kill them */
		if (!report && r->kill && fact_b(f, r->kill) == SIGQUIT)
			continue;
		return n;
	}
	return 0;
}

static void judge_exi_3(const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "no crash, no core, no sanitizer report, no panic or traceback from the signal on";
	for each_round(f, r) {
		uint32_t crash = crash_of(f, r), words = bad_words(f, r);
		const char *text;

		if (!crash && !words) {
			t.good++;
			continue;
		}
		if (crash)
			text = arena_printf(f->arena, "%s %lld was killed by %s%s, %s after %s%s%s",
				strncmp(fact_text(f, crash), "root", 4) ? "process" : "the target's process", (long long)fact_a(f, crash),
				signal_name((int)(fact_b(f, crash) & 0xFFFF)), strstr(fact_text(f, crash), "core") ? " with a core dump" : "",
				time_text(f, nsec_sub(fact_t(f, crash), signal_begin(f, r))), first_signal(f, r),
				words ? "; it said: " : "", words ? fact_text(f, words) : "");
		else
			text = arena_printf(f->arena, "in its output after %s: %s", first_signal(f, r), fact_text(f, words));
		if (sum_bad(&t, MUST, "application", text)) {
			cite(ret, r->sig);
			cite(ret, crash);
			cite(ret, words);
		}
	}
	sum_end(&t, "rounds ended without a crash");
}

/* ---- EXI-4 ---- */

struct logged {
	uint32_t before, before_missing, missing;
	const struct conn_fact *first;
	uint32_t proof;
};

static bool logs_nonces(const struct facts *f)
{
	for each_event(f, EV_LOG_NONCE, n) {
		const struct round_fact *r = round_at(f, n);

		if (r && round_judged(f, r))
			return true;
	}
	return false;
}

static bool log_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f) && (sc->expect.log || logs_nonces(f));
}

/* A request line of which nothing is logged although it was answered before the signal is one that the server does not log. */
static bool line_is_logged(const struct facts *f, const struct round_fact *r, uint16_t line)
{
	bool answered = false;

	for each_conn(f, c) {
		if (round_of(f, c) != r || c->line != line || !c->answered_mask || !fact_before(f, c->answer, signal_begin(f, r)))
			continue;
		if (c->logged_mask & c->answered_mask)
			return true;
		answered = true;
	}
	return !answered;
}

static void count_logged(const struct facts *f, const struct round_fact *r, struct logged *l)
{
	bool known[256] = { false }, logs[256];

	for each_conn(f, c) {
		if (round_of(f, c) != r || !c->answered_mask || fact_t(f, c->connect) >= fact_t(f, r->relaunch))
			continue;
		bool early = fact_before(f, c->answer, signal_begin(f, r));
		uint64_t missing = c->answered_mask & ~c->logged_mask;
		uint8_t line = (uint8_t)c->line;

		if (!known[line]) {
			known[line] = true;
			logs[line] = line_is_logged(f, r, c->line);
		}
		if (!logs[line])
			continue;
		if (early && (c->logged_mask & c->answered_mask))
			l->before++;
		if (early)
			l->before_missing += missing != 0;
		if (!missing)
			continue;
		l->missing += (uint32_t)__builtin_popcountll(missing);
		if (!l->first || (early && fact_t(f, c->answer) < fact_t(f, l->first->answer)))
			l->first = c;
	}
	for each_event(f, EV_LOG_NONCE, n)
		if (!l->proof && fact_event(f, n)->round == r->id)
			l->proof = n;
}

static uint32_t log_unread(const struct facts *f, const struct round_fact *r)
{
	for each_event(f, EV_LOG_TAIL, n)
		if (fact_event(f, n)->round == r->id && fact_b(f, n) >= LOG_SCANNED)
			return n;
	for each_event(f, EV_LOG_BAD, n)        /* the scan stops there */
		if (fact_event(f, n)->round == r->id)
			return n;
	return 0;
}

static void one_log(struct sum *t, const struct round_fact *r)
{
	const struct facts *f = t->f;
	struct logged l = { 0 };

	count_logged(f, r, &l);
	if (!l.before && !l.before_missing)
		return;
	if (r->kill || !r->exit) {
		sum_see(t, hang_of(f, r)->charged ? hang_of(f, r)->charged : "EXI-2");
	} else if (charged_to_default(f, r)) {
		sum_see(t, "SIG-1");
	} else if (crash_of(f, r) || log_unread(f, r)) {
		sum_see(t, "EXI-3");
	} else if (was_forced(f, r) && l.missing) {
		t->contract++;
	} else if (!l.missing) {
		t->good++;
	} else if (l.before_missing && l.before) {
		sum_unsure(t, l.proof, "its log names some requests and not others even before the signal: it does not log every request");
	} else if (sum_bad(t, MUST, "application", arena_printf(f->arena, "%u answered request%s missing from the log at the exit, although "
			"it named the ones before %s; first: %s", l.missing, l.missing > 1 ? "s are" : " is", first_signal(f, r),
			client_name(f, l.first)))) {
		cite(t->ret, l.proof);
		cite(t->ret, r->sig);
		cite(t->ret, l.first->request);
		cite(t->ret, l.first->answer);
		cite(t->ret, r->exit);
	}
}

static bool line_matches(const struct facts *f, const char *pattern, uint32_t *ret)
{
	regex_t re;
	bool have = regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB) == 0;

	*ret = 0;
	for each_event(f, EV_LOGLINE, n)
		if (!*ret && (have ? !regexec(&re, fact_text(f, n), 0, NULL, 0) : strstr(fact_text(f, n), pattern) != NULL))
			*ret = n;
	if (have)
		regfree(&re);
	return *ret != 0;
}

static void judge_exi_4(const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	uint32_t line;
	struct sum t;

	(void)arena;
	sum_begin(&t, f, ret);
	ret->expected = sc->expect.log ? arena_printf(f->arena, "the log is complete, and a line matches '%s'", sc->expect.log) :
			"every answered request that the log would name is in it when the process is gone";
	for each_round(f, r) {
		one_log(&t, r);
		if (!sc->expect.log)
			continue;
		if (line_matches(f, sc->expect.log, &line)) {
			t.good++;
		} else if (r->kill || !r->exit) {
			sum_see(&t, hang_of(f, r)->charged ? hang_of(f, r)->charged : "EXI-2");
		} else if (sum_bad(&t, MUST, "application", arena_printf(f->arena, "no line of its output matches '%s'", sc->expect.log))) {
			cite(ret, r->sig);
			cite(ret, r->exit);
		}
	}
	sum_end(&t, "logs were complete");
}

const struct check check_exi_3 = {
	.id = "EXI-3", .title = "no crash on the way out", .level = MUST,
	.applies = exit_applies, .judge = judge_exi_3,
	.why = "Shutdown runs code that nothing else runs: destructors, closing pools, threads that still use what is being freed. A crash there "
	       "loses what was not flushed, and its core fills the disk at every deploy.",
	.proof = "A process of the target killed by SEGV, ABRT, BUS, FPE, ILL, SYS or TRAP after the signal, not by the harness; or a sanitizer's "
		 "report, a panic or a traceback in the output from the signal on.",
	.modes = "SD-SIG-UNSAFE-HANDLER, SD-SIG-SPURIOUS",
	.fix_go = "Close channels once (sync.Once), do not send after close; go test -race over the shutdown.",
	.fix_node = "await the pending work before closing what it uses; handle 'unhandledRejection' as a bug.",
	.fix_python = "Catch CancelledError and KeyboardInterrupt at the top only; join threads before the interpreter goes.",
	.fix_c = "Only async-signal-safe calls in handlers (signal-safety(7)); build with -fsanitize=address and run the battery again.",
	.fix_nginx = "Third-party modules: look at their exit_process hooks.",
};

const struct check check_exi_4 = {
	.id = "EXI-4", .title = "the log is flushed", .level = MUST,
	.applies = log_applies, .judge = judge_exi_4,
	.why = "The last lines are the ones that people look for after an incident. stdout to a pipe is fully buffered in C and Python, and "
	       "os.Exit, _exit and process.exit skip the flush.",
	.proof = "Each request carries a nonce in its User-Agent. If the log named the requests before the signal, it must name every answered "
		 "one when the process is gone; or the line of expect.log must be there.",
	.modes = "SD-EXIT-CODE, SD-START-DEATH",
	.fix_go = "Flush the logger (zap: Sync) as the last deferred call; os.Exit runs no deferred calls.",
	.fix_node = "process.stdout.write(..., () => process.exit(0)); with pipes writes are asynchronous on some systems.",
	.fix_python = "logging.shutdown(), PYTHONUNBUFFERED=1; os._exit flushes nothing.",
	.fix_c = "setvbuf(stdout, NULL, _IOLBF, 0), and exit() instead of _exit().",
	.fix_nginx = "access_log with buffer= is flushed on QUIT, not on KILL.",
};
