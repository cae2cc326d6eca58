/* RESP, the protocol of Redis: replies read with hiredis' reader, one reader an answer, made when its first byte comes.
 *
 * The reader knows RESP2. Of RESP3 the types that stand alone or at the top of a reply are rewritten line by line before it
 * sees them; a push that answers nothing is read and dropped. */
#include "proto/resp.h"

#include <hiredis/read.h>
#include <stdlib.h>
#include <string.h>

#include "proto/body.h"

#define BULK_MAX (64 * 1024 * 1024)     /* bytes of one string that hiredis keeps until it is whole */
#define LINE_MAX (64 * 1024)            /* of a line that has no end */

struct resp {
	redisReader *reader;
	struct answer *an;      /* while feed() runs */
	uint8_t kind;           /* enum resp_kind */
	uint8_t n;              /* bytes in line */
	bool push, inside;      /* the reply at hand is a push; its first line has been handed on */
	char nonce[NONCE_LEN];
	char line[24];          /* the first line of a reply whose type must be rewritten */
	char note[60];          /* of an error: its text */
};

_Static_assert(sizeof(struct resp) <= 128, "19,000 connections keep one each");

static char something[1];       /* what is made of a reply: nothing, but hiredis takes NULL for a failure */

static bool is_top(const redisReadTask *task)
{
	return !task->parent;
}

/* Errors that say that the request was wrong, not that the server could not do it. */
static bool is_client_error(const char *s, size_t n)
{
	static const char *const own[] = {"WRONGTYPE", "NOAUTH", "NOPERM", "NOSCRIPT", "ERR unknown", "ERR wrong number",
					  "ERR syntax", "ERR value is not", "ERR invalid", "DENIED"};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (n >= strlen(own[i]) && !memcmp(s, own[i], strlen(own[i])))
			return true;
	return false;
}

static void take_error(struct resp *st, const char *s, size_t n)
{
	size_t k = 0;

	st->note[k++] = '-';
	for (size_t i = 0; i < n && k < sizeof st->note - 1; i++)
		st->note[k++] = s[i] >= ' ' && s[i] < 127 ? s[i] : '?';
	st->note[k] = '\0';
	st->an->status = is_client_error(s, n) ? 400 : 500;
	st->an->note = st->note;
}

/* The nonce of this very command must come back: another one is cross-talk, or an order that was lost. */
static void take_echo(struct resp *st, const char *s, size_t n)
{
	size_t good = n == NONCE_LEN ? echo_check(st->nonce, 0, (const uint8_t *)s, n) : 0;

	st->an->echo = good == NONCE_LEN;
	if (good < NONCE_LEN)
		st->an->echo_bad_at = (int64_t)good;
}

static void *on_string(const redisReadTask *task, char *s, size_t n)
{
	struct resp *st = task->privdata;

	if (!is_top(task) || st->push)
		return something;
	if (task->type == REDIS_REPLY_ERROR)
		take_error(st, s, n);
	else if (st->kind == RESP_ECHOES)
		take_echo(st, s, n);
	return something;
}

#ifdef REDIS_REPLY_PUSH
typedef size_t count_t;         /* hiredis 1.0 and later */
#else
typedef int count_t;
#endif

static void *on_array(const redisReadTask *task, count_t n)
{
	(void)task, (void)n;
	return something;
}

static void *on_integer(const redisReadTask *task, long long n)
{
	(void)task, (void)n;
	return something;
}

static void *on_nil(const redisReadTask *task)
{
	(void)task;
	return something;
}

static void on_free(void *reply)
{
	(void)reply;
}

static redisReplyObjectFunctions functions = {
	.createString = on_string, .createArray = on_array, .createInteger = on_integer, .createNil = on_nil,
	.freeObject = on_free,
};

static void resp_start(void *state, const struct request *rq, const char nonce[NONCE_LEN + 1], struct answer *an)
{
	struct resp *st = state;

	*st = (struct resp){.kind = (uint8_t)resp_kind(rq->line)};
	memcpy(st->nonce, nonce, NONCE_LEN);
	*an = (struct answer){.echo_bad_at = -1, .hash = FNV1A_START, .length = -2,
			      .until_close = st->kind == RESP_STREAMS};
}

static void resp_stop(void *state)
{
	struct resp *st = state;

	if (st->reader)
		redisReaderFree(st->reader);
	st->reader = NULL;
}

static void bad(struct answer *an, const char *what)
{
	an->state = ANSWER_BAD;
	an->bad = what;
}

/* The first line of a reply, as RESP2 would have said it. Types that RESP2 has are left alone. */
static void rewrite(struct resp *st)
{
	char c = st->line[0];

	st->push = c == '>';
	if (c == '>' || c == '~') {
		st->line[0] = '*';
	} else if (c == '#' || c == ',' || c == '(') {
		st->line[0] = '+';
	} else if (c == '=' || c == '!') {
		st->line[0] = '$';
	} else if (c == '_') {
		memcpy(st->line, "$-1\r\n", 5);
		st->n = 5;
	} else if (c == '%') {
		unsigned pairs = 0;

		for (unsigned i = 1; i < st->n && st->line[i] >= '0' && st->line[i] <= '9' && pairs < 1000000; i++)
			pairs = pairs * 10 + (unsigned)(st->line[i] - '0');
		struct buf b = {0};

		buf_printf(&b, "*%u\r\n", pairs * 2);
		memcpy(st->line, b.p, b.n);
		st->n = (uint8_t)b.n;
		buf_free(&b);
	}
}

