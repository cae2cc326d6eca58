/* When: signals, steps that are not written, expectations, deadlines. The multiplier stretches deadlines, never the
 * stimulus: `after`, gaps and pauses stay what the scenario says. */
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "plan/parts.h"

#define DEFAULT_AT_LATEST (300 * NSEC_PER_MSEC)
#define LONGEST (24 * 3600 * NSEC_PER_SEC)      /* as the reader of times has it, so that the dump can be read */

/* --signal 'SIGTERM,50ms,SIGINT' applies where a scenario sends the settings' signal once when armed: anything
 * else has its own story of signals, in which $signal is the first of the list. */
static bool takes_list(const struct builder *b)
{
	const struct scenario *sc = b->sc;

	return b->st->n_signals > 1 && sc->n_signals == 1 && !sc->signals->signo && sc->signals->count == 1 &&
	       sc->signals->when.on == ON_ARMED && !sc->n_vary_to && !sc->sweep;
}

void plan_signals(struct builder *b)
{
	struct scenario *sc = b->sc;
	int first = b->st->n_signals ? b->st->signals[0].signo : SIGTERM;

	if (takes_list(b)) {
		struct signal_spec one = sc->signals[0];

		sc->n_signals = b->st->n_signals;
		sc->signals = arena_array(b->arena, struct signal_spec, sc->n_signals);
		for (size_t i = 0; i < sc->n_signals; i++) {
			sc->signals[i] = one;
			sc->signals[i].signo = b->st->signals[i].signo;
			if (i)
				sc->signals[i].when = b->st->signals[i].when;
		}
	}
	for (size_t i = 0; i < sc->n_signals; i++)
		if (!sc->signals[i].signo)
			sc->signals[i].signo = first;
	if (sc->sweep && sc->n_signals && signal_ignored_by_default(sc->signals[0].signo))
		plan_skip(b, "%s is dropped by the kernel until its handler is installed: what is lost in the start is nobody's fault",
			  signal_name(sc->signals[0].signo));
}

static void add_step(struct builder *b, enum step_do what)
{
	struct scenario *sc = b->sc;
	struct step_spec *v = arena_array(b->arena, struct step_spec, sc->n_steps + 1);

	if (sc->n_steps)
		memcpy(v, sc->steps, sc->n_steps * sizeof *v);
	v[sc->n_steps] = (struct step_spec){.at = sc->at, .what = what,
		.when = {.on = ON_LISTENER_CLOSED, .at_latest = DEFAULT_AT_LATEST}};
	sc->steps = v;
	sc->n_steps++;
}

static void connect_late(struct builder *b)
{
	struct scenario *sc = b->sc;
	size_t written = sc->n_steps;

	for (size_t i = 0; i < sc->n_clients; i++) {
		bool connects = sc->clients[i].phase != PHASE_LATE;

		for (size_t k = 0; k < written; k++)
			connects |= sc->steps[k].what == STEP_CONNECT && sc->steps[k].client &&
				    !strcmp(sc->steps[k].client, sc->clients[i].name);
		if (connects)
			continue;
		add_step(b, STEP_CONNECT);
		sc->steps[sc->n_steps - 1].client = sc->clients[i].name;
	}
}

/* What is held must be let go, and who is late must come: when the listener is closed, if the scenario does not say. */
void plan_steps(struct builder *b)
{
	bool releases = false;

	connect_late(b);
	for (size_t i = 0; i < b->sc->n_steps; i++)
		releases |= b->sc->steps[i].what == STEP_RELEASE_GATE;
	if (b->plan->uses_gate && !releases)
		add_step(b, STEP_RELEASE_GATE);
	b->plan->uses_gate |= releases;
}

static void stretch(const struct builder *b, nsec_t *t)
{
	if (*t == NSEC_NEVER)
		return;
	double longer = (double)*t * b->multiplier;

	*t = longer > (double)LONGEST ? LONGEST : (nsec_t)longer;
}

