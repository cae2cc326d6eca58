/* After the root is gone, or before it is made to go: who is left, what is left, can the port be had again. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/names.h"
#include "run/engine.h"
#include "run/env.h"
#include "target/autopsy.h"
#include "target/iso.h"
#include "target/port.h"

#define MAX_LEFT 64

static const char *peer_name(void *arg, uint16_t server_port, uint16_t client_port)
{
	static char text[128];
	struct run *r = arg;
	struct conn *c = conn_by_port(r, client_port);

	(void)server_port;
	if (!c)
		return NULL;
	snprintf(text, sizeof text, "client #%d (%s, %s%s)", c->index, c->client->spec->name,
		 phase_rows[c->client->spec->phase].name, c->unproven ? ", unproven" : "");
	return text;
}

void one_autopsy(struct run *r, pid_t pid)
{
	struct buf b = {0};

	autopsy_process(pid, r->world->diag, peer_name, r, &b);
	if (b.n)
		events_add(r->ev, EV_AUTOPSY, -1, pid, 0, arena_strndup(r->arena, b.p, b.n));
	buf_free(&b);
}

static bool gone(struct run *r)
{
	return !r->alive;
}

/* Every open connection as both ends see it, while the target still holds its own. */
void still_open(struct run *r)
{
	for (uint32_t i = 0; i < r->n_conns; i++) {
		struct conn *c = r->conns[i];
		struct diag_row row = {0};

		if (c->w.fd < 0 || c->eof || c->state == CONN_OVER)
			continue;
		int found = diag_of(r, c, &row);

		events_addf(r->ev, EV_STILL_OPEN, c->index, conn_tcp_state(c), found > 0 ? row.state : 0,
			    "inode %u rqueue %u wqueue %u timer %u", row.inode, row.rqueue, row.wqueue, row.timer);
	}
}

void held_look(struct run *r)
{
	for (uint32_t i = r->round_first; i < r->n_conns; i++) {
		struct conn *c = r->conns[i];
		struct diag_row row = {0};

		if (c->w.fd >= 0 && !c->eof && c->state != CONN_OVER && diag_of(r, c, &row) > 0 && row.inode)
			events_add(r->ev, EV_HELD, c->index, conn_tcp_state(c), row.state, NULL);
	}
}

/* It never closed its listener. Who still answers newcomers did not begin to stop, whatever else holds it. */
static void still_serves(struct run *r)
{
	int status = r->watching && r->t_signal && !r->t_on[ON_LISTENER_CLOSED] ? ask_and_wait(r, "/", NSEC_PER_SEC) : 0;

	if (status)
		events_add(r->ev, EV_SERVES, -1, status, 0, NULL);
}

/* The grace is over. Page tables of a process that is already inside do_exit take 65-90 us per MiB to tear down: that is
 * no reason to kill it, and no reason to call it slow. */
void autopsy_and_kill(struct run *r, const char *why)
{
	struct proc p, v[MAX_LEFT];
	const char *runtime;

	if (census_one(r->pid, false, &p) == 0 && p.exiting &&
	    pump(r, gone, clock_now() + NSEC_PER_SEC + (nsec_t)(r->rss_kib / 1024) * 200 * NSEC_PER_USEC))
		return;
	unsigned n = target_tree(r, v, MAX_LEFT, true);

	still_open(r);
	target_census(r, "grace", true);
	for (unsigned i = 0; i < n && i < 8; i++)
		one_autopsy(r, v[i].pid);
	still_serves(r);
	runtime = autopsy_runtime(r->pid);
	if (runtime) {
		events_addf(r->ev, EV_HARNESS_KILL, -1, r->pid, SIGQUIT, "the %s runtime prints all its stacks", runtime);
		r->harness_killed = true;
		logs_dump_begins(r);
		syscall(SYS_pidfd_send_signal, r->pidfd, SIGQUIT, NULL, 0);
		/* Go exits after its dump, Java goes on: its dump is over when its log stands still */
		pump(r, gone, clock_now() + 500 * NSEC_PER_MSEC);
		logs_dump_read(r, runtime);
	}
	events_add(r->ev, EV_HARNESS_KILL, -1, r->pid, SIGKILL, why);
	r->harness_killed = true;
	target_kill_all(r);
}

