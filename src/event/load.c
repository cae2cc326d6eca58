/* Reading events.jsonl back for `drainspec judge`: strict, because a verdict will cite what stands there. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "event/event.h"

#define FILE_MAX ((off_t)2 << 30)

struct loader {
	const char *path;
	struct events *ev;
	struct err *reterr;
	uint16_t by_name[EV_N]; /* kinds in the order of their names */
	unsigned line;
	nsec_t t0;
};

static int by_row_name(const void *a, const void *b)
{
	return strcmp(event_rows[*(const uint16_t *)a].name, event_rows[*(const uint16_t *)b].name);
}

static int find_kind(const struct loader *l, const char *name)
{
	size_t low = 0, high = EV_N;

	while (low < high) {
		size_t mid = (low + high) / 2;
		int order = strcmp(name, event_rows[l->by_name[mid]].name);

		if (!order)
			return l->by_name[mid];
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return -1;
}

static int wrong(const struct loader *l, const char *what, const char *field)
{
	return err_at(l->reterr, (struct span){l->path, l->line, 1}, "%s%s%.64s%s", what, *field ? " '" : "", field,
		      *field ? "'" : "");
}

static int integer(const struct loader *l, const json_t *v, const char *field, int64_t min, int64_t max,
		   int64_t *ret)
{
	if (!json_is_integer(v))
		return wrong(l, "no whole number in", field);
	*ret = json_integer_value(v);
	return *ret < min || *ret > max ? wrong(l, "a number beyond its range in", field) : 0;
}

/* a or b: a time (t_...) is brought back to the clock. */
static int value(const struct loader *l, const struct event *e, const json_t *v, const char *field, int64_t *ret)
{
	if (integer(l, v, field, INT64_MIN, INT64_MAX, ret) < 0)
		return -1;
	if (!strncmp(field, "t_", 2) && e->kind != EV_SCENARIO && __builtin_add_overflow(*ret, l->t0, ret))
		return wrong(l, "a number beyond its range in", field);
	return 0;
}

static int text_value(const struct loader *l, const json_t *v, const char **ret)
{
	if (!json_is_string(v))
		return wrong(l, "no text in", "text");
	*ret = arena_strndup(l->ev->arena, json_string_value(v), json_string_length(v));
	return 0;
}

/* One member other than seq, t and kind, which were read before. */
static int member(const struct loader *l, const char *field, const json_t *v, struct event *e)
{
	const struct event_row *row = &event_rows[e->kind];
	int64_t i;

	if (!strcmp(field, "text"))
		return text_value(l, v, &e->text);
	if (!strcmp(field, "conn")) {
		if (integer(l, v, field, -EVENT_CONN_MAX - 1, EVENT_CONN_MAX, &i) < 0)
			return -1;
		e->conn = i;
		return 0;
	}
	if (!strcmp(field, "round")) {
		if (integer(l, v, field, 0, EVENT_ROUND_MAX, &i) < 0)
			return -1;
		e->round = (uint64_t)i;
		return 0;
	}
	if (!strcmp(field, "frame")) {
		if (integer(l, v, field, 0, EVENT_FRAME_MAX, &i) < 0)
			return -1;
		e->frame = (uint64_t)i;
		return 0;
	}
	if (*row->a && !strcmp(field, row->a))
		return value(l, e, v, field, &e->a);
	if (*row->b && !strcmp(field, row->b))
		return value(l, e, v, field, &e->b);
	return wrong(l, "unknown field", field);
}

/* The first event, and it alone, carries the time from which all others count. */
static int set_t0(struct loader *l, const json_t *line, const struct event *e)
{
	const char *field = event_rows[EV_SCENARIO].a;

	if (l->ev->n)
		return 0;
	l->t0 = 0;
	return e->kind == EV_SCENARIO ?
	       integer(l, json_object_get(line, field), field, 0, INT64_MAX, &l->t0) : 0;
}

static int head(struct loader *l, const json_t *line, struct event *ret)
{
	const json_t *kind = json_object_get(line, "kind");
	int64_t seq = 0;

	if (integer(l, json_object_get(line, "seq"), "seq", 1, UINT32_MAX, &seq) < 0)
		return -1;
	if ((uint64_t)seq != l->ev->n + 1)
		return wrong(l, "not the number that follows in", "seq");
	if (!json_is_string(kind))
		return wrong(l, "no text in", "kind");
	int k = find_kind(l, json_string_value(kind));

	if (k < 0)
		return wrong(l, "unknown kind of event", json_string_value(kind));
	*ret = (struct event){.kind = (unsigned)k, .conn = -1};
	if (set_t0(l, line, ret) < 0 ||
	    integer(l, json_object_get(line, "t"), "t", INT64_MIN, INT64_MAX, &ret->t) < 0)
		return -1;
	if (__builtin_add_overflow(ret->t, l->t0, &ret->t))
		return wrong(l, "a number beyond its range in", "t");
	return 0;
}

static int event_line(struct loader *l, json_t *line, struct event *ret)
{
	const char *field;
	json_t *v;

	if (!json_is_object(line))
		return wrong(l, "not an event", "");
	if (head(l, line, ret) < 0)
		return -1;
	json_object_foreach(line, field, v)
		if (strcmp(field, "seq") && strcmp(field, "t") && strcmp(field, "kind") &&
		    member(l, field, v, ret) < 0)
			return -1;
	return 0;
}

static void append(struct events *ev, const struct event *e)
{
	if (ev->n == ev->cap) {
		size_t cap = ev->cap ? ev->cap * 2 : 256;
		struct event *v = realloc(ev->v, cap * sizeof *v);

		if (!v) {
			fputs("drainspec: out of memory\n", stderr);
			abort();
		}
		ev->v = v;
		ev->cap = cap;
	}
	ev->v[ev->n++] = *e;
}

static int take_line(struct loader *l, const char *text, size_t n)
{
	json_error_t why;
	json_t *line = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
	struct event e;

	if (!line)
		return err_at(l->reterr, (struct span){l->path, l->line, (unsigned)(why.column > 0 ? why.column : 1)},
			      "not JSON: %s", why.text);
	int failed = event_line(l, line, &e);

	json_decref(line);
	if (failed < 0)
		return -1;
	if (!l->ev->n)
		l->ev->t0 = l->t0;
	append(l->ev, &e);
	return 0;
}

int events_parse(const char *path, const char *text, size_t n, struct events *ev, int *ret_cut,
		 struct err *reterr)
{
	struct loader l = {.path = path, .ev = ev, .reterr = reterr};

	for (uint16_t i = 0; i < EV_N; i++)
		l.by_name[i] = i;
	qsort(l.by_name, EV_N, sizeof *l.by_name, by_row_name);
	*ret_cut = 0;
	for (size_t at = 0; at < n;) {
		const char *end = memchr(text + at, '\n', n - at);
		size_t len = end ? (size_t)(end - text) - at : n - at;

		l.line++;
		if (take_line(&l, text + at, len) < 0) {
			if (end)
				return -1;
			/* the writer was killed or the disk was full: everything before it stands */
			*ret_cut = 1;
			if (reterr)
				*reterr = (struct err){0};
		}
		at += len + 1;
	}
	ev->written = ev->n;
	return 0;
}

static int read_all(const char *path, char **ret, size_t *ret_n, struct err *reterr)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(reterr, ERR_USAGE, errno, "%s", path);
	if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return err_set(reterr, ERR_USAGE, 0, "%s: not a file of at most 2 GiB", path);
	_cleanup_mem_ char *text = malloc((size_t)st.st_size + 1);

	if (!text)
		return err_set(reterr, ERR_HARNESS, ENOMEM, "%s", path);
	while (n < (size_t)st.st_size) {
		ssize_t got = read(fd, text + n, (size_t)st.st_size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_set(reterr, ERR_USAGE, errno, "%s", path);
		if (!got)
			break;
		n += (size_t)got;
	}
	*ret_n = n;
	*ret = text;
	text = NULL;
	return 0;
}

int events_load(const char *path, struct events *ev, int *ret_cut, struct err *reterr)
{
	_cleanup_mem_ char *text = NULL;
	size_t n = 0;

	if (read_all(path, &text, &n, reterr) < 0)
		return -1;
	return events_parse(path, text, n, ev, ret_cut, reterr);
}
