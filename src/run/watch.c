/* What the kernel shows while the target drains: LISTEN rows, readiness, counters of the namespace. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"
#include "target/diag_unix.h"
#include "target/iso.h"

void watch_wire(struct run *r)
{
	if (r->world->cap)
		capture_poll(r->world->cap);
}

int port_listener(struct run *r, const struct port *p, struct diag_row *ret)
{
	return p->path ? diag_unix_listener(p->path, ret) : diag_listener(r->world->diag, (const struct sockaddr *)&p->addr, ret);
}

int port_listeners(struct run *r, const struct port *p, bool (*fn)(const struct diag_row *, void *), void *arg)
{
	struct diag_row row;

	if (!p->path)
		return diag_dump(r->world->diag, 1u << TCP_LISTEN, p->number, fn, arg);
	int rc = diag_unix_listener(p->path, &row);

	if (rc > 0)
		fn(&row, arg);
	return rc < 0 ? rc : 0;
}

static bool own_row(const struct port *p, uint32_t inode)
{
	for (unsigned i = 0; i < p->n_inodes; i++)
		if (p->inodes[i] == inode)
			return true;
	return false;
}

void listen_rows(struct run *r, const char *when)
{
	struct diag_row row;

	for (unsigned i = 0; i < r->n_ports; i++) {
		if (port_listener(r, &r->ports[i], &row) <= 0)
			continue;
		if (own_row(&r->ports[i], row.inode))
			r->ports[i].t_last_open = clock_now();
		events_add(r->ev, EV_LISTEN_ROW, (int32_t)i, row.rqueue, row.wqueue, when);
	}
}

static void readiness_answer(struct run *r, void *arg, int status, const char *body)
{
	(void)arg;
	(void)body;
	events_add(r->ev, EV_READINESS, -1, status, 0, NULL);
}

static bool told(struct run *r)
{
	return health_told(r) || !r->alive;
}

void readiness_watch(struct run *r)
{
	const char *how = r->sc->expect.readiness;

	if (!how || strncmp(how, "watch", 5) || !r->n_ports)
		return;
	watch_health(r, 0, how[5] == ':' ? how + 6 : NULL, readiness_answer, NULL);
	pump(r, told, clock_now() + r->sc->arm_within);
}

/* A prompt server closes its listener in 20 us, when the signal has just been delivered; one that stays open for seconds need not be
 * timed to 100 us. */
nsec_t watch_period(nsec_t since)
{
	return since < 200 * NSEC_PER_USEC ? 40 * NSEC_PER_USEC : since < 100 * NSEC_PER_MSEC ? 100 * NSEC_PER_USEC :
	       since < 2 * NSEC_PER_SEC ? NSEC_PER_MSEC : 5 * NSEC_PER_MSEC;
}

static void learn_inode(struct run *r, struct port *p, uint32_t inode)
{
	if (p->n_inodes == p->cap_inodes) {
		uint32_t *more = arena_array(r->arena, uint32_t, p->cap_inodes ? 2 * p->cap_inodes : 16);

		if (p->n_inodes)
			memcpy(more, p->inodes, p->n_inodes * sizeof *more);
		p->inodes = more;
		p->cap_inodes = p->cap_inodes ? 2 * p->cap_inodes : 16;
	}
	p->inodes[p->n_inodes++] = inode;
}

struct port_rows {
	struct run *run;
	struct port *port;
	bool own;
};

static bool learn_row(const struct diag_row *row, void *arg)
{
	struct port_rows *rows = arg;

	learn_inode(rows->run, rows->port, row->inode);
	return true;
}

static bool see_row(const struct diag_row *row, void *arg)
{
	struct port_rows *rows = arg;

	rows->own = own_row(rows->port, row->inode);
	return !rows->own;
}

/* Which sockets listen on the target's ports before the signal: those are the listeners that have to go, all of them: one for each
 * worker or address family. What listens there afterwards is something else (LSN-2). */
void listeners_learn(struct run *r)
{
	for (unsigned i = 0; i < r->n_ports; i++) {
		struct port_rows rows = {.run = r, .port = &r->ports[i]};

		r->ports[i].n_inodes = 0;
		port_listeners(r, &r->ports[i], learn_row, &rows);
	}
}

/* One of its own listeners still listens? 1, 0, or -errno: nobody can tell. *ret_row: whoever would get a connection. That one is
 * looked up by address, which is cheap; the rest (the other address family, SO_REUSEPORT) only if it is gone or somebody else's. */
