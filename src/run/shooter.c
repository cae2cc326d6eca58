/* Signals and steps: what happens when. A trigger is an event plus a delay; a delay shorter than the kernel's timers can
 * place is awaited by reading the clock, so that a gap of 50 us is 50 us. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include "base/names.h"
#include "run/engine.h"

#define LOOK_AGAIN (300 * NSEC_PER_USEC)

/* The moment from which `after` counts for this action; 0: its event has not come. */
static nsec_t base_of(const struct run *r, const struct action *a)
{
	const struct trigger *t = a->sig ? &a->sig->when : &a->step->when;

	/* "after the signal": for a signal the one before it, for a step the first */
	if (t->on == ON_SIGNAL)
		return a->sig ? r->t_prev_signal : r->t_signal;
	return t->on == ON_LOG ? a->t_log : r->t_on[t->on];
}

static void action_arm(const struct run *r, struct action *a)
{
	const struct trigger *t = a->sig ? &a->sig->when : &a->step->when;
	nsec_t base = base_of(r, a);

	if (a->done)
		return;
	/* signals keep their order: the next waits for the one before */
	if (a->sig && a->number > 0 && !(a - 1)->done)
		return;
	if (base && (a->due == NSEC_NEVER || base + t->after < a->due)) {
		a->due = base + t->after;
	} else if (!base && a->due == NSEC_NEVER && t->at_latest != NSEC_NEVER) {
		nsec_t from = r->t_signal ? r->t_prev_signal : r->t_on[ON_ARMED];

		if (from && (r->t_signal || t->on == ON_ARMED))
			a->due = a->at_latest = from + t->at_latest;
	}
	if (a->due != NSEC_NEVER && a->sig && r->t_prev_signal)
		a->asked_gap = a->due - r->t_prev_signal;
}

static int action_add(struct run *r, const struct signal_spec *sig, const struct step_spec *step, unsigned number)
{
	struct action *a = &r->actions[r->n_actions];
	const char *regex = sig ? sig->when.regex : step->when.regex;

	if (r->n_actions == MAX_ACTIONS)
		return err_at(r->err, sig ? sig->at : step->at, "more than %d signals and steps", MAX_ACTIONS);
	*a = (struct action){.sig = sig, .step = step, .number = number, .due = NSEC_NEVER,
			     .left = sig && sig->count ? sig->count : 1};
	if (regex) {
		if (regcomp(&a->re, regex, REG_EXTENDED | REG_NOSUB) != 0)
			return err_at(r->err, sig ? sig->at : step->at, "'%s' is not a regular expression", regex);
		a->has_re = true;
	}
	r->n_actions++;
	return 0;
}

int actions_prepare(struct run *r)
{
	static const struct step_spec release = {.what = STEP_RELEASE_GATE,
		.when = {.on = ON_LISTENER_CLOSED, .at_latest = 300 * NSEC_PER_MSEC}};
	static const struct step_spec connect = {.what = STEP_CONNECT,
		.when = {.on = ON_LISTENER_CLOSED, .at_latest = 300 * NSEC_PER_MSEC}};
	bool releases = false, connects = false, late = false;

	r->n_actions = 0;
	for (size_t i = 0; i < r->sc->n_signals; i++)
		if (action_add(r, &r->sc->signals[i], NULL, (unsigned)i) < 0)
			return -1;
	for (size_t i = 0; i < r->sc->n_steps; i++) {
		releases |= r->sc->steps[i].what == STEP_RELEASE_GATE;
		connects |= r->sc->steps[i].what == STEP_CONNECT;
		if (action_add(r, NULL, &r->sc->steps[i], (unsigned)i) < 0)
			return -1;
	}
	for (unsigned i = 0; i < r->n_clients; i++)
		late |= r->clients[i].spec->phase == PHASE_LATE;
	if (!releases && r->plan->uses_gate && action_add(r, NULL, &release, 1000) < 0)
		return -1;
	if (late && !connects && action_add(r, NULL, &connect, 1001) < 0)
		return -1;
	if (r->sc->restart.how == RESTART_OVERLAP) {
		struct step_spec *start = arena_new_of(r->arena, struct step_spec);

		*start = (struct step_spec){.at = r->sc->at, .what = STEP_START, .when = r->sc->restart.when};
		if (action_add(r, NULL, start, 1002) < 0)
			return -1;
	}
	return 0;
}

