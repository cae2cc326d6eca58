/* Connections that carry many requests (HTTP/2). Each stream is a struct conn, so that all that is proven and judged of a
 * connection is proven and judged of a stream. The first of them owns the socket and is the carrier: bytes, the wire's
 * frames and the end of the connection are its own, and the end is given to each of its streams. The others have the
 * socket's number (so that the kernel can be asked about it), never the socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/mux.h"
#include "run/engine.h"

#define PING_EVERY NSEC_PER_SEC

struct carrier {
	struct run *run;
	struct conn *conn;              /* that owns the socket */
	struct mux_session *s;          /* NULL: it is over */
	struct conn **streams;          /* v[0] is conn */
	uint32_t n, cap;
	uint32_t max_streams;           /* of the server's SETTINGS */
	bool heard, feeding, raced;
	bool told;                      /* of phase connected: to ask, by its step */
	uint64_t submitted;             /* streams so far */
	uint64_t pinged, ponged;        /* the last PING that was sent and answered, by the count of streams before it */
	bool ping_out, said_pong;
	struct timer ping;              /* ping-only */
	struct conn *sent, **sent_end;  /* what a session has put out and the kernel has not yet */
};

static const struct mux *mux_of(const struct conn *c)
{
	return c->client->proto->mux;
}

bool mux_owns(const struct conn *c)
{
	return !c->car || c->car->conn == c;
}

/* Hand over what the session has to say. */
static void mux_flush(struct carrier *car)
{
	struct buf out = {0};

	if (car->feeding || !car->s || !car->conn->connected || conn_shaking(car->conn))
		return;
	mux_of(car->conn)->output(car->s, &out);
	if (out.n)
		conn_queue(car->conn, &out, out.n);
	buf_free(&out);
	conn_flush(car->run, car->conn);
}

/* The kernel has all that the session put out. */
void mux_flushed(struct run *r, struct conn *c)
{
	struct carrier *car = c->car;
	struct conn *next;

	for (struct conn *st = car->sent; st; st = next) {
		next = st->next_sent;
		st->next_sent = NULL;
		request_sent(r, st);
	}
	car->sent = NULL;
	car->sent_end = &car->sent;
}

static void submit(struct carrier *car, struct conn *c)
{
	struct run *r = car->run;
	const struct client_spec *spec = c->client->spec;
	struct mux_stream *st = (struct mux_stream *)c->st;
	uint64_t upto = MUX_WHOLE;
	char nonce[NONCE_LEN + 1];

	c->to_ask = false;
	if (!c->asked && spec->phase == PHASE_HALF_HEADER)
		upto = MUX_HALF_HEAD;
	else if (!c->asked && spec->phase == PHASE_HALF_BODY)
		upto = spec->expect_continue ? 0 : conn_body(c) / 2;
	else if (spec->phase == PHASE_STREAMING && c->client->rq.keeps_sending)
		upto = conn_body(c);
	conn_nonce(r, c, c->asked, nonce);
	memset(c->st, 0, c->client->proto->state_size);
	st->an = &c->an;
	st->owner = c;
	c->first_byte = c->head_seen = c->continued = c->bad = false;
	if (mux_of(c)->submit(car->s, st, &c->client->rq, nonce, upto, r->err) < 0)
		return;
	c->asked++;
	c->answering = c->asking = true;
	c->withheld = upto != MUX_WHOLE;
	c->rest_at = c->withheld;
	c->number = ++car->submitted;
	events_add(r->ev, EV_STREAM, c->index, st->id, car->conn->index, NULL);
}

/* Nothing of a stream is sent before the server's SETTINGS: how many it takes is said there, and that it speaks HTTP/2. Who
 * waits in the accept queue cannot hear them. */
void mux_ask(struct run *r, struct conn *c)
{
	struct carrier *car = c->car;

	(void)r;
	c->to_ask = true;
	if (!car->s || (!car->heard && c->client->spec->phase != PHASE_BACKLOG))
		return;
	submit(car, c);
	mux_flush(car);
}

