#include "target/port.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/names.h"
#include "target/port_scan.h"

/* By kind: its name, and what follows "is held by X: ". */
static const struct { const char *name, *does; } kinds[] = {
	[HOLDER_LISTENER]   = { "listener", "it listens" },
	[HOLDER_INHERITED]  = { "inherited", "it inherited the listening socket (missing CLOEXEC) and does not accept" },
	[HOLDER_TWIN]       = { "twin", "it listens too (SO_REUSEPORT)" },
	[HOLDER_BOUND]      = { "bound", "it is bound, but does not listen" },
	[HOLDER_OUTGOING]   = { "outgoing", "an outgoing connection uses it as its local port" },
	[HOLDER_CONNECTION] = { "connection", "accepted connections are still open" },
	[HOLDER_TIME_WAIT]  = { "time-wait", "closed connections are kept for up to 60 s" },
	[HOLDER_SELF]       = { "self", "it has it already itself" },
	[HOLDER_UNKNOWN]    = { "unknown", "not visible to us" },
};

/* The order in which people want to read them: what must be stopped before what only lingers. */
static const enum holder_kind order[] = { HOLDER_SELF, HOLDER_LISTENER, HOLDER_INHERITED, HOLDER_TWIN, HOLDER_UNKNOWN,
					  HOLDER_BOUND, HOLDER_OUTGOING, HOLDER_CONNECTION, HOLDER_TIME_WAIT };

const char *holder_kind_name(enum holder_kind kind)
{
	return kind > 0 && (size_t)kind < sizeof kinds / sizeof *kinds ? kinds[kind].name : "none";
}

_Static_assert(sizeof ((struct port_holder *)0)->text == sizeof ((struct port_holder *)0)->fix, "port_say");

struct port_holder *port_add(struct port_report *r, enum holder_kind kind, const struct diag_row *row)
{
	if (!(r->n & (r->n - 1))) {     /* full at each power of two */
		struct port_holder *v = realloc(r->v, (r->n ? r->n * 2 : 1) * sizeof *v);

		if (!v) {
			fputs("drainspec: out of memory\n", stderr);
			abort();
		}
		r->v = v;
	}
	struct port_holder *h = &r->v[r->n++];

	*h = (struct port_holder){ .kind = kind, .fd = -1, .count = 1 };
	if (row) {
		h->inode = row->inode;
		h->state = row->state;
	}
	return h;
}

void port_say(char *field, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(field, sizeof ((struct port_holder *)0)->text, fmt, ap);
	va_end(ap);
}

static int rank(enum holder_kind kind)
{
	for (size_t i = 0; i < sizeof order / sizeof *order; i++)
		if (order[i] == kind)
			return (int)i;
	return 99;
}

static int by_rank(const void *a, const void *b)
{
	const struct port_holder *x = a, *y = b;
	int d = rank(x->kind) - rank(y->kind);

	if (d)
		return d;
	return x->count != y->count ? (x->count < y->count ? 1 : -1) : x->pid - y->pid;
}

/* bind fails and no socket explains it. */
static void add_invisible(struct port_report *r)
{
	struct port_holder *h = port_add(r, HOLDER_UNKNOWN, NULL);

	port_say(h->text, "port %u is held, but not visible: no socket in the kernel's tables explains %s "
		 "(Linux before 6.8 does not list sockets that are only bound)", r->port, errno_name(r->errno_reuse));
	port_say(h->fix, "look for a process that called bind() without listen(): ss -anp cannot show it; try lsof -i as root");
}

int port_examine_for(struct diag *diag, uint16_t port, pid_t asker, struct port_report *ret, struct err *reterr)
{
	struct port_scan scan;
	int r;

	*ret = (struct port_report){ .port = port };
	ret->errno_reuse = port_probe(port, true);
	ret->errno_plain = port_probe(port, false);
	r = port_scan(&scan, diag, port, asker);
	if (!r) {
		port_judge_listeners(&scan, ret);
		port_judge_others(&scan, ret);
	}
	port_scan_free(&scan);
	if (r < 0)
		return err_set(reterr, ERR_HARNESS, -r, "cannot list the sockets of port %u", port);
	if (!ret->n && (ret->errno_reuse == EADDRINUSE || ret->errno_plain == EADDRINUSE))
		add_invisible(ret);
	if (ret->n)
		qsort(ret->v, ret->n, sizeof *ret->v, by_rank);
	return 0;
}

