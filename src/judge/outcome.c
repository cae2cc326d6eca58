/* How each connection ended: one of eleven outcomes, and whether the witnesses agree about it. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>

#include "judge/outcome.h"
#include "judge/say.h"

#define REFUSED_STREAM 7        /* RFC 9113 7 */
#define NONCE_DIGITS 16

#define X(id, name) [CONN_##id] = name,
const char *const conn_outcome_names[CONN_N] = { CONN_OUTCOMES(X) };
#undef X

static nsec_t kill_t(const struct facts *f, const struct conn_fact *c)
{
	return fact_t(f, round_of(f, c)->kill);
}

enum conn_how conn_how(const struct facts *f, const struct conn_fact *c, uint32_t *ret_event)
{
	nsec_t kill = kill_t(f, c);
	uint32_t end = c->end && fact_t(f, c->end) <= kill ? c->end : 0;
	/* closing what was still open at the end is ours, not the scenario's */
	uint32_t closed = c->closed && !c->still && fact_t(f, c->closed) <= kill ? c->closed : 0;

	*ret_event = 0;
	if (c->rst_stream && fact_t(f, c->rst_stream) <= kill &&
	    (!end || fact_t(f, c->rst_stream) <= fact_t(f, end)) &&
	    (!closed || fact_t(f, c->rst_stream) <= fact_t(f, closed))) {
		*ret_event = c->rst_stream;
		return HOW_STREAM;
	}
	if (closed && (!end || fact_t(f, closed) < fact_t(f, end))) {
		*ret_event = closed;
		return HOW_CLIENT;
	}
	if (end) {
		*ret_event = end;
		return fact_event(f, end)->kind == EV_EOF_SEEN ? HOW_FIN : HOW_RST;
	}
	/* connect() itself can report the reset of a connection that was complete for an instant */
	if (!c->connected && c->refused && fact_a(f, c->refused) == ECONNRESET) {
		*ret_event = c->refused;
		return HOW_RST;
	}
	*ret_event = c->still;
	return HOW_OPEN;
}

bool conn_retry_safe(const struct facts *f, const struct conn_fact *c)
{
	bool disowned = c->goaway_last && c->stream && fact_a(f, c->stream) > fact_a(f, c->goaway_last);
	bool refused = c->rst_stream && fact_a(f, c->rst_stream) == REFUSED_STREAM;

	return (disowned || refused) && c->asked > c->answers && !c->gate && !conn_partial(f, c) && !c->logged;
}

uint32_t conn_error(const struct facts *f, const struct conn_fact *c)
{
	return c->goaway_last && fact_b(f, c->goaway_last) ? c->goaway_last : 0;
}

uint32_t head_of_cut(const struct facts *f, const struct conn_fact *c)
{
	return conn_partial(f, c) && c->head > c->first_byte ? c->head : 0;
}

bool conn_upgraded(const struct facts *f, const struct conn_fact *c)
{
	return c->head && fact_a(f, c->head) == 101 && fact_b(f, c->head) == -1;
}

bool conn_partial(const struct facts *f, const struct conn_fact *c)
{
	return c->first_byte && fact_a(f, c->first_byte) >= (int64_t)c->answers;
}

enum accepted conn_accepted(const struct facts *f, const struct conn_fact *c)
{
	if (c->answers || c->first_byte || c->tls || c->cont100 || c->gate || c->greeting || c->peer_inode ||
		(c->proven && fact_b(f, c->proven) > 0))
		return ACCEPT_YES;
	if (c->proven && (c->phase == PHASE_BACKLOG || c->phase == PHASE_CONNECTED))
		return ACCEPT_NO;
	/* seen, and it had no file: still in the accept queue */
	if (c->peer && fact_a(f, c->peer) == TCP_ESTABLISHED)
		return ACCEPT_NO;
	return ACCEPT_UNKNOWN;
}

static bool phase_owes(uint8_t phase)
{
	return phase == PHASE_WAITING || phase == PHASE_STREAMING || phase == PHASE_HALF_CLOSED ||
	       phase == PHASE_SLOW_READER || phase == PHASE_PIPELINED;
}

uint32_t conn_left_early(const struct facts *f, const struct conn_fact *c)
{
	nsec_t sig = signal_begin(f, round_of(f, c));

	if (!c->proven || sig == NSEC_NEVER)
		return 0;
	if (!fact_before(f, c->proven, nsec_add(signal_end(f, round_of(f, c)), 1)))
		return c->proven;       /* proven only after it */
	if (fact_before(f, c->end, sig))
		return c->end;
	if (fact_before(f, c->closed, sig))
		return c->closed;
	/* the client may not have read it yet when the signal was sent */
	if (fact_before(f, c->w_fin, sig))
		return c->w_fin;
	if (fact_before(f, c->w_rst, sig))
		return c->w_rst;
	if ((phase_owes(c->phase) || conn_upgraded(f, c)) && c->answers && fact_before(f, c->answer, sig) &&
	    (c->answers >= c->asked || c->phase == PHASE_PIPELINED))
		return c->answer;
	return 0;
}

