/* The target as the run sees it: start, readiness by event, children, census. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/names.h"
#include "run/engine.h"
#include "run/env.h"
#include "target/iso.h"
#include "target/launch.h"

#define MAX_TREE 256

unsigned target_tree(struct run *r, struct proc *v, unsigned max, bool fds)
{
	size_t n = census_tree(r->pid, r->world->got & ISO_PID, fds, v, max);

	return (unsigned)(n > max ? max : n);
}

bool target_thread_runs(pid_t pid)
{
	char path[80], line[512];
	bool runs = false;

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	DIR *d = opendir(path);

	for (struct dirent *e; d && !runs && (e = readdir(d));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof path, "/proc/%d/task/%.16s/stat", pid, e->d_name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);

		if (fd >= 0)
			close(fd);
		if (n <= 0)
			continue;
		line[n] = '\0';
		char *paren = strrchr(line, ')');

		runs = paren && paren[1] == ' ' && paren[2] == 'R';
	}
	if (d)
		closedir(d);
	return runs;
}

struct tree_sum {
	unsigned procs;
	uint64_t threads, fds;
	bool runs;
};

static struct tree_sum tree_sum(struct run *r)
{
	struct proc *v = arena_array(r->arena, struct proc, MAX_TREE);
	struct tree_sum s = {.procs = target_tree(r, v, MAX_TREE, true)};

	for (unsigned i = 0; i < s.procs; i++) {
		s.threads += v[i].threads;
		s.fds += v[i].fds == UINT32_MAX ? 0 : v[i].fds;
		s.runs |= v[i].state == 'R' || (v[i].threads > 1 && target_thread_runs(v[i].pid));
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

void target_census(struct run *r, const char *name, bool fds)
{
	struct proc *v = arena_array(r->arena, struct proc, MAX_TREE);
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

/* The root is gone: its ending is an event of its own, apart from all clients. */
static void root_ended(struct run *r, const siginfo_t *si)
{
	r->alive = false;
	r->reaped = true;
	r->t_exit = clock_now();
	if (si->si_code == CLD_EXITED)
		events_add_at(r->ev, r->t_exit, 0, EV_EXIT, r->generation, si->si_pid, si->si_status, "root");
	else
		events_add_at(r->ev, r->t_exit, 0, EV_KILLED, r->generation, si->si_pid, si->si_status,
			      arena_printf(r->arena, "root%s%s", si->si_code == CLD_DUMPED ? " core" : "",
					   r->harness_killed ? " by harness" : ""));
	loop_del(r->loop, &r->pid_watch);
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

/* One descriptor for both: the target appends to it, we read at our own offsets. */
static int open_log(struct run *r, struct log_file *lf, const char *name)
{
	if (lf->fd >= 0)
		return 0;               /* the restart goes on in the same files */
	snprintf(lf->path, sizeof lf->path, "%s/%s", r->dir, name);
	lf->fd = open(lf->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_TRUNC, 0644);
	if (lf->fd < 0)
		return err_set(r->err, ERR_HARNESS, errno, "cannot write %s", lf->path);
	return 0;
}

void target_files(struct run *r, bool close_them)
{
	for (int i = 0; i < 2; i++) {
		if (close_them && r->logs[i].fd >= 0)
			close(r->logs[i].fd);
		r->logs[i].fd = -1;
	}
}

static void inotify_ready(struct watch *w, uint32_t events)
{
	struct run *r = w->arg;
	char buf[4096];

	(void)events;
	while (read(w->fd, buf, sizeof buf) > 0)
		;
	r->log_activity = true;
}

static bool wants_log(const struct run *r)
{
	if (r->sc->target.ready == READY_LOG)
		return true;
	for (unsigned i = 0; i < r->n_actions; i++)
		if (r->actions[i].has_re)
			return true;
	return false;
}

static void watch_logs(struct run *r)
{
	r->inotify_watch = (struct watch){.fn = inotify_ready, .arg = r, .fd = -1};
	if (!wants_log(r))
		return;
	r->inotify_watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->inotify_watch.fd < 0)
		return;
	inotify_add_watch(r->inotify_watch.fd, r->logs[0].path, IN_MODIFY);
	inotify_add_watch(r->inotify_watch.fd, r->logs[1].path, IN_MODIFY);
	loop_add(r->loop, &r->inotify_watch, EPOLLIN);
	r->log_activity = true;
}