void mux_send_more(struct run *r, struct conn *c, bool whole)
{
	struct carrier *car = c->car;

	if (c->client->asks_later && c->state == CONN_PROVEN && !c->asked) {
		car->told = true;
		mux_ask(r, c);
		mux_flush(car);         /* the preface, where the server waits for it */
		return;
	}
	if (!car->s || !c->withheld || c->state == CONN_OVER)
		return;
	c->withheld = !whole;
	c->asking = true;
	mux_of(c)->send(car->s, (struct mux_stream *)c->st, whole ? MUX_WHOLE : conn_body(c) / 2);
	mux_flush(car);
}

void mux_read_on(struct run *r, struct conn *c)
{
	(void)r;
	if (!c->car->s)
		return;
	mux_of(c)->read_on(c->car->s, (struct mux_stream *)c->st);
	mux_flush(c->car);
}

static void ping(struct carrier *car, uint64_t number)
{
	car->pinged = number;
	car->ping_out = true;
	mux_of(car->conn)->ping(car->s, number);
	mux_flush(car);
}

/* Has the server's protocol layer read the request? It answers a PING that was sent after it. */
bool mux_was_read(struct run *r, struct conn *c)
{
	struct carrier *car = c->car;

	(void)r;
	if (!car->s || !c->number)
		return false;
	if (c->client->spec->phase == PHASE_HALF_HEADER)
		return true;            /* nothing may stand between the halves: the receive queue has to tell */
	if (car->ponged >= c->number)
		return true;
	if (!car->ping_out && !c->asking)
		ping(car, car->submitted);
	return false;
}

bool mux_ponged(const struct conn *c)
{
	return c->car->said_pong;
}

bool mux_shut(const struct conn *c)
{
	return c->car->s && c->answering && c->head_seen &&
	       mux_of(c)->shut(c->car->s, (const struct mux_stream *)c->st);
}

bool mux_heard(const struct conn *c)
{
	return c->car->heard;
}

uint32_t mux_max_streams(const struct conn *c)
{
	return c->car->heard ? c->car->max_streams : UINT32_MAX;
}

/* ---- what a session tells ---- */

static void on_settings(void *arg, uint32_t max_streams)
{
	struct carrier *car = arg;

	car->heard = true;
	car->max_streams = max_streams;
	events_add(car->run->ev, EV_SETTINGS, car->conn->index, max_streams, 0, NULL);
	for (uint32_t i = 0; i < car->n; i++)
		if (car->streams[i]->to_ask && car->s)
			submit(car, car->streams[i]);
}

static void ping_again(struct timer *t)
{
	struct carrier *car = t->arg;
	nsec_t every = car->conn->client->spec->every;

	if (!car->s || car->conn->state == CONN_OVER)
		return;
	ping(car, car->pinged + 1);
	timer_set(car->run->loop, &car->ping, clock_now() + (every ? every : PING_EVERY));
}

static void on_pong(void *arg, uint64_t number)
{
	struct carrier *car = arg;
	bool only = car->conn->client->spec->phase == PHASE_PING_ONLY;

	car->ping_out = false;
	car->ponged = number;
	if (only || !car->said_pong)
		events_add(car->run->ev, EV_PONG, car->conn->index, (int64_t)number, 0, NULL);
	car->said_pong = true;
}

/* It crosses the GOAWAY on the wire: the server sent that before it could know of this stream. */
static void on_goaway_begins(void *arg)
{
	struct carrier *car = arg;
	struct buf out = {0};

	for (uint32_t i = 0; i < car->n && !car->raced; i++) {
		struct conn *c = car->streams[i];

		if (c->client->spec->phase != PHASE_GOAWAY_RACE || c->asked || c->state == CONN_OVER)
			continue;
		submit(car, c);
	}
	car->raced = true;
	mux_of(car->conn)->output(car->s, &out);
	if (out.n)
		conn_queue(car->conn, &out, out.n);
	buf_free(&out);
	conn_flush(car->run, car->conn);
}

