/* From the resolved scenario and the events to verdicts: runs the checks of checks.def and sums up. */
#include "judge/judge.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "judge/say.h"
#include "judge/story.h"

const char *const outcome_names[] = { "PASS", "FAIL", "UNSURE", "SKIP", "BROKEN" };

#define X(name) &check_##name,
const struct check *const checks[] = {
#include "judge/checks.def"
};
#undef X
const size_t n_checks = sizeof checks / sizeof *checks;

unsigned check_index(const struct check *check)
{
	unsigned i = 0;

	while (i < n_checks && checks[i] != check)
		i++;
	return i;
}

const struct check *check_by_id(const char *id)
{
	for (size_t i = 0; id && i < n_checks; i++)
		if (!strcasecmp(checks[i]->id, id))
			return checks[i];
	return NULL;
}

/* The lists name scenarios too: only ids of checks count here, and a list without one lets all checks
 * through. */
static bool listed(char **list, const struct check *check, bool *ret_any)
{
	bool found = false;

	*ret_any = false;
	for (char **p = list; p && *p; p++) {
		const struct check *named = check_by_id(*p);

		*ret_any |= named != NULL;
		found |= named == check;
	}
	return found;
}

static bool is_har(const struct check *check)
{
	return !strncmp(check->id, "HAR-", 4);
}

/* HAR-* are asked always: they say whether the others may be believed. Filtered out they stay unless
 * they have something to say. */
static bool selected(const struct scenario *sc, char **only, char **skip, const struct check *check)
{
	bool any;

	if ((sc->restart.how == RESTART_CRASH && !check->crash && !is_har(check)) ||
	    (sc->restart.how == RESTART_OVERLAP && check->alone))
		return false;
	if (listed(skip, check, &any))
		return false;
	if (!listed(only, check, &any) && any)
		return false;
	return listed(sc->only, check, &any) || !any;
}

bool judge_can_show(const struct scenario *sc, char **only, char **skip)
{
	for (size_t i = 0; i < n_checks; i++) {
		const struct check *check = checks[i];

		if (selected(sc, only, skip, check) && (check->shows ? check->shows(sc) : !sc->sweep || is_har(check)))
			return true;
	}
	return false;
}

/* What the checks said, each asked at most once. */
struct bench {
	const struct scenario *sc;
	const struct facts *f;
	struct arena *arena;
	struct finding found[CHECK_N];
	uint64_t asked, applies;
};

/* false: it has nothing to say about this scenario. */
static bool ask(struct bench *b, unsigned i)
{
	const struct check *check = checks[i];
	const struct facts *f = b->f;
	struct finding *ret = &b->found[i];

	if (b->asked >> i & 1)
		return b->applies >> i & 1;
	b->asked |= UINT64_C(1) << i;
	/* a log that is none, or witnesses that disagree: BROKEN, and no verdict on the target */
	if ((f->incomplete && check != &check_har_1) || (f->dissent && !is_har(check)))
		return false;
	if (!f->incomplete && !check->applies(b->sc, f))
		return false;
	*ret = (struct finding){ .outcome = SKIP, .level = check->level };
	if (is_har(check) || !f->unreachable)
		check->judge(b->sc, f, b->arena, ret);
	if (f->unreachable && check != &check_har_3 && ret->outcome != BROKEN) {
		*ret = (struct finding){ .level = check->level, .expected = check->title };
		found(f, ret, SKIP, "a phase of this scenario could not be reached (HAR-3 says which)");
	}
	b->applies |= UINT64_C(1) << i;
	return true;
}

/* Who FAILed, following those that yield in their turn; *ret_open: one that leads to no failure. */
static uint64_t roots_of(struct bench *b, uint64_t see, uint64_t passed, unsigned *ret_open)
{
	uint64_t roots = 0;

	for (unsigned i = 0; i < n_checks; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (!(see & bit))
			continue;
		if (ask(b, i) && b->found[i].outcome == FAIL)
			roots |= bit;
		else if ((b->applies & bit) && b->found[i].see && !(passed & bit))
			roots |= roots_of(b, b->found[i].see, passed | bit, ret_open);
		else
			*ret_open = i;
	}
	return roots;
}

/* A check may leave what it saw to another one only if that one FAILs: otherwise nobody would answer for it. */
static void settle(struct bench *b, unsigned i, uint64_t told)
{
	struct finding *v = &b->found[i];
	unsigned open = CHECK_N;
	uint64_t roots;

	if (!v->see)
		return;
	roots = roots_of(b, v->see, UINT64_C(1) << i, &open);
	if (open < n_checks) {
		v->outcome = UNSURE;
		v->see = UINT64_C(1) << open;
		v->actual = arena_printf(b->arena, "left to %s, which %s: nobody answers for it", checks[open]->id,
			!(b->applies >> open & 1) ? "does not apply here" :
			b->found[open].outcome == UNSURE ? "is UNSURE itself" :
			b->found[open].outcome == PASS ? "passed" : "was not judged");
		return;
	}
	if (v->outcome == PASS && roots != v->see)
		v->actual = arena_printf(b->arena, "%s (see %s)", v->actual, see_text(b->arena, roots));
	if (v->outcome == SKIP)
		v->actual = arena_printf(b->arena, "not charged twice: see %s%s", see_text(b->arena, roots),
			roots & ~told ? " (left out of this run by `only`, --only or --skip)" : "");
	v->see = roots;
}

static void judge_checks(const struct scenario *sc, const struct facts *f, char **only, char **skip,
	struct arena *arena, struct result *ret)
{
	struct bench *b = arena_new_of(arena, struct bench);
	uint64_t told = 0;
	bool any;

