/* Private to test_proto.c and test_raw.c: render a request, feed an answer in every split. */
#pragma once
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/body.h"
#include "proto/proto.h"

#define NONCE "0123456789abcdef"

/* Feed in pieces that end at the given places; what feed() leaves over must stay left over. */
static size_t feed(const struct proto *p, const struct request *rq, const char *text, const size_t *cuts, size_t n,
		   struct answer *an, void *state)
{
	size_t used = 0, from = 0;
	struct buf reply = {0};

	memset(state, 0, p->state_size);
	p->start(state, rq, NONCE, an);
	for (size_t i = 0; i < n; i++) {
		char *piece = malloc(cuts[i] - from + 1);       /* of its own, so that ASan sees a read beyond it */

		memcpy(piece, text + from, cuts[i] - from);
		used += p->feed(state, (uint8_t *)piece, cuts[i] - from, an, &reply);
		from = cuts[i];
		free(piece);
	}
	if (p->stop)
		p->stop(state);
	buf_free(&reply);
	ck_assert_uint_eq(an->bytes, used);
	return used;
}

static bool same(const struct answer *a, const struct answer *b)
{
	return a->state == b->state && a->status == b->status && a->close == b->close &&
	       a->continued == b->continued && a->until_close == b->until_close && a->length == b->length &&
	       a->body == b->body && a->bytes == b->bytes && a->echo == b->echo &&
	       a->echo_bad_at == b->echo_bad_at && a->bad == b->bad && a->hash == b->hash;
}

/* All ways to split once, all ways to split twice around a window of 3, and byte by byte. */
static void every_split(const struct proto *p, const struct request *rq, const char *text, size_t n,
			const struct answer *whole, size_t used)
{
	struct answer an;
	char state[128];
	size_t *each = malloc((n + 1) * sizeof *each);

	for (size_t i = 0; i <= n; i++)
		for (size_t width = 0; width <= 3; width++) {
			size_t j = i + width < n ? i + width : n;
			size_t u = feed(p, rq, text, (size_t[]){i, j, n}, 3, &an, state);

			ck_assert_msg(same(whole, &an) && u == used, "split at %zu and %zu: %s", i, j, text);
			each[i] = i;
		}
	ck_assert(feed(p, rq, text, each, n + 1, &an, state) == used && same(whole, &an));
	free(each);
}

static inline void render(const char *proto, const struct request *rq, const char *expected, const char *half_header)
{
	struct buf out = {0};
	struct cuts cuts;
	struct err err = {0};

	buf_adds(&out, "before");
	ck_assert_msg(proto_by_name(proto)->render(rq, NONCE, &out, &cuts, &err) == 0, "%s", err.what);
	ck_assert_msg(!strcmp(out.p + 6, expected), "rendered: %s", out.p + 6);
	ck_assert_uint_eq(cuts.end, strlen(expected));
	ck_assert(cuts.half_header < cuts.head_end && cuts.head_end <= cuts.half_body && cuts.half_body <= cuts.end);
	if (half_header)
		ck_assert_msg(!strncmp(expected + cuts.half_header, half_header, strlen(half_header)), "cut at: %s",
			      expected + cuts.half_header);
	buf_free(&out);
}
