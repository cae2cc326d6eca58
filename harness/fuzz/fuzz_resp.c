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

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char *const lines[] = {"GET a", "PING $nonce", "SUBSCRIBE c", "BLPOP k 0"};
	const struct proto *resp = proto_by_name("resp");

	if (n < 2)
		return 0;
	same_in_pieces(resp, &(struct request){.line = lines[p[0] & 3]}, p + 2, n - 2,
		       (uint32_t)p[0] << 8 | p[1] | 0x10000);
	render_all(resp, p + 2, n - 2);
	return 0;
}
