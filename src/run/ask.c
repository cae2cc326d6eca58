/* One GET of the harness itself (readiness), beside the clients and never counted as one. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/tls.h"
#include "run/engine.h"

struct asking {
	struct watch w;
	struct timer late;
	struct question q;
	struct run *run;
	ask_fn fn;
	void *arg;
	struct tls *tls;                /* NULL: plain */
	bool sent;
	unsigned n;
	char in[1024];
	char out[512];
};

void question_open(struct run *r, struct question *q)
{
	q->next = r->asks;
	r->asks = q;
}

void question_closed(struct run *r, struct question *q)
{
	for (struct question **p = &r->asks; *p; p = &(*p)->next)
		if (*p == q) {
			*p = q->next;
			return;
		}
}

void questions_end(struct run *r)
{
	for (struct question *q; (q = r->asks);) {
		r->asks = q->next;
		q->drop(q->of);
	}
}

static void ask_drop(void *of)
{
	struct asking *a = of;

	timer_clear(a->run->loop, &a->late);
	loop_del(a->run->loop, &a->w);
	close(a->w.fd);
	a->w.fd = -1;
	tls_free(a->tls);
	a->tls = NULL;
}

static void ask_done(struct asking *a, int status)
{
	if (a->w.fd < 0)
		return;
	question_closed(a->run, &a->q);
	ask_drop(a);
	a->fn(a->run, a->arg, status, a->in);
}

static void ask_late(struct timer *t)
{
	ask_done(t->arg, -ETIMEDOUT);
}

/* The request, or the hello that must come before it. */
static int ask_first(struct asking *a)
{
	struct buf out = {0};
	int rc = 0;

	if (a->tls)
		tls_start(a->tls, &out);
	else
		buf_adds(&out, a->out);
	if (send(a->w.fd, out.p, out.n, MSG_NOSIGNAL) < 0)
		rc = -errno;
	buf_free(&out);
	return rc;
}

/* Bytes of the answer into p; the handshake happens on the way. As recv(2). */
static ssize_t ask_recv(struct asking *a, char *p, size_t size)
{
	uint8_t wire[4096];
	ssize_t n = a->tls ? recv(a->w.fd, wire, sizeof wire, 0) : recv(a->w.fd, p, size, 0);

	if (!a->tls || n <= 0)
		return n;
	struct buf plain = {0}, out = {0};
	bool shaking = tls_state(a->tls) == TLS_SHAKING;

	tls_feed(a->tls, wire, (size_t)n, &plain, &out);
	if (shaking && tls_state(a->tls) == TLS_OPEN)
		tls_write(a->tls, a->out, strlen(a->out), &out);
	if (out.n && send(a->w.fd, out.p, out.n, MSG_NOSIGNAL) < 0)
		n = -1;
	else if (tls_state(a->tls) == TLS_BROKEN)
		n = 0;
	else
		n = (ssize_t)(plain.n < size ? plain.n : size);
	if (n > 0)
		memcpy(p, plain.p, (size_t)n);
	else if (!n && tls_state(a->tls) != TLS_BROKEN)
		n = -1, errno = EAGAIN;         /* handshake and tickets: nothing of the answer yet */
	buf_free(&plain);
	buf_free(&out);
	return n;
}

static void ask_ready(struct watch *w, uint32_t events)
{
	struct asking *a = (struct asking *)w;
	int errnum = 0, status = 0;
	socklen_t len = sizeof errnum;

	if (!a->sent) {
		getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
		errnum = errnum ? -errnum : ask_first(a);
		if (errnum) {
			ask_done(a, errnum);
			return;
		}
		a->sent = true;
		loop_set(a->run->loop, w, EPOLLIN);
		return;
	}
	(void)events;
	ssize_t n = ask_recv(a, a->in + a->n, sizeof a->in - 1 - a->n);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0) {
		a->n += (unsigned)n;
		a->in[a->n] = '\0';
		if (!strstr(a->in, "\r\n\r\n") && a->n < sizeof a->in - 1)
			return;
	}
	if (sscanf(a->in, "HTTP/%*s %d", &status) == 1)
		ask_done(a, status);
	else
		ask_done(a, n < 0 ? -errno : -EPROTO);
}

/* Do the clients of that port speak TLS? */
static bool port_in_tls(const struct run *r, unsigned port)
{
	bool tls = r->warmup.proto && r->warmup.port == port && r->warmup.tls;

	for (unsigned i = 0; i < r->n_clients; i++)
		tls |= r->clients[i].port == port && r->clients[i].tls;
	return tls && r->tls;
}

int ask(struct run *r, unsigned port, const char *path, nsec_t within, ask_fn fn, void *arg)
{
	const struct port *p = &r->ports[port];
	struct asking *a = arena_new_of(r->arena, struct asking);
	socklen_t len = port_addr_len(p);

	a->run = r;
	a->fn = fn;
	a->arg = arg;
	snprintf(a->out, sizeof a->out, "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUser-Agent: drainspec-readiness\r\n"
		 "Connection: close\r\n\r\n", path, p->number);
	a->w = (struct watch){.fn = ask_ready, .arg = a,
		.fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	if (a->w.fd < 0)
		return -errno;
	if (port_in_tls(r, port))
		a->tls = tls_new(r->tls, "http/1.1");
	a->q = (struct question){.drop = ask_drop, .of = a};
	question_open(r, &a->q);
	a->late = (struct timer){.fn = ask_late, .arg = a, .at = NSEC_NEVER};
	timer_set(r->loop, &a->late, clock_now() + within);
	if (connect(a->w.fd, (const struct sockaddr *)&p->addr, len) < 0 && errno != EINPROGRESS) {
		ask_done(a, -errno);
		return 0;
	}
	loop_add(r->loop, &a->w, EPOLLOUT);
	return 0;
}

static void got_answer(struct run *r, void *arg, int status, const char *body)
{
	(void)arg;
	(void)body;
	r->ready_status = status;
}

static bool answered(struct run *r)
{
	return r->ready_status != 0 || !r->alive;
}

int ask_and_wait(struct run *r, const char *path, nsec_t within)
{
	r->ready_status = 0;
	if (r->n_ports && r->warmup.proto && r->warmup.proto->has_heads)
		ask(r, 0, path, within, got_answer, NULL);
	else
		return 0;
	pump(r, answered, clock_now() + within);
	return r->ready_status;
}