/* Whole lines that came since the last scan; true and the line if one matches. */
bool log_scan(struct run *r, const regex_t *re, char *line, size_t n, int *ret_stream)
{
	for (int i = 0; i < 2; i++) {
		struct log_file *lf = &r->logs[i];
		ssize_t got = lf->fd < 0 ? 0 : pread(lf->fd, r->buf, RUN_BUF - 1, lf->at);

		while (got > 0) {
			r->buf[got] = '\0';
			char *nl = memchr(r->buf, '\n', (size_t)got);

			if (!nl && got < RUN_BUF - 1)
				break;
			size_t len = nl ? (size_t)(nl - (char *)r->buf) : (size_t)got;

			lf->at += (int64_t)len + (nl ? 1 : 0);
			snprintf(line, n, "%.*s", (int)(len < n ? len : n - 1), (char *)r->buf);
			if (regexec(re, line, 0, NULL, 0) == 0) {
				*ret_stream = i + 1;
				return true;
			}
			got = pread(lf->fd, r->buf, RUN_BUF - 1, lf->at);
		}
	}
	return false;
}

const char *log_last_lines(struct run *r, struct log_file *lf, unsigned lines, uint64_t *ret_bytes)
{
	struct stat st;
	char tail[4096];

	*ret_bytes = 0;
	if (lf->fd < 0 || fstat(lf->fd, &st) < 0 || !st.st_size)
		return "";
	*ret_bytes = (uint64_t)st.st_size;
	off_t from = st.st_size > (off_t)sizeof tail - 1 ? st.st_size - (off_t)sizeof tail + 1 : 0;
	ssize_t n = pread(lf->fd, tail, sizeof tail - 1, from);

	if (n <= 0)
		return "";
	tail[n] = '\0';
	char *p = tail + n;

	for (unsigned seen = 0; p > tail; p--)
		if (p[-1] == '\n' && p < tail + n && ++seen == lines)
			break;
	return arena_strdup(r->arena, p);
}

static void notify_ready(struct watch *w, uint32_t events)
{
	struct run *r = w->arg;
	char msg[4096];
	ssize_t n;

	(void)events;
	while ((n = recv(w->fd, msg, sizeof msg - 1, 0)) > 0) {
		msg[n] = '\0';
		if (!strncmp(msg, "READY=1", 7) || strstr(msg, "\nREADY=1"))
			r->notified = true;
	}
}

/* Abstract names belong to the network namespace: nobody else can send to this one in a private one. */
static int notify_open(struct run *r, char *name, size_t n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(name, n, "@drainspec-%d-%llx", getpid(), (unsigned long long)clock_now());
	memcpy(un.sun_path, name, strlen(name));
	un.sun_path[0] = '\0';
	if (fd < 0 || bind(fd, (struct sockaddr *)&un,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) < 0) {
		if (fd >= 0)
			close(fd);
		return err_set(r->err, ERR_HARNESS, errno, "cannot make the notification socket");
	}
	r->notify_watch = (struct watch){.fn = notify_ready, .arg = r, .fd = fd};
	loop_add(r->loop, &r->notify_watch, EPOLLIN);
	return 0;
}