/* Time that a signal or step adds to a round at most. */
static nsec_t time_of(const struct trigger *t)
{
	return t->after + (t->at_latest == NSEC_NEVER ? 0 : t->at_latest);
}

static nsec_t hard_stop(const struct scenario *sc)
{
	nsec_t armed = ARM_AT_MOST * sc->arm_within;
	nsec_t first = WARM_AT_MOST * sc->arm_within;
	nsec_t round = sc->target.ready_within + (1 + (sc->control ? (nsec_t)sc->n_clients : 0)) * first + 3 * armed + sc->expect.within +
		       10 * NSEC_PER_SEC;
	uint32_t rounds = sc->n_vary_to ? (uint32_t)sc->n_vary_to : 1;

	for (size_t i = 0; i < sc->n_signals; i++)
		round += time_of(&sc->signals[i].when) + sc->signals[i].count * sc->signals[i].gap;
	for (size_t i = 0; i < sc->n_steps; i++)
		round += time_of(&sc->steps[i].when);
	round += sc->leak_batches * (armed + 2 * NSEC_PER_SEC);
	rounds += sc->restart.how == RESTART_AFTER_EXIT || sc->restart.how == RESTART_CRASH;
	rounds += sc->n_signals > 1 || (sc->n_signals && sc->signals[0].count > 1);     /* the first alone, after a hang */
	if (restart_hands_over(&sc->restart))
		/* each waits for who takes the signal, the new one, the old one's end, and the stream and the server at rest */
		round += (sc->restart.times + 3) * (5 * sc->restart.within + armed) + first + 3 * armed + sc->expect.within;
	if (sc->sweep)
		return (sc->sweep + 1) * (sc->target.ready_within + sc->expect.within + NSEC_PER_SEC);
	return rounds * round;
}

/* A short --grace: what we hold ourselves is let go in the middle of it at the latest, or no target could keep it. A scenario
 * with a grace of its own means what it says. */
static void let_go_in_time(struct scenario *sc)
{
	nsec_t half = sc->expect.within / 2;

	for (size_t i = 0; i < sc->n_steps; i++) {
		nsec_t *at_latest = &sc->steps[i].when.at_latest;

		if (sc->steps[i].what == STEP_RELEASE_GATE && *at_latest != NSEC_NEVER && *at_latest > half)
			*at_latest = half;
	}
}

void plan_times(struct builder *b)
{
	struct scenario *sc = b->sc;
	struct expect_spec *e = &sc->expect;

	if (!e->within) {
		e->within = b->st->grace ? b->st->grace : 10 * NSEC_PER_SEC;
		let_go_in_time(sc);
	}
	if (!e->listener_within)
		e->listener_within = b->st->listener_within ? b->st->listener_within : 2 * NSEC_PER_SEC;
	if (!sc->arm_within)
		sc->arm_within = b->st->arm_within ? b->st->arm_within : 3 * NSEC_PER_SEC;
	if (!e->has_second) {
		e->second = b->st->second;
		e->has_second = true;
	}
	if (!e->n_exits && b->st->n_exits) {
		e->n_exits = b->st->n_exits;
		e->exits = arena_array(b->arena, struct exit_allowed, e->n_exits);
		memcpy(e->exits, b->st->exits, e->n_exits * sizeof *e->exits);
	} else if (!e->n_exits) {
		e->n_exits = 1;
		e->exits = arena_new_of(b->arena, struct exit_allowed);
		e->exits->how = EXIT_CLEAN;
	}
	stretch(b, &e->within);
	stretch(b, &e->listener_within);
	stretch(b, &sc->target.ready_within);
	stretch(b, &sc->arm_within);
	stretch(b, &sc->restart.within);
	stretch(b, &sc->restart.when.at_latest);
	for (size_t i = 0; i < sc->n_signals; i++)
		stretch(b, &sc->signals[i].when.at_latest);
	for (size_t i = 0; i < sc->n_steps; i++)
		stretch(b, &sc->steps[i].when.at_latest);
	b->plan->hard_stop = hard_stop(sc);
}
