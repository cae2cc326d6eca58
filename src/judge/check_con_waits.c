/* CON-13: clients that wait for what other clients do. */
#include "judge/checks.h"
#include "judge/loss.h"
#include "judge/say.h"

static bool waits(const struct facts *f, const struct conn_fact *c)
{
	return c->waits && conn_armed(f, c);
}

static bool waits_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	for_each_judged(f, c) {
		if (waits(f, c))
			return true;
	}
	return false;
}

/* What is wrong with its end; NULL: nothing. */
static const char *broken_end(const struct facts *f, const struct conn_fact *c, enum conn_how how)
{
	if (c->bad)
		return arena_printf(f->arena, "what came is no answer: %s", fact_text(f, c->bad));
	if (how == HOW_RST)
		return "RST instead of FIN";
	if (how == HOW_FIN && c->outcome == CONN_TRUNCATED)
		return "FIN in the middle of a message";
	return NULL;
}

static void one_waiting(struct sum *t, const struct conn_fact *c)
{
	const struct facts *f = t->f;
	uint32_t end;
	enum conn_how how = conn_how(f, c, &end);
	const char *wrong = broken_end(f, c, how);

	if (!wrong && how != HOW_OPEN) {
		t->good++;
	} else if (!wrong) {
		if (hung_charged(f, c))
			sum_see(t, hung_charged(f, c));
		else
			sum_unsure(t, c->still, "%s: no end of it was seen", client_name(f, c));
	} else if (end && by_contract(f, c, end_time(f, c))) {
		t->contract++;
	} else if (charged_to_default(f, round_of(f, c))) {
		sum_see(t, "SIG-1");
	} else if (sum_bad(t, MUST, "server", "%s: '%s' was waiting, then %s (%s)", client_name(f, c),
			   fact_text(f, c->waits), wrong, loss_text(f, c))) {
		cite(t->ret, c->waits);
		cite_conn(f, t->ret, c);
	}
}

/* A process that outlives its grace because of them. */
static void one_held(struct sum *t, const struct round_fact *r)
{
	const struct facts *f = t->f;
	const struct hung *h = hang_of(f, r);

	if (h->kind == HANG_NONE || !h->charged || check_by_id(h->charged) != &check_con_13)
		return;
	if (sum_bad(t, MUST, "server", "%s after %s it was still there: %s (%u of them); suspect: %s",
		    after_signal(f, r, r->kill ? r->kill : r->exit), first_signal(f, r), h->why, h->clients,
		    suspect_of(f, r))) {
		for (unsigned i = 0; i < h->n_cites; i++)
			cite(t->ret, h->cites[i]);
		cite(t->ret, r->kill);
		cite(t->ret, r->autopsy);
	}
}

static void judge_con_13(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin(&t, f, ret);
	ret->expected = arena_printf(f->arena,
		"a client that waits for others is let go between two messages, by a FIN or an answer, and does not "
		"hold the exit past %s", time_text(f, grace_of(f)));
	for_each_round(f, r) {
		one_held(&t, r);
	}
	for_each_judged(f, c) {
		if (waits(f, c) && !(t.bad && hang_of(f, round_of(f, c))->kind != HANG_NONE))
			one_waiting(&t, c);
	}
	sum_end(&t, "waiting clients were let go");
}

const struct check check_con_13 = {
	.id = "CON-13", .title = "who waits for others is let go", .level = MUST,
	.applies = waits_applies, .judge = judge_con_13,
	.todo = "when the stop begins, answer blocked commands (null or an error) and close subscriptions between two messages",
	.why = "A blocked command (BLPOP, XREAD BLOCK) or a subscription is answered when another client does "
	       "something. No work of it is in flight, so nothing is lost when the server closes: Redis closes such "
	       "clients with a bare FIN. But half a message is lost for both sides, an RST tells nobody anything, and a "
	       "server that waits for them waits for ever.",
	.proof = "Armed: the command was read (receive queue empty) and the target sleeps, or the subscription was "
		 "confirmed. After the signal the replies are read one by one; a FIN must come between two of them.",
	.modes = "SD-STREAM-NEVER, SD-INFLIGHT-TRUNC, SD-EXIT-HANG",
	.fix_go = "Give blocking handlers a context that Shutdown cancels; on cancel answer null (*-1) or just close.",
	.fix_node = "Keep a Set of blocked clients and subscribers; on the signal call socket.end() on each, not destroy().",
	.fix_python = "asyncio: cancel the waiting tasks first, then close their writers and await wait_closed().",
	.fix_c = "Redis: unblock them and close when the output buffer is empty. Write whole messages into the buffer, "
		 "never parts of one.",
	.fix_nginx = "stream proxying: it passes on what the backend does.",
};
