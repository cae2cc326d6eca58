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

#define CLOSE_WITHIN (250 * NSEC_PER_MSEC)

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

/* Has it said what it had to say? Where nobody told us how an answer ends (raw without `answer`), anything is an answer. A WebSocket
 * is open with the 101; that our Close is answered is awaited only a moment, for a server that just sends never reads it. */
bool conn_heard(struct run *r, const struct conn *c)
{
	if (c->answered)
		return c->answered >= c->asked;
	if (c->client->proto->upgrades) {
		if (c->continued && c->t_read + CLOSE_WITHIN < r->look)
			r->look = c->t_read + CLOSE_WITHIN;
		return c->continued && clock_now() >= c->t_read + CLOSE_WITHIN;
	}
	return c->read_any && !c->car && !c->client->proto->pipelines && !c->client->rq.answer;
}

uint64_t conn_body(const struct conn *c)
{
	return c->client->rq.msg ? c->client->rq.n_msg : c->client->rq.body;
}

/* What request number n of a connection asks: the requests of its client, again and again. */
const struct request *conn_request(const struct conn *c, unsigned number)
{
	return c->client->n_rqs ? &c->client->rqs[number % c->client->n_rqs] : &c->client->rq;
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
	answer_end(c);
	conn_tls_stop(r, c);
	conn_forget_unsent(c);
	if (!mux_owns(c))
		c->w.fd = -1;
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
	answer_end(c);
	conn_settle(r, c);
	if (!mux_owns(c)) {
		c->w.fd = -1;
		return;
	}
	if (c->car)
		mux_closed(r, c, why);
	loop_del(r->loop, &c->w);
	if (c->tls)
		conn_tls_bye(c);
	conn_tls_stop(r, c);
	close(c->w.fd);
	c->w.fd = -1;
}

/* Where in the last request the phase stops sending. With Expect: 100-continue no byte of the body goes before the 100.
 * false: it sends all. */
static bool phase_cut(const struct client *cl, const struct cuts *cuts, size_t *ret)
{
	const struct client_spec *spec = cl->spec;

	if (spec->phase == PHASE_HALF_HEADER)
		*ret = cuts->half_header;
	else if (cl->proto->upgrades && cuts->end > cuts->head_end)
		*ret = cuts->head_end;
	else if (spec->phase == PHASE_HALF_BODY)
		*ret = spec->expect_continue ? cuts->head_end : cuts->half_body;
	else if (spec->phase == PHASE_TRANSACTION)
		*ret = 0;
	else
		return false;
	return true;
}

static int conn_render(struct run *r, struct conn *c, unsigned number, struct buf *b, struct cuts *cuts)
{
	char nonce[NONCE_LEN + 1];

	conn_nonce(r, c, number, nonce);
	return c->client->proto->render(conn_request(c, number), nonce, b, cuts, r->err);
}

/* Send the next request, or the part of it that the phase sends; of a pipeline all of them at once. */
void conn_ask(struct run *r, struct conn *c)
{
	if (c->car) {
		mux_ask(r, c);
		return;
	}
	struct buf b = {0};
	struct cuts cuts = {0};
	unsigned copies = (unsigned)c->client->n_rqs;
	size_t last = 0, cut = 0;

	if (c->client->spec->phase == PHASE_PIPELINED && c->asked == 0 && copies == 1)
		copies = 2;
	for (unsigned k = 0; k < copies; k++) {
		last = b.n;
		if (conn_render(r, c, c->asked + k, &b, &cuts) < 0) {
			buf_free(&b);
			return;
		}
	}
	c->withheld = !c->asked && phase_cut(c->client, &cuts, &cut);
	c->rest_at = c->withheld ? (uint32_t)cut : 0;
	c->asked = (uint16_t)(c->asked + copies);
	if (!c->answering)
		answer_begin(r, c);
	conn_send_request(r, c, &b, c->withheld ? last + c->rest_at : b.n);
}

/* More of a request of which part was withheld: half of its body (whole false), or all that is left. */
void conn_send_more(struct run *r, struct conn *c, bool whole)
{
	if (c->car) {
		mux_send_more(r, c, whole);
		return;
	}
	struct buf b = {0};
	struct cuts cuts;
	bool upgrades = c->client->proto->upgrades;

	if (c->client->asks_later && c->state == CONN_PROVEN && !c->asked && !c->eof)
		conn_speak(r, c);
	if (c->state == CONN_OVER || !c->withheld || c->unsent)
		return;
	/* behind the server's Close, and ours in answer to it, nothing follows */
	if (upgrades && c->answered >= c->asked)
		return;
	if (conn_render(r, c, c->asked - 1u, &b, &cuts) < 0)
		return;
	size_t from = c->rest_at, to = whole ? b.n : cuts.half_body;

	/* the rest of the head first: what follows waits for the 101 */
	if (upgrades && !c->continued)
		to = cuts.head_end;
	c->withheld = to < b.n;
	c->rest_at = (uint32_t)to;
	memmove(b.p, b.p + from, to - from);
	conn_send_request(r, c, &b, to - from);
}

