/* Raw bytes: what to send is written with escapes, and a regular expression says when the answer is whole. */
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "proto/body.h"
#include "proto/proto.h"

/* The answer ends where `(regex)$` is first found in the last bytes received. */
#define TAIL_MAX 88

struct raw {
	const struct request *rq;
	char nonce[NONCE_LEN];
	uint8_t n;
	uint8_t tail[TAIL_MAX];
};

_Static_assert(sizeof(struct raw) <= 128, "19,000 connections keep one each");

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	       c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that an escape at s (a backslash) stands for, and in *ret_len how long it is; -1: none that we know. */
static int escape(const char *s, size_t *ret_len)
{
	static const char names[] = "nrt0\\", bytes[] = "\n\r\t\0\\";
	const char *at = s[1] ? strchr(names, s[1]) : NULL;

	*ret_len = 2;
	if (at)
		return (unsigned char)bytes[at - names];
	if (s[1] != 'x' || hex_value(s[2]) < 0 || hex_value(s[3]) < 0)
		return -1;
	*ret_len = 4;
	return hex_value(s[2]) << 4 | hex_value(s[3]);
}

static int raw_bytes(const char *s, const char *nonce, struct buf *out, struct err *reterr)
{
	while (*s) {
		size_t len = strcspn(s, "\\$");

		buf_add(out, s, len);
		s += len;
		if (*s == '$') {
			bool is = !strncmp(s, "$nonce", 6);

			buf_add(out, is ? nonce : s, is ? NONCE_LEN : 1);
			s += is ? 6 : 1;
		} else if (*s) {
			int c = escape(s, &len);

			if (c < 0)
				return err_set(reterr, ERR_USAGE, 0,
					       "'%.4s' in a raw request is no escape: \\n \\r \\t \\0 \\\\ \\xNN are",
					       s);
			buf_addc(out, (char)c);
			s += len;
		}
	}
	return 0;
}

/* The regex with the same escapes and $nonce made literal, as "(...)$". What else begins with a backslash is the
 * regex's own. *ret_last: the byte with which every match ends, -1 if that is not obvious: any byte may end it. */
static int raw_pattern(const char *s, const char *nonce, struct buf *out, int *ret_last)
{
	int last = -1;
	bool choice = false, listed = false;

	buf_addc(out, '(');
	while (*s) {
		size_t len = 1;
		int c = *s == '\\' && s[1] != '\\' ? escape(s, &len) : -1;

		if (c == 0 && listed)
			return -1;
		if (c == 0) {           /* regcomp() reads a string: 0 is what is no other byte */
			buf_adds(out, "[^\x01-\xff]");
			last = 0;
		} else if (c > 0) {
			if (strchr(".[]{}()*+?^$|\\", c))
				buf_addc(out, '\\');
			buf_addc(out, (char)c);
			last = c;
		} else if (*s == '\\' && s[1]) {
			len = 2;
			last = strchr(".[]{}()*+?^$|\\/", s[1]) ? (unsigned char)s[1] : -1;
			buf_add(out, s, 2);
		} else if (!strncmp(s, "$nonce", 6)) {
			len = 6;
			last = (unsigned char)nonce[NONCE_LEN - 1];
			buf_add(out, nonce, NONCE_LEN);
		} else {
			len = 1;
			last = strchr(".[]{}()*+?^$|\\", *s) ? -1 : (unsigned char)*s;
			choice |= *s == '|';
			listed = *s == '[' || (listed && *s != ']');
			buf_addc(out, *s);
		}
		s += len;
	}
	buf_adds(out, ")$");
	*ret_last = choice ? -1 : last;
	return 0;
}

static int raw_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
		      struct err *reterr)
{
	size_t start = out->n;
	struct buf pattern = {0};
	regex_t re;
	int last, rc = raw_bytes(rq->line ? rq->line : "", nonce, out, reterr);

	if (!rc && out->n == start)
		rc = err_set(reterr, ERR_USAGE, 0, "a raw request needs at least one byte to send");
	if (!rc && rq->answer) {
		bool nul = raw_pattern(rq->answer, nonce, &pattern, &last) < 0;
		int bad = nul ? REG_BADPAT : regcomp(&re, pattern.p, REG_EXTENDED | REG_NOSUB);
		char why[128] = "the byte 0 inside [] is more than regcomp() takes";

		if (!nul)
			regerror(bad, NULL, why, sizeof why);
		if (bad)
			rc = err_set(reterr, ERR_USAGE, 0, "answer '%s': %s", rq->answer, why);
		else
			regfree(&re);
	}
	buf_free(&pattern);
	if (rc < 0) {
		out->n = start;
		return -1;
	}
	size_t n = out->n - start;

