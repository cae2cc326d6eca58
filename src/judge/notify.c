#include "judge/notify.h"

bool end_untold(const struct facts *f, const struct conn_fact *c)
{
	uint32_t end;

	return c->tls && !c->notify && conn_how(f, c, &end) == HOW_FIN;
}

bool whole_unknown(const struct facts *f, const struct conn_fact *c)
{
	uint32_t head = head_of_cut(f, c);

	return end_untold(f, c) && head && fact_b(f, head) == -2;
}

bool server_notifies(const struct facts *f)
{
	return f->first[EV_CLOSE_NOTIFY] != 0;
}

/* A connection that stood when the signal came, lost nothing, and was closed by the server as it wanted. What was lost is told
 * elsewhere, and a process that dies says nothing to anybody. */
static bool closed_by_drain(const struct facts *f, const struct conn_fact *c)
{
	const struct round_fact *r = round_of(f, c);
	uint32_t end;

	/* a WebSocket whose Close was not answered is cut in the end, and that is its client's doing */
	if (conn_upgraded(f, c) && f->sc->clients[c->spec].never_closes)
		return false;
	return c->tls && fact_before(f, c->tls, signal_begin(f, r)) && conn_how(f, c, &end) == HOW_FIN &&
	       fact_t(f, end) >= signal_begin(f, r) && fact_t(f, end) < contract_from(f, r) &&
	       c->outcome == CONN_COMPLETED && !charged_to_default(f, r);
}

bool notify_applies(const struct facts *f)
{
	for_each_judged(f, c) {
		if (closed_by_drain(f, c))
			return true;
	}
	return false;
}

void judge_notify(struct sum *t)
{
	const struct facts *f = t->f;

	for_each_judged(f, c) {
		const struct round_fact *r = round_of(f, c);

		if (!closed_by_drain(f, c))
			continue;
		if (c->notify) {
			t->good++;
		} else if (sum_bad(t, SHOULD, "server",
				   "%s: FIN without close_notify %s after %s: to the client it looks like a cut "
				   "(OpenSSL: unexpected eof while reading)",
				   client_name(f, c), after_signal(f, r, c->end), first_signal(f, r))) {
			cite_conn(f, t->ret, c);
			cite(t->ret, c->tls);
			t->ret->hint = "shut TLS down (SSL_shutdown, close_notify) before the socket is closed";
		}
	}
}