void actions_free(struct run *r)
{
	for (unsigned i = 0; i < r->n_actions; i++)
		if (r->actions[i].has_re)
			regfree(&r->actions[i].re);
	r->n_actions = 0;
}

void actions_event(struct run *r, enum trigger_on on, nsec_t t)
{
	if (r->t_on[on])
		return;
	r->t_on[on] = t;
	for (unsigned i = 0; i < r->n_actions; i++)
		action_arm(r, &r->actions[i]);
}

static bool awaits_line(const struct action *a)
{
	return a->has_re && !a->done && !a->t_log;
}

bool actions_await_line(const struct run *r)
{
	for (unsigned i = 0; i < r->n_actions; i++)
		if (awaits_line(&r->actions[i]))
			return true;
	return false;
}

/* Each has a line of its own to wait for, and one line may be that of several. */
bool actions_line(struct run *r, const char *line, nsec_t t)
{
	bool any = false;

	for (unsigned i = 0; i < r->n_actions; i++) {
		struct action *a = &r->actions[i];

		if (!awaits_line(a) || regexec(&a->re, line, 0, NULL, 0) != 0)
			continue;
		a->t_log = t;
		action_arm(r, a);
		any = true;
	}
	return any;
}

bool actions_want(const struct run *r, enum trigger_on on)
{
	for (unsigned i = 0; i < r->n_actions; i++) {
		const struct action *a = &r->actions[i];

		if (!a->done && (a->sig ? &a->sig->when : &a->step->when)->on == on)
			return true;
	}
	return false;
}

nsec_t actions_next(const struct run *r)
{
	nsec_t next = NSEC_NEVER;

	for (unsigned i = 0; i < r->n_actions; i++)
		if (!r->actions[i].done && r->actions[i].due < next)
			next = r->actions[i].due;
	return next;
}

/* Anything that is still to happen by itself? An action whose event never comes does not count once the target is gone. */
bool actions_pending(const struct run *r)
{
	for (unsigned i = 0; i < r->n_actions; i++)
		if (!r->actions[i].done && (r->actions[i].due != NSEC_NEVER || r->alive))
			return true;
	return false;
}

static int first_child(struct run *r, pid_t *ret)
{
	struct proc v[32];
	unsigned n = target_tree(r, v, 32, false);

	for (unsigned i = 0; i < n && i < 32; i++)
		if (v[i].pid != r->pid && v[i].state != 'Z') {
			*ret = v[i].pid;
			return 0;
		}
	return -ESRCH;
}

/* The control character that makes the terminal send this signal to its foreground group; 0: there is none. */
static char tty_char(int signo)
{
	return signo == SIGINT ? 3 : signo == SIGQUIT ? 28 : signo == SIGTSTP ? 26 : 0;
}

static int send_to(struct run *r, const struct signal_spec *s, char *whom, size_t n)
{
	pid_t pid = r->pid;
	char c = tty_char(s->signo);

	switch (s->to) {
	case TO_PROCESS:
	case TO_INIT:
		snprintf(whom, n, "process %d", pid);
		return syscall(SYS_pidfd_send_signal, r->pidfd, s->signo, NULL, 0) < 0 ? -errno : 0;
	case TO_GROUP:
		snprintf(whom, n, "process group %d", pid);
		return kill(-pid, s->signo) < 0 ? -errno : 0;
	case TO_CHILD:
		if (first_child(r, &pid) < 0) {
			snprintf(whom, n, "first child (there is none)");
			return -ESRCH;
		}
		snprintf(whom, n, "child %d", pid);
		return kill(pid, s->signo) < 0 ? -errno : 0;
	case TO_TTY:
		if (r->tty >= 0 && c) {
			snprintf(whom, n, "terminal (%s)", s->signo == SIGINT ? "Ctrl-C" : s->signo == SIGQUIT ?
				 "Ctrl-\\" : "Ctrl-Z");
			return write(r->tty, &c, 1) < 0 ? -errno : 0;
		}
		if (r->tty >= 0 && s->signo == SIGHUP) {
			snprintf(whom, n, "terminal (hang-up)");
			close(r->tty);
			r->tty = -1;
			return 0;
		}
		snprintf(whom, n, "terminal (which cannot send %s)", signal_name(s->signo));
		return -EINVAL;
	}
	return -EINVAL;
}