/* Descendants: a good one is gone with the root or right after it (its pipe closes); what is alive a second later is left. */
static unsigned survivors(struct run *r, struct proc *v, bool zombies)
{
	struct proc all[MAX_LEFT];
	unsigned n = beside_leave_out(r, all, target_tree(r, all, MAX_LEFT, false)), k = 0;

	for (unsigned i = 0; i < n; i++)
		if (all[i].pid != r->pid && (all[i].state == 'Z') == zombies && !all[i].exiting)
			v[k++] = all[i];
	return k;
}

/* Of a chain of forks a look may see the link that has just gone and not yet the next one: nobody is there when many looks say so. */
static unsigned left_alive(struct run *r, struct proc *v)
{
	unsigned n = 0;

	for (unsigned look = 0; !n && look < 16; look++)
		n = survivors(r, v, false);
	return n;
}

static bool none_left(struct run *r)
{
	struct proc v[MAX_LEFT];
	nsec_t now = clock_now();

	r->look = r->t_left;
	if (now < r->t_left)
		return false;
	r->t_left = r->look = now + NSEC_PER_MSEC;
	target_reap(r);
	return left_alive(r, v) == 0;
}

static void holders(struct run *r, const struct proc *v, unsigned n)
{
	pid_t pids[MAX_LEFT];
	struct holder h[8];

	for (unsigned i = 0; i < n; i++)
		pids[i] = v[i].pid;
	for (unsigned p = 0; p < r->n_ports; p++) {
		int found = r->ports[p].inode ? census_socket_holders(pids, n, r->ports[p].inode, h, 8) : 0;

		for (int i = 0; i < found && i < 8; i++)
			events_addf(r->ev, EV_LEFT_HOLDER, (int32_t)p, r->ports[p].number, h[i].pid,
				    "%d/%s fd %d, %s", h[i].pid, h[i].comm, h[i].fd,
				    h[i].cloexec ? "CLOEXEC set" : "CLOEXEC missing");
	}
}

/* PID 1 of a PID namespace is told by one call that nobody else is there, not even a zombie. */
static bool alone(struct run *r)
{
	return r->world->got & ISO_PID && getpid() == 1 && kill(-1, 0) < 0 && errno == ESRCH;
}

void left_processes(struct run *r)
{
	struct proc v[MAX_LEFT];
	unsigned all = alone(r) ? 0 : beside_leave_out(r, v, target_tree(r, v, MAX_LEFT, false));
	unsigned n = all ? left_alive(r, v) : 0;
	nsec_t until = clock_now() + NSEC_PER_SEC;

	r->none_left = !all && !r->alive && !r->beside;
	if (n) {
		holders(r, v, n);       /* who holds the port now counts, even if it lets go later */
		r->t_left = 0;
		if (!pump(r, none_left, until)) {
			n = left_alive(r, v);
			for (unsigned i = 0; i < n; i++)
				events_addf(r->ev, EV_LEFT_PROCESS, -1, v[i].pid, v[i].ppid, "%s, state %c, %u threads",
					    v[i].comm, v[i].state, v[i].threads);
			for (unsigned i = 0; i < n && i < 4; i++)
				one_autopsy(r, v[i].pid);
		}
	}
}

/* Zombies that the root has not reaped can only be seen while the root lives: looked for when the drain is over. */
void zombies_look(struct run *r)
{
	struct proc v[MAX_LEFT];
	unsigned n = survivors(r, v, true);

	for (unsigned i = 0; i < n; i++)
		events_add(r->ev, EV_LEFT_ZOMBIE, -1, v[i].pid, v[i].ppid, arena_strdup(r->arena, v[i].comm));
}

/* What the target left in a folder that is its own; a folder that has not changed since the last look is not read again. */
static void left_files_in(struct run *r, const char *dir, struct timespec *changed, bool say)
{
	struct stat st;
	char path[512];

	if (stat(dir, &st) == 0 && !memcmp(&st.st_mtim, changed, sizeof *changed))
		return;
	DIR *d = opendir(dir);

	for (struct dirent *e; d && (e = readdir(d));) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
		if (lstat(path, &st) < 0)
			continue;
		/* folders are caches as often as leaks: not judged, but removed */
		if (say && !S_ISDIR(st.st_mode))
			events_add(r->ev, EV_LEFT_FILE, -1, st.st_size, 0, arena_strdup(r->arena, path));
		remove_tree(path);
	}
	if (d)
		closedir(d);
	if (stat(dir, &st) == 0)
		*changed = st.st_mtim;
}

void places_clean(struct run *r)
{
	if (r->world->got & ISO_SHM)
		left_files_in(r, "/dev/shm", &r->world->shm_changed, false);
	left_files_in(r, r->world->tmp, &r->world->tmp_changed, false);
}

