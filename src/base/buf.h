/* A growable run of bytes, always followed by a NUL that is not counted. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct buf {
	char *p;
	size_t n, cap;
};

void buf_grow(struct buf *b, size_t more);

static inline void buf_reserve(struct buf *b, size_t more)
{
	if (b->cap - b->n <= more)
		buf_grow(b, more);
}

void buf_add(struct buf *b, const void *p, size_t n);
void buf_adds(struct buf *b, const char *s);

static inline void buf_addc(struct buf *b, char c)
{
	buf_reserve(b, 1);
	b->p[b->n++] = c;
	b->p[b->n] = '\0';
}

void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_addi(struct buf *b, int64_t v);                /* decimal, without printf's cost */
/* The text as a JSON string with its quotes; invalid UTF-8 becomes U+FFFD; NULL becomes null. */
void buf_json(struct buf *b, const char *s);
void buf_jsonn(struct buf *b, const char *s, size_t n);
void buf_clear(struct buf *b);                          /* keeps the memory */
void buf_free(struct buf *b);
