/* What holds a port without listening on it: bound sockets, connections, TIME-WAIT. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/names.h"
#include "target/census_proc.h"
#include "target/port_scan.h"

struct range {
	unsigned lo, hi;
};

static struct range ephemeral_ports(void)
{
	struct range r = { 32768, 60999 };
	_cleanup_file_ FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	if (f && fscanf(f, "%u %u", &r.lo, &r.hi) != 2)
		r = (struct range){ 32768, 60999 };
	return r;
}

static bool within(struct range r, unsigned port)
{
	return port >= r.lo && port <= r.hi;
}

static void address(const struct diag_row *row, bool peer, struct sockaddr_in6 *ret)
{
	const struct in6_addr *a = peer ? &row->dst : &row->src;
	uint16_t port = htons(peer ? row->dport : row->sport);

	memset(ret, 0, sizeof *ret);
	if (row->family == AF_INET) {
		struct sockaddr_in *in = (struct sockaddr_in *)ret;

		in->sin_family = AF_INET;
		in->sin_port = port;
		memcpy(&in->sin_addr, a, 4);
	} else {
		ret->sin6_family = AF_INET6;
		ret->sin6_port = port;
		ret->sin6_addr = *a;
	}
}

/* No row says who called connect(). In this order: a listener at our end, a listener at the other end, which of the
 * ports is one that connect() would choose, more than one peer, and whether the peer is on this host (then it is the client,
 * as nobody listens there). */
static bool is_outgoing(const struct port_scan *scan, const struct diag_row *row)
{
	struct range eph = ephemeral_ports();
	struct sockaddr_in6 local, peer;
	struct diag_row other;

	for (size_t i = 0; i < scan->n_rows; i++)
		if (scan->row[i].state == PORT_LISTEN)
			return false;
	address(row, false, &local);
	address(row, true, &peer);
	if (diag_listener(scan->diag, (const struct sockaddr *)&peer, &other) == 1)
		return true;
	if (within(eph, row->sport) != within(eph, row->dport))
		return within(eph, row->sport);
	for (size_t i = 0; i < scan->n_rows; i++)
		if (scan->row[i].dport && scan->row[i].dport != row->dport)
			return false;
	return diag_conn(scan->diag, (const struct sockaddr *)&peer, (const struct sockaddr *)&local, &other) != 1;
}

/* A FIN-WAIT-2 that the kernel keeps for a closed socket is a TIME-WAIT in all but name (timer 3). */
static bool is_time_wait(const struct diag_row *row)
{
	return row->state == PORT_TIME_WAIT || (!row->inode && row->timer == 3);
}

static enum holder_kind kind_of(const struct port_scan *scan, const struct diag_row *row)
{
	if (is_time_wait(row))
		return HOLDER_TIME_WAIT;
	if (row->state == PORT_CLOSE || row->state == PORT_BOUND_INACTIVE)
		return HOLDER_BOUND;
	return is_outgoing(scan, row) ? HOLDER_OUTGOING : HOLDER_CONNECTION;
}

void port_unseen(const struct port_scan *scan, const struct diag_row *row, const char *does, struct port_holder *h)
{
	char addr[DIAG_ADDR_TEXT];

	diag_addr_text(row, false, addr);
	if (scan->denied) {
		port_say(h->text, "a process owned by another user (uid %u), not visible to us, %s on %s",
			 row->uid, does, addr);
		port_say(h->fix, "ask again as root (sudo drainspec port %u), or stop the service of uid %u",
			 scan->port, row->uid);
	} else {
		port_say(h->text, "a process outside this PID namespace (uid %u), or the kernel itself, %s on %s", row->uid, does, addr);
		port_say(h->fix, "ask again in the PID namespace of the host (outside the container)");
	}
}

static void bound_text(const struct port_scan *scan, const struct diag_row *row, struct port_holder *h)
{
	char addr[DIAG_ADDR_TEXT];

	diag_addr_text(row, false, addr);
	if (!h->pid) {
		port_unseen(scan, row, "is bound, without listening,", h);
		return;
	}
	if (h->pid == scan->asker)
		h->kind = HOLDER_SELF;
	port_say(h->text, "%s (pid %d, fd %d) is bound to %s, but neither listens nor is connected",
		 h->comm, h->pid, h->fd, addr);
	port_say(h->fix, "let pid %d listen() or close fd %d, or stop it; SO_REUSEADDR helps only if it set that too",
		 h->pid, h->fd);
}

