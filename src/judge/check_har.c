/* HAR-1, HAR-2, HAR-3: may this run be believed? */
#include <errno.h>
#include <string.h>

#include "base/names.h"
#include "judge/say.h"

static bool always(const struct scenario *sc, const struct facts *f)
{
	(void)sc, (void)f;
	return true;
}

static void judge_har_1(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	uint32_t cites[2];

	(void)sc, (void)arena;
	ret->expected = "the client socket, the wire and the kernel tell one story";
	if (f->incomplete) {
		cite(ret, f->incomplete_event);
		found(f, ret, BROKEN, "%s", f->incomplete);
	} else if (f->dissent) {
		const struct conn_fact *c = &f->conns[f->dissent - 1];
		const char *text = NULL;

		disagree(f, c, &text, cites);
		cite(ret, cites[0]);
		cite(ret, cites[1]);
		cite_conn(f, ret, c);
		found(f, ret, BROKEN, "%s", text);
	} else {
		found(f, ret, PASS, "they agree on %u connections%s", f->n_conns,
			f->wire == WIRE_OK ? "" : " (without packets)");
	}
	if (ret->outcome == BROKEN)
		ret->whose = "harness";
}

static void judge_har_2(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	uint32_t end = f->first[EV_CAPTURE_END];

	(void)sc, (void)arena;
	ret->expected = "the capture is complete: no packet dropped, the sentinel seen";
	cite(ret, end);
	if (f->wire == WIRE_OK) {
		found(f, ret, PASS, "%lld packets, none dropped, %s", (long long)fact_a(f, end),
			fact_text(f, end));
	} else if (f->wire == WIRE_UNSEEN) {
		found(f, ret, SKIP, "no packets were captured here%s",
			f->has_sees ? "" : " (the run does not say what it saw)");
		for_each_event(f, EV_NOTE, n)
			if (!strncmp(fact_text(f, n), "no capture", 10))
				found(f, ret, SKIP, "%s", fact_text(f, n));
	} else {
		ret->whose = "harness";
		if (!end)
			found(f, ret, BROKEN, "the capture was begun and has no end");
		else
			found(f, ret, BROKEN,
				"%lld packets dropped, %s: what needs packets is not judged by them",
				(long long)fact_b(f, end), fact_text(f, end));
	}
}

/* ---- HAR-3 ---- */

static bool arming_applies(const struct scenario *sc, const struct facts *f)
{
	(void)f;
	return !sc->sweep;
}

static const char *phase_name(const struct conn_fact *c)
{
	return c->phase < PHASE_N ? phase_rows[c->phase].name : "its phase";
}

/* What would bring a client into this phase; NULL: what the check says. */
static const char *way_into(enum phase phase)
{
	switch (phase) {
	case PHASE_UPGRADED:
		return "give the path that opens a WebSocket: --upgrade 'GET /path'";
	case PHASE_SLOW_READER:
		return "give an answer that no socket buffer holds, 16 MiB or more: --big 'GET /path'";
	case PHASE_STREAMING:
		return "give an answer that begins at once and ends later: --stream 'GET /path'";
	default:
		return NULL;
	}
}

/* A call at the gate that does not say whose it is, while this client waited for its own. */
static uint32_t nameless_call(const struct facts *f, const struct conn_fact *c)
{
	if (!c->request || c->gate)
		return 0;
	for_each_event(f, EV_GATE_REACHED, n)
		if (fact_event(f, n)->conn < 0 && n > c->request && n < c->unproven)
			return n;
	return 0;
}

