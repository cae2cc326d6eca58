#include "target/port_scan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target/census.h"
#include "target/census_proc.h"

enum { ALL_STATES = 0x3fff };   /* with bit 13: bound and nothing else */

struct gather {
	struct port_scan *scan;
	uint32_t *inode;                /* of all rows, sorted */
	size_t n_inodes, cap_rows, cap_fds;
	pid_t pid;                      /* or the id that proc_view() gives: kill() takes that as well */
	bool any, failed;
};

/* Make room for one more element; false when there is no memory. */
static bool grow(struct gather *g, void **v, size_t n, size_t *cap, size_t size)
{
	if (n < *cap)
		return true;
	size_t more = *cap ? *cap * 2 : 64;
	void *p = realloc(*v, more * size);

	if (!p) {
		g->failed = true;
		return false;
	}
	*v = p;
	*cap = more;
	return true;
}

static bool add_row(const struct diag_row *row, void *arg)
{
	struct gather *g = arg;

	if (row->sport != g->scan->port)
		return true;
	if (!grow(g, (void **)&g->scan->row, g->scan->n_rows, &g->cap_rows, sizeof *row))
		return false;
	g->scan->row[g->scan->n_rows++] = *row;
	return true;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int by_inode_pid_fd(const void *a, const void *b)
{
	const struct port_fd *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return x->fd - y->fd;
}

static bool add_fd(int fd, void *arg)
{
	struct gather *g = arg;
	uint32_t inode = proc_socket_inode(g->pid, fd);

	g->any = true;
	if (!inode || !bsearch(&inode, g->inode, g->n_inodes, sizeof inode, by_number))
		return true;
	if (!grow(g, (void **)&g->scan->fd, g->scan->n_fds, &g->cap_fds, sizeof *g->scan->fd))
		return false;
	g->scan->fd[g->scan->n_fds++] = (struct port_fd){ inode, g->pid, fd };
	return true;
}

static bool add_process(int pid, void *arg)
{
	struct gather *g = arg;
	char path[40];

	g->pid = pid;
	g->any = false;
	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	int r = proc_numbers(path, add_fd, g);

	if (!g->any && (g->pid = proc_view(pid)) != pid) {
		snprintf(path, sizeof path, "/proc/%d/fd", g->pid);
		r = proc_numbers(path, add_fd, g);
	}
	if (r == -EACCES) {
		struct proc p;  /* a zombie's table and a kernel thread's are closed to us as well, but empty */

		g->scan->denied |= !census_one(pid, false, &p) && p.state != 'Z' && p.rss_kib;
	}
	return !g->failed;
}

int port_scan(struct port_scan *ret, struct diag *diag, uint16_t port, pid_t asker)
{
	struct gather g = { .scan = ret };

	*ret = (struct port_scan){ .diag = diag, .port = port, .asker = asker };
	int r = diag_dump(diag, ALL_STATES, port, add_row, &g);

	if (r < 0)
		return r;
	g.inode = calloc(ret->n_rows + 1, sizeof *g.inode);
	if (!g.inode || g.failed) {
		free(g.inode);
		return -ENOMEM;
	}
	for (size_t i = 0; i < ret->n_rows; i++)
		if (ret->row[i].inode)
			g.inode[g.n_inodes++] = ret->row[i].inode;
	qsort(g.inode, g.n_inodes, sizeof *g.inode, by_number);
	if (g.n_inodes)
		proc_numbers("/proc", add_process, &g);
	free(g.inode);
	if (ret->n_fds)
		qsort(ret->fd, ret->n_fds, sizeof *ret->fd, by_inode_pid_fd);
	return g.failed ? -ENOMEM : 0;
}

void port_scan_free(struct port_scan *scan)
{
	free(scan->row);
	free(scan->fd);
	scan->row = NULL;
	scan->fd = NULL;
}

const struct port_fd *port_scan_fds(const struct port_scan *scan, uint32_t inode, size_t *ret_n)
{
	size_t lo = 0, hi = scan->n_fds, n = 0;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (scan->fd[mid].inode < inode)
			lo = mid + 1;
		else
			hi = mid;
	}
	while (inode && lo + n < scan->n_fds && scan->fd[lo + n].inode == inode)
		n++;
	*ret_n = n;
	return n ? &scan->fd[lo] : NULL;
}
