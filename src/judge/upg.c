#include "judge/upg.h"

#include <string.h>

#include "base/names.h"

const char *const upg_fates[UPG_FATES] = {
	[UPG_SERVED] = "answered", [UPG_RACE] = "closed between two requests", [UPG_REFUSED] = "refused",
	[UPG_RESET] = "reset", [UPG_CLOSED] = "closed without an answer", [UPG_CUT] = "cut in its answer",
	[UPG_ERROR] = "answered 5xx or wrongly", [UPG_UNANSWERED] = "never answered",
};

bool upg_applies(const struct scenario *sc, const struct facts *f)
{
	return restart_hands_over(&sc->restart) && f->first[EV_HANDOVER];
}

bool upg_concerns(const struct facts *f, const struct conn_fact *c)
{
	return c->spec != NO_SPEC && !round_of(f, c)->heir;
}

uint32_t upg_before(const struct facts *f, nsec_t t)
{
	uint32_t last = 0;

	for_each_event(f, EV_HANDOVER, n) {
		if (fact_t(f, n) <= t)
			last = n;
	}
	return last;
}

const char *upg_text(const struct facts *f, uint32_t handover)
{
	if (!handover)
		return "the first hand-over";
	return arena_printf(f->arena, "hand-over %d (%s)", fact_event(f, handover)->conn, fact_text(f, handover));
}

nsec_t upg_spoiled(const struct facts *f)
{
	return fact_t(f, f->first[EV_SPOILED]);
}

uint32_t upg_of(const struct facts *f, enum event_kind kind, int64_t generation)
{
	for_each_event(f, kind, n) {
		if (fact_event(f, n)->conn == generation)
			return n;
	}
	return 0;
}

uint32_t upg_answer_of(const struct facts *f, int64_t generation)
{
	for_each_event(f, EV_SERVED_BY, n) {
		if (fact_a(f, n) == generation)
			return n;
	}
	return 0;
}

uint32_t upg_death(const struct facts *f)
{
	static const enum event_kind ends[] = { EV_EXIT, EV_KILLED };
	nsec_t until = 0;

	/* what ends after the last census is ended by us */
	for_each_event(f, EV_CENSUS, n) {
		if (!round_at(f, n)->heir)
			until = fact_t(f, n);
	}
	for (unsigned i = 0; i < 2; i++)
		for_each_event(f, ends[i], n) {
			if (!strncmp(fact_text(f, n), "root", 4) && fact_t(f, n) < until && !round_at(f, n)->heir)
				return n;
		}
	return 0;
}

enum upg_fate upg_fate(const struct facts *f, const struct conn_fact *c, uint32_t *ret_event)
{
	enum conn_how how = conn_how(f, c, ret_event);
	bool owed = c->asked > c->answers || !c->answers;

	if (!c->connected && how != HOW_RST) {
		*ret_event = c->refused;
		return c->refused ? UPG_REFUSED : UPG_UNANSWERED;
	}
	if (c->bad || c->fail5xx) {
		*ret_event = c->bad ? c->bad : c->fail5xx;
		return UPG_ERROR;
	}
	if (!owed || how == HOW_CLIENT)
		return UPG_SERVED;
	if (how == HOW_OPEN)
		return c->still ? UPG_UNANSWERED : UPG_SERVED;
	if (conn_partial(f, c))
		return UPG_CUT;
	if (c->answers)
		return UPG_RACE;
	return how == HOW_FIN ? UPG_CLOSED : UPG_RESET;
}

static const char *loss(const struct facts *f, const struct conn_fact *c, enum upg_fate fate, uint32_t end)
{
	uint32_t over = upg_before(f, fact_t(f, fate == UPG_UNANSWERED ? c->connect : end)), packet = fate == UPG_REFUSED ? c->w_refused :
				fate == UPG_CLOSED ? c->w_fin : c->w_rst;
	const char *in = packet && fact_event(f, packet)->frame ?
		arena_printf(f->arena, " (frame %u)", fact_event(f, packet)->frame) : "";

	if (fate == UPG_UNANSWERED)
		return arena_printf(f->arena, "%s has been waiting for its answer for %s at the end; it connected %s %s began",
				    client_name(f, c), time_text(f, nsec_sub(fact_t(f, end), fact_t(f, c->request ? c->request : c->connect))),
				    over ? arena_printf(f->arena, "%s after", between(f, over, c->connect)) : "before", upg_text(f, over));
	return arena_printf(f->arena, "%s was %s %s after %s began%s", client_name(f, c), upg_fates[fate],
			    time_text(f, over ? nsec_sub(fact_t(f, end), fact_t(f, over)) : 0), upg_text(f, over), in);
}

uint32_t upg_losses(struct sum *t, nsec_t from, nsec_t to, uint32_t by_fate[UPG_FATES])
{
	const struct facts *f = t->f;
	uint32_t lost = 0, end;

	for_each_conn(f, c) {
		if (!upg_concerns(f, c))
			continue;
		enum upg_fate fate = upg_fate(f, c, &end);
		nsec_t when = fate == UPG_UNANSWERED ? fact_t(f, c->request ? c->request : c->connect) : fact_t(f, end);

		if (fate <= UPG_RACE) {
			by_fate[fate]++;
			t->good++;
		} else if (when < from) {
			continue;
		} else if (when >= to) {
			t->elsewhere++;
		} else {
			by_fate[fate]++;
			lost++;
			if (sum_bad(t, MUST, "server", "%s", loss(f, c, fate, end))) {
				cite(t->ret, upg_before(f, fact_t(f, fate == UPG_UNANSWERED ? c->connect : end)));
				cite_conn(f, t->ret, c);
				cite(t->ret, c->w_refused);
			}
		}
	}
	return lost;
}
