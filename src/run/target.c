/* The target as the run sees it: start, readiness by event, children, census. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/engine.h"
#include "run/env.h"
#include "target/iso.h"
#include "target/launch.h"

unsigned target_tree(struct run *r, struct proc *v, unsigned max, bool fds)
{
	size_t n = census_tree(r->pid, r->world->got & ISO_PID, fds, v, max);

	return (unsigned)(n > max ? max : n);
}

struct tree_sum {
	unsigned procs;
	uint64_t threads, fds;
	bool runs;
};

static struct tree_sum tree_sum(struct run *r)
{
	struct proc v[MAX_TREE];
	struct tree_sum s = {.procs = target_tree(r, v, MAX_TREE, true)};

	for (unsigned i = 0; i < s.procs; i++) {
		s.threads += v[i].threads;
		s.fds += v[i].fds == UINT32_MAX ? 0 : v[i].fds;
		/* D: it waits for a page of its program, say, and goes on */
		s.runs |= v[i].state == 'R' || v[i].state == 'D' || (v[i].threads > 1 && census_runs(v[i].pid));
	}
	return s;
}

static bool nothing(struct run *r)
{
	return !r->alive;
}

void target_settle(struct run *r)
{
	nsec_t deadline = clock_now() + 500 * NSEC_PER_MSEC;
	struct tree_sum last = tree_sum(r);

	while (r->alive && clock_now() < deadline) {
		pump(r, nothing, clock_now() + 2 * NSEC_PER_MSEC);
		struct tree_sum now = tree_sum(r);

		if (!now.runs && now.threads == last.threads && now.fds == last.fds && now.procs == last.procs)
			return;
		last = now;
	}
}

/* A root that runs though nobody asks it anything, or that has no handler for the signal, may still be starting:
 * HAProxy's master executes itself anew while its worker serves already. What a signal does there is the sweep's matter (SIG-2). */
void root_settle(struct run *r)
{
	int signo = r->sc->n_signals ? r->sc->signals[0].signo : 0;
	uint64_t bit = signo > 0 && signo <= 64 ? UINT64_C(1) << (signo - 1) : 0;
	nsec_t began = clock_now(), pause = 20 * NSEC_PER_USEC;
	struct patience hears = patience_until(began, began + 50 * NSEC_PER_MSEC), is_deaf = patience_until(began, began + 500 * NSEC_PER_MSEC);
	unsigned asleep = 0;
	struct proc p;

	while (r->alive && !r->world->interrupted && census_one(r->pid, false, &p) == 0) {
		bool deaf = bit && !((p.sigcgt | p.sigign) & bit);

		asleep = p.state == 'R' || p.state == 'D' ? 0 : asleep + 1;
		/* starting, it sleeps now and then; for good it does with a signalfd, in sigwait(), or where nobody thought of a handler */
		if (asleep > (deaf ? 50 : 0) || patience_over(r->world, deaf ? &is_deaf : &hears, clock_now()))
			return;
		/* the first answer is just out: most go back to sleep at once */
		pump(r, nothing, clock_now() + pause);
		pause = pause < 200 * NSEC_PER_USEC ? pause * 2 : pause;
	}
}

/* The first of several workers has answered, others may still be starting: a signal that is lost there is the sweep's matter too. One that
 * starts computes; all of them asleep for three ticks have come to where they wait. */
void workers_settle(struct run *r)
{
	nsec_t now = clock_now();
	struct patience p = patience_until(now, now + 500 * NSEC_PER_MSEC);
	struct proc v[2];

	if (!r->alive || target_tree(r, v, 2, false) < 2)
		return;
	r->t_all_asleep = 0;
	while (r->alive && !r->world->interrupted && !target_rests(r) && !patience_over(r->world, &p, clock_now()))
		pump(r, nothing, clock_now() + NSEC_PER_MSEC);
	r->t_all_asleep = 0;
}

void target_census(struct run *r, const char *name, bool fds)
{
	struct proc v[MAX_TREE];
	struct buf b = {0};
	unsigned n = target_tree(r, v, MAX_TREE, fds);
	int32_t number = r->census_no++;

	events_add(r->ev, EV_CENSUS, -1, number, n, name);
	for (unsigned i = 0; i < n; i++) {
		buf_clear(&b);
		census_json(&v[i], &b);
		events_add(r->ev, EV_PROCESS, number, v[i].pid, v[i].ppid, arena_strdup(r->arena, b.p));
		if (v[i].pid == r->pid && v[i].rss_kib)
			r->rss_kib = v[i].rss_kib;
	}
	buf_free(&b);
}

void target_stop_continue(struct run *r, bool stop)
{
	struct proc v[MAX_TREE];
	unsigned n = target_tree(r, v, MAX_TREE, false);

	for (unsigned i = 0; i < n; i++)
		kill(v[i].pid, stop ? SIGSTOP : SIGCONT);
	for (unsigned i = 0; i < n; i++) {
		struct proc p;
		nsec_t deadline = clock_now() + NSEC_PER_SEC;

		if (!stop) {
			events_add(r->ev, EV_CONTINUED, -1, v[i].pid, 0, NULL);
			continue;
		}
		while (census_one(v[i].pid, false, &p) == 0 && p.state != 'T' && p.state != 'Z' &&
		       clock_now() < deadline)
			sched_yield();
		events_add(r->ev, EV_STOPPED, -1, v[i].pid, 0, NULL);
	}
	r->stopped = stop;
}

/* The root is gone: its ending is an event of its own, apart from all clients. If it has handed over, the newest generation is
 * the target now. */
