/* GitHub Actions: annotations, foldable groups, and a Markdown page for the step's summary.
 * Whatever a target or a scenario wrote is printed only while workflow commands are stopped by a random token: the runner obeys
 * "::set-env" and the like on any line, indented or not. */
#include "report/github.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "report/text.h"

/* Of a step GitHub shows ten annotations of each level and drops the rest. The tenth says how many more there are. */
enum { ANNOTATIONS = 9 };

static void escape(struct buf *out, const char *s, bool property)
{
	struct buf clean = {0};

	scrub(&clean, s, SCRUB_LINES);
	for (size_t i = 0; i < clean.n; i++) {
		char c = clean.p[i];

		if (c == '%' || c == '\r' || c == '\n' || (property && (c == ':' || c == ',')))
			buf_printf(out, "%%%02X", c);
		else
			buf_addc(out, c);
	}
	buf_free(&clean);
}

/* One line that stands outside of the stopped part: the old command form "##[" is obeyed anywhere in a line. */
static void plain(struct buf *out, const char *s)
{
	struct buf clean = {0};

	scrub(&clean, s, 0);
	for (size_t i = 0; i < clean.n; i++) {
		buf_addc(out, clean.p[i]);
		if (clean.p[i] == '#' && i + 1 < clean.n && clean.p[i + 1] == '#')
			buf_addc(out, ' ');
	}
	buf_free(&clean);
}

static void new_token(char token[33])
{
	unsigned char random[16];

	/* The pool is ready long before a user's program runs; a short read cannot happen for 16 bytes. */
	if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
		abort();
	for (size_t i = 0; i < sizeof random; i++)
		sprintf(token + 2 * i, "%02x", random[i]);
}

/* An annotation stands at a file of the user's: a scenario of theirs, or the settings. The battery is in no repository. */
static const char *file_of(const struct result *r)
{
	if (r->path && access(r->path, R_OK) == 0)
		return r->path;
	return access("drainspec.yaml", R_OK) == 0 ? "drainspec.yaml" : NULL;
}

static void annotate(const struct report_env *env, const struct result *r, const struct verdict *v, struct buf *out)
{
	const struct finding *f = &v->finding;
	enum kind kind = verdict_kind(v, env->strict);
	const char *file = file_of(r);
	struct buf m = {0}, title = {0};

	buf_printf(&title, "%s (%s) %s", v->check->id, level_name(f->level), kind_names[kind]);
	buf_printf(&m, "%s: %s\nexpected: %s\nactual: %s", or_empty(r->name), or_empty(v->check->title),
		   f->expected ? f->expected : "-", f->actual ? f->actual : "-");
	if (f->whose)
		buf_printf(&m, "\nfault: %s", words_fault(f->whose));
	buf_adds(&m, "\nwhat to do: ");
	words_todo(&m, env, v);
	buf_printf(&m, "%sdrainspec explain %s", m.p[m.n - 1] == ' ' ? "" : "; ", v->check->id);
	buf_adds(out, kind == KIND_WARN ? "::warning " : "::error ");
	if (file) {
		buf_adds(out, "file=");
		escape(out, file, true);
		buf_addc(out, ',');
	}
	buf_adds(out, "title=");
	escape(out, title.p, true);
	buf_adds(out, "::");
	escape(out, m.p, false);
	buf_addc(out, '\n');
	buf_free(&m);
	buf_free(&title);
}

static bool is_annotated(enum kind kind)
{
	return kind == KIND_FAIL || kind == KIND_WARN || kind == KIND_UNSURE || kind == KIND_BROKEN;
}

/* Annotations that results[0..n) ask for, by level: 0 errors, 1 warnings. */
static void count(const struct report_env *env, const struct result *all, size_t n, size_t ret[2])
{
	ret[0] = ret[1] = 0;
	for (size_t i = 0; i < n; i++) {
		ret[0] += all[i].broken != NULL;
		for (size_t k = 0; k < all[i].n_verdicts; k++) {
			enum kind kind = verdict_kind(&all[i].verdicts[k], env->strict);

			if (is_annotated(kind))
				ret[kind == KIND_WARN]++;
		}
	}
}