void port_report_free(struct port_report *r)
{
	free(r->v);
	r->v = NULL;
	r->n = 0;
}

static void held_text(const struct port_report *r, struct buf *out)
{
	const struct port_holder *h = &r->v[0];

	if (h->pid)
		buf_printf(out, "port %u is held by %s (pid %d, fd %d): %s", r->port, h->comm, h->pid, h->fd,
			   kinds[h->kind].does);
	else if (!h->inode && h->kind == HOLDER_UNKNOWN)
		buf_adds(out, h->text);
	else
		buf_printf(out, "port %u is held: %s", r->port, h->text);
}

/* The answer, on one line. */
static void answer_text(const struct port_report *r, struct buf *out)
{
	if (r->errno_reuse && r->errno_reuse != EADDRINUSE)
		buf_printf(out, "port %u: bind is refused to us with %s%s", r->port, errno_name(r->errno_reuse),
			   r->errno_reuse == EACCES ? " (below net.ipv4.ip_unprivileged_port_start it needs CAP_NET_BIND_SERVICE)"
						    : "");
	else if (r->errno_reuse && r->n)
		held_text(r, out);
	else if (!r->n)
		buf_printf(out, "port %u: free", r->port);
	else if (!r->errno_plain)
		buf_printf(out, "port %u: free, a bind succeeds; still %s", r->port, r->v[0].text);
	else if (r->v[0].kind == HOLDER_TIME_WAIT)
		buf_printf(out, "port %u: free now, but %u TIME-WAIT socket%s remain%s: a bind without SO_REUSEADDR fails (%s) for up to 60 s",
			   r->port, r->v[0].count, r->v[0].count == 1 ? "" : "s", r->v[0].count == 1 ? "s" : "",
			   errno_name(r->errno_plain));
	else
		buf_printf(out, "port %u: free for a bind with SO_REUSEADDR, %s without it: %s", r->port,
			   errno_name(r->errno_plain), r->v[0].text);
}

static const char *bind_word(int errnum)
{
	return errnum ? errno_name(errnum) : "succeeds";
}

void port_report_text(const struct port_report *r, struct buf *out)
{
	answer_text(r, out);
	buf_addc(out, '\n');
	if (!r->n && !r->errno_reuse && !r->errno_plain)
		return;
	for (size_t i = 0; i < r->n; i++)
		buf_printf(out, "  %-10s  %s\n", holder_kind_name(r->v[i].kind), r->v[i].text);
	buf_printf(out, "  bind        with SO_REUSEADDR: %s; ", bind_word(r->errno_reuse));
	buf_printf(out, "without: %s\n", bind_word(r->errno_plain));
	for (size_t i = 0; i < r->n; i++)
		if (!i || r->v[i].kind != r->v[i - 1].kind)
			buf_printf(out, "%s%s\n", i ? "     " : "fix: ", r->v[i].fix);
}

static void errno_json(int errnum, struct buf *out)
{
	buf_json(out, errnum ? errno_name(errnum) : NULL);
}

void port_report_json(const struct port_report *r, struct buf *out)
{
	struct buf answer = {0};

	answer_text(r, &answer);
	buf_printf(out, "{\"version\":1,\"port\":%u,\"free\":%s,\"answer\":", r->port, r->errno_reuse ? "false" : "true");
	buf_json(out, answer.p);
	buf_free(&answer);
	buf_adds(out, ",\"bind\":{\"reuseaddr\":");
	errno_json(r->errno_reuse, out);
	buf_adds(out, ",\"plain\":");
	errno_json(r->errno_plain, out);
	buf_adds(out, "},\"holders\":[");
	for (size_t i = 0; i < r->n; i++) {
		const struct port_holder *h = &r->v[i];

		buf_printf(out, "%s{\"kind\":\"%s\",\"pid\":%d,\"comm\":", i ? "," : "", holder_kind_name(h->kind), h->pid);
		buf_json(out, h->comm);
		buf_printf(out, ",\"fd\":%d,\"inode\":%u,\"state\":", h->fd, h->inode);
		buf_json(out, h->state == PORT_BOUND_INACTIVE ? "BOUND" : tcp_state_name(h->state));
		buf_printf(out, ",\"count\":%u,\"text\":", h->count);
		buf_json(out, h->text);
		buf_adds(out, ",\"fix\":");
		buf_json(out, h->fix);
		buf_addc(out, '}');
	}
	buf_adds(out, "]}\n");
}
