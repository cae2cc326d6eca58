/* CON-4, CON-5: requests that were only half there. */
#include "judge/loss.h"
#include "judge/say.h"
#include "judge/shows.h"

#define AT_THE_EXIT (200 * NSEC_PER_MSEC)
#define HALVES (PHASES(HALF_HEADER) | PHASES(HALF_BODY) | PHASES(TRANSACTION))

static bool half_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && has_phase(sc, HALVES) && any_round(f);
}

/* 2xx after the signal, and the rest of the request had not been sent. */
static bool answered_half(const struct facts *f, const struct conn_fact *c)
{
	/* commands before the last one of a transaction are answered at once */
	if (c->phase == PHASE_TRANSACTION && c->answers <= c->asked)
		return false;
	return c->answers && c->status >= 200 && c->status <= 299 &&
	       fact_t(f, c->answer) >= signal_begin(f, round_of(f, c)) &&
	       (!c->request || c->phase == PHASE_TRANSACTION || fact_t(f, c->request) > fact_t(f, c->answer));
}

/* Answered whatever it sent, in the end. Of a transaction only what came after the signal can be that. */
static bool half_done(const struct facts *f, const struct conn_fact *c)
{
	return c->answers && (c->phase != PHASE_TRANSACTION ||
			      fact_t(f, c->answer) >= signal_begin(f, round_of(f, c)));
}

enum half { HALF_GOOD, HALF_BAD, HALF_RACED };

/* After this reset the process sent no byte to anybody, and was gone soon: its sockets were closed by its end. */
static bool was_leaving(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	nsec_t reset = end_time(f, c);

	if (!r->exit || fact_t(f, r->exit) > nsec_add(reset, AT_THE_EXIT))
		return false;
	for_each_conn(f, o) {
		if (round_of(f, o) == r && o->w_last && fact_t(f, o->w_last) > reset && fact_t(f, o->w_last) < fact_t(f, r->exit))
			return false;
	}
	return true;
}

/* A reset is the server's fault unless the rest of the request ran into its FIN. */
static enum half reset_half(const struct facts *f, const struct conn_fact *c)
{
	if (half_done(f, c))
		return HALF_GOOD;
	if (!c->request || fact_t(f, c->request) < signal_begin(f, round_of(f, c)))
		return HALF_BAD;
	if (f->wire != WIRE_OK)
		return HALF_RACED;
	/* nobody was there to read the rest any more: no half request was owed that long */
	if (was_leaving(f, c))
		return HALF_GOOD;
	return c->w_fin && fact_t(f, c->w_fin) <= fact_t(f, c->w_rst) ? HALF_GOOD : HALF_BAD;
}

static void one_half(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	uint32_t end;
	enum conn_how how = conn_how(f, c, &end);
	enum half reset = how == HOW_RST ? reset_half(f, c) : HALF_GOOD;
	bool cut = how == HOW_FIN && c->asked > c->answers && conn_partial(f, c);

	/* NO_ERROR: the answer was enough; REFUSED_STREAM and GOAWAY: it may be asked again */
	cut |= how == HOW_STREAM && !c->answers && fact_a(f, end) != 0 && !conn_retry_safe(f, c);

	if (answered_half(f, c)) {
		if (sum_bad(t, MUST, "application",
			    "%s: status %d for half a request, %s after the signal", client_name(f, c),
			    c->status, after_signal(f, round_of(f, c), c->answer))) {
			cite_conn(f, t->ret, c);
			t->ret->hint = "end of input before the declared end is an error, not the end "
				       "of the body";
		}
	} else if (how == HOW_OPEN) {
		if (hung_charged(f, c))
			sum_see(t, hung_charged(f, c));
		else if (half_done(f, c))
			t->good++;
		else
			sum_unsure(t, c->still, "%s: no end of it was seen", client_name(f, c));
	} else if (reset == HALF_RACED) {
		sum_unsure(t, end,
			"%s: RST after the rest of the request was sent; without packets nobody can "
			"say whether the server had closed before",
			client_name(f, c));
	} else if (reset == HALF_BAD || cut) {
		if (end_time(f, c) >= contract_from(f, round_of(f, c)))
			t->contract++;
		else if (charged_to_default(f, round_of(f, c)))
			sum_see(t, "SIG-1");
		else if (sum_bad(t, MUST, "server", "%s", loss_text(f, c)))
			cite_conn(f, t->ret, c);
	} else {
		t->good++;
	}
}

static void judge_con_4(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "a half-sent request is completed when the rest comes, or gets 408, 503 or a "
			"clean FIN: no RST, no 2xx";
	for_each_judged(f, c) {
		if (in_phase(c, HALVES) && conn_armed(f, c) && !conn_upgraded(f, c))
			one_half(&t, c);        /* half a message is CON-11's */
	}
	sum_end(&t, "half-sent requests ended cleanly");
}

