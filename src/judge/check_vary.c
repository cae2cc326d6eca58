/* SIG-5: whom the signal is sent to makes no difference. */
#include <signal.h>

#include "judge/say.h"
#include "judge/shows.h"

static bool vary_applies(const struct scenario *sc, const struct facts *f)
{
	return sc->n_vary_to >= 2 && !sc->sweep && f->any_signal;
}

static const char *label(const struct facts *f, const struct round_fact *r)
{
	const char *text = fact_text(f, r->begin);

	return *text ? text : fact_text(f, r->sig);
}

/* The first connection of the deviating round whose outcome the first round's clients of that group do
 * not have. */
static const char *difference(const struct facts *f, const struct round_fact *a,
	const struct round_fact *b, const struct conn_fact **ret_conn)
{
	struct ending ea = ending_of(f, a), eb = ending_of(f, b);
	const char *end = "";

	*ret_conn = NULL;
	if (ea.kind != eb.kind || ea.value != eb.value)
		end = arena_printf(f->arena, "to %s: %s, to %s: %s", label(f, a), ending_text(f, &ea),
			label(f, b), ending_text(f, &eb));
	for_each_conn(f, c) {
		bool same = false;

		if (round_of(f, c) != b || c->spec == NO_SPEC || !conn_armed(f, c))
			continue;
		if (f->n_conns > 4096)  /* the endings say enough */
			break;
		for_each_conn(f, d) {
			if (round_of(f, d) == a && d->spec == c->spec && d->number == c->number &&
				d->outcome == c->outcome)
				same = true;
		}
		if (same)
			continue;
		*ret_conn = c;
		return arena_printf(f->arena, "%s%s%s is %s when %s goes to %s, unlike to %s", end,
			*end ? "; " : "", client_name(f, c), conn_outcome_names[c->outcome],
			first_signal(f, b), label(f, b), label(f, a));
	}
	return *end ? end : "the outcomes of the connections differ in number";
}

static void judge_sig_5(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	const struct round_fact *first = NULL;
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, "rounds");
	ret->expected = "the same ending and the same outcomes, whether the process, its group or its "
			"terminal is signalled";
	for (uint32_t i = 0; i < f->n_rounds; i++) {
		const struct round_fact *r = &f->rounds[i];
		const struct conn_fact *c;

		if (!r->sig)
			continue;
		if (r->raced) {
			sum_unsure(&t, r->sig, "the target did not come to rest, and the gate was opened before: whether its answer "
				"or the end of the connection came first was chance");
		} else if (!r->deviates) {
			first = first ? first : r;
			t.good++;
		} else if (sum_bad(&t, MUST, "application", "%s", difference(f, first, r, &c))) {
			cite(ret, first->sig);
			cite(ret, first->exit);
			cite(ret, r->sig);
			cite(ret, r->exit);
			if (c)
				cite_conn(f, ret, c);
			ret->hint = fact_a(f, r->sig) == SIGTERM ?
				"systemd sends it to the whole unit: workers drain too, or leave it to their parent; or KillMode=mixed" :
				"one Ctrl-C reaches every process of the group: do not forward it as well";
		}
	}
	if (rounds_all_killed(f))
		found(f, ret, SKIP, "the harness had to end the process in every round: nothing to compare");
	else if (t.good + t.bad + t.unsure < 2)
		found(f, ret, SKIP, "only one of the rounds could be signalled: nothing to compare");
	else
		sum_end(&t, "rounds agree");
}

const struct check check_sig_5 = {
	.id = "SIG-5", .title = "process, group and terminal: the same result", .level = MUST,
	.shows = shows_vary, .applies = vary_applies, .judge = judge_sig_5,
	.todo = "one Ctrl-C reaches every process of the group: do not forward it to children as well",
	.why = "systemd signals every process of the unit, a shell's Ctrl-C the foreground group, "
	       "Kubernetes only PID 1. A parent that forwards what its children got already turns one "
	       "signal into two, and the second is often the one that forces.",
	.proof = "One round each, with the same clients in the same proven phases; the typed exit and "
		 "the outcomes by phase are compared with the first round. A round that differs is "
		 "charged here and nowhere else.",
	.modes = "SD-SIG-GROUP-DOUBLE, SD-SIG-WRAPPER",
	.fix_go = "exec.Command children: SysProcAttr{Setpgid: true}, then forward; or do not forward.",
	.fix_node = "spawn(..., {detached: true}) if you forward; npm start: `exec node server.js`, or "
		    "node as PID 1 without npm.",
	.fix_python = "multiprocessing children inherit handlers: signal.signal(SIGINT, SIG_IGN) in "
		      "them; the parent alone decides.",
	.fix_c = "Children: setpgid(0, 0), or ignore SIGINT in them and tell them over a pipe. Shell "
		 "wrappers: end with exec.",
	.fix_nginx = "KillMode=mixed in systemd, so that only the master gets the signal.",
};
