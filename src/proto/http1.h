/* Private to http1*.c: the state of the answer reader. Nothing of a head is kept but the token being read. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/proto.h"

#define HTTP1_HEAD_MAX  (256 * 1024)    /* bytes of all heads and trailers of one answer */
#define HTTP1_LINES_MAX 1000
#define HTTP1_CHUNK_LINE_MAX 4096

enum http1_step {
	H1_VERSION, H1_MINOR, H1_SPACE, H1_STATUS, H1_AFTER_STATUS, H1_REASON,
	H1_LINE_START, H1_NAME, H1_VALUE,
	H1_LINE_LF,             /* after the CR of a line that is not empty */
	H1_HEAD_LF,             /* after the CR of the empty line */
	H1_BODY,                /* the first step behind the head */
	H1_CHUNK_SIZE, H1_CHUNK_EXT, H1_CHUNK_LF, H1_CHUNK_DATA, H1_DATA_CR, H1_DATA_LF,
	H1_UNTIL_CLOSE,
};

enum http1_field { H1_OTHER, H1_LENGTH, H1_CODING, H1_CONNECTION, H1_NONCE, H1_TYPE };

enum http1_flag {
	H1_IS_HEAD = 1, H1_IS_CONNECT = 2,      /* of the request: they live as long as the answer */
	H1_VERSION_0 = 4, H1_HAS_CODING = 8, H1_CHUNKED = 16, H1_SAYS_CLOSE = 32, H1_SAYS_KEEP = 64,
	H1_TRAILER = 128,
	H1_GAP = 256,           /* white space after the token: only a comma or the end may follow */
	H1_OVERLONG = 512,      /* the token does not fit, so it is none that we know */
	H1_EVENTS = 2048,       /* text/event-stream */
	H1_FIRST = 1024,        /* no field yet: the line before is the status line */
};

struct http1 {
	uint64_t left;          /* bytes of the body, or of the chunk, still to come */
	uint64_t number;        /* Content-Length or chunk size being read */
	int64_t length;         /* Content-Length, -1: none yet */
	uint32_t head;          /* bytes of heads and trailers so far */
	uint16_t lines, flags, chunk_line;
	uint16_t status : 10;
	uint16_t ends : 2;      /* events: so many line ends does the body so far end with, at most 2 */
	uint16_t after_cr : 1;
	uint8_t step : 5;       /* enum http1_step */
	uint8_t field : 3;      /* enum http1_field */
	uint8_t n;              /* characters in tok, or digits read */
	char nonce[NONCE_LEN];
	char tok[18];           /* the longest known word is "transfer-encoding" */
};

_Static_assert(sizeof(struct http1) <= 128, "19,000 connections keep one each");

/* One byte of a head or trailer. */
void http1_head_byte(struct http1 *st, uint8_t c, struct answer *an);
/* Rendering: see struct proto. */
int http1_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
		 struct err *reterr);

static inline void http1_bad(struct answer *an, const char *what)
{
	an->state = ANSWER_BAD;
	an->bad = what;
}
