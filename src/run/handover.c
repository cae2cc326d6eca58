/* Hand-overs: a stream of connections and requests goes on while one generation after the other takes over. What they are
 * spaced by is the stream's own answers, so that each falls into traffic; and each waits for the kernel to show that the new
 * generation listens, that an answer is its own, and that the old one is gone. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/names.h"
#include "run/engine.h"
#include "run/env.h"

#define LOOK_EVERY  (500 * NSEC_PER_USEC)
#define STALLED     (250 * NSEC_PER_MSEC)
#define MAX_NUDGES  64

static uint32_t stream_answers(const struct run *r)
{
	uint32_t n = 0;

	for (unsigned i = 0; i < r->n_clients; i++)
		if (r->clients[i].spec->phase == PHASE_LOOP)
			n += r->clients[i].answers;
	return n;
}

/* Connections that nobody answers do not stop the stream: others take their place. They stay open, and are judged. */
static void nudge(struct run *r)
{
	struct hand *h = r->hand;
	uint32_t n = stream_answers(r);
	nsec_t now = clock_now();

	h->brake = n > h->goal + r->sc->restart.answers;
	if (n != h->seen || h->pause || h->over || !h->t_seen) {
		h->seen = n;
		h->t_seen = now;
	} else if (now - h->t_seen > STALLED && h->nudges < MAX_NUDGES && r->alive) {
		h->t_seen = now;
		h->nudges++;
		for (unsigned i = 0; i < r->n_clients; i++)
			if (r->clients[i].spec->phase == PHASE_LOOP)
				conn_open(r, &r->clients[i]);
	}
}

static bool goal_reached(struct run *r)
{
	nudge(r);
	r->look = clock_now() + 10 * NSEC_PER_MSEC;
	return stream_answers(r) >= r->hand->goal || !r->alive;
}

bool has_loops(const struct run *r)
{
	for (unsigned i = 0; i < r->n_clients; i++)
		if (r->clients[i].spec->phase == PHASE_LOOP)
			return true;
	return false;
}

static void stream_on(struct run *r, uint32_t goal)
{
	r->hand->goal = goal;
	if (has_loops(r) && !pump(r, goal_reached, clock_now() + r->sc->arm_within) && !r->world->interrupted)
		events_addf(r->ev, EV_DEADLINE, -1, r->sc->arm_within, 0, "%u answers of the stream (%u came)", goal,
			    stream_answers(r));
}

static bool took_over(struct run *r)
{
	struct hand *h = r->hand;
	nsec_t now = clock_now();

	nudge(r);
	r->look = h->t_look + LOOK_EVERY;
	if (now >= r->look) {
		generation_look(r);
		r->look = h->t_look + LOOK_EVERY;
	}
	return (h->found >= h->attempt && (h->answered >= h->attempt || !has_loops(r))) || !r->alive;
}

static bool old_gone(struct run *r)
{
	nudge(r);
	return generation_old_gone(r) || !r->alive;
}

/* Nothing is asked of which the answer has not come, and every connection that is open, or on its way, has had one. */
static bool stream_rests(struct run *r)
{
	for (uint32_t i = r->round_first; i < r->n_conns; i++) {
		const struct conn *c = r->conns[i];

		if (c->client->spec->phase == PHASE_LOOP && c->state != CONN_OVER &&
		    (c->asked > c->answered || !c->answered))
			return !r->alive;
	}
	return true;
}

static bool count_owned(const struct diag_row *row, void *arg)
{
	*(uint32_t *)arg += row->inode != 0;
	return true;
}

/* The server has closed its end of all that we have closed. */
static bool server_rests(struct run *r)
{
	uint32_t theirs = 0, ours = 0;

	for (unsigned i = 0; i < r->n_ports; i++)
		diag_dump(r->world->diag, (1u << TCP_ESTABLISHED) | (1u << TCP_CLOSE_WAIT), r->ports[i].number, count_owned,
			  &theirs);
	for (uint32_t i = r->round_first; i < r->n_conns; i++)
		ours += r->conns[i]->w.fd >= 0;
	r->look = clock_now() + LOOK_EVERY;
	return theirs <= ours || !r->alive;
}

/* Nobody asks anything; a connection that is stuck is not waited for again and again. */
static void pause_stream(struct run *r)
{
	nsec_t until = clock_now() + (r->hand->nudges ? STALLED : r->sc->restart.within);

	r->hand->pause = true;
	pump(r, stream_rests, until);
	pump(r, server_rests, until);
	target_settle(r);
}

/* The server by itself: what it has open now can be compared with the next time. */
static void quiet_census(struct run *r)
{
	pause_stream(r);
	target_census(r, "generation", true);
	r->hand->pause = false;
	loops_go_on(r);
}

static char **new_command(struct run *r)
{
	char **from = r->sc->restart.command ? r->sc->restart.command : r->sc->target.command;
	size_t n = 0;

	while (from[n])
		n++;
	char **argv = arena_array(r->arena, char *, n + 1);

	for (size_t i = 0; i < n; i++)
		argv[i] = env_expand(r, from[i]);
	return argv;
}

