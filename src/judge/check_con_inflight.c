/* CON-1, CON-2, CON-3: requests that the server had read when the signal came. */
#include <stdlib.h>
#include <string.h>

#include "judge/loss.h"
#include "judge/notify.h"
#include "judge/shows.h"

#define OWED (PHASES(WAITING) | PHASES(STREAMING) | PHASES(HALF_CLOSED) | PHASES(PIPELINED))
#define AT_THE_EXIT (20 * NSEC_PER_MSEC)
#define LEAVING (2 * NSEC_PER_SEC)

/* Slow readers are CON-10's; of a pipeline the first request counts here, its successor is CON-5's. */
static bool counts(const struct facts *f, const struct conn_fact *c)
{
	return c->phase != PHASE_SLOW_READER && conn_in_flight(f, c);
}

static bool in_flight_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep || !any_round(f))
		return false;
	if (has_phase(sc, OWED))
		return true;
	for_each_judged(f, c) {
		if (counts(f, c))
			return true;
	}
	return false;
}

/* Its handler had what it waited for when the connection ended, and the process lived on: nobody's leaving cut this. */
static bool dropped_answer(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);

	return c->gate && r->released && fact_before(f, c->gate, end_time(f, c)) &&
	       fact_before(f, r->released, end_time(f, c)) && r->exit &&
	       nsec_sub(fact_t(f, r->exit), end_time(f, c)) > AT_THE_EXIT;
}

/* Did the process leave, and the connection with it? It was gone right after, and between the two nobody got an answer any
 * more. (How long an interpreter takes to go is the machine's matter, not the cause.) */
static bool left_with_it(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	nsec_t end = end_time(f, c), apart = nsec_sub(fact_t(f, r->exit), end);

	if (!r->exit || apart >= LEAVING || apart <= -AT_THE_EXIT || dropped_answer(f, c))
		return false;
	for_each_judged(f, d) {
		if (round_of(f, d) == r && d->answer && fact_t(f, d->answer) > nsec_add(end, AT_THE_EXIT))
			return false;
	}
	return true;
}

/* Lost because the process left, or while it lived on? The remedy is another. */
static void blame_loss(const struct facts *f, const struct conn_fact *c, struct finding *ret)
{
	const struct round_fact *r = round_of(f, c);
	const char *wrong_signal = drain_signal_hint(f, r);

	ret->whose = "server";
	if (wrong_signal) {
		ret->whose = "environment";
		ret->hint = wrong_signal;
	} else if (died_of_default(f, r)) {
		ret->whose = "application";
		ret->hint = arena_printf(f->arena,
			"install a handler for %s before accepting: the default action kills at once",
			first_signal(f, r));
	} else if (left_with_it(f, c)) {
		ret->whose = "application";
		ret->hint = "the process left while the request was in flight: return from main only "
			    "after the server's shutdown has returned";
	} else if (dropped_answer(f, c)) {
		ret->hint = arena_printf(f->arena,
			"the gate had answered its handler %s before that, and the process lived on for %s: send what "
			"handlers have written before the connection is closed",
			time_text(f, nsec_sub(end_time(f, c), fact_t(f, r->released))),
			time_text(f, nsec_sub(fact_t(f, r->exit), end_time(f, c))));
	}
	cite(ret, left_with_it(f, c) ? r->exit : 0);
}

static void lost(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;

	if (sum_bad(t, MUST, "server", "%s", loss_text(f, c))) {
		cite_conn(f, t->ret, c);
		blame_loss(f, c, t->ret);
	}
}

static void wrong_bytes(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;

	if (sum_bad(t, MUST, "application", "%s: the answer arrived, but its bytes are wrong: %s",
		    client_name(f, c), fact_text(f, c->bad)))
		cite_conn(f, t->ret, c);
}