static void on_goaway(void *arg, int32_t last, uint32_t code, const char *text)
{
	struct carrier *car = arg;

	for (uint32_t i = 0; i < car->n; i++)
		car->streams[i]->an.close = true;       /* a burst goes on with a new connection */
	events_addf(car->run->ev, EV_GOAWAY, car->conn->index, last, code, "%s%s%s", mux_of(car->conn)->code(code),
		    *text ? ": " : "", text);
}

static void on_above(void *arg, int32_t id)
{
	struct carrier *car = arg;

	for (uint32_t i = 0; i < car->n; i++)
		if (((struct mux_stream *)car->streams[i]->st)->id == id && !car->streams[i]->above) {
			car->streams[i]->above = true;
			events_add(car->run->ev, EV_ABOVE_GOAWAY, car->streams[i]->index, id, 0, NULL);
		}
}

static void on_sent(void *arg, struct mux_stream *st, uint64_t bytes)
{
	struct carrier *car = arg;
	struct conn *c = st->owner;

	if (!c->asking || c->next_sent || car->sent_end == &c->next_sent)
		return;
	c->request_n = (uint32_t)bytes;
	c->rest_at = c->withheld ? c->request_n : 0;
	*car->sent_end = c;
	car->sent_end = &c->next_sent;
}

static void on_progress(void *arg, struct mux_stream *st)
{
	struct carrier *car = arg;
	struct conn *c = st->owner;

	if (c->state == CONN_OVER || !c->answering)
		return;
	c->read_any = true;
	conn_progress(car->run, c);
	if (c->state != CONN_OVER)
		phase_progress(car->run, c);
}

static void on_reset(void *arg, struct mux_stream *st, uint32_t code)
{
	struct carrier *car = arg;
	struct conn *c = st->owner;

	if (c->state == CONN_OVER || !c->answering)
		return;
	c->answering = false;
	c->an.close = true;             /* a burst goes on with a new connection */
	events_add(car->run->ev, EV_STREAM_RESET, c->index, code, (int64_t)c->an.body, mux_of(c)->code(code));
	phase_unreachable(car->run, c, "the server reset the stream");
	conn_settle(car->run, c);
	if (c->client->spec->phase == PHASE_LOOP)
		phase_loop_step(car->run, c);
}

static void on_broken(void *arg, const char *why)
{
	struct carrier *car = arg;

	for (uint32_t i = 0; i < car->n; i++) {
		struct conn *c = car->streams[i];

		if (c->state == CONN_OVER || c->bad)
			continue;
		c->an.state = ANSWER_BAD;
		c->an.bad = arena_strdup(car->run->arena, why);
		conn_progress(car->run, c);
	}
}

static const struct mux_host host = {
	.settings = on_settings, .pong = on_pong, .goaway_begins = on_goaway_begins, .goaway = on_goaway,
	.above = on_above, .sent = on_sent, .progress = on_progress, .reset = on_reset, .broken = on_broken,
};

/* ---- its life ---- */

/* A stream for c: of the carrier that is being filled, or of a new one, which c then is. true: c shares another's socket. */
bool mux_join(struct run *r, struct conn *c)
{
	struct client *cl = c->client;
	struct carrier *car = cl->filling;
	uint32_t cap = cl->spec->streams ? cl->spec->streams : 1;

	if (car && car->n < car->cap && car->conn->state != CONN_OVER && !car->raced) {
		c->car = car;
		car->streams[car->n++] = c;
		c->w.fd = car->conn->w.fd;
		c->src_ip = car->conn->src_ip;
		c->src_port = car->conn->src_port;
		return true;
	}
	car = arena_new_of(r->mem, struct carrier);
	*car = (struct carrier){.run = r, .conn = c, .cap = cap, .n = 1,
		.streams = arena_array(r->mem, struct conn *, cap)};
	car->sent_end = &car->sent;
	car->streams[0] = c;
	car->s = cl->proto->mux->open(&host, car, cl->spec->phase == PHASE_SLOW_READER);
	c->car = cl->filling = car;
	return false;
}

