/* One round: launch, ready, arm, signal, drain, exit, aftermath. A straight story; whatever has to be awaited in it
 * pumps the loop until the kernel says so. */
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"
#include "target/iso.h"

#define MAX_PROCESSES 1500

/* A target that forks for ever is ended here, not by the machine. */
static void watch_runaway(struct run *r, nsec_t now)
{
	struct proc v[8];

	if (now < r->t_runaway || !r->alive)
		return;
	r->t_runaway = now + 50 * NSEC_PER_MSEC;
	if (census_tree(r->pid, r->world->got & ISO_PID, false, v, 8) <= MAX_PROCESSES)
		return;
	events_addf(r->ev, EV_NOTE, -1, 0, 0, "more than %d processes: the target forks without end, all were killed",
		    MAX_PROCESSES);
	events_add(r->ev, EV_HARNESS_KILL, -1, r->pid, 9, "it forks without end");
	r->harness_killed = r->runaway = true;
	target_kill_all(r);
}

/* True: there is more to read. A target may write as fast as we read, and the signal, the clients and the look at the listeners are
 * not to wait for its end. What it leaves behind when it exits has one. */
static bool watch_log(struct run *r)
{
	char line[1024];
	int stream;

	/* until it is ready the log is read for that */
	if (!r->log_activity || r->inotify_watch.fd < 0 || !r->t_on[ON_READY])
		return false;
	r->log_activity = false;
	nsec_t until = clock_now() + (r->alive ? 100 * NSEC_PER_USEC : 100 * NSEC_PER_MSEC);

	while (!r->log_activity && actions_await_line(r) && log_next(r, line, sizeof line, &stream)) {
		nsec_t now = clock_now();

		if (actions_line(r, line, now))
			events_addf(r->ev, EV_LOGLINE, -1, stream, 0, "%s", line);
		r->log_activity = now > until;
	}
	return r->log_activity;
}

bool pump(struct run *r, bool (*cond)(struct run *), nsec_t until)
{
	struct patience p = patience_until(clock_now(), until);

	for (;;) {
		if (r->world->interrupted)
			return false;
		actions_run(r);
		greetings_look(r);
		bool more = watch_log(r);

		if (r->watching)
			watch_listeners(r);
		nsec_t now = clock_now();

		watch_runaway(r, now);
		if (now >= r->t_capture) {
			watch_wire(r);
			r->t_capture = now + NSEC_PER_MSEC;
		}
		r->look = NSEC_NEVER;
		if (cond(r))
			return true;
		if (patience_over(r->world, &p, now))
			return false;
		nsec_t next = p.until, act = actions_next(r);

		if (act != NSEC_NEVER && act - 150 * NSEC_PER_USEC < next)
			next = act - 150 * NSEC_PER_USEC;
		if (r->hearing && r->t_greet < next)
			next = r->t_greet;
		if (r->look < next)
			next = r->look;
		if (r->watching && r->t_watch < next)
			next = r->t_watch;
		if (r->alive && r->t_runaway < next)
			next = r->t_runaway;
		loop_once(r->loop, more ? now : next);
	}
}

/* When clients that come no closer have been waited for long enough: later by what the machine was busy since `busy`, capped. */
static nsec_t progress_due(const struct run *r, const struct pressure *busy, nsec_t cap)
{
	nsec_t within = r->sc->arm_within, due = r->t_progress + within + busy_part(pressure_since(r->world, busy), within);

	return due < cap ? due : cap;
}

bool pump_progress(struct run *r, bool (*cond)(struct run *))
{
	nsec_t cap = clock_now() + ARM_AT_MOST * r->sc->arm_within;
	struct pressure busy;

	pressure_begin(r->world, &busy);
	r->t_progress = clock_now();
	do
		if (pump(r, cond, progress_due(r, &busy, cap)))
			return true;
	while (!r->world->interrupted && clock_now() < progress_due(r, &busy, cap));
	return false;
}

/* Its program has closed this end, and the kernel still has bytes or the FIN to bring to the client. */
static bool sends_alone(const struct diag_row *row)
{
	return row->state == TCP_FIN_WAIT1 || row->state == TCP_CLOSING || row->state == TCP_LAST_ACK;
}

