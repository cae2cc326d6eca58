#include "judge/second.h"

#include <signal.h>

#include "judge/say.h"

struct held held_at_second(const struct facts *f, const struct round_fact *r)
{
	struct held h = { 0 };
	nsec_t second = fact_t(f, r->sig2);

	for_each_judged(f, c) {
		if (round_of(f, c) != r || !conn_in_flight(f, c))
			continue;
		nsec_t over = c->outcome == CONN_COMPLETED ? fact_t(f, c->answer) : end_time(f, c);

		if (over < second)
			continue;
		h.owed++;
		if (c->outcome == CONN_COMPLETED && !(c->fail5xx && c->answer == c->fail5xx)) {
			h.completed++;
			if (nsec_sub(over, second) > h.went_on)
				h.went_on = nsec_sub(over, second);
		} else if (c->outcome != CONN_HUNG) {
			h.lost++;
			h.first_lost = h.first_lost ? h.first_lost : c;
		}
	}
	return h;
}

bool second_planned(const struct scenario *sc, bool interrupt)
{
	uint32_t n = 0;

	for (size_t i = 0; i < sc->n_signals; i++) {
		n += sc->signals[i].count ? sc->signals[i].count : 1;
		if (n >= 2)
			return (sc->signals[i].signo == SIGINT) == interrupt;
	}
	return false;
}