static int open_tty(struct run *r, int *ret_slave)
{
	*ret_slave = -1;
	r->tty = -1;
	if (!r->sc->target.tty)
		return 0;
	if (openpty(&r->tty, ret_slave, NULL, NULL, NULL) < 0)
		return err_set(r->err, ERR_HARNESS, errno, "cannot make a terminal");
	fcntl(r->tty, F_SETFD, FD_CLOEXEC);
	fcntl(*ret_slave, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* Launch the command once more (generation 0, 1, ...) on the run's ports. */
int target_start(struct run *r, const char *label)
{
	struct launched l;
	char notify[96] = "";
	int slave, rc;

	if (r->sc->target.ready == READY_NOTIFY && notify_open(r, notify, sizeof notify) < 0)
		return -1;
	if (open_log(r, &r->logs[0], "stdout.log") < 0 || open_log(r, &r->logs[1], "stderr.log") < 0 ||
	    open_tty(r, &slave) < 0 || env_build(r, notify) < 0)
		return -1;
	bool container = r->sc->target.isolate == ISOLATE_CONTAINER;
	struct launch spec = {.argv = r->argv, .envp = r->envp, .cwd = r->sc->target.cwd, .stdin_fd = -1,
		.stdout_fd = r->logs[0].fd, .stderr_fd = r->logs[1].fd, .tty_fd = slave, .new_pidns = container,
		.die_with_parent = true, .nofile = r->world->nofile};

	events_add(r->ev, EV_LAUNCH, r->generation, 0, r->generation, label);
	uint32_t at = (uint32_t)r->ev->n;

	rc = launch(&spec, &l, r->err);
	if (slave >= 0)
		close(slave);
	if (rc < 0)
		return -1;
	r->ev->v[at - 1].a = l.pid;
	if (l.mount_errno)
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "PID 1 has no /proc of its own (%s)", strerror(l.mount_errno));
	r->pid = l.pid;
	r->pidfd = l.pidfd;
	r->alive = true;
	r->reaped = false;
	r->t_launch = l.t_exec;
	r->t_runaway = l.t_exec + 50 * NSEC_PER_MSEC;
	r->none_left = false;
	r->pid_watch = (struct watch){.fn = pid_ready, .arg = r, .fd = l.pidfd};
	loop_add(r->loop, &r->pid_watch, EPOLLIN);
	watch_logs(r);
	actions_event(r, ON_LAUNCH, l.t_exec);
	return 0;
}

/* Does this LISTEN row belong to the target? Its inode must be open in a process of the tree. */
static bool own_listener(struct run *r, struct port *p, const struct diag_row *row)
{
	struct proc v[MAX_TREE];
	pid_t pids[MAX_TREE] = {r->pid};
	struct holder h[4];
	char text[INET6_ADDRSTRLEN];
	int found = census_socket_holders(pids, 1, row->inode, h, 4);

	/* not the root itself: any of its descendants */
	if (found <= 0) {
		unsigned n = target_tree(r, v, MAX_TREE, false);

		for (unsigned i = 0; i < n; i++)
			pids[i] = v[i].pid;
		found = census_socket_holders(pids, n, row->inode, h, 4);
	}
	inet_ntop(row->family, &row->src, text, sizeof text);
	if (found > 0) {
		events_addf(r->ev, EV_LISTEN, (int32_t)(p - r->ports), p->number, row->inode,
			    "%d/%s fd %d, %s port %u", h[0].pid, h[0].comm, h[0].fd, text, p->number);
		return true;
	}
	if (found == -EACCES && r->world->got & ISO_NET) {
		events_addf(r->ev, EV_LISTEN, (int32_t)(p - r->ports), p->number, row->inode,
			    "%s port %u, in the target's own namespace (its fds are not readable)", text, p->number);
		return true;
	}
	return false;
}

static void look_for_listener(struct run *r, struct port *p)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(p->number),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(p->number),
		.sin6_addr = IN6ADDR_LOOPBACK_INIT};
	struct diag_row row;

	if (diag_listener(r->world->diag, (struct sockaddr *)&v4, &row) > 0) {
		p->v6 = false;
		memcpy(&p->addr, &v4, sizeof v4);
	} else if (diag_listener(r->world->diag, (struct sockaddr *)&v6, &row) > 0) {
		p->v6 = true;
		memcpy(&p->addr, &v6, sizeof v6);
	} else {
		return;
	}
	if (own_listener(r, p, &row)) {
		p->inode = row.inode;
		p->listening = true;
		p->t_last_open = clock_now();
	} else if (!(r->world->got & ISO_NET) && p->inode != row.inode) {
		p->inode = row.inode;   /* said once */
		events_add(r->ev, EV_FOREIGN, (int32_t)(p - r->ports), p->number, row.inode,
			   "a process that is not the target's listens here");
	}
}

static bool listening(struct run *r)
{
	nsec_t now = clock_now();
	bool all = true;

	if (!r->alive)
		return true;
	r->look = r->t_watch;
	if (now < r->t_watch)
		return false;
	for (unsigned i = 0; i < r->n_ports; i++) {
		if (!r->ports[i].listening)
			look_for_listener(r, &r->ports[i]);
		all &= r->ports[i].listening;
	}
	/* 100 us for what starts in a second, then rarer: nobody waits for the last millisecond of a JVM */
	r->t_watch = r->look = clock_now() + (now - r->t_launch < NSEC_PER_SEC ? 100 : 1000) * NSEC_PER_USEC;
	return all;
}

static bool notified(struct run *r)
{
	return r->notified || !r->alive;
}