uint32_t conn_ended_early(const struct facts *f, const struct conn_fact *c)
{
	uint32_t left = conn_left_early(f, c);

	return left && left != c->proven && (left == c->end || left == c->w_fin || left == c->w_rst) ? left : 0;
}

bool conn_armed(const struct facts *f, const struct conn_fact *c)
{
	return c->proven && !c->unproven && round_of(f, c)->sig && !conn_left_early(f, c);
}

/* Loops are not proven into a phase. That the server had read the request is not enough: between the read and the handler it may
 * look at its stop flag and rightly drop it (Go's net/http does). At the gate it was in the handler. */
static bool handled_before_signal(const struct facts *f, const struct conn_fact *c)
{
	nsec_t sig = signal_begin(f, round_of(f, c));
	/* of a connection used before, whose call it was: both texts begin with the nonce */
	bool own = c->asked == 1 || (c->request && c->gate_last &&
				     !strncmp(fact_text(f, c->gate_last), fact_text(f, c->request), NONCE_DIGITS));

	if (!own || !fact_before(f, c->asked == 1 ? c->gate : c->gate_last, sig))
		return false;
	return c->asked > c->answers ? !fact_before(f, c->end, sig) : !fact_before(f, c->answer, sig);
}

bool conn_in_flight(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	uint32_t end;

	if (!r->sig || c->spec == NO_SPEC || !c->connected)
		return false;
	if (c->waits)                   /* CON-13's */
		return false;
	if (phase_owes(c->phase) || conn_upgraded(f, c))
		return conn_armed(f, c);
	/* it crossed the first GOAWAY: the last one says whether the server took it */
	if (c->phase == PHASE_GOAWAY_RACE)
		return conn_armed(f, c) && c->request;
	if (c->phase != PHASE_LOOP && c->phase != PHASE_LATE && c->phase != PHASE_BACKLOG)
		return false;
	if (c->phase == PHASE_LOOP && handled_before_signal(f, c))
		return true;
	/* an answer that began is the proof that the request was read, whenever it came */
	enum conn_how how = conn_how(f, c, &end);

	return c->asked > c->answers && (how == HOW_FIN || how == HOW_RST || how == HOW_STREAM) &&
	       conn_partial(f, c) && !fact_before(f, end, signal_begin(f, r));
}

bool conn_open_at(const struct facts *f, const struct conn_fact *c, nsec_t t)
{
	bool keeps = c->spec != NO_SPEC && f->sc->clients[c->spec].never_closes;

	if (!c->connected || fact_t(f, c->connected) > t || (c->closed && fact_t(f, c->closed) <= t))
		return false;
	if (c->end && fact_t(f, c->end) <= t)
		return keeps && fact_event(f, c->end)->kind == EV_EOF_SEEN;
	return true;
}

/* The kernel goes on by itself for a socket whose process is gone, while there is data to deliver: that
 * is no ghost. */
static bool server_end_alive(int64_t state)
{
	return state == TCP_ESTABLISHED || state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 ||
	       state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;
}

bool conn_ghost(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	uint32_t end;

	if (!r->exit || r->kill || !c->connected || !c->still || conn_how(f, c, &end) != HOW_OPEN)
		return false;
	if (fact_t(f, c->still) < fact_t(f, r->exit) || fact_a(f, c->still) != TCP_ESTABLISHED)
		return false;
	/* what the server's kernel answers to our own closing at the end tells nobody anything */
	if (f->wire == WIRE_OK && ((c->w_fin && fact_t(f, c->w_fin) < fact_t(f, c->still)) ||
				   (c->w_rst && fact_t(f, c->w_rst) < fact_t(f, c->still))))
		return false;
	return !server_end_alive(fact_b(f, c->still));
}

int64_t wire_sent(const struct facts *f, const struct conn_fact *c)
{
	const uint32_t seen[] = { c->w_last, c->w_fin, c->w_rst };
	int64_t most = -1;

	for (unsigned i = 0; i < 3; i++)
		if (seen[i] && fact_a(f, seen[i]) > most)
			most = fact_a(f, seen[i]);
	return most;
}

/* Did the server send its whole answer, of which the client got only a part? By the head's length, or
 * because the FIN that follows the last byte was sent. */
