#include "judge/loss.h"

#include "judge/say.h"

bool by_contract(const struct facts *f, const struct conn_fact *c, nsec_t t)
{
	return t >= contract_from(f, round_of(f, c));
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
