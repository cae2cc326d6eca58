/* LSN-4: the same command again on the same port, at once. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"
#include "target/port.h"

static bool asked(struct run *r)
{
	struct conn *c = r->conns[r->n_conns - 1];

	return conn_heard(r, c) || c->bad || c->state == CONN_OVER || (!r->alive && !r->beside);
}

/* One request to who listens now. */
void restart_ask(struct run *r, const char *what)
{
	if (!r->warmup.proto || !r->warmup.n_rqs) {
		events_add(r->ev, EV_RESTART, -1, 1, 0, what);
		return;
	}
	struct conn *c = conn_open(r, &r->warmup);

	if (!c)
		return;
	if (c->state == CONN_PARKED)
		c->state = CONN_FREE;
	pump(r, asked, clock_now() + r->sc->expect.within);
	events_addf(r->ev, EV_RESTART, -1, conn_heard(r, c), c->an.status, "%s%s", what, conn_heard(r, c) ? ", and answers" :
		    ", but its first request got no answer");
	conn_close(r, c, "the restart is proven");
}

static void forget_old_target(struct run *r)
{
	if (r->pidfd >= 0)
		close(r->pidfd);
	r->pidfd = -1;
	r->watching = false;
	for (unsigned i = 0; i < r->n_ports; i++) {
		r->ports[i].listening = r->ports[i].closed = r->ports[i].back = false;
		r->ports[i].inode = 0;
	}
}

/* Why it did not come up: the bind's reason if the port is the reason, else its own words. */
static void say_why(struct run *r, const struct err *why)
{
	const char *tail = strstr(why->what, "; its last lines");     /* they are in the log-tail event */

	for (unsigned i = 0; i < r->n_ports; i++)
		port_autopsy(r, &r->ports[i]);
	events_addf(r->ev, EV_RESTART, -1, 0, 0, "%.*s", tail ? (int)(tail - why->what) : (int)strlen(why->what), why->what);
}

void restart(struct run *r)
{
	struct err why = {0}, *saved = r->err;
	struct log_file *logs = r->logs;
	struct proc v[MAX_TREE];

	forget_old_target(r);
	r->n_left = target_tree(r, v, MAX_TREE, false);
	for (unsigned i = 0; i < r->n_left; i++)
		r->left[i] = v[i].pid;
	r->generation++;
	r->err = &why;
	/* what the old one said is judged already; readiness must not find its lines again */
	for (int i = 0; i < 2; i++)
		logs[i].at = lseek(logs[i].fd, 0, SEEK_END);
	r->notified = false;
	r->t_on[ON_READY] = 0;          /* until it is ready again the log is read for that alone */
	if (target_start(r, "restart") < 0 || target_await_ready(r) < 0) {
		if (!r->world->interrupted)
			say_why(r, &why);
		r->err = saved;
		return;
	}
	r->err = saved;
	restart_ask(r, "ready again");
}
