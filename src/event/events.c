/* Recording: an event is a few stores and, if it has a text, one copy; formatting waits for the flush. */
#include "event/event.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST_CAP 256
#define FLUSH_MAX (1024 * 1024) /* bytes of one write: the log of 19,000 connections is never in memory twice */
#define ROW_MAX 320     /* bytes of a line without its text: names of the table and six numbers */

const struct event_row event_rows[EV_N] = {
#define X(kind, name, a, b, help) [EV_##kind] = {name, a, b, help},
#include "event/events.def"
#undef X
};

void events_init(struct events *ev, struct arena *arena)
{
	*ev = (struct events){.arena = arena, .fd = -1};
}

int events_open(struct events *ev, const char *path, struct err *reterr)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0)
		return err_set(reterr, ERR_HARNESS, errno, "%s", path);
	if (ev->fd >= 0)
		close(ev->fd);
	ev->fd = fd;
	return 0;
}

static void grow(struct events *ev)
{
	size_t cap = ev->cap ? ev->cap * 2 : FIRST_CAP;
	struct event *v = realloc(ev->v, cap * sizeof *v);

	if (!v) {
		fputs("drainspec: out of memory\n", stderr);
		abort();
	}
	ev->v = v;
	ev->cap = cap;
}

/* text is kept as it is: the callers have put it into the arena. */
static uint32_t record(struct events *ev, nsec_t t, uint32_t frame, enum event_kind kind, int32_t conn,
		       int64_t a, int64_t b, const char *text)
{
	if (ev->n == ev->cap)
		grow(ev);
	if (!ev->n) {
		ev->t0 = t;
		/* the file's only absolute time: all others count from it */
		if (kind == EV_SCENARIO)
			a = t;
	}
	ev->v[ev->n++] = (struct event){.t = t, .a = a, .b = b, .text = text, .frame = frame > EVENT_FRAME_MAX ? 0 : frame,
					.conn = conn, .kind = kind, .round = ev->round};
	return (uint32_t)ev->n;
}

static const char *keep(struct events *ev, enum event_kind kind, const char *text)
{
	if (!text || (ev->last[kind] && !strcmp(ev->last[kind], text)))
		return text ? ev->last[kind] : NULL;
	return ev->last[kind] = arena_strdup(ev->arena, text);
}

uint32_t events_add(struct events *ev, enum event_kind kind, int32_t conn, int64_t a, int64_t b,
		    const char *text)
{
	return events_add_at(ev, clock_now(), 0, kind, conn, a, b, text);
}

uint32_t events_addf(struct events *ev, enum event_kind kind, int32_t conn, int64_t a, int64_t b,
		     const char *fmt, ...)
{
	nsec_t t = clock_now();
	const char *text;
	char small[256];
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof small, fmt, ap);

	text = n < (int)sizeof small ? keep(ev, kind, n < 0 ? "" : small) : arena_vprintf(ev->arena, fmt, again);
	va_end(again);
	va_end(ap);
	return record(ev, t, 0, kind, conn, a, b, text);
}

uint32_t events_add_at(struct events *ev, nsec_t t, uint32_t frame, enum event_kind kind, int32_t conn,
		       int64_t a, int64_t b, const char *text)
{
	return record(ev, t, frame, kind, conn, a, b, keep(ev, kind, text));
}

/* Append to a run of bytes that is known to be long enough. */
static char *put(char *p, const char *s)
{
	size_t n = strlen(s);

	memcpy(p, s, n);
	return p + n;
}

static char *put_number(char *p, int64_t v)
{
	char digits[24];
	int i = sizeof digits;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		digits[--i] = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		digits[--i] = '-';
	memcpy(p, digits + i, sizeof digits - (size_t)i);
	return p + sizeof digits - (size_t)i;
}

static char *put_field(char *p, const char *name, int64_t v)
{
	p = put(p, ",\"");
	p = put(p, name);
	p = put(p, "\":");
	return put_number(p, v);
}

/* a or b under the name that the table gives it; times count from t0, but for the one that says t0. */
static char *put_value(char *p, const struct events *ev, const struct event *e, const char *name, int64_t v)
{
	if (!*name)
		return p;
	bool relative = !strncmp(name, "t_", 2) && e->kind != EV_SCENARIO;

	return put_field(p, name, relative ? (int64_t)((uint64_t)v - (uint64_t)ev->t0) : v);
}

static void format(struct events *ev, const struct event *e, uint32_t seq)
{
	const struct event_row *row = &event_rows[e->kind];

	buf_reserve(&ev->out, ROW_MAX);
	char *p = ev->out.p + ev->out.n;

	p = put(p, "{\"seq\":");
	p = put_number(p, seq);
	p = put_field(p, "t", (int64_t)((uint64_t)e->t - (uint64_t)ev->t0));
	p = put(p, ",\"kind\":\"");
	p = put(p, row->name);
	p = put(p, "\"");
	if (e->conn != -1)
		p = put_field(p, "conn", e->conn);
	if (e->round)
		p = put_field(p, "round", e->round);
	p = put_value(p, ev, e, row->a, e->a);
	p = put_value(p, ev, e, row->b, e->b);
	if (e->frame)
		p = put_field(p, "frame", e->frame);
	ev->out.n = (size_t)(p - ev->out.p);
	if (e->text) {
		buf_add(&ev->out, ",\"text\":", 8);
		buf_json(&ev->out, e->text);
	}
	buf_add(&ev->out, "}\n", 2);
}

/* All of out in one write, unless the kernel takes less. The first error is remembered and ends the writing:
 * a file with a hole would be worse than one that is cut. */
static void write_out(struct events *ev)
{
	for (size_t at = 0; at < ev->out.n && !ev->write_errno;) {
		ssize_t n = write(ev->fd, ev->out.p + at, ev->out.n - at);

		if (n >= 0)
			at += (size_t)n;
		else if (errno != EINTR)
			ev->write_errno = errno;
	}
	buf_clear(&ev->out);
}

void events_flush(struct events *ev)
{
	if (ev->fd < 0 || ev->written == ev->n)
		return;
	for (; ev->written < ev->n; ev->written++) {
		if (!ev->write_errno)
			format(ev, &ev->v[ev->written], (uint32_t)ev->written + 1);
		if (ev->out.n > FLUSH_MAX)
			write_out(ev);
	}
	write_out(ev);
}

void events_close(struct events *ev)
{
	events_flush(ev);
	if (ev->fd >= 0 && close(ev->fd) < 0 && !ev->write_errno && errno != EINTR)
		ev->write_errno = errno;
	ev->fd = -1;
	free(ev->v);
	ev->v = NULL;
	ev->n = ev->cap = ev->written = 0;
	buf_free(&ev->out);
}
