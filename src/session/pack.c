#include "session/pack.h"

#include <errno.h>
#include <string.h>

#define MAGIC 0x31525344u       /* "DSR1" */
#define NO_STRING UINT32_MAX

/* The least that one of these takes, so that a count can be checked before memory is given to it. */
enum { VERDICT_MIN = 2 + 4 + 1 + 1 + 4 * 4 + 8 + 1, FRAME_SIZE = 8 };

static void put(struct buf *out, const void *p, size_t n)
{
	memcpy(out->p + out->n, p, n);
	out->n += n;
}

/* Room is reserved for these by the caller: a result is some hundred small fields. */
static void put8(struct buf *out, uint8_t v)
{
	put(out, &v, sizeof v);
}

static void put16(struct buf *out, uint16_t v)
{
	put(out, &v, sizeof v);
}

static void put32(struct buf *out, uint32_t v)
{
	put(out, &v, sizeof v);
}

static void put64(struct buf *out, int64_t v)
{
	put(out, &v, sizeof v);
}

static void put_string(struct buf *out, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	/* One text longer than the reader takes would lose the whole result: cut it. */
	if (n > RESULT_PACK_MAX / 16)
		n = RESULT_PACK_MAX / 16;
	buf_reserve(out, n + 128);
	put32(out, s ? (uint32_t)n : NO_STRING);
	if (!s)
		return;
	put(out, s, n);
	put8(out, 0);
}

static void put_verdict(struct buf *out, const struct verdict *v)
{
	const struct finding *f = &v->finding;

	buf_reserve(out, 128);
	put16(out, (uint16_t)check_index(v->check));
	put_string(out, v->check->id);
	put8(out, (uint8_t)f->outcome);
	put8(out, (uint8_t)f->level);
	put_string(out, f->expected);
	put_string(out, f->actual);
	put_string(out, f->whose);
	put_string(out, f->hint);
	put64(out, (int64_t)f->see);
	put8(out, (uint8_t)f->n_cites);
	for (unsigned i = 0; i < f->n_cites; i++)
		put32(out, f->cites[i]);
}

static void put_counted(struct buf *out, const struct result *r, int i)
{
	buf_reserve(out, 128);
	put32(out, r->connections[i]);
	put32(out, r->expected[i]);
	put_string(out, r->expected_why[i]);
}

void result_pack(const struct result *r, struct buf *out)
{
	size_t start = out->n;

	buf_reserve(out, 512);
	put32(out, MAGIC);
	put32(out, 0);
	put_string(out, r->name);
	put_string(out, r->path);
	put_string(out, r->why);
	put32(out, r->index);
	put8(out, (uint8_t)r->outcome);
	put8(out, r->should_failed);
	put_string(out, r->skip_reason);
	put_string(out, r->broken);
	put32(out, r->exit_hint);
	put32(out, (uint32_t)r->n_verdicts);
	for (size_t i = 0; i < r->n_verdicts; i++)
		put_verdict(out, &r->verdicts[i]);
	for (int i = 0; i < CONN_N; i++)
		put_counted(out, r, i);
	put_string(out, r->evidence);
	put64(out, r->took);
	put_string(out, r->story);
	put_string(out, r->target_tail);
	put32(out, (uint32_t)r->n_frames);
	buf_reserve(out, r->n_frames * FRAME_SIZE);
	for (size_t i = 0; i < r->n_frames; i++) {
		put32(out, r->frames[i].event);
		put32(out, r->frames[i].frame);
	}
	uint32_t size = (uint32_t)(out->n - start);

	memcpy(out->p + start + 4, &size, sizeof size);
	out->p[out->n] = '\0';
}

/* What is left of a message. Once bad, it gives zeros only, so that callers check once. */
struct reader {
	const char *p;
	size_t n;
	bool bad;
};

static void get(struct reader *in, void *ret, size_t n)
{
	memset(ret, 0, n);
	if (in->bad || n > in->n) {
		in->bad = true;
		return;
	}
	memcpy(ret, in->p, n);
	in->p += n;
	in->n -= n;
}

static uint8_t get8(struct reader *in)
{
	uint8_t v;

	get(in, &v, sizeof v);
	return v;
}

static uint16_t get16(struct reader *in)
{
	uint16_t v;

	get(in, &v, sizeof v);
	return v;
}

static uint32_t get32(struct reader *in)
{
	uint32_t v;

	get(in, &v, sizeof v);
	return v;
}

static int64_t get64(struct reader *in)
{
	int64_t v;

	get(in, &v, sizeof v);
	return v;
}