static bool pipeline_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && has_phase(sc, PHASES(PIPELINED)) && any_round(f);
}

static void judge_con_5(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "of a pipelined successor the client gets the whole answer or not one byte of it";
	for_each_judged(f, c) {
		uint32_t end;

		if (c->phase != PHASE_PIPELINED || c->waits || !conn_armed(f, c))
			continue;
		enum conn_how how = conn_how(f, c, &end);

		if (!c->answers && c->outcome == CONN_HUNG && !hung_charged(f, c)) {
			sum_unsure(&t, c->still, "%s: no answer and no end of it was seen", client_name(f, c));
		} else if (!c->answers && c->outcome == CONN_HUNG) {
			sum_see(&t, hung_charged(f, c));
		} else if (!c->answers && c->outcome != CONN_COMPLETED && by_contract(f, c, end_time(f, c))) {
			t.contract++;
		} else if (!c->answers && c->outcome != CONN_COMPLETED) {
			sum_see(&t, loss_of(f, c));     /* the first came to nothing */
		} else if (conn_partial(f, c) && (how == HOW_FIN || how == HOW_RST)) {
			if (end_time(f, c) >= contract_from(f, round_of(f, c)))
				t.contract++;
			else if (charged_to_default(f, round_of(f, c)))
				sum_see(&t, "SIG-1");
			else if (sum_bad(&t, MUST, "server", "the second answer began and was cut: %s",
					 loss_text(f, c)))
				cite_conn(f, ret, c);
		} else {
			t.good++;
		}
	}
	sum_end(&t, "pipelined successors were answered whole or not at all");
}

const struct check check_con_4 = {
	.id = "CON-4", .title = "a half-sent request ends cleanly", .level = MUST,
	.shows = shows_half, .applies = half_applies, .judge = judge_con_4,
	.todo = "answer half a request with 408 or 503, or with a plain FIN; never act on a body that is not whole",
	.why = "Half a request is not yet work, but an RST tells the client nothing, and a 2xx for "
	       "half a body is data loss that looks like success. RFC 9110 has the honest words: 408 "
	       "(15.5.9) and 503 (15.6.4); a FIN is enough.",
	.proof = "Armed: what was sent has been read (the server's receive queue is empty; for a body "
		 "also 100 Continue). Then: how the connection ended. An RST after the server's own "
		 "FIN, provoked by the rest of the request, is not held against it.",
	.modes = "SD-IDLE-NEW-BLOCKS, SD-INFLIGHT-RST-UNREAD",
	.fix_go = "Shutdown treats a connection that has sent no whole header as new and closes it "
		  "after 5 s; set ReadHeaderTimeout. In handlers check the error of "
		  "io.ReadAll(r.Body): io.ErrUnexpectedEOF is no end.",
	.fix_node = "server.headersTimeout and requestTimeout bound it; look at req.complete before "
		    "acting on a body.",
	.fix_python = "Compare the bytes read with Content-Length before acting; ASGI: http.disconnect "
		      "is not the end of the body.",
	.fix_c = "While draining answer 408 with Connection: close, or shutdown(SHUT_WR), read what "
		 "comes for a moment, close.",
	.fix_nginx = "client_header_timeout and client_body_timeout bound it; worker_shutdown_timeout "
		     "closes what is left.",
};

const struct check check_con_5 = {
	.id = "CON-5", .title = "a pipelined successor is not half-run", .level = MUST,
	.shows = shows_pipelined, .applies = pipeline_applies, .judge = judge_con_5,
	.todo = "look at the stop flag between two requests of a connection, never within an answer",
	.why = "A client may send the next request before the answer to the first (RFC 9112, 9.3.2). "
	       "When the server closes after the first answer, the client may repeat what was not "
	       "answered at all; of a half answer it cannot know.",
	.proof = "Two requests in one segment, the first proven in flight. A first byte of the second "
		 "answer without its end is a failure; none of it, or all of it, is right.",
	.modes = "SD-INFLIGHT-RST-UNREAD, SD-INFLIGHT-TRUNC",
	.fix_go = "net/http serves one request of a connection at a time and stops between two: "
		  "nothing to do.",
	.fix_node = "After server.close() let the current answer carry Connection: close; Node then "
		    "stops reading.",
	.fix_python = "After the drain began answer with Connection: close and do not parse what is "
		      "buffered.",
	.fix_c = "Look at the drain flag before parsing the next request, never in the middle of its "
		 "answer.",
	.fix_nginx = "It stops between requests on QUIT: nothing to do.",
};
