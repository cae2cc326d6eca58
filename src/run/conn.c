/* A client connection: a raw non-blocking socket of ours, with nothing in between. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/engine.h"

static void conn_ready(struct watch *w, uint32_t events);

#define MIX1 0xBF58476D1CE4E5B9u
#define MIX2 0x94D049BB133111EBu
#define UNMIX1 0x96DE1B173F119089u      /* their inverses modulo 2^64 */
#define UNMIX2 0x319642B2D24D8EC3u

/* splitmix64 of seed, connection and request: the same run has the same nonces. It is a bijection, so that the
 * connection can be read back from a nonce that reaches the gate or the log. */
static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * MIX1;
	z = (z ^ (z >> 27)) * MIX2;
	return z ^ (z >> 31);
}

static uint64_t unmix(uint64_t z)
{
	z = (z ^ (z >> 31) ^ (z >> 62)) * UNMIX2;
	z = (z ^ (z >> 27) ^ (z >> 54)) * UNMIX1;
	return z ^ (z >> 30) ^ (z >> 60);
}

void conn_nonce(const struct run *r, const struct conn *c, unsigned number, char out[NONCE_LEN + 1])
{
	static const char hex[] = "0123456789abcdef";
	uint64_t z = mix(r->world->seed + ((uint64_t)(uint32_t)c->index << 20) + number);

	for (int i = 0; i < NONCE_LEN; i++, z >>= 4)
		out[i] = hex[z & 15];
	out[NONCE_LEN] = '\0';
}

struct conn *conn_by_nonce(struct run *r, const char *nonce, unsigned *ret_number)
{
	uint64_t z = 0;

	for (int i = NONCE_LEN; i-- > 0;) {
		int digit = nonce[i] >= '0' && nonce[i] <= '9' ? nonce[i] - '0' :
			    nonce[i] >= 'a' && nonce[i] <= 'f' ? nonce[i] - 'a' + 10 : -1;

		if (digit < 0)
			return NULL;
		z = z << 4 | (unsigned)digit;
	}
	z = unmix(z) - r->world->seed;
	if (z >> 20 >= r->n_conns || (z & 0xfffff) >= r->conns[z >> 20]->asked)
		return NULL;
	*ret_number = (unsigned)(z & 0xfffff);
	return r->conns[z >> 20];
}

/* Has it said what it had to say? Where nobody told us how an answer ends (raw without `answer`), anything is an answer. */
bool conn_heard(const struct conn *c)
{
	return c->answered || (c->read_any && !c->client->proto->pipelines && !c->client->rq.answer);
}

int conn_tcp_state(const struct conn *c)
{
	struct tcp_info ti;
	socklen_t n = sizeof ti;

	if (c->w.fd < 0 || getsockopt(c->w.fd, IPPROTO_TCP, TCP_INFO, &ti, &n) < 0)
		return TCP_CLOSE;
	return ti.tcpi_state;
}

void conn_settle(struct run *r, struct conn *c)
{
	if (!c->owed)
		return;
	c->owed = false;
	if (--r->owed == 0 && r->t_on[ON_ARMED]) {
		events_add(r->ev, EV_LAST_BYTE, -1, 0, 0, NULL);
		actions_event(r, ON_LAST_BYTE, clock_now());
	}
}

/* FIN, RST or refused: nothing more will come. The fd is closed unless the scenario keeps it. */
void conn_over(struct run *r, struct conn *c)
{
	if (c->state < CONN_PROVEN && !c->unproven && c->state != CONN_OVER)
		phase_unreachable(r, c, "the connection ended first");
	c->state = CONN_OVER;
	conn_settle(r, c);
	free(c->unsent);
	c->unsent = NULL;
	if (c->w.fd >= 0)
		loop_del(r->loop, &c->w);
	/* kept open when it never closes: the peer sees no FIN from us */
	if (c->w.fd >= 0 && !(c->eof && c->client->spec->never_closes)) {
		close(c->w.fd);
		c->w.fd = -1;
	}
	if (c->client->spec->phase == PHASE_LOOP)
		phase_loop_step(r, c);
}

void conn_close(struct run *r, struct conn *c, const char *why)
{
	if (c->w.fd < 0)
		return;
	if (c->state != CONN_OVER)
		events_add(r->ev, EV_CLIENT_CLOSED, c->index, 0, 0, why);
	c->state = CONN_OVER;
	conn_settle(r, c);
	loop_del(r->loop, &c->w);
	close(c->w.fd);
	c->w.fd = -1;
}

