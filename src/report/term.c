#include "report/term.h"

#include <stdio.h>
#include <string.h>

size_t utf8_next(const char *s, size_t n, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : p[0] < 0xF5 ? 4 : 0;
	uint32_t cp = len == 1 ? p[0] : len ? p[0] & (0xFFu >> (len + 1)) : 0;

	*ret = UTF8_BAD;
	if (!len || len > n)
		return 1;
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xC0) != 0x80)
			return 1;
		cp = cp << 6 | (p[i] & 0x3F);
	}
	/* Overlong forms and surrogates are not UTF-8 (RFC 3629). */
	if ((len == 3 && (cp < 0x800 || (cp >= 0xD800 && cp < 0xE000))) ||
	    (len == 4 && (cp < 0x10000 || cp > 0x10FFFF)))
		return 1;
	*ret = cp;
	return len;
}

/* Length of a terminal control sequence at s (which is ESC), 0 if it is none that we know. */
static size_t escape_len(const char *s, size_t n)
{
	size_t i = 2;

	if (n < 2)
		return 0;
	if (s[1] == '[') {
		while (i < n && s[i] >= 0x20 && s[i] < 0x40)
			i++;
		return i < n && s[i] >= 0x40 && s[i] < 0x7F ? i + 1 : 0;
	}
	if (s[1] != ']')
		return 0;
	for (; i < n && s[i] != '\n'; i++) {
		if (s[i] == '\a')
			return i + 1;
		if (s[i] == '\033' && i + 1 < n && s[i + 1] == '\\')
			return i + 2;
	}
	return 0;
}

static const char *plain_of(uint32_t cp)
{
	static const struct {
		uint16_t cp;
		const char *plain;
	} rows[] = {
		{0xA0, " "}, {0xB5, "u"}, {0xB7, "-"}, {0xD7, "x"}, {0x2010, "-"}, {0x2011, "-"},
		{0x2013, "-"}, {0x2014, "-"}, {0x2018, "'"}, {0x2019, "'"}, {0x201C, "\""},
		{0x201D, "\""}, {0x2022, "*"}, {0x2026, "..."}, {0x2192, "->"}, {0x21D2, "=>"},
		{0x2260, "!="}, {0x2264, "<="}, {0x2265, ">="}, {0x3BC, "u"},
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].cp == cp)
			return rows[i].plain;
	return NULL;
}

/* Must not reach a terminal as it is: controls, and the marks that reorder what a person reads. */
static bool is_hostile(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7F && cp < 0xA0) || cp == 0x2028 || cp == 0x2029 || cp == 0xFEFF ||
	       (cp >= 0x202A && cp <= 0x202E) || (cp >= 0x2066 && cp <= 0x2069);
}

static void scrub_char(struct buf *out, const char *s, size_t len, uint32_t cp, unsigned how)
{
	const char *plain = how & SCRUB_ASCII && cp >= 0x80 ? plain_of(cp) : NULL;

	if (cp == UTF8_BAD)
		buf_printf(out, "\\x%02x", (unsigned char)*s);
	else if (cp == '\n')
		buf_addc(out, how & SCRUB_LINES ? '\n' : ' ');
	else if (cp == '\t')
		buf_adds(out, how & SCRUB_LINES ? "    " : " ");
	else if (is_hostile(cp))
		buf_printf(out, cp < 0x100 ? "\\x%02x" : "\\u%04x", cp);
	else if (plain)
		buf_adds(out, plain);
	else
		buf_add(out, s, len);
}

void scrubn(struct buf *out, const char *s, size_t n, unsigned how)
{
	for (size_t i = 0; i < n;) {
		size_t run = i;

		while (run < n && s[run] >= 0x20 && s[run] < 0x7F)
			run++;
		if (run > i) {
			buf_add(out, s + i, run - i);
			i = run;
			continue;
		}
		uint32_t cp;
		size_t len = utf8_next(s + i, n - i, &cp);
		size_t esc = cp == '\033' ? escape_len(s + i, n - i) : 0;

		/* CRLF is a line end like any other. */
		if (!esc && !(cp == '\r' && i + 1 < n && s[i + 1] == '\n'))
			scrub_char(out, s + i, len, cp, how);
		i += esc ? esc : len;
	}
}

