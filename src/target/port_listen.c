/* Listening sockets: who accepts from one, and who only happens to hold it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "target/autopsy_look.h"
#include "target/census.h"
#include "target/census_proc.h"
#include "target/port_scan.h"

enum { PROCS = 64 };

/* One process that has the listening socket open. */
struct party {
	struct proc p;
	int fd;
	unsigned n_fds;         /* of this one socket */
	char fds[48];           /* "3, 7" */
	bool cloexec;           /* all of them */
	int watches;            /* as autopsy_watches: 1, 0, -1 unknown */
	bool connected;         /* has accepted connections of this port */
	bool left;              /* the leader of its process group is dead: it outlived whoever started it */
};

static bool has_connection(const struct port_scan *scan, pid_t pid)
{
	for (size_t i = 0; i < scan->n_rows; i++) {
		size_t n;
		const struct port_fd *f = port_scan_fds(scan, scan->row[i].inode, &n);

		if (scan->row[i].state == PORT_LISTEN)
			continue;
		for (size_t k = 0; k < n; k++)
			if (f[k].pid == pid)
				return true;
	}
	return false;
}

static bool leader_is_dead(const struct proc *p)
{
	return p->pgid != p->pid && kill(p->pgid, 0) < 0 && errno == ESRCH;
}

static void see_fd(struct party *q, const struct port_fd *f)
{
	size_t used = strlen(q->fds);
	int watches;

	snprintf(q->fds + used, sizeof q->fds - used, "%s%d", used ? ", " : "", f->fd);
	q->cloexec &= proc_fd_cloexec(f->pid, f->fd);
	q->n_fds++;
	if (q->watches == 1)
		return;
	watches = autopsy_watches(f->pid, f->fd);
	if (watches)
		q->watches = watches;
}

static size_t parties(const struct port_scan *scan, uint32_t inode, struct party *v)
{
	size_t n_fds, n = 0;
	const struct port_fd *f = port_scan_fds(scan, inode, &n_fds);

	for (size_t i = 0; i < n_fds; i++) {
		if (!n || v[n - 1].p.pid != f[i].pid) {
			struct party q = { .fd = f[i].fd, .cloexec = true };

			if (n == PROCS)
				break;
			if (census_one(f[i].pid, false, &q.p) < 0)
				continue;
			proc_printable(q.p.comm);
			q.connected = has_connection(scan, f[i].pid);
			q.left = leader_is_dead(&q.p);
			v[n++] = q;
		}
		see_fd(&v[n - 1], &f[i]);
	}
	return n;
}

/* fork() copies the auxiliary vector with its random addresses, exec() makes a new one. */
static bool same_image(const struct party *a, const struct party *b)
{
	char x[1024], y[1024];
	int n = proc_read(a->p.pid, "auxv", x, sizeof x), m = proc_read(b->p.pid, "auxv", y, sizeof y);

	if (n <= 0 || m <= 0)
		return !strcmp(a->p.comm, b->p.comm);
	return n == m && !memcmp(x, y, (size_t)n);
}

static bool is_ancestor(pid_t old, const struct proc *of)
{
	struct proc p = *of;

	for (int depth = 0; depth < 16 && p.ppid > 0; depth++) {
		if (p.ppid == old)
			return true;
		if (census_one(p.ppid, false, &p) < 0)
			return false;
	}
	return false;
}

static bool serves(const struct party *q)
{
	return q->watches == 1 || q->connected;
}

/* The server: the oldest of those who wait on the socket; if nobody does, the oldest at all. */
static size_t owner_of(const struct party *v, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++) {
		bool better = serves(&v[i]) != serves(&v[best]) ? serves(&v[i])
			      : v[i].p.starttime < v[best].p.starttime;

		if (better)
			best = i;
	}
	return best;
}

/* Started by socket activation: it is meant to have the fd. */
static bool was_given(pid_t pid)
{
	char env[16384];
	int n = proc_read(pid, "environ", env, sizeof env);

	for (char *at = env; n > 0 && at < env + n; at += strlen(at) + 1)
		if (!strncmp(at, "LISTEN_FDS=", 11))
			return true;
	return false;
}

/* Holds a listener that it never asked for: close-on-exec was missing when somebody started it. */
static bool inherited(const struct party *q, const struct party *owner, pid_t asker)
{
	if (q->p.pid == asker || serves(q) || q->watches || q->cloexec || was_given(q->p.pid))
		return false;
	if (q == owner) /* nobody serves: it is a leftover if whoever started it is gone (init adopted it) */
		return q->left || q->p.ppid <= 1;
	return !same_image(q, owner) && !is_ancestor(q->p.pid, &owner->p);
}

static void who(const struct party *q, struct port_holder *h)
{
	h->pid = q->p.pid;
	h->fd = q->fd;
	snprintf(h->comm, sizeof h->comm, "%s", q->p.comm);
}