static bool whole_was_sent(const struct facts *f, const struct conn_fact *c)
{
	int64_t sent = wire_sent(f, c), acked = c->w_rst ? fact_b(f, c->w_rst) : -1;

	/* a stream shares its connection's bytes: how many were its own no packet says */
	if (f->wire != WIRE_OK || sent <= 0 || !c->w_rst || c->stream)
		return false;
	if (c->w_fin && fact_t(f, c->w_fin) <= fact_t(f, c->w_rst))
		return true;
	uint32_t head = head_of_cut(f, c);

	/* under TLS the bytes of the wire are records, and what of the answer is in them is not known */
	if (!head || fact_b(f, head) < 0 || acked < 0 || c->tls)
		return false;
	/* what the client acknowledged is head and body so far: the rest of the body must have been
	 * sent too */
	int64_t missing = nsec_sub(fact_b(f, head), fact_b(f, c->end));

	return missing > 0 && nsec_sub(sent, acked) >= missing;
}

static enum conn_outcome refused_outcome(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	nsec_t t = fact_t(f, c->refused);

	if (fact_a(f, c->refused) !=
		ECONNREFUSED) /* ETIMEDOUT; or we had no port, no descriptor: HAR-3 */
		return CONN_HUNG;
	if (!r->sig || t < signal_begin(f, r))
		return CONN_REFUSED_EARLY;
	if (f->sc->expect.readiness) {
		bool flipped = false;

		for_each_event(f, EV_READINESS, n)
			if (fact_event(f, n)->round == r->id && fact_t(f, n) >= signal_begin(f, r) &&
			    fact_t(f, n) <= t && fact_a(f, n) != 200 && fact_a(f, n) > 0)
				flipped = true;
		if (!flipped)
			return CONN_REFUSED_EARLY;
	}
	return CONN_REFUSED_AFTER;
}

static bool opened_late(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);

	return r->sig && fact_t(f, c->connect) >= signal_begin(f, r);
}

/* Closed or reset by the server with a whole request unanswered. */
static enum conn_outcome lost_outcome(const struct facts *f, const struct conn_fact *c, enum conn_how how)
{
	enum accepted acc = conn_accepted(f, c);
	bool handled = conn_armed(f, c) && phase_owes(c->phase) ?
			    true :
			    c->phase == PHASE_LOOP && handled_before_signal(f, c);

	if (conn_retry_safe(f, c))
		return CONN_RETRY_SAFE;
	if (how == HOW_STREAM || (how == HOW_FIN && conn_error(f, c)))
		return CONN_RESET_IN_FLIGHT;
	if (how == HOW_RST && whole_was_sent(f, c))
		return CONN_TAIL_LOST;
	if (conn_partial(f, c))
		return how == HOW_FIN ? CONN_TRUNCATED : CONN_RESET_IN_FLIGHT;
	if (acc == ACCEPT_NO)
		return CONN_BACKLOG_RESET;
	if (c->answers && (!handled || c->phase == PHASE_PIPELINED))
		return CONN_IDLE_RACE;
	if (opened_late(f, c))
		return CONN_ACCEPTED_LATE;
	if (how == HOW_RST && acc == ACCEPT_UNKNOWN && c->phase == PHASE_LOOP)
		return CONN_BACKLOG_RESET;
	return how == HOW_FIN ? CONN_FIN_NO_RESPONSE : CONN_RESET_IN_FLIGHT;
}

/* Nothing whole was asked that was not answered. */
static enum conn_outcome settled_outcome(
	const struct facts *f, const struct conn_fact *c, enum conn_how how)
{
	if (how == HOW_CLIENT)
		return CONN_COMPLETED;
	if (how == HOW_OPEN)
		return c->answers && c->phase != PHASE_IDLE ? CONN_COMPLETED : CONN_HUNG;
	if (c->answers)
		return CONN_COMPLETED;
	if (conn_partial(f, c))
		return how == HOW_FIN ? CONN_TRUNCATED : CONN_RESET_IN_FLIGHT;
	if (how == HOW_STREAM)
		return conn_retry_safe(f, c) ? CONN_RETRY_SAFE : CONN_RESET_IN_FLIGHT;
	if (how == HOW_RST && conn_accepted(f, c) == ACCEPT_NO)
		return CONN_BACKLOG_RESET;
	if (opened_late(f, c))
		return CONN_ACCEPTED_LATE;
	return how == HOW_RST && c->partial ? CONN_RESET_IN_FLIGHT : CONN_COMPLETED;
}

enum conn_outcome conn_outcome_of(const struct facts *f, const struct conn_fact *c)
{
	uint32_t end;
	enum conn_how how = conn_how(f, c, &end);
	bool owed = c->asked > c->answers;

