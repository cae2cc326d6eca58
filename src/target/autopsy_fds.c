/* Open files of one process: which of them are sockets, and who is at the other end. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/names.h"
#include "target/autopsy_look.h"
#include "target/census_proc.h"

enum { TCP_LISTENING = 10, ALL_STATES = 0x2fff };       /* all but NEW-SYN-RECEIVED: those have no file */

struct gather {
	pid_t pid;
	struct look *look;
	size_t cap_fds, cap_rows;
	uint32_t *inode;        /* of all socket fds, sorted */
	size_t n_inodes;
	bool failed;            /* out of memory */
};

static void classify(pid_t pid, struct look_fd *f, const char *link)
{
	static const struct { const char *start; enum fd_kind kind; } kinds[] = {
		{ "socket:[", FD_SOCKET }, { "pipe:[", FD_PIPE }, { "anon_inode:[eventpoll]", FD_EPOLL },
		{ "anon_inode:", FD_OTHER },
	};
	char path[48], name[32] = "";

	f->kind = FD_FILE;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strncmp(link, kinds[i].start, strlen(kinds[i].start))) {
			f->kind = kinds[i].kind;
			break;
		}
	snprintf(f->name, sizeof f->name, "%.63s", link);
	if (f->kind != FD_SOCKET)
		return;
	f->inode = (uint32_t)strtoul(link + 8, NULL, 10);
	snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, f->fd);
	ssize_t n = getxattr(path, "system.sockprotoname", name, sizeof name - 1);

	snprintf(f->name, sizeof f->name, "%s socket", n > 0 ? name : "some");
	if (!strncmp(name, "UNIX", 4))
		f->kind = FD_UNIX;
	else if (!strncmp(name, "TCP", 3) || !strncmp(name, "MPTCP", 5))
		f->kind = FD_TCP;
}

static bool add_fd(int fd, void *arg)
{
	struct gather *g = arg;
	struct look *look = g->look;
	char link[96];

	if (look->n_fds == g->cap_fds) {
		size_t cap = g->cap_fds ? g->cap_fds * 2 : 64;
		void *p = realloc(look->fd, cap * sizeof *look->fd);

		g->failed = !p;
		if (!p)
			return false;
		look->fd = p;
		g->cap_fds = cap;
	}
	int n = proc_fd_link(g->pid, fd, link, sizeof link);

	if (n < 0)
		return true;
	struct look_fd *f = &look->fd[look->n_fds++];

	*f = (struct look_fd){ .fd = fd, .row = -1 };
	classify(g->pid, f, link);
	return true;
}

