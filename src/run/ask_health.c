/* The standard health service of gRPC, asked by the harness itself (readiness) on a connection of its own: one Check, or a Watch
 * that tells of each change. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/mux.h"
#include "run/engine.h"

#define SERVING 1               /* HealthCheckResponse.ServingStatus */

struct checking {
	struct watch w;
	struct timer late;
	struct question q;
	struct run *run;
	ask_fn fn;
	void *arg;
	const struct proto *proto;
	struct mux_session *s;
	struct request rq;
	struct answer an;
	uint8_t msg[5 + 2 + 128];
	char host[32];
	int status;             /* 0: none yet */
	bool connected, watches;
	uint32_t told;          /* messages of a Watch that were handed on */
	_Alignas(8) uint8_t st[128];
};

static void check_drop(void *of)
{
	struct checking *a = of;

	timer_clear(a->run->loop, &a->late);
	loop_del(a->run->loop, &a->w);
	close(a->w.fd);
	a->w.fd = -1;
	a->proto->mux->close(a->s);
}

static void check_done(struct checking *a, int status)
{
	if (a->w.fd < 0)
		return;
	question_closed(a->run, &a->q);
	check_drop(a);
	if (!a->watches)
		a->fn(a->run, a->arg, status, "");
}

static void check_late(struct timer *t)
{
	check_done(t->arg, -ETIMEDOUT);
}

/* SERVING is 1 in field 1 of the message; another status, or none, is not. */
static int said(const struct checking *a)
{
	return a->an.n_first >= 2 && a->an.first[0] == 8 && a->an.first[1] == SERVING ? 200 : 503;
}

static void on_progress(void *arg, struct mux_stream *st)
{
	struct checking *a = arg;

	(void)st;
	if (a->watches && a->an.messages > a->told && a->an.whole) {
		a->told = a->an.messages;
		a->fn(a->run, a->arg, said(a), "");
	}
	if (a->an.state == ANSWER_BAD)
		a->status = -EPROTO;
	else if (a->an.state == ANSWER_DONE && a->an.grpc == 1)
		a->status = said(a);
	else if (a->an.state == ANSWER_DONE)
		a->status = a->an.status == 200 ? 503 : a->an.status;
}

static void on_reset(void *arg, struct mux_stream *st, uint32_t code)
{
	(void)st, (void)code;
	((struct checking *)arg)->status = -ECONNRESET;
}

static void on_broken(void *arg, const char *why)
{
	(void)why;
	((struct checking *)arg)->status = -EPROTO;
}

static void on_settings(void *arg, uint32_t max_streams)
{
	(void)arg, (void)max_streams;
}

static void on_pong(void *arg, uint64_t number)
{
	(void)arg, (void)number;
}

static void on_goaway_begins(void *arg)
{
	(void)arg;
}

static void on_goaway(void *arg, int32_t last, uint32_t code, const char *text)
{
	(void)arg, (void)last, (void)code, (void)text;
}

static void on_above(void *arg, int32_t id)
{
	(void)arg, (void)id;
}

static void on_sent(void *arg, struct mux_stream *st, uint64_t bytes)
{
	(void)arg, (void)st, (void)bytes;
}

static const struct mux_host host = {
	.settings = on_settings, .pong = on_pong, .goaway_begins = on_goaway_begins, .goaway = on_goaway,
	.above = on_above, .sent = on_sent, .progress = on_progress, .reset = on_reset, .broken = on_broken,
};

/* What is put out here is far smaller than a socket's buffer. */
static int say(struct checking *a)
{
	struct buf out = {0};

	a->proto->mux->output(a->s, &out);
	ssize_t n = out.n ? send(a->w.fd, out.p, out.n, MSG_NOSIGNAL) : 0;
	int errnum = n < 0 ? errno : 0;

	buf_free(&out);
	return -errnum;
}