	*b = (struct bench){ .sc = sc, .f = f, .arena = arena };
	for (unsigned i = 0; i < n_checks; i++)
		if (selected(sc, only, skip, checks[i]) && ask(b, i))
			told |= UINT64_C(1) << i;
		else if (is_har(checks[i]) && !listed(skip, checks[i], &any) && ask(b, i) &&
			 (b->found[i].outcome == UNSURE || b->found[i].outcome == BROKEN))
			told |= UINT64_C(1) << i;
	for (unsigned i = 0; i < n_checks; i++)
		if (told >> i & 1) {
			settle(b, i, told);
			ret->verdicts[ret->n_verdicts++] = (struct verdict){ checks[i], b->found[i] };
		}
}

/* BROKEN witnesses make the run BROKEN whatever the checks say; else a MUST that failed; else what is
 * not certain. */
static void sum_up(const struct facts *f, struct result *ret)
{
	bool failed = false, broken = false, unsure = false, passed = false;

	for (size_t i = 0; i < ret->n_verdicts; i++) {
		const struct verdict *v = &ret->verdicts[i];
		bool must = v->finding.level == MUST;

		failed |= v->finding.outcome == FAIL && must;
		ret->should_failed |= v->finding.outcome == FAIL && !must;
		broken |= v->finding.outcome == BROKEN;
		unsure |= v->finding.outcome == UNSURE && must;
		passed |= !is_har(v->check) && v->finding.outcome != SKIP;
		if (v->finding.outcome == SKIP && !ret->skip_reason && !is_har(v->check))
			ret->skip_reason = v->finding.actual;
		if (v->finding.outcome == BROKEN && !ret->broken)
			ret->broken = v->finding.actual;
	}
	if (f->incomplete || f->dissent)
		ret->outcome = BROKEN;
	else
		ret->outcome = failed ? FAIL : broken ? BROKEN : unsure ? UNSURE : passed ? PASS : SKIP;
	if (ret->outcome != SKIP)
		ret->skip_reason = NULL;
	else if (f->unreachable)
		ret->skip_reason = fact_event(f, f->unreachable)->kind == EV_UNPROVEN ? fact_text(f, f->unreachable) :
				   "the server ended the connection by itself before the signal came";
	else if (!ret->skip_reason)
		ret->skip_reason = "no check applies to this scenario";
	if (ret->outcome != BROKEN)
		ret->broken = NULL;
}

static int by_event(const void *a, const void *b)
{
	uint32_t x = ((const struct frame_cite *)a)->event, y = ((const struct frame_cite *)b)->event;

	return x < y ? -1 : x > y;
}

static void cite_frames(const struct facts *f, struct arena *arena, struct result *ret)
{
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < ret->n_verdicts; i++)
		n += ret->verdicts[i].finding.n_cites;
	if (!n)
		return;
	ret->frames = arena_array(arena, struct frame_cite, n);
	for (size_t i = 0; i < ret->n_verdicts; i++) {
		const struct finding *v = &ret->verdicts[i].finding;

		for (unsigned k = 0; k < v->n_cites; k++)
			if (fact_event(f, v->cites[k])->frame)
				ret->frames[ret->n_frames++] = (struct frame_cite){ v->cites[k],
					fact_event(f, v->cites[k])->frame };
	}
	qsort(ret->frames, ret->n_frames, sizeof *ret->frames, by_event);
	for (size_t i = 0; i < ret->n_frames; i++)
		if (!i || ret->frames[i].event != ret->frames[i - 1].event)
			ret->frames[kept++] = ret->frames[i];
	ret->n_frames = kept;
}

/* The last words of both streams, if something failed. */
static const char *tail_of(const struct facts *f, const struct result *ret, struct arena *arena)
{
	const char *tail = NULL;

	if (ret->outcome != FAIL && ret->outcome != BROKEN && !ret->should_failed)
		return NULL;
	for_each_event(f, EV_LOG_TAIL, n)
		tail = tail && *tail ?
			       arena_printf(arena, "%s%s%s", tail,
				       tail[strlen(tail) - 1] == '\n' ? "" : "\n", fact_text(f, n)) :
			       fact_text(f, n);
	for_each_event(f, EV_STACKS, n)
		tail = arena_printf(arena, "%s%s%s", tail ? tail : "", tail && *tail && tail[strlen(tail) - 1] != '\n' ? "\n" : "",
				    fact_text(f, n));
	return tail && *tail ? tail : NULL;
}

static void count_conn(const struct facts *f, const struct conn_fact *c, struct result *ret)
{
	const char *why = conn_excuse(f, c);

	ret->connections[c->outcome]++;
	if (!why)
		return;
	ret->expected[c->outcome]++;
	ret->expected_why[c->outcome] = why;
}

void judge_all(const struct scenario *sc, const struct events *ev, char **only, char **skip,
	struct arena *arena, struct result *ret)
{
	struct facts *f = facts_build(sc, ev, arena);

	*ret = (struct result){ .name = sc->name, .path = sc->path, .why = sc->why };
	ret->verdicts = arena_array(arena, struct verdict, n_checks);
	judge_checks(sc, f, only, skip, arena, ret);
	sum_up(f, ret);
	for_each_conn(f, c) {
		if (!round_of(f, c)->alone)
			count_conn(f, c, ret);
	}
	cite_frames(f, arena, ret);
	ret->target_tail = tail_of(f, ret, arena);
	ret->story = story_of(f, ret, arena);
}
