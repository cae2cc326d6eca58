/* RES-1, RES-2, RES-5: processes that stay. */
#include <string.h>

#include "judge/say.h"

static bool processes_apply(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f);
}

/* Did it end by itself after all, within the grace? Then it was only slow. What ends when we hang up waited for us, and may have done
 * so for ever. */
static bool ended_later(const struct facts *f, const struct round_fact *r, uint32_t left)
{
	nsec_t limit = nsec_add(nsec_add(signal_end(f, r), grace_of(f)), cpu_wait_of(f, r));

	uint32_t hung_up = 0;

	for_each_event(f, EV_CLIENT_CLOSED, n)
		if (!hung_up && fact_event(f, n)->round == r->id && n > left)
			hung_up = n;
	for_each_event(f, EV_EXIT, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) == fact_a(f, left) && n > left &&
			fact_t(f, n) <= limit && (!hung_up || n < hung_up))
			return true;
	return false;
}

static void judge_res_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, NULL);
	ret->expected = "when the target's process is gone, so are all its descendants";
	for_each_round(f, r) {
		bool any = false;

		if (!r->exit || r->kill) {
			sum_killed(&t, r);
			continue;
		}
		for_each_event(f, EV_LEFT_PROCESS, n) {
			if (fact_event(f, n)->round != r->id || ended_later(f, r, n))
				continue;
			any = true;
			if (survivor_charged(f, n)) {
				sum_see(&t, survivor_charged(f, n));
			} else if (sum_bad(&t, MUST, "application",
					   "process %lld (%s) is alive %s after the end of the "
					   "process that was signalled",
					   (long long)fact_a(f, n), fact_text(f, n),
					   between(f, r->exit, n))) {
				cite(ret, r->sig);
				cite(ret, r->exit);
				cite(ret, n);
			}
		}
		t.good += !any;
	}
	sum_end(&t, "rounds left no process behind");
}

/* ---- RES-2 ---- */

/* A child that was a zombie before the signal, and was reaped only by us, after its parent's end. */
static bool zombie_throughout(
	const struct facts *f, const struct round_fact *r, uint32_t n, uint32_t *ret_reaped)
{
	static const enum event_kind ends[] = { EV_EXIT, EV_KILLED };
	char state[4];

	*ret_reaped = 0;
	if (fact_event(f, n)->round != r->id || fact_a(f, n) == fact_a(f, r->launch) || !r->exit ||
		r->kill || fact_t(f, n) > signal_begin(f, r) ||
		!process_string(f, n, "state", state, sizeof state) || state[0] != 'Z' ||
		fact_b(f, n) != fact_a(f, r->launch))
		return false;
	for (unsigned i = 0; i < 2; i++)
		for_each_event(f, ends[i], e)
			if (fact_event(f, e)->round == r->id && fact_a(f, e) == fact_a(f, n) &&
				fact_t(f, e) >= fact_t(f, r->exit) &&
				!strncmp(fact_text(f, e), "descendant", 10))
				*ret_reaped = e;
	return *ret_reaped != 0;
}

static void judge_res_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, NULL);
	ret->expected = "every child that ended has been waited for";
	for_each_round(f, r) {
		uint32_t reaped;
		bool any = false;

		for_each_event(f, EV_LEFT_ZOMBIE, n) {
			if (fact_event(f, n)->round != r->id)
				continue;
			any = true;
			if (sum_bad(&t, MUST, "application",
				    "child %lld (%s) of process %lld is a zombie %s after %s",
				    (long long)fact_a(f, n), fact_text(f, n), (long long)fact_b(f, n),
				    after_signal(f, r, n), first_signal(f, r))) {
				cite(ret, r->sig);
				cite(ret, n);
			}
		}
		for_each_event(f, EV_PROCESS, n) {
			if (any || !zombie_throughout(f, r, n, &reaped))
				continue;
			any = true;
			if (sum_bad(&t, MUST, "application",
				    "child %lld was a zombie %s before %s and still one when its "
				    "parent ended %s after it",
				    (long long)fact_a(f, n),
				    time_text(f, nsec_sub(signal_begin(f, r), fact_t(f, n))),
				    first_signal(f, r), after_signal(f, r, r->exit))) {
				cite(ret, n);
				cite(ret, r->sig);
				cite(ret, r->exit);
				cite(ret, reaped);
			}
		}
		t.good += !any;
	}
	sum_end(&t, "rounds left no zombie");
}

/* ---- RES-5 ---- */

static bool holds_on(const struct facts *f, const struct round_fact *r, uint32_t holder)
{
	for_each_event(f, EV_LEFT_PROCESS, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) == fact_b(f, holder))
			return true;
	for_each_event(f, EV_REBIND, n)
		if (fact_event(f, n)->round == r->id && fact_a(f, n) != 0)
			return true;
	return false;
}

