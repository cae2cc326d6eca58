/* Who descends from whom, and who holds a socket. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/census.h"
#include "target/census_proc.h"

enum { WALKS_MAX = 4 };

struct walk {
	struct proc *v;
	size_t max, n;          /* n counts on past max */
	struct buf pids;        /* pid_t of all found, in order: the queue of the walk */
	bool with_fds;
	bool vanished;          /* a listed process was gone when looked at: its siblings or children may have been missed */
};

static pid_t queued(const struct walk *w, size_t i)
{
	pid_t pid;

	memcpy(&pid, w->pids.p + i * sizeof pid, sizeof pid);
	return pid;
}

static bool add(struct walk *w, pid_t pid)
{
	struct proc here, *p = w->n < w->max ? &w->v[w->n] : &here;

	for (size_t i = 0; i < w->n; i++)
		if (queued(w, i) == pid)
			return false;
	int r = census_one(pid, w->with_fds, p);

	if (r < 0) {
		w->vanished |= r == -ESRCH;
		return false;
	}
	buf_add(&w->pids, &pid, sizeof pid);
	w->n++;
	return true;
}

struct tid_arg {
	struct walk *walk;
	pid_t pid;
};

/* A children file lists the processes whose parent is that very thread, so every thread has to be asked. */
static bool children_of_thread(int tid, void *arg)
{
	struct tid_arg *t = arg;
	char name[48], text[8192];

	snprintf(name, sizeof name, "task/%d/children", tid);
	if (proc_read(t->pid, name, text, sizeof text) < 0)
		return true;
	for (char *at = text, *end;; at = end) {
		long child = strtol(at, &end, 10);

		if (end == at)
			return true;
		if (child != getpid())
			add(t->walk, (pid_t)child);
	}
}

static void add_children(struct walk *w, pid_t pid, uint32_t threads)
{
	struct tid_arg arg = { w, pid };
	char path[40];

	if (threads == 1) {
		children_of_thread(pid, &arg);
		return;
	}
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	if (proc_numbers(path, children_of_thread, &arg) < 0)
		w->vanished = true;
}

/* Without CONFIG_PROC_CHILDREN: everything whose parent is already in the tree (or is us). */
static bool add_if_parent_known(int pid, void *arg)
{
	struct walk *w = arg;
	struct proc p;

	if (pid == getpid() || census_one(pid, false, &p) < 0)
		return true;
	bool known = p.ppid == getpid();

	for (size_t i = 0; i < w->n && !known; i++)
		known = queued(w, i) == p.ppid;
	if (known)
		add(w, pid);
	return true;
}

static bool add_any(int pid, void *arg)
{
	if (pid != getpid() && pid != 1)
		add(arg, pid);
	return true;
}

static void add_descendants(struct walk *w, size_t from)
{
	for (size_t i = from; i < w->n; i++)
		add_children(w, queued(w, i), i < w->max ? w->v[i].threads : 0);
}

static void walk_once(struct walk *w, pid_t root, bool own_pidns)
{
	w->n = 0;
	w->pids.n = 0;
	w->vanished = false;
	if (root > 0)
		add(w, root);
	if (own_pidns) {
		proc_numbers("/proc", add_any, w);
		w->vanished = false;    /* the directory is complete as of its reading: nothing hides behind a dead entry */
		return;
	}
	if (access("/proc/thread-self/children", F_OK) < 0) {
		for (size_t before = SIZE_MAX; before != w->n;) {
			before = w->n;
			proc_numbers("/proc", add_if_parent_known, w);
		}
		w->vanished = false;
		return;
	}
	w->vanished = false;            /* root itself may be gone: that is no reason to look again */
	add_descendants(w, 0);
	/* ours last: what lost its parent during the walk has come to us by now */
	size_t adopted = w->n;

	add_children(w, getpid(), 0);
	add_descendants(w, adopted);
}

size_t census_tree(pid_t root, bool own_pidns, bool with_fds, struct proc *ret, size_t max)
{
	struct walk w = { .v = ret, .max = max, .with_fds = with_fds };

	for (int i = 0; i < WALKS_MAX; i++) {
		walk_once(&w, root, own_pidns);
		if (!w.vanished)
			break;
	}
	buf_free(&w.pids);
	return w.n;
}

struct search {
	uint32_t inode;
	pid_t pid, view;        /* view: as proc_view() */
	bool any;
	struct holder *v;
	size_t max;
	int n;
};

static bool match_fd(int fd, void *arg)
{
	struct search *s = arg;

	s->any = true;
	if (proc_socket_inode(s->view, fd) != s->inode)
		return true;
	if ((size_t)s->n < s->max) {
		struct holder *h = &s->v[s->n];

		*h = (struct holder){ .pid = s->pid, .fd = fd, .cloexec = proc_fd_cloexec(s->view, fd) };
		proc_comm(s->pid, h->comm, sizeof h->comm);
	}
	s->n++;
	return true;
}

/* 0, or -errno of the fd table. */
static int search_one(struct search *s, pid_t pid)
{
	char path[40];

	s->pid = s->view = pid;
	s->any = false;
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	int r = proc_numbers(path, match_fd, s);

	if (s->any || (s->view = proc_view(pid)) == pid)
		return r;
	snprintf(path, sizeof path, "/proc/%d/fd", s->view);
	return proc_numbers(path, match_fd, s);
}

bool census_socket_low(pid_t pid, uint32_t inode, struct holder *ret)
{
	enum { LOWEST = 3, HIGHEST = 9 };

	for (int fd = LOWEST; inode && fd <= HIGHEST; fd++) {
		if (proc_socket_inode(pid, fd) != inode)
			continue;
		*ret = (struct holder){ .pid = pid, .fd = fd };
		proc_comm(pid, ret->comm, sizeof ret->comm);
		return true;
	}
	return false;
}

int census_socket_holders(const pid_t *pids, size_t n, uint32_t inode, struct holder *ret, size_t max)
{
	struct search s = { .inode = inode, .v = ret, .max = max };
	bool denied = false;

	if (!inode)
		return 0;
	for (size_t i = 0; i < n; i++) {
		if (search_one(&s, pids[i]) != -EACCES)
			continue;
		struct proc p;  /* the table of a zombie is unreadable, but empty */

		denied |= !census_one(pids[i], false, &p) && p.state != 'Z';
	}
	return s.n || !denied ? s.n : -EACCES;
}
