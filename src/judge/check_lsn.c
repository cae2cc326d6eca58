/* LSN-1, LSN-2, LSN-6: when the listener closes, what then, and who was told before. */
#include <errno.h>
#include <string.h>

#include "judge/listener.h"
#include "judge/say.h"
#include "judge/shows.h"

static bool was_listening(const struct port_fact *p)
{
	return p->listen || p->row_signal || p->closed;
}

static bool listener_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for (uint32_t i = 0; i < f->n_ports; i++)
		if (round_judged(f, &f->rounds[f->ports[i].round]) && was_listening(&f->ports[i]))
			return true;
	return false;
}

static void never_closed(struct sum *t, const struct port_fact *p)
{
	const struct facts *f = t->f;
	const struct round_fact *r = &f->rounds[p->round];
	const struct hung *h = hang_of(f, r);
	const char *held = port_held_by(f, p->round);
	bool others = false;

	for (uint32_t i = 0; i < f->n_ports; i++)
		others |= f->ports[i].round == p->round && fact_before(f, f->ports[i].closed, fact_t(f, r->kill));
	if (h->kind != HANG_NONE && !others && h->charged) {
		sum_see(t, h->charged);         /* it never began to stop: one symptom */
	} else if (held) {
		sum_see(t, held);
	} else if (r->kill) {
		if (sum_bad(t, MUST, "server",
			    "port %lld: its listener was still open %s after %s%s",
			    (long long)p->number,
			    time_text(f, nsec_sub(fact_t(f, r->kill), signal_end(f, r))),
			    first_signal(f, r), others ? ", while others had closed" : "")) {
			cite(t->ret, r->sig);
			cite(t->ret, p->row_last ? p->row_last : p->listen);
			cite(t->ret, r->kill);
		}
	} else {
		sum_unsure(t, p->row_last ? p->row_last : p->listen,
			"port %lld: nobody saw its listener close", (long long)p->number);
	}
}

static void judge_lsn_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	nsec_t within = listener_within(sc);
	struct sum t;

	(void)arena;
	sum_begin_of(&t, f, ret, "listeners");
	ret->expected =
		arena_printf(f->arena, "no LISTEN socket %s after the signal", time_text(f, within));
	for (uint32_t i = 0; i < f->n_ports; i++) {
		const struct port_fact *p = &f->ports[i];
		const struct round_fact *r = &f->rounds[p->round];

		if (!round_judged(f, r) || !was_listening(p))
			continue;
		nsec_t limit = nsec_add(nsec_add(signal_end(f, r), within), busy_part(cpu_wait_of(f, r), within));

		if (!p->closed || fact_t(f, p->closed) > fact_t(f, r->kill)) {
			never_closed(&t, p);
		} else if (fact_t(f, p->closed) <= limit) {
			t.good++;
		} else if (fact_b(f, p->closed) <= limit) {
			sum_unsure(&t, p->closed,
				"port %lld: last seen open %s, first seen closed %s after the signal",
				(long long)p->number,
				time_text(f, nsec_sub(fact_b(f, p->closed), signal_begin(f, r))),
				after_signal(f, r, p->closed));
		} else if (sum_bad(&t, MUST, "server",
				   "port %lld: still open %s after %s (limit %s), closed at %s",
				   (long long)p->number,
				   time_text(f, nsec_sub(fact_b(f, p->closed), signal_begin(f, r))),
				   first_signal(f, r), time_text(f, within),
				   after_signal(f, r, p->closed))) {
			cite(ret, r->sig);
			cite(ret, p->row_signal ? p->row_signal : p->listen);
			cite(ret, p->closed);
		}
	}
	sum_end(&t, "listeners closed in time");
}

/* ---- LSN-2 ---- */

static bool refusal_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for_each_conn(f, c) {
		if (came_after(f, c))
			return true;
	}
	return false;
}

static void one_after(struct sum *t, const struct conn_fact *c, uint32_t since)
{
	const struct facts *f = t->f;
	const struct round_fact *r = round_of(f, c);
	int errnum = c->refused ? (int)fact_a(f, c->refused) : 0;

	if (!c->connected && errnum == ECONNREFUSED) {
		t->good++;
		return;
	}
	if (!c->connected && errnum && errnum != ETIMEDOUT && errnum != ECONNRESET)
		return;                 /* our own failure: HAR-3 says so */
	const char *held = port_held_by(f, c->round);

	if (c->connected && refused_before(f, c)) {
		sum_see(t, "CON-9");
	} else if (held && r->exit && fact_t(f, c->connect) > fact_t(f, r->exit)) {
		sum_see(t, held);
	} else if (sum_bad(t, MUST, "server",
			   "%s: connect() %s after the listener of port %lld was gone %s",
			   client_name(f, c), between(f, since, c->connect),
			   (long long)fact_a(f, c->connect),
			   c->connected ? "succeeded: something else listens there" :
					  "came to no end")) {
		cite(t->ret, r->sig);
		cite(t->ret, since);
		cite_conn(f, t->ret, c);
	}
}

static void judge_lsn_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = "after the listener is closed a connect is refused at once (ECONNREFUSED)";
	for_each_conn(f, c) {
		uint32_t since = came_after(f, c);

		if (since)
			one_after(&t, c, since);
	}
	sum_end(&t, "connects after the close were refused");
}

/* ---- LSN-6 ---- */

/* No balancer looks so often that it could have been told in this time. */
#define NO_INTERVAL (10 * NSEC_PER_MSEC)

static bool readiness_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && sc->expect.readiness && any_round(f);
}

