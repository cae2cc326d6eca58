/* RESP, the protocol of Redis: replies read with hiredis' reader, one reader an answer, made when its first byte comes. What it is fed is
 * resp_scan.c's. A push of RESP3 that answers nothing is read and dropped. */
#include "proto/resp.h"

#include <hiredis/read.h>
#include <stdlib.h>
#include <string.h>

#include "proto/body.h"

#define BULK_MAX (64 * 1024 * 1024)     /* bytes of one string that hiredis keeps until it is whole */
#define LINE_MAX (64 * 1024)            /* of a line that has no end */

struct resp {
	struct resp_scan s;     /* of the reply at hand: nothing of it came as long as todo is 0 */
	struct answer *an;      /* while feed() runs */
	uint8_t kind;           /* enum resp_kind */
	bool aside, leaves;     /* the push at hand is the server's own matter; or says that a subscription ended */
	char nonce[NONCE_LEN];
	char note[51];          /* of an error: its text */
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

/* A push says in its first word what it is. */
static void take_push(struct resp *st, const char *s, size_t n)
{
	static const char *const own[] = {"invalidate", "tracking-redir-broken"};
	static const char leaves[] = "unsubscribe";

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		st->aside |= n == strlen(own[i]) && !memcmp(s, own[i], n);
	st->leaves = n >= sizeof leaves - 1 && !memcmp(s + n - (sizeof leaves - 1), leaves, sizeof leaves - 1);
}

static void *on_string(const redisReadTask *task, char *s, size_t n)
{
	struct resp *st = task->privdata;

	if (st->s.push && task->parent && is_top(task->parent) && !task->idx)
		take_push(st, s, n);
	if (!is_top(task) || st->s.push)
		return something;
	if (task->type == REDIS_REPLY_ERROR || st->s.error)
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

	if (st->s.reader)
		redisReaderFree(st->s.reader);
	st->s.reader = NULL;
}

static void bad(struct answer *an, const char *what)
{
	an->state = ANSWER_BAD;
	an->bad = what;
}

/* What hiredis keeps until it has the whole of it is bounded: a length is only a claim. */
static bool too_much(const redisReader *r)
{
	size_t kept = r->len - r->pos;

	return kept > BULK_MAX || (kept > LINE_MAX && r->buf[r->pos] != '$');
}

/* A reply is whole. Of a subscription it is one of many. */
static void reply_done(struct resp *st, struct answer *an)
{
	bool streams = st->kind == RESP_STREAMS, answers = !st->s.push;

	if (st->s.push)
		answers = streams ? !st->aside : st->kind == RESP_LEAVES && st->leaves;
	st->aside = st->leaves = false;
	if (answers && (!streams || an->note)) {
		an->status = an->status ? an->status : 200;
		an->state = ANSWER_DONE;
	} else if (answers || an->status) {
		an->state = ANSWER_BODY;
		an->status = 200;
	} else {                        /* what was read was no part of the answer */
		an->state = ANSWER_NONE;
		an->body = 0;
		an->hash = FNV1A_START;
	}
}

/* What the reader has of the reply: the whole of it, once the scan has seen its end. */
static void look(struct resp *st, struct answer *an)
{
	void *reply = NULL;

	if (redisReaderGetReply(st->s.reader, &reply) != REDIS_OK || (reply != NULL) != !st->s.todo)
		bad(an, "not RESP: hiredis' reader refuses a number or a length");
	else if (reply)
		reply_done(st, an);
	else if (too_much(st->s.reader))
		bad(an, "a string of more than 64 MiB, or a line of more than 64 KiB (our limits)");
}

/* One reply, or as much of it as is there. */
static size_t feed_some(struct resp *st, const uint8_t *p, size_t n, struct answer *an)
{
	const char *why;
	size_t used;

	if (!st->s.todo)
		resp_scan_begin(&st->s);
	used = resp_scan(&st->s, p, n, &why);
	an->hash = fnv1a(an->hash, p, used);
	an->bytes += used;
	an->body += used;
	if (st->s.begun && (!st->s.push || st->kind == RESP_STREAMS))
		an->state = ANSWER_BODY;
	if (why)
		bad(an, why);
	else
		look(st, an);
	return used;
}

static size_t resp_feed(void *state, const uint8_t *p, size_t n, struct answer *an, struct buf *reply)
{
	struct resp *st = state;
	size_t used = 0;

	(void)reply;
	st->an = an;
	if (!st->s.reader)
		st->s.reader = redisReaderCreateWithFunctions(&functions);
	if (!st->s.reader)
		abort();
	st->s.reader->privdata = st;    /* hiredis' own macro for this casts the pointer to int */
	while (used < n && an->state != ANSWER_DONE && an->state != ANSWER_BAD)
		used += feed_some(st, p + used, n - used, an);
	return used;
}

/* The end of a subscription is the end of the connection, between two messages. */
static void resp_eof(void *state, struct answer *an)
{
	struct resp *st = state;

	if (an->state == ANSWER_BODY && an->until_close && !st->s.todo)
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
