#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_BYTES (64 * 1024)

struct chunk {
	struct chunk *next;
	size_t used, size;
	_Alignas(16) char data[];
};

struct arena {
	struct chunk *first, *cur;
};

static struct chunk *chunk_new(size_t n)
{
	size_t size = n > CHUNK_BYTES ? n : CHUNK_BYTES;
	struct chunk *c = malloc(sizeof *c + size);

	if (!c) {
		fputs("drainspec: out of memory\n", stderr);
		abort();
	}
	c->next = NULL;
	c->used = 0;
	c->size = size;
	return c;
}

struct arena *arena_new(void)
{
	struct chunk *c = chunk_new(sizeof(struct arena));
	struct arena *a = (struct arena *)c->data;

	c->used = (sizeof *a + 15) & ~(size_t)15;
	a->first = a->cur = c;
	return a;
}

void arena_free(struct arena *arena)
{
	if (!arena)
		return;
	for (struct chunk *c = arena->first, *next; c; c = next) {
		next = c->next;
		free(c);
	}
}

void arena_reset(struct arena *arena)
{
	arena->first->used = (sizeof *arena + 15) & ~(size_t)15;
	for (struct chunk *c = arena->first->next; c; c = c->next)
		c->used = 0;
	arena->cur = arena->first;
}

static void *take(struct arena *arena, size_t n, size_t align)
{
	struct chunk *c = arena->cur;

	if (c->used & (align - 1))
		c->used = (c->used + align - 1) & ~(align - 1);
	if (c->used > c->size)
		c->used = c->size;
	while (c->size - c->used < n) {
		if (!c->next || c->next->size < n) {
			struct chunk *fresh = chunk_new(n);

			fresh->next = c->next;
			c->next = fresh;
		}
		c = arena->cur = c->next;
	}
	void *p = c->data + c->used;

	c->used += n;
	return p;
}

void *arena_alloc(struct arena *arena, size_t n)
{
	return memset(take(arena, n, 16), 0, n);
}

char *arena_strndup(struct arena *arena, const char *s, size_t n)
{
	char *p = take(arena, n + 1, 1);

	memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *arena_strdup(struct arena *arena, const char *s)
{
	return s ? arena_strndup(arena, s, strlen(s)) : NULL;
}

char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;

	if (!fmt)
		fmt = "";

	va_copy(again, ap);
	int n = vsnprintf(small, sizeof small, fmt, ap);

	if (n < (int)sizeof small) {
		va_end(again);
		return arena_strndup(arena, small, n < 0 ? 0 : (size_t)n);
	}
	char *p = arena_alloc(arena, (size_t)n + 1);

	vsnprintf(p, (size_t)n + 1, fmt, again);
	va_end(again);
	return p;
}

char *arena_printf(struct arena *arena, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	char *p = arena_vprintf(arena, fmt, ap);

	va_end(ap);
	return p;
}
