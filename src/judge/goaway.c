#include "judge/goaway.h"

bool h2_closed(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	nsec_t end = fact_t(f, c->end);

	return c->settings && fact_before(f, c->settings, signal_begin(f, r)) && c->end && end >= signal_begin(f, r) &&
	       end < contract_from(f, r) && !(r->kill && end >= fact_t(f, r->kill)) && !charged_to_default(f, r);
}

void h2_goodbye(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	const struct round_fact *r = round_of(f, c);
	const char *text = NULL;

	if (!c->goaway || fact_t(f, c->goaway) < signal_begin(f, r))
		text = arena_printf(f->arena, "%s: closed %s after %s without a GOAWAY", client_name(f, c),
				    after_signal(f, r, c->end), first_signal(f, r));
	else if (c->above)
		text = arena_printf(f->arena, "%s: stream %lld was answered although GOAWAY(last %lld) disowned it: a client "
				    "that asks again has it done twice", client_name(f, c), (long long)fact_a(f, c->above),
				    (long long)fact_a(f, c->goaway_last));
	else if (c->phase == PHASE_GOAWAY_RACE && c->request && c->outcome == CONN_RETRY_SAFE && fact_a(f, c->goaway) != INT32_MAX)
		text = arena_printf(f->arena, "%s: the first GOAWAY(last %lld) came alone, and stream %lld, which crossed it on "
				    "the wire, was not taken; a first one with 2147483647 leaves time for that",
				    client_name(f, c), (long long)fact_a(f, c->goaway), (long long)fact_a(f, c->stream));
	if (!text) {
		t->good++;
	} else if (sum_bad(t, SHOULD, "server", "%s", text)) {
		cite_conn(f, t->ret, c);
		t->ret->hint = "GOAWAY with 2147483647, a PING; when it is answered GOAWAY with the last stream taken; FIN after "
			       "the last answer";
	}
}