static void annotate_broken(const struct result *r, struct buf *out)
{
	buf_adds(out, "::error title=drainspec BROKEN::");
	escape(out, or_empty(r->name), false);
	buf_adds(out, ": ");
	escape(out, r->broken, false);
	buf_addc(out, '\n');
}

static void annotations(const struct report_env *env, const struct result *all, size_t n, struct buf *out)
{
	const struct result *r = &all[n - 1];
	size_t done[2];

	count(env, all, n - 1, done);
	if (r->broken && done[0]++ < ANNOTATIONS)
		annotate_broken(r, out);
	for (size_t i = 0; i < r->n_verdicts; i++) {
		enum kind kind = verdict_kind(&r->verdicts[i], env->strict);

		if (is_annotated(kind) && done[kind == KIND_WARN]++ < ANNOTATIONS)
			annotate(env, r, &r->verdicts[i], out);
	}
}

static struct pen pen_of(const struct report_env *env, struct buf *out)
{
	return (struct pen){.out = out, .ascii = env->ascii, .width = env->width ? env->width : 100};
}

static void github_begin(const struct report_env *env, struct buf *out)
{
	buf_adds(out, "drainspec ");
	plain(out, env->version);
	if (env->command) {
		buf_adds(out, ": does this shut down correctly?  ");
		plain(out, env->command);
	}
	buf_addc(out, '\n');
	for (const char **note = env->notes; note && *note; note++) {
		buf_adds(out, "  not seen: ");
		plain(out, *note);
		buf_addc(out, '\n');
	}
}

/* Text that may hold anything, folded under a title. */
static void stopped(struct buf *out, const char *title, const struct buf *text)
{
	char token[33];

	new_token(token);
	buf_adds(out, "::group::");
	escape(out, title, false);
	buf_printf(out, "\n::stop-commands::%s\n", token);
	buf_add(out, text->p, text->n);
	buf_printf(out, "::%s::\n::endgroup::\n", token);
}

static void github_one(const struct report_env *env, const struct result *all, size_t n, struct buf *out)
{
	const struct result *r = &all[n - 1];
	enum kind kind = result_kind(r, env->strict);
	struct buf line = {0}, blocks = {0};
	struct pen one = pen_of(env, &line), many = pen_of(env, &blocks);

	text_line(&one, env, r);
	line.p[--line.n] = '\0';
	if (kind == KIND_PASS || kind == KIND_SKIP) {
		plain(out, line.p);
		buf_addc(out, '\n');
	} else {
		text_blocks(&many, env, all, n, true);
		stopped(out, line.p, &blocks);
		annotations(env, all, n, out);
	}
	buf_free(&line);
	buf_free(&blocks);
}

static void github_end(const struct report_env *env, const struct result *all, size_t n, bool interrupted,
		       struct buf *out)
{
	static const char *const levels[] = {"error", "warning"};
	struct buf sentence = {0}, skips = {0};
	struct pen pen = pen_of(env, &skips);
	size_t done[2];

	text_skips(&pen, env, all, n);
	if (skips.n)
		stopped(out, "Skipped, and why", &skips);
	count(env, all, n, done);
	for (int i = 0; i < 2; i++)
		if (done[i] > ANNOTATIONS)
			buf_printf(out, "::%s title=drainspec::%zu more in the log and in the step summary\n", levels[i],
				   done[i] - ANNOTATIONS);
	if (interrupted)
		buf_adds(out, "::error title=drainspec::interrupted before every scenario was run\n");
	words_verdict(&sentence, env, all, n, interrupted);
	plain(out, sentence.p);
	buf_addc(out, '\n');
	buf_free(&sentence);
	buf_free(&skips);
}

const struct reporter reporter_github = {
	.name = "github", .suffix = ".log", .help = "GitHub Actions: annotations and a step summary",
	.stream = true, .begin = github_begin, .one = github_one, .end = github_end, .summary = github_summary,
};
