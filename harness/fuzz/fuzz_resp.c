/* RESP replies, and commands. Input: one byte chooses the command, one seeds the splits, the rest is what the server sent; the
 * same bytes are then rendered as a command. */
#include "pieces.h"

#include "base/arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void render_all(const struct proto *resp, const uint8_t *p, size_t n)
{
	struct arena *arena = arena_new();
	struct request rq = {.line = arena_strndup(arena, (const char *)p, n), .body = n & 31}, *v;
	struct err err = {0};
	size_t commands;

	if (resp->split(&rq, arena, &v, &commands, &err) == 0)
		for (size_t i = 0; i < commands; i++) {
			struct buf out = {0};
			struct cuts cuts = {0};

			if (resp->render(&v[i], NONCE, &out, &cuts, &err) == 0 &&
			    (cuts.end != out.n || cuts.half_header >= cuts.head_end || cuts.head_end > cuts.half_body ||
			     cuts.half_body > cuts.end))
				abort();
			buf_free(&out);
		}
	arena_free(arena);
}

/* Length of the value at p, by recursion: the other way to find the end of one. 0: not whole, too deep, or none. *ret_push: it is a push. */
static size_t value_length(const uint8_t *p, size_t n, unsigned depth, bool *ret_push)
{
	const uint8_t *end = n ? memmem(p, n, "\r\n", 2) : NULL;
	size_t at = end ? (size_t)(end - p) + 2 : 0;
	bool push;

	if (!at || depth > 100 || !*p)
		return 0;
	*ret_push = *p == '>';
	long long count = strchr("$=!*~>%|", *p) ? strtoll((const char *)p + 1, NULL, 10) : 0;

	if (strchr("$=!", *p) && count >= 0)
		return (unsigned long long)count + 2 <= n - at ? at + (size_t)count + 2 : 0;
	if (count > INT32_MAX && !strchr("$=!", *p))
		return 0;
	if (*p == '%' || *p == '|')
		count *= 2;
	count = strchr("*~>%|", *p) ? count + (*p == '|') : 0;
	for (long long i = 0; i < count; i++) {
		size_t used = value_length(p + at, n - at, depth + 1, &push);

		if (!used)
			return 0;
		at += used;
		if (*p == '|')
			*ret_push = push;
	}
	return at;
}

/* A whole answer ends where recursion says so. */
static void same_end(const struct proto *resp, const uint8_t *p, size_t n)
{
	uint8_t *text = malloc(n + 1);
	size_t at = 0, used = n;
	struct answer an;
	bool push = true;

	memcpy(text, p, n);
	text[n] = '\0';                 /* for strtoll */
	while (push && used) {
		used = value_length(text + at, n - at, 0, &push);
		at += used;
	}
	if (feed_pieces(resp, &(struct request){.line = "GET a"}, text, n, 0, &an) != at && used && an.state == ANSWER_DONE)
		abort();
	if (used && an.state != ANSWER_DONE && an.state != ANSWER_BAD)
		abort();
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const lines[] = {"GET a", "PING $nonce", "SUBSCRIBE c", "BLPOP k 0", "UNSUBSCRIBE c", "EXEC", "GET a", "GET a"};
	const struct proto *resp = proto_by_name("resp");

	if (n < 2)
		return 0;
	same_in_pieces(resp, &(struct request){.line = lines[p[0] & 7]}, p + 2, n - 2,
		       (uint32_t)p[0] << 8 | p[1] | 0x10000);
	same_end(resp, p + 2, n - 2);
	render_all(resp, p + 2, n - 2);
	return 0;
}
