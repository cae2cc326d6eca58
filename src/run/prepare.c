/* Client specs made ready to connect: protocol, port, request. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proto/grpc.h"
#include "run/engine.h"

#define MAX_DESCRIPTORS (64u << 20)

/* No protocol anywhere: what the request looks like decides. */
static const char *guess_protocol(const char *line)
{
	static const char *const methods[] = {"GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "PATCH ", "OPTIONS "};

	for (size_t i = 0; line && i < sizeof methods / sizeof *methods; i++)
		if (!strncmp(line, methods[i], strlen(methods[i])))
			return "http1";
	return grpc_is(line) ? "grpc" : line ? "raw" : "http1";
}

static int find_port(struct run *r, const struct client_spec *s, unsigned *ret)
{
	*ret = 0;
	if (!s->port)
		return 0;
	for (unsigned i = 0; i < r->n_ports; i++)
		if (!strcmp(r->ports[i].spec->name, s->port)) {
			*ret = i;
			return 0;
		}
	return err_at(r->err, s->at, "the target has no port named '%s'", s->port);
}

/* The whole of a small file. */
static int read_file(const char *path, struct span at, struct buf *out, struct err *reterr)
{
	FILE *f = fopen(path, "re");
	char part[4096];
	size_t n;

	if (!f)
		return err_at(reterr, at, "cannot open the descriptors '%s': %s", path, strerror(errno));
	while ((n = fread(part, 1, sizeof part, f)) > 0 && out->n < MAX_DESCRIPTORS)
		buf_add(out, part, n);
	fclose(f);
	return out->n < MAX_DESCRIPTORS ? 0 : err_at(reterr, at, "'%s' is too large for compiled descriptors", path);
}

/* A call's messages are made once, and each connection sends them. */
static int prepare_call(struct run *r, const struct client_spec *s, struct client *cl)
{
	struct buf file = {0}, msg = {0};
	struct pb_set set;
	struct err why = {0};
	int rc = 0;

	if (s->descriptors) {
		rc = read_file(s->descriptors, s->at, &file, r->err);
		if (!rc)
			rc = pb_read_set((const uint8_t *)file.p, file.n, r->arena, &set, &why);
	}
	if (!rc)
		rc = grpc_messages(cl->rq.line, s->descriptors ? &set : NULL, &msg, &cl->rq.keeps_sending, &why);
	if (why.kind)
		err_at(r->err, s->at, "client '%s': %s", s->name, why.what);
	if (!rc) {
		cl->rq.msg = (const uint8_t *)arena_strndup(r->arena, msg.p, msg.n);
		cl->rq.n_msg = msg.n;
	}
	buf_free(&file);
	buf_free(&msg);
	return rc;
}

/* What a client asks: its line, or the several requests that its protocol makes of it. */
static int prepare_requests(struct run *r, const struct client_spec *s, struct client *cl)
{
	struct err err = {0};

	cl->rq = (struct request){.line = s->request, .headers = s->headers, .n_headers = s->n_headers, .body = s->body,
		.expect_continue = s->expect_continue, .answer = s->answer,
		.host = arena_printf(r->arena, "127.0.0.1:%u", r->ports[cl->port].number)};
	if (grpc_is(cl->rq.line) && !strcmp(cl->proto->name, "grpc") && prepare_call(r, s, cl) < 0)
		return -1;
	if (s->request && !strcmp(s->request, "none"))
		cl->rq.line = NULL;
	if (!s->request && s->phase != PHASE_CONNECTED && s->phase != PHASE_LATE && cl->proto->has_heads)
		cl->rq.line = cl->proto->probe ? cl->proto->probe : "GET /";
	if (s->phase == PHASE_HALF_BODY && !s->body)
		cl->rq.body = cl->proto->upgrades ? 256 : 64 * 1024;
	/* idle are here the first request and controls alone, which hang up when they are answered */
	cl->rq.leaves = cl->proto->upgrades && (s->phase == PHASE_LOOP || s->phase == PHASE_IDLE);
	cl->rq.mute = cl->proto->upgrades && s->never_closes;
	cl->gated = cl->rq.line && strstr(cl->rq.line, "/gate") && !strstr(cl->rq.line, "/stream");
	cl->gated |= grpc_is(cl->rq.line) && plan_gated(cl->rq.line) && s->phase != PHASE_STREAMING;
	if (!cl->rq.line)
		return 0;
	cl->n_rqs = 1;
	cl->rqs = arena_new_of(r->arena, struct request);
	*cl->rqs = cl->rq;
	if (cl->proto->split && cl->proto->split(&cl->rq, r->arena, &cl->rqs, &cl->n_rqs, &err) < 0)
		return err_at(r->err, s->at, "client '%s': %s", s->name, err.what);
	return 0;
}

/* A connection carries one WebSocket, which ends by a Close. */
static int not_on_websocket(struct run *r, const struct client_spec *s, const char *name)
{
	if (s->phase == PHASE_PIPELINED)
		return err_set(r->err, ERR_NOT_HERE, 0, "%s has no phase 'pipelined': nothing is answered in order", name);
	if (s->phase == PHASE_HALF_CLOSED)
		return err_set(r->err, ERR_NOT_HERE, 0, "%s has no phase 'half-closed': who has said all says Close, not FIN", name);
	if (s->phase == PHASE_TRANSACTION)
		return err_set(r->err, ERR_NOT_HERE, 0, "%s has no phase 'transaction': it has no commands", name);
	if (s->phase == PHASE_LOOP && s->reuse)
		return err_set(r->err, ERR_NOT_HERE, 0, "%s: a connection carries one WebSocket and cannot be used again", name);
	return 0;
}

/* Does a step tell it to finish? */
static bool finishes(const struct run *r, const struct client_spec *s)
{
	for (size_t i = 0; i < r->sc->n_steps; i++)
		if (r->sc->steps[i].what == STEP_FINISH && (!r->sc->steps[i].client || !strcmp(r->sc->steps[i].client, s->name)))
			return true;
	return false;
}

static int prepare(struct run *r, const struct client_spec *s, struct client *cl)
{
	unsigned port;

	if (find_port(r, s, &port) < 0)
		return -1;
	const struct port_spec *ps = r->ports[port].spec;
	const char *name = s->protocol ? s->protocol : ps && ps->protocol ? ps->protocol : guess_protocol(s->request);

	*cl = (struct client){.spec = s, .port = port, };
	cl->proto = proto_find(name, &cl->tls);
	if (!cl->proto)
		return err_at(r->err, s->at, "unknown protocol '%s'; `drainspec list protocols` shows them", name);
	if (s->phase == PHASE_TLS_HANDSHAKE && !cl->tls)
		return err_set(r->err, ERR_NOT_HERE, 0, "no TLS: the protocol is %s, not tls+%s", name, name);
	if (s->phase == PHASE_UPGRADED && !cl->proto->upgrades)
		return err_at(r->err, s->at, "phase 'upgraded' is that of protocol websocket, not of %s", name);
	if (s->phase == PHASE_HALF_HEADER && !cl->proto->has_heads && !s->request)
		return err_at(r->err, s->at, "phase 'half-header' needs a request");
	if (cl->proto->upgrades && not_on_websocket(r, s, name) < 0)
		return -1;
	if (s->phase == PHASE_PIPELINED && !cl->proto->pipelines && !cl->proto->mux)
		return err_at(r->err, s->at, "protocol '%s' has no pipelining", name);
	if (cl->proto->mux && (s->phase == PHASE_PIPELINED || s->phase == PHASE_HALF_CLOSED))
		return err_set(r->err, ERR_NOT_HERE, 0, "%s has no phase '%s': a stream ends its request by itself",
			       name, phase_rows[s->phase].name);
	if (!cl->proto->mux && (s->phase == PHASE_PING_ONLY || s->phase == PHASE_GOAWAY_RACE || s->streams > 1))
		return err_set(r->err, ERR_NOT_HERE, 0, "%s is HTTP/2's, not that of %s",
			       s->streams > 1 ? "a connection with several streams" : phase_rows[s->phase].name, name);
	if (prepare_requests(r, s, cl) < 0)
		return -1;
	cl->asks_later = s->phase == PHASE_CONNECTED && cl->n_rqs && finishes(r, s);
	if (s->phase == PHASE_TRANSACTION && cl->n_rqs < 2)
		return err_at(r->err, s->at, "phase 'transaction' needs several commands, such as 'MULTI; SET k v; EXEC'");
	return 0;
}

static int warmup_prepare(struct run *r)
{
	r->warmup_spec = (struct client_spec){.name = "warm-up", .count = 1, .phase = PHASE_IDLE,
		.protocol = r->plan->protocol, .request = r->plan->quick, .descriptors = r->plan->descriptors, .answer = r->plan->answer,
		.headers = r->plan->headers, .n_headers = r->plan->n_headers};
	if (!r->n_ports || !r->warmup_spec.request) {
		r->warmup = (struct client){0};
		return 0;
	}
	return prepare(r, &r->warmup_spec, &r->warmup);
}

int clients_prepare(struct run *r)
{
	const struct scenario *sc = r->sc;

	r->n_clients = (unsigned)sc->n_clients;
	r->clients = arena_array(r->arena, struct client, sc->n_clients + 1);
	for (unsigned i = 0; i < r->n_clients; i++)
		if (prepare(r, &sc->clients[i], &r->clients[i]) < 0)
			return -1;
	for (unsigned i = 0; i < r->n_clients; i++) {
		struct client *control = control_wanted(r, i) ? arena_new_of(r->arena, struct client) : NULL;

		if (control && prepare(r, control_spec(r, &sc->clients[i]), control) < 0)
			return -1;
		if (control)
			control->is_control = true;
		r->clients[i].control = control;
	}
	r->after_exit_spec = (struct client_spec){.name = "after-exit", .count = 1, .phase = PHASE_LATE};
	return warmup_prepare(r);
}

/* What cannot be written in its protocol is refused before anything starts: once it runs, a client that says nothing looks as if the
 * server did not answer. */
static int can_be_said(struct run *r, const struct client_spec *s, const struct client *cl)
{
	struct err why = {0};
	struct buf b = {0};
	struct cuts cuts;
	int rc = 0;

	for (unsigned i = 0; i < cl->n_rqs && cl->proto->render && !rc; i++) {
		struct request rq = cl->rqs[i];

		rq.body = rq.body > UINT64_C(1) << 30 ? rq.body : rq.body > 0;  /* its size is refused, but not tried */
		rc = cl->proto->render(&rq, "0123456789abcdef", &b, &cuts, &why);
	}
	buf_free(&b);
	if (rc < 0 && s == &r->warmup_spec)
		return err_at(r->err, s->at, "quick: %s", why.what);
	return rc < 0 ? err_at(r->err, s->at, "client '%s': %s", s->name, why.what) : 0;
}

int run_check(const struct plan *plan, struct err *reterr)
{
	struct arena *arena = arena_new();
	struct run *r = arena_new_of(arena, struct run);
	const struct target_spec *t = &plan->sc->target;
	int rc = 0;

	*r = (struct run){.plan = plan, .sc = plan->sc, .arena = arena, .err = reterr,
			  .n_ports = t->n_ports < MAX_PORTS ? (unsigned)t->n_ports : MAX_PORTS};
	for (unsigned i = 0; i < r->n_ports; i++)
		r->ports[i].spec = &t->ports[i];
	for (size_t i = 0; i < plan->sc->n_clients && !rc; i++) {
		struct client cl;

		rc = prepare(r, &plan->sc->clients[i], &cl);
		if (!rc)
			rc = can_be_said(r, &plan->sc->clients[i], &cl);
		if (rc < 0 && reterr->kind == ERR_NOT_HERE) {   /* the run says why it is skipped */
			*reterr = (struct err){0};
			rc = 0;
		}
	}
	/* before the probe nobody knows in which protocol it is */
	if (!rc && plan->protocol)
		rc = warmup_prepare(r) < 0 ? -1 : can_be_said(r, &r->warmup_spec, &r->warmup);
	if (!rc && !plan->sc->sweep)
		rc = actions_prepare(r);
	actions_free(r);
	arena_free(arena);
	return rc;
}

int client_probe(struct run *r, const struct proto *proto, bool tls)
{
	r->warmup_spec.protocol = tls ? proto_in_tls(proto) : proto->name;
	r->warmup_spec.request = proto->probe;
	return prepare(r, &r->warmup_spec, &r->warmup);
}
