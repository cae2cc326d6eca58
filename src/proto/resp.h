/* Private to resp*.c: commands as they are written, and what is known of a few of them. */
#pragma once
#include "proto/proto.h"

#define RESP_COMMANDS_MAX 1000  /* in one request */
#define RESP_WORDS_MAX    1024  /* in one command */

enum resp_kind {
	RESP_PLAIN,
	RESP_WAITS,     /* answered when another client does something: BLPOP */
	RESP_STREAMS,   /* answered for as long as the connection lives: SUBSCRIBE */
	RESP_ECHOES,    /* answered with its $nonce: ECHO, PING, GATE of the fixture */
};

/* Of one command, by its first word. */
enum resp_kind resp_kind(const char *line);
int resp_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
		struct err *reterr);
int resp_split(const struct request *rq, struct arena *arena, struct request **ret, size_t *ret_n,
	       struct err *reterr);
