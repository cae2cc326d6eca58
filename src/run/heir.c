/* The end of a hand-over: what serves when the last one is done is stopped by the scenario's signal, as any target is, in a round of
 * its own. The stream's connections are closed before: what became of them is told, and what the heir owes is the new clients'. */
#include <sys/syscall.h>
#include <unistd.h>

#include "run/engine.h"

/* The same port, and who has it by now. */
static void look_again(struct run *r)
{
	for (unsigned i = 0; i < r->n_ports; i++) {
		struct port *p = &r->ports[i];

		p->listening = p->closed = p->back = false;
		p->inode = p->twin = 0;
	}
	r->t_watch = 0;
	if (pump(r, ports_listen, clock_now() + r->sc->restart.within) && r->alive)
		actions_event(r, ON_LISTENING, r->ports[0].t_last_open);
	actions_event(r, ON_READY, clock_now());
}

/* A daemon's newest master is nobody's child but ours, and the signal is its own; with a parent that waits for it, the parent's. */
static void find_heir(struct run *r)
{
	pid_t pid = r->sc->restart.newest ? generation_leader(r) : 0;
	struct proc p;
	int fd;

	if (pid <= 0 || pid == r->pid || census_one(pid, false, &p) < 0 || p.ppid != getpid())
		return;
	fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (fd >= 0)
		root_watch(r, pid, fd);
}

/* Why its end would tell nothing about it; NULL: it is the only one left. */
static const char *not_alone(const struct run *r, bool survivors)
{
	const struct hand *h = r->hand;

	if (!r->alive)
		return "nobody is left";
	if (!r->sc->n_signals)
		return "the scenario has no signal";
	if (survivors)
		return "an old generation lives on beside it (UPG-2)";
	return h->found > h->answered && has_loops(r) ? "a newer one listens beside it and gave no answer (UPG-5)" : NULL;
}

int heir_round(struct run *r)
{
	const char *why = not_alone(r, generation_survivors(r));
	unsigned generation = r->hand->found;

	if (why) {
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "the last generation was killed, not stopped: %s", why);
		target_logs(r);
		return 0;
	}
	find_heir(r);
	heir_settle(r);
	clients_end(r, "the hand-overs are over");
	hand_over_end(r);
	r->ev->round++;
	round_reset(r, "the last generation");
	if (actions_prepare(r) < 0)
		return -1;
	if (logs_watch(r) < 0)
		return -1;
	events_addf(r->ev, EV_HEIR, -1, r->pid, r->generation, "generation %u is stopped", generation);
	actions_event(r, ON_LAUNCH, clock_now());
	look_again(r);
	return round_stop(r);
}