static bool log_said(struct run *r)
{
	regex_t re;
	char line[1024];
	int stream;
	bool said = false;

	if (!r->log_activity || regcomp(&re, r->sc->target.ready_arg, REG_EXTENDED | REG_NOSUB) != 0)
		return !r->alive;
	r->log_activity = false;
	if (log_scan(r, &re, line, sizeof line, &stream)) {
		events_addf(r->ev, EV_LOGLINE, -1, stream, 0, "%s", line);
		said = true;
	}
	regfree(&re);
	return said || !r->alive;
}

static void ready_answer(struct run *r, void *arg, int status, const char *body)
{
	(void)body;
	(void)arg;
	r->ready_status = status;
}

static bool http_ready(struct run *r)
{
	if (r->ready_status == 200 || !r->alive)
		return true;
	r->look = clock_now() + NSEC_PER_MSEC;
	if (r->ask_outstanding)
		return false;
	if (clock_now() >= r->t_probe) {
		r->t_probe = clock_now() + 2 * NSEC_PER_MSEC;
		ask(r, 0, r->sc->target.ready_arg, r->sc->target.ready_within, ready_answer, NULL);
	}
	return false;
}

static bool never(struct run *r)
{
	return !r->alive;
}

static int not_ready(struct run *r, const char *awaited)
{
	uint64_t bytes;
	char what[64] = "";
	const char *tail = log_last_lines(r, &r->logs[1], 12, &bytes);
	const struct event *last = NULL;

	if (!*tail)
		tail = log_last_lines(r, &r->logs[0], 12, &bytes);
	for (size_t i = r->ev->n; i-- > 0 && !last;)
		if (r->ev->v[i].kind == EV_EXIT || r->ev->v[i].kind == EV_KILLED)
			last = &r->ev->v[i];
	if (r->alive)
		snprintf(what, sizeof what, "not ready within its time (%s)", awaited);
	else if (last && last->kind == EV_EXIT)
		snprintf(what, sizeof what, "exited with status %d before it was ready", (int)last->b);
	else if (last)
		snprintf(what, sizeof what, "was killed by %s before it was ready", signal_name((int)last->b));
	if (*tail)
		events_add(r->ev, EV_LOG_TAIL, -1, 2, (int64_t)bytes, tail);
	for (size_t i = 0; i < r->ev->n; i++)
		if (r->ev->v[i].kind == EV_FOREIGN)
			return err_set(r->err, ERR_TARGET, 0, "port %d is answered by a process that is not the "
				       "target's; `drainspec port %d` says whose", (int)r->ev->v[i].a,
				       (int)r->ev->v[i].a);
	return err_set(r->err, ERR_TARGET, 0, "the target %s%s%s", what, *tail ? "; its last lines:\n" :
		       ", and it said nothing", tail);
}

static bool (*ready_cond(const struct run *r))(struct run *)
{
	switch (r->sc->target.ready) {
	case READY_LISTENING:
		return listening;
	case READY_HTTP:
		return http_ready;
	case READY_LOG:
		return log_said;
	case READY_NOTIFY:
		return notified;
	case READY_STARTED:
		break;
	}
	return never;
}

int target_await_ready(struct run *r)
{
	static const char *const awaited[] = {
		[READY_LISTENING] = "a LISTEN socket of its own on its port", [READY_HTTP] = "200 from its path",
		[READY_LOG] = "a line of its log", [READY_NOTIFY] = "READY=1 on NOTIFY_SOCKET", [READY_STARTED] = "exec",
	};
	enum ready_by by = r->sc->target.ready;
	nsec_t deadline = r->t_launch + r->sc->target.ready_within;

	r->t_watch = r->t_probe = 0;
	r->ready_status = 0;
	/* whatever readiness means for it, connections need its listeners */
	if (r->n_ports && (!pump(r, listening, deadline) || !r->alive))
		return r->world->interrupted ? -1 : not_ready(r, awaited[READY_LISTENING]);
	if (r->n_ports)
		actions_event(r, ON_LISTENING, r->ports[0].t_last_open);
	if (by != READY_LISTENING && by != READY_STARTED &&
	    (!pump(r, ready_cond(r), deadline) || !r->alive))
		return r->world->interrupted ? -1 : not_ready(r, awaited[by]);
	r->log_activity = true;         /* what was said while nobody listened for it */
	events_add(r->ev, EV_READY, -1, r->generation, 0, awaited[by]);
	actions_event(r, ON_READY, clock_now());
	return 0;
}
