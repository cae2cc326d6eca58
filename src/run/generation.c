/* Who listens, generation after generation. A generation is found by the inode of the LISTEN socket: another process has it
 * open, or another socket listens. Answers belong to the generation that they name, else to the owner of their socket. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "run/engine.h"
#include "target/iso.h"

#define MAX_INODES 32
#define HEAR_BYTES 2048         /* of an answer, in which its name is looked for */

struct inodes {
	uint32_t v[MAX_INODES];
	unsigned n;
};

static bool take_inode(const struct diag_row *row, void *arg)
{
	struct inodes *in = arg;

	if (row->inode && in->n < MAX_INODES)
		in->v[in->n++] = row->inode;
	return true;
}

static const struct member *member_of(const struct hand *h, pid_t pid)
{
	for (unsigned i = h->n_members; i-- > 0;)
		if (h->members[i].pid == pid && !h->members[i].gone)
			return &h->members[i];
	return NULL;
}

static bool knows_inode(const struct hand *h, uint32_t inode)
{
	for (unsigned i = 0; i < h->n_members; i++)
		if (h->members[i].inode == inode)
			return true;
	return false;
}

static void found(struct run *r, const struct holder *who, uint32_t inode)
{
	struct hand *h = r->hand;
	bool new_process = !member_of(h, who->pid), new_socket = !knows_inode(h, inode);

	if ((!new_process && !new_socket) || h->n_members == MAX_MEMBERS)
		return;
	h->members[h->n_members++] = (struct member){.pid = who->pid, .inode = inode,
						      .generation = (uint16_t)h->attempt};
	if (h->attempt > h->found)
		h->found = h->attempt;
	events_addf(r->ev, EV_GENERATION, (int32_t)h->attempt, who->pid, inode, "%d/%s fd %d, %s%s%s", who->pid, who->comm,
		    who->fd, new_process ? "new process" : "", new_process && new_socket ? ", " : "",
		    new_socket ? "new socket" : "");
}

void generation_look(struct run *r)
{
	struct inodes in = {0};
	struct proc v[MAX_TREE];
	pid_t pids[MAX_TREE];
	struct holder h[64];

	for (unsigned i = 0; i < r->n_ports; i++)
		port_listeners(r, &r->ports[i], take_inode, &in);
	unsigned n = in.n ? target_tree(r, v, MAX_TREE, false) : 0, k = 0;

	for (unsigned i = 0; i < n; i++)
		if (v[i].state != 'Z' && !v[i].exiting)
			pids[k++] = v[i].pid;
	for (unsigned i = 0; i < in.n; i++) {
		int holders = census_socket_holders(pids, k, in.v[i], h, 64);

		for (int j = 0; j < holders && j < 64; j++)
			found(r, &h[j], in.v[i]);
	}
	r->hand->t_look = clock_now();
}

static bool lives(pid_t pid)
{
	struct proc p;

	return census_one(pid, false, &p) == 0 && p.state != 'Z' && p.state != 'X';
}

/* Of the processes of the newest generation the one that none of the others has started. */
pid_t generation_leader(struct run *r)
{
	const struct hand *h = r->hand;

	for (unsigned g = h->found + 1; g-- > 0;) {
		pid_t any = 0;

		for (unsigned i = 0; i < h->n_members; i++) {
			const struct member *m = &h->members[i], *parent;
			struct proc p;

			if (m->generation != g || m->gone || census_one(m->pid, false, &p) < 0 || p.state == 'Z' || p.exiting)
				continue;
			parent = member_of(h, p.ppid);
			any = any ? any : m->pid;
			if (!parent || parent->generation != g)
				return m->pid;
		}
		if (any)
			return any;
	}
	return 0;
}

bool generation_adopt(struct run *r)
{
	generation_look(r);
	pid_t pid = r->sc->restart.newest ? generation_leader(r) : 0;
	int fd = pid > 0 && pid != r->pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	if (fd < 0)
		return false;
	close(r->pidfd);
	r->pidfd = -1;
	root_watch(r, pid, fd);
	return true;
}

/* Does the contract let this one go on: the master, or who listens by a newer socket as well? Without a stream nobody asks the new
 * one anything, and that it listens is all there is to wait for. */
static bool may_stay(const struct run *r, const struct member *m)
{
	const struct member *newest = member_of(r->hand, m->pid);
	unsigned serves = has_loops(r) ? r->hand->answered : r->hand->found;

	return m->generation >= serves || (!r->sc->restart.newest && m->pid == r->pid) || (newest && newest->generation >= serves);
}

