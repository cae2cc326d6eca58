/* The report for a person: what broke, whose fault it is, what to do. Colour only repeats what the words say. */
#include "report/text.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct pen pen_of(const struct report_env *env, struct buf *out)
{
	unsigned width = env->width ? env->width : 100;

	return (struct pen){.out = out, .color = env->color, .ascii = env->ascii, .width = width < 60 ? 60 : width};
}

static const struct mark {
	const char *utf8, *ascii;
	enum hue hue;
} marks[KIND_N] = {
	[KIND_PASS] = {"✓", "+", HUE_GREEN}, [KIND_WARN] = {"!", "!", HUE_YELLOW},
	[KIND_FAIL] = {"✗", "x", HUE_RED}, [KIND_UNSURE] = {"?", "?", HUE_YELLOW},
	[KIND_SKIP] = {"-", "-", HUE_DIM}, [KIND_BROKEN] = {"✗", "x", HUE_RED},
};

/* Column of a scenario's name. */
enum { NAME_COLUMN = 9 };

/* Columns for the name: what the time and the usual counts leave. */
static unsigned name_pad(const struct pen *pen)
{
	return pen->width >= 100 ? 42 : pen->width < 72 ? 14 : pen->width - 58;
}

static void line_rest(const struct pen *pen, const struct report_env *env, const struct result *r)
{
	struct buf rest = {0};
	struct tally t = {0};
	char took[32];

	tally_add(&t, r, env->strict);
	if (r->took || r->n_verdicts)
		buf_printf(pen->out, "%7s  ", duration_text(r->took, took));
	else
		pen_indent(pen, 9);
	if (r->n_verdicts)
		words_counts(&rest, t.verdicts);
	else
		buf_adds(&rest, r->broken ? "not judged" : r->skip_reason || r->outcome == SKIP ? "reason at the end" :
			 "nothing to judge");
	pen_wrap(pen, rest.p, NAME_COLUMN + name_pad(pen) + 9, 4);
	buf_free(&rest);
}

void text_line(const struct pen *pen, const struct report_env *env, const struct result *r)
{
	enum kind kind = result_kind(r, env->strict);
	unsigned pad = name_pad(pen);
	struct buf name = {0};

	scrub(&name, or_empty(r->name), pen->ascii ? SCRUB_ASCII : 0);
	size_t shown = text_fit(name.p ? name.p : "", name.n, pen->width - NAME_COLUMN);
	unsigned columns = text_columns(name.p ? name.p : "", shown);

	pen_hue(pen, marks[kind].hue);
	buf_printf(pen->out, "%s %-6s", pen->ascii ? marks[kind].ascii : marks[kind].utf8, kind_names[kind]);
	pen_hue(pen, HUE_PLAIN);
	buf_addc(pen->out, ' ');
	buf_add(pen->out, name.p, shown);
	/* The columns of a table stay where they are, whatever a name's length. */
	if (columns > pad)
		buf_addc(pen->out, '\n');
	pen_indent(pen, columns > pad ? NAME_COLUMN + pad : pad - columns);
	line_rest(pen, env, r);
	buf_free(&name);
}

static void line_free(char *const *line)
{
	free(*line);
}

void text_lines(const struct pen *pen, const char *label, const char *lines, unsigned max_lines)
{
	struct pen rail = *pen;
	struct buf clean = {0};

	if (!lines || !*lines)
		return;
	rail.rail = pen->ascii ? "| " : "│ ";
	pen_indent(pen, PEN_LABEL);
	pen_hue(pen, HUE_DIM);
	buf_adds(pen->out, label);
	pen_hue(pen, HUE_PLAIN);
	buf_addc(pen->out, '\n');
	scrub(&clean, lines, SCRUB_LINES | (pen->ascii ? SCRUB_ASCII : 0));
	while (clean.n && clean.p[clean.n - 1] == '\n')
		clean.p[--clean.n] = '\0';

	/* The last lines matter: what a server says about its end stands at the end. */
	const char *p = clean.p ? clean.p : "";
	size_t total = 1;

	for (const char *s = p; (s = strchr(s, '\n')); s++)
		total++;
	for (size_t i = 0; i < total; i++) {
		const char *end = strchrnul(p, '\n');

		if (i + max_lines >= total) {
			char *line __attribute__((cleanup(line_free))) = strndup(p, (size_t)(end - p));

			pen_indent(pen, PEN_LABEL + 2);
			buf_adds(pen->out, rail.rail);
			pen_wrap(&rail, line ? line : "", PEN_LABEL + 4, 3);
		}
		p = *end ? end + 1 : end;
	}
	buf_free(&clean);
}

