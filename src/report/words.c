#include "report/words.h"

#include <string.h>

const char *const kind_names[KIND_N] = {"PASS", "WARN", "FAIL", "UNSURE", "SKIP", "BROKEN"};

const char *level_name(enum level level)
{
	return level == MUST ? "MUST" : "SHOULD";
}

const char *or_empty(const char *s)
{
	return s ? s : "";
}

enum kind verdict_kind(const struct verdict *v, bool strict)
{
	switch (v->finding.outcome) {
	case PASS:
		return KIND_PASS;
	case FAIL:
		return v->finding.level == MUST || strict ? KIND_FAIL : KIND_WARN;
	case UNSURE:
		return KIND_UNSURE;
	case SKIP:
		return KIND_SKIP;
	case BROKEN:
		break;
	}
	return KIND_BROKEN;
}

enum kind result_kind(const struct result *r, bool strict)
{
	size_t seen[KIND_N] = {0};

	for (size_t i = 0; i < r->n_verdicts; i++)
		seen[verdict_kind(&r->verdicts[i], strict)]++;
	if (seen[KIND_FAIL] || r->outcome == FAIL || (strict && r->should_failed))
		return KIND_FAIL;
	if (seen[KIND_BROKEN] || r->outcome == BROKEN || r->broken)
		return KIND_BROKEN;
	if (seen[KIND_UNSURE] || r->outcome == UNSURE)
		return KIND_UNSURE;
	if (seen[KIND_WARN] || r->should_failed)
		return KIND_WARN;
	/* A scenario in which nothing was judged has not passed anything. */
	return seen[KIND_PASS] ? KIND_PASS : KIND_SKIP;
}

bool result_stands_alone(const struct result *r)
{
	for (size_t i = 0; i < r->n_verdicts; i++)
		if (r->verdicts[i].finding.outcome == BROKEN)
			return false;
	return r->broken || !r->n_verdicts;
}

/* What the autopsy suspects, up to where its numbers begin. */
static size_t suspect(const struct finding *f, const char **ret)
{
	const char *found = f->actual ? strstr(f->actual, "suspect: ") : NULL;

	*ret = found ? found : "";
	return strcspn(*ret + (found ? 9 : 0), "(#:;") + (found ? 9 : 0);
}

bool same_cause(const struct verdict *a, const struct verdict *b, bool strict)
{
	const char *x, *y;
	size_t n = suspect(&a->finding, &x), m = suspect(&b->finding, &y);

	return a->check == b->check && verdict_kind(a, strict) == verdict_kind(b, strict) &&
	       !strcmp(or_empty(a->finding.whose), or_empty(b->finding.whose)) &&
	       !strcmp(or_empty(a->finding.hint), or_empty(b->finding.hint)) && n == m && !memcmp(x, y, n);
}

const struct result *seen_before(const struct result *all, size_t n, const struct verdict *v, bool strict)
{
	for (size_t i = 0; i + 1 < n; i++)
		for (size_t k = 0; k < all[i].n_verdicts; k++)
			if (same_cause(&all[i].verdicts[k], v, strict))
				return &all[i];
	return NULL;
}

bool told_in_full(const struct report_env *env, const struct result *all, size_t n, const struct verdict *v)
{
	enum kind kind = verdict_kind(v, env->strict);

	return kind != KIND_PASS && kind != KIND_SKIP && !(kind == KIND_UNSURE && v->finding.see) &&
	       !seen_before(all, n, v, env->strict);
}

void tally_add(struct tally *t, const struct result *r, bool strict)
{
	t->n++;
	t->scenarios[result_kind(r, strict)]++;
	for (size_t i = 0; i < r->n_verdicts; i++)
		t->verdicts[verdict_kind(&r->verdicts[i], strict)]++;
	for (int i = 0; i < CONN_N; i++) {
		t->connections[i] += r->connections[i];
		t->expected[i] += r->expected[i];
		t->expected_why[i] = t->expected_why[i] ? t->expected_why[i] : r->expected_why[i];
	}
	t->took += r->took;
}

