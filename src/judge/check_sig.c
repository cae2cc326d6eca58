/* SIG-1, SIG-6: is there a handler when it counts? */
#include <string.h>

#include "base/names.h"
#include "judge/say.h"
#include "judge/shows.h"

static bool handler_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f);
}

static void judge_sig_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = "once it has answered a request, the signal's default action does not kill it";
	for_each_round(f, r) {
		struct ending e = ending_of(f, r);
		int signo = (int)fact_a(f, r->sig);

		if (charged_to_default(f, r)) {
			const char *text = arena_printf(f->arena,
				"killed by %s %s after it was sent: before the signal SigCgt, SigBlk "
				"and "
				"SigIgn of process %lld all lacked it",
				signal_name(e.value), after_signal(f, r, e.event),
				(long long)fact_a(f, r->root_before));

			if (sum_bad(&t, MUST, "application", "%s", text)) {
				cite(ret, r->first_answer);
				cite(ret, r->root_before);
				cite(ret, r->sig);
				cite(ret, e.event);
				ret->hint = drain_signal_hint(f, r);
			}
		} else if (died_of_default(f, r)) {
			continue; /* no request was answered before: it may still have been starting */
		} else if (e.kind == ENDED_SIGNAL && e.value == signo && root_held(f, r, signo) < 0) {
			sum_unsure(&t, e.event,
				"killed by %s, and what it did with that signal was not seen",
				signal_name(e.value));
		} else {
			t.good++;
		}
	}
	sum_end(&t, "rounds did not end by the signal's default action");
	if (ret->outcome == SKIP && !t.elsewhere)
		found(f, ret, SKIP,
			"no request was answered before the signal: death by default action is normal "
			"until then");
}

/* ---- SIG-6 ---- */

static bool pid1_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for_each_round(f, r) {
		if (root_is_pid1(f, r))
			return true;
	}
	return sc->target.isolate == ISOLATE_CONTAINER && any_round(f);
}

static void judge_sig_6(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = "as PID 1 of a container it stops on the signal as anywhere else";
	for_each_round(f, r) {
		const struct hung *h = hang_of(f, r);

		if (!root_is_pid1(f, r))
			continue;
		if (h->kind == HANG_NONE) {
			t.good++;
		} else if (h->charged && !strcmp(h->charged, "SIG-6")) {
			if (sum_bad(&t, MUST, "application",
				    "PID 1 has no handler for %s, the kernel dropped it, and "
				    "the process was alive %s later",
				    first_signal(f, r), time_text(f, grace_of(f)))) {
				cite(ret, r->root_before);
				cite(ret, r->sig);
				cite(ret, r->kill);
				ret->hint = "install a handler, or run it under an init: docker run "
					    "--init, tini, dumb-init";
			}
		} else if (h->charged) {
			sum_see(&t, h->charged);
		} else {
			sum_unsure(&t, r->kill, "%s", h->why);
		}
	}
	sum_end(&t, "rounds as PID 1 ended");
	if (ret->outcome == SKIP && !t.elsewhere)
		found(f, ret, SKIP, "the target was not PID 1: that needs --isolate container");
}

const struct check check_sig_1 = {
	.id = "SIG-1", .title = "a handler before the first answer", .level = MUST,
	.applies = handler_applies, .judge = judge_sig_1,
	.todo = "install the handler for the signal before the server accepts anything: the first thing in main",
	.why = "The default action of SIGTERM and SIGINT is to end the process at once (signal(7)): "
	       "whatever is in flight is lost and nothing is cleaned up. A handler that is installed "
	       "late leaves a window in which a rollout does exactly that.",
	.proof = "The process was killed by the signal that was sent, and the census before it "
		 "(/proc/PID/status) shows the signal neither caught, blocked nor ignored, although a "
		 "request had been answered. A set bit proves nothing the other way: the Go runtime "
		 "catches all signals.",
	.modes = "SD-SIG-NO-HANDLER, SD-START-DEATH",
	.fix_go = "signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt) as the "
		  "first line of main.",
	.fix_node = "process.on('SIGTERM', stop) before server.listen().",
	.fix_python = "signal.signal(signal.SIGTERM, handler) (asyncio: loop.add_signal_handler) "
		      "before the socket is bound.",
	.fix_c = "sigaction() or signalfd before listen(); block the signals in main before threads "
		 "start.",
	.fix_nginx = "It has handlers from the start; if nginx dies so, a wrapper script is the "
		     "process that was signalled: exec nginx.",
};

const struct check check_sig_6 = {
	.id = "SIG-6", .title = "it stops as PID 1", .level = MUST,
	.shows = shows_pid1, .applies = pid1_applies, .judge = judge_sig_6,
	.todo = "handle the signal in the program itself, or run it under an init (docker run --init, tini)",
	.why = "The kernel gives PID 1 of a namespace no default actions: a signal without a handler "
	       "is dropped (pid_namespaces(7); sig_task_ignored, kernel/signal.c). The same program "
	       "that dies at once in a shell hangs in a container until SIGKILL.",
	.proof = "The target runs as PID 1 of a PID namespace of its own; its SigCgt lacks the signal, "
		 "and it outlives the grace.",
	.modes = "SD-SIG-PID1-IGNORED",
	.fix_go = "Go programs get a handler with signal.Notify; without it run them under --init.",
	.fix_node = "process.on('SIGTERM', ...), or docker run --init.",
	.fix_python = "signal.signal(signal.SIGTERM, ...); `exec python app.py` in the entry script.",
	.fix_c = "sigaction(SIGTERM, ...) unconditionally.",
	.fix_nginx = "Use the exec form: CMD [\"nginx\", \"-g\", \"daemon off;\"].",
};