static void outgoing_text(const struct port_scan *scan, const struct diag_row *row, struct port_holder *h)
{
	char addr[DIAG_ADDR_TEXT], by[96];

	diag_addr_text(row, true, addr);
	if (h->pid)
		snprintf(by, sizeof by, "%s (pid %d, fd %d)", h->comm, h->pid, h->fd);
	else
		snprintf(by, sizeof by, "uid %u", row->uid);
	port_say(h->text, "an outgoing connection of %s to %s (%s) got port %u as its local port", by, addr,
		 tcp_state_name(row->state), scan->port);
	port_say(h->fix, "listen on a port outside net.ipv4.ip_local_port_range, or reserve it: sysctl -w net.ipv4.ip_local_reserved_ports=%u",
		 scan->port);
}

static void time_wait_text(const struct port_scan *scan, struct port_holder *h, bool to_blame)
{
	const char *s = h->count == 1 ? "" : "s";

	port_say(h->text, "%u TIME-WAIT socket%s remain%s on port %u: closed by this side, kept for up to 60 s", h->count,
		 s, h->count == 1 ? "s" : "", scan->port);
	port_say(h->fix, "%s", to_blame ? "the server that left them had no SO_REUSEADDR either: set it before bind(), always; now wait up to 60 s"
					: "set SO_REUSEADDR before bind(), or wait up to 60 s");
}

static void connection_text(const struct port_scan *scan, struct port_holder *h, bool listened, bool to_blame)
{
	const char *s = h->count == 1 ? "" : "s", *state = tcp_state_name(h->state), *why;

	if (h->inode)
		why = "of another user or PID namespace";
	else if (h->state == PORT_ESTABLISHED || h->state == PORT_SYN_RECV)
		why = "not accepted yet";
	else
		why = "closed, the kernel waits for the client";
	if (h->pid)
		port_say(h->text, "%s (pid %d, fd %d) still has %u accepted connection%s on port %u (%s)", h->comm, h->pid,
			 h->fd, h->count, s, scan->port, state);
	else
		port_say(h->text, "%u connection%s without a visible process on port %u (%s): %s", h->count, s, scan->port,
			 state, why);
	if (listened)
		port_say(h->fix, "they end with their server; with SO_REUSEADDR the next one can bind while they linger");
	else if (to_blame)
		port_say(h->fix, "set SO_REUSEADDR in the server before its first bind(); now end these connections");
	else
		port_say(h->fix, "set SO_REUSEADDR before bind()");
}

/* The words of what was counted. They are to blame for a failing bind if nothing stronger is there. */
static void counted_texts(const struct port_scan *scan, struct port_report *r)
{
	bool listened = false, stronger = false;

	for (size_t i = 0; i < scan->n_rows; i++)
		listened |= scan->row[i].state == PORT_LISTEN;
	for (size_t i = 0; i < r->n; i++)
		stronger |= r->v[i].kind != HOLDER_CONNECTION && r->v[i].kind != HOLDER_TIME_WAIT;
	for (size_t i = 0; i < r->n; i++) {
		struct port_holder *h = &r->v[i];

		if (h->kind == HOLDER_CONNECTION)
			connection_text(scan, h, listened, r->errno_reuse && !stronger);
		else if (h->kind == HOLDER_TIME_WAIT)
			time_wait_text(scan, h, r->errno_reuse && !stronger);
	}
}

static struct port_holder *group(struct port_report *r, enum holder_kind kind, const struct diag_row *row, pid_t pid)
{
	for (size_t i = 0; i < r->n; i++) {
		struct port_holder *h = &r->v[i];

		if (h->kind == kind && h->pid == pid && (pid || kind == HOLDER_TIME_WAIT || h->state == row->state))
			return h;
	}
	return NULL;
}

static void judge_one(const struct port_scan *scan, const struct diag_row *row, struct port_report *r)
{
	enum holder_kind kind = kind_of(scan, row);
	size_t n;
	const struct port_fd *f = port_scan_fds(scan, row->inode, &n);
	bool grouped = kind == HOLDER_CONNECTION || kind == HOLDER_TIME_WAIT;
	struct port_holder *h = grouped ? group(r, kind, row, f ? f->pid : 0) : NULL;

	if (h) {
		h->count++;
		return;
	}
	h = port_add(r, kind, row);
	if (f) {
		h->pid = f->pid;
		h->fd = f->fd;
		proc_comm(f->pid, h->comm, sizeof h->comm);
	}
	if (kind == HOLDER_BOUND)
		bound_text(scan, row, h);
	else if (kind == HOLDER_OUTGOING)
		outgoing_text(scan, row, h);
}

void port_judge_others(const struct port_scan *scan, struct port_report *r)
{
	for (size_t i = 0; i < scan->n_rows; i++)
		if (scan->row[i].state != PORT_LISTEN)
			judge_one(scan, &scan->row[i], r);
	counted_texts(scan, r);
}
