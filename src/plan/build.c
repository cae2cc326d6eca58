#include <math.h>
#include <stdarg.h>
#include <stdlib.h>

#include "plan/parts.h"

void plan_skip(struct builder *b, const char *fmt, ...)
{
	va_list ap;

	if (b->plan->skip_reason)
		return;
	va_start(ap, fmt);
	b->plan->skip_reason = arena_vprintf(b->arena, fmt, ap);
	va_end(ap);
}

static int read_multiplier(struct builder *b)
{
	const char *text = getenv("DRAINSPEC_TIMEOUT_MULTIPLIER");
	char *end;

	b->multiplier = 1;
	if (!text || !*text)
		return 0;
	double v = strtod(text, &end);

	if (*end || !isfinite(v) || v < 0.1 || v > 1000)
		return err_set(b->reterr, ERR_USAGE, 0,
			       "DRAINSPEC_TIMEOUT_MULTIPLIER='%.40s' is not a number from 0.1 to 1000", text);
	b->multiplier = v;
	return 0;
}

int plan_build(const struct scenario *sc, const struct settings *st, const struct probe *probe,
	       struct arena *arena, struct plan **ret, struct err *reterr)
{
	static const struct probe not_probed;
	struct plan *plan = arena_new_of(arena, struct plan);
	struct builder b = {.plan = plan, .st = st, .probe = probe ? probe : &not_probed, .arena = arena,
			    .reterr = reterr};

	plan->sc = b.sc = plan_copy(sc, arena);
	if (read_multiplier(&b) < 0 || plan_target(&b) < 0)
		return -1;
	plan_signals(&b);
	if (plan_check(&b) < 0)
		return -1;
	plan_requests(&b);
	plan_steps(&b);
	plan_times(&b);
	*ret = plan;
	return 0;
}