static void judge_res_5(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, NULL);
	ret->expected = "no other process holds the listener when the target's process is gone";
	for_each_round(f, r) {
		bool any = false;

		if (!r->exit || r->kill) {
			sum_killed(&t, r);
			continue;
		}
		for_each_event(f, EV_LEFT_HOLDER, n) {
			if (fact_event(f, n)->round != r->id || !holds_on(f, r, n))
				continue;
			any = true;
			if (!holder_inherited(f, n)) {
				sum_see(&t, "RES-1");
			} else if (sum_bad(&t, MUST, "application",
					   "process %s holds the listening socket of port %lld: "
					   "it inherited the descriptor over exec",
					   fact_text(f, n), (long long)fact_a(f, n))) {
				cite(ret, r->exit);
				cite(ret, n);
				ret->hint = "open the listener with SOCK_CLOEXEC (or FD_CLOEXEC) "
					    "before starting that program";
			}
		}
		t.good += !any;
	}
	sum_end(&t, "rounds left the listener to nobody");
}

const struct check check_res_1 = {
	.id = "RES-1", .title = "no process survives", .level = MUST,
	.applies = processes_apply, .judge = judge_res_1,
	.todo = "signal every child and wait for it before the main process exits",
	.why = "A supervisor that sees the root gone starts a new one; the orphaned worker goes on "
	       "serving old code, or holds the port, and nobody will ever signal it again.",
	.proof = "The harness is the subreaper of the target (or PID 1 of its namespace): whoever is "
		 "alive one second after the root's end is named, however it daemonised. What is "
		 "already exiting is not counted.",
	.modes = "SD-LEFT-ORPHAN, SD-SIG-WRAPPER",
	.fix_go = "exec.CommandContext with cmd.Cancel, and cmd.Wait before main returns.",
	.fix_node = "Keep child handles; child.kill() and wait for 'exit' in the handler. npm before "
		    "10.3.0 does not forward: start node directly.",
	.fix_python = "Process.terminate() and join(); prctl(PR_SET_PDEATHSIG) as a last resort.",
	.fix_c = "Signal every worker, waitpid for all, exit last; workers: PR_SET_PDEATHSIG. Shell "
		 "wrappers: exec the server.",
	.fix_nginx = "Signal the master, not a wrapper; tini -g for groups.",
};

const struct check check_res_2 = {
	.id = "RES-2", .title = "no zombie is left", .level = MUST,
	.applies = processes_apply, .judge = judge_res_2,
	.todo = "wait for every child that ended (waitpid on SIGCHLD), or run under an init",
	.why = "Each zombie keeps a PID and a process table entry (wait(2)). As PID 1 of a container "
	       "nobody else reaps them: pids.max is reached and fork fails.",
	.proof = "A child in state Z before the signal that its parent never waited for (the harness "
		 "had to, after the parent's end), or one in state Z when the grace was over.",
	.modes = "SD-LEFT-THREAD, SD-LEFT-ORPHAN",
	.fix_go = "cmd.Wait() for every Start(); as PID 1 reap with wait4(-1).",
	.fix_node = "libuv reaps its own children; grandchildren need an init (docker run --init).",
	.fix_python = "subprocess: wait() or poll(); multiprocessing: join().",
	.fix_c = "On SIGCHLD: while (waitpid(-1, NULL, WNOHANG) > 0);",
	.fix_nginx = "It reaps its workers; CGI wrappers may not.",
};

const struct check check_res_5 = {
	.id = "RES-5", .title = "no child holds the listener", .level = MUST,
	.applies = processes_apply, .judge = judge_res_5,
	.todo = "open the listener with SOCK_CLOEXEC, so that programs it starts do not inherit it",
	.why = "A descriptor without close-on-exec goes into every program that the server starts "
	       "(execve(2)). The port then stays bound to a helper that does not even know it, and the "
	       "next start fails with `address already in use`.",
	.proof = "After the root's end another process has the listener's inode among its descriptors "
		 "and runs another program; the descriptor lacks CLOEXEC.",
	.modes = "SD-LEFT-FD-PORT",
	.fix_go = "net sets CLOEXEC; Listener.File() and ExtraFiles hand it on knowingly: close it in "
		  "the child that does not serve.",
	.fix_node = "stdio: 'ignore' for helpers, and no handle passing.",
	.fix_python = "PEP 446 makes descriptors non-inheritable; do not set_inheritable(True) or "
		      "close_fds=False.",
	.fix_c = "socket(..., SOCK_STREAM | SOCK_CLOEXEC, 0), accept4(..., SOCK_CLOEXEC).",
	.fix_nginx = "Nothing to do; look at scripts started by modules.",
};
