#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "session/pack.h"
#include "session/worker.h"
#include "target/census.h"

#define MAX_WORKERS 32
#define QUICK       (20 * NSEC_PER_MSEC)        /* a scenario that another one may wait behind */
#define STOP_WITHIN (1500 * NSEC_PER_MSEC)      /* of the 2 s in which an interrupted harness must be gone */

struct pool {
	struct session *s;
	struct worker w[MAX_WORKERS];
	unsigned n;
	size_t next, finished;
	uint32_t again[MAX_WORKERS];    /* were queued at a worker that died */
	unsigned n_again;
	int sigfd, signo;
	sigset_t old;
	bool reaps;             /* all our descendants are workers', or were */
};

static int signals_open(struct pool *p, struct err *reterr)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, &p->old);
	p->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (p->sigfd < 0)
		return err_set(reterr, ERR_HARNESS, errno, "cannot watch signals");
	return 0;
}

static void signals_look(struct pool *p)
{
	struct signalfd_siginfo si;

	while (read(p->sigfd, &si, sizeof si) == sizeof si)
		p->signo = (int)si.ssi_signo;
}

static void forget(struct worker *w)
{
	if (w->fd >= 0)
		close(w->fd);
	buf_free(&w->in);
	*w = (struct worker){.fd = -1, .job = -1, .queued = -1};
}

static bool is_worker(const struct pool *p, pid_t pid)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->w[i].pid == pid)
			return true;
	return false;
}

/* From now on what loses its parent becomes our child. Not if we have children already, of a shell that has executed us: theirs are
 * not ours to kill. */
static void reap_orphans(struct pool *p)
{
	p->reaps = !census_tree(0, false, false, NULL, 0) && prctl(PR_SET_CHILD_SUBREAPER, 1) == 0;
}

/* Kill what was left by a worker that died without a PID namespace. Others' targets descend from their workers. Returns how many
 * there were. */
static unsigned kill_orphans(struct pool *p)
{
	struct proc v[512];
	bool spared[512];
	size_t n = census_tree(0, false, false, v, sizeof v / sizeof *v);
	unsigned left = 0;

	for (size_t i = 0; i < n && i < sizeof v / sizeof *v; i++) {
		spared[i] = is_worker(p, v[i].pid);
		for (size_t k = 0; k < i && !spared[i]; k++)
			spared[i] = spared[k] && v[k].pid == v[i].ppid;
		if (spared[i])
			continue;
		left++;
		kill(v[i].pid, SIGKILL);
		waitpid(v[i].pid, NULL, WNOHANG);
	}
	return left;
}

static void end_orphans(struct pool *p)
{
	struct pollfd none = {.fd = -1};

	for (int i = 0; p->reaps && i < 1000 && kill_orphans(p); i++)
		poll(&none, 1, 1);      /* what was killed is gone when the kernel has taken it down */
}

/* Everybody out: TERM first, so that targets are reaped and logs flushed, then KILL, which the kernel passes on to every
 * process of a worker's PID namespace. */
static void pool_stop(struct pool *p)
{
	nsec_t deadline = clock_now() + STOP_WITHIN;

	for (unsigned i = 0; i < p->n; i++) {
		if (p->signo || p->w[i].job >= 0)
			worker_stop(&p->w[i], SIGTERM);
		if (p->w[i].fd >= 0)
			close(p->w[i].fd);
		p->w[i].fd = -1;
	}
	for (unsigned i = 0; i < p->n; i++) {
		while (p->w[i].pid > 0 && waitpid(p->w[i].pid, NULL, WNOHANG) == 0) {
			struct pollfd none = {.fd = -1};

			if (clock_now() >= deadline)
				worker_stop(&p->w[i], SIGKILL);
			poll(&none, 1, 1);
		}
		forget(&p->w[i]);
	}
	end_orphans(p);
	close(p->sigfd);
	/* who presses Ctrl-C again is told by the exit status, not by a death that loses the report */
	if (p->signo) {
		signal(SIGINT, SIG_IGN);
		signal(SIGTERM, SIG_IGN);
		signal(SIGHUP, SIG_IGN);
	}
	sigprocmask(SIG_SETMASK, &p->old, NULL);
}

