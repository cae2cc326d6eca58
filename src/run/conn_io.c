/* Bytes of a client connection: out to the server, and back into the protocol's reader. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/engine.h"

void conn_failed(struct run *r, struct conn *c, int errnum)
{
	if (c->car && mux_owns(c))
		mux_ended(r, c, errnum);
	if (!c->connected)
		events_add(r->ev, EV_REFUSED, c->index, errnum, 0, NULL);
	else
		events_add(r->ev, EV_RESET_SEEN, c->index, errnum, (int64_t)c->an.body, NULL);
	conn_over(r, c);
}

/* More bytes for the server, in order; b is emptied. The rest of what the socket does not take now goes when it does. */
void conn_queue_wire(struct conn *c, struct buf *b, size_t n)
{
	if (!b->p)
		return;
	if (c->unsent) {
		buf_add(&c->unsent->all, b->p, n);
		buf_free(b);
		return;
	}
	c->unsent = malloc(sizeof *c->unsent);
	if (!c->unsent) {
		fputs("drainspec: out of memory\n", stderr);
		abort();
	}
	*c->unsent = (struct unsent){.all = *b};
	c->unsent->all.n = n;
	*b = (struct buf){0};
}

void conn_forget_unsent(struct conn *c)
{
	if (c->unsent)
		buf_free(&c->unsent->all);
	free(c->unsent);
	c->unsent = NULL;
}

void conn_queue(struct conn *c, struct buf *b, size_t n)
{
	struct buf sealed = {0};

	if (!c->tls) {
		conn_queue_wire(c, b, n);
		return;
	}
	conn_tls_seal(c, b->p, n, &sealed);
	buf_free(b);
	*b = (struct buf){0};
	if (sealed.n)
		conn_queue_wire(c, &sealed, sealed.n);
	buf_free(&sealed);
}

/* The kernel has all of a request, or all that its phase sends of it. */
void request_sent(struct run *r, struct conn *c)
{
	char nonce[NONCE_LEN + 1];
	enum phase phase = c->client->spec->phase;
	/* a handshake is a whole request, though its client has more to say behind the 101 */
	bool part = c->withheld && !(c->client->proto->upgrades && phase != PHASE_HALF_HEADER && phase != PHASE_HALF_BODY);

	c->asking = false;
	c->replied = 0;
	/* a pipeline went in one send */
	for (; c->told < c->asked - part; c->told++) {
		conn_nonce(r, c, c->told, nonce);
		events_addf(r->ev, EV_REQUEST, c->index, c->told, c->request_n, "%s %s", nonce,
			    conn_request(c, c->told)->line);
	}
	if (part) {
		events_add(r->ev, EV_PARTIAL, c->index, c->rest_at, c->request_n, NULL);
	} else if (phase == PHASE_HALF_CLOSED && c->asked == c->client->n_rqs) {
		if (c->tls)
			conn_tls_bye(c);
		shutdown(c->w.fd, SHUT_WR);
		events_add(r->ev, EV_SHUT_WR, c->index, 0, 0, NULL);
	}
	if (c->state == CONN_SENDING)
		c->state = CONN_PARKED;
}

/* Hand over what is unsent; the rest goes when the socket takes it. */
void conn_flush(struct run *r, struct conn *c)
{
	struct unsent *u;

	while ((u = c->unsent) && u->at < u->all.n) {
		ssize_t n = send(c->w.fd, u->all.p + u->at, u->all.n - u->at, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			loop_set(r->loop, &c->w, c->w.events | EPOLLOUT);
			return;
		}
		if (n < 0) {
			/* EPIPE after a FIN: what the server sent before is still to be read */
			int errnum = errno;

			conn_forget_unsent(c);
			/* send() has taken the socket's error with it: the read that follows shows the data, then a bare 0 */
			if (errnum == ECONNRESET)
				c->was_reset = true;
			if (!c->reading)
				conn_failed(r, c, errnum);
			return;
		}
		u->at += (size_t)n;
	}
	conn_forget_unsent(c);
	loop_set(r->loop, &c->w, c->w.events & ~(uint32_t)EPOLLOUT);
	if (c->car)
		mux_flushed(r, c);
	else if (c->asking)
		request_sent(r, c);
}

