/* Text for people: cleaned of what could disturb a terminal, measured in columns, wrapped, coloured. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define UTF8_BAD UINT32_MAX

/* Length of the character at s (n > 0) and its code point; 1 and UTF8_BAD for a byte that begins none. */
size_t utf8_next(const char *s, size_t n, uint32_t *ret);

enum scrub {
	SCRUB_ASCII = 1,        /* dashes, quotes, ellipses to ASCII; other letters are the user's and stay */
	SCRUB_LINES = 2,        /* keep newlines; without it they become spaces */
};
/* What a target or a scenario wrote, made safe: terminal sequences are dropped, other control and
 * direction-changing characters and invalid bytes are shown as \xNN. NULL is nothing. */
void scrub(struct buf *out, const char *s, unsigned how);
void scrubn(struct buf *out, const char *s, size_t n, unsigned how);

/* Columns that scrubbed text takes. */
unsigned text_columns(const char *s, size_t n);
/* Bytes of s that fit into so many columns. */
size_t text_fit(const char *s, size_t n, unsigned columns);

enum hue { HUE_PLAIN, HUE_RED, HUE_GREEN, HUE_YELLOW, HUE_BOLD, HUE_DIM };
struct pen {
	struct buf *out;
	bool color, ascii;
	unsigned width;
	const char *rail;       /* two columns before each further row of pen_wrap(), "| "; NULL: blanks */
};

void pen_hue(const struct pen *pen, enum hue hue);      /* HUE_PLAIN ends a colour */
/* The cursor stands at column indent; further rows start there too. At most max_rows, 0: no limit.
 * s is scrubbed here; one newline ends it. */
void pen_wrap(const struct pen *pen, const char *s, unsigned indent, unsigned max_rows);
/* "  label    text", wrapped under the text. NULL text: nothing. */
void pen_field(const struct pen *pen, const char *label, const char *text);
void pen_indent(const struct pen *pen, unsigned columns);

#define PEN_LABEL 4             /* column of a field's label */
#define PEN_TEXT 16             /* column of a field's text */