static int still_listens(struct run *r, struct port *p, struct diag_row *ret_row)
{
	struct port_rows rows = {.run = r, .port = p};
	int rc = port_listener(r, p, ret_row);

	if (rc < 0)
		return rc;
	if (rc && own_row(p, ret_row->inode))
		return 1;
	if (p->closed || (!rc && p->n_inodes < 2))
		return 0;
	rc = port_listeners(r, p, see_row, &rows);
	return rows.own ? 1 : rc < 0 ? rc : 0;
}

static void look_at(struct run *r, struct port *p)
{
	struct diag_row row = {0};
	int open = still_listens(r, p, &row);
	int32_t i = (int32_t)(p - r->ports);

	if (open < 0) {         /* no answer (no memory, no descriptor) is not the answer that it is gone */
		if (!p->unseen)
			events_addf(r->ev, EV_NOTE, -1, 0, 0, "cannot look up the listener on port %u: %s", p->number,
				    strerror(-open));
		p->unseen = true;
	} else if (!p->closed && open) {
		p->t_last_open = clock_now();
	} else if (!p->closed) {
		p->closed = true;
		events_add(r->ev, EV_LISTENER_CLOSED, i, p->number, p->t_last_open, NULL);
		p->twin = row.inode;    /* 0 unless something else listened all the while */
	} else if (row.inode && row.inode != p->twin && !p->back && !r->beside) {
		p->back = true;
		events_add(r->ev, EV_LISTENER_BACK, i, p->number, row.inode, NULL);
	} else if (!row.inode && p->back) {
		p->back = false;
		events_add(r->ev, EV_LISTENER_CLOSED, i, p->number, clock_now(), "again");
	}
}

/* A signal that was sent wakes the target at once. One that was typed is sent by a worker of the kernel's, some time later; the
 * terminal echoes it then, after it has sent it (n_tty_receive_signal_char(), drivers/tty/n_tty.c), and nobody reads the echo. */
static bool typed_arrived(const struct run *r)
{
	return !r->typed || r->tty < 0 || poll(&(struct pollfd){.fd = r->tty, .events = POLLIN}, 1, 0) == 1;
}

static void watch_rest(struct run *r)
{
	bool settled = !r->t_on[ON_SETTLED] && actions_want(r, ON_SETTLED);
	bool closed = r->t_on[ON_LISTENER_CLOSED] && !r->t_on[ON_CLOSED_SETTLED] && actions_want(r, ON_CLOSED_SETTLED);

	if (!r->t_signal || !(settled || closed) || !typed_arrived(r) || !target_rests(r))
		return;
	if (settled)
		actions_event(r, ON_SETTLED, clock_now());
	if (closed)
		actions_event(r, ON_CLOSED_SETTLED, clock_now());
}

void watch_listeners(struct run *r)
{
	nsec_t now = clock_now();
	bool all_closed = true;

	if (now < r->t_watch)
		return;
	for (unsigned i = 0; i < r->n_ports; i++) {
		look_at(r, &r->ports[i]);
		all_closed &= r->ports[i].closed;
	}
	now = clock_now();
	if (all_closed && r->n_ports) {
		if (!r->t_on[ON_LISTENER_CLOSED])
			r->t_all_asleep = 0;
		actions_event(r, ON_LISTENER_CLOSED, now);
	}
	if (r->sc->expect.readiness && strncmp(r->sc->expect.readiness, "watch", 5) && r->n_ports && !r->ports[0].closed && !r->asks && now >= r->t_probe) {
		r->t_probe = now + NSEC_PER_MSEC;
		if (!strncmp(r->sc->expect.readiness, "grpc", 4))
			ask_health(r, 0, r->sc->expect.readiness[4] == ':' ? r->sc->expect.readiness + 5 : NULL, NSEC_PER_SEC,
				   readiness_answer, NULL);
		else
			ask(r, 0, r->sc->expect.readiness, NSEC_PER_SEC, readiness_answer, NULL);
	}
	watch_rest(r);
	r->t_watch = clock_now() + (r->t_on[ON_LISTENER_CLOSED] ? 2 * NSEC_PER_MSEC : watch_period(now - r->t_signal));
}