/* Its handler was waiting for the gate, which would have answered 200, and did not wait for it. */
static bool gave_up(const struct facts *f, const struct conn_fact *c)
{
	uint32_t released = round_of(f, c)->released;

	return c->gate && fact_before(f, c->gate, signal_begin(f, round_of(f, c))) &&
	       (!released || fact_before(f, c->fail5xx, fact_t(f, released)));
}

/* Of a handshake 503 loses nothing: the WebSocket was not opened, and its client opens it elsewhere. */
static bool refused_handshake(const struct facts *f, const struct conn_fact *c)
{
	const char *protocol = f->sc->clients[c->spec].protocol;

	return atoi(fact_text(f, c->fail5xx)) == 503 && protocol && strstr(protocol, "websocket");
}

static void refused_work(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	uint32_t before = f->n_lines && c->line < f->n_lines ? f->lines[c->line].ok : 0;
	const char *said = before ? arena_printf(f->arena, "before the signal '%s' was answered 2xx", f->lines[c->line].text) :
				    "its handler did not wait for the gate, which would have answered 200";
	const char *text = arena_printf(f->arena, "%s: status %d, %s after %s; %s", client_name(f, c), atoi(fact_text(f, c->fail5xx)),
		after_signal(f, round_of(f, c), c->fail5xx), first_signal(f, round_of(f, c)), said);

	if (sum_bad(t, MUST, "application", "%s", text)) {
		cite_conn(f, t->ret, c);
		cite(t->ret, c->fail5xx);
		cite(t->ret, before);
		t->ret->hint = "close pools and clients that handlers use only after the last handler "
			       "has returned";
	}
}

static void hung_elsewhere(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	const char *id = hung_charged(f, c);

	if (id)
		sum_see(t, id);
	else
		sum_unsure(t, c->still, "%s: no answer and no end of it was seen%s%s",
			client_name(f, c), hang_of(f, round_of(f, c))->why ? "; " : "",
			hang_of(f, round_of(f, c))->why ? hang_of(f, round_of(f, c))->why : "");
}

static void one_in_flight(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	nsec_t when = end_time(f, c);
	bool told_5xx = c->fail5xx && fact_t(f, c->fail5xx) >= signal_begin(f, round_of(f, c)) &&
			!refused_handshake(f, c) && (gave_up(f, c) || (f->n_lines && c->line < f->n_lines && f->lines[c->line].ok));

	if (told_5xx && by_contract(f, c, fact_t(f, c->fail5xx)))
		t->contract++;
	else if (told_5xx)
		refused_work(t, c);
	else if (c->bad)
		wrong_bytes(t, c);
	else if (c->outcome == CONN_COMPLETED || c->outcome == CONN_RETRY_SAFE ||
		 (c->phase == PHASE_PIPELINED && c->answers))
		t->good++;
	else if (c->outcome == CONN_HUNG)
		hung_elsewhere(t, c);
	else if (by_contract(f, c, when))
		t->contract++;
	else if (strcmp(loss_of(f, c), "CON-1"))
		sum_see(t, loss_of(f, c));
	else if (whole_unknown(f, c) && !server_notifies(f))
		sum_unsure(t, c->end, "%s: this server never says close_notify", loss_text(f, c));
	else
		lost(t, c);
}

static void judge_con_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "every request that the server had read when the signal came gets its whole "
			"answer, byte for byte";
	for_each_judged(f, c) {
		if (counts(f, c))
			one_in_flight(&t, c);
	}
	sum_end(&t, "requests in flight were answered whole");
}

static void judge_con_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "no RST on a connection whose request was read, before its answer is complete";
	for_each_judged(f, c) {
		if (!counts(f, c))
			continue;
		if (c->phase == PHASE_PIPELINED && c->answers)
			t.good++;       /* what comes after the first answer is CON-3's and CON-5's */
		else if (c->outcome == CONN_HUNG)
			hung_elsewhere(&t, c);
		else if (c->outcome != CONN_RESET_IN_FLIGHT)
			t.good++;
		else if (by_contract(f, c, end_time(f, c)))
			t.contract++;
		else if (second_broke_it(f, c, end_time(f, c)))
			sum_see(&t, "SIG-3");
		else
			lost(&t, c);
	}
	sum_end(&t, "requests in flight saw no RST");
}

