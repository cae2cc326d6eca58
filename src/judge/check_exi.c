/* EXI-1, EXI-2: with what status, and when. */
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "judge/exit_set.h"
#include "judge/say.h"

static bool exit_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f);
}

static void bad_status(struct sum *t, const struct round_fact *r, const struct ending *e)
{
	const struct facts *f = t->f;
	bool foreign = e->kind == ENDED_SIGNAL && !signal_sent(f, r, e->value);
	uint32_t peer = e->kind == ENDED_CODE ? held_up_by(f, r) : 0;
	const char *text = arena_printf(f->arena, "%s, %s after %s%s", ending_text(f, e),
					after_signal(f, r, e->event), first_signal(f, r),
					foreign ? "; nobody here sent that signal" :
					peer ? "; a client that does nothing kept it from a whole drain" : "");

	if (!sum_bad(t, peer ? SHOULD : MUST, foreign ? "environment" : "application", "%s", text))
		return;
	cite(t->ret, r->sig);
	cite(t->ret, r->sig2);
	cite(t->ret, peer);
	cite(t->ret, e->event);
	if (peer)
		t->ret->hint = "a deadline that had to cut off such a client is no failure of the server: exit with 0, or say that this "
			       "status is meant (--expect-exit)";
	else if (e->kind == ENDED_SIGNAL && e->value == SIGKILL)
		t->ret->hint = "SIGKILL from elsewhere: the OOM killer (dmesg), or a supervisor inside "
			       "the target";
	else if (e->kind == ENDED_CODE && root_is_pid1(f, r))
		t->ret->hint = "if it is 0 or killed by the signal elsewhere: PID 1 that has no handler, or not yet, cannot kill itself "
			       "by raising the signal again (the kernel drops it) and leaves with what its runtime has in reserve "
			       "(Go: 2); install the handler before the first answer and exit with 0 by itself, or run it under an "
			       "init (docker run --init, tini)";
}

static void one_status(struct sum *t, const struct round_fact *r)
{
	const struct facts *f = t->f;
	struct ending e = ending_of(f, r);
	bool explicitly, ok = exit_allowed(f, r, &e, &explicitly);
	const struct hung *h = hang_of(f, r);

	if (e.kind == ENDED_BY_US || (e.kind == ENDED_NOT && h->kind != HANG_NONE))
		sum_killed(t, r);
	else if (e.kind == ENDED_NOT)
		sum_unsure(t, r->sig, "no end of the process was seen");
	else if (e.kind == ENDED_SIGNAL && !explicitly && fatal_signal(e.value))
		sum_see(t, "EXI-3");
	else if (e.kind == ENDED_SIGNAL && ok && !explicitly && died_of_default(f, r)) {
		if (charged_to_default(f, r))
			sum_see(t, "SIG-1");
		else
			sum_unsure(t, e.event,
				"killed by the signal's default action before it had answered a "
				"request: it may still have "
				"been starting");
	} else if (e.kind == ENDED_SIGNAL && ok && !explicitly && root_held(f, r, e.value) < 0)
		sum_unsure(t, e.event, "killed by the signal, and whether its handler ran was not seen");
	else if (ok)
		t->good++;
	else
		bad_status(t, r, &e);
}

static void judge_exi_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = exit_set_text(f);
	for_each_round(f, r) {
		one_status(&t, r);
	}
	sum_end(&t, "exits had an allowed status");
	for_each_round(f, r) {
		struct ending e = ending_of(f, r);

		if (ret->outcome == PASS)
			found(f, ret, PASS, "%s%s", ending_text(f, &e),
				was_forced(f, r) ? ", forced by the second signal" : "");
		break;
	}
}

static const char *busy_text(const struct facts *f, const struct round_fact *r)
{
	nsec_t waited = cpu_wait_of(f, r);

	return waited < NSEC_PER_MSEC ? "" :
		arena_printf(f->arena, ", and %s because the machine was busy (cpu-wait)", time_text(f, waited));
}

/* Of one that ended: what it takes down is part of its exit. */
static const char *limit_text(const struct facts *f, const struct round_fact *r)
{
	uint64_t rss;
	nsec_t limit = exit_limit(f, r, &rss), teardown = nsec_sub(nsec_sub(limit, grace_of(f)), cpu_wait_of(f, r));

	return arena_printf(f->arena, "limit %s, of which %s for the teardown of %llu MiB%s", time_text(f, limit),
		time_text(f, teardown), (unsigned long long)(rss / 1024), busy_text(f, r));
}

static const char *grace_text(const struct facts *f, const struct round_fact *r)
{
	return arena_printf(f->arena, "grace %s%s", time_text(f, grace_of(f)), busy_text(f, r));
}

static void too_late(struct sum *t, const struct round_fact *r, const struct hung *h)
{
	const struct facts *f = t->f;
	uint32_t end = h->kind == HANG_LATE ? r->exit : r->kill ? r->kill : r->exit;
	const char *text = arena_printf(f->arena, "%s %s after %s (%s): %s%s; suspect: %s",
		h->kind == HANG_LATE ? "ended by itself, but only" : "still running",
		time_text(f, nsec_sub(fact_t(f, end), signal_end(f, r))), first_signal(f, r),
		h->kind == HANG_LATE ? limit_text(f, r) : grace_text(f, r), h->why,
		!r->sig2 || !h->alone ? "" : less_patience(f, r, h->alone) ? ", and with the first signal alone it takes longer than that too" :
		", and the first signal alone does not end it either", suspect_of(f, r));

	if (!sum_bad(t, MUST, "server", "%s", text))
		return;
	for (unsigned i = 0; i < h->n_cites; i++)
		cite(t->ret, h->cites[i]);
	cite(t->ret, end);
	cite(t->ret, r->autopsy);
	if (r->sig2 && h->alone)
		cite(t->ret, h->alone->kill);
	t->ret->hint = root_ignored(f, r, (int)fact_a(f, r->sig)) ?
		arena_printf(f->arena, "install a handler for %s, or do not start it with the signal ignored (a shell's "
			"background job, trap '')", first_signal(f, r)) : NULL;
}

