/* Where a reply begins and ends, and its RESP3 in the words of RESP2, for hiredis' reader knows no other (0.14).
 *
 * A reply is a number of values still to come: each takes one away, an aggregate adds its own. So its end is known to the byte, in any pieces
 * and at any depth, without a stack. The reader is handed what is read at once: of a header what RESP2 would have said, the
 * bytes of strings and lines as they are. Not handed on are attributes, and what is nested deeper than the reader can. */
#include <hiredis/read.h>
#include <stdio.h>
#include <string.h>

#include "proto/resp.h"

#define READER_DEPTH 8          /* an aggregate on this level of its stack is refused by hiredis 0.14 */
#define VALUES_MAX INT32_MAX    /* of one aggregate, as hiredis has it */

enum { AT_TYPE, AT_COUNT, AT_LINE, AT_STRING };

static void hand_on(struct resp_scan *s, const void *p, size_t n)
{
	if (!s->dropping)
		redisReaderFeed(s->reader, p, n);
}

static void value_ends(struct resp_scan *s)
{
	s->at = AT_TYPE;
	s->todo--;
	if (!s->dropping || s->todo != s->keep)
		return;
	s->dropping = false;
	if (s->stands_in)               /* not before: the reader may think that this was the last of the reply */
		hand_on(s, "$-1\r\n", 5);
}

/* Does the reader have room for one more level? It has to look at what it was handed to know. */
static bool too_deep(struct resp_scan *s)
{
	void *none = NULL;

	if (!s->deep || s->dropping)
		return false;
	redisReaderGetReply(s->reader, &none);
	return s->reader->ridx >= READER_DEPTH;
}

/* The first byte of a value. */
static const char *type_byte(struct resp_scan *s, char c)
{
	bool top = !s->deep && !s->dropping;

	s->begun |= top && c != '|';
	s->type = c;
	s->last = 0;
	s->count = s->digits = 0;
	s->minus = false;
	if (c == '>' && !top)
		return "a push inside of a reply";
	if (c && strchr("*$%~>|=!", c)) {
		s->at = AT_COUNT;
		s->push |= c == '>';
		s->error |= c == '!' && top;
		return NULL;
	}
	s->at = AT_LINE;
	if (c && strchr("+-:", c))
		hand_on(s, &c, 1);
	else if (c && strchr("#,(", c))
		hand_on(s, "+", 1);
	else if (c != '_')
		return "not RESP: no reply begins with such a byte";
	return NULL;
}

/* What is dropped begins with the next value, and ends when keep values are left; a null may stand in for it. */
static void drop(struct resp_scan *s, uint64_t keep, bool stands_in)
{
	if (s->dropping)
		return;
	s->dropping = true;
	s->keep = keep;
	s->stands_in = stands_in;
}

static void aggregate(struct resp_scan *s)
{
	uint64_t n = s->minus ? 0 : s->type == '%' || s->type == '|' ? s->count * 2 : s->count;
	char head[32];

	s->at = AT_TYPE;
	if (s->type == '|') {           /* belongs to the value behind it, and is none itself */
		if (n)
			drop(s, s->todo, false);
		s->todo += n;
		return;
	}
	if (too_deep(s))
		drop(s, s->todo - 1, true);
	else
		hand_on(s, head, (size_t)(s->minus ? snprintf(head, sizeof head, "*-1\r\n") :
					  snprintf(head, sizeof head, "*%llu\r\n", (unsigned long long)n)));
	s->deep = true;
	s->todo += n;
	value_ends(s);
}

static void string_begins(struct resp_scan *s)
{
	char head[32];

	if (s->minus) {
		hand_on(s, "$-1\r\n", 5);
		value_ends(s);
		return;
	}
	hand_on(s, head, (size_t)snprintf(head, sizeof head, "$%llu\r\n", (unsigned long long)s->count));
	s->count += 2;
	s->at = AT_STRING;
}

