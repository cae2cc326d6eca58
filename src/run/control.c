/* Before the clients arm: one request of each line that they will wait for, answered. A 5xx after the signal is then known to be the
 * signal's doing, and not what this request always gets. The gate lets it pass. */
#include <string.h>

#include "run/engine.h"

/* Their answer is still to come when the signal does, so it can turn out to be another one. */
static bool waits(enum phase phase)
{
	return phase == PHASE_WAITING || phase == PHASE_HALF_CLOSED || phase == PHASE_PIPELINED;
}

bool control_wanted(const struct run *r, unsigned i)
{
	const struct client_spec *s = &r->sc->clients[i];

	if (!r->sc->control || !waits(s->phase) || !r->clients[i].rq.line)
		return false;
	for (size_t k = 0; k < r->clients[i].n_rqs; k++)
		if (r->clients[i].rqs[k].waits)         /* nobody would answer it */
			return false;
	for (unsigned k = 0; k < i; k++)
		if (r->clients[k].control && !strcmp(r->clients[k].rq.line, r->clients[i].rq.line))
			return false;
	return true;
}

struct client_spec *control_spec(struct run *r, const struct client_spec *of)
{
	struct client_spec *s = arena_new_of(r->arena, struct client_spec);

	*s = *of;
	s->name = "control";
	s->count = 1;
	s->phase = PHASE_IDLE;
	s->never_closes = s->reuse = s->stop_target = false;
	s->rcvbuf = 0;
	return s;
}

/* Raw answers have no status that could change. */
static bool says_status(const struct client *cl)
{
	return strcmp(cl->proto->name, "raw") != 0;
}

int controls(struct run *r)
{
	for (unsigned i = 0; i < r->n_clients; i++) {
		if (!r->clients[i].control || !says_status(r->clients[i].control))
			continue;
		struct conn *c = conn_open(r, r->clients[i].control);

		if (!c)
			return -1;
		if (c->state == CONN_PARKED)
			c->state = CONN_FREE;
		first_answer(r, c, "the answer to a control request");
		conn_close(r, c, "the control is over");
	}
	return 0;
}
