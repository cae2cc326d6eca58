/* EXI-3: crashes on the way out. */
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/exit_set.h"
#include "judge/say.h"

static bool exit_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f);
}

static bool report_of(const char *text)
{
	return strstr(text, "Sanitizer") || strstr(text, "runtime error: ") ||
	       strstr(text, "stack smashing") || strstr(text, "free(") || strstr(text, "malloc(") ||
	       strstr(text, "Assertion");
}

/* A traceback was caught and logged, not the end of the process: gunicorn tells so of a request that
 * its fast stop cut. */
static bool exited_with_0(const struct facts *f, const struct round_fact *r)
{
	struct ending e = ending_of(f, r);

	return e.kind == ENDED_CODE && !e.value;
}

/* Python's default answer to SIGINT: what a handler would have spared, and no crash. */
static bool interrupt_of(const struct facts *f, const struct round_fact *r, const char *text)
{
	return signal_sent(f, r, SIGINT) && !strcmp(text, "Traceback: KeyboardInterrupt");
}

/* A traceback after a second signal is what "by force" looks like in some languages; a sanitizer's
 * report never is. */
static uint32_t bad_words(const struct facts *f, const struct round_fact *r)
{
	uint32_t interrupt = 0;

	for_each_event(f, EV_LOG_BAD, n) {
		const char *text = fact_text(f, n);
		bool report = report_of(text);

		if (fact_event(f, n)->round != r->id)
			continue;
		if (!report && was_forced(f, r))
			continue;
		/* we ask some runtimes for their stacks before we kill them */
		if (!report && r->kill && fact_b(f, r->kill) == SIGQUIT)
			continue;
		if (!interrupt_of(f, r, text))
			return n;
		interrupt = n;
	}
	return interrupt;
}

static void judge_exi_3(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = "no crash, no core, no sanitizer report, no panic or traceback from the signal on";
	for_each_round(f, r) {
		uint32_t crash = crash_of(f, r), words = bad_words(f, r);
		const char *text;
		bool handled = !crash && words && !report_of(fact_text(f, words)) &&
			       (exited_with_0(f, r) || interrupt_of(f, r, fact_text(f, words)));

		if (!crash && !words) {
			t.good++;
			continue;
		}
		if (crash)
			text = arena_printf(f->arena, "%s %lld was killed by %s%s, %s after %s%s%s",
				strncmp(fact_text(f, crash), "root", 4) ? "process" : "the target's process",
				(long long)fact_a(f, crash),
				signal_name((int)(fact_b(f, crash) & 0xFFFF)),
				strstr(fact_text(f, crash), "core") ? " with a core dump" : "",
				after_signal(f, r, crash), first_signal(f, r),
				words ? "; it said: " : "", words ? fact_text(f, words) : "");
		else
			text = arena_printf(f->arena, "in its output after %s: %s", first_signal(f, r), fact_text(f, words));
		if (sum_bad(&t, handled ? SHOULD : MUST, "application", "%s", text)) {
			cite(ret, r->sig);
			cite(ret, crash);
			cite(ret, words);
			if (words && interrupt_of(f, r, fact_text(f, words)))
				ret->hint = "catch KeyboardInterrupt (or signal.signal(SIGINT, handler)) and stop as on "
					    "SIGTERM: Ctrl-C then ends it without a traceback";
		}
	}
	sum_end(&t, "rounds ended without a crash");
}

const struct check check_exi_3 = {
	.id = "EXI-3", .title = "no crash on the way out", .level = MUST,
	.applies = exit_applies, .judge = judge_exi_3,
	.todo = "build with -fsanitize=address or run it in a debugger, and send the signal: the crash is in the shutdown path",
	.why = "Shutdown runs code that nothing else runs: destructors, closing pools, threads that "
	       "still use what is being freed. A crash there loses what was not flushed, and its core "
	       "fills the disk at every deploy.",
	.proof = "A process of the target killed by SEGV, ABRT, BUS, FPE, ILL, SYS or TRAP after the "
		 "signal, not by the harness; or a sanitizer's report, a panic or a traceback in the "
		 "output from the signal on.",
	.modes = "SD-SIG-UNSAFE-HANDLER, SD-SIG-SPURIOUS",
	.fix_go = "Close channels once (sync.Once), do not send after close; go test -race over the "
		  "shutdown.",
	.fix_node = "await the pending work before closing what it uses; handle 'unhandledRejection' "
		    "as a bug.",
	.fix_python = "Catch CancelledError and KeyboardInterrupt at the top only; join threads before "
		      "the interpreter goes.",
	.fix_c = "Only async-signal-safe calls in handlers (signal-safety(7)); build with "
		 "-fsanitize=address and run the battery again.",
	.fix_nginx = "Third-party modules: look at their exit_process hooks.",
};