/* The server's end of what is not parked in a proven phase: a burst's connections, and those that were not accepted. */
static void peer_states(struct run *r)
{
	struct diag_row row;

	for (uint32_t i = r->round_first; i < r->n_conns; i++) {
		struct conn *c = r->conns[i];
		enum phase phase = c->client->spec->phase;

		if (c->state == CONN_OVER || (phase != PHASE_LOOP && phase != PHASE_BACKLOG && !c->unproven))
			continue;
		row = (struct diag_row){0};
		if (diag_of(r, c, &row) > 0)
			events_addf(r->ev, EV_PEER_STATE, c->index, row.state, row.rqueue, "inode %u wqueue %u timer %u",
				    row.inode, row.wqueue, row.timer);
	}
}

/* What only the last moment before a signal can show: the accept queues, and what the wire has acknowledged. */
static void before_first_signal(struct run *r)
{
	peer_states(r);
	listen_rows(r, "signal");
	for (int i = 0; i < 2; i++) {
		struct stat st;

		r->logs[i].at_signal = r->logs[i].fd >= 0 && fstat(r->logs[i].fd, &st) == 0 ? st.st_size : 0;
	}
	if (r->world->cap) {
		capture_poll(r->world->cap);
		capture_mark(r->world->cap, clock_now());
	}
}

/* Has the target taken the signal before? A standard signal that is sent again while it is pending is one signal, and of two pending
 * ones the kernel delivers the lower number first (signal(7)): the second would be none, or come first. */
static bool taken(struct run *r, const struct action *a)
{
	struct proc v[64];
	unsigned n = 0;

	if (!r->t_signal || !r->alive || a->left != (a->sig->count ? a->sig->count : 1))
		return true;            /* repeats of a storm are meant to come thick and fast */
	if (a->asked_gap < NSEC_PER_MSEC)
		return true;            /* who asks for 50 us means 50 us, and that both may be one */
	if (a->sig->to == TO_PROCESS || a->sig->to == TO_INIT)
		n = census_one(r->pid, false, v) == 0;
	else
		n = target_tree(r, v, 64, false);
	for (unsigned i = 0; i < n && i < 64; i++)
		if (v[i].state != 'Z' && v[i].sigpnd & 1ull << (r->last_signo - 1))
			return false;
	return true;
}

/* false: not yet, look again later. A target that never takes the first gets the second after a second all the same. */
static bool may_shoot(struct run *r, struct action *a)
{
	if (taken(r, a))
		return true;
	if (clock_now() - r->t_prev_signal > NSEC_PER_SEC) {
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "%s was still pending after a second (blocked?): the next signal may be lost in it",
			    signal_name(r->last_signo));
		return true;
	}
	if (a->due < clock_now() + LOOK_AGAIN)
		a->due = clock_now() + LOOK_AGAIN;
	return false;
}

static void shoot(struct run *r, struct action *a)
{
	const struct signal_spec *s = a->sig;
	char whom[64], asked[24], got[24];

	if (!r->t_signal) {
		before_first_signal(r);
		pressure_begin(r->world, &r->pressure);
	}
	nsec_t before = clock_now();
	int rc = send_to(r, s, whom, sizeof whom);
	nsec_t after = clock_now();

	if (rc < 0) {
		events_addf(r->ev, EV_SIGNAL_FAILED, (int32_t)r->n_signals, s->signo, -rc, "%s", whom);
	} else if (r->t_prev_signal) {
		events_add_at(r->ev, before, 0, EV_SIGNAL, (int32_t)r->n_signals, s->signo, after,
			      arena_printf(r->arena, "%s, gap asked %s, measured %s", whom,
					   duration_text(a->asked_gap, asked),
					   duration_text(before - r->t_prev_signal, got)));
	} else {
		events_add_at(r->ev, before, 0, EV_SIGNAL, (int32_t)r->n_signals, s->signo, after,
			      arena_strdup(r->arena, whom));
	}
	r->n_signals++;
	r->t_prev_signal = before;
	r->last_signo = s->signo;
	if (!r->t_signal) {
		r->t_signal = before;
		r->t_grace = before + r->sc->expect.within;
		r->t_watch = before + watch_period(0);
		r->t_all_asleep = 0;
		memset(&r->share, 0, sizeof r->share);
		r->held_seen = false;
		r->typed = s->to == TO_TTY;
		if (r->stopped)
			target_stop_continue(r, false);
		actions_event(r, ON_SIGNAL, before);
	}
	if (--a->left) {
		a->due = before + s->gap;
		a->asked_gap = s->gap;
	} else {
		a->done = true;
		for (unsigned i = 0; i < r->n_actions; i++)
			action_arm(r, &r->actions[i]);
	}
}

