/* CON-10, CON-11, CON-12: who reads slowly, who reads without end, who is told nothing. */
#include <string.h>

#include "judge/loss.h"
#include "judge/say.h"
#include "judge/shows.h"

static bool reads_on(const struct facts *f, const struct conn_fact *c)
{
	return c->phase == PHASE_SLOW_READER && conn_armed(f, c) && conn_means_to_read(f, c);
}

static bool slow_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep || !has_phase(sc, PHASES(SLOW_READER)))
		return false;
	for_each_judged(f, c) {
		if (reads_on(f, c))
			return true;
	}
	return false;
}

static void judge_con_10(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "a client that reads slowly, but reads, gets every byte of its answer";
	for_each_judged(f, c) {
		if (!reads_on(f, c))
			continue;
		if (c->outcome == CONN_COMPLETED)
			t.good++;
		else if (c->outcome == CONN_HUNG && hung_charged(f, c))
			sum_see(&t, hung_charged(f, c));
		else if (c->outcome == CONN_HUNG)
			sum_unsure(&t, c->still, "%s: still reading when the scenario ended",
				client_name(f, c));
		else if (end_time(f, c) >= contract_from(f, round_of(f, c)))
			t.contract++;
		else if (charged_to_default(f, round_of(f, c)))
			sum_see(&t, "SIG-1");
		else if (sum_bad(&t, MUST, "server", "%s", loss_text(f, c)))
			cite_conn(f, ret, c);
	}
	sum_end(&t, "slow readers got every byte");
}

/* ---- CON-11 ---- */

/* In flight, its head said chunked, and it is over: whole or cut by a FIN. */
static bool chunked(const struct facts *f, const struct conn_fact *c)
{
	return c->phase != PHASE_SLOW_READER && c->head && fact_b(f, c->head) == -1 &&
	       conn_in_flight(f, c);
}

/* An event of a stream is whole when a blank line has ended it; what comes after the last one is thrown away by every client. */
static bool event_cut(const struct facts *f, const struct conn_fact *c)
{
	return strstr(fact_text(f, c->answer), "event is cut") != NULL;
}

static void half_event(struct sum *t, const struct conn_fact *c)
{
	if (sum_bad(t, SHOULD, "application", "%s: the stream ended with its last chunk, but its last event is cut: no blank line "
		    "ends it, so clients throw it away", client_name(t->f, c)))
		cite_conn(t->f, t->ret, c);
}

/* A WebSocket with nothing under way that is dropped without a Close: rude, but the client has all that was sent. */
static enum level stream_level(const struct facts *f, const struct conn_fact *c)
{
	bool quiet = conn_upgraded(f, c) && c->phase != PHASE_STREAMING;

	return quiet && c->end && !strstr(fact_text(f, c->end), "middle") ? SHOULD : MUST;
}

static bool stream_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for_each_judged(f, c) {
		if (chunked(f, c))
			return true;
	}
	return false;
}

static void judge_con_11(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "a stream that is ended early ends with its protocol's close: the last chunk, or the "
			"Close of a WebSocket, then FIN";
	for_each_judged(f, c) {
		if (!chunked(f, c))
			continue;
		if (c->outcome == CONN_COMPLETED && !event_cut(f, c))
			t.good++;
		else if (c->outcome == CONN_COMPLETED && by_contract(f, c, fact_t(f, c->answer)))
			t.contract++;
		else if (c->outcome == CONN_COMPLETED)
			half_event(&t, c);
		else if (c->bad)
			sum_see(&t, "CON-1");
		else if (c->phase == PHASE_PIPELINED && c->answers && !conn_partial(f, c))
			t.good++;       /* the first answer is whole; of the successor not a byte came, which is right */
		else if (c->phase == PHASE_PIPELINED && c->answers)
			sum_see(&t, "CON-5");
		else if (c->outcome == CONN_HUNG && hung_charged(f, c))
			sum_see(&t, hung_charged(f, c));
		else if (c->outcome == CONN_HUNG)
			sum_unsure(&t, c->still, "%s: no end of it was seen", client_name(f, c));
		else if (by_contract(f, c, end_time(f, c)))
			t.contract++;
		else if (strcmp(loss_of(f, c), "CON-11"))
			sum_see(&t, loss_of(f, c));
		else if (charged_to_default(f, round_of(f, c)))
			sum_see(&t, "SIG-1");
		else if (sum_bad(&t, stream_level(f, c), "server", "%s", loss_text(f, c))) {
			cite_conn(f, ret, c);
			ret->hint = conn_upgraded(f, c) ? "send every open WebSocket a Close (1001), wait for the client's, then FIN" :
				    NULL;
		}
	}
	sum_end(&t, "streams ended with their protocol's close");
}

/* ---- CON-12 ---- */

static bool ghost_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for_each_judged(f, c) {
		if (c->connected && round_of(f, c)->exit)
			return true;
	}
	return false;
}

