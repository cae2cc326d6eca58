#include "judge/listener.h"

#include "judge/blame.h"
#include "judge/say.h"

/* Some good servers look at their flag once a second (gunicorn's threads). */
#define DEFAULT_LISTENER_WITHIN (2 * NSEC_PER_SEC)
/* Between the signal and the close there is an instant on every server: who comes in it is lost by chance. */
#define INSTANT (100 * NSEC_PER_MSEC)

nsec_t listener_within(const struct scenario *sc)
{
	return sc->expect.listener_within > 0 ? sc->expect.listener_within : DEFAULT_LISTENER_WITHIN;
}

const struct port_fact *port_of(const struct facts *f, const struct conn_fact *c)
{
	for (uint32_t i = 0; i < f->n_ports; i++)
		if (f->ports[i].round == c->round && f->ports[i].number == fact_a(f, c->connect))
			return &f->ports[i];
	return NULL;
}

uint32_t came_after(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	const struct port_fact *p = round_judged(f, r) ? port_of(f, c) : NULL;
	nsec_t t = fact_t(f, c->connect);

	if (!p || !p->closed || t <= fact_t(f, p->closed) || t >= fact_t(f, r->relaunch) ||
		t >= fact_t(f, r->kill))
		return 0;
	return p->back && fact_t(f, p->back) <= t ? 0 : p->closed;
}

bool refused_before(const struct facts *f, const struct conn_fact *c)
{
	for_each_conn(f, d) {
		if (d->round == c->round && d->refused && d->outcome == CONN_REFUSED_AFTER &&
			fact_a(f, d->connect) == fact_a(f, c->connect) &&
			fact_t(f, d->refused) < fact_t(f, c->connect))
			return true;
	}
	return false;
}

const char *listener_charged(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	const struct port_fact *p = port_of(f, c);

	if (refused_before(f, c) || (p && p->back && fact_t(f, p->back) <= fact_t(f, c->connect)))
		return "CON-9";
	if (came_after(f, c))
		return "LSN-2";
	if (!p || fact_before(f, p->closed, nsec_add(signal_end(f, r), listener_within(f->sc) + 1)))
		return NULL;
	return "LSN-1";
}

int64_t listener_queued(const struct facts *f, const struct round_fact *r, struct finding *ret)
{
	int64_t n = 0;

	for (uint32_t i = 0; i < f->n_ports; i++) {
		const struct port_fact *p = &f->ports[i];

		if (&f->rounds[p->round] != r || fact_a(f, p->row_signal) <= 0)
			continue;
		n = nsec_add(n, fact_a(f, p->row_signal));
		cite(ret, p->row_signal);
	}
	return n;
}

bool came_late(const struct facts *f, const struct conn_fact *c)
{
	return c->phase == PHASE_LATE && c->connected && c->asked &&
	       !fact_before(f, c->connect, nsec_add(signal_end(f, round_of(f, c)), INSTANT)) &&
	       fact_before(f, c->connected, fact_t(f, round_of(f, c)->relaunch)) &&
	       fact_before(f, c->connected, fact_t(f, round_of(f, c)->kill));
}
