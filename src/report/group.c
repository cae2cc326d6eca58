/* Grouping verdicts over scenarios, and the sentence that says what came out. */
#include <stdlib.h>
#include <string.h>

#include "report/words.h"

struct groups {
	struct group *v;
	size_t n, cap;
};

static bool same_text(const char *a, const char *b)
{
	return !strcmp(or_empty(a), or_empty(b));
}

static struct group *group_get(struct groups *gs, const struct check *check, const char *reason, const char *flag)
{
	for (size_t i = 0; i < gs->n; i++) {
		struct group *g = &gs->v[i];

		if (g->check == check && same_text(g->reason, reason) && same_text(g->flag, flag))
			return g;
	}
	if (gs->n == gs->cap) {
		gs->cap = gs->cap ? gs->cap * 2 : 16;
		gs->v = realloc(gs->v, gs->cap * sizeof *gs->v);
		if (!gs->v)
			abort();        /* like buf and arena: no report without memory */
	}
	gs->v[gs->n] = (struct group){.check = check, .reason = reason, .flag = flag};
	return &gs->v[gs->n++];
}

static void group_scenario(struct group *g, const struct result *r)
{
	/* Results come one after the other, so only the last name can be this scenario's. */
	if (g->scenarios && g->scenarios <= 3 && g->first[g->scenarios - 1] == r->name)
		return;
	if (g->scenarios < 3)
		g->first[g->scenarios] = r->name;
	g->scenarios++;
}

static void group_check(struct group *g, const struct check *check)
{
	uint32_t room = sizeof g->some / sizeof *g->some;

	for (uint32_t i = 0; i < g->checks && i < room; i++)
		if (g->some[i] == check)
			return;
	if (g->checks < room)
		g->some[g->checks++] = check;
}

static void group_verdict(struct groups *gs, const struct result *r, const struct verdict *v, enum kind kind)
{
	const struct finding *f = &v->finding;

	if (kind != KIND_SKIP) {
		group_scenario(group_get(gs, v->check, NULL, NULL), r);
		return;
	}
	struct group *g = group_get(gs, NULL, f->actual ? f->actual : f->expected, f->hint);

	group_check(g, v->check);
	group_scenario(g, r);
}

size_t group_kind(const struct result *all, size_t n, enum kind kind, bool strict, struct group **ret)
{
	struct groups gs = {0};

	for (size_t i = 0; i < n; i++) {
		const struct result *r = &all[i];
		bool any = false;

		for (size_t k = 0; k < r->n_verdicts; k++) {
			if (verdict_kind(&r->verdicts[k], strict) != kind)
				continue;
			group_verdict(&gs, r, &r->verdicts[k], kind);
			any = true;
		}
		if (!any && result_kind(r, strict) == kind && kind != KIND_PASS)
			group_scenario(group_get(&gs, NULL, kind == KIND_SKIP ? r->skip_reason : NULL, NULL), r);
	}
	*ret = gs.v;
	return gs.n;
}

void words_scenarios(struct buf *out, const struct group *g)
{
	size_t shown = g->scenarios < 3 ? g->scenarios : 3;

	for (size_t i = 0; i < shown; i++) {
		buf_adds(out, i ? ", " : "");
		buf_adds(out, or_empty(g->first[i]));
	}
	if (g->scenarios > shown)
		buf_printf(out, " and %zu more", g->scenarios - shown);
}

/* "CON-1 (in-flight, pipelined), LSN-4 (restart)" */
static void list_groups(struct buf *out, const struct group *v, size_t n)
{
	size_t shown = n < 6 ? n : 6;

	for (size_t i = 0; i < shown; i++) {
		buf_adds(out, i ? ", " : "");
		if (v[i].check) {
			buf_adds(out, v[i].check->id);
			buf_adds(out, " (");
		}
		words_scenarios(out, &v[i]);
		if (v[i].check)
			buf_addc(out, ')');
	}
	if (n > shown)
		buf_printf(out, " and %zu other checks", n - shown);
}

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void sentence_failed(struct buf *out, const struct result *all, size_t n, bool strict, size_t scenarios)
{
	_Bool should = false;
	struct group *v;
	size_t k = group_kind(all, n, KIND_FAIL, strict, &v);

	for (size_t i = 0; i < n && !should; i++)
		for (size_t j = 0; j < all[i].n_verdicts; j++)
			should |= all[i].verdicts[j].finding.outcome == FAIL && strict &&
				  all[i].verdicts[j].finding.level == SHOULD;
	buf_printf(out, "%zu %s check%s failed in %zu of %zu scenario%s: ", k,
		   should ? "MUST or SHOULD (--strict)" : "MUST", plural(k), scenarios, n, plural(n));
	list_groups(out, v, k);
	buf_addc(out, '.');
	free(v);
}

static void sentence_other(struct buf *out, const struct result *all, size_t n, bool strict, enum kind kind,
			   const char *words)
{
	struct group *v;
	size_t k = group_kind(all, n, kind, strict, &v);

	buf_adds(out, words);
	list_groups(out, v, k);
	buf_addc(out, '.');
	free(v);
}

static void sentence_held(struct buf *out, const struct result *all, size_t n, bool strict, const struct tally *t)
{
	size_t judged = n - t->scenarios[KIND_SKIP];

	buf_printf(out, "Every MUST check that could be judged holds: %zu passed in %zu scenario%s",
		   t->verdicts[KIND_PASS], judged, plural(judged));
	if (t->scenarios[KIND_SKIP])
		buf_printf(out, " (%zu more skipped)", t->scenarios[KIND_SKIP]);
	buf_addc(out, '.');
	if (t->verdicts[KIND_WARN])
		sentence_other(out, all, n, strict, KIND_WARN,
			       " Warnings (SHOULD, only --strict fails for them): ");
}

/* Whose trouble: ours, unless the target could not even be started. */
static const char *broken_words(const struct result *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].outcome == BROKEN && !all[i].exit_hint)
			return "No check failed, but drainspec itself was BROKEN, so nothing is proven in: ";
	return "Nothing was proven: the target could not be started in: ";
}

void words_verdict(struct buf *out, const struct report_env *env, const struct result *all, size_t n,
		   bool interrupted)
{
	struct tally t;
	const size_t *s = t.scenarios;
	bool strict = env->strict;

	tally_all(&t, all, n, strict);
	if (interrupted)
		buf_printf(out, "Interrupted after %zu of %zu scenarios. ", n, env->planned > n ? env->planned : n);
	if (s[KIND_FAIL])
		sentence_failed(out, all, n, strict, s[KIND_FAIL]);
	if (s[KIND_BROKEN])
		sentence_other(out, all, n, strict, KIND_BROKEN, s[KIND_FAIL] ?
			       " Not judged (BROKEN): " : broken_words(all, n));
	if (s[KIND_FAIL] || s[KIND_BROKEN])
		return;
	if (s[KIND_UNSURE])
		sentence_other(out, all, n, strict, KIND_UNSURE, "No check failed, but these could not be decided: ");
	else if (!n)
		buf_adds(out, interrupted ? "Nothing was judged." : "Nothing was selected: no scenario ran.");
	else if (s[KIND_SKIP] == n)
		buf_printf(out, "Nothing was judged: %s scenario%s skipped (reasons above).",
			   n == 1 ? "the only" : "all", n == 1 ? " was" : "s were");
	else
		sentence_held(out, all, n, strict, &t);
}
