/* PEER-1, PEER-2: one client that does nothing must not decide when the server may go. SHOULD: their
 * own timeouts bound many good servers. */
#include <string.h>

#include "judge/say.h"
#include "judge/shows.h"

static bool stuck(const struct facts *f, const struct conn_fact *c)
{
	return c->phase == PHASE_SLOW_READER || f->sc->clients[c->spec].never_closes;
}

/* The root left, and a process of its own stayed with such a client (exim, sshd: one for each connection). */
static bool outlived_root(const struct facts *f, const struct round_fact *r, struct sum *t, const char *id)
{
	bool any = false;

	for_each_event(f, EV_LEFT_PROCESS, n) {
		const struct conn_fact *c = survivor_waits_for(f, n);
		const char *charged = survivor_charged(f, n);

		if (fact_event(f, n)->round != r->id || !r->exit || r->kill || !c || !charged || strcmp(charged, id))
			continue;
		any = true;
		if (sum_bad(t, SHOULD, "server", "process %lld (%s) is alive %s after the end of the process that was "
			    "signalled: it waits for %s", (long long)fact_a(f, n), fact_text(f, n),
			    between(f, r->exit, n), client_name(f, c))) {
			cite(t->ret, r->sig);
			cite_conn(f, t->ret, c);
			cite(t->ret, r->exit);
			cite(t->ret, n);
		}
	}
	return any;
}

typedef bool kind_fn(const struct facts *, const struct conn_fact *);

/* Such a client of the round; if it hangs, one that was still there then, for another did not hold it. */
static const struct conn_fact *one_such(const struct facts *f, const struct round_fact *r, kind_fn *is)
{
	const struct hung *h = hang_of(f, r);
	const struct conn_fact *one = NULL;

	for (uint32_t n = h->let_go ? f->first[EV_HELD] : 0; n; n = f->next[n]) {
		const struct conn_fact *c = held_client(f, r, n);

		if (c && is(f, c) && conn_armed(f, c))
			return c;
	}
	for_each_judged(f, c) {
		if (round_of(f, c) != r || !is(f, c) || !conn_armed(f, c))
			continue;
		if (h->kind == HANG_NONE || conn_open_at(f, c, nsec_sub(h->at, 1)))
			return c;
		one = one ? one : c;
	}
	return one;
}

static void judge_peer(const struct facts *f, struct finding *ret, const char *id, kind_fn *is)
{
	struct sum t;

	sum_begin_of(&t, f, ret, "rounds");
	ret->level = SHOULD;
	for_each_round(f, r) {
		const struct hung *h = hang_of(f, r);
		const struct conn_fact *one = one_such(f, r, is);

		if (!one || outlived_root(f, r, &t, id))
			continue;
		if (h->kind == HANG_NONE) {
			if (r->exit)
				t.good++;
			else
				sum_unsure(&t, r->sig, "no end of the process was seen");
		} else if (h->kind == HANG_BORDER || !h->charged) {
			sum_unsure(&t, r->exit ? r->exit : r->kill, "%s",
				h->why ? h->why : "it ended just at its limit");
		} else if (strcmp(h->charged, id)) {
			sum_see(&t, h->charged);
		} else if (sum_bad(&t, SHOULD, "server",
				   "%s after %s it was still there: %s (%s, and %u such in all); "
				   "suspect: %s",
				   after_signal(f, r, r->kill ? r->kill : r->exit), first_signal(f, r),
				   h->why, client_name(f, one), h->clients, suspect_of(f, r))) {
			cite(ret, r->sig);
			cite_conn(f, ret, one);
			for (unsigned i = 0; i < h->n_cites; i++)
				cite(ret, h->cites[i]);
			cite(ret, r->kill ? r->kill : r->exit);
			cite(ret, r->autopsy);
		}
	}
	sum_end(&t, "rounds ended in spite of such clients");
}