/* What would become of it there: caught, ignored, blocked. */
static unsigned disposition(const struct proc *p, int signo)
{
	uint64_t bit = signo > 0 && signo <= 64 ? UINT64_C(1) << (signo - 1) : 0;

	return (p->sigcgt & bit ? 1 : 0) | (p->sigign & bit ? 2 : 0) | (p->sigblk & bit ? 4 : 0);
}

/* What the first generation does with the signals of the scenario, at rest. */
static void dispositions_learn(struct run *r)
{
	const struct restart_spec *s = &r->sc->restart;
	struct hand *h = r->hand;
	struct proc p;

	h->known = s->how != RESTART_COMMAND && census_one(s->newest ? generation_leader(r) : r->pid, false, &p) == 0;
	if (!h->known)
		return;
	h->reload_disposition = disposition(&p, s->signo);
	h->end_disposition = r->sc->n_signals ? disposition(&p, r->sc->signals[0].signo) : 0;
}

static bool takes_it(struct run *r)
{
	struct hand *h = r->hand;
	struct proc p;

	nudge(r);
	r->look = clock_now() + LOOK_EVERY;
	return !r->alive || census_one(h->taker, false, &p) < 0 || disposition(&p, h->taken) == h->as_before;
}

/* Who serves may still be in its start, deaf to a signal or killed by it: HAProxy's master executes itself twice, with the workers
 * at work, and ignores SIGUSR2 meanwhile. Whether it can be told twice in that time is not what a scenario of hand-overs asks. */
static void taker_settle(struct run *r, pid_t pid, int signo, unsigned as_before)
{
	struct hand *h = r->hand;

	if (!h->known || pid <= 0)
		return;
	h->taker = pid;
	h->taken = signo;
	h->as_before = as_before;
	if (!pump(r, takes_it, clock_now() + r->sc->restart.within) && !r->world->interrupted)
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "process %d does not treat %s as the first generation did", pid, signal_name(signo));
}

void heir_settle(struct run *r)
{
	if (r->sc->n_signals)
		taker_settle(r, r->pid, r->sc->signals[0].signo, r->hand->end_disposition);
}

/* What makes the target hand over. *ret_new: the process that a command started, pid 0 if it was a signal. */
static int trigger(struct run *r, struct launched *ret_new)
{
	const struct restart_spec *s = &r->sc->restart;
	struct hand *h = r->hand;

	generation_look(r);
	pid_t to = s->newest ? generation_leader(r) : r->pid;

	taker_settle(r, to, s->signo, h->reload_disposition);
	generation_look(r);     /* who listens by now belongs to the time before */
	*ret_new = (struct launched){.pidfd = -1};
	h->attempt++;
	if (s->how == RESTART_COMMAND) {
		struct err why = {0}, *saved = r->err;

		events_addf(r->ev, EV_HANDOVER, (int32_t)h->attempt, r->pid, 0, "a new process was started to take over from %d",
			    r->pid);
		r->err = &why;
		int rc = target_launch(r, new_command(r), -1, ret_new);

		r->err = saved;
		if (rc < 0)
			events_addf(r->ev, EV_NOTE, -1, 0, 0, "the command of the new generation could not be started: %s", why.what);
		return rc;
	}
	events_addf(r->ev, EV_HANDOVER, (int32_t)h->attempt, to, s->signo, "%s to %d", signal_name(s->signo), to);
	return to > 0 && kill(to, s->signo) == 0 ? 0 : -1;
}

/* One hand-over from its trigger to the old generation's end. False: it did not take place. */
static bool hand_over(struct run *r)
{
	const struct restart_spec *s = &r->sc->restart;
	struct hand *h = r->hand;
	pid_t old = s->newest ? generation_leader(r) : r->pid;
	struct launched l;
	nsec_t until = clock_now() + s->within;

	if (trigger(r, &l) < 0 || !pump(r, took_over, until) || h->found < h->attempt) {
		if (l.pidfd >= 0)
			close(l.pidfd);
		if (!r->world->interrupted)
			events_addf(r->ev, EV_DEADLINE, (int32_t)h->attempt, s->within, 0, "hand-over %u", h->attempt);
		return false;
	}
	if (l.pidfd >= 0)
		root_watch(r, l.pid, l.pidfd);
	if (s->old && old > 0 && kill(old, s->old) == 0)
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "%s to %d, the old generation", signal_name(s->old), old);
	if (r->plan->uses_gate && !r->gate_open)
		gate_release(r);
	if (!h->late && !pump(r, old_gone, clock_now() + s->within) && !r->world->interrupted)
		h->late = true;
	return r->alive;
}

/* n < 0: there is to be no such file. */
static int rewrite(struct run *r, const char *path, const char *text, ssize_t n)
{
	int fd = n < 0 ? -1 : open(path, O_WRONLY | O_TRUNC | O_CREAT | O_CLOEXEC, 0644);
	bool ok = n < 0 ? unlink(path) == 0 : fd >= 0 && write(fd, text, (size_t)n) == n;

	if (fd >= 0)
		close(fd);
	return ok ? 0 : err_set(r->err, ERR_USAGE, errno, "restart.spoil: cannot write %s", path);
}