static void one_arming(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	uint32_t left = conn_left_early(f, c), call = c->unproven ? nameless_call(f, c) : 0;

	if (call) {
		if (sum_unsure(t, call, "%s was not proven %s: a call reached the gate, but which request it is for is not known, it has no "
			       "X-Drainspec-Nonce of any here: '%.60s'", client_name(f, c), phase_name(c),
			       fact_text(f, call) + strspn(fact_text(f, call), "- "))) {
			cite(t->ret, c->unproven);
			t->ret->hint = "hand the header X-Drainspec-Nonce of the request on in the call to $DRAINSPEC_GATE (docs/slow.md)";
		}
	} else if (c->unproven) {
		if (sum_unsure(t, c->unproven, "%s was not proven %s: %s", client_name(f, c), phase_name(c),
			       fact_text(f, c->unproven)))
			t->ret->hint = way_into(c->phase);
	} else if (left && left == c->proven) {
		sum_unsure(t, left, "%s was proven %s only %s after the signal", client_name(f, c),
			phase_name(c), after_signal(f, round_of(f, c), left));
	} else if (left) {
		sum_unsure(t, left, "%s had left %s %s before the signal: the race was lost",
			client_name(f, c), phase_name(c),
			time_text(f, nsec_sub(signal_begin(f, round_of(f, c)), fact_t(f, left))));
	} else if (c->refused && fact_a(f, c->refused) != ECONNREFUSED &&
		   fact_a(f, c->refused) != ETIMEDOUT && fact_a(f, c->refused) != ECONNRESET) {
		sum_unsure(t, c->refused, "%s: the harness itself could not connect (%s)",
			client_name(f, c), errno_name((int)(fact_a(f, c->refused) & 0xFFFF)));
	} else if (c->proven) {
		t->good++;
	}
}

static void rounds_signalled(struct sum *t)
{
	const struct facts *f = t->f;

	for (uint32_t i = 0; i < f->n_rounds; i++) {
		const struct round_fact *r = &f->rounds[i];

		if (!r->launch || r->alone || (restart_hands_over(&f->sc->restart) && !r->heir))
			continue;
		struct ending e = ending_of(f, r);
		bool by_itself = r->exit && !r->kill && (!r->sig || fact_before(f, r->exit, signal_begin(f, r)));

		if (by_itself) {
			if (!sum_unsure(t, r->exit, "the target ended by itself before any signal: %s", ending_text(f, &e)))
				continue;
			t->ret->whose = "application";
			t->ret->hint = "its last output says why; a server that ends on a request is no matter of shutdown";
		} else if (!r->sig) {
			sum_unsure(t, r->launch, "no signal was sent: what should have triggered it never came");
		}
	}
}

static void judge_har_3(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)arena;
	sum_begin_of(&t, f, ret, "clients");
	ret->expected = "every client was proven in its phase when the signal came, by evidence and "
			"not by time";
	for_each_conn(f, c) {
		if (c->spec != NO_SPEC && round_of(f, c)->launch && !round_of(f, c)->alone)
			one_arming(&t, c);
	}
	rounds_signalled(&t);
	for (uint32_t i = 0; i < f->n_rounds && !t.unsure; i++)
		cite(ret, f->rounds[i].armed);
	sum_end(&t, "clients were proven in their phases");
	if (ret->outcome == SKIP)
		found(f, ret, PASS, "no client had a phase to prove");
	if (ret->outcome == UNSURE && f->unreachable && sc->skip_if_unreachable)
		found(f, ret, SKIP, "%s", ret->actual);
}

const struct check check_har_1 = {
	.id = "HAR-1", .title = "the witnesses agree", .level = MUST,
	.applies = always, .judge = judge_har_1,
	.todo = "report it with the evidence folder: drainspec contradicts itself, and no verdict here counts",
	.why = "A verdict that one witness contradicts is worth nothing, however sure the other is. "
	       "Then the tool is at fault, and says so.",
	.proof = "For each connection the client's socket and a complete capture are compared: bytes, "
		 "FIN, RST, refusals. A log that ends early or a failure of the harness is BROKEN as "
		 "well.",
	.modes = "none: it guards all others",
};

const struct check check_har_2 = {
	.id = "HAR-2", .title = "the capture is complete", .level = MUST,
	.applies = always, .judge = judge_har_2,
	.todo = "run it again with -j 1: the capture could not keep up",
	.why = "`No RST was seen` means something only if every packet was seen.",
	.proof = "The ring reports no drops, and a datagram that the harness sends itself at the end "
		 "is found in the file.",
	.modes = "none: it guards the checks that read packets",
};

const struct check check_har_3 = {
	.id = "HAR-3", .title = "armed by evidence", .level = MUST,
	.applies = arming_applies, .judge = judge_har_3,
	.todo = "give a request that a handler holds: --slow gate, or a path that takes a second",
	.why = "A request that the server had not read yet is not in flight; signalling after a sleep "
	       "tests luck. What could not be proven is UNSURE, never PASS.",
	.proof = "Each phase has its proof (drainspec list phases): the gate, or sock_diag's view of "
		 "the server's end. It must hold until the signal: a client that left its phase before "
		 "is UNSURE too.",
	.modes = "none: it guards all others",
};