static void conn_failed(struct run *r, struct conn *c, int errnum)
{
	if (!c->connected)
		events_add(r->ev, EV_REFUSED, c->index, errnum, 0, NULL);
	else
		events_add(r->ev, EV_RESET_SEEN, c->index, errnum, (int64_t)c->an.body, NULL);
	conn_over(r, c);
}

/* Hand over what is unsent; the rest goes when the socket takes it. */
static void conn_flush(struct run *r, struct conn *c)
{
	while (c->unsent_at < c->unsent_n) {
		ssize_t n = send(c->w.fd, c->unsent + c->unsent_at, c->unsent_n - c->unsent_at, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN) {
			loop_set(r->loop, &c->w, c->w.events | EPOLLOUT);
			return;
		}
		if (n < 0) {
			/* EPIPE after a FIN: what the server sent before is still to be read */
			int errnum = errno;

			free(c->unsent);
			c->unsent = NULL;
			/* send() has taken the socket's error with it: the read that follows shows the data, then a bare 0 */
			if (errnum == ECONNRESET)
				c->was_reset = true;
			if (!c->reading)
				conn_failed(r, c, errnum);
			return;
		}
		c->unsent_at += (uint32_t)n;
	}
	free(c->unsent);
	c->unsent = NULL;
	loop_set(r->loop, &c->w, c->w.events & ~(uint32_t)EPOLLOUT);
	if (c->withheld) {
		events_add(r->ev, EV_PARTIAL, c->index, c->rest_at, c->unsent_n, NULL);
	} else {
		char nonce[NONCE_LEN + 1];

		/* pipelined: two requests went in one send */
		for (unsigned k = c->answered; k < c->asked; k++) {
			conn_nonce(r, c, k, nonce);
			events_addf(r->ev, EV_REQUEST, c->index, k, c->unsent_n, "%s %s", nonce, c->client->rq.line);
		}
		if (c->client->spec->phase == PHASE_HALF_CLOSED && c->asked == 1) {
			shutdown(c->w.fd, SHUT_WR);
			events_add(r->ev, EV_SHUT_WR, c->index, 0, 0, NULL);
		}
	}
	if (c->state == CONN_SENDING)
		c->state = CONN_PARKED;
}

/* Where the phase stops sending, 0: sends all. With Expect: 100-continue no byte of the body goes before the 100. */
static uint32_t phase_cut(const struct client_spec *spec, const struct cuts *cuts)
{
	if (spec->phase == PHASE_HALF_HEADER)
		return (uint32_t)cuts->half_header;
	if (spec->phase == PHASE_HALF_BODY)
		return (uint32_t)(spec->expect_continue ? cuts->head_end : cuts->half_body);
	return 0;
}

static int conn_render(struct run *r, struct conn *c, unsigned number, struct buf *b, struct cuts *cuts)
{
	char nonce[NONCE_LEN + 1];

	conn_nonce(r, c, number, nonce);
	return c->client->proto->render(&c->client->rq, nonce, b, cuts, r->err);
}

static void answer_begin(struct run *r, struct conn *c)
{
	char nonce[NONCE_LEN + 1];

	conn_nonce(r, c, c->answered, nonce);
	memset(c->st, 0, c->client->proto->state_size);
	c->client->proto->start(c->st, &c->client->rq, nonce, &c->an);
	c->first_byte = c->head_seen = c->continued = false;
	c->answering = true;
}

/* Send the next request, or the part of it that the phase sends. */
void conn_ask(struct run *r, struct conn *c)
{
	struct buf b = {0};
	struct cuts cuts = {0};
	unsigned copies = c->client->spec->phase == PHASE_PIPELINED && c->asked == 0 ? 2 : 1;

	for (unsigned k = 0; k < copies; k++)
		if (conn_render(r, c, c->asked + k, &b, &cuts) < 0) {
			buf_free(&b);
			return;
		}
	c->rest_at = c->asked ? 0 : phase_cut(c->client->spec, &cuts);
	c->withheld = c->rest_at > 0;
	c->asked = (uint16_t)(c->asked + copies);
	c->unsent = b.p;
	c->unsent_at = 0;
	c->unsent_n = (uint32_t)(c->withheld ? c->rest_at : b.n);
	if (!c->answering)
		answer_begin(r, c);
	conn_flush(r, c);
}