/* The file as it is, for the time after; *ret_n -1: there is none. */
static int read_whole(struct run *r, const char *path, struct buf *ret, ssize_t *ret_n)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int errnum = errno;

	*ret_n = fd < 0 ? -1 : read(fd, r->buf, RUN_BUF);
	if (fd >= 0 && *ret_n < 0)
		errnum = errno;
	if (fd >= 0)
		close(fd);
	if (*ret_n == RUN_BUF || (*ret_n < 0 && errnum != ENOENT))
		return err_set(r->err, ERR_USAGE, *ret_n < 0 ? errnum : EFBIG, "restart.spoil: cannot read %s", path);
	if (*ret_n > 0)
		buf_add(ret, r->buf, (size_t)*ret_n);
	return 0;
}

/* The hand-over that must fail: the old generation serves on, and by the end nothing of the attempt runs any more. */
static void fail_to_hand_over(struct run *r, uint32_t share)
{
	struct launched l;

	trigger(r, &l);
	stream_on(r, stream_answers(r) + share);
	pause_stream(r);
	if (l.pidfd >= 0)
		close(l.pidfd);
	r->hand->pause = false;
	loops_go_on(r);
}

static int spoiled(struct run *r, uint32_t share)
{
	static const char wrong[] = "\ndrainspec made this file bad {{ on purpose\n";
	char *path = env_expand(r, r->sc->restart.spoil), *copy = arena_printf(r->arena, "%s/spoiled.good", r->dir);
	struct buf good = {0}, bad = {0};
	ssize_t n;
	int rc = read_whole(r, path, &good, &n);

	/* it is somebody's: whatever becomes of us, a good one is there */
	if (rc == 0 && n >= 0)
		rc = rewrite(r, copy, good.p, n);

	buf_add(&bad, good.p, good.n);
	buf_add(&bad, wrong, sizeof wrong - 1);
	if (rc == 0)
		rc = rewrite(r, path, bad.p, (ssize_t)bad.n);
	if (rc == 0) {
		events_add(r->ev, EV_SPOILED, -1, 1, 0, path);
		fail_to_hand_over(r, share);
		rc = rewrite(r, path, good.p, n);
		events_add(r->ev, EV_SPOILED, -1, 0, 0, path);
		if (rc < 0 && n >= 0)
			err_set(r->err, ERR_USAGE, errno, "restart.spoil: cannot make %s good again; the good one is %s", path, copy);
		else
			unlink(copy);
	}
	buf_free(&good);
	buf_free(&bad);
	if (rc == 0 && r->alive)
		hand_over(r);
	return rc;
}

static void finish(struct run *r)
{
	struct hand *h = r->hand;
	nsec_t until = clock_now() + r->sc->restart.within;

	h->over = true;
	/* kept connections are idle between two requests: nobody else would end them */
	pump(r, stream_rests, until);
	if (!h->late)
		pump(r, old_gone, until);
	watch_wire(r);
	if (r->alive)
		generation_look(r);
	target_census(r, "end", true);
	still_open(r);
}

static int begin(struct run *r)
{
	const struct restart_spec *s = &r->sc->restart;

	r->hand = arena_new_of(r->arena, struct hand);
	if (s->names && regcomp(&r->hand->names, s->names, REG_EXTENDED) != 0) {
		r->hand = NULL;
		return err_at(r->err, r->sc->at, "restart.names: '%s' is not a regular expression", s->names);
	}
	if (s->names && !r->hand->names.re_nsub)
		return err_at(r->err, r->sc->at, "restart.names: '%s' has no group: put what is named in ( )", s->names);
	if (!r->n_ports)
		return err_at(r->err, r->sc->at, "restart: a target without a port hands nothing over");
	generation_look(r);
	dispositions_learn(r);
	return clients_arm(r);
}

void hand_over_end(struct run *r)
{
	if (r->sc->restart.names)
		regfree(&r->hand->names);
	r->hand = NULL;
}

int handovers(struct run *r)
{
	const struct restart_spec *s = &r->sc->restart;
	uint32_t steps = s->times + (s->spoil ? 3 : 1), share = s->answers / steps;
	bool goes_on = true;

	if (begin(r) < 0)
		return -1;
	quiet_census(r);
	for (uint32_t i = 1; i <= s->times && goes_on; i++) {
		stream_on(r, i * share);
		goes_on = !r->world->interrupted && hand_over(r);
		if (goes_on && !r->hand->late)
			quiet_census(r);
	}
	if (goes_on && s->spoil && !r->hand->late && spoiled(r, share) < 0)
		return -1;
	if (r->world->interrupted)
		return -1;
	stream_on(r, s->answers);
	finish(r);
	return r->world->interrupted ? -1 : heir_round(r);
}
