/* Start-up sweep: the signal at steps from exec to the first answer, and on until all processes have come to rest. Death by default action
 * in this window is normal; a signal that is lost (the process comes up and serves on) is not. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "run/engine.h"

#define MAX_STARTS 3            /* ordinary ones, to measure one */
#define UNDISTURBED 4           /* in less than this part of it somebody waited for a CPU */
#define MAX_LOST 2              /* more of the same cost a grace each and teach nothing */

static bool exited(struct run *r)
{
	if (grace_over(r))
		return true;
	r->look = grace_look(r);
	return !r->alive;
}

/* The time from exec to where the other scenarios begin, by one ordinary start: it has answered, and its workers have started. */
static nsec_t one_start(struct run *r)
{
	if (ports_choose(r) < 0)
		return -1;
	round_reset(r, "how long a start takes");
	if (target_start(r, "calibration") < 0 || target_await_ready(r) < 0 || warm_up(r) < 0)
		return -1;
	root_settle(r);
	workers_settle(r);
	nsec_t took = clock_now() - r->t_launch;

	round_end(r);
	return took;
}

/* The same without what a busy machine makes of it: steps over a start that took ten times as long are so far apart that what is wrong in
 * the usual one lies between two of them. */
static nsec_t calibrate(struct run *r)
{
	nsec_t least = NSEC_NEVER;

	for (int tries = 0; tries < MAX_STARTS; tries++) {
		struct pressure busy;

		if (tries)
			r->ev->round++;
		pressure_begin(r->world, &busy);
		nsec_t took = one_start(r);

		if (took < 0)
			return -1;
		if (took < least)
			least = took;
		if (pressure_since(r->world, &busy) < took / UNDISTURBED)
			break;
	}
	return least;
}

/* Alive at the grace: serving, or merely slow to die? */
static void still_alive(struct run *r)
{
	struct proc p;

	if (census_one(r->pid, false, &p) == 0 && p.exiting)
		return;
	busy_record(r);
	int status = ask_and_wait(r, "/", NSEC_PER_SEC);

	if (status)
		events_add(r->ev, EV_READINESS, -1, status, 0, NULL);
	autopsy_and_kill(r, "alive after a signal during start-up");
}

static int sweep_step(struct run *r, uint32_t k, nsec_t delay)
{
	static const struct trigger at_launch = {.on = ON_LAUNCH, .at_latest = NSEC_NEVER};
	struct signal_spec sig = r->sc->n_signals ? r->sc->signals[0] : (struct signal_spec){.signo = SIGTERM};
	struct action *a = &r->actions[0];
	char text[24], label[64];

	snprintf(label, sizeof label, "signal %s after exec", duration_text(delay, text));
	if (ports_choose(r) < 0)
		return -1;
	round_reset(r, arena_strdup(r->arena, label));
	sig.when = at_launch;
	sig.when.after = delay;
	*a = (struct action){.sig = &sig, .due = NSEC_NEVER, .left = 1};
	r->n_actions = 1;
	(void)k;
	if (target_start(r, label) < 0)
		return -1;
	pump(r, exited, r->t_launch + r->sc->target.ready_within);
	int lost = r->alive;

	if (r->alive && !r->world->interrupted)
		still_alive(r);
	if (!r->world->interrupted) {
		left_processes(r);
		rebind(r);
	}
	round_end(r);
	return lost;
}

int sweep_run(struct run *r)
{
	nsec_t whole = calibrate(r);
	int lost = 0;

	if (whole < 0)
		return -1;
	for (uint32_t k = 0; k < r->sc->sweep && lost < MAX_LOST; k++) {
		int rc;

		r->ev->round++;
		rc = sweep_step(r, k, r->sc->sweep > 1 ? whole * k / (r->sc->sweep - 1) : 0);
		if (rc < 0 || r->world->interrupted)
			return -1;
		lost += rc;
	}
	return 0;
}
