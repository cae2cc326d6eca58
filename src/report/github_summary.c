/* The Markdown page of a GitHub Actions step: the verdict first, a table of scenarios, then each failure. */
#include "report/github.h"

#include <string.h>

#include "report/term.h"
#include "report/words.h"

/* One line of plain text in Markdown, whatever it holds: also safe in a table's cell. */
static void md(struct buf *out, const char *s)
{
	struct buf clean = {0};

	scrub(&clean, s, 0);
	for (size_t i = 0; i < clean.n; i++) {
		char c = clean.p[i];

		if (c == '<')
			buf_adds(out, "&lt;");
		else if (c == '&')
			buf_adds(out, "&amp;");
		else if (strchr("\\`*_{}[]>|#~!$@", c))
			buf_printf(out, "&#%d;", c);
		else
			buf_addc(out, c);
	}
	buf_free(&clean);
}

/* A block in which nothing is markup: the fence is longer than any run of backticks inside. */
static void md_block(struct buf *out, const char *label, const char *s)
{
	struct buf clean = {0};
	size_t longest = 2, run = 0;

	if (!s || !*s)
		return;
	scrub(&clean, s, SCRUB_LINES);
	for (size_t i = 0; i < clean.n; i++) {
		run = clean.p[i] == '`' ? run + 1 : 0;
		longest = run > longest ? run : longest;
	}
	buf_printf(out, "\n%s\n\n", label);
	for (size_t i = 0; i <= longest; i++)
		buf_addc(out, '`');
	buf_adds(out, "text\n");
	buf_add(out, clean.p, clean.n);
	if (clean.n && clean.p[clean.n - 1] != '\n')
		buf_addc(out, '\n');
	for (size_t i = 0; i <= longest; i++)
		buf_addc(out, '`');
	buf_addc(out, '\n');
	buf_free(&clean);
}

static void item(struct buf *out, const char *label, const char *s)
{
	if (!s || !*s)
		return;
	buf_printf(out, "- **%s**: ", label);
	md(out, s);
	buf_addc(out, '\n');
}

static void failure(const struct report_env *env, const struct result *r, const struct verdict *v, bool story,
		    struct buf *out)
{
	const struct finding *f = &v->finding;
	struct buf todo = {0}, proof = {0};

	buf_printf(out, "\n### %s %s (%s) ", kind_names[verdict_kind(v, env->strict)], v->check->id,
		   level_name(f->level));
	md(out, r->name);
	buf_adds(out, "\n\n");
	item(out, "rule", v->check->title);
	item(out, "fault", words_fault(f->whose));
	item(out, "expected", f->expected);
	item(out, "actual", f->actual);
	words_proof(&proof, r, f);
	item(out, "proof", proof.p);
	words_todo(&todo, env, v);
	item(out, "what to do", todo.p);
	buf_printf(out, "- `drainspec explain %s`\n", v->check->id);
	item(out, "evidence", r->evidence);
	if (story) {
		md_block(out, "What happened:", r->story);
		md_block(out, "Last output of the target:", r->target_tail);
	}
	buf_free(&todo);
	buf_free(&proof);
}

static void failures(const struct report_env *env, const struct result *r, struct buf *out)
{
	static const enum kind order[] = {KIND_FAIL, KIND_BROKEN, KIND_UNSURE, KIND_WARN};
	bool told = false;

	if (r->broken) {
		buf_adds(out, "\n### BROKEN ");
		md(out, r->name);
		buf_adds(out, "\n\n");
		item(out, "drainspec itself failed", r->broken);
	}
	for (size_t k = 0; k < sizeof order / sizeof *order; k++)
		for (size_t i = 0; i < r->n_verdicts; i++) {
			if (verdict_kind(&r->verdicts[i], env->strict) != order[k])
				continue;
			failure(env, r, &r->verdicts[i], !told && order[k] != KIND_WARN, out);
			told = true;
		}
}

static void row(const struct report_env *env, const struct result *r, struct buf *out)
{
	struct tally t = {0};
	char took[32];

	tally_add(&t, r, env->strict);
	buf_printf(out, "| %s | ", kind_names[result_kind(r, env->strict)]);
	md(out, r->name);
	buf_printf(out, " | %s | ", r->took ? duration_text(r->took, took) : "-");
	if (r->n_verdicts)
		words_counts(out, t.verdicts);
	else
		md(out, r->skip_reason ? r->skip_reason : r->broken ? r->broken : "nothing judged");
	buf_adds(out, " |\n");
}

void github_summary(const struct report_env *env, const struct result *all, size_t n, bool interrupted,
		    struct buf *out)
{
	struct buf sentence = {0};

	words_verdict(&sentence, env, all, n, interrupted);
	buf_adds(out, "## drainspec: graceful shutdown\n\n**");
	md(out, sentence.p);
	buf_adds(out, "**\n\n");
	item(out, "command", env->command);
	for (const char **note = env->notes; note && *note; note++)
		item(out, "not seen", *note);
	item(out, "evidence", env->out_dir);
	buf_adds(out, "\n| | scenario | time | checks |\n|---|---|---:|---|\n");
	/* What failed comes first in the table too: a long one is folded by nobody. */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < n; i++) {
			enum kind kind = result_kind(&all[i], env->strict);

			if ((kind == KIND_PASS || kind == KIND_SKIP) == pass)
				row(env, &all[i], out);
		}
	for (size_t i = 0; i < n; i++)
		failures(env, &all[i], out);
	buf_free(&sentence);
}