/* A request, or the next part of one: the first n bytes of b, which is emptied. */
void conn_send_request(struct run *r, struct conn *c, struct buf *b, size_t n)
{
	c->asking = true;
	c->request_n = (uint32_t)n;
	conn_queue(c, b, n);
	conn_flush(r, c);
}

/* What the protocol itself owes the server (an acknowledgement, a pong): no request of the scenario. */
static void conn_reply(struct run *r, struct conn *c, struct buf *reply)
{
	if (!reply->n || c->state == CONN_OVER || c->w.fd < 0) {
		buf_free(reply);
		return;
	}
	size_t before = c->unsent ? c->unsent->all.n : 0;

	conn_queue(c, reply, reply->n);
	c->replied += c->unsent ? (uint32_t)(c->unsent->all.n - before) : 0;
	conn_flush(r, c);
}

/* What start() made is given back. The answer itself can still be looked at. */
void answer_end(struct conn *c)
{
	if (c->started && c->client->proto->stop)
		c->client->proto->stop(c->st);
	c->started = false;
}

void answer_begin(struct run *r, struct conn *c)
{
	char nonce[NONCE_LEN + 1];

	answer_end(c);
	conn_nonce(r, c, c->answered, nonce);
	memset(c->st, 0, c->client->proto->state_size);
	c->client->proto->start(c->st, conn_request(c, c->answered), nonce, &c->an);
	c->first_byte = c->head_seen = c->continued = false;
	c->answering = c->started = true;
}

static void answer_done(struct run *r, struct conn *c)
{
	const struct answer *an = &c->an;
	/* The head names the request, and its body is not even begun with the nonce: it may never have been meant to be. */
	if (an->echo && an->echo_bad_at >= 0 && an->echo_bad_at < NONCE_LEN)
		events_addf(r->ev, EV_ANSWER, c->index, c->answered, (int64_t)an->body, "%d body-other@%lld", an->status,
			    (long long)an->echo_bad_at);
	/* also without an echo of ours: another request's nonce is cross-talk */
	else if (an->echo_bad_at >= 0)
		events_addf(r->ev, EV_ANSWER, c->index, c->answered, (int64_t)an->body, "%d echo-bad@%lld",
			    an->status, (long long)an->echo_bad_at);
	else if (an->grpc)
		events_addf(r->ev, EV_ANSWER, c->index, c->answered, (int64_t)an->body, "%d%s grpc-status %d", an->status,
			    an->echo ? " echo-ok" : "", an->grpc - 1);
	else
		events_addf(r->ev, EV_ANSWER, c->index, c->answered, (int64_t)an->body, "%d%s%s%s", an->status,
			    an->echo ? " echo-ok" : "", an->note ? " " : "", an->note ? an->note : "");
	c->answered++;
	c->client->answers++;
	r->t_progress = clock_now();
	c->answering = false;
	if (c->answered >= c->asked)
		conn_settle(r, c);
	if (r->hand)
		generation_answered(r, c);
	if (c->client->spec->phase == PHASE_LOOP && c->answered >= c->asked)
		phase_loop_step(r, c);
}