static int by_inode(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool add_row(const struct diag_row *row, void *arg)
{
	struct gather *g = arg;
	struct look *look = g->look;

	if (!row->inode || !bsearch(&row->inode, g->inode, g->n_inodes, sizeof *g->inode, by_inode))
		return true;
	if (look->n_rows == g->cap_rows) {
		size_t cap = g->cap_rows ? g->cap_rows * 2 : 32;
		void *p = realloc(look->row, cap * sizeof *look->row);

		g->failed = !p;
		if (!p)
			return false;
		look->row = p;
		g->cap_rows = cap;
	}
	look->row[look->n_rows++] = (struct look_row){ .r = *row, .fd = -1 };
	return true;
}

static int row_by_inode(const void *a, const void *b)
{
	return by_inode(&((const struct look_row *)a)->r.inode, &((const struct look_row *)b)->r.inode);
}

/* Rows sorted by inode, each with its fd; and the other way round. */
static void join(struct look *look)
{
	if (!look->n_rows)
		return;
	qsort(look->row, look->n_rows, sizeof *look->row, row_by_inode);
	for (size_t i = 0; i < look->n_fds; i++) {
		struct look_fd *f = &look->fd[i];
		struct look_row key = { .r.inode = f->inode };
		struct look_row *row = f->inode ? bsearch(&key, look->row, look->n_rows, sizeof key, row_by_inode)
						: NULL;

		if (!row)
			continue;
		f->kind = FD_TCP;
		f->row = (int)(row - look->row);
		if (row->fd < 0)
			row->fd = f->fd;
	}
}

/* Accepted, if the harness knows the client, or if somebody listens or listened on the port: a port that we listen on,
 * or one that two of our connections share (a port chosen by connect() is rarely shared). */
static bool is_accepted(const struct look *look, const struct look_row *row)
{
	for (size_t i = 0; i < look->n_rows; i++) {
		const struct look_row *other = &look->row[i];

		if (other != row && other->r.sport == row->r.sport &&
		    (other->r.state == TCP_LISTENING || other->r.dport != row->r.dport))
			return true;
	}
	return false;
}

static void name_clients(struct look *look, autopsy_peer_fn peer, void *arg)
{
	for (size_t i = 0; i < look->n_rows; i++) {
		struct look_row *row = &look->row[i];
		char addr[DIAG_ADDR_TEXT];

		if (row->r.state == TCP_LISTENING) {
			look->n_listeners++;
			continue;
		}
		const char *client = peer ? peer(arg, row->r.sport, row->r.dport) : NULL;

		row->accepted = client || is_accepted(look, row);
		diag_addr_text(&row->r, true, addr);
		if (client)
			snprintf(row->client, sizeof row->client, "%s", client);
		else
			snprintf(row->client, sizeof row->client, "%s%s", row->accepted ? "client " : "", addr);
		look->n_clients += row->accepted;
	}
}

int look_sockets(pid_t pid, struct diag *diag, autopsy_peer_fn peer, void *arg, struct look *look)
{
	struct gather g = { .pid = pid, .look = look };
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	look->fds_denied = proc_numbers(path, add_fd, &g) < 0;
	g.inode = calloc(look->n_fds + 1, sizeof *g.inode);
	if (!g.inode)
		return -ENOMEM;
	for (size_t i = 0; i < look->n_fds; i++)
		if (look->fd[i].inode)
			g.inode[g.n_inodes++] = look->fd[i].inode;
	qsort(g.inode, g.n_inodes, sizeof *g.inode, by_inode);
	if (g.n_inodes)
		look->rows_denied = !diag || diag_dump(diag, ALL_STATES, 0, add_row, &g) < 0;
	free(g.inode);
	join(look);
	name_clients(look, peer, arg);
	return g.failed ? -ENOMEM : 0;
}

void fd_text(const struct look *look, int fd, struct buf *out)
{
	char addr[DIAG_ADDR_TEXT];
	const struct look_fd *f = NULL;

	for (size_t i = 0; i < look->n_fds && !f; i++)
		if (look->fd[i].fd == fd)
			f = &look->fd[i];
	if (!f) {
		buf_adds(out, look->fds_denied ? "not visible" : "not open");
	} else if (f->row >= 0) {
		const struct look_row *row = &look->row[f->row];

		diag_addr_text(&row->r, false, addr);
		if (row->r.state == TCP_LISTENING)
			buf_printf(out, "listening socket %s", addr);
		else if (row->accepted)
			buf_printf(out, "connection %s <- %s", addr, row->client);
		else
			buf_printf(out, "connection to %s", row->client);
	} else if (f->kind == FD_UNIX || f->kind == FD_PIPE || f->kind == FD_EPOLL) {
		buf_adds(out, f->kind == FD_UNIX ? "unix socket" : f->kind == FD_PIPE ? "pipe" : "epoll set");
	} else {
		buf_adds(out, f->name);
	}
}

void row_text(const struct diag_row *row, struct buf *out)
{
	buf_adds(out, row->state == 13 ? "bound, not connected" : tcp_state_name(row->state));
	if (row->state == TCP_LISTENING) {
		buf_printf(out, ", %u of %u in the accept queue", row->rqueue, row->wqueue);
		return;
	}
	if (!row->rqueue && !row->wqueue)
		buf_adds(out, ", both queues empty");
	if (row->rqueue)
		buf_printf(out, ", %u bytes unread", row->rqueue);
	if (row->wqueue)
		buf_printf(out, ", %u bytes unacknowledged", row->wqueue);
	if (row->timer == 4)
		buf_adds(out, ", zero window");
}