/* Bytes of the first line into st->line until it is whole; then it goes to the reader. Returns how many it took. */
static size_t first_line(struct resp *st, const uint8_t *p, size_t n, struct answer *an)
{
	size_t used = 0;

	while (used < n) {
		uint8_t c = p[used++];

		st->line[st->n++] = (char)c;
		if (c == '\n')
			break;
		if (st->n == sizeof st->line) {
			bad(an, "a RESP3 line that is too long");
			return used;
		}
	}
	if (st->line[st->n - 1] == '\n') {
		rewrite(st);
		redisReaderFeed(st->reader, st->line, st->n);
		st->inside = true;
		st->n = 0;
	}
	return used;
}

static bool is_resp3(uint8_t c)
{
	return c && strchr(">~#,(=!_%", c);
}

/* What hiredis keeps until it has the whole of it is bounded: a length is only a claim. */
static bool too_much(const redisReader *r)
{
	size_t kept = r->len - r->pos;

	return kept > BULK_MAX || (kept > LINE_MAX && r->buf[r->pos] != '$');
}

/* Looks for a whole reply in what the reader has. true: there is one; *ret_left: bytes behind it. */
static bool one_reply(struct resp *st, struct answer *an, size_t *ret_left)
{
	void *reply = NULL;

	*ret_left = 0;
	st->reader->privdata = st;      /* hiredis' own macro for this casts the pointer to int */
	if (redisReaderGetReply(st->reader, &reply) != REDIS_OK) {
		bad(an, "not RESP: hiredis' reader refuses a type, a length or the nesting");
		return false;
	}
	if (!reply) {
		if (too_much(st->reader))
			bad(an, "a string of more than 64 MiB, or a line of more than 64 KiB (our limits)");
		return false;
	}
	*ret_left = st->reader->len - st->reader->pos;
	return true;
}

/* A reply is whole. Of a subscription it is one of many. */
static void reply_done(struct resp *st, struct answer *an)
{
	bool push = st->push;

	st->inside = st->push = false;
	if (st->kind == RESP_STREAMS && !an->note) {
		an->state = ANSWER_BODY;
		an->status = 200;
	} else if (!push) {
		an->status = an->status ? an->status : 200;
		an->state = ANSWER_DONE;
	} else {
		an->state = ANSWER_NONE;
	}
}

/* One reply, or as much of it as is there. hiredis takes all that it is fed, so what follows a whole reply is taken back. */
static size_t feed_some(struct resp *st, const uint8_t *p, size_t n, struct answer *an)
{
	size_t used = 0, left;

	if (!st->inside && (st->n || is_resp3(p[0]))) {
		used = first_line(st, p, n, an);
	} else {
		/* by pieces: a burst of small messages is not to be copied again for each of them */
		used = n < 4096 ? n : 4096;
		st->inside = true;
		redisReaderFeed(st->reader, (const char *)p, used);
	}
	if (an->state == ANSWER_BAD || !st->inside)
		return used;
	if (!st->push)
		an->state = ANSWER_BODY;
	if (!one_reply(st, an, &left))
		return used;
	reply_done(st, an);
	if (left) {
		redisReaderFree(st->reader);
		st->reader = NULL;
	}
	return used - left;
}

static size_t resp_feed(void *state, const uint8_t *p, size_t n, struct answer *an, struct buf *reply)
{
	struct resp *st = state;
	size_t used = 0;

	(void)reply;
	st->an = an;
	while (used < n && an->state != ANSWER_DONE && an->state != ANSWER_BAD) {
		if (!st->reader) {
			st->reader = redisReaderCreateWithFunctions(&functions);
			if (!st->reader)
				abort();
		}
		size_t some = feed_some(st, p + used, n - used, an);

		an->hash = fnv1a(an->hash, p + used, some);
		an->bytes += some;
		an->body += some;
		used += some;
	}
	return used;
}

/* The end of a subscription is the end of the connection, between two messages. */
static void resp_eof(void *state, struct answer *an)
{
	struct resp *st = state;

	if (an->state == ANSWER_BODY && an->until_close && !st->inside && !st->n)
		an->state = ANSWER_DONE;
}

/* To PING, or to the HTTP request of the first probe. */
static bool resp_recognise(const uint8_t *p, size_t n)
{
	static const char *const first[] = {"+PONG\r\n", "-ERR ", "-NOAUTH ", "-DENIED ", "-LOADING "};

	for (size_t i = 0; i < sizeof first / sizeof *first; i++)
		if (n >= strlen(first[i]) && !memcmp(p, first[i], strlen(first[i])))
			return true;
	return false;
}

const struct proto proto_resp = {
	.name = "resp",
	.help = "RESP of Redis; request: commands as in redis-cli, several with ; or newline between them, $nonce",
	.state_size = sizeof(struct resp),
	.has_heads = true,
	.pipelines = true,
	.no_goodbye = true,
	.probe = "PING",
	.split = resp_split,
	.render = resp_render,
	.start = resp_start,
	.feed = resp_feed,
	.eof = resp_eof,
	.stop = resp_stop,
	.recognise = resp_recognise,
};
