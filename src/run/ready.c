/* Readiness by event: the LISTEN socket is there and is the target's own; HTTP, log and notification come on top. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/names.h"
#include "run/engine.h"
#include "target/iso.h"

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
int notify_open(struct run *r, char *name, size_t n)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (r->notify_watch.fd >= 0) {  /* a restart's: the old generation has nothing to say any more */
		loop_del(r->loop, &r->notify_watch);
		close(r->notify_watch.fd);
		r->notify_watch.fd = -1;
	}
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

static bool was_left(const struct run *r, pid_t pid)
{
	for (unsigned i = 0; i < r->n_left; i++)
		if (r->left[i] == pid)
			return true;
	return false;
}

/* Does this LISTEN row belong to the target? Its inode must be open in a process of the tree. */
static bool own_listener(struct run *r, struct port *p, const struct diag_row *row)
{
	struct proc v[MAX_TREE];
	pid_t pids[MAX_TREE] = {r->pid};
	struct holder h[4];
	char text[INET6_ADDRSTRLEN];
	int found = census_socket_low(r->pid, row->inode, h) ? 1 : census_socket_holders(pids, 1, row->inode, h, 4);

	/* not the root itself: any of its descendants */
	if (found <= 0) {
		unsigned n = target_tree(r, v, MAX_TREE, false), k = 0;

		for (unsigned i = 0; i < n; i++)
			if (!was_left(r, v[i].pid))
				pids[k++] = v[i].pid;
		found = census_socket_holders(pids, k, row->inode, h, 4);
	}
	if (p->path)
		snprintf(text, sizeof text, "unix socket");
	else
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

	/* one that is v6 alone is rare (a dual-stack one is found by its v4 address): every other look asks for it */
	if (p->path) {
		if (port_listener(r, p, &row) <= 0)
			return;
	} else if (diag_listener(r->world->diag, (struct sockaddr *)&v4, &row) > 0) {
		p->v6 = false;
		memcpy(&p->addr, &v4, sizeof v4);
	} else if (p->looks++ % 2 && diag_listener(r->world->diag, (struct sockaddr *)&v6, &row) > 0) {
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

static bool log_said(struct run *r);

/* Has it said that it is ready? */
static bool claims(struct run *r)
{
	switch (r->sc->target.ready) {
	case READY_LOG:
		return log_said(r) && r->alive;
	case READY_NOTIFY:
		return r->notified;
	case READY_LISTENING:
	case READY_HTTP:
	case READY_GRPC:
	case READY_STARTED:
		break;
	}
	return false;
}

/* The claim was read before this look at the ports, and one was not there. */
static void claimed_too_early(struct run *r)
{
	if (r->claimed_early)
		return;
	r->claimed_early = true;
	for (unsigned i = 0; i < r->n_ports; i++)
		if (!r->ports[i].listening)
			events_add(r->ev, EV_READY_EARLY, (int32_t)i, r->ports[i].number, 0, NULL);
}

bool ports_listen(struct run *r)
{
	nsec_t now = clock_now();
	bool all = true, claimed = r->claimed;

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
	if (!all && claimed)
		claimed_too_early(r);
	else if (!all)
		r->claimed = claims(r);
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
	if (r->asks)
		return false;
	if (clock_now() >= r->t_probe) {
		r->t_probe = clock_now() + 2 * NSEC_PER_MSEC;
		if (r->sc->target.ready == READY_GRPC)
			ask_health(r, 0, r->sc->target.ready_arg, r->sc->target.ready_within, ready_answer, NULL);
		else
			ask(r, 0, r->sc->target.ready_arg, r->sc->target.ready_within, ready_answer, NULL);
	}
	return false;
}

static bool never(struct run *r)
{
	return !r->alive;
}

struct elsewhere {
	struct run *r;
	struct buf text;
};

/* A LISTEN socket of the target on a port that nobody asked for: the commonest reason of "never ready". */
static bool note_other_port(const struct diag_row *row, void *arg)
{
	struct elsewhere *e = arg;
	struct proc v[MAX_TREE];
	pid_t pids[MAX_TREE];
	struct holder h[1];
	unsigned n = target_tree(e->r, v, MAX_TREE, false);

	for (unsigned i = 0; i < e->r->n_ports; i++)
		if (e->r->ports[i].number == row->sport)
			return true;
	for (unsigned i = 0; i < n; i++)
		pids[i] = v[i].pid;
	if (row->sport != e->r->gate_port && census_socket_holders(pids, n, row->inode, h, 1) > 0 && e->text.n < 100)
		buf_printf(&e->text, "%s%u", e->text.n ? ", " : "", row->sport);
	return true;
}

static const struct event *root_exit(const struct run *r)
{
	for (size_t i = r->ev->n; i-- > 0;)
		if ((r->ev->v[i].kind == EV_EXIT || r->ev->v[i].kind == EV_KILLED) && r->ev->v[i].a == r->pid)
			return &r->ev->v[i];
	return NULL;
}

static void how_it_ended(struct run *r, const char *awaited, struct buf *what)
{
	const struct event *last = root_exit(r);
	struct proc v[8];

	if (r->alive) {
		struct elsewhere e = {.r = r};

		buf_printf(what, "was not ready within its time: awaited was %s", awaited);
		diag_dump(r->world->diag, 1u << TCP_LISTEN, 0, note_other_port, &e);
		if (e.text.n && r->n_ports)
			buf_printf(what, ". It listens on port %s instead of %u: put ${PORT} into its command, or give --port",
				   e.text.p, r->ports[0].number);
		buf_free(&e.text);
	} else if (last && last->kind == EV_EXIT) {
		buf_printf(what, "exited with status %d %s", (int)last->b, awaited ? "before it was ready" : "and was ready");
		if (!last->b && target_tree(r, v, 8, false))
			buf_adds(what, ", but processes of it live on: it daemonised; run it in the foreground");
	} else if (last) {
		buf_printf(what, "was killed by %s before it was ready", signal_name((int)last->b));
	}
}

static int not_ready(struct run *r, const char *awaited)
{
	uint64_t bytes;
	struct buf what = {0};
	const char *tail = log_last_lines(r, &r->logs[1], 12, &bytes);

	if (!*tail)
		tail = log_last_lines(r, &r->logs[0], 12, &bytes);
	if (*tail)
		events_add(r->ev, EV_LOG_TAIL, -1, 2, (int64_t)bytes, tail);
	for (size_t i = 0; i < r->ev->n; i++)
		if (r->ev->v[i].kind == EV_FOREIGN)
			return err_set(r->err, ERR_TARGET, 0, "port %d is answered by a process that is not the "
				       "target's; `drainspec port %d` says whose", (int)r->ev->v[i].a,
				       (int)r->ev->v[i].a);
	how_it_ended(r, awaited, &what);
	const char *full = log_has_room(&r->logs[0]) ? "" : ". The disk that its output goes to (--out) is full, so it may have said more";

	err_set(r->err, ERR_TARGET, 0, "the target %s%s%s%s", what.p ? what.p : "ended", full, *tail ? "; its last lines:\n" :
		*full ? "" : ", and it said nothing", tail);
	buf_free(&what);
	return -1;
}

/* Its listener may be there a moment before the parent's exit. */
bool daemonised(struct run *r)
{
	const struct event *last = r->alive || r->n_signals ? NULL : root_exit(r);
	struct proc v[8];

	if (!last || last->kind != EV_EXIT || last->b || !target_tree(r, v, 8, false))
		return false;
	return not_ready(r, NULL) < 0;
}

static bool (*ready_cond(const struct run *r))(struct run *)
{
	switch (r->sc->target.ready) {
	case READY_LISTENING:
		return ports_listen;
	case READY_HTTP:
	case READY_GRPC:
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

/* Which command it is, port or not (FNV-1a). */
static uint64_t command_key(char *const *argv)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (; *argv; argv++)
		for (const char *p = *argv; ; p++) {
			h = (h ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
			if (!*p)
				break;
		}
	return h;
}

/* A look costs 10 us of a CPU that the target needs for its start, and a JVM would get ten thousand. The same command will take as
 * long as before: until three quarters of the fastest of its last starts nobody looks. (Who has promised something earlier is
 * looked at all the time: LSN-7.) */
static nsec_t first_look(struct run *r)
{
	struct starts *s = &r->world->starts;
	uint64_t key = command_key(r->sc->target.command);
	nsec_t least = NSEC_NEVER;

	if (key != s->key)
		*s = (struct starts){.key = key};
	if (s->n < START_MEMORY || r->sc->target.ready == READY_LOG || r->sc->target.ready == READY_NOTIFY)
		return 0;
	for (int i = 0; i < START_MEMORY; i++)
		least = s->took[i] < least ? s->took[i] : least;
	return r->t_launch + least * 3 / 4;
}

static void remember_start(struct run *r)
{
	struct starts *s = &r->world->starts;

	s->took[s->n++ % START_MEMORY] = r->ports[0].t_last_open - r->t_launch;
}

int target_await_ready(struct run *r)
{
	static const char *const awaited[] = {
		[READY_LISTENING] = "a LISTEN socket on its port", [READY_HTTP] = "200 from its path",
		[READY_LOG] = "a line of its log", [READY_NOTIFY] = "READY=1 on NOTIFY_SOCKET", [READY_STARTED] = "exec",
		[READY_GRPC] = "SERVING from its health service",
	};
	enum ready_by by = r->sc->target.ready;
	nsec_t deadline = r->t_launch + r->sc->target.ready_within;

	r->t_watch = first_look(r);
	r->t_probe = 0;
	r->ready_status = 0;
	r->claimed = r->claimed_early = false;
	/* whatever readiness means for it, connections need its listeners */
	if (r->n_ports && (!pump(r, ports_listen, deadline) || !r->alive))
		return r->world->interrupted ? -1 : not_ready(r, awaited[READY_LISTENING]);
	if (r->n_ports) {
		remember_start(r);
		actions_event(r, ON_LISTENING, r->ports[0].t_last_open);
	}
	if (by != READY_LISTENING && by != READY_STARTED && !r->claimed &&
	    (!pump(r, ready_cond(r), deadline) || !r->alive))
		return r->world->interrupted ? -1 : not_ready(r, awaited[by]);
	r->log_activity = true;         /* what was said while nobody listened for it */
	events_add(r->ev, EV_READY, -1, r->generation, 0, awaited[by]);
	actions_event(r, ON_READY, clock_now());
	return 0;
}