void tally_all(struct tally *ret, const struct result *all, size_t n, bool strict)
{
	*ret = (struct tally){0};
	for (size_t i = 0; i < n; i++)
		tally_add(ret, &all[i], strict);
}

/* Worst first: the reader may stop after the first word. */
void words_counts(struct buf *out, const size_t verdicts[KIND_N])
{
	static const struct {
		enum kind kind;
		const char *one, *many;
	} rows[] = {
		{KIND_FAIL, "FAILED", "FAILED"}, {KIND_BROKEN, "BROKEN", "BROKEN"},
		{KIND_UNSURE, "unsure", "unsure"}, {KIND_WARN, "warning", "warnings"},
		{KIND_PASS, "passed", "passed"}, {KIND_SKIP, "skipped", "skipped"},
	};
	bool any = false;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		size_t n = verdicts[rows[i].kind];

		if (!n)
			continue;
		buf_printf(out, "%s%zu %s", any ? ", " : "", n, n == 1 ? rows[i].one : rows[i].many);
		any = true;
	}
	if (!any)
		buf_adds(out, "nothing judged");
}

void words_connections(struct buf *out, const struct tally *t)
{
	bool any = false;

	for (int i = 0; i < CONN_N; i++) {
		if (!t->connections[i])
			continue;
		buf_printf(out, "%s%llu %s", any ? ", " : "", (unsigned long long)t->connections[i],
			   conn_outcome_names[i]);
		any = true;
		if (!t->expected[i])
			continue;
		if (t->expected[i] < t->connections[i])
			buf_printf(out, " (%llu expected: %s)", (unsigned long long)t->expected[i], t->expected_why[i]);
		else
			buf_printf(out, " (expected: %s)", t->expected_why[i]);
	}
}

uint32_t frame_of(const struct result *r, uint32_t event, size_t *pos)
{
	/* Frames come in the order in which verdicts cite them, so the next one is nearly always next. */
	for (size_t i = 0; i < r->n_frames; i++) {
		if (*pos >= r->n_frames)
			*pos = 0;
		const struct frame_cite *c = &r->frames[*pos];

		if (c->event == event)
			return c->frame;
		++*pos;
	}
	return 0;
}

void words_proof(struct buf *out, const struct result *r, const struct finding *f)
{
	size_t pos = 0;
	bool any = false;

	if (!f->n_cites)
		return;
	buf_adds(out, f->n_cites == 1 ? "event" : "events");
	for (unsigned i = 0; i < f->n_cites; i++)
		buf_printf(out, " #%u", f->cites[i]);
	for (unsigned i = 0; i < f->n_cites; i++) {
		uint32_t frame = frame_of(r, f->cites[i], &pos);

		if (frame)
			buf_printf(out, "%s%u", any ? " " : ", packet frames ", frame);
		any |= frame != 0;
	}
}

const char *words_fault(const char *whose)
{
	static const struct {
		const char *whose, *words;
	} rows[] = {
		{"server", "the server: what it does when the signal comes"},
		{"application", "the application: the program around the server, not the server software itself"},
		{"harness", "drainspec itself, not the server under test"},
		{"environment", "the environment (host, network, who started it), not the server"},
		{"client", "the client, not the server"},
	};

	for (size_t i = 0; whose && i < sizeof rows / sizeof *rows; i++)
		if (!strcmp(whose, rows[i].whose))
			return rows[i].words;
	return whose;
}

void words_shell(struct buf *out, const char *path)
{
	if (*path && !path[strspn(path, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
					"_./+:@%,=-")]) {
		buf_adds(out, path);
		return;
	}
	buf_addc(out, '\'');
	for (; *path; path++)
		if (*path == '\'')
			buf_adds(out, "'\\''");
		else
			buf_addc(out, *path);
	buf_addc(out, '\'');
}

void words_started(struct buf *out, const struct report_env *env)
{
	time_t t = (time_t)((env->started + clock_real_offset()) / NSEC_PER_SEC);
	struct tm tm;
	char text[32];

	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_adds(out, text);
}