static void block_head(const struct pen *pen, enum kind kind, const struct result *r, const struct verdict *v)
{
	struct buf line = {0};

	buf_adds(pen->out, "\n  ");
	pen_hue(pen, marks[kind].hue);
	buf_adds(pen->out, kind_names[kind]);
	pen_hue(pen, HUE_PLAIN);
	buf_addc(pen->out, ' ');
	if (v)
		buf_printf(&line, "%s (%s) ", v->check->id, level_name(v->finding.level));
	buf_printf(&line, "%s: %s", or_empty(r->name), v ? or_empty(v->check->title) :
		   r->exit_hint ? "the target could not be started" : "drainspec could not judge it");
	pen_hue(pen, HUE_BOLD);
	pen_wrap(pen, line.p, (unsigned)strlen(kind_names[kind]) + 3, 4);
	pen_hue(pen, HUE_PLAIN);
	buf_free(&line);
}

static bool has_block(const struct report_env *env, const struct result *all, size_t n)
{
	const struct result *r = &all[n - 1];
	bool any = r->broken != NULL;

	for (size_t i = 0; i < r->n_verdicts; i++)
		any |= told_in_full(env, all, n, &r->verdicts[i]);
	return any;
}

/* Who has read the first block needs to know of the others only where they are. JSON has all of each. */
static void block_again(const struct pen *pen, const struct result *r, const struct verdict *v, enum kind kind,
			const char *why)
{
	struct buf line = {0};

	buf_adds(pen->out, "  ");
	pen_hue(pen, marks[kind].hue);
	buf_adds(pen->out, kind_names[kind]);
	pen_hue(pen, HUE_PLAIN);
	buf_addc(pen->out, ' ');
	buf_printf(&line, "%s (%s) %s", v->check->id, level_name(v->finding.level), why);
	if (r->evidence && kind != KIND_WARN)
		buf_printf(&line, "; evidence %s", r->evidence);
	pen_wrap(pen, line.p, (unsigned)strlen(kind_names[kind]) + 3, 4);
	buf_free(&line);
}

static void block_todo(const struct pen *pen, const struct report_env *env, const struct verdict *v)
{
	struct buf todo = {0};

	words_todo(&todo, env, v);
	pen_field(pen, "what to do", todo.p);
	buf_clear(&todo);
	words_fix(&todo, env, v);
	if (todo.n) {
		pen_indent(pen, PEN_TEXT);
		pen_wrap(pen, todo.p, PEN_TEXT, 4);
	}
	pen_indent(pen, PEN_TEXT);
	buf_printf(pen->out, "drainspec explain %s\n", v->check->id);
	buf_free(&todo);
}

static void block_evidence(const struct pen *pen, const struct result *r, const struct finding *f)
{
	size_t pos = 0;
	uint32_t frame = 0;

	if (!r->evidence)
		return;
	/* Paths and commands are not wrapped: they are there to be copied. */
	pen_indent(pen, PEN_LABEL);
	pen_hue(pen, HUE_DIM);
	buf_adds(pen->out, "evidence");
	pen_hue(pen, HUE_PLAIN);
	pen_indent(pen, PEN_TEXT - PEN_LABEL - 8);
	scrub(pen->out, r->evidence, 0);
	buf_addc(pen->out, '\n');
	for (unsigned i = 0; f && i < f->n_cites && !frame; i++)
		frame = frame_of(r, f->cites[i], &pos);
	if (!frame)
		return;
	struct buf path = {0}, word = {0};

	buf_printf(&path, "%s/wire.pcap", r->evidence);
	words_shell(&word, path.p);
	pen_indent(pen, PEN_TEXT);
	buf_adds(pen->out, "wireshark -r ");
	scrub(pen->out, word.p, 0);
	buf_printf(pen->out, " -g %u", frame);
	buf_clear(&path);
	buf_clear(&word);
	buf_printf(&path, "tls.keylog_file:%s/tls.keys", r->evidence);
	if (access(path.p + strlen("tls.keylog_file:"), R_OK) == 0) {
		words_shell(&word, path.p);
		buf_adds(pen->out, " -o ");
		scrub(pen->out, word.p, 0);
	}
	buf_addc(pen->out, '\n');
	buf_free(&path);
	buf_free(&word);
}

static void block_facts(const struct pen *pen, const struct result *r, const struct finding *f)
{
	struct buf proof = {0};

	pen_field(pen, "expected", f->expected);
	pen_field(pen, "actual", f->actual);
	words_proof(&proof, r, f);
	pen_field(pen, "proof", proof.p);
	buf_free(&proof);
}

