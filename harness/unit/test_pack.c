/* Results through the pipe: what comes out is what went in, and garbage never does harm. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "session/pack.h"
#include "report_samples.h"

/* The pack knows checks by their place in checks[], so the samples' have to be from there. */
static void adopt(struct result *r, struct verdict *v)
{
	for (size_t i = 0; i < r->n_verdicts; i++) {
		v[i] = r->verdicts[i];
		v[i].check = checks[i % n_checks];
		v[i].finding.see = i ? 0 : 5;
	}
	r->verdicts = v;
}

static void same_text(const char *a, const char *b)
{
	ck_assert(!a == !b);
	if (a)
		ck_assert_str_eq(a, b);
}

static void same_verdict(const struct verdict *a, const struct verdict *b)
{
	const struct finding *f = &a->finding, *g = &b->finding;

	ck_assert_ptr_eq(a->check, b->check);
	ck_assert_int_eq(f->outcome, g->outcome);
	ck_assert_int_eq(f->level, g->level);
	same_text(f->expected, g->expected);
	same_text(f->actual, g->actual);
	same_text(f->whose, g->whose);
	same_text(f->hint, g->hint);
	ck_assert_uint_eq(f->see, g->see);
	ck_assert_uint_eq(f->n_cites, g->n_cites);
	ck_assert_mem_eq(f->cites, g->cites, f->n_cites * sizeof *f->cites);
}

static void same_result(const struct result *a, const struct result *b)
{
	same_text(a->name, b->name);
	same_text(a->path, b->path);
	same_text(a->why, b->why);
	ck_assert_uint_eq(a->index, b->index);
	ck_assert_int_eq(a->outcome, b->outcome);
	ck_assert(a->should_failed == b->should_failed);
	same_text(a->skip_reason, b->skip_reason);
	same_text(a->broken, b->broken);
	ck_assert_uint_eq(a->n_verdicts, b->n_verdicts);
	for (size_t i = 0; i < a->n_verdicts; i++)
		same_verdict(&a->verdicts[i], &b->verdicts[i]);
	ck_assert_mem_eq(a->connections, b->connections, sizeof a->connections);
	same_text(a->evidence, b->evidence);
	ck_assert_int_eq(a->took, b->took);
	same_text(a->story, b->story);
	same_text(a->target_tail, b->target_tail);
	ck_assert_uint_eq(a->n_frames, b->n_frames);
	if (a->n_frames)
		ck_assert_mem_eq(a->frames, b->frames, a->n_frames * sizeof *a->frames);
}

static size_t all_samples(struct result *ret, struct verdict v[][8])
{
	size_t n = 0;

	for (size_t i = 0; i < S_MAIN; i++, n++)
		ret[n] = samples[i], adopt(&ret[n], v[n]);
	for (size_t i = 0; i < COUNT(sample_more); i++, n++)
		ret[n] = sample_more[i], adopt(&ret[n], v[n]);
	ret[n] = nasty_result();
	adopt(&ret[n], v[n]);
	ret[++n] = (struct result){.name = ""};
	return n + 1;
}

START_TEST(round_trip)
{
	static struct verdict v[16][8];
	struct arena *arena = arena_new();
	struct result all[16], back;
	size_t n = all_samples(all, v);

	for (size_t i = 0; i < n; i++) {
		struct buf out = {0};

		/* messages may follow each other */
		buf_adds(&out, "before");
		result_pack(&all[i], &out);
		ck_assert_int_eq(result_pack_size(out.p + 6, out.n - 6), (ssize_t)out.n - 6);
		ck_assert_int_eq(result_unpack(out.p + 6, out.n - 6, arena, &back), 0);
		memset(out.p, 'z', out.n);
		same_result(&all[i], &back);
		buf_free(&out);
	}
	arena_free(arena);
}
END_TEST

/* Read everything that a report would read, so that sanitizers see a bad pointer. */
static size_t touch(const struct result *r)
{
	const char *texts[] = {r->name, r->path, r->why, r->skip_reason, r->broken, r->evidence, r->story, r->target_tail};
	size_t sum = 0;

	for (size_t i = 0; i < COUNT(texts); i++)
		sum += texts[i] ? strlen(texts[i]) : 0;
	for (size_t i = 0; i < r->n_verdicts; i++) {
		const struct finding *f = &r->verdicts[i].finding;
		const char *found[] = {r->verdicts[i].check->id, f->expected, f->actual, f->whose, f->hint};

		for (size_t k = 0; k < COUNT(found); k++)
			sum += found[k] ? strlen(found[k]) : 0;
		ck_assert(f->outcome <= BROKEN && f->level <= MUST && f->n_cites <= FINDING_CITES);
	}
	for (size_t i = 0; i < r->n_frames; i++)
		sum += r->frames[i].frame;
	return sum + (size_t)r->outcome;
}

