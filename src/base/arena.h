/* Bump allocator: everything allocated from an arena is freed with it. Never returns NULL:
 * out of memory ends the process (a worker that dies so makes one BROKEN verdict). */
#pragma once
#include <stdarg.h>
#include <stddef.h>

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);           /* accepts NULL */
/* Forget everything but keep the memory for the next use: pointers into it become invalid. */
void arena_reset(struct arena *arena);
void *arena_alloc(struct arena *arena, size_t n);       /* zeroed, 16-byte aligned */
char *arena_strdup(struct arena *arena, const char *s); /* NULL stays NULL */
char *arena_strndup(struct arena *arena, const char *s, size_t n);
char *arena_printf(struct arena *arena, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

#define arena_new_of(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (size_t)(n)))
