/* Private to resp*.c: commands as they are written, and what is known of a few of them. */
#pragma once
#include "proto/proto.h"

struct redisReader;

/* A reply that is being read: all zero but reader between two of them. */
struct resp_scan {
	struct redisReader *reader;
	uint64_t todo;          /* values still to come, also those that are dropped; 0: the reply is whole */
	uint64_t keep;          /* todo when what is dropped ends */
	uint64_t count;         /* of a header its number, of a string its bytes still to come, of a line those that count */
	uint8_t at, digits;
	char type, last;        /* of the value at hand; the byte before */
	bool minus, dropping, stands_in;
	bool begun;             /* the reply itself: an attribute before it may yet be that of a push */
	bool deep;              /* the reply is an aggregate, and its head was read */
	bool push, error;       /* what it is at its top */
};

void resp_scan_begin(struct resp_scan *s);
/* As much of p as belongs to this reply. *ret_bad: it is none, and why. */
size_t resp_scan(struct resp_scan *s, const uint8_t *p, size_t n, const char **ret_bad);

#define RESP_COMMANDS_MAX 1000  /* in one request */
#define RESP_WORDS_MAX    1024  /* in one command */

enum resp_kind {
	RESP_PLAIN,
	RESP_WAITS,     /* answered when another client does something: BLPOP */
	RESP_STREAMS,   /* answered for as long as the connection lives: SUBSCRIBE */
	RESP_LEAVES,    /* RESP3: answered by a push: UNSUBSCRIBE */
	RESP_ECHOES,    /* answered with its $nonce: ECHO, PING, GATE of the fixture */
};

/* Of one command, by its first word. */
enum resp_kind resp_kind(const char *line);
int resp_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
		struct err *reterr);
int resp_split(const struct request *rq, struct arena *arena, struct request **ret, size_t *ret_n,
	       struct err *reterr);
