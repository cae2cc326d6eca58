/* Private to websocket*.c: what is kept of an open WebSocket. */
#pragma once
#include "proto/http1.h"
#include "proto/proto.h"

#define WS_KEY_LEN    24        /* base64 of 16 bytes */
#define WS_ACCEPT_LEN 28        /* base64 of a SHA-1 */
#define WS_CONTROL_MAX 125      /* RFC 6455 5.5 */

enum { WS_CONTINUATION, WS_TEXT, WS_BINARY, WS_CLOSE = 8, WS_PING, WS_PONG };

struct ws {                     /* made when the first byte comes */
	_Alignas(8) uint8_t http[sizeof(struct http1)];
	struct answer head;             /* of the handshake, or the whole answer if it is none */
	struct buf fields;              /* the head's bytes: Sec-WebSocket-Accept stands in them */
	bool open;                      /* 101 */
	bool deflates;                  /* permessage-deflate was agreed on: RSV1 may be set (RFC 7692 6) */
	bool fin, in_message, in_payload;
	uint8_t opcode, n_header, header[10], n_control;
	uint64_t left;                  /* of the payload */
	uint8_t control[WS_CONTROL_MAX];
	char note[64];
};

void ws_key(const char nonce[NONCE_LEN + 1], char ret[WS_KEY_LEN + 1]);
/* What the server must make of the key. */
void ws_accept(const char nonce[NONCE_LEN + 1], char ret[WS_ACCEPT_LEN + 1]);
/* A masked frame, as clients send them. */
void ws_frame(struct buf *out, const char *nonce, bool fin, uint8_t opcode, const uint8_t *p, size_t n);
int ws_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
	      struct err *reterr);