bool generation_old_gone(struct run *r)
{
	struct hand *h = r->hand;
	bool all = true;

	r->look = clock_now() + NSEC_PER_MSEC;
	target_reap(r);
	for (unsigned i = 0; i < h->n_members; i++) {
		struct member *m = &h->members[i];

		if (m->gone || may_stay(r, m))
			continue;
		if (lives(m->pid)) {
			all = false;
			continue;
		}
		m->gone = true;
		events_add(r->ev, EV_GENERATION_GONE, m->generation, m->pid, 0, NULL);
	}
	return all;
}

bool generation_survivors(struct run *r)
{
	struct hand *h = r->hand;
	bool any = false;

	generation_old_gone(r);
	for (unsigned i = 0; i < h->n_members; i++) {
		const struct member *m = &h->members[i];
		struct holder who;

		if (m->gone || may_stay(r, m))
			continue;
		bool listens = census_socket_holders(&m->pid, 1, m->inode, &who, 1) > 0;

		one_autopsy(r, m->pid);
		const struct event *e = &r->ev->v[r->ev->n - 1];
		const char *doing = e->kind == EV_AUTOPSY && e->a == m->pid && e->text ? e->text : "not looked at";

		events_addf(r->ev, EV_GENERATION_LIVES, m->generation, m->pid, listens ? m->inode : 0, "%.*s",
			    (int)strcspn(doing, "\n"), doing);
		any = true;
	}
	return any;
}

/* --- whose answer is it? */

static void served_by(struct run *r, struct conn *c, unsigned generation, pid_t pid, const char *how)
{
	if (generation > r->hand->answered)
		r->hand->answered = generation;
	events_add(r->ev, EV_SERVED_BY, c->index, generation, pid, how);
}

/* What an answer names: a pid of one of the generations; else anything, which then stands for the newest one that listens
 * when it is first seen. */
static void learn_label(struct run *r, struct conn *c, const char *text)
{
	struct hand *h = r->hand;
	const struct member *m;
	pid_t pid = (pid_t)strtol(text, NULL, 10);

	for (unsigned i = h->n_labels; i-- > 0;)
		if (!strcmp(h->labels[i].text, text)) {
			c->heard = (h->labels[i].generation + 1u) & 0x3ff;
			c->heard_pid = (uint32_t)h->labels[i].pid & 0x3fffff;
			return;
		}
	generation_look(r);
	m = pid > 1 ? member_of(h, pid) : NULL;
	c->heard = ((m ? m->generation : h->found) + 1) & 0x3ff;
	c->heard_pid = m ? (uint32_t)pid & 0x3fffff : 0;
	if (h->n_labels == MAX_LABELS)
		return;
	snprintf(h->labels[h->n_labels].text, sizeof h->labels[0].text, "%s", text);
	h->labels[h->n_labels].generation = (uint16_t)(c->heard - 1);
	h->labels[h->n_labels++].pid = (pid_t)c->heard_pid;
}

void generation_hear(struct run *r, struct conn *c, const uint8_t *p, size_t n)
{
	char text[HEAR_BYTES + 1], label[24];
	regmatch_t m[2];

	if (c->heard || !r->sc->restart.names)
		return;
	n = n > HEAR_BYTES ? HEAR_BYTES : n;
	memcpy(text, p, n);
	text[n] = '\0';
	if (regexec(&r->hand->names, text, 2, m, 0) != 0 || m[1].rm_so < 0)
		return;
	snprintf(label, sizeof label, "%.*s", (int)(m[1].rm_eo - m[1].rm_so), text + m[1].rm_so);
	learn_label(r, c, label);
}

static void by_socket(struct run *r, struct conn *c)
{
	struct hand *h = r->hand;
	struct diag_row row = {0};
	struct holder who;

	if (diag_of(r, c, &row) <= 0 || !row.inode)
		return;
	for (int again = 0; again < 2; again++) {
		for (unsigned i = h->n_members; i-- > 0;)
			if (!h->members[i].gone && census_socket_holders(&h->members[i].pid, 1, row.inode, &who, 1) > 0) {
				served_by(r, c, member_of(h, who.pid)->generation, who.pid, "socket");
				return;
			}
		generation_look(r);
	}
}

void generation_answered(struct run *r, struct conn *c)
{
	if (c->heard)
		served_by(r, c, c->heard - 1u, c->heard_pid, "named");
	else if (c->w.fd >= 0)
		by_socket(r, c);
	c->heard = 0;
}