	if (!c->connected && how != HOW_RST)
		return c->refused ? refused_outcome(f, c) : CONN_HUNG;
	if (c->bad)
		return CONN_TRUNCATED;
	if (!owed)
		return settled_outcome(f, c, how);
	if (how == HOW_OPEN)
		return CONN_HUNG;
	if (how == HOW_CLIENT)          /* it left as its scenario says */
		return CONN_COMPLETED;
	return lost_outcome(f, c, how);
}

static bool dissent(const struct facts *f, const char **ret_text, uint32_t cites[2], uint32_t a,
	uint32_t b, const struct conn_fact *c, const char *text)
{
	cites[0] = a;
	cites[1] = b;
	if (ret_text)
		*ret_text = arena_printf(f->arena, "%s: %s", client_name(f, c), text);
	return true;
}

bool disagree(const struct facts *f, const struct conn_fact *c, const char **ret_text, uint32_t cites[2])
{
	bool eof = c->end && fact_event(f, c->end)->kind == EV_EOF_SEEN;

	cites[0] = cites[1] = 0;
	if (f->wire != WIRE_OK || !c->w_syn)
		return false;
	if (c->refused && fact_a(f, c->refused) == ECONNREFUSED && c->w_synack)
		return dissent(f, ret_text, cites, c->refused, c->w_synack, c,
			       "the client socket was refused, but the wire shows the server's SYN/ACK");
	if (c->connected && c->w_refused && !c->w_synack)
		return dissent(f, ret_text, cites, c->connected, c->w_refused, c,
			       "the client socket is connected, but the wire shows its SYN refused");
	if (c->answers && wire_sent(f, c) >= 0 && (uint64_t)wire_sent(f, c) < c->body)
		return dissent(f, ret_text, cites, c->answer,
			c->w_last ? c->w_last :
			c->w_fin  ? c->w_fin :
				    c->w_rst,
			c,
			"the client socket read more bytes of whole answers than the wire shows the "
			"server sending");
	if (c->end && !eof && fact_a(f, c->end) == ECONNRESET && !c->w_rst)
		return dissent(f, ret_text, cites, c->end, 0, c,
			"the client socket saw ECONNRESET, but the complete capture has no RST of the "
			"server");
	if (eof && !c->w_fin)
		return dissent(f, ret_text, cites, c->end, 0, c,
			"the client socket saw the end of the stream, but the complete capture has no "
			"FIN of the server");
	if (c->w_fin && c->still && !c->end && fact_a(f, c->still) == TCP_ESTABLISHED &&
		c->phase != PHASE_SLOW_READER &&
		fact_t(f, c->w_fin) < nsec_sub(fact_t(f, c->still), 10 * NSEC_PER_MSEC))
		return dissent(f, ret_text, cites, c->w_fin, c->still, c,
			"the wire shows the server's FIN, but the client socket was still ESTABLISHED "
			"long after it");
	return false;
}

static void add_cite(uint32_t *cites, unsigned *n, uint32_t e)
{
	for (unsigned i = 0; i < *n; i++)
		if (cites[i] == e)
			return;
	if (e && *n < FINDING_CITES)
		cites[(*n)++] = e;
}

/* What answers our own hanging up is no evidence. */
static uint32_t while_open(const struct facts *f, const struct conn_fact *c, uint32_t event)
{
	return c->closed && event && fact_t(f, event) > fact_t(f, c->closed) ? 0 : event;
}

enum conn_outcome judge_conn(const struct facts *f, int32_t conn, uint32_t *ret_cites, unsigned *ret_n)
{
	*ret_n = 0;
	if (conn < 0 || (uint32_t)conn >= f->n_conns || !f->conns[conn].opened)
		return CONN_HUNG;
	const struct conn_fact *c = &f->conns[conn];
	const struct round_fact *r = round_of(f, c);
	uint32_t end, request = c->request ? c->request : c->partial;

	/* of a pipeline: the first that has no answer, which is the one that was proven read */
	if (c->asked > c->answers + 1)
		request = conn_numbered(f, EV_REQUEST, c, c->answers);
	conn_how(f, c, &end);
	const uint32_t proof[] = { c->connect, c->refused, c->proven, request, c->w_acked, r->sig, c->goaway_last, c->head, c->answer,
		c->bad, end, while_open(f, c, c->w_fin), while_open(f, c, c->w_rst) };

	for (unsigned i = 0; i < sizeof proof / sizeof *proof; i++)
		add_cite(ret_cites, ret_n, proof[i]);
	return (enum conn_outcome)c->outcome;
}
