/* vary_to: the same signal to the process, its group, its terminal. Rounds that end differently are
 * SIG-5's. */
#include <string.h>

#include "judge/blame.h"
#include "judge/outcome.h"

/* Races are no difference: only clients whose phase was proven count, by what became of them. */
static void count_outcomes(const struct facts *f, const struct round_fact *r, uint32_t *counts)
{
	for_each_conn(f, c) {
		if (round_of(f, c) != r || c->spec == NO_SPEC || !conn_armed(f, c))
			continue;
		counts[c->spec * (size_t)CONN_N + c->outcome]++;
	}
}

static uint32_t sum_of(const uint32_t *v)
{
	uint32_t sum = 0;

	for (unsigned i = 0; i < CONN_N; i++)
		sum += v[i];
	return sum;
}

/* A group that was not armed in both rounds alike cannot be compared: HAR-3 says so. */
static bool same_outcomes(const struct facts *f, const uint32_t *a, const uint32_t *b)
{
	for (size_t i = 0; i < f->sc->n_clients; i++, a += CONN_N, b += CONN_N)
		if (sum_of(a) == sum_of(b) && memcmp(a, b, CONN_N * sizeof *a) != 0)
			return false;
	return true;
}

/* The gate had to be opened before the target had settled: then a fast stop may have cut the request, or come too late. One that had
 * ended before was at rest. */
static bool unsettled(const struct facts *f, const struct round_fact *r)
{
	for_each_event(f, EV_STEP, n)
		if (fact_event(f, n)->round == r->id && !fact_before(f, r->exit, fact_t(f, n)) && strstr(fact_text(f, n), "(unsettled)"))
			return true;
	return false;
}

bool rounds_all_killed(const struct facts *f)
{
	for (uint32_t i = 0; i < f->n_rounds; i++)
		if (f->rounds[i].sig && ending_of(f, &f->rounds[i]).kind != ENDED_BY_US)
			return false;
	return true;
}

void mark_deviations(struct facts *f)
{
	size_t n = f->sc->n_clients * (size_t)CONN_N;
	struct round_fact *first = NULL;
	struct ending want = { 0 };

	if (f->sc->n_vary_to < 2 || f->n_rounds > 64)
		return;
	uint32_t *a = arena_array(f->arena, uint32_t, n + 1), *b = arena_array(f->arena, uint32_t, n + 1);

	for (uint32_t i = 0; i < f->n_rounds; i++) {
		struct round_fact *r = &f->rounds[i];

		if (!r->sig)
			continue;
		if (!first) {
			first = r;
			want = ending_of(f, r);
			count_outcomes(f, r, a);
			continue;
		}
		struct ending got = ending_of(f, r);

		memset(b, 0, n * sizeof *b);
		count_outcomes(f, r, b);
		bool ends = got.kind == want.kind && got.value == want.value, same = same_outcomes(f, a, b);

		r->raced = ends && !same && (unsettled(f, first) || unsettled(f, r));
		r->deviates = !r->raced && !(ends && same) && !less_patience(f, r, first) && !less_patience(f, first, r);
	}
}