/* The kernel has something for this client that the loop has not shown it yet. Asked after the look at the server's end: what that
 * one sent before the look is here by now (its FIN is acknowledged, or it is gone), whenever the loop last asked. */
static bool lies_here(const struct conn *c)
{
	struct pollfd p = {.fd = c->w.fd, .events = POLLIN};

	/* streams have their connection's socket, and that one is always listened to */
	return (c->car || c->w.events & EPOLLIN) && poll(&p, 1, 0) == 1 && !(p.revents & POLLNVAL);
}

/* Its server's end: can anything still come from there? */
static bool nothing_comes(struct run *r, const struct conn *c)
{
	struct diag_row row = {0};

	if (diag_of(r, c, &row) <= 0)
		return true;            /* none any more: a ghost, or its last words are here */
	if (row.inode && c->asked > c->answered)
		return false;           /* the root is gone, and a process that it left behind may still answer */
	return !sends_alone(&row);
}

/* Can anything still come on this connection? */
static bool conn_settled(struct run *r, struct conn *c)
{
	if (c->w.fd < 0 || c->state == CONN_OVER || c->eof)
		return true;
	/* a SYN that was dropped is sent again after a second; only the answer to it tells refused from hung */
	if (r->alive || c->state == CONN_CONNECTING)
		return false;
	if (!c->reading)
		return true;            /* a client that does not read does not see the end */
	return nothing_comes(r, c) && !lies_here(c);
}

/* It ended by itself, and the kernel still has bytes of its for a client that reads: how fast that goes is our doing. */
static bool still_delivered(struct run *r)
{
	struct diag_row row = {0};

	for (uint32_t i = r->round_first; i < r->n_conns; i++) {
		struct conn *c = r->conns[i];

		if (c->w.fd < 0 || c->state == CONN_OVER || c->eof || !c->reading)
			continue;
		if ((diag_of(r, c, &row) > 0 && !row.inode && sends_alone(&row)) || lies_here(c))
			return true;
	}
	return false;
}

/* Who lets go of its last client that short a time before the grace is over has waited for it, and is on its way out at the end. */
static nsec_t held_time(const struct run *r)
{
	nsec_t part = r->sc->expect.within / 10;

	return r->t_signal + r->sc->expect.within - (part < 100 * NSEC_PER_MSEC ? part : 100 * NSEC_PER_MSEC);
}

static bool round_over(struct run *r)
{
	if (r->t_signal && r->alive && !r->held_seen && clock_now() >= held_time(r)) {
		held_look(r);
		r->held_seen = true;
	}
	if (grace_over(r)) {
		r->look = clock_now() + NSEC_PER_MSEC;
		return r->alive || r->harness_killed || r->look > r->t_grace + r->sc->arm_within || !still_delivered(r);
	}
	r->look = grace_look(r);
	if (r->t_signal && r->alive && !r->held_seen && held_time(r) < r->look)
		r->look = held_time(r);
	if (r->alive || actions_pending(r))
		return false;
	/* what the kernel has queued for the clients by now belongs to the story */
	while (loop_once(r->loop, 0) > 0 && clock_now() < r->t_grace)
		;
	/* and its last words, for whoever waits for a line */
	if (r->log_activity && actions_await_line(r)) {
		r->look = clock_now();
		return false;
	}
	for (uint32_t i = r->round_first; i < r->n_conns; i++)
		if (!conn_settled(r, r->conns[i])) {
			r->look = clock_now() + NSEC_PER_MSEC;
			return false;
		}
	return true;
}

void round_reset(struct run *r, const char *label)
{
	memset(r->t_on, 0, sizeof r->t_on);
	r->t_signal = r->t_prev_signal = r->t_watch = r->t_prove = 0;
	r->t_grace = NSEC_NEVER;
	r->n_signals = 0;
	r->owed = 0;
	r->pending = r->hearing = NULL;
	r->n_pending = 0;
	r->gate_open = r->harness_killed = r->stopped = r->watching = r->notified = false;
	r->round_first = r->n_conns;
	r->t_all_asleep = 0;
	logs_begin_here(r);             /* the last round's "listening" is not this one's */
	for (unsigned i = 0; i < r->n_clients; i++) {
		r->clients[i].opened = r->clients[i].answers = 0;
		r->clients[i].started = false;
		r->clients[i].held = 0;
	}
	events_add(r->ev, EV_ROUND, -1, r->ev->round, r->alone, label);
}