static void check_ready(struct watch *w, uint32_t events)
{
	struct checking *a = (struct checking *)w;
	uint8_t in[4096];
	int errnum = 0;
	socklen_t len = sizeof errnum;

	(void)events;
	if (!a->connected) {
		getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &errnum, &len);
		errnum = errnum ? -errnum : say(a);
		if (errnum)
			check_done(a, errnum);
		a->connected = true;
		if (!errnum)
			loop_set(a->run->loop, w, EPOLLIN);
		return;
	}
	ssize_t n = recv(w->fd, in, sizeof in, 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n > 0)
		a->proto->mux->feed(a->s, in, (size_t)n);
	if (!a->status && n <= 0)
		a->status = n < 0 ? -errno : -EPROTO;
	if (!a->status)
		a->status = say(a);
	if (a->status)
		check_done(a, a->status);
}

/* HealthCheckRequest {string service = 1}, framed. */
static void write_request(struct checking *a, const char *service)
{
	size_t n = service ? strnlen(service, sizeof a->msg - 8) : 0;

	if (n) {
		a->msg[4] = (uint8_t)(n + 2);
		a->msg[5] = 1 << 3 | 2;
		a->msg[6] = (uint8_t)n;
		memcpy(a->msg + 7, service, n);
	}
	a->rq = (struct request){.line = a->watches ? "grpc grpc.health.v1.Health/Watch" : "grpc grpc.health.v1.Health/Check", .host = a->host, .msg = a->msg,
		.n_msg = n ? n + 7 : 5};
}

static int health(struct run *r, unsigned port, const char *service, struct checking *a)
{
	const struct port *p = &r->ports[port];
	socklen_t len = port_addr_len(p);
	struct mux_stream *st = (struct mux_stream *)a->st;

	a->run = r;
	a->proto = proto_by_name("grpc");
	a->w = (struct watch){.fn = check_ready, .arg = a,
		.fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
	a->late = (struct timer){.fn = check_late, .arg = a, .at = NSEC_NEVER};
	if (a->w.fd < 0)
		return -errno;
	snprintf(a->host, sizeof a->host, "127.0.0.1:%u", p->number);
	write_request(a, service);
	a->s = a->proto->mux->open(&host, a, false);
	st->an = &a->an;
	if (connect(a->w.fd, (const struct sockaddr *)&p->addr, len) < 0 && errno != EINPROGRESS)
		a->status = -errno;
	else if (a->proto->mux->submit(a->s, st, &a->rq, "0000000000000000", MUX_WHOLE, r->err) < 0)
		a->status = -EPROTO;
	else
		loop_add(r->loop, &a->w, EPOLLOUT);
	return 0;
}

int ask_health(struct run *r, unsigned port, const char *service, nsec_t within, ask_fn fn, void *arg)
{
	struct checking *a = arena_new_of(r->arena, struct checking);
	int rc;

	*a = (struct checking){.fn = fn, .arg = arg};
	rc = health(r, port, service, a);
	if (rc < 0)
		return rc;
	a->q = (struct question){.drop = check_drop, .of = a};
	question_open(r, &a->q);
	timer_set(r->loop, &a->late, clock_now() + within);
	if (a->status)
		check_done(a, a->status);
	return 0;
}

int watch_health(struct run *r, unsigned port, const char *service, ask_fn fn, void *arg)
{
	struct checking *a = arena_new_of(r->arena, struct checking);
	int rc;

	*a = (struct checking){.fn = fn, .arg = arg, .watches = true};
	rc = health(r, port, service, a);
	if (!rc && a->status)
		check_done(a, a->status);
	r->health_watch = rc || a->status ? NULL : a;
	return rc;
}

bool health_told(const struct run *r)
{
	return !r->health_watch || r->health_watch->told || r->health_watch->w.fd < 0;
}

void health_end(struct run *r)
{
	if (r->health_watch)
		check_done(r->health_watch, -ECANCELED);
	r->health_watch = NULL;
}