static bool silent(const struct facts *f, const struct conn_fact *c)
{
	(void)f;
	return in_phase(c, SILENT_PHASES);
}

static bool silent_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && has_phase(sc, SILENT_PHASES) && any_round(f);
}

static void judge_peer_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	(void)sc, (void)arena;
	ret->expected = arena_printf(f->arena,
		"clients that are silent or sent half a request do not keep it alive past %s",
		time_text(f, grace_of(f)));
	judge_peer(f, ret, "PEER-1", silent);
}

static bool stuck_applies(const struct scenario *sc, const struct facts *f)
{
	bool any = has_phase(sc, PHASES(SLOW_READER));

	for (size_t i = 0; i < sc->n_clients; i++)
		any |= sc->clients[i].never_closes;
	return !sc->sweep && any && any_round(f);
}

static void judge_peer_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	(void)sc, (void)arena;
	ret->expected = arena_printf(f->arena,
		"clients that do not read, or do not close, do not keep it alive past %s",
		time_text(f, grace_of(f)));
	judge_peer(f, ret, "PEER-2", stuck);
}

const struct check check_peer_1 = {
	.id = "PEER-1", .title = "a silent client does not outlast the grace", .level = SHOULD,
	.shows = shows_silent, .applies = silent_applies, .judge = judge_peer_1,
	.todo = "bound the wait for a request's head below the grace, and close silent connections when the stop begins",
	.why = "Browsers connect ahead of need, and port scanners leave halves behind. Half of the "
	       "servers that were measured wait for such a client until its header timeout, 30 to 60 "
	       "s: longer than a supervisor does.",
	.proof = "A client that sent nothing, or half a request, proven accepted and read; at the end "
		 "of the grace the process is there and this connection is still open, or was 100 ms before.",
	.modes = "SD-IDLE-NEW-BLOCKS, SD-PEER-SLOW",
	.fix_go = "ReadHeaderTimeout below the grace; Shutdown then waits at most 5 s for new "
		  "connections.",
	.fix_node = "server.headersTimeout below the grace, or server.closeAllConnections() after a "
		    "deadline.",
	.fix_python = "gunicorn sync: --graceful-timeout below the supervisor's; asyncio: wait_for() "
		      "around the header.",
	.fix_c = "A drain timer: when it fires, close what has no whole request.",
	.fix_nginx = "worker_shutdown_timeout 5s; client_header_timeout bounds it otherwise (60 s).",
};

const struct check check_peer_2 = {
	.id = "PEER-2",
	.title = "a client that does not read or close does not outlast the grace",
	.level = SHOULD,
	.shows = shows_stuck, .applies = stuck_applies,
	.judge = judge_peer_2,
	.todo = "give the drain a deadline below the grace, and close what is still open at its end",
	.why = "A zero window is probed for ever as long as the peer answers (RFC 9293, 3.8.6.1; "
	       "tcp_probe_timer, net/ipv4/tcp_timer.c), and a peer that never closes leaves "
	       "FIN-WAIT-2. One phone in a tunnel then decides when a server may restart.",
	.proof = "Zero window: the persist timer runs at the server's end. Never closing: the client "
		 "saw EOF and keeps its socket. At the end of the grace the process is still there, and its "
		 "end of the connection is open, or was 100 ms before.",
	.modes = "SD-PEER-ZEROWIN, SD-PEER-HALF, SD-EXIT-HANG",
	.fix_go = "http.Server.WriteTimeout, and Close() after Shutdown's context has expired.",
	.fix_node = "socket.setTimeout() and closeAllConnections() after a deadline.",
	.fix_python = "asyncio: wait_for(writer.drain(), ...), then transport.abort().",
	.fix_c = "TCP_USER_TIMEOUT (tcp(7)) on accepted sockets, and a drain timer that closes what is "
		 "left; never wait for the peer's FIN without one.",
	.fix_nginx = "worker_shutdown_timeout; send_timeout; reset_timedout_connection on.",
};
