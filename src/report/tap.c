/* Test Anything Protocol: one test point for each verdict of each scenario, so that every reader shows every verdict.
 * The header says 13: perl's TAP::Harness (3.44) rejects 14, and what is written here means the same in both. A SHOULD that
 * fails is TODO, which readers show and do not fail for. UNSURE and BROKEN are "not ok": neither is a pass. */
#include <string.h>

#include "report/term.h"
#include "report/words.h"

/* A description or the text after a directive: one line, in which '#' begins nothing. */
static void tap_text(struct buf *out, const char *s)
{
	struct buf clean = {0};

	scrub(&clean, s, 0);
	for (size_t i = 0; i < clean.n; i++) {
		if (clean.p[i] == '#' || clean.p[i] == '\\')
			buf_addc(out, '\\');
		buf_addc(out, clean.p[i]);
	}
	buf_free(&clean);
}

/* Double-quoted YAML, within what TAP::Parser's YAMLish reader knows: \xNN and the letters. */
static void yaml_text(struct buf *out, const char *s, size_t n)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < n;) {
		uint32_t cp;
		size_t len = utf8_next(s + i, n - i, &cp);

		if (cp == UTF8_BAD)
			buf_adds(out, "\xEF\xBF\xBD");
		else if (cp == '"' || cp == '\\')
			buf_printf(out, "\\%c", s[i]);
		else if (cp == '\n')
			buf_adds(out, "\\n");
		else if (cp < 0x20 || cp == 0x7F)
			buf_printf(out, "\\x%02x", cp);
		else if ((cp >= 0x80 && cp < 0xA0) || cp == 0xFEFF || (cp & 0xFFFE) == 0xFFFE || cp == 0x2028 ||
			 cp == 0x2029)
			buf_adds(out, "\xEF\xBF\xBD");  /* not printable in YAML, and \u is unknown to YAMLish */
		else
			buf_add(out, s + i, len);
		i += len;
	}
	buf_addc(out, '"');
}

static void yaml_field(struct buf *out, const char *key, const char *s)
{
	if (!s)
		return;
	buf_printf(out, "  %s: ", key);
	yaml_text(out, s, strlen(s));
	buf_addc(out, '\n');
}

/* A text of many lines as a list, which stays readable in quotes. */
static void yaml_lines(struct buf *out, const char *key, const char *s)
{
	if (!s || !*s)
		return;
	buf_printf(out, "  %s:\n", key);
	while (*s) {
		const char *end = strchrnul(s, '\n');

		buf_adds(out, "    - ");
		yaml_text(out, s, (size_t)(end - s));
		buf_addc(out, '\n');
		s = *end ? end + 1 : end;
	}
}

static void yaml_cites(struct buf *out, const struct result *r, const struct finding *f)
{
	size_t pos = 0;
	bool any = false;

	if (f->n_cites)
		buf_adds(out, "  events:\n");
	for (unsigned i = 0; i < f->n_cites; i++)
		buf_printf(out, "    - %u\n", f->cites[i]);
	for (unsigned i = 0; i < f->n_cites; i++) {
		uint32_t frame = frame_of(r, f->cites[i], &pos);

		if (frame && !any)
			buf_adds(out, "  frames:\n");
		if (frame)
			buf_printf(out, "    - %u\n", frame);
		any |= frame != 0;
	}
}

static void point(struct buf *out, bool ok, size_t number, const struct result *r, const struct verdict *v)
{
	buf_printf(out, "%sok %zu - ", ok ? "" : "not ", number);
	tap_text(out, or_empty(r->name));
	if (v) {
		buf_printf(out, ": %s ", v->check->id);
		tap_text(out, or_empty(v->check->title));
	}
}

static void diagnostics(const struct report_env *env, const struct result *r, const struct verdict *v, bool story,
			struct buf *out)
{
	const struct finding *f = &v->finding;
	struct buf todo = {0};

