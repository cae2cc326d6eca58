/* The gate: an HTTP/1.1 origin inside the harness that answers when the plan says so. What calls it is in flight
 * exactly as long as the scenario wants, and its arrival proves that a request is being handled. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/engine.h"

#define GATE_BODY 64
#define GATE_HEAD 2048
#define GATE_HEAD_MAX (32 * GATE_HEAD)

static void gate_say(struct gate_conn *g, const char *text, size_t n)
{
	/* a few hundred bytes into an empty socket buffer: taken whole, or the peer is gone */
	if (send(g->w.fd, text, n, MSG_NOSIGNAL) < 0)
		return;
}

static void nonce_body(const struct gate_conn *g, char *out, size_t n)
{
	const char *nonce = g->nonce[0] ? g->nonce : "drainspec-gate-0";

	for (size_t i = 0; i < n; i++)
		out[i] = nonce[i % NONCE_LEN];
}

static size_t gate_head(const struct gate_conn *g, char *out, size_t n)
{
	return (size_t)snprintf(out, n, "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n%s%s%s"
				"Content-Length: %d\r\n\r\n", g->nonce[0] ? "X-Drainspec-Nonce: " : "", g->nonce,
				g->nonce[0] ? "\r\n" : "", GATE_BODY);
}

/* The head and the first half of the body. */
static void gate_begin(struct gate_conn *g)
{
	char text[256 + GATE_BODY];
	size_t n = gate_head(g, text, 256);

	nonce_body(g, text + n, GATE_BODY / 2);
	gate_say(g, text, n + GATE_BODY / 2);
}

/* All of the answer, or what is left of one that streams, in one segment: a proxy before us is woken once. */
static void gate_answer(struct run *r, struct gate_conn *g)
{
	char text[256 + GATE_BODY];
	size_t n = g->streaming ? 0 : gate_head(g, text, 256), body = g->streaming ? GATE_BODY / 2 : GATE_BODY;

	nonce_body(g, text + n, body);
	gate_say(g, text, n + body);
	g->held = g->streaming = false;
	r->gate_held--;
	/* a handler that reads its answer to the end of the connection has said so */
	if (g->closes)
		shutdown(g->w.fd, SHUT_WR);
}