/* The whole answer was read, and then an RST instead of a FIN: nothing was lost this time. */
static bool reset_after_answer(const struct facts *f, const struct conn_fact *c)
{
	uint32_t end;

	return conn_how(f, c, &end) == HOW_RST && c->answers && !conn_partial(f, c) && c->answer < end &&
	       fact_t(f, c->answer) >= signal_begin(f, round_of(f, c));
}

static bool tail_applies(const struct scenario *sc, const struct facts *f)
{
	if (!in_flight_applies(sc, f))
		return false;
	for_each_judged(f, c) {
		if (counts(f, c) && c->phase != PHASE_LOOP)
			return true;
	}
	return has_phase(sc, OWED);
}

static void judge_con_3(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "an answer that was sent whole arrives whole, and ends with FIN";
	for_each_judged(f, c) {
		if (!counts(f, c) || c->phase == PHASE_LOOP)
			continue;
		bool missing = c->outcome == CONN_TAIL_LOST;

		if ((missing || reset_after_answer(f, c)) && by_contract(f, c, end_time(f, c))) {
			t.contract++;
		} else if (missing) {
			lost(&t, c);
			ret->hint = "read what the client still sends (or shutdown(SHUT_WR) and wait) "
				    "before close()";
		} else if (reset_after_answer(f, c)) {
			const char *text = arena_printf(f->arena,
				"%s: the whole answer, then RST %s after it%s", client_name(f, c),
				time_text(f, nsec_sub(end_time(f, c), fact_t(f, c->answer))),
				c->w_rst ? arena_printf(f->arena, " (frame %u)",
						   fact_event(f, c->w_rst)->frame) :
					   "");

			if (sum_bad(&t, SHOULD, "server", "%s", text)) {
				cite_conn(f, ret, c);
				ret->hint = conn_upgraded(f, c) ? "wait for the client's Close before the socket is closed" : NULL;
			}
		} else if (c->outcome == CONN_COMPLETED || c->outcome == CONN_RETRY_SAFE ||
			   (c->phase == PHASE_PIPELINED && c->answers)) {
			t.good++;
		} else if (c->outcome == CONN_HUNG) {
			hung_elsewhere(&t, c);
		} else if (!c->bad && by_contract(f, c, end_time(f, c))) {
			t.contract++;
		} else {
			sum_see(&t, loss_of(f, c));
		}
	}
	sum_end(&t, "answers in flight ended without RST");
}

const struct check check_con_1 = {
	.id = "CON-1", .title = "a request in flight gets its whole answer", .level = MUST,
	.shows = shows_owed, .applies = in_flight_applies, .judge = judge_con_1,
	.todo = "stop accepting, wait until every handler has answered, and only then let the process end",
	.why = "A request that the server has read is a promise: the client cannot know whether it had "
	       "an effect, so it may not repeat it unless it is idempotent (RFC 9110, 9.2.2). An "
	       "answer shorter than its Content-Length is incomplete (RFC 9112, 8), and load "
	       "generators often count it as a success: a 200 that is a lie.",
	.proof = "Armed: the kernel shows the server's end with an inode (accepted) and an empty "
		 "receive queue (read), or the request reached the gate. Then every byte of the answer "
		 "is compared: status, length, echoed nonce, and the server's FIN or RST on the wire. "
		 "A 5xx counts if the same request was answered 2xx before the signal (the battery asks once before, in in-flight), or if the handler did not wait for the gate.",
	.modes = "SD-INFLIGHT-CUT, SD-INFLIGHT-TRUNC, SD-INFLIGHT-5XX, SD-SIG-NO-HANDLER, "
		 "SD-SIG-WRONG-MEANING, SD-SIG-EINTR-APP",
	.fix_go = "ListenAndServe returns as soon as Shutdown begins: call srv.Shutdown(ctx) in main "
		  "and wait for its return (close a channel after it) before main returns; never call "
		  "os.Exit or log.Fatal beside it.",
	.fix_node = "server.close(() => process.exit(0)), and nothing else that exits; close database "
		    "pools inside that callback.",
	.fix_python = "Stop accepting, await or join what handlers do, and only then return. uvicorn, "
		      "gunicorn: send TERM, not QUIT, with a graceful timeout above your slowest request. "
		      "http.server: run shutdown() from another thread and join handler threads (daemon_threads = False).",
	.fix_c = "In the handler write one byte to a self-pipe (or use signalfd); the loop closes the "
		 "listener, counts requests down to 0, and only then leaves main.",
	.fix_nginx = "Stop with QUIT (nginx -s quit): TERM and INT are the fast shutdown, which cuts. "
		     "In systemd or a container: KillSignal=SIGQUIT, STOPSIGNAL SIGQUIT.",
};

