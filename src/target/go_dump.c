#include "target/go_dump.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WAYS = 64, WAYS_SHOWN = 5 };

/* A piece of the dump. */
struct piece {
	const char *p;
	size_t n;
};

/* The frame that says most: in main, else in somebody's module, else in the standard library. */
enum whose { RUNTIME, LIBRARY, MODULE, MAIN };

struct way {
	uint64_t id;            /* of the first goroutine that waits so */
	size_t more;            /* others */
	struct piece state, function, place;
	enum whose whose;
};

struct dump {
	const char *p, *end;
	struct way way[MAX_WAYS];
	size_t n_ways, n;
};

static struct piece next_line(struct dump *d)
{
	const char *nl = memchr(d->p, '\n', (size_t)(d->end - d->p));
	struct piece line = {d->p, (size_t)((nl ? nl : d->end) - d->p)};

	d->p = nl ? nl + 1 : d->end;
	return line;
}

static bool begins(struct piece s, const char *with)
{
	return s.n >= strlen(with) && !memcmp(s.p, with, strlen(with));
}

static bool same(struct piece a, struct piece b)
{
	return a.n == b.n && !memcmp(a.p, b.p, a.n);
}

static struct piece upto(struct piece s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return (struct piece){s.p, at ? (size_t)(at - s.p) : s.n};
}

/* The packages of the standard library have no dot in the first part of their path; the runtime's own goroutines run nothing else. */
static enum whose whose_is(struct piece function)
{
	static const char *const runtime[] = {"runtime.", "internal/", "os/signal.", NULL};
	struct piece path = upto(function, '/');

	if (begins(function, "main."))
		return MAIN;
	for (const char *const *r = runtime; *r; r++)
		if (begins(function, *r))
			return RUNTIME;
	return path.n < function.n && memchr(path.p, '.', path.n) ? MODULE : LIBRARY;
}

/* "sync.(*WaitGroup).Wait(0x18996e04cb28)" without its arguments. */
static struct piece function_of(struct piece line)
{
	size_t n = line.n;

	while (n && line.p[n - 1] != '(')
		n--;
	return (struct piece){line.p, n ? n - 1 : line.n};
}

/* "\texample.com/x/main.go:142 +0x5e5 fp=..." is main.go:142. */
static struct piece place_of(struct piece line)
{
	struct piece path = upto(line, ' ');
	size_t from = path.n;

	while (from && path.p[from - 1] != '/' && path.p[from - 1] != '\t')
		from--;
	return (struct piece){path.p + from, path.n - from};
}

/* "goroutine 7 gp=0x1 m=nil [chan receive, 2 minutes]:" begins one. */
static bool is_head(struct piece line, struct way *ret)
{
	const char *open = line.n ? memchr(line.p, '[', line.n) : NULL;

	if (!begins(line, "goroutine ") || !open || line.p[line.n - 1] != ':')
		return false;
	struct piece rest = {open + 1, (size_t)(line.p + line.n - open - 1)};

	*ret = (struct way){.id = strtoull(line.p + 10, NULL, 10), .state = upto(rest, ']')};
	return true;
}

/* The innermost frame of those that say most. */
static void read_frames(struct dump *d, struct way *w)
{
	while (d->p < d->end && *d->p != '\n') {
		struct piece line = next_line(d);
		struct piece function = function_of(line);
		enum whose whose = whose_is(function);

		if (begins(line, "created by ") || begins(line, "goroutine "))
			return;
		if (begins(line, "\t") || begins(line, "...") || !function.n || whose <= w->whose)
			continue;
		w->whose = whose;
		w->function = function;
		w->place = d->p < d->end && *d->p == '\t' ? place_of(next_line(d)) : (struct piece){"", 0};
	}
}

static void add(struct dump *d, const struct way *w)
{
	d->n++;
	if (w->whose == RUNTIME)
		return;
	for (size_t i = 0; i < d->n_ways; i++) {
		struct way *v = &d->way[i];

		if (v->id != 1 && same(v->function, w->function) && same(v->place, w->place) &&
		    same(upto(v->state, ','), upto(w->state, ','))) {
			v->more++;
			return;
		}
	}
	if (d->n_ways < MAX_WAYS)
		d->way[d->n_ways++] = *w;
}

static int importance(const void *a, const void *b)
{
	const struct way *x = a, *y = b;

	if ((x->id == 1) != (y->id == 1))
		return x->id == 1 ? -1 : 1;
	if (x->whose != y->whose)
		return x->whose > y->whose ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

size_t go_dump(const char *text, size_t n, struct buf *out)
{
	struct dump d = {.p = text, .end = text + n};
	struct way w;

	while (d.p < d.end)
		if (is_head(next_line(&d), &w) && w.id) {       /* number 0 is the scheduler's */
			read_frames(&d, &w);
			add(&d, &w);
		}
	qsort(d.way, d.n_ways, sizeof *d.way, importance);
	for (size_t i = 0; i < d.n_ways && i < WAYS_SHOWN; i++) {
		const struct way *v = &d.way[i];

		buf_printf(out, "goroutine %llu [%.*s] in %.*s", (unsigned long long)v->id, (int)v->state.n, v->state.p,
			   (int)v->function.n, v->function.p);
		if (v->place.n)
			buf_printf(out, " (%.*s)", (int)v->place.n, v->place.p);
		if (v->more)
			buf_printf(out, ", and %zu more so", v->more);
		buf_addc(out, '\n');
	}
	return d.n;
}
