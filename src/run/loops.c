/* Clients that come again and again: bursts across the signal, and batches that show a leak. */
#include <netinet/tcp.h>

#include "run/engine.h"

#define MAX_ASKED  60000        /* on one connection: the next request begins another */
#define LOOK_EVERY (200 * NSEC_PER_USEC)

static bool batch_done(struct run *r)
{
	for (uint32_t i = r->leak_from; i < r->n_conns; i++) {
		struct conn *c = r->conns[i];

		if (c->state != CONN_OVER && conn_heard(r, c))
			conn_close(r, c, "one request each");
		if (c->state != CONN_OVER)
			return !r->alive;
	}
	return true;
}

static bool count_row(const struct diag_row *row, void *arg)
{
	(void)row;
	++*(uint32_t *)arg;
	return true;
}

static bool server_ends_gone(struct run *r)
{
	nsec_t now = clock_now();
	uint32_t open = 0;

	r->look = r->t_prove;
	if (now < r->t_prove)
		return false;
	r->look = r->t_prove = now + LOOK_EVERY;
	diag_dump(r->world->diag, (1u << TCP_ESTABLISHED) | (1u << TCP_CLOSE_WAIT) | (1u << TCP_LAST_ACK),
		  r->ports[0].number, count_row, &open);
	return open == 0 || !r->alive;
}

/* RES-3, RES-4: connections of one request each in batches; after each, when the kernel shows no server end any more, a census. */
int leak_batches(struct run *r)
{
	if (r->sc->leak_batches && !r->warmup.proto) {
		events_add(r->ev, EV_NOTE, -1, 0, 0, "leaks cannot be counted: there is no port, or no request (--quick) to ask there");
		return 0;
	}
	for (uint32_t b = 0; b < r->sc->leak_batches; b++) {
		r->leak_from = r->n_conns;
		for (uint32_t i = 0; i < r->sc->leak_batch_size; i++) {
			struct conn *c = conn_open(r, &r->warmup);

			if (!c)
				return -1;
			if (c->state == CONN_PARKED)
				c->state = CONN_FREE;
		}
		if (!pump_progress(r, batch_done)) {
			for (uint32_t i = r->leak_from; i < r->n_conns; i++)
				conn_close(r, r->conns[i], "no answer");
			events_add(r->ev, EV_NOTE, -1, 0, 0, "requests of a batch got no answer: leaks cannot be counted");
			return 0;
		}
		for (uint32_t i = r->leak_from; i < r->n_conns; i++)
			if (r->conns[i]->state != CONN_OVER)    /* no leak of the server's if it is we who keep them */
				conn_close(r, r->conns[i], "no answer came");
		pump(r, server_ends_gone, clock_now() + 2 * NSEC_PER_SEC);
		target_settle(r);
		target_census(r, "batch", true);
	}
	return 0;
}

/* Has this client asked often enough? */
static bool loop_ends(struct run *r, struct conn *c)
{
	const struct client *cl = c->client;
	uint32_t most = cl->spec->requests ? cl->spec->requests : 20000;

	if (r->hand)
		return r->hand->over || !r->alive;
	/* refused ends a burst; a visitor that comes again and again (`every`) counts its refusals */
	return (r->t_signal && clock_now() > r->t_signal + cl->spec->lasts) || (!c->connected && !cl->spec->every) ||
	       cl->opened + c->asked >= most;
}

static void loop_turn(struct run *r, struct conn *c)
{
	struct client *cl = c->client;
	bool over = loop_ends(r, c), hold = r->hand && r->hand->pause;

	if (c->looped)
		return;
	if (!over && !hold && c->state != CONN_OVER && cl->spec->reuse && !c->an.close && c->asked < MAX_ASKED) {
		conn_ask(r, c);
		return;
	}
	c->looped = true;
	if (c->state != CONN_OVER)
		conn_close(r, c, over ? "the burst is over" : hold ? "a pause of the stream" : "one request each");
	if (!over && hold)
		cl->held++;
	else if (!over)
		conn_open(r, cl);
}

/* What waited while hand-overs paused goes on. */
void loops_go_on(struct run *r)
{
	for (unsigned i = 0; i < r->n_clients; i++) {
		struct client *cl = &r->clients[i];
		uint32_t n = cl->held;

		cl->held = 0;
		while (n--)
			conn_open(r, cl);
	}
}

static void loop_resume(struct timer *t)
{
	struct client *cl = t->arg;
	struct conn *c = cl->paused;

	cl->paused = NULL;
	for (struct conn *next; c; c = next) {
		next = c->next_pending;
		c->next_pending = NULL;
		c->paused = false;
		loop_turn(c->w.arg, c);
	}
}

/* Next turn of a loop client whose connection ended or was answered: ask again on it, or open the next; after its pause if
 * it has one. */
void phase_loop_step(struct run *r, struct conn *c)
{
	struct client *cl = c->client;

	/* with generations a refusal is counted and does not end it; but nobody asks without pause where nobody listens */
	nsec_t pause = r->hand && (!c->connected || r->hand->brake) ? NSEC_PER_MSEC : cl->spec->every;

	if (!pause || c->looped) {
		loop_turn(r, c);
		return;
	}
	if (c->paused)
		return;
	c->paused = true;
	c->next_pending = cl->paused;
	cl->paused = c;
	if (!c->next_pending) {
		cl->pause = (struct timer){.fn = loop_resume, .arg = cl, .at = NSEC_NEVER};
		timer_set(r->loop, &cl->pause, clock_now() + pause);
	}
}