/* Those that say something of a shutdown. Per network namespace, so in our own they are the target's and ours alone. */
static const char *const counters[] = {
	"TcpExt.ListenDrops", "TcpExt.ListenOverflows", "TcpExt.TCPAbortOnData", "TcpExt.TCPAbortOnClose",
	"TcpExt.TCPAbortOnLinger", "TcpExt.TCPAbortOnTimeout", "TcpExt.TCPReqQFullDrop", "TcpExt.TCPBacklogDrop",
	"TcpExt.TCPTimeouts", "TcpExt.TCPRetransFail", "Tcp.OutRsts", "Tcp.EstabResets", "Tcp.AttemptFails",
};
#define N_COUNTERS (sizeof counters / sizeof *counters)
_Static_assert(N_COUNTERS <= sizeof((struct world *)0)->counters / sizeof(uint64_t), "world.counters is too short");

/* Each file has pairs of lines, "Prefix: Name Name ..." and "Prefix: value value ...", of which one pair is ours. It is found by its
 * prefix every time, for the others come and go (IcmpMsg: with the first ICMP message of the namespace); its columns stay as they
 * are while the kernel runs, so their names are read once. Parsing them anew would be a tenth of our work in a short scenario. */
struct counter_file {
	const char *path, *prefix;
	bool known;
	size_t names;           /* length of the line of names, to step over it */
	unsigned n;
	struct {
		unsigned column, counter;
	} wanted[N_COUNTERS];
};

static const char *next_word(const char *p, size_t *ret_n)
{
	while (*p == ' ')
		p++;
	const char *end = p;

	while (*end && *end != ' ' && *end != '\n')
		end++;
	*ret_n = (size_t)(end - p);
	return p;
}

static void learn(struct counter_file *f, const char *names)
{
	size_t prefix = strlen(f->prefix), n;

	f->known = true;
	f->names = strcspn(names, "\n");
	names += prefix;
	for (unsigned column = 0; names = next_word(names, &n), n; column++, names += n)
		for (unsigned i = 0; i < N_COUNTERS; i++) {
			const char *c = counters[i];

			/* "TcpExt:" against "TcpExt.", then the name itself */
			if (!strncmp(c, f->prefix, prefix - 1) && c[prefix - 1] == '.' && !strncmp(c + prefix, names, n) &&
			    !c[prefix + n]) {
				f->wanted[f->n].column = column;
				f->wanted[f->n++].counter = i;
			}
		}
}

static void take(const struct counter_file *f, const char *values, uint64_t *out)
{
	unsigned column = 0;
	size_t n;

	values += strlen(f->prefix);
	for (unsigned i = 0; i < f->n; column++) {
		values = next_word(values, &n);
		if (!n)
			return;
		if (column == f->wanted[i].column)
			out[f->wanted[i++].counter] = strtoull(values, NULL, 10);
		values += n;
	}
}

static void read_counters(int fd, struct counter_file *f, uint64_t *out)
{
	static char text[32 * 1024];
	ssize_t n = pread(fd, text, sizeof text - 1, 0);
	size_t prefix = strlen(f->prefix);
	const char *at = text;

	text[n > 0 ? n : 0] = '\0';
	while (at && strncmp(at, f->prefix, prefix)) {
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
	if (!at)
		return;
	if (!f->known)
		learn(f, at);
	at += f->names + 1;
	if (at < text + n && !strncmp(at, f->prefix, prefix))
		take(f, at, out);
}

/* What happened between two scenarios of a worker is nobody's: the end of one is the start of the next. */
void watch_counters(struct run *r, bool end)
{
	static struct counter_file files[] = {{.path = "/proc/self/net/netstat", .prefix = "TcpExt:"},
					      {.path = "/proc/self/net/snmp", .prefix = "Tcp:"}};
	struct world *w = r->world;
	uint64_t now[N_COUNTERS] = {0};

	if (!end && w->counted && w->got & ISO_NET)
		return;
	for (int i = 0; i < 2; i++) {
		/* opened once: reading from the start makes the numbers anew */
		if (w->counter_fds[i] < 0)
			w->counter_fds[i] = open(files[i].path, O_RDONLY | O_CLOEXEC);
		if (w->counter_fds[i] >= 0)
			read_counters(w->counter_fds[i], &files[i], now);
	}
	for (size_t i = 0; end && i < N_COUNTERS; i++)
		if (now[i] != w->counters[i])
			events_add(r->ev, EV_COUNTER, -1, (int64_t)(now[i] - w->counters[i]), 0, counters[i]);
	memcpy(w->counters, now, sizeof now);
	w->counted = true;
}
