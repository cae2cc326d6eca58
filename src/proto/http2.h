/* Private to http2*.c and grpc*.c: a session on nghttp2 (its memory API: it touches no socket). */
#pragma once
#include <nghttp2/nghttp2.h>

#include "proto/mux.h"

#define H2_FRAME_HEADER 9
#define H2_OWN_MAX 72

struct h2_stream {
	struct mux_stream m;
	char nonce[NONCE_LEN];
	uint64_t body;          /* bytes of request body; those of msg, else the nonce repeated */
	uint64_t at, upto;      /* handed to nghttp2; may go */
	uint32_t head_n;        /* bytes of the request's head, not compressed */
	int16_t status;         /* of the head that is read; interim ones count for nothing */
	bool deferred, no_body, trailers, reading, ended;
	int32_t grpc_status;    /* -1: none yet */
	const uint8_t *msg;
	uint32_t length;        /* grpc: of the message whose five bytes are being read */
	uint32_t msg_left;      /* grpc: bytes of the answer's message that are still to come */
	uint8_t prefix_n;       /* grpc: of the five bytes before a message */
	bool grpc;
};
_Static_assert(sizeof(struct h2_stream) <= 128, "one for each of thousands of streams");

struct mux_session {
	nghttp2_session *ng;
	const struct mux_host *host;
	void *arg;
	bool slow, grpc, heard, broken, doomed;
	unsigned busy;          /* feed() and output() on the stack */
	char why[128];          /* it was broken */
	int32_t last;           /* of the server's last GOAWAY, -1: none */
	/* the frame that is coming in */
	uint8_t head[H2_FRAME_HEADER];
	unsigned head_n;
	uint32_t frame_left;
	uint8_t own[H2_OWN_MAX];        /* of a PING or GOAWAY, which nghttp2 is not shown */
	unsigned own_n;
	struct buf pongs;       /* answers to PINGs, to be put out */
	/* half of a head: what follows it waits here */
	struct buf held;
	int32_t cut;            /* stream whose HEADERS is to be cut, 0: none */
	bool holding;
	struct h2_stream *held_of;
};

/* A head as name and value pairs; texts are borrowed but for those that add() prints. */
#define H2_MAX_FIELDS 64
struct h2_head {
	nghttp2_nv v[H2_MAX_FIELDS];
	size_t n;
	struct buf text;        /* lower-case names, after one another; reserved before, so that pointers hold */
};

struct h2_stream *h2_stream(struct mux_session *s, int32_t id);  /* NULL: none, or its owner has gone on */
/* Around what calls the host, which may close the session meanwhile. */
void h2_enter(struct mux_session *s);
void h2_leave(struct mux_session *s);
/* http2_read.c */
void h2_feed(struct mux_session *s, const uint8_t *p, size_t n);
int h2_on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name, size_t nl, const uint8_t *value,
		 size_t vl, uint8_t flags, void *arg);
int h2_on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg);
int h2_on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg);
int h2_on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p, size_t n, void *arg);
int h2_on_invalid(nghttp2_session *ng, const nghttp2_frame *f, int code, void *arg);

struct mux_session *h2_open(const struct mux_host *host, void *arg, bool slow, bool grpc);
int h2_add(struct h2_head *h, const char *name, const char *value, struct err *reterr);
/* What every request has: the four pseudo fields; then user-agent, nonce and the user's own. */
int h2_pseudo(const struct request *rq, struct h2_head *h, const char *method, const char *path, struct err *reterr);
int h2_defaults(const struct request *rq, const char *nonce, struct h2_head *h, struct err *reterr);
int http2_head(const struct request *rq, const char *nonce, struct h2_head *h, struct err *reterr);
int grpc_head(const struct request *rq, const char *nonce, struct h2_head *h, struct err *reterr);
/* grpc.c: the answer's status, when its stream has ended. */
void grpc_ended(struct h2_stream *st);
/* grpc.c: bytes of the answer's body. */
void grpc_data(struct h2_stream *st, const uint8_t *p, size_t n);