/* One byte of the number that a string or an aggregate begins with; -1 is what RESP2 says for null. */
static const char *count_byte(struct resp_scan *s, char c)
{
	bool is_string = strchr("$=!", s->type), can_be_null = s->type == '$' || s->type == '*';

	if (s->last == '\r') {
		if (c != '\n' || !s->digits || (s->minus && s->count != 1))
			return "not RESP: a length that is no number";
		if (!is_string && s->count > VALUES_MAX)
			return "an aggregate of more than 2147483647 values";
		if (is_string)
			string_begins(s);
		else
			aggregate(s);
		return NULL;
	}
	s->last = c;
	if (c == '\r')
		return NULL;
	if (c == '-' && !s->digits && !s->minus && can_be_null) {
		s->minus = true;
		return NULL;
	}
	if (c == '?' && !s->digits)
		return "a streamed string or aggregate, which is not read here";
	if (c < '0' || c > '9' || s->digits == 19)
		return "not RESP: a length that is no number";
	s->count = s->count * 10 + (uint64_t)(c - '0');
	s->digits++;
	return NULL;
}

/* What may stand in the line of a type; NULL: anything. */
static const char *alphabet(char type)
{
	return type == '#' ? "tf" : type == '(' ? "+-0123456789" : type == ',' ? "+-.0123456789eEinfaN" : type == '_' ? "" : NULL;
}

/* A line, or what is there of it; *ret_used: its bytes. */
static const char *line_bytes(struct resp_scan *s, const uint8_t *p, size_t n, size_t *ret_used)
{
	const char *allowed = alphabet(s->type);
	bool ends = false;
	size_t i = 0;

	while (i < n && !ends) {
		char c = (char)p[i++];

		ends = c == '\n' && s->last == '\r';
		if (allowed && !ends && c != '\r' && (!c || s->last == '\r' || !strchr(allowed, c)))
			return "not RESP: a number, a truth or a null that is none";
		if (allowed && c != '\r' && !ends)
			s->count++;
		s->last = c;
	}
	*ret_used = i;
	if (ends && allowed && (s->type == '#' ? s->count != 1 : s->type != '_' && !s->count))
		return "not RESP: a number, a truth or a null that is none";
	if (s->type != '_')
		hand_on(s, p, i);
	else if (ends)
		hand_on(s, "$-1\r\n", 5);
	if (ends)
		value_ends(s);
	return NULL;
}

static const char *string_bytes(struct resp_scan *s, const uint8_t *p, size_t n, size_t *ret_used)
{
	size_t k = n < s->count ? n : (size_t)s->count;

	/* the last two of its bytes, as far as they are here */
	for (size_t i = s->count <= 2 ? 0 : (size_t)(s->count - 2 < k ? s->count - 2 : k); i < k; i++)
		if (p[i] != (s->count - i == 2 ? '\r' : '\n'))
			return "not RESP: a string does not end where its length says";
	*ret_used = k;
	hand_on(s, p, k);
	s->count -= k;
	if (!s->count)
		value_ends(s);
	return NULL;
}

void resp_scan_begin(struct resp_scan *s)
{
	*s = (struct resp_scan){.reader = s->reader, .todo = 1};
}

size_t resp_scan(struct resp_scan *s, const uint8_t *p, size_t n, const char **ret_bad)
{
	const char *bad = NULL;
	size_t i = 0;

	while (i < n && s->todo && !bad) {
		size_t used = 1;

		if (s->at == AT_TYPE)
			bad = type_byte(s, (char)p[i]);
		else if (s->at == AT_COUNT)
			bad = count_byte(s, (char)p[i]);
		else if (s->at == AT_LINE)
			bad = line_bytes(s, p + i, n - i, &used);
		else
			bad = string_bytes(s, p + i, n - i, &used);
		i += used;
	}
	*ret_bad = bad;
	return i;
}
