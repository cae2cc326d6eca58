#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_grow(struct buf *b, size_t more)
{
	size_t cap = b->cap ? b->cap : 256;

	while (cap - b->n <= more)
		cap *= 2;
	char *p = realloc(b->p, cap);

	if (!p) {
		fputs("drainspec: out of memory\n", stderr);
		abort();
	}
	b->p = p;
	b->cap = cap;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
	buf_reserve(b, n);
	if (n)
		memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void buf_adds(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;

	va_start(ap, fmt);
	va_copy(again, ap);
	buf_reserve(b, 128);
	int n = vsnprintf(b->p + b->n, b->cap - b->n, fmt, ap);

	if (n > 0 && (size_t)n >= b->cap - b->n) {
		buf_reserve(b, (size_t)n);
		vsnprintf(b->p + b->n, b->cap - b->n, fmt, again);
	}
	if (n > 0)
		b->n += (size_t)n;
	va_end(ap);
	va_end(again);
}

void buf_addi(struct buf *b, int64_t v)
{
	char t[24];
	int i = sizeof t;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;

	do
		t[--i] = (char)('0' + u % 10);
	while (u /= 10);
	if (v < 0)
		t[--i] = '-';
	buf_add(b, t + i, sizeof t - (size_t)i);
}

/* Length of the well-formed UTF-8 sequence at p (RFC 3629), 0 if it is not one. */
static size_t utf8_len(const unsigned char *p, size_t n)
{
	size_t len = p[0] < 0x80 ? 1 : p[0] >= 0xC2 && p[0] < 0xE0 ? 2 : (p[0] & 0xF0) == 0xE0 ? 3 :
		     p[0] >= 0xF0 && p[0] < 0xF5 ? 4 : 0;

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((p[i] & 0xC0) != 0x80)
			return 0;
	if (len == 3 && ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F)))
		return 0;
	if (len == 4 && ((p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F)))
		return 0;
	return len;
}

void buf_jsonn(struct buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	buf_addc(b, '"');
	for (size_t i = 0; i < n;) {
		size_t run = i;

		while (run < n && p[run] >= 0x20 && p[run] < 0x7F && p[run] != '"' && p[run] != '\\')
			run++;
		buf_add(b, s + i, run - i);
		i = run;
		if (i == n)
			break;
		size_t len = utf8_len(p + i, n - i);

		if (p[i] == '"' || p[i] == '\\') {
			buf_addc(b, '\\');
			buf_addc(b, s[i]);
		} else if (p[i] == '\n') {
			buf_add(b, "\\n", 2);
		} else if (p[i] == '\t') {
			buf_add(b, "\\t", 2);
		} else if (p[i] < 0x20 || p[i] == 0x7F) {
			buf_printf(b, "\\u%04x", p[i]);
		} else if (len) {
			buf_add(b, s + i, len);
		} else {
			buf_adds(b, "\xEF\xBF\xBD");
		}
		i += len ? len : 1;
	}
	buf_addc(b, '"');
}

void buf_json(struct buf *b, const char *s)
{
	if (s)
		buf_jsonn(b, s, strlen(s));
	else
		buf_adds(b, "null");
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	if (b->p)
		b->p[0] = '\0';
}

void buf_free(struct buf *b)
{
	free(b->p);
	*b = (struct buf){0};
}
