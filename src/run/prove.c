/* The proof of each phase: the kernel's view of the server's end of the connection (sock_diag), the gate, or what the
 * server said. Never time. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>

#include "run/engine.h"
#include "target/diag_unix.h"

#define TIMER_PERSIST 4         /* net/ipv4/inet_diag.c: icsk_pending == ICSK_TIME_PROBE0 */

int diag_of(struct run *r, const struct conn *c, struct diag_row *row)
{
	const struct port *port = &r->ports[c->client->port];
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(c->src_port), .sin_addr.s_addr = c->src_ip};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(c->src_port),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT};

	if (c->w.fd >= 0 && port->path)
		return diag_unix_peer(c->w.fd, row);
	if (c->w.fd < 0 || !c->src_port)
		return -ENOENT;
	return diag_conn(r->world->diag, (const struct sockaddr *)&port->addr,
			 port->v6 ? (struct sockaddr *)&v6 : (struct sockaddr *)&v4, row);
}

/* All of its request. The pong to a server that pings again before it owes an ACK (40 ms) is acknowledged with the next ping: then
 * there is always one under way. */
static bool all_acked(const struct conn *c)
{
	int unacked = 0;

	return ioctl(c->w.fd, SIOCOUTQ, &unacked) == 0 && (uint32_t)unacked <= c->replied;
}

struct conn *conn_by_port(struct run *r, uint16_t src_port)
{
	for (uint32_t i = r->n_conns; i-- > 0;)
		if (r->conns[i]->src_port == src_port)
			return r->conns[i];
	return NULL;
}

/* Every thread of the target asleep: with a connection in the accept queue nobody is on the way to accept it. */
static bool target_asleep(struct run *r)
{
	struct proc v[64];
	unsigned n = target_tree(r, v, 64, false);

	for (unsigned i = 0; i < n && i < 64; i++) {
		if (v[i].state != 'S' && v[i].state != 'D' && v[i].state != 'T' && v[i].state != 'Z')
			return false;
		if (v[i].threads < 2)
			continue;
		/* a sleeping leader says nothing of its threads */
		if (census_runs(v[i].pid))
			return false;
	}
	return n > 0;
}

/* Asleep in looks over three scheduling ticks: one look alone may come between a thread that has just been woken and its waker. */
bool target_rests(struct run *r)
{
	nsec_t now = clock_now();

	if (!target_asleep(r)) {
		r->t_all_asleep = 0;
		return false;
	}
	if (!r->t_all_asleep)
		r->t_all_asleep = now;
	return now - r->t_all_asleep >= 12 * NSEC_PER_MSEC;
}

static bool prove_backlog(struct run *r, struct conn *c, const struct diag_row *row)
{
	if (row->inode) {
		phase_unreachable(r, c, "the server accepted it at once: its workers are not all busy");
		return false;
	}
	if (row->state != TCP_ESTABLISHED || !all_acked(c))
		return false;
	if (!r->stopped && !target_rests(r))
		return false;
	phase_proven(r, c, 0, r->stopped ? "handshake complete, target stopped, not accepted (inode 0)" :
		     "handshake complete, not accepted (inode 0), every thread of the target asleep");
	return true;
}

/* Phases in which an answer is owed, of a request that is not gated. */
static bool needs_handler(const struct conn *c)
{
	enum phase phase = c->client->spec->phase;

	return !c->gate_hit && (phase == PHASE_WAITING || phase == PHASE_PIPELINED || phase == PHASE_HALF_CLOSED);
}

#define HANDLED_AFTER (NSEC_PER_MSEC)
#define COMPUTES_AFTER (100 * NSEC_PER_MSEC)

/* Read is not yet handled: between the read and the handler a server may still look at its stop flag and drop the request
 * rightly (Go's net/http does). Where no gate tells, it is in the handler when the whole target sleeps although the request was read
 * and not answered; a handler that computes instead is taken for one after a tenth of a second of it. */
bool target_waits(struct run *r, nsec_t *t_since)
{
	nsec_t now = clock_now();

	if (!*t_since)
		*t_since = now;
	if (now - *t_since < HANDLED_AFTER)
		return false;
	if (now - *t_since > COMPUTES_AFTER)
		return true;
	if (now - r->t_asleep_look > NSEC_PER_MSEC / 2) {
		r->asleep = target_asleep(r);
		r->t_asleep_look = now;
	}
	return r->asleep && r->t_asleep_look >= *t_since + HANDLED_AFTER;
}

/* What has come and was not read yet may be the answer before the one that it waits for (SET a 1; BLPOP nobody 0): its phase is
 * another one then. */
static bool unread_here(const struct conn *c)
{
	int unread = 0;

	return !c->car && ioctl(c->w.fd, SIOCINQ, &unread) == 0 && unread > 0;
}

static bool prove_read(struct run *r, struct conn *c, const struct diag_row *row, uint32_t unread_allowed,
		       const char *how)
{
	/* what reached the gate was read; its ACK may be late by 40 ms, as after every TLS handshake (delayed ACK) */
	bool whole = c->gate_hit && !conn_body(c);

	if (!row->inode || row->rqueue > unread_allowed || (!whole && !all_acked(c)))
		return false;
	/* bytes that left the queue may wait in a buffer of the server's: a PING that follows is answered when they were looked at */
	if (c->car && !c->gate_hit && c->client->spec->phase != PHASE_IDLE && !mux_was_read(r, c))
		return false;
	if ((needs_handler(c) && !target_waits(r, &c->t_read)) || unread_here(c))
		return false;
	phase_proven(r, c, row->inode, how);
	return true;
}

