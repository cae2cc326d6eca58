/* What a server sends on an upgraded connection. Input: one byte says whether it begins with a right 101 (else the input is the
 * head too), whether that agrees on permessage-deflate, and what the client does about a Close; one seeds the splits. */
#include "pieces.h"

#include <stdio.h>

#include "proto/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char accept[WS_ACCEPT_LEN + 1], head[160];
	struct request rq = {.line = "GET /ws", .leaves = n && p[0] & 4, .mute = n && p[0] & 8};
	struct buf all = {0};

	if (n < 2)
		return 0;
	ws_accept(NONCE, accept);
	snprintf(head, sizeof head, "HTTP/1.1 101 x\r\n%sSec-WebSocket-Accept: %s\r\n\r\n",
		 p[0] & 2 ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : "", accept);
	if (p[0] & 1)
		buf_adds(&all, head);
	buf_add(&all, p + 2, n - 2);
	if (all.n)
		same_in_pieces(proto_by_name("websocket"), &rq, (uint8_t *)all.p, all.n,
			       (uint32_t)p[0] << 8 | p[1] | 0x10000);
	buf_free(&all);
	return 0;
}