static void judge_lsn_6(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	/* a watched health service would have told without being asked */
	bool pushed = !strncmp(sc->expect.readiness, "watch", 5);

	(void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = arena_printf(
		f->arena, "%s stops answering 200 before the listener closes", sc->expect.readiness);
	for_each_round(f, r) {
		uint32_t ready = 0, flipped = 0, closed = 0;

		for (uint32_t i = 0; i < f->n_ports; i++)
			/* readiness is asked on the first port, and no more when that is gone */
			if (&f->rounds[f->ports[i].round] == r && !f->ports[i].index)
				closed = f->ports[i].closed;
		for_each_event(f, EV_READINESS, n) {
			if (fact_event(f, n)->round != r->id || fact_t(f, n) < signal_begin(f, r) ||
				fact_t(f, n) > fact_t(f, closed))
				continue;
			if (fact_a(f, n) == 200)
				ready = n;
			else if (fact_a(f, n) > 0 && !flipped)
				flipped = n;
		}
		if (flipped)
			t.good++;
		else if (!closed)
			sum_unsure(&t, r->sig, "nobody saw the listener close");
		else if (!ready && !pushed && fact_t(f, closed) > nsec_add(signal_end(f, r), NO_INTERVAL))
			sum_unsure(&t, closed, "no look at the readiness path was answered between signal and close");
		else if (sum_bad(&t, MUST, "application",
				 "the listener closed %s after %s, and until then %s",
				 after_signal(f, r, closed), first_signal(f, r),
				 ready ? "the readiness path answered 200" :
					 "there was no time to see the readiness path change")) {
			cite(ret, r->sig);
			cite(ret, ready);
			cite(ret, closed);
		}
	}
	sum_end(&t, "rounds flipped readiness first");
}

const struct check check_lsn_1 = {
	.id = "LSN-1", .title = "the listener closes in time", .level = MUST,
	.applies = listener_applies, .judge = judge_lsn_1,
	.todo = "close every listener first when the signal comes, in each process that has a copy of it",
	.why = "As long as the port listens, the kernel completes handshakes for clients that the "
	       "server will never serve; a balancer's TCP check stays green.",
	.proof = "sock_diag asks for the LISTEN socket of each port every 100 us after the signal. A "
		 "failure is a listener that was seen open later than the limit "
		 "(--listener-within, expect.listener_within).",
	.modes = "SD-ACCEPT-TOO-LONG, SD-ACCEPT-MULTI",
	.fix_go = "Shutdown closes all listeners first; other net.Listen sockets (metrics, admin) need "
		  "a Close of their own.",
	.fix_node = "server.close() first thing in the handler, for every server, before awaiting "
		    "anything.",
	.fix_python = "asyncio: server.close() before gather(); threads: socket.close() and shutdown() "
		      "to wake the accept.",
	.fix_c = "close(listener) in every process that has it: it stays open until the last "
		 "descriptor is closed.",
	.fix_nginx = "QUIT closes it at once; look for workers that are stuck.",
};

const struct check check_lsn_2 = {
	.id = "LSN-2", .title = "then connects are refused", .level = MUST,
	.alone = true,
	.applies = refusal_applies, .judge = judge_lsn_2,
	.todo = "close all sockets of the port together: SO_REUSEPORT twins and duplicates in children too",
	.why = "ECONNREFUSED within a round trip is what lets clients and balancers go elsewhere. A "
	       "connect that hangs or is accepted by nobody costs each of them a timeout.",
	.proof = "Clients connect after every socket that listened before the signal was seen gone; "
		 "each must get ECONNREFUSED. A LISTEN socket that was opened meanwhile (SO_REUSEPORT) "
		 "and takes them is the same fault.",
	.modes = "SD-ACCEPT-TOO-LONG, SD-ACCEPT-MULTI, SD-LEFT-FD-PORT",
	.fix_go = "Close every listener of a SO_REUSEPORT set; Listener.File() makes a duplicate that "
		  "must be closed too.",
	.fix_node = "cluster: disconnect() every worker; a handle sent to a child keeps the port open.",
	.fix_python = "gunicorn --reuse-port: a busy sync worker keeps its own socket until its "
		      "request ends: use gthread, or no reuse-port.",
	.fix_c = "Close all of them in one go; mark them SOCK_CLOEXEC.",
	.fix_nginx = "`listen ... reuseport` is closed by each worker on QUIT; a stuck worker keeps "
		     "its one.",
};

const struct check check_lsn_6 = {
	.id = "LSN-6", .title = "readiness flips before the listener closes", .level = MUST,
	.shows = shows_readiness, .applies = readiness_applies, .judge = judge_lsn_6,
	.todo = "answer 503 on the readiness path as soon as the signal comes, and close the listener one check interval later",
	.why = "Balancers learn from the readiness path. If it says 200 until the port is gone, they "
	       "send clients into the refusal for one more check interval.",
	.proof = "The readiness path is asked again and again from the signal on; a status other than "
		 "200 must be seen before the LISTEN socket goes.",
	.modes = "SD-START-READY-LIE, SD-ACCEPT-TOO-EARLY",
	.fix_go = "On the signal: set an atomic that /healthz reads, sleep one check interval, then "
		  "Shutdown.",
	.fix_node = "Set a flag, setTimeout(() => server.close(), interval).",
	.fix_python = "Return 503 from the readiness view once the stopping event is set; then wait, "
		      "then stop the server.",
	.fix_c = "Answer 503 while draining, and keep the listener for the lame-duck time.",
	.fix_nginx = "Point the check at a file and remove it before QUIT.",
};