static bool step_wants(const struct step_spec *st, const struct conn *c)
{
	return !st->client || !strcmp(st->client, c->client->spec->name);
}

static void step_do(struct run *r, struct action *a)
{
	static const char *const names[] = {"release the gate", "finish", "read", "close", "connect", "start the same command"};
	const struct step_spec *st = a->step;
	uint32_t n = r->n_conns;

	bool settles = st->when.on == ON_SETTLED || st->when.on == ON_CLOSED_SETTLED;

	events_addf(r->ev, EV_STEP, -1, a->number, 0, "%s %s%s", names[st->what], st->client ? st->client : "",
		    settles && !r->t_on[st->when.on] ? "(unsettled)" : "");
	if (st->what == STEP_RELEASE_GATE)
		gate_release(r);
	a->done = true;
	if (st->what == STEP_START) {
		beside_start(r);
		return;
	}
	for (unsigned i = 0; st->what == STEP_CONNECT && i < r->n_clients; i++)
		if (r->clients[i].spec->phase == PHASE_LATE && !r->clients[i].started &&
		    (!st->client || !strcmp(st->client, r->clients[i].spec->name)))
			client_start(r, &r->clients[i]);
	for (uint32_t i = 0; i < n; i++) {
		struct conn *c = r->conns[i];

		if (i % 256 == 0)
			watch_wire(r);
		if (c->client == &r->warmup || !step_wants(st, c))
			continue;
		if (st->what == STEP_FINISH)
			conn_send_rest(r, c);
		else if (st->what == STEP_READ)
			conn_start_reading(r, c);
		else if (st->what == STEP_CLOSE) {
			phase_unreachable(r, c, "the scenario closed it before it was proven");
			conn_close(r, c, "as the scenario says");
		}
	}
}

/* Is the signal still to be taken by one of the target's processes, or does one wait for a CPU, or use it? */
static bool at_it(struct run *r)
{
	struct proc v[64];
	unsigned n = target_tree(r, v, 64, false);

	for (unsigned i = 0; i < n; i++)
		if (v[i].state == 'R' || (v[i].state != 'Z' && v[i].sigpnd & 1ull << (r->last_signo - 1)) ||
		    (v[i].threads > 1 && census_runs(v[i].pid)))
			return true;
	return false;
}

/* It is due because its event has not come. On a busy machine the target may not have begun: then it has more time, as much as somebody
 * waited for a CPU. Once it is at rest its own deadlines run, and it has not: who bounds a slow reader would cut him. */
static bool put_off(struct run *r, struct action *a)
{
	nsec_t now = clock_now(), asked = a->step ? a->step->when.at_latest : 0;

	if (!asked || !r->alive || a->due < a->at_latest || !r->t_signal || base_of(r, a))
		return false;
	if (now >= a->at_latest + busy_part(pressure_since(r->world, &r->pressure), asked) || !at_it(r))
		return false;
	a->due = now + NSEC_PER_MSEC;
	return true;
}

void actions_run(struct run *r)
{
	for (;;) {
		struct action *next = NULL;

		for (unsigned i = 0; i < r->n_actions; i++)
			if (!r->actions[i].done && r->actions[i].due != NSEC_NEVER &&
			    (!next || r->actions[i].due < next->due))
				next = &r->actions[i];
		if (!next)
			return;
		nsec_t left = next->due - clock_now();

		if (left > 200 * NSEC_PER_USEC || (next->sig && !may_shoot(r, next)))
			return;
		while (clock_now() < next->due)
			;
		if (put_off(r, next))
			continue;
		if (next->sig && !r->alive && !r->t_signal) {
			next->done = true;      /* nobody to signal: the events say why */
			continue;
		}
		if (next->sig)
			shoot(r, next);
		else
			step_do(r, next);
	}
}