/* What its last words and its ending say, for the BROKEN verdict. */
static const char *how_it_died(struct pool *p, struct worker *w)
{
	int status = 0;

	waitpid(w->pid, &status, 0);
	if (w->hung)
		return "the worker process hung past every deadline of the scenario and was killed";
	if (WIFSIGNALED(status))
		return arena_printf(p->s->arena, "the worker process was killed by signal %d (%s)", WTERMSIG(status),
				    strsignal(WTERMSIG(status)));
	return arena_printf(p->s->arena, "the worker process exited with status %d", WEXITSTATUS(status));
}

static void worker_died(struct pool *p, struct worker *w)
{
	const char *how = how_it_died(p, w);
	int32_t job = w->job;

	if (w->queued >= 0)
		p->again[p->n_again++] = (uint32_t)w->queued;
	forget(w);
	end_orphans(p);
	if (job < 0)
		return;
	const struct plan *plan = p->s->jobs[job].plan;
	struct result res = {.name = plan->sc->name, .path = plan->sc->path, .why = plan->sc->why, .outcome = BROKEN,
		.index = p->s->jobs[job].index, .broken = how, .evidence = p->s->jobs[job].dir};

	p->finished++;
	p->s->done(p->s->arg, &res);
}

static bool take_next(struct pool *p, uint32_t *ret)
{
	if (p->n_again)
		*ret = p->again[--p->n_again];
	else if (p->next < p->s->n_jobs)
		*ret = (uint32_t)p->next++;
	else
		return false;
	return true;
}

/* A quick scenario that is repeated many times: the next one waits in the worker's socket, so that the worker need not wait until we
 * have taken the result and reported it. Any other might wait behind a slow one while another worker has nothing to do. */
static bool may_queue(struct pool *p, const struct worker *w)
{
	const struct scenario *now, *next;

	if (w->job < 0 || w->queued >= 0 || !w->quick || p->n_again || p->s->n_jobs - p->next <= 4 * (size_t)p->n)
		return false;
	now = p->s->jobs[w->job].plan->sc;
	next = p->s->jobs[p->next].plan->sc;
	return !next->target.fresh && !strcmp(now->path, next->path) && now->at.line == next->at.line;
}

static void started(struct pool *p, struct worker *w, int32_t job)
{
	w->job = job;
	w->deadline = clock_now() + p->s->jobs[job].plan->hard_stop;
}

static int deal(struct pool *p, struct worker *w, struct err *reterr)
{
	uint32_t job;

	while (w->job < 0 && take_next(p, &job)) {
		/* a fresh namespace is a fresh worker */
		if (w->pid > 0 && w->ran && p->s->jobs[job].plan->sc->target.fresh) {
			close(w->fd);
			waitpid(w->pid, NULL, 0);
			forget(w);
		}
		if (w->pid <= 0 && worker_start(p->s, w, reterr) < 0)
			return -1;
		started(p, w, (int32_t)job);
		if (worker_tell(w, job) < 0)
			worker_died(p, w);
	}
	/* if that fails, so does reading its result: then it is dealt again */
	if (may_queue(p, w)) {
		w->queued = (int32_t)p->next++;
		worker_tell(w, (uint32_t)w->queued);
	}
	return 0;
}

static int take_one(struct pool *p, struct worker *w, const char *msg, size_t n, struct err *reterr)
{
	struct result res;
	int32_t queued = w->queued;

	if (result_unpack(msg, n, p->s->arena, &res) < 0)
		res = (struct result){.name = p->s->jobs[w->job].plan->sc->name, .outcome = BROKEN,
			.index = p->s->jobs[w->job].index, .broken = "the worker sent a result that cannot be read"};
	worker_drop_message(w);
	w->job = w->queued = -1;
	w->quick = res.took && res.took < QUICK;
	if (queued >= 0)
		started(p, w, queued);
	p->finished++;
	/* first the worker, then the report: it need not wait for that */
	int rc = deal(p, w, reterr);

	p->s->done(p->s->arg, &res);
	return rc;
}

static int take(struct pool *p, struct worker *w, struct err *reterr)
{
	const char *msg;
	size_t n;
	int rc;

	do {
		rc = worker_read(w, &msg, &n);
		if (rc > 0 && take_one(p, w, msg, n, reterr) < 0)
			return -1;
	} while (rc > 0 && w->job >= 0 && w->in.n);
	if (rc < 0) {
		worker_died(p, w);
		return deal(p, w, reterr);
	}
	return 0;
}