static int try_bind(const struct port *p, bool reuse)
{
	int fd = socket(p->addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, rc = 0;
	socklen_t len = p->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);

	if (fd < 0)
		return errno;
	if (reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (const struct sockaddr *)&p->addr, len) < 0 || listen(fd, 1) < 0)
		rc = errno;
	close(fd);
	return rc;
}

/* bind() fails when the file is there, whether anybody listens on it or not. */
static void path_autopsy(struct run *r, struct port *p)
{
	struct diag_row row = {0};
	struct proc v[MAX_LEFT];
	pid_t pids[MAX_LEFT];
	struct holder h;
	struct stat st;
	unsigned n = target_tree(r, v, MAX_LEFT, false);

	for (unsigned i = 0; i < n; i++)
		pids[i] = v[i].pid;
	if (port_listener(r, p, &row) > 0 && census_socket_holders(pids, n, row.inode, &h, 1) > 0)
		events_addf(r->ev, EV_PORT_HOLDER, (int32_t)(p - r->ports), p->number, HOLDER_LISTENER,
			    "%s (pid %d, fd %d) listens on unix:%s; stop it", h.comm, h.pid, h.fd, p->path);
	else if (lstat(p->path, &st) == 0)
		events_addf(r->ev, EV_PORT_HOLDER, (int32_t)(p - r->ports), p->number, HOLDER_UNKNOWN,
			    "the file %s is left of a socket that is gone, and bind() fails as long as it is there; unlink it at "
			    "the start, when nobody answers on it", p->path);
}

void port_autopsy(struct run *r, struct port *p)
{
	struct port_report rep;

	if (p->path) {
		path_autopsy(r, p);
		return;
	}
	if (port_examine_for(r->world->diag, p->number, r->beside ? r->beside : r->pid, &rep, NULL) < 0)
		return;
	for (size_t i = 0; i < rep.n && i < 8; i++)
		events_addf(r->ev, EV_PORT_HOLDER, (int32_t)(p - r->ports), p->number, rep.v[i].kind, "%s; %s",
			    rep.v[i].text, rep.v[i].fix);
	port_report_free(&rep);
}

void rebind(struct run *r)
{
	for (unsigned i = 0; i < r->n_ports; i++) {
		struct port *p = &r->ports[i];

		if (!p->listening || p->path)
			continue;
		int plain = try_bind(p, false), reuse = try_bind(p, true);

		events_add(r->ev, EV_REBIND, (int32_t)i, reuse, plain, NULL);
		if (reuse)
			port_autopsy(r, p);
	}
}

/* A log that names requests by their nonce, wherever in the line: as the User-Agent of an access log, or as the word that was
 * echoed. Of 2^64 nonces only those that were sent mean anything, so nothing else can be taken for one. */
static void log_nonce(struct run *r, const char *line, int stream)
{
	for (const char *p = line; *p;) {
		size_t n = strspn(p, "0123456789abcdef");
		unsigned number;
		struct conn *c = n == NONCE_LEN ? conn_by_nonce(r, p, &number) : NULL;

		if (c)
			events_add(r->ev, EV_LOG_NONCE, c->index, stream, number, NULL);
		p += n ? n : 1;
	}
}

/* What is worth telling of the log after the signal: once, and Python's answer to Ctrl-C besides. */
struct bad_words {
	bool said, interrupted;
	int64_t traceback_at;           /* a Traceback whose last line, which says what it is, has not come; -1: none */
};

static void bad_line(struct run *r, struct bad_words *w, const char *line, int stream, int64_t at)
{
	static const char *const bad[] = {
		"AddressSanitizer", "LeakSanitizer", "ThreadSanitizer", "MemorySanitizer", "UndefinedBehaviorSanitizer",
		"runtime error: ", "panic: ", "fatal error: ", "Traceback (most recent call last)", "stack smashing detected",
		"double free or corruption", "Assertion `", "Segmentation fault", "free(): invalid", "malloc(): ",
		"thread 'main' panicked", "Exception in thread", "UnhandledPromiseRejection", "uncaughtException",
	};

	if (w->traceback_at >= 0 && *line && *line != ' ') {
		bool interrupt = !strncmp(line, "KeyboardInterrupt", 17), *said = interrupt ? &w->interrupted : &w->said;

		if (!*said)
			events_addf(r->ev, EV_LOG_BAD, -1, stream, w->traceback_at, "Traceback: %.400s", line);
		*said = true;
		w->traceback_at = -1;
	}
	if (!w->said && w->traceback_at < 0 && !strncmp(line, "Traceback (most recent", 22)) {
		w->traceback_at = at;
		return;
	}
	for (size_t i = 0; !w->said && w->traceback_at < 0 && i < sizeof bad / sizeof *bad; i++)
		if (strstr(line, bad[i])) {
			w->said = true;
			events_addf(r->ev, EV_LOG_BAD, -1, stream, at, "%.400s", line);
		}
}

