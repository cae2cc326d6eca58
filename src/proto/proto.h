/* A protocol: bytes in, bytes out, no sockets. Few functions; one more needs a reason that holds for every protocol. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "scenario/scenario.h"

#define NONCE_LEN 16

/* What to send. All strings are borrowed for the life of the run. */
struct request {
	const char *line;       /* http1: "GET /x" or "POST /up"; raw: the bytes, with \n \r \t \xNN escapes */
	const char *host;       /* http1: Host header, "127.0.0.1:PORT" */
	const struct kv *headers;
	size_t n_headers;
	uint64_t body;          /* bytes of body to send, made of the nonce repeated */
	bool expect_continue;
	const uint8_t *msg;     /* grpc: the message or messages, framed */
	size_t n_msg;
	bool keeps_sending;     /* grpc: the method takes a stream, which a client of phase streaming leaves open */
	bool waits;             /* it is answered when another client does something: no work of the server's is in flight */
	bool leaves;            /* websocket: the client says Close when it has said all, where one of HTTP/1.1 would hang up */
	bool mute;              /* websocket: the server's Close is not answered */
	const char *answer;     /* raw: regex of a whole answer; NULL: until EOF */
};

/* Where a rendered request can be cut: offsets into the bytes. half_header < head_end <= half_body <= end. */
struct cuts {
	size_t half_header, head_end, half_body, end;
};

enum answer_state {
	ANSWER_NONE,    /* not one byte of it */
	ANSWER_HEAD,    /* part of the head */
	ANSWER_BODY,    /* head complete, body not */
	ANSWER_DONE,
	ANSWER_BAD,     /* not an answer of this protocol: see bad */
};

/* One answer as it is read; start() sets it up. An interim answer (100, 103) counts in bytes alone: after it the state
 * is ANSWER_NONE again, for of the final answer not a byte has come. */
struct answer {
	enum answer_state state : 8;
	uint8_t n_first;        /* grpc: bytes in first */
	bool whole;             /* grpc: the last message has come whole */
	bool echo;              /* the answer claims to echo the nonce: X-Drainspec-Nonce is exactly that of the request */
	int status;             /* 0 for protocols that have none, and until the status code was read */
	uint32_t messages;      /* grpc: that began */
	uint8_t first[8];       /* grpc: the first bytes of the last of them */
	int grpc;               /* grpc: the call's own status + 1, 0: none; status is then the class of HTTP it belongs to */
	bool close;             /* the server says that it will close (Connection: close, or HTTP/1.0) */
	bool continued;         /* 100 Continue was seen */
	bool until_close;       /* its end is the server's FIN */
	uint32_t hash;          /* FNV-1a of the body, to compare with the same request's answer before the signal; where echo
				 * is set the bytes are checked one by one instead and this stays that of no bytes */
	int64_t length;         /* body's length as framed: 0 where there is none (HEAD, 204), -2 until close,
				 * -1 chunked, -3 an end that its own bytes tell (raw with a regex) */
	uint64_t body;          /* bytes of body so far (without chunk framing) */
	uint64_t bytes;         /* all bytes so far, head and framing included */
	int64_t echo_bad_at;    /* first body byte that is not the nonce's, -1: none; 0 without echo: another nonce */
	const char *bad;        /* static text: what is wrong with it */
	const char *note;       /* what else it says, for messages: an error's text; lives as long as the parser state */
};

struct mux;             /* proto/mux.h */

struct proto {
	const char *name, *help;
	size_t state_size;      /* bytes of parser state per connection (<= 128) */
	bool has_heads;         /* half-header and the like make sense */
	bool pipelines;
	bool may_greet;         /* the server may speak first, and that is no answer */
	bool upgrades;          /* the body, and what else is sent, goes out when the 101 has come */
	bool no_goodbye;        /* an answer has no way to say that the server will close */
	const char *probe;      /* harmless request that recognise() knows the answer to; NULL: no probe of its own */
	const char *alpn;       /* its name inside TLS (RFC 7301), NULL: it has none */

	/* Several requests that one line stands for (the commands of a pipeline), each to be rendered and answered by itself;
	 * NULL: a line is one request. In arena; 0, or -1. */
	int (*split)(const struct request *rq, struct arena *arena, struct request **ret, size_t *ret_n,
		     struct err *reterr);
	/* Append the request with this nonce to out and say where it may be cut. 0, or -1 (a line that is none). */
	int (*render)(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out,
		      struct cuts *ret, struct err *reterr);
	/* Prepare st (zeroed, state_size) and *an for the answer to rq with this nonce. */
	void (*start)(void *st, const struct request *rq, const char nonce[NONCE_LEN + 1], struct answer *an);
	/* Take bytes; returns how many belong to this answer (the rest is the next one's). Any input is safe. What the
	 * protocol must say back at once (an acknowledgement, a pong) is appended to reply. */
	size_t (*feed)(void *st, const uint8_t *p, size_t n, struct answer *an, struct buf *reply);
	/* The server's FIN: completes an until-close answer, leaves any other as cut as it is. Alone it is no raw answer. */
	void (*eof)(void *st, struct answer *an);
	/* Give back what start() allocated; NULL: nothing. Called once for each start(); *an is not touched. */
	void (*stop)(void *st);
	/* Was this first flight of bytes an answer of this protocol to its probe()? For --protocol auto. */
	bool (*recognise)(const uint8_t *p, size_t n);
	/* Many requests on one connection: then none of the functions above but recognise() is there. NULL: one at a time. */
	const struct mux *mux;
};

/* Rows of protocols.def. NULL if there is none of that name. */
const struct proto *proto_by_name(const char *name);
/* NAME, or tls+NAME. */
const struct proto *proto_find(const char *name, bool *ret_tls);
/* "tls+NAME" of a row of protocols.def. */
const char *proto_in_tls(const struct proto *proto);
extern const struct proto *const protos[];
extern const size_t n_protos;