void scrub(struct buf *out, const char *s, unsigned how)
{
	if (s)
		scrubn(out, s, strlen(s), how);
}

static unsigned char_columns(uint32_t cp)
{
	if (cp < 0x300)
		return 1;
	if (cp < 0x370 || (cp >= 0x200B && cp <= 0x200F) || (cp >= 0xFE00 && cp <= 0xFE0F))
		return 0;
	/* East Asian wide and emoji, by the large blocks: good enough to align a table. */
	if ((cp >= 0x1100 && cp < 0x1160) || (cp >= 0x2E80 && cp < 0xA4D0) || (cp >= 0xAC00 && cp < 0xD7A4) ||
	    (cp >= 0xF900 && cp < 0xFB00) || (cp >= 0xFF00 && cp < 0xFF61) ||
	    (cp >= 0x1F300 && cp < 0x1FA00) || (cp >= 0x20000 && cp < 0x3FFFE))
		return 2;
	return 1;
}

size_t text_fit(const char *s, size_t n, unsigned columns)
{
	unsigned used = 0;
	size_t i = 0;

	while (i < n) {
		uint32_t cp;
		size_t len = utf8_next(s + i, n - i, &cp);

		used += char_columns(cp);
		if (used > columns)
			break;
		i += len;
	}
	return i;
}

unsigned text_columns(const char *s, size_t n)
{
	unsigned used = 0;

	for (size_t i = 0; i < n;) {
		uint32_t cp;

		i += utf8_next(s + i, n - i, &cp);
		used += char_columns(cp);
	}
	return used;
}

void pen_hue(const struct pen *pen, enum hue hue)
{
	static const char *const codes[] = {"\033[0m", "\033[31m", "\033[32m", "\033[33m", "\033[1m", "\033[2m"};

	if (pen->color)
		buf_adds(pen->out, codes[hue]);
}

void pen_indent(const struct pen *pen, unsigned columns)
{
	while (columns--)
		buf_addc(pen->out, ' ');
}

/* Where to break s so that it fits: after the last space, or in the middle of a word that is longer than a row. */
static size_t break_at(const char *s, size_t n, unsigned columns)
{
	size_t fit = text_fit(s, n, columns), at = fit;

	if (fit == n)
		return n;
	while (at && s[at] != ' ')
		at--;
	/* A space among the leading ones is indentation, not a place to break. */
	if (at <= strspn(s, " "))
		at = fit;
	return at ? at : 1;
}

void pen_wrap(const struct pen *pen, const char *s, unsigned indent, unsigned max_rows)
{
	struct buf clean = {0};
	unsigned columns = pen->width > indent + 20 ? pen->width - indent : 20;

	scrub(&clean, s, pen->ascii ? SCRUB_ASCII : 0);
	const char *p = clean.p ? clean.p : "";
	size_t n = clean.n;

	for (unsigned row = 1;; row++) {
		bool last = row == max_rows;
		size_t at = break_at(p, n, columns);

		if (at < n && last)
			at = break_at(p, n, columns - 4);
		buf_add(pen->out, p, at);
		if (at < n && last)
			buf_adds(pen->out, pen->ascii ? " ..." : " …");
		while (at < n && p[at] == ' ')
			at++;
		p += at;
		n -= at;
		if (!n || last)
			break;
		buf_addc(pen->out, '\n');
		pen_indent(pen, pen->rail ? indent - 2 : indent);
		if (pen->rail)
			buf_adds(pen->out, pen->rail);
	}
	buf_addc(pen->out, '\n');
	buf_free(&clean);
}

void pen_field(const struct pen *pen, const char *label, const char *text)
{
	if (!text || !*text)
		return;
	size_t len = strlen(label);

	pen_indent(pen, PEN_LABEL);
	pen_hue(pen, HUE_DIM);
	buf_adds(pen->out, label);
	pen_hue(pen, HUE_PLAIN);
	pen_indent(pen, (unsigned)(PEN_LABEL + len < PEN_TEXT ? PEN_TEXT - PEN_LABEL - len : 1));
	pen_wrap(pen, text, PEN_TEXT, 12);
}