static void judge_exi_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	const char *measured = NULL;
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = arena_printf(
		f->arena, "gone by itself within %s of the first signal", time_text(f, grace_of(f)));
	for_each_round(f, r) {
		const struct hung *h = hang_of(f, r);

		if (h->kind == HANG_NONE && r->exit) {
			t.good++;
			measured = arena_printf(f->arena, "%s after %s (%s)", after_signal(f, r, r->exit),
						first_signal(f, r), limit_text(f, r));
		} else if (h->kind == HANG_NONE) {
			sum_unsure(&t, r->sig, "no end of the process was seen");
		} else if (h->kind == HANG_BORDER) {
			sum_unsure(&t, r->exit,
				"ended %s after %s (%s): a wake-up of the harness can be late by that "
				"much",
				after_signal(f, r, r->exit), first_signal(f, r), limit_text(f, r));
		} else if (h->excused) {
			sum_killed(&t, r);
		} else if (!h->charged) {
			sum_unsure(&t, r->kill ? r->kill : r->exit, "%s", h->why);
		} else if (strcmp(h->charged, "EXI-2")) {
			sum_see(&t, h->charged);
		} else {
			too_late(&t, r, h);
		}
	}
	sum_end(&t, "exits were in time");
	if (ret->outcome == PASS && t.good == 1)
		ret->actual = measured;
}

const struct check check_exi_1 = {
	.id = "EXI-1", .title = "the exit status is allowed", .level = MUST,
	.applies = exit_applies, .judge = judge_exi_1,
	.todo = "return 0 after a clean stop, or raise the signal again; keep other codes for failures",
	.why = "Supervisors restart, alert and roll back by the status. 0 after losing work hides it; "
	       "1 after a clean drain makes a crash loop of every deploy. Exit 143 and killed by 15 "
	       "are different facts of wait(2), and both mean a clean stop on SIGTERM.",
	.proof = "The root's status from waitid on its pidfd: exited with a code, or killed by a "
		 "signal, and by whom. Killed by the signal that was sent counts as clean if a handler "
		 "held it (uvicorn and Puma raise it again after draining). A second signal that "
		 "forces may set any code. After a drain that only a silent or never-reading client held up (100 ms and more) a "
		 "code is SHOULD: a deadline that cut it off may be said.",
	.modes = "SD-EXIT-CODE",
	.fix_go = "http.ErrServerClosed is not an error: do not log.Fatal it. Return from main with 0.",
	.fix_node = "process.exitCode = 0 and let the loop run empty, or process.exit(0) in the close "
		    "callback.",
	.fix_python = "Let the handler set a flag or raise SystemExit(0); an unhandled "
		      "KeyboardInterrupt ends the process by SIGINT (130 in a shell).",
	.fix_c = "return 0 from main after the drain; keep 1 for failures.",
	.fix_nginx = "It exits with 0; another status comes from the wrapper: exec.",
};

const struct check check_exi_2 = {
	.id = "EXI-2", .title = "it is gone within the grace", .level = MUST,
	.applies = exit_applies, .judge = judge_exi_2,
	.todo = "give the whole drain one deadline below the grace and exit at its end; the suspect is what it waits for now",
	.why = "After the grace the supervisor sends SIGKILL (Kubernetes 30 s, docker stop 10 s, "
	       "systemd 90 s): everything still in flight is lost, nothing is flushed or removed.",
	.proof = "From the return of the signal's call to the exit on the pidfd. Taking down the "
		 "address space is the kernel's time, not the server's: 100 us for each resident MiB "
		 "are added (exit_mmap, mm/mmap.c). So is, up to three graces, the time in which it waited "
		 "for a CPU (run_delay of its threads, kernel/sched/stats.h; where one has ended, PSI): a "
		 "busy machine is not the server's doing. What holds it is charged to a more specific check "
		 "if a client explains it (CON-6, PEER-1, PEER-2), a thread (RES-3), or the signal "
		 "(SIG-3, SIG-4, SIG-6).",
	.modes = "SD-EXIT-HANG, SD-INFLIGHT-DEADLINE, SD-SIG-LOST-WAKEUP, SD-STREAM-NEVER",
	.fix_go = "Shutdown(context.WithTimeout(...)), then Close(); SIGQUIT prints what every "
		  "goroutine waits for.",
	.fix_node = "clearInterval, unref() timers, close pools; --report-on-signal or "
		    "process.getActiveResourcesInfo() names what is left.",
	.fix_python = "One deadline for the drain, below the grace (aiohttp: run_app(shutdown_timeout=), 60 s by itself; hypercorn: "
		      "graceful_timeout); threads daemon=True or joined with a timeout; py-spy dump -p PID names the one.",
	.fix_c = "One deadline for the whole drain (timerfd); at its end close everything and leave.",
	.fix_nginx = "worker_shutdown_timeout below the supervisor's patience.",
};
