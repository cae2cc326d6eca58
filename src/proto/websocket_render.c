/* The handshake of WebSocket, and what is sent behind it. */
#include "proto/websocket.h"

#include <string.h>

#include "proto/sha1.h"

void ws_key(const char nonce[NONCE_LEN + 1], char ret[WS_KEY_LEN + 1])
{
	base64((const uint8_t *)nonce, NONCE_LEN, ret);
}

void ws_accept(const char nonce[NONCE_LEN + 1], char ret[WS_ACCEPT_LEN + 1])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";       /* RFC 6455 1.3 */
	char text[WS_KEY_LEN + sizeof guid];
	uint8_t hash[SHA1_LEN];

	ws_key(nonce, text);
	memcpy(text + WS_KEY_LEN, guid, sizeof guid);
	sha1_short(text, sizeof text - 1, hash);
	base64(hash, sizeof hash, ret);
}

/* The masking key is the nonce's: nobody attacks a proxy from here, and the same run shall send the same bytes. */
void ws_frame(struct buf *out, const char *nonce, bool fin, uint8_t opcode, const uint8_t *p, size_t n)
{
	buf_addc(out, (char)((fin ? 0x80 : 0) | opcode));
	if (n < 126) {
		buf_addc(out, (char)(0x80 | n));
	} else {
		bool wide = n > 0xffff;

		buf_addc(out, (char)(0x80 | (wide ? 127 : 126)));
		for (int i = wide ? 7 : 1; i >= 0; i--)
			buf_addc(out, (char)((uint64_t)n >> 8 * i));
	}
	buf_add(out, nonce, 4);
	for (size_t i = 0; i < n; i++)
		buf_addc(out, (char)(p[i] ^ (uint8_t)nonce[i % 4]));
}

/* One message of n bytes in two frames. Returns where the first one ends. */
static size_t add_halves(struct buf *out, const char *nonce, size_t n)
{
	struct buf body = {0};

	while (body.n < n)
		buf_add(&body, nonce, n - body.n < NONCE_LEN ? n - body.n : NONCE_LEN);
	ws_frame(out, nonce, false, WS_TEXT, (const uint8_t *)body.p, n / 2);
	size_t half = out->n;

	ws_frame(out, nonce, true, WS_CONTINUATION, (const uint8_t *)body.p + n / 2, n - n / 2);
	buf_free(&body);
	return half;
}

/* The handshake as an HTTP/1.1 request; what the user writes in `headers` wins. */
static int add_handshake(const struct request *rq, const char *nonce, size_t line, struct buf *out, struct cuts *ret,
			 struct err *reterr)
{
	char key[WS_KEY_LEN + 1], text[2048];
	struct kv own[64] = {
		{.key = "Upgrade", .value = "websocket"}, {.key = "Connection", .value = "Upgrade"},
		{.key = "Sec-WebSocket-Key", .value = key}, {.key = "Sec-WebSocket-Version", .value = "13"},
	};
	struct request http = {.line = text, .host = rq->host, .headers = own, .n_headers = 4};

	if (line >= sizeof text)
		return err_set(reterr, ERR_USAGE, 0, "a request line of more than %zu bytes", sizeof text);
	memcpy(text, rq->line, line);
	text[line] = '\0';
	ws_key(nonce, key);
	for (size_t i = 0; i < rq->n_headers && http.n_headers < sizeof own / sizeof *own; i++)
		own[http.n_headers++] = rq->headers[i];
	return http1_render(&http, nonce, out, ret, reterr);
}

int ws_render(const struct request *rq, const char nonce[NONCE_LEN + 1], struct buf *out, struct cuts *ret,
	      struct err *reterr)
{
	size_t start = out->n, line = strcspn(rq->line, "\n");

	if (rq->body > 1 << 20)
		return err_set(reterr, ERR_USAGE, 0, "a message of more than 1 MiB");
	if (add_handshake(rq, nonce, line, out, ret, reterr) < 0)
		return -1;
	for (const char *s = rq->line + line; *s;) {
		size_t n = strcspn(++s, "\n");

		if (n)
			ws_frame(out, nonce, true, WS_TEXT, (const uint8_t *)s, n);
		s += n;
	}
	ret->half_body = out->n - start;
	if (rq->body)
		ret->half_body = add_halves(out, nonce, (size_t)rq->body) - start;
	if (rq->leaves)
		ws_frame(out, nonce, true, WS_CLOSE, (const uint8_t *)"\x03\xe8", 2);
	ret->end = out->n - start;
	return 0;
}