static void log_words(struct run *r, struct log_file *lf, int stream)
{
	struct bad_words bad = {.traceback_at = -1};
	int64_t at = lf->from;

	/* 8 MiB are enough of any log; a line longer than the buffer is taken in pieces */
	while (at < lf->from + (8 << 20)) {
		ssize_t got = pread(lf->fd, r->buf, RUN_BUF - 1, at);
		char *line = (char *)r->buf, *nl;

		if (got <= 0)
			break;
		r->buf[got] = '\0';
		for (; (nl = memchr(line, '\n', (size_t)((char *)r->buf + got - line))) || line == (char *)r->buf;
		     line = nl + 1) {
			if (nl)
				*nl = '\0';
			if (at >= lf->at_signal)
				bad_line(r, &bad, line, stream, at);
			log_nonce(r, line, stream);
			at += nl ? nl + 1 - line : got;
			if (!nl)
				break;
		}
	}
	if (bad.traceback_at >= 0)
		events_add(r->ev, EV_LOG_BAD, -1, stream, bad.traceback_at, "Traceback (most recent call last)");
}

void target_logs(struct run *r)
{
	for (int i = 0; i < 2; i++) {
		uint64_t bytes;
		const char *tail = log_last_lines(r, &r->logs[i], 12, &bytes);

		if ((int64_t)bytes > r->logs[i].from) {
			log_words(r, &r->logs[i], i + 1);
			events_add(r->ev, EV_LOG_TAIL, -1, i + 1, (int64_t)bytes - r->logs[i].from, tail);
		}
	}
	if (r->sc->expect.log) {
		regex_t re;
		char line[1024];
		int stream;

		if (regcomp(&re, r->sc->expect.log, REG_EXTENDED | REG_NOSUB) == 0) {
			for (int i = 0; i < 2; i++)
				r->logs[i].at = r->logs[i].from;
			if (log_scan(r, &re, line, sizeof line, &stream))
				events_addf(r->ev, EV_LOGLINE, -1, stream, 1, "%s", line);
			regfree(&re);
		}
	}
}

static void expected_removed(struct run *r)
{
	struct stat st;

	for (char **p = r->sc->expect.removes; p && *p; p++) {
		char *path = env_expand(r, *p);

		if (lstat(path, &st) == 0) {
			events_add(r->ev, EV_LEFT_FILE, 1, st.st_size, 0, path);
			unlink(path);   /* said once: it is not RES-4's as well */
		}
	}
}

/* One connect after the listener should be gone: refused is right, anything else is LSN-2's. */
static void connect_after(struct run *r)
{
	for (unsigned i = 0; i < r->n_ports; i++) {
		r->after_exit[i] = r->warmup;
		r->after_exit[i].port = i;
		r->after_exit[i].spec = &r->after_exit_spec;
		r->after_exit[i].rq.line = NULL;
		r->after_exit[i].n_rqs = 0;
		if (r->ports[i].listening && r->after_exit[i].proto) {
			struct conn *c = conn_open(r, &r->after_exit[i]);

			if (c)
				c->state = c->state == CONN_OVER ? CONN_OVER : CONN_FREE;
		}
	}
}

void aftermath(struct run *r)
{
	left_processes(r);
	if (r->beside) {        /* port and files are the new one's */
		still_open(r);
		beside_after(r);
	} else {
		connect_after(r);
		still_open(r);
		rebind(r);
		expected_removed(r);
	}
	if (r->world->got & ISO_SHM && !r->beside)
		left_files_in(r, "/dev/shm", &r->world->shm_changed, true);
	if (!r->beside)
		left_files_in(r, r->world->tmp, &r->world->tmp_changed, true);
	target_logs(r);
	if (!log_has_room(&r->logs[0]))
		events_addf(r->ev, EV_LOG_FULL, -1, 0, 0, "no space left on the disk of %s", r->dir);
}
