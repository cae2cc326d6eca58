#include "judge/loss.h"

#include <string.h>

#include "judge/listener.h"
#include "judge/say.h"

bool by_contract(const struct facts *f, const struct conn_fact *c, nsec_t t)
{
	return t != NSEC_NEVER && t >= contract_from(f, round_of(f, c));
}

bool second_broke_it(const struct facts *f, const struct conn_fact *c, nsec_t t)
{
	const struct round_fact *r = round_of(f, c);

	return r->sig2 && second_policy(f) == SECOND_IDEMPOTENT && t >= fact_t(f, r->sig2);
}

const char *loss_of(const struct facts *f, const struct conn_fact *c)
{
	if (second_broke_it(f, c, end_time(f, c)))
		return "SIG-3";
	if (c->outcome == CONN_RESET_IN_FLIGHT)
		return "CON-2";
	if (c->outcome == CONN_TAIL_LOST)
		return "CON-3";
	if (c->outcome == CONN_TRUNCATED && !c->bad && head_of_cut(f, c) && fact_b(f, head_of_cut(f, c)) == -1)
		return "CON-11";
	return "CON-1";
}

bool conn_means_to_read(const struct facts *f, const struct conn_fact *c)
{
	const char *name = f->sc->clients[c->spec].name;

	for (size_t i = 0; i < f->sc->n_steps; i++)
		if (f->sc->steps[i].what == STEP_READ &&
			(!f->sc->steps[i].client || (name && !strcmp(f->sc->steps[i].client, name))))
			return true;
	return false;
}

const char *conn_excuse(const struct facts *f, const struct conn_fact *c)
{
	if (c->outcome == CONN_COMPLETED || c->outcome == CONN_REFUSED_AFTER || c->spec == NO_SPEC)
		return NULL;
	if (c->outcome == CONN_IDLE_RACE)
		return "its request crossed the close of a connection used before, and may be sent again";
	if (c->phase == PHASE_SLOW_READER && !conn_means_to_read(f, c))
		return "the client never reads its answer";
	if (c->outcome == CONN_HUNG)
		return NULL;
	if (c->outcome == CONN_ACCEPTED_LATE && !came_late(f, c) && !listener_charged(f, c))
		return "it came in the instant between the signal and the close of the listener";
	if (conn_ended_early(f, c))
		return "it ended before the signal";
	if ((c->outcome == CONN_FIN_NO_RESPONSE || c->outcome == CONN_RESET_IN_FLIGHT) && c->phase == PHASE_LOOP &&
	    !conn_in_flight(f, c))
		return "only the kernel had its request, nothing shows that the server had read it";
	return by_contract(f, c, end_time(f, c)) ? "the second signal cut it, as its policy allows" : NULL;
}
