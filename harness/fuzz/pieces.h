/* Shared by fuzzers of protocols that allocate: any input is safe, and however it is split the result is the same. */
#pragma once
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/proto.h"

#define NONCE "0123456789abcdef"

/* Feed one answer in random pieces (seed 0: all at once), then the FIN; returns what it took. Nothing may stay allocated. */
static size_t feed_pieces(const struct proto *proto, const struct request *rq, const uint8_t *p, size_t n, uint32_t seed,
			  struct answer *an)
{
	_Alignas(8) char st[128] = {0};
	struct buf reply = {0};
	size_t at = 0;

	proto->start(st, rq, NONCE, an);
	while (at < n && an->state < ANSWER_DONE) {
		size_t len = n - at;

		if (seed) {
			seed = seed * 1664525 + 1013904223;
			len = 1 + (seed >> 16) % (seed & 0x8000 ? 3 : 40);
			len = len < n - at ? len : n - at;
		}
		uint8_t *piece = malloc(len);   /* of its own, so that ASan sees a read beyond it */

		memcpy(piece, p + at, len);
		size_t used = proto->feed(st, piece, len, an, &reply);

		free(piece);
		if (used > len || (used < len && an->state < ANSWER_DONE))
			abort();
		at += used;
	}
	if (an->bytes != at || an->body > an->bytes || (an->state == ANSWER_BAD) != (an->bad != NULL))
		abort();
	proto->eof(st, an);
	an->note = NULL;
	proto->stop(st);
	buf_free(&reply);
	return at;
}

/* Where nonsense is noticed may depend on the pieces, nothing else. */
static void same_in_pieces(const struct proto *proto, const struct request *rq, const uint8_t *p, size_t n, uint32_t seed)
{
	struct answer a, b;

	for (size_t at = 0, answers = 0; at < n && answers < 8; answers++) {
		size_t used = feed_pieces(proto, rq, p + at, n - at, 0, &a);
		size_t again = feed_pieces(proto, rq, p + at, n - at, seed, &b);

		if (a.state != b.state)
			abort();
		if (a.state == ANSWER_BAD)
			return;
		if (used != again || a.status != b.status || a.body != b.body || a.bytes != b.bytes || a.echo != b.echo ||
		    a.echo_bad_at != b.echo_bad_at || a.hash != b.hash || a.length != b.length)
			abort();
		if (a.state != ANSWER_DONE || !used)
			return;
		at += used;
	}
}
