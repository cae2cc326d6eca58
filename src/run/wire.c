/* The tracker: which bytes each side sent and acknowledged, and how each connection ended, off the packets. */
#include "run/wire.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum seen {
	SEEN_SYN = 1, SEEN_SYNACK = 2, SEEN_FIRST = 4, SEEN_FIN_S = 8, SEEN_RST_S = 16, SEEN_FIN_C = 32,
	SEEN_RST_C = 64, SEEN_ZEROWIN = 128, SEEN_REFUSED = 256, SEEN_MARKED = 2048,
	BASE_C = 512, BASE_S = 1024,    /* the sequence numbers of this side are anchored */
	SEEN_ONE = 4096,                /* all data of the server is that of W_FIRST */
};

/* Byte counts are those of the payload: neither SYN nor FIN is a byte. The raw numbers wrap, the counts do not. */
struct wire_conn {
	int32_t conn;
	uint32_t ip;            /* network order */
	uint16_t cport, sport;
	uint32_t next;          /* in the bucket: index + 1 */
	uint64_t c_acked;       /* of the client's bytes, acknowledged by the server */
	uint64_t s_sent : 48;   /* the server's bytes */
	uint64_t seen : 16;
	uint32_t c_next, s_next;                /* raw numbers behind the last byte of each side */
	uint32_t c_acked_raw, s_acked_raw;      /* the highest ACK that the other side sent for it */
	uint32_t last_frame, ack_frame;
	nsec_t last_t;          /* of the last new data of the server */
};

_Static_assert(sizeof(struct wire_conn) <= 64, "19,000 of them");

static uint32_t bucket(const struct wire *w, uint32_t ip, uint16_t cport, uint16_t sport)
{
	uint64_t key = (uint64_t)ip << 32 | (uint32_t)cport << 16 | sport;

	return (uint32_t)(key * UINT64_C(0x9E3779B97F4A7C15) >> 32) & w->mask;
}

/* The connection that a packet of this address pair belongs to. A pair that is announced again waits for the next SYN:
 * until then packets are the connection's before, however late they are drained. */
static struct wire_conn *find(const struct wire *w, uint32_t ip, uint16_t cport, uint16_t sport, const uint32_t *syn)
{
	struct wire_conn *waiting = NULL;       /* the oldest of them, for the chain goes from new to old */

	if (!w->n)
		return NULL;
	for (uint32_t i = w->heads[bucket(w, ip, cport, sport)]; i; i = w->v[i - 1].next) {
		struct wire_conn *c = &w->v[i - 1];

		if (c->ip != ip || c->cport != cport || c->sport != sport)
			continue;
		if (!(c->seen & SEEN_SYN))
			waiting = c;
		else if (!syn || !waiting || c->c_next == *syn + 1)     /* that one is sent again */
			return c;
		else
			break;
	}
	return waiting;
}

static void *must(void *p)
{
	if (!p) {
		fputs("drainspec: out of memory\n", stderr);
		abort();
	}
	return p;
}

static void grow(struct wire *w)
{
	w->cap = w->cap ? w->cap * 2 : 64;
	w->mask = w->cap - 1;
	w->v = must(realloc(w->v, w->cap * sizeof *w->v));
	w->heads = must(realloc(w->heads, w->cap * sizeof *w->heads));
	memset(w->heads, 0, w->cap * sizeof *w->heads);
	for (uint32_t i = 0; i < w->n; i++) {   /* in order, so that the newest of a key is found first */
		uint32_t *head = &w->heads[bucket(w, w->v[i].ip, w->v[i].cport, w->v[i].sport)];

		w->v[i].next = *head;
		*head = i + 1;
	}
}

void wire_begin(struct wire *w, const uint16_t *ports, unsigned n_ports, struct events *ev)
{
	if (w->heads)
		memset(w->heads, 0, ((size_t)w->mask + 1) * sizeof *w->heads);
	w->n = 0;
	w->ev = ev;
	w->all_ports = !n_ports;
	memset(w->ports, 0, sizeof w->ports);
	for (unsigned i = 0; i < n_ports; i++)
		w->ports[ports[i] >> 3] |= (uint8_t)(1 << (ports[i] & 7));
}

