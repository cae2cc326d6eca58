/* One launch to learn what speaks there: protocol and keep-alive, by one harmless request. */
#include <stdio.h>
#include <string.h>

#include "proto/tls.h"
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

/* One connection with a request that does no harm. A server that says nothing to it speaks something else, or speaks
 * second: two seconds are enough to know. What it answers stands in r->first and in *ret_heard, *ret_again. */
static void ask_once(struct run *r, bool *ret_heard, bool *ret_again)
{
	r->n_first = 0;
	*ret_heard = *ret_again = false;
	struct conn *c = conn_open(r, &r->warmup);

	if (!c)
		return;
	pump(r, told, clock_now() + 2 * NSEC_PER_SEC);
	*ret_heard = c->answered > 0;
	*ret_again = c->answered > 0 && !c->an.close && (c->client->proto->pipelines || c->client->proto->mux);
	r->hung_up = c->state == CONN_OVER;
	conn_close(r, c, "the probe is over");
}

static bool shaken(struct run *r)
{
	struct conn *c = r->conns[r->n_conns - 1];

	return (c->tls && !conn_shaking(c)) || c->bad || c->state == CONN_OVER || !r->alive;
}

/* Plain text was answered as servers do that expect TLS: by an alert, by 400, or by hanging up. */
static bool expects_tls(const struct run *r, bool heard)
{
	const struct conn *c = r->conns[r->n_conns - 1];

	return heard ? c->an.status == 400 :
	       tls_recognise(r->first, r->n_first) || (!r->n_first && r->alive && r->hung_up);
}

/* Does it answer a ClientHello with a handshake? */
static bool shakes_hands(struct run *r)
{
	struct client cl = r->warmup;

	cl.tls = true;
	cl.proto = proto_by_name("raw");
	cl.rq.line = NULL;
	cl.n_rqs = 0;
	cl.filling = NULL;
	struct conn *c = tls_open(r) == 0 ? conn_open(r, &cl) : NULL;

	if (!c)
		return false;
	pump(r, shaken, clock_now() + NSEC_PER_SEC);
	bool open = c->tls && !conn_shaking(c) && !c->bad;

	conn_close(r, c, "the probe is over");
	c->client = &r->warmup;         /* cl is gone when this returns */
	return open;
}

static const struct proto *recognised(const struct run *r)
{
	for (size_t i = 0; i < n_protos; i++)
		if (protos[i]->probe && protos[i]->recognise(r->first, r->n_first))
			return protos[i];
	return NULL;
}

/* The words that were given are not of the protocol that is asked first: its own do, and the run says what is wrong with them. */
static bool misspelt(const struct run *r)
{
	struct buf b = {0};
	struct cuts cuts;
	struct err why = {0};
	const struct proto *p = r->warmup.proto;
	bool bad = !r->plan->protocol && p->probe && p->render && r->warmup.n_rqs &&
		   p->render(r->warmup.rqs, "0123456789abcdef", &b, &cuts, &why) < 0;

	buf_free(&b);
	return bad;
}

static void learn(struct run *r, struct probe *ret)
{
	const struct proto *found, *asked = r->warmup.proto;
	bool heard, again, tls = r->warmup.tls;

	if (misspelt(r) && client_probe(r, asked, tls) < 0)
		return;
	ask_once(r, &heard, &again);
	if (!r->plan->protocol && !r->warmup.tls && expects_tls(r, heard) && shakes_hands(r)) {
		if (client_probe(r, asked, true) == 0)
			learn(r, ret);
		return;
	}
	found = r->plan->protocol && heard ? asked : recognised(r);
	if (!heard && !found && speaks_h2(r)) {
		*ret = (struct probe){.http = true, .keepalive = true, .protocol = tls ? "tls+http2" : "http2"};
		return;
	}
	/* silent, or it speaks what another protocol knows: ask in that one's words */
	for (size_t i = 0; i < n_protos && !heard && !r->plan->protocol && r->alive; i++) {
		if (protos[i] == asked || !protos[i]->probe || (found && found != protos[i]))
			continue;
		if (client_probe(r, protos[i], tls) < 0)
			continue;
		ask_once(r, &heard, &again);
		found = heard && recognised(r) == protos[i] ? protos[i] : NULL;
		heard = found != NULL;
	}
	found = heard && found ? found : proto_by_name("raw");
	ret->protocol = tls ? proto_in_tls(found) : found->name;
	ret->http = heard && !strncmp(found->name, "http", 4);
	ret->keepalive = heard && again;
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