static void note_progress(struct run *r, struct conn *c)
{
	if (c->an.continued && !c->continued) {
		c->continued = true;
		if (!c->client->proto->upgrades)
			events_add(r->ev, EV_CONTINUE_100, c->index, 0, 0, NULL);
		if (c->client->rq.leaves)
			c->t_read = clock_now();
		conn_send_more(r, c, c->client->spec->phase != PHASE_HALF_BODY);
	}
	/* interim answers are not the answer: the first byte counts from its status line on */
	if (c->an.state >= ANSWER_HEAD && !c->first_byte && c->an.bytes) {
		c->first_byte = true;
		events_add(r->ev, EV_FIRST_BYTE, c->index, c->answered, 0, NULL);
	}
	if ((c->an.state == ANSWER_BODY || c->an.state == ANSWER_DONE) && !c->head_seen) {
		c->head_seen = true;
		if (c->client->proto->upgrades && c->client->spec->phase == PHASE_SLOW_READER && c->an.state == ANSWER_BODY)
			conn_listen(r, c, false);
		events_add(r->ev, EV_HEAD, c->index, c->an.status, c->an.length,
			   c->client->proto->no_goodbye ? NULL : c->an.close ? "close" : "keep-alive");
	}
	if (c->an.state == ANSWER_BAD && !c->bad) {
		c->bad = true;
		events_add(r->ev, EV_BAD_ANSWER, c->index, (int64_t)c->an.bytes, 0, c->an.bad);
	}
}

void conn_progress(struct run *r, struct conn *c)
{
	note_progress(r, c);
	if (c->an.state == ANSWER_DONE)
		answer_done(r, c);
}

static void conn_bytes(struct run *r, struct conn *c, const uint8_t *p, size_t n)
{
	struct buf reply = {0};

	for (size_t i = 0; c->client == &r->warmup && i < n && r->n_first < sizeof r->first; i++)
		r->first[r->n_first++] = p[i];
	if (c->car) {
		mux_bytes(r, c, p, n);
		return;
	}
	if (c->client->proto->may_greet && !c->asked && c->client->rq.line) {
		greeting_bytes(r, c, p, n);
		return;
	}
	c->read_any = true;
	while (n && !c->bad && c->state != CONN_OVER) {
		/* what follows a Close is discarded (RFC 6455 1.4): some libraries say it twice */
		if (c->client->proto->upgrades && c->answered && c->an.status == 101)
			break;
		if (!c->answering)
			answer_begin(r, c);     /* also for what nobody asked for: a 408, garbage */
		size_t used = c->client->proto->feed(c->st, p, n, &c->an, &reply);

		conn_progress(r, c);
		if (c->an.state != ANSWER_DONE && used == 0)
			break;
		p += used;
		n -= used;
	}
	conn_reply(r, c, &reply);
}

void conn_eof(struct run *r, struct conn *c)
{
	if (c->car && mux_owns(c))
		mux_ended(r, c, 0);
	c->eof = true;
	if (c->answering && !c->car) {
		/* an answer that ends with the connection is not whole if its end was not announced: RFC 9112, 9.8 */
		if (conn_end_is_told(c) || !c->an.until_close)
			c->client->proto->eof(c->st, &c->an);
		conn_progress(r, c);
	}
	events_add(r->ev, EV_EOF_SEEN, c->index, c->answered, c->answering ? (int64_t)c->an.body : 0,
		   c->answering ? c->an.note : NULL);
	conn_over(r, c);
}

/* Bytes of the server's protocol. */
void conn_take(struct run *r, struct conn *c, const uint8_t *p, size_t n)
{
	if (r->hand)
		generation_hear(r, c, p, n);
	conn_bytes(r, c, p, n);
	if (c->state != CONN_OVER)
		phase_progress(r, c);
}

void conn_read(struct run *r, struct conn *c)
{
	/* bounded per wake-up, so that one endless answer does not starve the rest */
	for (int i = 0; i < 16 && c->state != CONN_OVER; i++) {
		ssize_t n = recv(c->w.fd, r->buf, RUN_BUF, 0);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0) {
			conn_failed(r, c, errno);
			return;
		}
		if (n == 0 && c->was_reset) {
			conn_failed(r, c, ECONNRESET);
			return;
		}
		if (n == 0) {
			conn_eof(r, c);
			return;
		}
		if (c->tls)
			conn_tls_read(r, c, (size_t)n);
		else
			conn_take(r, c, r->buf, (size_t)n);
		if (n < RUN_BUF || !c->reading)
			return;         /* level-triggered: anything more wakes us again */
	}
}