	*ret = (struct cuts){.half_header = n / 2, .head_end = n, .half_body = n, .end = n};
	return 0;
}

static void raw_start(void *state, const struct request *rq, const char nonce[NONCE_LEN + 1], struct answer *an)
{
	struct raw *st = state;

	*st = (struct raw){.rq = rq};
	memcpy(st->nonce, nonce, NONCE_LEN);
	*an = (struct answer){
		.echo_bad_at = -1,
		.hash = FNV1A_START,
		.until_close = !rq->answer,
		.length = rq->answer ? -3 : -2,
	};
}

static void push(struct raw *st, const uint8_t *p, size_t n)
{
	size_t keep = n >= TAIL_MAX ? 0 : st->n + n > TAIL_MAX ? TAIL_MAX - n : st->n;
	size_t fresh = n > TAIL_MAX ? TAIL_MAX : n;

	memmove(st->tail, st->tail + st->n - keep, keep);
	memcpy(st->tail + keep, p + n - fresh, fresh);
	st->n = (uint8_t)(keep + fresh);
}

/* Compiled for each feed() that needs it and freed by it: the parser state has no end at which it could be freed,
 * and nothing may be kept outside it. */
static bool matches(const struct raw *st, const char *pattern, regex_t *re, bool *compiled, uint64_t bytes)
{
	regmatch_t m = {.rm_so = 0, .rm_eo = st->n};

	if (!*compiled && regcomp(re, pattern, REG_EXTENDED | REG_NOSUB))
		return false;
	*compiled = true;
	return !regexec(re, (const char *)st->tail, 1, &m, REG_STARTEND | (bytes > TAIL_MAX ? REG_NOTBOL : 0));
}

/* Only places where the answer can end are looked at, and they do not depend on how the input was split. */
static size_t scan(struct raw *st, const uint8_t *p, size_t n, struct answer *an)
{
	struct buf pattern = {0};
	regex_t re;
	bool compiled = false;
	int last;
	size_t used = 0;

	if (raw_pattern(st->rq->answer, st->nonce, &pattern, &last) < 0)
		an->state = ANSWER_BAD, an->bad = "the answer's regular expression is not valid";
	while (used < n && an->state == ANSWER_BODY) {
		const uint8_t *at = last < 0 ? p + used : memchr(p + used, last, n - used);
		size_t run = at ? (size_t)(at - p) + 1 - used : n - used;

		push(st, p + used, run);
		used += run;
		if (at && matches(st, pattern.p, &re, &compiled, an->bytes + used))
			an->state = ANSWER_DONE;
	}
	if (compiled)
		regfree(&re);
	buf_free(&pattern);
	return used;
}

static size_t raw_feed(void *state, const uint8_t *p, size_t n, struct answer *an, struct buf *reply)
{
	struct raw *st = state;

	(void)reply;
	if (!n || an->state == ANSWER_DONE || an->state == ANSWER_BAD)
		return 0;
	an->state = ANSWER_BODY;
	if (st->rq->answer)
		n = scan(st, p, n, an);
	an->hash = fnv1a(an->hash, p, n);
	an->body += n;
	an->bytes += n;
	return n;
}

/* A FIN without a byte before it is no answer. */
static void raw_eof(void *state, struct answer *an)
{
	(void)state;
	if (an->state == ANSWER_BODY && an->until_close)
		an->state = ANSWER_DONE;
}

static bool raw_recognise(const uint8_t *p, size_t n)
{
	(void)p;
	return n > 0;
}

const struct proto proto_raw = {
	.name = "raw",
	.help = "any bytes over TCP; request: text with \\n \\r \\t \\0 \\\\ \\xNN and $nonce, answer: a regex",
	.state_size = sizeof(struct raw),
	.has_heads = true,
	.pipelines = false,
	.may_greet = true,
	.render = raw_render,
	.start = raw_start,
	.feed = raw_feed,
	.eof = raw_eof,
	.recognise = raw_recognise,
};