void conn_send_rest(struct run *r, struct conn *c)
{
	conn_send_more(r, c, true);
}

void conn_start_reading(struct run *r, struct conn *c)
{
	if (c->state != CONN_OVER && c->car)
		mux_read_on(r, c);
	if (c->state == CONN_OVER || c->reading)
		return;
	c->reading = true;
	loop_set(r->loop, &c->w, c->w.events | EPOLLIN | EPOLLRDHUP);
}

void conn_listen(struct run *r, struct conn *c, bool reads)
{
	c->reading = reads;
	loop_set(r->loop, &c->w, reads ? EPOLLIN | EPOLLRDHUP : 0);
}

void conn_speak(struct run *r, struct conn *c)
{
	/* who upgrades reads up to the 101, or could not say what is to be answered */
	conn_listen(r, c, c->client->spec->phase != PHASE_SLOW_READER || c->client->proto->upgrades);
	c->t_read = 0;
	conn_ask(r, c);
}

static void conn_secure(struct run *r, struct conn *c)
{
	if (c->client->tls)
		conn_tls_start(r, c);
	else
		conn_begin(r, c);
}

static void conn_established(struct run *r, struct conn *c)
{
	if (c->car) {
		loop_set(r->loop, &c->w, EPOLLIN | EPOLLRDHUP);
		mux_connected(r, c);
		conn_secure(r, c);
		return;
	}
	c->connected = true;
	r->t_progress = clock_now();
	events_add(r->ev, EV_CONNECTED, c->index, 0, 0, NULL);
	conn_secure(r, c);
}

void conn_begin(struct run *r, struct conn *c)
{
	enum phase phase = c->client->spec->phase;

	if (c->car) {
		mux_established(r, c);
		return;
	}
	if (c->state < CONN_PROVEN)     /* a backlog that was proven before the handshake asks only now */
		c->state = CONN_SENDING;
	if (phase == PHASE_CONNECTED || !c->client->rq.line) {
		conn_listen(r, c, phase != PHASE_SLOW_READER);
		if (c->state < CONN_PROVEN)
			c->state = CONN_PARKED;
	} else if (greeting_awaited(r, c)) {
		conn_listen(r, c, true);
		if (phase == PHASE_BACKLOG && c->state < CONN_PROVEN)
			c->state = CONN_PARKED;
		greeting_await(r, c);
	} else {
		conn_speak(r, c);
	}
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
 * them over 127.0.0.x. And one that may find the listener closed has an address of its own, 127.1.x.x: had an earlier one had the
 * same port, its TIME-WAIT would take our SYN and no RST would come for a second (tcp_timewait_state_process: TCP_TW_SYN). */
static int conn_bind(struct run *r, struct conn *c, const struct port *port)
{
	bool late = c->client->spec->phase == PHASE_LATE;

	if (port->v6 || port->path || (r->n_conns < 4000 && !late))
		return 0;
	uint32_t other = late ? 0x10000 + r->n_conns % 0xfff0 : 1 + r->n_conns / 4000;
	struct sockaddr_in src = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + other)};
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
	if (r->world->cap && !port->path)
		capture_expect(r->world->cap, c->index, c->src_ip, c->src_port, port->number);
}

static void conn_say(struct run *r, struct conn *c, const struct port *port)
{
	struct client *cl = c->client;

	if (!cl->label)
		cl->label = arena_printf(r->arena, "%s %s", cl->spec->name, phase_rows[cl->spec->phase].name);
	events_add(r->ev, EV_CONNECT, c->index, port->number, c->src_port, cl->label);
}

struct conn *conn_open(struct run *r, struct client *cl)
{
	const struct port *port = &r->ports[cl->port];
	struct conn *c = arena_alloc(r->mem, sizeof *c + cl->proto->state_size);
	socklen_t len = port_addr_len(port);
	int one = 1;

	if (r->n_conns > EVENT_CONN_MAX) {
		err_set(r->err, ERR_HARNESS, 0, "more than %d connections in one scenario", EVENT_CONN_MAX);
		return NULL;
	}
	c->client = cl;
	c->w = (struct watch){.fn = conn_ready, .arg = r, .fd = -1};
	if (cl->proto->mux && mux_join(r, c)) {
		cl->opened++;
		conn_register(r, c);
		conn_say(r, c, port);
		mux_joined(r, c);
		return c;
	}
	c->w.fd = socket(port->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->w.fd < 0) {
		r->no_socket = errno;
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

	if (port->path && errnum == ENOENT)     /* its file is gone: nobody listens there */
		errnum = ECONNREFUSED;

	conn_learn_source(r, c, port);
	conn_say(r, c, port);
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