static void try_copy(const char *p, size_t n, struct arena *arena)
{
	/* exactly n bytes on the heap: one read too far is seen */
	char *copy = malloc(n ? n : 1);
	struct result r;

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, p, n);
	if (result_unpack(copy, n, arena, &r) == 0)
		touch(&r);
	else
		ck_assert_ptr_null(r.name);
	free(copy);
	arena_reset(arena);
}

START_TEST(garbage_is_refused)
{
	struct arena *arena = arena_new();
	struct result r = samples[S_IN_FLIGHT], back;
	struct verdict v[8];
	struct buf out = {0};

	adopt(&r, v);
	result_pack(&r, &out);
	for (size_t n = 0; n < out.n; n++) {
		ck_assert_int_eq(result_unpack(out.p, n, arena, &back), -EBADMSG);
		try_copy(out.p, n, arena);
	}
	buf_addc(&out, 0);
	ck_assert_int_eq(result_unpack(out.p, out.n, arena, &back), -EBADMSG);
	ck_assert_int_eq(result_pack_size("DSR1\0\0\0", 7), 0);
	ck_assert_int_eq(result_pack_size("DSR1\xff\xff\xff\xff", 8), -EBADMSG);
	ck_assert_int_eq(result_pack_size("Segm", 4), -EBADMSG);
	buf_free(&out);
	arena_free(arena);
}
END_TEST

START_TEST(flipped_bytes_do_no_harm)
{
	static struct verdict v[16][8];
	struct arena *arena = arena_new();
	struct result all[16];
	size_t n = all_samples(all, v);

	srand(1);
	for (size_t i = 0; i < n; i++) {
		struct buf out = {0};

		result_pack(&all[i], &out);
		/* every byte of the structure with telling values, and all over with any */
		for (size_t at = 0; at < out.n; at += at < 1000 ? 1 : 97) {
			static const uint8_t values[] = {0, 1, 0x7F, 0x80, 0xFF};
			char was = out.p[at];

			for (size_t k = 0; k < sizeof values; k++) {
				out.p[at] = (char)values[k];
				try_copy(out.p, out.n, arena);
			}
			out.p[at] = was;
		}
		for (int round = 0; round < 2000; round++) {
			size_t at[3];
			char was[3];

			for (int k = 0; k < 3; k++) {
				at[k] = 8 + (size_t)rand() % (out.n - 8);
				was[k] = out.p[at[k]];
				out.p[at[k]] = (char)rand();
			}
			try_copy(out.p, out.n, arena);
			for (int k = 2; k >= 0; k--)
				out.p[at[k]] = was[k];
		}
		buf_free(&out);
	}
	arena_free(arena);
}
END_TEST

START_TEST(is_fast)
{
	static struct verdict v[40];
	static struct frame_cite frames[160];
	struct arena *arena = arena_new();
	struct result r = samples[S_IN_FLIGHT], back;
	struct buf out = {0};
	nsec_t pack = NSEC_NEVER, unpack = NSEC_NEVER;

	for (uint32_t i = 0; i < 40; i++) {
		v[i] = sample_in_flight[0];
		v[i].check = checks[i % n_checks];
	}
	r.verdicts = v, r.n_verdicts = 40, r.frames = frames, r.n_frames = 160;
	for (int i = 0; i < 500; i++) {
		nsec_t t0 = clock_now();

		buf_clear(&out);
		result_pack(&r, &out);
		nsec_t t1 = clock_now();

		ck_assert_int_eq(result_unpack(out.p, out.n, arena, &back), 0);
		nsec_t t2 = clock_now();

		pack = t1 - t0 < pack ? t1 - t0 : pack;
		unpack = t2 - t1 < unpack ? t2 - t1 : unpack;
		arena_reset(arena);
	}
	if (getenv("SHOW_TIMES"))
		fprintf(stderr, "%zu bytes: pack %lld ns, unpack %lld ns\n", out.n, (long long)pack, (long long)unpack);
	/* 10 us is the promise; sanitizers are given room */
	ck_assert_int_lt(pack, 200 * NSEC_PER_USEC);
	ck_assert_int_lt(unpack, 200 * NSEC_PER_USEC);
	buf_free(&out);
	arena_free(arena);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("pack");
	TCase *t = tcase_create("pack");

	tcase_set_timeout(t, 60);
	tcase_add_test(t, round_trip);
	tcase_add_test(t, garbage_is_refused);
	tcase_add_test(t, flipped_bytes_do_no_harm);
	tcase_add_test(t, is_fast);
	suite_add_tcase(s, t);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int bad = srunner_ntests_failed(sr);

	srunner_free(sr);
	return bad != 0;
}
