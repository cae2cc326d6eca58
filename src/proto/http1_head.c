/* Heads of HTTP/1 answers, one byte at a time, so that any chunking of the input gives the same result. */
#include "proto/http1.h"

#include <string.h>

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t';
}

static bool is_digit(uint8_t c)
{
	return c >= '0' && c <= '9';
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c | 0x20 : c;
}

/* RFC 9110 5.6.2 */
static bool is_tchar(uint8_t c)
{
	return is_digit(c) || (lower(c) >= 'a' && lower(c) <= 'z') || (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool token_is(const struct http1 *st, const char *word)
{
	return !(st->flags & H1_OVERLONG) && st->n == strlen(word) && !memcmp(st->tok, word, st->n);
}

static void token_clear(struct http1 *st)
{
	st->n = 0;
	st->flags &= (uint16_t)~(H1_GAP | H1_OVERLONG);
}

static void token_add(struct http1 *st, uint8_t c)
{
	if (st->n == sizeof st->tok || (st->flags & H1_GAP))
		st->flags |= H1_OVERLONG;
	else
		st->tok[st->n++] = (char)c;
}

static void status_digit(struct http1 *st, uint8_t c, struct answer *an)
{
	if (!is_digit(c) || (st->n == 0 && c == '0')) {
		http1_bad(an, "status code is not three digits (RFC 9112 4)");
		return;
	}
	st->status = (uint16_t)(st->status * 10 + c - '0');
	if (++st->n == 3) {
		st->step = H1_AFTER_STATUS;
		if (st->status >= 200 || st->status == 101)
			an->status = st->status;
	}
}

/* The status line up to its reason. "HTTP/1.1 200" without the space behind it is common enough to be let through. */
static void status_byte(struct http1 *st, uint8_t c, struct answer *an)
{
	static const char version[] = "HTTP/1.";

	if (st->step == H1_STATUS) {
		status_digit(st, c, an);
	} else if (st->step == H1_VERSION) {
		if (c != (uint8_t)version[st->n])
			http1_bad(an, "does not begin with HTTP/1.x (RFC 9112 4)");
		else if (++st->n == sizeof version - 1)
			st->step = H1_MINOR;
	} else if (st->step == H1_MINOR) {
		if (!is_digit(c))
			http1_bad(an, "does not begin with HTTP/1.x (RFC 9112 2.3)");
		st->flags |= c == '0' ? H1_VERSION_0 : 0;
		st->step = H1_SPACE;
	} else if (st->step == H1_SPACE) {
		if (c != ' ')
			http1_bad(an, "no space before the status code (RFC 9112 4)");
		st->n = 0;
		st->step = H1_STATUS;
	} else if (c == ' ') {
		st->step = H1_REASON;
	} else {
		http1_bad(an, "no space after the status code (RFC 9112 4)");
	}
}

/* One element of Content-Length is complete; "5, 5" is one value said twice (RFC 9112 6.3). */
static void length_end(struct http1 *st, struct answer *an)
{
	if (!st->n)
		http1_bad(an, "Content-Length is empty (RFC 9112 6.3)");
	else if (st->length >= 0 && (uint64_t)st->length != st->number)
		http1_bad(an, "two different values of Content-Length (RFC 9112 6.3)");
	st->length = (int64_t)st->number;
	st->number = 0;
	token_clear(st);
}

static void length_byte(struct http1 *st, uint8_t c, struct answer *an)
{
	if (c == ',') {
		length_end(st, an);
	} else if (is_space(c)) {
		st->flags |= st->n ? H1_GAP : 0;
	} else if (!is_digit(c) || (st->flags & H1_GAP)) {
		http1_bad(an, "Content-Length is not a number (RFC 9112 6.3)");
	} else if (st->number > (uint64_t)(INT64_MAX - (c - '0')) / 10) {
		http1_bad(an, "Content-Length overflows 63 bits (RFC 9112 6.3)");
	} else {
		st->number = st->number * 10 + c - '0';
		st->n = 1;
	}
}

/* A list element of Connection or Transfer-Encoding, or the nonce, is complete. */
static void token_end(struct http1 *st, struct answer *an)
{
	bool empty = !st->n && !(st->flags & H1_OVERLONG);

	if (st->field == H1_CONNECTION) {
		st->flags |= token_is(st, "close") ? H1_SAYS_CLOSE : 0;
		st->flags |= token_is(st, "keep-alive") ? H1_SAYS_KEEP : 0;
	} else if (st->field == H1_CODING && !empty) {
		if (st->flags & H1_CHUNKED)
			http1_bad(an, "Transfer-Encoding goes on after chunked (RFC 9112 6.1)");
		st->flags |= H1_HAS_CODING | (token_is(st, "chunked") ? H1_CHUNKED : 0);
	} else if (st->field == H1_NONCE) {
		bool same = !(st->flags & H1_OVERLONG) && st->n == NONCE_LEN &&
			    !memcmp(st->tok, st->nonce, NONCE_LEN);

		an->echo_bad_at = same ? an->echo_bad_at : 0;
		an->echo = an->echo_bad_at < 0;
	} else if (st->field == H1_TYPE && token_is(st, "text/event-stream")) {
		st->flags |= H1_EVENTS;
	}
	token_clear(st);
}

static void value_byte(struct http1 *st, uint8_t c, struct answer *an)
{
	if (!c) {
		http1_bad(an, "NUL in a field (RFC 9112 5, RFC 9110 5.5)");
	} else if (st->field == H1_OTHER) {
		return;
	} else if (st->field == H1_LENGTH) {
		length_byte(st, c, an);
	} else if (is_space(c)) {
		st->flags |= st->n ? H1_GAP : 0;
	} else if ((c == ',' && st->field != H1_NONCE) || (c == ';' && st->field == H1_TYPE)) {
		token_end(st, an);
	} else {
		token_add(st, st->field == H1_NONCE ? c : lower(c));
	}
}

/* A field is over only when the next line is seen not to continue it (obs-fold, RFC 9112 5.2). */
static void field_end(struct http1 *st, struct answer *an)
{
	if (st->field == H1_LENGTH)
		length_end(st, an);
	else if (st->field != H1_OTHER)
		token_end(st, an);
	st->field = H1_OTHER;
}

static void name_byte(struct http1 *st, uint8_t c, struct answer *an)
{
	static const struct {
		const char *name;
		enum http1_field field;
	} known[] = {
		{"content-length", H1_LENGTH},
		{"transfer-encoding", H1_CODING},
		{"connection", H1_CONNECTION},
		{"x-drainspec-nonce", H1_NONCE},
		{"content-type", H1_TYPE},
	};

	if (is_tchar(c)) {
		token_add(st, lower(c));
		return;
	}
	if (c != ':') {
		http1_bad(an, is_space(c) ? "white space in a field name (RFC 9112 5.1)" :
			      c == '\r' || c == '\n' ? "a field line without a colon (RFC 9112 5)" :
			      "a character that no field name has (RFC 9112 5)");
		return;
	}
	/* Fields of a trailer cannot change the framing (RFC 9110 6.5.1). */
	for (size_t i = 0; i < sizeof known / sizeof *known && !(st->flags & H1_TRAILER); i++)
		if (token_is(st, known[i].name))
			st->field = (uint8_t)known[i].field;
	token_clear(st);
	st->number = 0;
	st->step = H1_VALUE;
}

/* How the body of the final answer is delimited: RFC 9112 6.3, in its order. */
static void framing(struct http1 *st, struct answer *an)
{
	bool bodyless = (st->flags & H1_IS_HEAD) || st->status == 101 || st->status == 204 || st->status == 304 ||
			((st->flags & H1_IS_CONNECT) && st->status < 300);

	an->close = (st->flags & H1_SAYS_CLOSE) ||
		    ((st->flags & H1_VERSION_0) && (!(st->flags & H1_SAYS_KEEP) || (st->flags & H1_HAS_CODING)));
	an->state = ANSWER_BODY;
	if (bodyless) {
		an->state = ANSWER_DONE;
	} else if ((st->flags & H1_HAS_CODING) && st->length >= 0) {
		http1_bad(an, "both Transfer-Encoding and Content-Length (RFC 9112 6.2)");
	} else if (st->flags & H1_CHUNKED) {
		an->length = -1;
		st->step = H1_CHUNK_SIZE;
		st->number = 0;
		token_clear(st);
	} else if (st->length >= 0) {
		an->length = st->length;
		st->left = (uint64_t)st->length;
		st->step = H1_BODY;
		an->state = st->left ? ANSWER_BODY : ANSWER_DONE;
	} else {
		an->length = -2;
		an->until_close = an->close = true;
		st->step = H1_UNTIL_CLOSE;
	}
}

static void head_end(struct http1 *st, struct answer *an)
{
	if (st->flags & H1_TRAILER) {
		an->state = ANSWER_DONE;
		return;
	}
	if (st->status >= 200 || st->status == 101) {
		framing(st, an);
		return;
	}
	/* An interim answer: what it said holds for itself alone, and of the final one not a byte has come. */
	an->continued |= st->status == 100;
	an->echo = false;
	an->echo_bad_at = -1;
	an->state = ANSWER_NONE;
	st->flags &= H1_IS_HEAD | H1_IS_CONNECT;
	st->flags |= H1_FIRST;
	st->length = -1;
	st->status = 0;
	st->n = 0;
	st->step = H1_VERSION;
}

static void line_start(struct http1 *st, uint8_t c, struct answer *an)
{
	if (is_space(c)) {
		if (st->flags & H1_FIRST)
			http1_bad(an, "white space before the first field (RFC 9112 2.2)");
		else
			value_byte(st, c, an);
		st->step = H1_VALUE;
		return;
	}
	field_end(st, an);
	if (an->state == ANSWER_BAD)
		return;
	token_clear(st);
	st->flags &= (uint16_t)~H1_FIRST;
	if (c == '\n') {
		head_end(st, an);
	} else if (c == '\r') {
		st->step = H1_HEAD_LF;
	} else if (c == ':') {
		http1_bad(an, "a field without a name (RFC 9112 5)");
	} else {
		st->step = H1_NAME;
		name_byte(st, c, an);
	}
}

static bool within_limits(struct http1 *st, uint8_t c, struct answer *an)
{
	if (++st->head > HTTP1_HEAD_MAX)
		http1_bad(an, "head longer than 256 KiB (our limit; RFC 9112 5, RFC 9110 5.4)");
	else if (c == '\n' && ++st->lines > HTTP1_LINES_MAX)
		http1_bad(an, "head of more than 1000 lines (our limit; RFC 9112 5, RFC 9110 5.4)");
	return an->state != ANSWER_BAD;
}

void http1_head_byte(struct http1 *st, uint8_t c, struct answer *an)
{
	if (an->state == ANSWER_NONE)
		an->state = ANSWER_HEAD;
	if (!within_limits(st, c, an))
		return;
	if (st->step == H1_LINE_START) {
		line_start(st, c, an);
	} else if (st->step == H1_LINE_LF || st->step == H1_HEAD_LF) {
		if (c != '\n')
			http1_bad(an, "CR without LF in the head (RFC 9112 2.2)");
		else if (st->step == H1_HEAD_LF)
			head_end(st, an);
		else
			st->step = H1_LINE_START;
	} else if (st->step == H1_NAME) {
		name_byte(st, c, an);
	} else if (st->step < H1_AFTER_STATUS) {
		status_byte(st, c, an);
	} else if (c == '\r') {
		st->step = H1_LINE_LF;
	} else if (c == '\n') {
		st->step = H1_LINE_START;
	} else if (st->step == H1_VALUE) {
		value_byte(st, c, an);
	} else if (st->step == H1_AFTER_STATUS) {
		status_byte(st, c, an);
	} else if (!c) {
		http1_bad(an, "NUL in the status line (RFC 9112 4)");
	}
}
