/* LSN-4, overlapping: the same command is started while the old process still drains. It must come up and answer, and must still
 * be there, with its files, when the old one has ended. */
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/engine.h"
#include "run/env.h"
#include "target/port.h"

/* Is this process the new one, or of its making? */
static bool is_new(const struct run *r, const struct proc *v, unsigned n, pid_t pid)
{
	for (unsigned depth = 0; depth < 16 && pid > 1; depth++) {
		unsigned i = 0;

		if (pid == r->beside)
			return true;
		while (i < n && v[i].pid != pid)
			i++;
		if (i == n)
			return false;
		pid = v[i].ppid;
	}
	return false;
}

unsigned beside_leave_out(const struct run *r, struct proc *v, unsigned n)
{
	unsigned k = 0;
	bool mine[MAX_TREE];

	for (unsigned i = 0; r->beside && i < n; i++)
		mine[i] = !is_new(r, v, n, v[i].pid);
	for (unsigned i = 0; i < n; i++)
		if (!r->beside || mine[i])
			v[k++] = v[i];
	return k;
}

struct new_listener {
	struct run *r;
	pid_t pids[MAX_TREE];
	unsigned n;
	bool found;
};

static bool see_listener(const struct diag_row *row, void *arg)
{
	struct new_listener *l = arg;
	struct holder h;

	l->found |= census_socket_holders(l->pids, l->n, row->inode, &h, 1) > 0;
	return !l->found;
}

static bool ended(pid_t pid)
{
	struct proc p;

	return census_one(pid, false, &p) < 0 || p.state == 'Z';
}

/* Every port has a LISTEN socket that the new process has open; or the new process has given up. */
static bool up_or_gone(struct run *r)
{
	struct proc v[MAX_TREE];
	struct new_listener l = {.r = r};
	unsigned n = target_tree(r, v, MAX_TREE, false);

	r->look = clock_now() + NSEC_PER_MSEC;
	target_reap(r);
	if (ended(r->beside))
		return true;
	for (unsigned i = 0; i < n; i++)
		if (is_new(r, v, n, v[i].pid))
			l.pids[l.n++] = v[i].pid;
	r->beside_up = r->n_ports > 0;
	for (unsigned i = 0; i < r->n_ports; i++) {
		l.found = false;
		port_listeners(r, &r->ports[i], see_listener, &l);
		r->beside_up &= l.found;
	}
	return r->beside_up;
}

/* Who has the port is asked while he still has it. */
static void say_holders(struct run *r, const char *why)
{
	for (unsigned i = 0; i < r->n_ports; i++)
		port_autopsy(r, &r->ports[i]);
	events_add(r->ev, EV_RESTART, -1, 0, 0, why);
}

static void note_files(struct run *r)
{
	struct stat st;
	unsigned k = 0;

	for (char **p = r->sc->expect.removes; p && *p && k < 32; p++, k++)
		if (lstat(env_expand(r, *p), &st) == 0)
			r->beside_files |= 1u << k;
}

void beside_start(struct run *r)
{
	struct err why = {0}, *saved = r->err;
	struct launched l;

	events_add(r->ev, EV_HANDOVER, 1, r->pid, 0, "the same command is started while the old process drains");
	r->err = &why;
	int rc = target_launch(r, r->argv, -1, &l);

	r->err = saved;
	if (rc < 0) {
		events_add(r->ev, EV_RESTART, -1, 0, 0, arena_strdup(r->arena, why.what));
		return;
	}
	close(l.pidfd);
	r->beside = l.pid;
	bool settled = pump(r, up_or_gone, clock_now() + r->sc->target.ready_within);

	if (r->world->interrupted)
		return;
	if (!r->beside_up) {
		say_holders(r, settled ? "the new process ended before it listened" : "the new process does not listen");
		return;
	}
	note_files(r);
	restart_ask(r, "it came up while the old one drained");
}

/* The old one is gone: the new one must not have noticed. */
void beside_after(struct run *r)
{
	struct stat st;
	unsigned k = 0;

	if (!r->beside_up)
		return;
	if (ended(r->beside)) {
		events_add(r->ev, EV_RESTART, -1, 0, 0, "the new process ended with the old one");
		return;
	}
	restart_ask(r, "it serves after the old one's end");
	for (char **p = r->sc->expect.removes; p && *p && k < 32; p++, k++) {
		char *path = env_expand(r, *p);

		if (r->beside_files & 1u << k && lstat(path, &st) < 0)
			events_add(r->ev, EV_LEFT_FILE, 2, 0, 0, path);
	}
}
