/* gRPC over HTTP/2: the head of a call, and the status that ends it. */
#include <stdio.h>
#include <string.h>

#include "proto/http2.h"

int grpc_head(const struct request *rq, const char *nonce, struct h2_head *h, struct err *reterr)
{
	const char *method = rq->line && !strncmp(rq->line, "grpc ", 5) ? rq->line + 5 : "";
	size_t n = strcspn(method, " ");
	char path[512];

	if (!n || !memchr(method, '/', n) || n > sizeof path - 2)
		return err_set(reterr, ERR_USAGE, 0,
			       "'%.200s' is no gRPC call: write grpc package.Service/Method MESSAGE, for example "
			       "'grpc helloworld.Greeter/SayHello {\"name\":\"x\"}'", rq->line ? rq->line : "");
	snprintf(path, sizeof path, "%s%.*s", method[0] == '/' ? "" : "/", (int)n, method);
	if (h2_pseudo(rq, h, "POST", path, reterr) < 0 ||
	    h2_add(h, "content-type", "application/grpc", reterr) < 0 || h2_add(h, "te", "trailers", reterr) < 0)
		return -1;
	return h2_defaults(rq, nonce, h, reterr);
}

/* The class of HTTP that a code of google.rpc.Code belongs to (the table of that file's comments); an unavailable server and a
 * call that the server cancelled are what a shutdown makes of calls, so both are 503. */
static int http_class(int32_t code)
{
	static const int16_t classes[] = {200, 503, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};

	return code >= 0 && code < (int32_t)(sizeof classes / sizeof *classes) ? classes[code] : 500;
}

/* Messages come behind five bytes: not compressed (we offer nothing else), and the length. */
void grpc_data(struct h2_stream *st, const uint8_t *p, size_t n)
{
	struct answer *an = st->m.an;

	while (n) {
		if (st->msg_left) {
			size_t k = n < st->msg_left ? n : st->msg_left;

			for (size_t i = 0; i < k && an->n_first < sizeof an->first; i++)
				an->first[an->n_first++] = p[i];
			st->msg_left -= (uint32_t)k;
			an->whole = !st->msg_left;
			p += k;
			n -= k;
			continue;
		}
		/* the length is put together while its bytes come: the one that is read counts only when it is whole */
		st->length = st->prefix_n ? st->length << 8 | *p : 0;
		p++;
		n--;
		if (++st->prefix_n == 5) {
			st->msg_left = st->length;
			st->prefix_n = 0;
			an->messages++;
			an->n_first = 0;
			an->whole = !st->msg_left;
		}
	}
}

void grpc_ended(struct h2_stream *st)
{
	struct answer *an = st->m.an;

	if (an->status != 200)
		return;                 /* no gRPC answer at all, but an answer: its status says what */
	if (st->grpc_status < 0) {
		an->state = ANSWER_BAD;
		an->bad = "the stream ended without a grpc-status: the call was cut";
		return;
	}
	if (!st->grpc_status && (st->msg_left || st->prefix_n)) {
		an->state = ANSWER_BAD;
		an->bad = "the stream ended inside of a message";
		return;
	}
	an->grpc = st->grpc_status + 1;
	an->status = http_class(st->grpc_status);
}