void wire_free(struct wire *w)
{
	free(w->v);
	free(w->heads);
	w->v = NULL;
	w->heads = NULL;
	w->n = w->cap = w->mask = 0;
}

bool wire_port(const struct wire *w, uint16_t port)
{
	return w->all_ports || (w->ports[port >> 3] >> (port & 7) & 1);
}

void wire_expect(struct wire *w, int32_t conn, uint32_t client_ip, uint16_t client_port, uint16_t server_port)
{
	if (w->n == w->cap)
		grow(w);
	uint32_t *head = &w->heads[bucket(w, client_ip, client_port, server_port)];

	w->v[w->n] = (struct wire_conn){
		.conn = conn, .ip = client_ip, .cport = client_port, .sport = server_port, .next = *head,
	};
	*head = ++w->n;
}

/* Signed distance of two raw sequence numbers (RFC 9293 3.4). */
static int32_t ahead(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

/* What was acknowledged, without the FIN, which is acknowledged as if it were a byte more than was sent. */
static uint64_t c_acked_bytes(const struct wire_conn *c)
{
	int32_t beyond = ahead(c->c_acked_raw, c->c_next);

	return c->c_acked - (beyond > 0 ? (uint32_t)beyond : 0);
}

static uint64_t s_acked_bytes(const struct wire_conn *c)
{
	int32_t behind = ahead(c->s_next, c->s_acked_raw);

	return c->s_sent - (behind > 0 ? (uint32_t)behind : 0);
}

/* Record a kind of event the first time that it is seen. */
static void once(struct wire *w, struct wire_conn *c, enum seen bit, nsec_t t, uint32_t frame, enum event_kind kind,
		 int64_t a, int64_t b)
{
	if (c->seen & bit)
		return;
	c->seen |= bit;
	events_add_at(w->ev, t, frame, kind, c->conn, a, b, NULL);
}

/* Without the SYN (it was dropped from the ring) counting starts at the first packet that is seen. */
static void anchor_client(struct wire_conn *c, uint32_t first)
{
	if (c->seen & BASE_C)
		return;
	c->seen |= BASE_C;
	c->c_acked_raw = c->c_next = first;
}

static void anchor_server(struct wire_conn *c, uint32_t first)
{
	if (c->seen & BASE_S)
		return;
	c->seen |= BASE_S;
	c->s_next = c->s_acked_raw = first;
}

static void from_client(struct wire *w, struct wire_conn *c, const struct packet *pk, nsec_t t, uint32_t frame)
{
	uint32_t first = pk->seq + (pk->flags & PK_SYN ? 1 : 0);

	if (pk->flags & PK_SYN)
		once(w, c, SEEN_SYN, t, frame, EV_W_SYN, 0, 0);
	if (pk->flags & PK_RST) {
		once(w, c, SEEN_RST_C, t, frame, EV_W_RST_C, 0, 0);
		return;
	}
	anchor_client(c, first);
	/* new bytes: what is acknowledged of them is news, even if the ACK was captured first */
	if (pk->len)
		c->seen &= (uint16_t)~SEEN_MARKED;
	if (pk->len && ahead(first + pk->len, c->c_next) > 0)
		c->c_next = first + pk->len;
	if ((pk->flags & PK_ACK) && (c->seen & BASE_S) && ahead(pk->ack, c->s_acked_raw) > 0)
		c->s_acked_raw = pk->ack;
	if (pk->flags & PK_FIN)
		once(w, c, SEEN_FIN_C, t, frame, EV_W_FIN_C,
		     (int64_t)c->c_acked + ahead(first + pk->len, c->c_acked_raw), 0);
	if (!pk->win && !(pk->flags & PK_SYN))
		once(w, c, SEEN_ZEROWIN, t, frame, EV_W_ZEROWIN, 0, 0);
}

static void server_data(struct wire *w, struct wire_conn *c, const struct packet *pk, uint32_t first, nsec_t t,
			uint32_t frame)
{
	int32_t news = ahead(first + pk->len, c->s_next);

	if (!pk->len || news <= 0)
		return;
	c->s_sent += (uint32_t)news;
	c->s_next += (uint32_t)news;
	c->last_frame = frame;
	c->last_t = t;
	if (c->seen & SEEN_FIRST || c->s_sent != pk->len)
		c->seen &= (uint16_t)~SEEN_ONE;
	else
		c->seen |= SEEN_ONE;
	once(w, c, SEEN_FIRST, t, frame, EV_W_FIRST, pk->len, 0);
}

static void server_ack(struct wire_conn *c, uint32_t ack, uint32_t frame)
{
	int32_t news = ahead(ack, c->c_acked_raw);

	if (!(c->seen & BASE_C) || news <= 0)
		return;
	uint64_t before = c_acked_bytes(c);

	c->c_acked += (uint32_t)news;
	c->c_acked_raw = ack;
	c->ack_frame = frame;
	if (c_acked_bytes(c) != before)
		c->seen &= (uint16_t)~SEEN_MARKED;
}

/* Only a SYN has no ACK bit, and only to such a segment a RST has sequence number 0 (RFC 9293 3.5.2). */
static bool answers_syn(const struct packet *pk)
{
	return (pk->flags & (PK_RST | PK_ACK)) == (PK_RST | PK_ACK) && !pk->seq;
}

static void from_server(struct wire *w, struct wire_conn *c, const struct packet *pk, nsec_t t, uint32_t frame)
{
	uint32_t first = pk->seq + (pk->flags & PK_SYN ? 1 : 0);

	if (pk->flags & PK_RST) {
		if (!(c->seen & BASE_S) && answers_syn(pk))
			once(w, c, SEEN_REFUSED, t, frame, EV_W_RST_SYN, 0, 0);
		else
			once(w, c, SEEN_RST_S, t, frame, EV_W_RST_S, (int64_t)c->s_sent, (int64_t)s_acked_bytes(c));
		return;
	}
	if (pk->flags & PK_SYN)
		once(w, c, SEEN_SYNACK, t, frame, EV_W_SYNACK, 0, 0);
	anchor_server(c, first);
	server_data(w, c, pk, first, t, frame);
	if (pk->flags & PK_ACK)
		server_ack(c, pk->ack, frame);
	if (pk->flags & PK_FIN)
		once(w, c, SEEN_FIN_S, t, frame, EV_W_FIN_S, (int64_t)c->s_sent, 0);
}

void wire_packet(struct wire *w, const struct packet *pk, nsec_t t, uint32_t frame)
{
	bool syn = (pk->flags & (PK_SYN | PK_ACK)) == PK_SYN;
	struct wire_conn *c = find(w, pk->src, pk->sport, pk->dport, syn ? &pk->seq : NULL);

	if (c) {
		from_client(w, c, pk, t, frame);
		return;
	}
	c = find(w, pk->dst, pk->dport, pk->sport, NULL);
	if (c)
		from_server(w, c, pk, t, frame);
	else if (answers_syn(pk) && wire_port(w, pk->sport))
		events_add_at(w->ev, t, frame, EV_W_RST_SYN, -1, 0, 0, NULL);
}

void wire_mark(struct wire *w, nsec_t t)
{
	for (uint32_t i = 0; i < w->n; i++) {
		struct wire_conn *c = &w->v[i];
		bool over = (c->seen & (SEEN_RST_C | SEEN_RST_S)) ||
			    (c->seen & (SEEN_FIN_C | SEEN_FIN_S)) == (SEEN_FIN_C | SEEN_FIN_S);

		if ((c->seen & SEEN_SYNACK) && !over) {
			events_add_at(w->ev, t, c->ack_frame, EV_W_ACKED, c->conn, (int64_t)c_acked_bytes(c), 0, NULL);
			c->seen |= SEEN_MARKED;
		}
	}
}

void wire_end(struct wire *w, nsec_t t)
{
	for (uint32_t i = 0; i < w->n; i++) {
		const struct wire_conn *c = &w->v[i];

		if (c->last_frame && !(c->seen & SEEN_ONE))
			events_add_at(w->ev, c->last_t, c->last_frame, EV_W_LAST, c->conn, (int64_t)c->s_sent, 0, NULL);
		/* what the mark said and nothing has changed is not said again */
		if ((c->seen & SEEN_SYNACK) && !(c->seen & SEEN_MARKED))
			events_add_at(w->ev, t, c->ack_frame, EV_W_ACKED, c->conn, (int64_t)c_acked_bytes(c), 0, NULL);
	}
}