/* A warning in four lines: it must not hide the failures. */
static void block_warning(const struct pen *pen, const struct report_env *env, const struct result *r,
			  const struct verdict *v)
{
	struct buf todo = {0};

	block_head(pen, KIND_WARN, r, v);
	pen_field(pen, "actual", v->finding.actual);
	words_todo(&todo, env, v);
	pen_field(pen, "what to do", todo.p);
	buf_clear(&todo);
	buf_printf(&todo, "drainspec explain %s (only --strict fails for it)", v->check->id);
	pen_indent(pen, PEN_TEXT);
	pen_wrap(pen, todo.p, PEN_TEXT, 2);
	buf_free(&todo);
}

/* Returns whether it told the story. */
static bool block_verdict(const struct pen *pen, const struct report_env *env, const struct result *all, size_t n,
			  const struct verdict *v, bool story)
{
	const struct result *r = &all[n - 1];
	const struct finding *f = &v->finding;
	enum kind kind = verdict_kind(v, env->strict);
	struct buf again = {0};

	if (!told_in_full(env, all, n, v)) {
		const struct result *before = seen_before(all, n, v, env->strict);

		if (before)
			buf_printf(&again, "as in %s", or_empty(before->name));
		else
			buf_adds(&again, f->actual);
		block_again(pen, r, v, kind, again.p);
		buf_free(&again);
		return false;
	}
	if (kind == KIND_WARN) {
		block_warning(pen, env, r, v);
		return false;
	}
	block_head(pen, kind, r, v);
	pen_field(pen, "fault", words_fault(f->whose));
	block_facts(pen, r, f);
	if (story)
		text_lines(pen, "what happened", r->story, 12);
	block_todo(pen, env, v);
	block_evidence(pen, r, f);
	return true;
}

static void block_broken(const struct pen *pen, const struct result *r)
{
	block_head(pen, KIND_BROKEN, r, NULL);
	pen_field(pen, "fault", r->exit_hint ? "the target or its command line" : words_fault("harness"));
	pen_field(pen, "actual", r->broken ? r->broken : "the scenario ended without a verdict");
	pen_field(pen, "what to do", r->exit_hint ? "start it by hand with the same command line; its output is in the evidence folder" :
		  r->broken && strstr(r->broken, "No space left") ? "make room on that disk, or choose another one with --out" :
		  "run it again; if it happens again, report it with the evidence folder");
	block_evidence(pen, r, NULL);
}

void text_blocks(const struct pen *pen, const struct report_env *env, const struct result *all, size_t n,
		 bool with_tail)
{
	static const enum kind order[] = {KIND_FAIL, KIND_BROKEN, KIND_UNSURE, KIND_WARN};
	const struct result *r = &all[n - 1];
	enum kind worst = result_kind(r, env->strict);
	bool told = false;      /* the story is about the worst finding, so it stands with the first block only */

	if (worst == KIND_PASS || worst == KIND_SKIP)
		return;
	if (r->broken)
		block_broken(pen, r);
	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (size_t i = 0; i < r->n_verdicts; i++) {
			const struct verdict *v = &r->verdicts[i];

			if (verdict_kind(v, env->strict) != order[k])
				continue;
			told |= block_verdict(pen, env, all, n, v, !told);
		}
	if (with_tail && (told || r->broken))
		text_lines(pen, "last output of the target", r->target_tail, 10);
}

static void text_begin(const struct report_env *env, struct buf *out)
{
	struct pen pen = pen_of(env, out);
	struct buf line = {0};

	buf_printf(&line, "drainspec %s: does this shut down correctly?  ", or_empty(env->version));
	pen_hue(&pen, HUE_BOLD);
	buf_adds(&line, or_empty(env->command));
	pen_wrap(&pen, line.p, 2, 6);
	pen_hue(&pen, HUE_PLAIN);
	for (const char **note = env->notes; note && *note; note++) {
		buf_adds(out, "  not seen: ");
		pen_wrap(&pen, *note, 12, 4);
	}
	buf_addc(out, '\n');
	buf_free(&line);
}

static bool never_run(const struct result *r, bool strict)
{
	return !r->n_verdicts && result_kind(r, strict) == KIND_SKIP;
}

static void text_one(const struct report_env *env, const struct result *all, size_t n, struct buf *out)
{
	struct pen pen = pen_of(env, out);
	size_t before = n - 1;

	/* what was not run is told at the end, all of it in a few lines */
	if (never_run(&all[n - 1], env->strict))
		return;
	while (before && never_run(&all[before - 1], env->strict))
		before--;
	/* a blank line after the blocks of the one before */
	if (before && has_block(env, all, before))
		buf_addc(out, '\n');
	text_line(&pen, env, &all[n - 1]);
	text_blocks(&pen, env, all, n, true);
}