/* Case-insensitive value of a header in a complete head; "" if it is not there. */
static void header_value(const char *head, const char *name, char *out, size_t n)
{
	size_t len = strlen(name);

	out[0] = '\0';
	for (const char *p = strstr(head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
		if (!strncasecmp(p + 2, name, len) && p[2 + len] == ':') {
			const char *v = p + 3 + len;

			v += strspn(v, " \t");
			snprintf(out, n, "%.*s", (int)strcspn(v, "\r\n"), v);
			return;
		}
}

/* Who is proven by an answer, or asks again and again, is not what the scenario holds: a proxy that sends us everything has its first
 * request answered too. */
static bool is_held(const struct run *r, const struct conn *c)
{
	if (!c)
		return true;
	enum phase phase = c->client->spec->phase;

	return c->client != &r->warmup && !c->client->is_control && phase != PHASE_IDLE && phase != PHASE_LOOP;
}

static void gate_request(struct run *r, struct gate_conn *g, char *head)
{
	char nonce[64], line[128], token[64];

	snprintf(line, sizeof line, "%.*s", (int)strcspn(head, "\r\n"), head);
	header_value(head, "X-Drainspec-Nonce", nonce, sizeof nonce);
	unsigned number;
	struct conn *c = strlen(nonce) == NONCE_LEN ? conn_by_nonce(r, nonce, &number) : NULL;

	memcpy(g->nonce, nonce, NONCE_LEN);
	g->nonce[strlen(nonce) == NONCE_LEN ? NONCE_LEN : 0] = '\0';
	g->conn = c ? c->index : -1;
	g->held = true;
	r->gate_held++;
	events_addf(r->ev, EV_GATE_REACHED, g->conn, g->index, 0, "%s %s", nonce[0] ? nonce : "-", line);
	g->streaming = strstr(line, "/stream") != NULL;
	header_value(head, "Connection", token, sizeof token);
	g->closes = strcasestr(token, "close") || (strstr(line, "HTTP/1.0") && !strcasestr(token, "keep-alive"));
	if (g->streaming)
		gate_begin(g);
	if (r->gate_open || !is_held(r, c))
		gate_answer(r, g);
	if (c && !c->gate_hit) {
		c->gate_hit = true;
		phase_try_prove(r, c);
	}
}

/* A head may carry a token of some KiB, and the nonce stands before it. What is longer is a body. */
static void gate_grow(struct run *r, struct gate_conn *g)
{
	char *in;

	if (g->in_max >= GATE_HEAD_MAX) {
		g->in_n = 0;
		return;
	}
	in = arena_alloc(r->mem, 4 * g->in_max);
	memcpy(in, g->in, g->in_n + 1);
	g->in = in;
	g->in_max *= 4;
}

static void gate_conn_ready(struct watch *w, uint32_t events)
{
	struct gate_conn *g = (struct gate_conn *)w;
	struct run *r = w->arg;
	ssize_t n = recv(w->fd, g->in + g->in_n, g->in_max - 1 - g->in_n, 0);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		if (g->held) {
			events_add(r->ev, EV_GATE_CLOSED, g->conn, g->index, 0, NULL);
			r->gate_held--;
			g->held = false;
		}
		loop_del(r->loop, w);
		close(w->fd);
		w->fd = -1;
		return;
	}
	g->in_n += (unsigned)n;
	g->in[g->in_n] = '\0';
	for (char *end; (end = strstr(g->in, "\r\n\r\n"));) {
		size_t used = (size_t)(end + 4 - g->in);

		*end = '\0';
		gate_request(r, g, g->in);
		memmove(g->in, g->in + used, g->in_n - used + 1);
		g->in_n -= (unsigned)used;
	}
	if (g->in_n == g->in_max - 1)
		gate_grow(r, g);
}

static void gate_accept(struct watch *w, uint32_t events)
{
	struct run *r = w->arg;

	(void)events;
	for (;;) {
		int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		struct gate_conn *g = arena_new_of(r->mem, struct gate_conn);

		g->w = (struct watch){.fn = gate_conn_ready, .arg = r, .fd = fd};
		g->in = arena_alloc(r->mem, GATE_HEAD);
		g->in_max = GATE_HEAD;
		g->index = r->n_gate++;
		g->conn = -1;
		g->next = r->gate_conns;
		r->gate_conns = g;
		loop_add(r->loop, &g->w, EPOLLIN | EPOLLRDHUP);
		gate_conn_ready(&g->w, EPOLLIN);
	}
}

int gate_open(struct run *r)
{
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof addr;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	r->gate_watch = (struct watch){.fn = gate_accept, .arg = r, .fd = fd};
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, n) < 0 || listen(fd, 4096) < 0 ||
	    getsockname(fd, (struct sockaddr *)&addr, &n) < 0 || loop_add(r->loop, &r->gate_watch, EPOLLIN) < 0) {
		err_set(r->err, ERR_HARNESS, errno, "cannot open the gate");
		if (fd >= 0)
			close(fd);
		r->gate_watch.fd = -1;
		return -1;
	}
	r->gate_port = ntohs(addr.sin_port);
	return 0;
}

void gate_release(struct run *r)
{
	events_add(r->ev, EV_GATE_RELEASED, -1, r->gate_held, 0, NULL);
	r->gate_open = true;
	for (struct gate_conn *g = r->gate_conns; g; g = g->next)
		if (g->held && g->w.fd >= 0)
			gate_answer(r, g);
}

void gate_close(struct run *r)
{
	for (struct gate_conn *g = r->gate_conns; g; g = g->next)
		if (g->w.fd >= 0) {
			loop_del(r->loop, &g->w);
			close(g->w.fd);
			g->w.fd = -1;
		}
	if (r->gate_watch.fd >= 0) {
		loop_del(r->loop, &r->gate_watch);
		close(r->gate_watch.fd);
		r->gate_watch.fd = -1;
	}
}
