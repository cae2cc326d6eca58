/* HTTP/1 answers: any input is safe, and however it is split the result is the same.
 * Input: one byte chooses the request, one seeds the splits, the rest is what the server sent. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

#define NONCE "0123456789abcdef"

/* Feed one answer in random pieces; seed 0: all at once. */
static size_t feed_all(const struct request *rq, const uint8_t *p, size_t n, uint32_t seed, struct answer *an)
{
	const struct proto *http1 = proto_by_name("http1");
	_Alignas(8) char st[128] = {0};
	size_t at = 0;

	http1->start(st, rq, NONCE, an);
	while (at < n) {
		size_t len = n - at;

		if (seed) {
			seed = seed * 1664525 + 1013904223;
			len = 1 + (seed >> 16) % (seed & 0x8000 ? 3 : 40);
			len = len < n - at ? len : n - at;
		}
		uint8_t *piece = malloc(len);   /* of its own, so that ASan sees a read beyond it */

		memcpy(piece, p + at, len);
		size_t used = http1->feed(st, piece, len, an, &(struct buf){0});

		free(piece);
		if (used > len || (used < len && an->state < ANSWER_DONE))
			abort();
		at += used;
		if (used < len || an->state >= ANSWER_DONE)
			break;
	}
	if (an->bytes != at || (an->state == ANSWER_BAD) != (an->bad != NULL))
		abort();
	http1->eof(st, an);
	return at;
}

static void must_be_same(const struct answer *a, const struct answer *b)
{
	if (a->state != b->state || a->status != b->status || a->close != b->close || a->continued != b->continued ||
	    a->until_close != b->until_close || a->length != b->length || a->body != b->body ||
	    a->bytes != b->bytes || a->echo != b->echo || a->echo_bad_at != b->echo_bad_at || a->bad != b->bad ||
	    a->hash != b->hash)
		abort();
}

/* What the fields say must fit together whatever was read. */
static void must_make_sense(const struct answer *an)
{
	if (an->body > an->bytes || an->length < -2 || an->echo_bad_at < -1)
		abort();
	if (an->length >= 0 && an->body > (uint64_t)an->length)
		abort();
	if (an->state == ANSWER_DONE && an->length >= 0 && an->body != (uint64_t)an->length)
		abort();
	if (an->echo && an->echo_bad_at >= 0 && (uint64_t)an->echo_bad_at >= an->body)
		abort();
	if (an->until_close != (an->length == -2))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const lines[] = {"GET /", "HEAD /", "POST /x", "CONNECT a:1"};

	if (n < 2)
		return 0;
	struct request rq = {.line = lines[p[0] & 3]};
	struct answer whole, split;
	uint32_t seed = (uint32_t)p[0] << 8 | p[1] | 0x10000;

	p += 2;
	n -= 2;
	for (size_t at = 0, answers = 0; at < n && answers < 8; answers++) {
		size_t used = feed_all(&rq, p + at, n - at, 0, &whole);

		if (feed_all(&rq, p + at, n - at, seed, &split) != used)
			abort();
		must_be_same(&whole, &split);
		must_make_sense(&whole);
		if (whole.state != ANSWER_DONE || !used)
			break;
		at += used;     /* the next answer of the pipeline */
	}
	return 0;
}
