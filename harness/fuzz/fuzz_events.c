/* events.jsonl: any input is safe; what is accepted is written back as lines that are read to the same events. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "event/event.h"

static void must_be_same(const struct events *a, const struct events *b)
{
	if (a->n != b->n || a->t0 != b->t0)
		abort();
	for (size_t i = 0; i < a->n; i++) {
		const struct event *x = &a->v[i], *y = &b->v[i];

		if (x->t != y->t || x->a != y->a || x->b != y->b || x->frame != y->frame || x->conn != y->conn ||
		    x->kind != y->kind || x->round != y->round || !x->text != !y->text ||
		    (x->text && strcmp(x->text, y->text)))
			abort();
	}
}

static void write_and_read(struct events *ev, struct arena *arena)
{
	struct events back;
	struct err err = {0};
	int cut;

	ev->fd = memfd_create("events", MFD_CLOEXEC);
	ev->written = 0;
	events_flush(ev);
	if (ev->write_errno)
		abort();
	off_t n = lseek(ev->fd, 0, SEEK_END);
	char *text = malloc((size_t)n + 1);

	if (pread(ev->fd, text, (size_t)n, 0) != n)
		abort();
	events_init(&back, arena);
	if (events_parse("again", text, (size_t)n, &back, &cut, &err) < 0 || cut)
		abort();
	must_be_same(ev, &back);
	free(text);
	events_close(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct events ev;
	struct err err = {0};
	int cut = 0;
	char *text = malloc(size ? size : 1);

	memcpy(text, data, size);
	events_init(&ev, arena);
	if (events_parse("fuzz.jsonl", text, size, &ev, &cut, &err) == 0) {
		if (err.kind)
			abort();
		write_and_read(&ev, arena);
	} else if (!err.kind || !err.what[0] || !err.at.line) {
		abort();
	}
	events_close(&ev);
	free(text);
	arena_free(arena);
	return 0;
}
