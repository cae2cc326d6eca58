/* CON-8: connections that the kernel had made and nobody served. */
#include "judge/listener.h"
#include "judge/say.h"
#include "judge/shows.h"

static bool queued(const struct facts *f, const struct conn_fact *c)
{
	if (c->phase == PHASE_BACKLOG)
		return conn_armed(f, c);
	return c->phase == PHASE_LOOP && c->outcome == CONN_BACKLOG_RESET;
}

static bool backlog_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep || !any_round(f) || has_phase(sc, PHASES(BACKLOG)))
		return !sc->sweep && any_round(f);
	for_each_judged(f, c) {
		if (queued(f, c) || came_late(f, c))
			return true;
	}
	return false;
}

/* End of one that was promised service by the kernel and got none from the server. */
static void one_lost(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;

	if (end_time(f, c) != NSEC_NEVER && end_time(f, c) >= contract_from(f, round_of(f, c)))
		t->contract++;
	else if (charged_to_default(f, round_of(f, c)))
		sum_see(t, "SIG-1");
	else if (sum_bad(t, SHOULD, "server", "%s", loss_text(f, c)))
		cite_conn(f, t->ret, c);
}

/* Answered (also by 503): well. Ended without a byte: lost, and who kept the port open answers for it. Else it is in flight or
 * hangs like any other, and other checks have it. */
static void one_late(struct sum *t, const struct conn_fact *c)
{
	const char *id = listener_charged(t->f, c);

	if (c->outcome == CONN_COMPLETED)
		t->good++;
	else if (c->outcome != CONN_ACCEPTED_LATE && c->outcome != CONN_BACKLOG_RESET)
		return;
	else if (id || (id = port_held_by(t->f, c->round)))
		sum_see(t, id);
	else
		one_lost(t, c);
}

static void judge_con_8(const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	const struct round_fact *told = NULL;
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->level = SHOULD;
	ret->expected = "connections in the accept queue at the signal, and those that find the port still open after it, are "
			"served, or refused before they were complete";
	for_each_judged(f, c) {
		if (came_late(f, c)) {
			one_late(&t, c);
			continue;
		}
		if (!queued(f, c))
			continue;
		if (c->outcome == CONN_HUNG && hung_charged(f, c)) {
			sum_see(&t, hung_charged(f, c));
		} else if (c->outcome == CONN_BACKLOG_RESET || c->outcome == CONN_HUNG) {
			told = told ? told : round_of(f, c);
			one_lost(&t, c);
		} else {
			t.good++;
		}
	}
	uint32_t lost = t.bad;

	sum_end(&t, "queued connections were served or closed cleanly");
	if (ret->outcome != FAIL)
		return;
	if (told)
		found(f, ret, FAIL, "%lld in the accept queue at %s (predicted lost), %u lost: %s",
		      (long long)listener_queued(f, told, ret), first_signal(f, told), lost, ret->actual);
	ret->hint = told ? "stop listening only after accept() has returned EAGAIN once more, or hand "
			   "the listener to the next process" :
			   "close the listener at the signal, or go on serving what comes until it is closed";
}

const struct check check_con_8 = {
	.id = "CON-8", .title = "the accept queue is served or refused", .level = SHOULD,
	.shows = shows_unaccepted, .applies = backlog_applies, .judge = judge_con_8,
	.todo = "accept until EAGAIN once more before the listener is closed, or hand it to the next process",
	.why = "The kernel completes handshakes and even ACKs request bytes before the server accepts. When the listener is "
	       "closed, all of these get an RST (inet_csk_listen_stop, net/ipv4/inet_connection_sock.c). Every server loses "
	       "some in a burst; how many is no chance: it is the accept queue's length. A listener that stays open while the "
	       "server drains goes on collecting them: to a balancer the port is healthy, and every client that it sends is "
	       "reset in the end.",
	.proof = "sock_diag shows LISTEN's Recv-Q just before the signal: that many are predicted. Each client's server end "
		 "had no inode (nobody accepted it); then its outcome is compared with the prediction. Clients of phase `late`"
		 " connect when the listener has closed, or after 300 ms if it has not: connected and asked, then FIN or RST "
		 "without a byte, is lost as well (outcome accepted-late). A listener that is open beyond its limit is LSN-1, "
		 "one that came back CON-9, another one LSN-2.",
	.modes = "SD-ACCEPT-BACKLOG-RST, SD-ACCEPT-RACE, SD-ACCEPT-TOO-LONG",
	.fix_go = "net/http closes the listener at once. Behind a balancer: fail readiness, sleep longer than its check "
		  "interval, then Shutdown. In one host: pass the listener on (SO_REUSEPORT or fd passing).",
	.fix_node = "Fail readiness first, keep serving for the lame-duck time, then server.close().",
	.fix_python = "gunicorn: reload with HUP instead of TERM (the master keeps the socket), or use a systemd socket.",
	.fix_c = "On the signal: accept() until EAGAIN, then close the listener. systemd socket activation keeps the queue "
		 "across restarts.",
	.fix_nginx = "Reload with HUP, or keep the listening sockets across a binary upgrade (USR2): no connection is lost.",
};