void clients_end(struct run *r, const char *why)
{
	for (unsigned i = 0; i < r->n_clients; i++)
		if (r->clients[i].paused) {
			timer_clear(r->loop, &r->clients[i].pause);
			r->clients[i].paused = NULL;
		}
	for (uint32_t i = r->round_first; i < r->n_conns; i++) {
		conn_close(r, r->conns[i], why);
		if (i % 256 == 0)
			watch_wire(r);
	}
}

/* Nothing of a round outlives it. */
void round_end(struct run *r)
{
	r->watching = false;
	health_end(r);
	questions_end(r);
	clients_end(r, "end of the round");
	if (r->hand)
		hand_over_end(r);
	r->beside = 0;
	r->n_left = 0;
	r->beside_up = false;
	r->beside_files = 0;
	if (r->pid)
		target_kill_all(r);
	if (r->pidfd >= 0)
		close(r->pidfd);
	r->pidfd = -1;
	r->pid = 0;
	if (r->tty >= 0)
		close(r->tty);
	r->tty = -1;
	if (r->notify_watch.fd >= 0) {
		loop_del(r->loop, &r->notify_watch);
		close(r->notify_watch.fd);
		r->notify_watch.fd = -1;
	}
	if (r->inotify_watch.fd >= 0) {
		loop_del(r->loop, &r->inotify_watch);
		close(r->inotify_watch.fd);
		r->inotify_watch.fd = -1;
	}
	actions_free(r);
	places_clean(r);
}

/* From the armed state to the exit, or to the end of the grace. */
static void drain(struct run *r)
{
	nsec_t unsignalled = clock_now() + r->sc->arm_within + r->sc->expect.within;

	r->watching = r->n_ports > 0;
	listeners_learn(r);
	/* the signal may hang on an event that never comes: then this ends it */
	pump(r, round_over, unsignalled);
	if (r->t_signal)
		busy_record(r);
	if (r->world->interrupted)
		return;
	/* it may have gone between two looks */
	r->t_watch = 0;
	if (r->watching && !r->alive)
		watch_listeners(r);
	if (!r->alive)
		return;
	zombies_look(r);
	autopsy_and_kill(r, r->t_signal ? "the grace is over" : "no signal was sent: what should have triggered it never came");
	r->watching = false;
	pump(r, round_over, clock_now() + NSEC_PER_SEC);
}

/* It has answered, and is at rest. */
static int warmed_up(struct run *r)
{
	/* the state before the signal is taken when all are armed; this one is the leak batches' baseline */
	if (r->sc->leak_batches)
		target_census(r, "ready", true);
	if (warm_up(r) < 0)
		return -1;
	root_settle(r);
	workers_settle(r);
	return 0;
}

static int stop(struct run *r)
{
	readiness_watch(r);
	if (leak_batches(r) < 0 || controls(r) < 0 || clients_arm(r) < 0)
		return -1;
	target_census(r, "armed", true);
	if (r->world->interrupted)
		return -1;
	drain(r);
	return r->world->interrupted ? -1 : 0;
}

int round_stop(struct run *r)
{
	if (warmed_up(r) < 0 || stop(r) < 0)
		return -1;
	aftermath(r);
	return 0;
}

int round_run(struct run *r, const char *label)
{
	bool hands_over = restart_hands_over(&r->sc->restart);

	round_reset(r, label);
	/* of a hand-over the signals and steps are its end's: heir.c */
	if ((!hands_over && actions_prepare(r) < 0) || target_start(r, label) < 0 || target_await_ready(r) < 0)
		return -1;
	if (warmed_up(r) < 0)
		return -1;
	if (hands_over)
		return handovers(r);
	if (daemonised(r))
		return -1;
	if (stop(r) < 0)
		return -1;
	if (r->sc->restart.how == RESTART_CRASH) {
		target_logs(r);         /* who was killed on purpose owes nothing */
		restart(r);
		return 0;
	}
	aftermath(r);
	if (r->sc->restart.how == RESTART_AFTER_EXIT)
		restart(r);
	return 0;
}