/* More of a request of which part was withheld: half of its body (whole false), or all that is left. */
static void conn_send_more(struct run *r, struct conn *c, bool whole)
{
	struct buf b = {0};
	struct cuts cuts;

	if (c->state == CONN_OVER || !c->withheld || c->unsent)
		return;
	if (conn_render(r, c, c->asked - 1u, &b, &cuts) < 0)
		return;
	c->withheld = !whole;
	c->unsent = b.p;
	c->unsent_at = c->rest_at;
	c->unsent_n = (uint32_t)(whole ? b.n : cuts.half_body);
	c->rest_at = c->unsent_n;
	conn_flush(r, c);
}

void conn_send_rest(struct run *r, struct conn *c)
{
	conn_send_more(r, c, true);
}

void conn_start_reading(struct run *r, struct conn *c)
{
	if (c->state == CONN_OVER || c->reading)
		return;
	c->reading = true;
	loop_set(r->loop, &c->w, c->w.events | EPOLLIN | EPOLLRDHUP);
}

static void answer_done(struct run *r, struct conn *c)
{
	const struct answer *an = &c->an;
	/* also without an echo of ours: another request's nonce is cross-talk */
	if (an->echo_bad_at >= 0)
		events_addf(r->ev, EV_ANSWER, c->index, c->answered, (int64_t)an->body, "%d echo-bad@%lld",
			    an->status, (long long)an->echo_bad_at);
	else
		events_addf(r->ev, EV_ANSWER, c->index, c->answered, (int64_t)an->body, "%d%s", an->status,
			    an->echo ? " echo-ok" : "");
	c->answered++;
	c->client->answers++;
	c->answering = false;
	if (c->answered >= c->asked)
		conn_settle(r, c);
	if (c->client->spec->phase == PHASE_LOOP)
		phase_loop_step(r, c);
}

static void note_progress(struct run *r, struct conn *c)
{
	if (c->an.continued && !c->continued) {
		c->continued = true;
		events_add(r->ev, EV_CONTINUE_100, c->index, 0, 0, NULL);
		conn_send_more(r, c, c->client->spec->phase != PHASE_HALF_BODY);
	}
	/* interim answers are not the answer: the first byte counts from its status line on */
	if (c->an.state >= ANSWER_HEAD && !c->first_byte && c->an.bytes) {
		c->first_byte = true;
		events_add(r->ev, EV_FIRST_BYTE, c->index, c->answered, 0, NULL);
	}
	if ((c->an.state == ANSWER_BODY || c->an.state == ANSWER_DONE) && !c->head_seen) {
		c->head_seen = true;
		events_add(r->ev, EV_HEAD, c->index, c->an.status, c->an.length,
			   c->an.close ? "close" : "keep-alive");
	}
	if (c->an.state == ANSWER_BAD && !c->bad) {
		c->bad = true;
		events_add(r->ev, EV_BAD_ANSWER, c->index, (int64_t)c->an.bytes, 0, c->an.bad);
	}
}

static void conn_bytes(struct run *r, struct conn *c, const uint8_t *p, size_t n)
{
	c->read_any = true;
	while (n && !c->bad && c->state != CONN_OVER) {
		if (!c->answering)
			answer_begin(r, c);     /* also for what nobody asked for: a 408, garbage */
		size_t used = c->client->proto->feed(c->st, p, n, &c->an);

		note_progress(r, c);
		if (c->an.state == ANSWER_DONE)
			answer_done(r, c);
		else if (used == 0)
			break;
		p += used;
		n -= used;
	}
}

static void conn_eof(struct run *r, struct conn *c)
{
	c->eof = true;
	if (c->answering) {
		c->client->proto->eof(c->st, &c->an);
		note_progress(r, c);
		if (c->an.state == ANSWER_DONE)
			answer_done(r, c);
	}
	events_add(r->ev, EV_EOF_SEEN, c->index, c->answered,
		   c->answering ? (int64_t)c->an.body : 0, NULL);
	conn_over(r, c);
}

static void conn_read(struct run *r, struct conn *c)
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
		conn_bytes(r, c, r->buf, (size_t)n);
		if (c->state != CONN_OVER)
			phase_progress(r, c);
		if (n < RUN_BUF)
			return;         /* level-triggered: anything more wakes us again */
	}
}

static void conn_established(struct run *r, struct conn *c)
{
	enum phase phase = c->client->spec->phase;

	c->connected = true;
	events_add(r->ev, EV_CONNECTED, c->index, 0, 0, NULL);
	c->reading = phase != PHASE_SLOW_READER;
	loop_set(r->loop, &c->w, c->reading ? EPOLLIN | EPOLLRDHUP : 0);
	c->state = CONN_SENDING;
	if (phase != PHASE_CONNECTED && c->client->rq.line)
		conn_ask(r, c);
	else
		c->state = CONN_PARKED;
	if (phase == PHASE_LATE || phase == PHASE_LOOP)
		c->state = c->state == CONN_OVER ? CONN_OVER : CONN_FREE;
}