static void root_ended(struct run *r, const siginfo_t *si)
{
	nsec_t t = clock_now();

	r->alive = false;
	r->reaped = true;
	loop_del(r->loop, &r->pid_watch);
	bool followed = r->hand && !r->harness_killed && generation_adopt(r);
	const char *who = followed ? "predecessor" : "root";

	if (si->si_code == CLD_EXITED)
		events_add_at(r->ev, t, 0, EV_EXIT, r->generation, si->si_pid, si->si_status, who);
	else
		events_add_at(r->ev, t, 0, EV_KILLED, r->generation, si->si_pid, si->si_status,
			      arena_printf(r->arena, "%s%s%s", who, si->si_code == CLD_DUMPED ? " core" : "",
					   r->harness_killed ? " by harness" : ""));
	if (followed)
		return;
	r->t_exit = t;
	actions_event(r, ON_EXIT, r->t_exit);
}

static void pid_ready(struct watch *w, uint32_t events)
{
	struct run *r = w->arg;
	siginfo_t si = {0};

	(void)events;
	if (!r->reaped && waitid(P_PIDFD, (id_t)r->pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_pid)
		root_ended(r, &si);
}

/* Every other child: descendants of the target that became ours. */
void target_reap(struct run *r)
{
	siginfo_t si;

	for (;;) {
		si = (siginfo_t){0};
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) < 0 || !si.si_pid)
			return;
		pid_t pid = si.si_pid;

		if (waitid(P_PID, (id_t)pid, &si, WEXITED | WNOHANG) < 0)
			return;
		if (pid == r->pid && !r->reaped)
			root_ended(r, &si);
		else if (si.si_code == CLD_EXITED)
			events_add(r->ev, EV_EXIT, r->generation, pid, si.si_status, "descendant");
		else
			events_add(r->ev, EV_KILLED, r->generation, pid, si.si_status,
				   si.si_code == CLD_DUMPED ? "descendant core" : "descendant");
	}
}

/* In a PID namespace of our own kill(-1) is exact and beats any fork; else the tree, until nothing is left. */
void target_kill_all(struct run *r)
{
	struct proc v[MAX_TREE];

	for (int i = 0; i < 1000 && !r->none_left; i++) {
		unsigned n = target_tree(r, v, MAX_TREE, false);

		if (r->world->got & ISO_PID)
			kill(-1, SIGKILL);
		for (unsigned k = 0; k < n; k++)
			if (v[k].pid > 1)
				kill(v[k].pid, SIGKILL);
		if (r->alive)
			syscall(SYS_pidfd_send_signal, r->pidfd, SIGKILL, NULL, 0);
		target_reap(r);
		if (!n && !r->alive)
			return;
		struct timespec tick = {0, 1000000};
		sigset_t chld;

		/* SIGCHLD says when there is something to reap */
		sigemptyset(&chld);
		sigaddset(&chld, SIGCHLD);
		sigtimedwait(&chld, NULL, &tick);
	}
}

static int open_tty(struct run *r, int *ret_slave)
{
	*ret_slave = -1;
	if (r->tty >= 0)                /* a restart */
		close(r->tty);
	r->tty = -1;
	if (!r->sc->target.tty)
		return 0;
	if (openpty(&r->tty, ret_slave, NULL, NULL, NULL) < 0)
		return err_set(r->err, ERR_HARNESS, errno, "cannot make a terminal");
	fcntl(r->tty, F_SETFD, FD_CLOEXEC);
	fcntl(*ret_slave, F_SETFD, FD_CLOEXEC);
	return 0;
}

void root_watch(struct run *r, pid_t pid, int pidfd)
{
	if (r->pidfd >= 0) {
		loop_del(r->loop, &r->pid_watch);
		close(r->pidfd);
	}
	r->pid = pid;
	r->pidfd = pidfd;
	r->alive = true;
	r->reaped = r->none_left = false;
	r->pid_watch = (struct watch){.fn = pid_ready, .arg = r, .fd = pidfd};
	loop_add(r->loop, &r->pid_watch, EPOLLIN);
}

int target_launch(struct run *r, char **argv, int tty, struct launched *ret)
{
	bool container = r->sc->target.isolate == ISOLATE_CONTAINER;
	struct launch spec = {.argv = argv, .envp = r->envp, .cwd = r->sc->target.cwd, .stdin_fd = -1,
		.stdout_fd = r->logs[0].fd, .stderr_fd = r->logs[1].fd, .tty_fd = tty, .new_pidns = container,
		.die_with_parent = true, .nofile = r->world->nofile};

	return launch(&spec, ret, r->err);
}

/* Launch the command once more (generation 0, 1, ...) on the run's ports. */
int target_start(struct run *r, const char *label)
{
	struct launched l;
	char notify[96] = "";
	int slave, rc;

	if (r->sc->target.ready == READY_NOTIFY && notify_open(r, notify, sizeof notify) < 0)
		return -1;
	if (log_open(r, &r->logs[0], "stdout.log") < 0 || log_open(r, &r->logs[1], "stderr.log") < 0 ||
	    open_tty(r, &slave) < 0 || env_build(r, notify) < 0)
		return -1;

	events_add(r->ev, EV_LAUNCH, r->generation, 0, r->generation, label);
	uint32_t at = (uint32_t)r->ev->n;

	rc = target_launch(r, r->argv, slave, &l);
	if (slave >= 0)
		close(slave);
	if (rc < 0)
		return -1;
	r->ev->v[at - 1].a = l.pid;
	if (l.mount_errno)
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "PID 1 has no /proc of its own (%s)", strerror(l.mount_errno));
	r->t_launch = l.t_exec;
	r->t_runaway = l.t_exec + 50 * NSEC_PER_MSEC;
	root_watch(r, l.pid, l.pidfd);
	if (logs_watch(r) < 0)
		return -1;
	actions_event(r, ON_LAUNCH, l.t_exec);
	return 0;
}

