/* UPG-1, UPG-2, UPG-5: one generation after the other, and nobody notices. */
#include "judge/upg.h"
#include "judge/shows.h"

static uint32_t count(const struct facts *f, enum event_kind kind)
{
	uint32_t n = 0;

	for_each_event(f, kind, e)
		n++;
	return n;
}

static uint32_t answers(const struct facts *f)
{
	uint32_t n = 0;

	for_each_conn(f, c) {
		n += upg_concerns(f, c) ? c->answers : 0;
	}
	return n;
}

static const char *kinds(const struct facts *f, const uint32_t by_fate[UPG_FATES])
{
	const char *text = "";

	for (unsigned i = UPG_REFUSED; i < UPG_FATES; i++)
		if (by_fate[i])
			text = arena_printf(f->arena, "%s%s%u %s", text, *text ? ", " : "", by_fate[i], upg_fates[i]);
	return text;
}

/* "930 by generation 0, ..." of the answers whose generation is known. */
static const char *served(const struct facts *f)
{
	uint32_t by[12] = { 0 }, last = 0, all = 0;
	const char *text = "";

	for_each_event(f, EV_SERVED_BY, n) {
		int64_t g = fact_a(f, n);

		all++;
		by[g < 0 ? 0 : g > 11 ? 11 : g]++;
		last = g > last ? (uint32_t)g : last;
	}
	for (unsigned g = 0; g < 12 && g <= last; g++)
		text = arena_printf(f->arena, "%s%s%u", text, g ? ", " : "", by[g]);
	return arena_printf(f->arena, "%u of the answers are known by their generation: %s%s", all, text, last > 11 ? " and more" : "");
}

static void judge_upg_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	uint32_t by_fate[UPG_FATES] = { 0 };
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "while generations hand over no connection is refused, none is reset, and every request is answered";
	uint32_t lost = upg_losses(&t, INT64_MIN, upg_spoiled(f), by_fate);
	uint32_t all = t.good + t.bad + t.elsewhere, n = count(f, EV_HANDOVER);

	if (lost) {
		if (lost == 1)
			found(f, ret, FAIL, "%s; the only one of %u connections", ret->actual, all);
		else
			found(f, ret, FAIL, "%s; of %u connections %u were lost: %s", ret->actual, all, lost, kinds(f, by_fate));
		return;
	}
	cite(ret, f->first[EV_HANDOVER]);
	if (t.elsewhere)
		sum_see(&t, "UPG-3");
	if (!all)
		found(f, ret, UNSURE, "nobody asked anything while the generations changed: the scenario has no clients");
	else
		found(f, ret, PASS, "%u connections and %u answers over %u hand-over%s, none lost%s; %s", all, answers(f), n,
			n == 1 ? "" : "s", by_fate[UPG_RACE] ? arena_printf(f->arena,
			" (%u kept ones were closed as their next request came: RFC 9112, 9.3.1 lets them)", by_fate[UPG_RACE]) : "",
			served(f));
}

static void judge_upg_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)arena;
	sum_begin(&t, f, ret);
	ret->expected = sc->restart.newest ? "once the new generation serves, the old one ends" :
					     "once the new workers serve, the old ones end";
	for_each_event(f, EV_GENERATION_LIVES, n) {
		int64_t g = fact_event(f, n)->conn;
		uint32_t next = upg_answer_of(f, g + 1);

		if (!sum_bad(&t, MUST, "application", "process %lld of generation %lld is alive %s after generation %lld gave its first "
			     "answer%s: %s", (long long)fact_a(f, n), (long long)g, next ? between(f, next, n) : "long",
			     (long long)g + 1,
			     fact_b(f, n) ? ", with the listening socket open" : "", fact_text(f, n)))
			continue;
		cite(ret, upg_of(f, EV_GENERATION, g));
		cite(ret, upg_of(f, EV_HANDOVER, g + 1));
		cite(ret, next);
		cite(ret, n);
		ret->hint = "do not wait for the new process (cmd.Run() waits for its end): start it, hear that it serves, "
			    "close the listener, finish what is in flight, exit";
	}
	t.good = count(f, EV_GENERATION_GONE);
	if (!t.good && !t.bad)
		found(f, ret, SKIP, "no process had to leave: none of the new ones took an old one's place");
	else if (t.bad)
		found(f, ret, FAIL, "%s%s", ret->actual, t.bad > 1 ? arena_printf(f->arena, "; so are %u of %u old ones", t.bad,
			t.bad + t.good) : "");
	else
		found(f, ret, PASS, "%u processes of old generations have ended", t.good);
}

/* Could nobody reach it? Then that is the loss, and UPG-1 tells it. */
static bool unreachable(const struct facts *f, uint32_t from, uint32_t to)
{
	for_each_conn(f, c) {
		if (upg_concerns(f, c) && c->refused && fact_t(f, c->refused) > fact_t(f, from) &&
		    fact_t(f, c->refused) < fact_t(f, to))
			return true;
	}
	return false;
}