static void stream_connected(struct run *r, struct conn *c)
{
	c->connected = true;
	events_add(r->ev, EV_CONNECTED, c->index, 0, 0, NULL);
	c->reading = true;
	c->state = CONN_SENDING;
}

/* What comes first is done: TCP's handshake, and that of TLS. */
static void stream_begins(struct conn *c)
{
	enum phase phase = c->client->spec->phase;

	if (c->state < CONN_PROVEN)
		c->state = phase == PHASE_LATE || phase == PHASE_LOOP ? CONN_FREE : CONN_SENDING;
	if (phase == PHASE_CONNECTED || phase == PHASE_PING_ONLY || phase == PHASE_GOAWAY_RACE || !c->client->rq.line) {
		c->state = c->state == CONN_SENDING ? CONN_PARKED : c->state;
		return;
	}
	c->to_ask = true;
}

void mux_connected(struct run *r, struct conn *c)
{
	struct carrier *car = c->car;

	for (uint32_t i = 0; i < car->n; i++)
		if (!car->streams[i]->connected)
			stream_connected(r, car->streams[i]);
}

void mux_established(struct run *r, struct conn *c)
{
	struct carrier *car = c->car;
	enum phase phase = c->client->spec->phase;

	mux_connected(r, c);
	for (uint32_t i = 0; i < car->n; i++)
		stream_begins(car->streams[i]);
	/* who has nothing to say does not even say the preface */
	if (phase == PHASE_CONNECTED || (phase == PHASE_LATE && !c->client->rq.line))
		return;
	for (uint32_t i = 0; i < car->n; i++)
		if (car->streams[i]->to_ask && car->s && (car->heard || phase == PHASE_BACKLOG))
			submit(car, car->streams[i]);
	if (phase == PHASE_PING_ONLY || phase == PHASE_GOAWAY_RACE) {
		car->ping = (struct timer){.fn = ping_again, .arg = car, .at = NSEC_NEVER};
		ping(car, 1);
		if (phase == PHASE_PING_ONLY)
			timer_set(r->loop, &car->ping, clock_now() + (c->client->spec->every ? c->client->spec->every : PING_EVERY));
		return;
	}
	mux_flush(car);
}

/* A stream that joins a connection that stands already. */
void mux_joined(struct run *r, struct conn *c)
{
	if (!c->car->conn->connected)
		return;
	stream_connected(r, c);
	if (conn_shaking(c->car->conn))
		return;
	stream_begins(c);
	if (c->to_ask)
		mux_ask(r, c);
}

void mux_bytes(struct run *r, struct conn *c, const uint8_t *p, size_t n)
{
	struct carrier *car = c->car;

	bool silent = c->client->spec->phase == PHASE_CONNECTED && !car->told;

	(void)r;
	c->read_any = true;
	if (!car->s || (silent && !c->client->asks_later))
		return;
	car->feeding = true;
	mux_of(c)->feed(car->s, p, n);
	car->feeding = false;
	if (!silent)
		mux_flush(car);
}

/* The session is over, and with it what was to be said. */
static void session_end(struct carrier *car)
{
	if (!car->s)
		return;
	mux_of(car->conn)->close(car->s);
	car->s = NULL;
	if (car->ping.fn)
		timer_clear(car->run->loop, &car->ping);
	if (car->conn->client->filling == car)
		car->conn->client->filling = NULL;
}

/* The carrier's end is each stream's: before its own is recorded. errnum 0: FIN. */
void mux_ended(struct run *r, struct conn *c, int errnum)
{
	struct carrier *car = c->car;

	session_end(car);
	for (uint32_t i = 1; i < car->n; i++) {
		struct conn *st = car->streams[i];

		if (st->state == CONN_OVER)
			continue;
		if (errnum)
			conn_failed(r, st, errnum);
		else
			conn_eof(r, st);
	}
}

/* The client closes: its streams go with it. */
void mux_closed(struct run *r, struct conn *c, const char *why)
{
	struct carrier *car = c->car;

	session_end(car);
	for (uint32_t i = 1; i < car->n; i++)
		conn_close(r, car->streams[i], why);
}