static void conn_ready(struct watch *w, uint32_t events)
{
	struct conn *c = (struct conn *)w;
	struct run *r = w->arg;

	if (c->state == CONN_CONNECTING) {
		int errnum = 0;
		socklen_t n = sizeof errnum;

		getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errnum, &n);
		if (errnum)
			conn_failed(r, c, errnum);
		else if (events & (EPOLLOUT | EPOLLIN))
			conn_established(r, c);
		return;
	}
	if (events & EPOLLOUT && c->unsent)
		conn_flush(r, c);
	if (c->state == CONN_OVER)
		return;
	if (c->reading || events & (EPOLLERR | EPOLLHUP))
		conn_read(r, c);
}

/* More than a few thousand connections from one address make the kernel's search for a free port slow: spread
 * them over 127.0.0.x. */
static int conn_bind(struct run *r, struct conn *c, const struct port *port)
{
	if (port->v6 || r->n_conns < 4000)
		return 0;
	struct sockaddr_in src = {.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + r->n_conns / 4000)};
	int one = 1;

	setsockopt(c->w.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
	return bind(c->w.fd, (struct sockaddr *)&src, sizeof src);
}

static void conn_register(struct run *r, struct conn *c)
{
	if (r->n_conns == r->cap_conns) {
		uint32_t cap = r->cap_conns ? r->cap_conns * 2 : 64;
		struct conn **v = realloc(r->conns, cap * sizeof *v);

		if (!v)
			abort();        /* as every allocation here: this worker makes one BROKEN verdict */
		r->conns = v;
		r->cap_conns = cap;
	}
	c->index = (int32_t)r->n_conns;
	r->conns[r->n_conns++] = c;
}

static void conn_learn_source(struct run *r, struct conn *c, const struct port *port)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof ss;

	if (getsockname(c->w.fd, (struct sockaddr *)&ss, &n) < 0)
		return;
	if (ss.ss_family == AF_INET) {
		c->src_ip = ((struct sockaddr_in *)&ss)->sin_addr.s_addr;
		c->src_port = ntohs(((struct sockaddr_in *)&ss)->sin_port);
	} else if (ss.ss_family == AF_INET6) {
		c->src_port = ntohs(((struct sockaddr_in6 *)&ss)->sin6_port);
	}
	if (r->world->cap)
		capture_expect(r->world->cap, c->index, c->src_ip, c->src_port, port->number);
}

struct conn *conn_open(struct run *r, struct client *cl)
{
	const struct port *port = &r->ports[cl->port];
	struct conn *c = arena_alloc(r->mem, sizeof *c + cl->proto->state_size);
	socklen_t len = port->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
	int one = 1;

	c->client = cl;
	c->w = (struct watch){.fn = conn_ready, .arg = r,
		.fd = socket(port->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	if (c->w.fd < 0) {
		err_set(r->err, ERR_HARNESS, errno, "cannot make a client socket");
		return NULL;
	}
	cl->opened++;
	setsockopt(c->w.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (cl->spec->rcvbuf || cl->spec->phase == PHASE_SLOW_READER) {
		int size = cl->spec->rcvbuf ? (int)cl->spec->rcvbuf : 4096;

		setsockopt(c->w.fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	}
	conn_bind(r, c, port);
	conn_register(r, c);
	int rc = connect(c->w.fd, (const struct sockaddr *)&port->addr, len);
	int errnum = rc < 0 ? errno : 0;

	conn_learn_source(r, c, port);
	if (!cl->label)
		cl->label = arena_printf(r->arena, "%s %s", cl->spec->name, phase_rows[cl->spec->phase].name);
	events_add(r->ev, EV_CONNECT, c->index, port->number, c->src_port, cl->label);
	if (errnum && errnum != EINPROGRESS) {
		conn_failed(r, c, errnum);
		return c;
	}
	loop_add(r->loop, &c->w, EPOLLOUT);
	/* on loopback the handshake or the RST is here by now: asking again saves a round through epoll */
	if (errnum == EINPROGRESS)
		errnum = connect(c->w.fd, (const struct sockaddr *)&port->addr, len) < 0 ? errno : 0;
	if (!errnum)
		conn_established(r, c);
	else if (errnum != EALREADY && errnum != EINPROGRESS)
		conn_failed(r, c, errnum);
	return c;
}