static void inherited_text(const struct party *q, const char *addr, struct port_holder *h)
{
	who(q, h);
	port_say(h->text, "%s (pid %d, fd %d) holds the listening socket %s and does not accept from it: "
		 "inherited%s, missing CLOEXEC", h->comm, h->pid, h->fd, addr,
		 q->left || q->p.ppid <= 1 ? " from a server that is gone" : "");
	port_say(h->fix, "set SOCK_CLOEXEC (or FD_CLOEXEC) on the listener before starting %s, and close it in forked children; now: kill %d",
		 h->comm, h->pid);
}

static void self_text(const char *addr, struct port_holder *h)
{
	h->kind = HOLDER_SELF;
	port_say(h->text, "%s (pid %d, fd %d) itself listens on %s already: a second listen on one address",
		 h->comm, h->pid, h->fd, addr);
	port_say(h->fix, "listen once and share the listener, or close fd %d before listening again", h->fd);
}

/* The processes that hold it too, by name: the first few. */
static void others_text(const struct party *v, size_t n, const bool *inherits, size_t head, struct buf *out)
{
	size_t others = 0;

	for (size_t i = 0; i < n; i++) {
		if (i == head || inherits[i])
			continue;
		if (others++ < 2)
			buf_printf(out, "%s %s (pid %d, fd %d)", others == 1 ? "; held too by" : ",", v[i].p.comm, v[i].p.pid,
				   v[i].fd);
	}
	if (others > 2)
		buf_printf(out, " and %zu more", others - 2);
}

static void listener_text(const struct party *q, const char *others, const struct diag_row *row, const char *addr,
			  struct port_holder *h)
{
	char same[96] = "";

	if (q->n_fds > 1)
		snprintf(same, sizeof same, "; fds %s are one socket: close all of them", q->fds);
	port_say(h->text, "%s (pid %d, fd %d) listens on %s%s, %u in its accept queue%s%s%s", h->comm, h->pid, h->fd, addr,
		 h->kind == HOLDER_TWIN ? " as well (SO_REUSEPORT)" : "", row->rqueue, same,
		 q->left ? "; the process that started it is gone" : "", others);
	port_say(h->fix, "stop it (kill -TERM %d), or choose another port", h->pid);
}

/* Of a master and its workers, the master: it is the one to talk to. */
static size_t head_of(const struct party *v, size_t n, size_t owner)
{
	size_t head = owner;

	for (size_t i = 0; i < n; i++)
		if (i != owner && same_image(&v[i], &v[owner]) && is_ancestor(v[i].p.pid, &v[head].p))
			head = i;
	return head;
}

static void judge_one(const struct port_scan *scan, const struct diag_row *row, bool twin, struct port_report *r)
{
	struct party v[PROCS];
	size_t n = parties(scan, row->inode, v), owner;
	bool inherits[PROCS];
	char addr[DIAG_ADDR_TEXT];
	struct port_holder *h;

	diag_addr_text(row, false, addr);
	if (!n) {
		port_unseen(scan, row, "listens", port_add(r, HOLDER_UNKNOWN, row));
		return;
	}
	owner = owner_of(v, n);
	for (size_t i = 0; i < n; i++)
		inherits[i] = inherited(&v[i], &v[owner], scan->asker);
	if (!inherits[owner]) {
		size_t head = head_of(v, n, owner);
		struct buf others = {0};

		h = port_add(r, twin ? HOLDER_TWIN : HOLDER_LISTENER, row);
		who(&v[head], h);
		others_text(v, n, inherits, head, &others);
		if (h->pid == scan->asker)
			self_text(addr, h);
		else
			listener_text(&v[head], others.p ? others.p : "", row, addr, h);
		buf_free(&others);
	}
	for (size_t i = 0; i < n; i++)
		if (inherits[i])
			inherited_text(&v[i], addr, port_add(r, HOLDER_INHERITED, row));
}

/* Two listeners that would get the same connection: same family, and one address covers the other. */
static bool overlaps(const struct diag_row *a, const struct diag_row *b)
{
	static const struct in6_addr any;
	size_t len = a->family == AF_INET ? 4 : 16;

	return a->family == b->family && (!memcmp(&a->src, &b->src, len) || !memcmp(&a->src, &any, len) ||
					  !memcmp(&b->src, &any, len));
}

void port_judge_listeners(const struct port_scan *scan, struct port_report *r)
{
	for (size_t i = 0; i < scan->n_rows; i++) {
		bool twin = false;

		if (scan->row[i].state != PORT_LISTEN)
			continue;
		for (size_t k = 0; k < i && !twin; k++)
			twin = scan->row[k].state == PORT_LISTEN && overlaps(&scan->row[i], &scan->row[k]);
		judge_one(scan, &scan->row[i], twin, r);
	}
}