	buf_adds(out, "  ---\n");
	yaml_field(out, "outcome", kind_names[verdict_kind(v, env->strict)]);
	yaml_field(out, "level", level_name(f->level));
	yaml_field(out, "fault", f->whose);
	yaml_field(out, "expected", f->expected);
	yaml_field(out, "actual", f->actual);
	yaml_cites(out, r, f);
	words_todo(&todo, env, v);
	yaml_field(out, "hint", todo.p);
	yaml_field(out, "evidence", r->evidence);
	if (story) {
		yaml_lines(out, "story", r->story);
		yaml_lines(out, "output", r->target_tail);
	}
	buf_adds(out, "  ...\n");
	buf_free(&todo);
}

static void tap_verdict(const struct report_env *env, const struct result *r, const struct verdict *v,
			size_t number, bool *told, struct buf *out)
{
	const struct finding *f = &v->finding;
	enum kind kind = verdict_kind(v, env->strict);

	point(out, kind == KIND_PASS || kind == KIND_SKIP, number, r, v);
	if (kind == KIND_SKIP) {
		buf_adds(out, " # SKIP ");
		tap_text(out, f->actual ? f->actual : f->expected);
	} else if (kind == KIND_WARN) {
		buf_adds(out, " # TODO SHOULD: a warning");
	} else if (kind == KIND_UNSURE || kind == KIND_BROKEN) {
		buf_printf(out, " (%s)", kind_names[kind]);
	}
	buf_addc(out, '\n');
	if (kind == KIND_PASS || kind == KIND_SKIP)
		return;
	diagnostics(env, r, v, !*told && kind != KIND_WARN, out);
	*told |= kind != KIND_WARN;
}

static void tap_scenario(const struct report_env *env, const struct result *r, size_t number, struct buf *out)
{
	enum kind kind = result_kind(r, env->strict);

	point(out, kind == KIND_SKIP || kind == KIND_PASS, number, r, NULL);
	if (kind == KIND_SKIP) {
		buf_adds(out, " # SKIP ");
		tap_text(out, r->skip_reason ? r->skip_reason : "nothing was judged");
	}
	buf_addc(out, '\n');
	if (kind == KIND_SKIP || kind == KIND_PASS)
		return;
	buf_adds(out, "  ---\n");
	yaml_field(out, "outcome", kind_names[kind]);
	yaml_field(out, "actual", r->broken);
	yaml_field(out, "evidence", r->evidence);
	buf_adds(out, "  ...\n");
}

static size_t points(const struct result *all, size_t n)
{
	size_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += all[i].n_verdicts + result_stands_alone(&all[i]);
	return sum;
}

static void comment(struct buf *out, const char *label, const char *s)
{
	buf_adds(out, "# ");
	buf_adds(out, label);
	scrub(out, s, 0);
	buf_addc(out, '\n');
}

static void tap_begin(const struct report_env *env, struct buf *out)
{
	buf_adds(out, "TAP version 13\n");
	comment(out, "drainspec ", env->version);
	if (env->command)
		comment(out, "command: ", env->command);
	for (const char **note = env->notes; note && *note; note++)
		comment(out, "not seen: ", *note);
}

static void tap_one(const struct report_env *env, const struct result *all, size_t n, struct buf *out)
{
	const struct result *r = &all[n - 1];
	size_t number = points(all, n - 1);
	bool told = false;

	for (size_t i = 0; i < r->n_verdicts; i++)
		tap_verdict(env, r, &r->verdicts[i], ++number, &told, out);
	if (result_stands_alone(r))
		tap_scenario(env, r, ++number, out);
}

static void tap_end(const struct report_env *env, const struct result *all, size_t n, bool interrupted,
		    struct buf *out)
{
	struct buf sentence = {0};
	size_t sum = points(all, n);

	words_verdict(&sentence, env, all, n, interrupted);
	comment(out, "", sentence.p);
	if (interrupted)
		buf_adds(out, "Bail out! interrupted: not every scenario was run\n");
	else
		buf_printf(out, sum ? "1..%zu\n" : "1..%zu # SKIP nothing was selected\n", sum);
	buf_free(&sentence);
}

const struct reporter reporter_tap = {
	.name = "tap", .suffix = ".tap", .help = "Test Anything Protocol 13, for prove and node-tap",
	.stream = true, .begin = tap_begin, .one = tap_one, .end = tap_end,
};