static void tick(struct pool *p)
{
	const char *names[MAX_WORKERS + 1];
	unsigned n = 0;

	for (unsigned i = 0; i < p->n; i++)
		if (p->w[i].job >= 0)
			names[n++] = p->s->jobs[p->w[i].job].plan->sc->name;
	names[n] = NULL;
	if (p->s->tick)
		p->s->tick(p->s->arg, names, p->finished);
}

/* A scenario has deadlines of its own; a worker that is past all of them hangs, and that is our fault, not the target's. */
static void stop_hanging(struct pool *p)
{
	for (unsigned i = 0; i < p->n; i++)
		if (p->w[i].job >= 0 && p->w[i].pid > 0 && clock_now() > p->w[i].deadline) {
			p->w[i].hung = true;
			worker_stop(&p->w[i], SIGKILL);
		}
}

static int pool_loop(struct pool *p, struct err *reterr)
{
	while (p->finished < p->s->n_jobs && !p->signo) {
		struct pollfd fds[MAX_WORKERS + 1] = {{.fd = p->sigfd, .events = POLLIN}};

		for (unsigned i = 0; i < p->n; i++)
			fds[i + 1] = (struct pollfd){.fd = p->w[i].job >= 0 ? p->w[i].fd : -1, .events = POLLIN};
		if (poll(fds, p->n + 1, 100) == 0)
			tick(p);
		signals_look(p);
		stop_hanging(p);
		for (unsigned i = 0; i < p->n && !p->signo; i++)
			if (fds[i + 1].revents && take(p, &p->w[i], reterr) < 0)
				return -1;
	}
	return 0;
}

int session_run(struct session *s, struct err *reterr)
{
	struct pool *p = calloc(1, sizeof *p);
	int rc = 0, signo;

	if (!p)
		return err_set(reterr, ERR_HARNESS, ENOMEM, "cannot start");
	p->s = s;
	p->n = s->workers > MAX_WORKERS ? MAX_WORKERS : s->workers ? s->workers : 1;
	for (unsigned i = 0; i < MAX_WORKERS; i++)
		p->w[i].fd = p->w[i].job = p->w[i].queued = -1;
	if (signals_open(p, reterr) < 0) {
		free(p);
		return -1;
	}
	reap_orphans(p);
	for (unsigned i = 0; i < p->n && rc == 0; i++)
		rc = deal(p, &p->w[i], reterr);
	if (rc == 0)
		rc = pool_loop(p, reterr);
	pool_stop(p);
	signo = p->signo;
	free(p);
	return signo ? signo : rc;
}

/* One worker, one message. */
int session_one(struct session *s, const char **ret_p, size_t *ret_n, struct err *reterr)
{
	static struct pool p;
	static struct buf copy;
	int rc = 0;

	p = (struct pool){.s = s, .n = 1};
	p.w[0] = (struct worker){.fd = -1, .job = -1, .queued = -1};
	if (signals_open(&p, reterr) < 0)
		return -1;
	reap_orphans(&p);
	if (worker_start(s, &p.w[0], reterr) < 0 || worker_tell(&p.w[0], MSG_PROBE) < 0)
		rc = -1;
	p.w[0].job = 0;
	while (rc == 0 && !p.signo) {
		struct pollfd fds[2] = {{.fd = p.sigfd, .events = POLLIN}, {.fd = p.w[0].fd, .events = POLLIN}};

		poll(fds, 2, -1);
		signals_look(&p);
		if (fds[1].revents)
			rc = worker_read(&p.w[0], ret_p, ret_n);
	}
	if (rc > 0) {
		buf_clear(&copy);
		buf_add(&copy, *ret_p, *ret_n);
		*ret_p = copy.p;
		p.w[0].job = -1;
	} else if (rc < 0 && !reterr->kind) {
		err_set(reterr, ERR_HARNESS, 0, "the probe's worker died");
	}
	pool_stop(&p);
	return p.signo ? p.signo : rc < 0 ? -1 : 0;
}

unsigned session_workers(const struct job *jobs, size_t n, int asked)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	size_t sleepers = 0;
	unsigned w = asked > 0 ? (unsigned)asked : cores > 0 ? (unsigned)cores : 1;

	for (size_t i = 0; i < n; i++)
		sleepers += jobs[i].plan->timed;
	if (sleepers > w)
		w = (unsigned)sleepers;
	if (w > n)
		w = (unsigned)n;
	return w > MAX_WORKERS ? MAX_WORKERS : w;
}