/* A server may take the FIN for a hang-up, but a moment after its handler began: it keeps the connection if the whole target sleeps
 * and the socket is in CLOSE-WAIT still. */
static bool prove_half_closed(struct run *r, struct conn *c, struct diag_row *row)
{
	if (row->state != TCP_CLOSE_WAIT || !target_waits(r, &c->t_read) || diag_of(r, c, row) <= 0 ||
	    row->state != TCP_CLOSE_WAIT)
		return false;
	/* in CLOSE-WAIT the FIN counts one in the receive queue until the server reads EOF */
	return prove_read(r, c, row, 1, c->gate_hit ?
			  "it reached the gate, our FIN is there (CLOSE-WAIT), the target waits" :
			  "the request was read, our FIN is there (CLOSE-WAIT), the target waits");
}

static bool prove_connected(struct run *r, struct conn *c, const struct diag_row *row)
{
	if (row->inode) {
		phase_proven(r, c, row->inode, "accepted (the server's socket has an inode)");
		return true;
	}
	if (row->state == TCP_SYN_RECV || row->state == 12) {
		phase_proven(r, c, 0, "held back by the kernel (TCP_DEFER_ACCEPT): established here, SYN-RECEIVED there");
		return true;
	}
	return false;
}

static bool prove_slow_reader(struct run *r, struct conn *c, const struct diag_row *row)
{
	if (c->car) {
		if (!row->inode || !mux_shut(c))
			return false;
		phase_proven(r, c, row->inode, "zero window: the answer has used up its flow-control window, and is not complete");
		return true;
	}
	if (too_small(r, c, row) || !row->inode || !row->wqueue || row->timer != TIMER_PERSIST)
		return false;
	phase_proven(r, c, row->inode, "zero window: the server's send queue is full and its persist timer runs");
	return true;
}

/* What must have come from the server, or reached the gate, before a look is worth anything. */
static bool has_come(const struct conn *c)
{
	const struct client_spec *spec = c->client->spec;

	switch (spec->phase) {
	case PHASE_WAITING:
	case PHASE_PIPELINED:
	case PHASE_HALF_CLOSED:
		if (c->client->proto->upgrades && c->withheld)
			return false;           /* its message goes out behind the 101 */
		return !c->client->gated || c->gate_hit;        /* the gate says it, nothing else does */
	case PHASE_IDLE:
		return c->answered && c->answered >= c->asked;
	case PHASE_TRANSACTION:
		return c->answered + 1 == c->asked;
	case PHASE_HALF_BODY:
		return (!spec->expect_continue && !c->client->proto->upgrades) || c->continued;
	case PHASE_UPGRADED:
		return c->continued && !c->withheld;
	default:
		return true;
	}
}

/* Nothing but the gate can prove it, and that is an event. */
bool phase_awaits_gate(const struct conn *c)
{
	return c->state == CONN_PARKED && c->client->gated && !c->gate_hit && !has_come(c);
}

/* One look at a connection that has sent what its phase sends. */
bool phase_try_prove(struct run *r, struct conn *c)
{
	struct diag_row row = {0};
	const struct client_spec *spec = c->client->spec;

	if (c->state != CONN_PARKED || c->unproven || !has_come(c) || diag_of(r, c, &row) <= 0)
		return false;
	switch (spec->phase) {
	case PHASE_CONNECTED:
		return prove_connected(r, c, &row);
	case PHASE_BACKLOG:
		return prove_backlog(r, c, &row);
	case PHASE_HALF_HEADER:
		return prove_read(r, c, &row, 0, "accepted, half of the head was read");
	case PHASE_HALF_BODY:
		return prove_read(r, c, &row, 0, c->client->proto->upgrades ? "101, and half of the message was read" :
				  c->continued ? "100 Continue, and what was sent was read" :
				  "accepted, half of the body was read");
	case PHASE_TRANSACTION:
		return prove_read(r, c, &row, 0, "all commands but the last are answered, nothing unread");
	case PHASE_UPGRADED:
		return prove_read(r, c, &row, 0, "101 with the right Sec-WebSocket-Accept, nothing unread");
	case PHASE_WAITING:
		return prove_read(r, c, &row, 0, c->gate_hit ? "it reached the gate" :
				  c->continued ? "101, the messages were read (receive queue empty), the target waits" :
				  "the request was read (receive queue empty), the target waits");
	case PHASE_IDLE:
		return prove_read(r, c, &row, 0, "answered, open, nothing unread");
	case PHASE_PIPELINED:
		return prove_read(r, c, &row, c->request_n - 1, c->gate_hit ? "the first request reached the gate" :
				  "the first request was read, the target waits");
	case PHASE_HALF_CLOSED:
		return prove_half_closed(r, c, &row);
	case PHASE_SLOW_READER:
		return prove_slow_reader(r, c, &row);
	case PHASE_PING_ONLY:
	case PHASE_GOAWAY_RACE:
		if (!row.inode || !mux_ponged(c))
			return false;
		phase_proven(r, c, row.inode, "the server answered a PING, no stream is open");
		return true;
	case PHASE_STREAMING:
	case PHASE_LATE:
	case PHASE_LOOP:
	case PHASE_TLS_HANDSHAKE:
	case PHASE_N:
		break;
	}
	return false;
}