static void judge_con_12(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "when the process is gone, every peer has been told: FIN or RST";
	for_each_judged(f, c) {
		const struct round_fact *r = round_of(f, c);

		if (!c->connected || !r->exit)
			continue;
		if (r->kill) {
			sum_killed(&t, r);
		} else if (!conn_ghost(f, c)) {
			t.good++;
		} else if (sum_bad(&t, MUST, "server",
				   "%s: the process ended %s after %s, this client is still "
				   "ESTABLISHED, the server's end does not exist any more, and nothing "
				   "was sent: no FIN, no RST%s",
				   client_name(f, c), after_signal(f, r, r->exit), first_signal(f, r),
				   f->wire == WIRE_OK ? " on the wire" : "")) {
			cite_conn(f, ret, c);
			cite(ret, r->exit);
			cite(ret, c->still);
			ret->hint = "TCP_DEFER_ACCEPT keeps connections that sent nothing out of the "
				    "accept queue, and nobody tells them: switch it off (nginx: listen without "
				    "`deferred`; Apache: AcceptFilter http none; HAProxy: no defer-accept; unicorn: "
				    "tcp_defer_accept: false)";
		}
	}
	sum_end(&t, "peers were told of the end");
}

const struct check check_con_10 = {
	.id = "CON-10", .title = "a slow reader gets every byte", .level = MUST,
	.shows = shows_slow_reader, .applies = slow_applies, .judge = judge_con_10,
	.todo = "let a connection go when its last byte is written to the socket, not when its handler has returned",
	.why = "write() returning is not delivery: what the socket buffer did not take is still in the "
	       "server. One that ends with it loses the end of every big answer to a slow network, "
	       "with status 200.",
	.proof = "Armed: the server's send queue is full and its persist timer runs (sock_diag), so "
		 "the window is zero. After the signal the client reads on and counts.",
	.modes = "SD-INFLIGHT-TRUNC, SD-PEER-ZEROWIN",
	.fix_go = "Shutdown waits for it; give its context more time than the slowest download, and do "
		  "not set WriteTimeout below it.",
	.fix_node = "Since 19, server.close() sweeps idle connections, and takes one for idle whose "
		    "res.end() was called though its bytes are not all written. "
		    "net.Server.prototype.close.call(server, done) stops listening without the sweep; "
		    "end each connection on its response's 'finish'.",
	.fix_python = "asyncio: await writer.drain() and writer.wait_closed() before the loop stops.",
	.fix_c = "Keep the connection in the loop until its output buffer is empty; exit when the last "
		 "is.",
	.fix_nginx = "QUIT waits; worker_shutdown_timeout must exceed the slowest download; "
		     "send_timeout bounds silence.",
};

const struct check check_con_11 = {
	.id = "CON-11", .title = "a stream ends with its protocol's close", .level = MUST,
	.shows = shows_clients, .applies = stream_applies, .judge = judge_con_11,
	.todo = "end every open stream with its last chunk (\"0\\r\\n\\r\\n\") before the connection is closed",
	.why = "The last chunk (RFC 9112, 7.1) is the only difference between a stream that ended and "
	       "one that broke: without it every client must call the answer incomplete (RFC 9112, 8). "
	       "So is the Close of a WebSocket (RFC 6455, 7.1.5: without it the client reports 1006).",
	.proof = "A chunked answer had begun, or a WebSocket was open, before the signal. Then the client saw FIN "
		 "without the last chunk, without a Close. Where no message was under way that is SHOULD. Of "
		 "text/event-stream the end is looked at too: an event that no blank line ends is cut.",
	.modes = "SD-INFLIGHT-TRUNC, SD-STREAM-NEVER, SD-WS-NO-CLOSE, SD-INFLIGHT-UPGRADED",
	.fix_go = "In streaming handlers select on a channel closed by srv.RegisterOnShutdown and "
		  "return: net/http writes the last chunk. Shutdown does not know hijacked connections: keep "
		  "a set of WebSockets, and send each a Close there.",
	.fix_node = "Keep a Set of open streams; on the signal call res.end() on each, then "
		    "server.close(). ws: client.close(1001) for each of wss.clients.",
	.fix_python = "Let the generator return when the server is stopping, by an event that it waits "
		      "for together with its data; the last chunk follows by itself.",
	.fix_c = "While draining write \"0\\r\\n\\r\\n\" on every open stream before "
		 "shutdown(SHUT_WR).",
	.fix_nginx = "It passes on what the backend does: end the stream there first.",
};

const struct check check_con_12 = {
	.id = "CON-12", .title = "no ghosts: every peer is told", .level = MUST,
	.applies = ghost_applies, .judge = judge_con_12,
	.todo = "do not set TCP_DEFER_ACCEPT, and close every accepted connection before the process ends",
	.why = "A client whose handshake is complete and that hears nothing waits until its own "
	       "timeout, often minutes. With TCP_DEFER_ACCEPT (tcp(7)) the kernel holds connections "
	       "that sent nothing back as requests, and when the listener closes they are forgotten "
	       "without a word.",
	.proof = "The exit is watched apart from the clients (pidfd). After it this client's socket is "
		 "ESTABLISHED, sock_diag finds no server end, and the capture has no FIN and no RST.",
	.modes = "SD-ACCEPT-DEFER-GHOST",
	.fix_go = "Do not set TCP_DEFER_ACCEPT in ListenConfig.Control.",
	.fix_node = "Node does not set it; look at the proxy in front.",
	.fix_python = "gunicorn and uvicorn do not set it; look at socket options of your own.",
	.fix_c = "Drop TCP_DEFER_ACCEPT: while it is set there is no call that reaches the clients "
		 "that sent nothing.",
	.fix_nginx = "Remove `deferred` from listen.",
};