const struct check check_con_2 = {
	.id = "CON-2", .title = "no RST on a request in flight", .level = MUST,
	.shows = shows_owed, .applies = in_flight_applies, .judge = judge_con_2,
	.todo = "close a connection only after its answer is written and its request read: shutdown(SHUT_WR), then close()",
	.why = "An RST discards what the client has not read yet, and most clients report it as a "
	       "network fault, not as a server that stopped. The kernel sends it when a socket is "
	       "closed with unread data (tcp_close, net/ipv4/tcp.c; RFC 9293, 3.6.1), with SO_LINGER "
	       "0, or when data arrives for a socket that is gone.",
	.proof = "The client's read returned ECONNRESET before the answer was complete; with a capture "
		 "the server's RST frame is cited, and a capture without one makes the run BROKEN, not "
		 "a verdict.",
	.modes = "SD-INFLIGHT-CUT, SD-INFLIGHT-RST-UNREAD, SD-INFLIGHT-H2H3",
	.fix_go = "srv.Shutdown(ctx), not srv.Close(), which resets what has unread data; after a "
		  "timed-out Shutdown call Close knowingly.",
	.fix_node = "Do not socket.destroy() or call server.closeAllConnections() while requests run.",
	.fix_python = "Do not close the transport or call loop.stop() with tasks running: gather the "
		      "handlers first.",
	.fix_c = "Never SO_LINGER {1, 0} on a live connection; read the request to its end before "
		 "close().",
	.fix_nginx = "QUIT, not TERM; worker_shutdown_timeout longer than the slowest answer.",
};

const struct check check_con_3 = {
	.id = "CON-3", .title = "no lost tail: an answer that was sent arrives", .level = MUST,
	.shows = shows_owed, .applies = tail_applies, .judge = judge_con_3,
	.todo = "read what the client still sends (or shutdown(SHUT_WR) and wait for its FIN) before close()",
	.why = "close() with unread bytes in the receive queue (a pipelined request, the rest of an "
	       "upload) makes the kernel send RST instead of FIN, and the RST can overtake the end of "
	       "the answer. RFC 9112, 9.6 asks servers to close in steps: stop writing, read on until "
	       "the client closes, then close.",
	.proof = "MUST: the wire shows the whole answer sent, and the client got only part of it "
		 "because of an RST. SHOULD: the answer was read in full and the RST came after it; it "
		 "survived this time.",
	.modes = "SD-INFLIGHT-RST-UNREAD",
	.fix_go = "Read the body in the handler (io.Copy(io.Discard, r.Body)); net/http then closes in "
		  "steps by itself.",
	.fix_node = "Consume the request (req.resume()) before res.end() when answering early.",
	.fix_python = "gunicorn before 26 closes at once: put a proxy in front that buffers requests, "
		      "or update.",
	.fix_c = "shutdown(fd, SHUT_WR), read until 0 or a short deadline, then close(fd).",
	.fix_nginx = "lingering_close on (the default) does it; do not switch it off.",
};