static unsigned get_below(struct reader *in, unsigned limit)
{
	uint8_t v = get8(in);

	in->bad |= v >= limit;
	return in->bad ? 0 : v;
}

/* Points into the message; NULL is NULL, and also what a bad one gives. */
static const char *get_string(struct reader *in)
{
	uint32_t n = get32(in);
	const char *s = in->p;

	if (in->bad || n == NO_STRING)
		return NULL;
	if (n >= in->n || s[n] != '\0') {
		in->bad = true;
		return NULL;
	}
	in->p += n + 1;
	in->n -= n + 1;
	return s;
}

/* A string without which a report makes no sense. */
static const char *get_name(struct reader *in)
{
	const char *s = get_string(in);

	in->bad |= !s;
	return s;
}

static size_t get_count(struct reader *in, size_t each)
{
	uint32_t n = get32(in);

	in->bad |= n > in->n / each;
	return in->bad ? 0 : n;
}

static void get_verdict(struct reader *in, struct verdict *v)
{
	struct finding *f = &v->finding;
	uint16_t index = get16(in);
	const char *id = get_name(in);

	if (in->bad || index >= n_checks || strcmp(checks[index]->id, id)) {
		in->bad = true;
		return;
	}
	v->check = checks[index];
	f->outcome = get_below(in, BROKEN + 1);
	f->level = get_below(in, MUST + 1);
	f->expected = get_string(in);
	f->actual = get_string(in);
	f->whose = get_string(in);
	f->hint = get_string(in);
	f->see = (uint64_t)get64(in);
	in->bad |= n_checks < 64 && f->see >> n_checks;
	f->n_cites = get_below(in, FINDING_CITES + 1);
	for (unsigned i = 0; i < f->n_cites; i++)
		f->cites[i] = get32(in);
}

static void get_verdicts(struct reader *in, struct arena *arena, struct result *r)
{
	r->n_verdicts = get_count(in, VERDICT_MIN);
	r->verdicts = arena_array(arena, struct verdict, r->n_verdicts);
	for (size_t i = 0; i < r->n_verdicts && !in->bad; i++)
		get_verdict(in, &r->verdicts[i]);
}

static void get_frames(struct reader *in, struct arena *arena, struct result *r)
{
	r->n_frames = get_count(in, FRAME_SIZE);
	r->frames = arena_array(arena, struct frame_cite, r->n_frames);
	for (size_t i = 0; i < r->n_frames; i++) {
		r->frames[i].event = get32(in);
		r->frames[i].frame = get32(in);
	}
}

static void get_counted(struct reader *in, struct result *r, int i)
{
	r->connections[i] = get32(in);
	r->expected[i] = get32(in);
	r->expected_why[i] = get_string(in);
	in->bad |= r->expected[i] > r->connections[i] || (r->expected[i] && !r->expected_why[i]);
}

static void get_result(struct reader *in, struct arena *arena, struct result *r)
{
	r->name = get_name(in);
	r->path = get_string(in);
	r->why = get_string(in);
	r->index = get32(in);
	r->outcome = get_below(in, BROKEN + 1);
	r->should_failed = get_below(in, 2);
	r->skip_reason = get_string(in);
	r->broken = get_string(in);
	r->exit_hint = get32(in);
	get_verdicts(in, arena, r);
	for (int i = 0; i < CONN_N; i++)
		get_counted(in, r, i);
	r->evidence = get_string(in);
	r->took = get64(in);
	r->story = get_string(in);
	r->target_tail = get_string(in);
	get_frames(in, arena, r);
}

ssize_t result_pack_size(const void *p, size_t n)
{
	struct reader in = {p, n, false};
	uint32_t magic = get32(&in), size = get32(&in);

	/* A wrong magic shows before the length is there: no reader should wait for more garbage. */
	if (n >= 4 && magic != MAGIC)
		return -EBADMSG;
	if (n < 8)
		return 0;
	return size > RESULT_PACK_MAX || size <= 8 ? -EBADMSG : (ssize_t)size;
}

int result_unpack(const void *p, size_t n, struct arena *arena, struct result *ret)
{
	*ret = (struct result){0};
	if (n < 8 || result_pack_size(p, n) != (ssize_t)n)
		return -EBADMSG;
	/* One copy of the whole: all strings of the result point into it. */
	char *copy = arena_alloc(arena, n);
	struct reader in = {memcpy(copy, p, n), n, false};

	get64(&in);
	get_result(&in, arena, ret);
	if (!in.bad && !in.n)
		return 0;
	*ret = (struct result){0};
	return -EBADMSG;
}