static void skip_group(const struct pen *pen, const struct group *g)
{
	struct buf line = {0};

	buf_adds(pen->out, "  - ");
	buf_adds(&line, g->reason ? g->reason : "no reason given");
	if (g->flag)
		buf_printf(&line, " (to enable: %s)", g->flag);
	pen_wrap(pen, line.p, 4, 6);
	buf_clear(&line);
	for (uint32_t i = 0; i < g->checks; i++)
		buf_printf(&line, "%s%s", i ? " " : "", g->some[i]->id);
	if (g->checks == sizeof g->some / sizeof *g->some)
		buf_adds(&line, " ...");
	buf_adds(&line, g->checks ? " in " : g->scenarios == 1 ? "scenario " : "scenarios ");
	words_scenarios(&line, g);
	pen_indent(pen, 6);
	pen_wrap(pen, line.p, 6, 3);
	buf_free(&line);
}

void text_skips(const struct pen *pen, const struct report_env *env, const struct result *all, size_t n)
{
	struct group *v;
	size_t k = group_kind(all, n, KIND_SKIP, env->strict, &v);

	if (k)
		buf_adds(pen->out, "\nSkipped, and why:\n");
	for (size_t i = 0; i < k; i++)
		skip_group(pen, &v[i]);
	free(v);
}

static const struct verdict *first_failure(const struct result *all, size_t n, const struct check *check, bool strict)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < all[i].n_verdicts; k++)
			if (all[i].verdicts[k].check == check && verdict_kind(&all[i].verdicts[k], strict) == KIND_FAIL)
				return &all[i].verdicts[k];
	return NULL;
}

/* After a long run the blocks have left the screen: once more in short, whose fault and what to do. */
static void end_failures(const struct pen *pen, const struct report_env *env, const struct result *all, size_t n)
{
	struct buf line = {0};
	struct group *v;
	size_t k = group_kind(all, n, KIND_FAIL, env->strict, &v);

	for (size_t i = 0; i < k && i < 6; i++) {
		const struct verdict *first = v[i].check ? first_failure(all, n, v[i].check, env->strict) : NULL;

		if (!first)
			continue;
		buf_clear(&line);
		if (first->finding.whose)
			buf_printf(&line, "fault: %s. ", first->finding.whose);
		size_t empty = line.n;

		words_todo(&line, env, first);
		buf_printf(&line, line.n > empty ? " (drainspec explain %s)" : "what to do: drainspec explain %s",
			   v[i].check->id);
		buf_printf(pen->out, "  %-13s ", v[i].check->id);
		pen_wrap(pen, line.p, PEN_TEXT, 3);
	}
	free(v);
	buf_free(&line);
}

/* Field names as in the blocks, but at the margin. */
static void end_counts(const struct pen *pen, const struct report_env *env, const struct tally *t)
{
	struct buf line = {0};
	char took[32];

	words_counts(&line, t->scenarios);
	buf_adds(pen->out, "  scenarios     ");
	pen_wrap(pen, line.p, PEN_TEXT, 3);
	buf_clear(&line);
	words_counts(&line, t->verdicts);
	buf_adds(pen->out, "  checks        ");
	pen_wrap(pen, line.p, PEN_TEXT, 3);
	buf_clear(&line);
	words_connections(&line, t);
	if (line.n) {
		buf_adds(pen->out, "  connections   ");
		pen_wrap(pen, line.p, PEN_TEXT, 0);
	}
	if (env->started)
		buf_printf(pen->out, "  time          %s\n", duration_text(clock_now() - env->started, took));
	if (env->out_dir) {
		buf_adds(pen->out, "  evidence      ");
		scrub(pen->out, env->out_dir, 0);
		buf_adds(pen->out, "\n  judge again   drainspec judge ");
		buf_clear(&line);
		words_shell(&line, env->out_dir);
		scrub(pen->out, line.p, 0);
		buf_addc(pen->out, '\n');
	}
	buf_free(&line);
}

static void text_end(const struct report_env *env, const struct result *all, size_t n, bool interrupted,
		     struct buf *out)
{
	struct pen pen = pen_of(env, out);
	struct buf line = {0};
	struct tally t;

	tally_all(&t, all, n, env->strict);
	text_skips(&pen, env, all, n);
	words_verdict(&line, env, all, n, interrupted);
	buf_addc(out, '\n');
	pen_hue(&pen, interrupted || t.scenarios[KIND_FAIL] || t.scenarios[KIND_BROKEN] ? HUE_RED :
		      t.scenarios[KIND_UNSURE] || !t.scenarios[KIND_PASS] ? HUE_YELLOW : HUE_GREEN);
	pen_wrap(&pen, line.p, 0, 0);
	pen_hue(&pen, HUE_PLAIN);
	end_failures(&pen, env, all, n);
	end_counts(&pen, env, &t);
	buf_free(&line);
}

const struct reporter reporter_text = {
	.name = "text", .suffix = ".txt", .help = "for people (the default)",
	.stream = true, .begin = text_begin, .one = text_one, .end = text_end,
};