static void one_takeover(struct sum *t, uint32_t n)
{
	const struct facts *f = t->f;
	int32_t g = fact_event(f, n)->conn;
	uint32_t listens = upg_of(f, EV_GENERATION, g), answer = upg_answer_of(f, g), late = upg_of(f, EV_DEADLINE, g);
	uint32_t death = upg_death(f);

	if (answer || (listens && !late)) {
		t->good++;
		return;
	}
	if (listens && late && unreachable(f, n, late)) {
		sum_see(t, "UPG-1");
		return;
	}
	if (sum_bad(t, MUST, "application", "%s: %s", upg_text(f, n), death && fact_t(f, death) >= fact_t(f, n) ?
		    "the target ended, and nobody took its place" : listens ?
		    "a new process listens, but it gave no answer" : arena_printf(f->arena,
		    "%s later nobody listens who did not before", late ? between(f, n, late) : "at the end"))) {
		cite(t->ret, n);
		cite(t->ret, listens);
		cite(t->ret, late);
		cite(t->ret, death);
	}
}

static void judge_upg_5(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)arena;
	sum_begin(&t, f, ret);
	ret->expected = arena_printf(f->arena, "a new generation listens and answers within %s", time_text(f, sc->restart.within));
	for_each_event(f, EV_HANDOVER, n) {
		if (fact_t(f, n) < upg_spoiled(f))
			one_takeover(&t, n);
	}
	sum_end(&t, "hand-overs took place");
}

const struct check check_upg_1 = {
	.id = "UPG-1", .title = "a hand-over loses nothing", .level = MUST,
	.shows = shows_hand_over, .applies = upg_applies, .judge = judge_upg_1,
	.todo = "let the new generation accept before the old one closes, and let the old one answer all that it has accepted",
	.why = "A reload is done in the middle of the day because it is said to cost nothing. Between close() of the old socket "
	       "and listen() on the new one every SYN is answered with RST; what waits in an accept queue is reset when that "
	       "socket is closed (inet_csk_listen_stop, net/ipv4/inet_connection_sock.c); with SO_REUSEPORT each socket has a "
	       "queue of its own.",
	.proof = "Clients come again and again, with new connections and with kept ones, while one hand-over follows the other. "
		 "Refused, reset, closed or cut without a whole answer, answered 5xx or not at all: each is a loss. A kept "
		 "connection that is closed between two requests is counted and is none (RFC 9112, 9.3.1).",
	.modes = "SD-UPG-GAP, SD-ACCEPT-BACKLOG-RST",
	.fix_go = "Hand the listener over as a descriptor (cmd.ExtraFiles with TCPListener.File(), or cloudflare/tableflip); never "
		  "Close and Listen again.",
	.fix_node = "cluster: fork new workers, wait for 'listening', then disconnect the old ones; the primary keeps the socket.",
	.fix_python = "gunicorn --reload is for development: send HUP; uvicorn behind gunicorn, or with an inherited --fd.",
	.fix_c = "Pass the socket on over exec (no FD_CLOEXEC) or by SCM_RIGHTS; close yours when the other one accepts.",
	.fix_nginx = "Nothing to do: HUP and USR2 keep the socket. HAProxy: -x or the master-worker mode, not -dR; -sf alone only with "
		     "net.ipv4.tcp_migrate_req=1 (Linux 5.14): then the kernel moves the accept queue.",
};

const struct check check_upg_2 = {
	.id = "UPG-2", .title = "old generations end", .level = MUST,
	.shows = shows_hand_over, .applies = upg_applies, .judge = judge_upg_2,
	.todo = "give the old generation a deadline below the supervisor's patience, and close what is still open at its end",
	.why = "An old generation that stays keeps memory, connections to databases and old code; after a week of deploys there "
	       "are fifty. With the listening socket open it also goes on taking connections, or lets them wait for ever.",
	.proof = "A generation is the processes that have the LISTEN socket open (its inode, in /proc/PID/fd). Each process of an "
		 "older one must be gone within restart.within after the new one answered; `leaves: workers` lets the master stay.",
	.modes = "SD-UPG-OLD-LIVES",
	.fix_go = "cmd.Start(), not cmd.Run(); then srv.Shutdown(ctx) and return from main.",
	.fix_node = "worker.disconnect(), and worker.kill() after a deadline.",
	.fix_python = "gunicorn: --graceful-timeout bounds the old workers.",
	.fix_c = "Bound the drain: after its deadline close what is left and exit.",
	.fix_nginx = "worker_shutdown_timeout bounds old workers with long connections. HAProxy: hard-stop-after.",
};

const struct check check_upg_5 = {
	.id = "UPG-5", .title = "the new generation takes over", .level = MUST,
	.shows = shows_hand_over, .applies = upg_applies, .judge = judge_upg_5,
	.todo = "start the new generation at the signal and wait until it listens; keep the old one if it does not",
	.why = "A reload that does nothing looks as good as one that works, until somebody needs the new configuration.",
	.proof = "After the signal (or the command) another process has the LISTEN socket open, or another socket listens, and an "
		 "answer comes from it: it names its pid or generation, or its socket is owned by that process (sock_diag).",
	.modes = "SD-UPG-STATE, SD-SIG-WRONG-MEANING",
	.fix_go = "signal.Notify for the reload signal before listening; buffer the channel.",
	.fix_node = "process.on('SIGHUP', ...): the default action ends the process.",
	.fix_python = "gunicorn: HUP without preload_app, or the code stays the old one.",
	.fix_c = "sigaction() for it in the process that the pidfile names.",
	.fix_nginx = "Read error_log: a configuration that does not parse leaves the old workers.",
};
