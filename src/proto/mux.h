/* Protocols that carry many requests on one connection: a session, and streams on it. Bytes in, bytes out, no sockets,
 * like every protocol. A session never calls back but from feed() and output(); from there a host may submit, send, ping and
 * close, but not feed or output again (begins() of a GOAWAY excepted: it may call output). */
#pragma once
#include "proto/proto.h"

struct mux_session;

/* One request and its answer; private to the protocol but for the first three. Lives in the owner's state_size bytes. */
struct mux_stream {
	struct answer *an;
	void *owner;
	int32_t id;             /* 0: not submitted */
};

#define MUX_WHOLE UINT64_MAX            /* all of it, and the end of the stream */
#define MUX_HALF_HEAD (UINT64_MAX - 1)  /* the head's first half; nothing else goes out on the session until send() */

/* What a session tells. All but goaway_begins come from inside feed() or output(). */
struct mux_host {
	void (*settings)(void *arg, uint32_t max_streams);      /* first SETTINGS of the server: it speaks this protocol */
	void (*pong)(void *arg, uint64_t number);
	void (*goaway_begins)(void *arg);       /* its header came, it was not looked at: what is submitted and put out
						 * now crosses it on the wire */
	void (*goaway)(void *arg, int32_t last, uint32_t code, const char *text);
	void (*above)(void *arg, int32_t id);   /* a frame of a stream that the server's GOAWAY disowned */
	void (*sent)(void *arg, struct mux_stream *st, uint64_t bytes); /* all of it that may go was put out */
	void (*progress)(void *arg, struct mux_stream *st);     /* its answer has moved */
	void (*reset)(void *arg, struct mux_stream *st, uint32_t code);
	void (*broken)(void *arg, const char *why);             /* what came is not this protocol; nothing is read any more */
};

struct mux {
	/* slow: windows stay shut until read_on() */
	struct mux_session *(*open)(const struct mux_host *host, void *arg, bool slow);
	void (*close)(struct mux_session *s);   /* frees it, also from inside a callback */
	/* *st is zeroed, but for an and owner. upto: so many bytes of body, or a MUX_ constant. Borrows rq. 0 or -1. */
	int (*submit)(struct mux_session *s, struct mux_stream *st, const struct request *rq,
		      const char nonce[NONCE_LEN + 1], uint64_t upto, struct err *reterr);
	void (*send)(struct mux_session *s, struct mux_stream *st, uint64_t upto);      /* more of what was withheld */
	void (*ping)(struct mux_session *s, uint64_t number);
	void (*read_on)(struct mux_session *s, struct mux_stream *st);
	bool (*shut)(struct mux_session *s, const struct mux_stream *st); /* its window, or the session's, is used up */
	void (*feed)(struct mux_session *s, const uint8_t *p, size_t n);
	void (*output)(struct mux_session *s, struct buf *out); /* appends what is to be sent */
	const char *(*code)(uint32_t code);     /* name of an error code */
};
