/* One launch to learn what speaks there: protocol and keep-alive, by one harmless request. */
#include <stdio.h>
#include <string.h>

#include "run/engine.h"

static bool told(struct run *r)
{
	struct conn *c = r->conns[r->n_conns - 1];

	return c->answered || c->bad || c->state == CONN_OVER || !r->alive;
}

static bool spoke_h2(struct run *r)
{
	struct conn *c = r->conns[r->n_conns - 1];

	return mux_heard(c) || c->state == CONN_OVER || !r->alive;
}

/* Not HTTP/1: is the preface of HTTP/2 answered with SETTINGS? */
static bool speaks_h2(struct run *r)
{
	struct client cl = r->warmup;

	cl.proto = proto_by_name("http2");
	cl.filling = NULL;
	struct conn *c = conn_open(r, &cl);

	if (!c)
		return false;
	pump(r, spoke_h2, clock_now() + NSEC_PER_SEC);
	bool spoke = mux_heard(c);

	conn_close(r, c, "the probe is over");
	c->client = &r->warmup;         /* cl is gone when this returns */
	return spoke;
}

static void learn(struct run *r, struct probe *ret)
{
	struct conn *c = conn_open(r, &r->warmup);

	if (!c)
		return;
	/* a server that says nothing to an HTTP request speaks something else, or speaks second: a second is enough to know */
	pump(r, told, clock_now() + 2 * NSEC_PER_SEC);
	ret->http = c->answered > 0 && !strcmp(c->client->proto->name, "http1");
	ret->keepalive = ret->http && !c->an.close;
	ret->protocol = ret->http ? "http1" : "raw";
	conn_close(r, c, "the probe is over");
	if (!ret->http && speaks_h2(r)) {
		ret->http = ret->keepalive = true;
		ret->protocol = "http2";
	}
}

int run_probe(struct world *w, const struct plan *plan, const char *dir, struct probe *ret, struct err *reterr)
{
	struct arena *arena = arena_new();
	struct events ev;
	int rc;

	events_init(&ev, arena);
	rc = run_one_probe(w, plan, dir, &ev, ret, reterr);
	ret->done = rc == 0;
	events_close(&ev);
	arena_free(arena);
	return rc;
}

void probe_learn(struct run *r, struct probe *ret)
{
	if (r->warmup.proto)
		learn(r, ret);
}
