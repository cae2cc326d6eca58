/* The JSON report. Its shape is promised by reports/schema.json; written by hand because it is rewritten while the run goes on. */
#include <string.h>

#include "report/version.h"
#include "report/words.h"

static void key(struct buf *out, const char *name)
{
	size_t n = strlen(name);

	buf_reserve(out, n + 3);
	char *p = out->p + out->n;

	p[0] = '"';
	memcpy(p + 1, name, n);
	p[n + 1] = '"';
	p[n + 2] = ':';
	out->n += n + 3;
	out->p[out->n] = '\0';
}

/* Has one of eight bytes to be escaped? Each test sets the top bit of the bytes below 0x20, of quotes, of backslashes, and of
 * 0x7F and above. A byte after a true one may be reported wrongly; that only costs the slow way. */
static bool must_escape(uint64_t w)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), top = ones << 7;
	uint64_t quote = w ^ ones * '"', slash = w ^ ones * '\\';

	return ((w - ones * 0x20) | (quote - ones) | (slash - ones) | (w + ones) | w) & top;
}

/* buf_json(), but plain ASCII, which nearly every text here is, is copied as it is. */
static void quoted(struct buf *out, const char *s)
{
	size_t n = s ? strlen(s) : 0, i = 0;
	uint64_t w = 0;

	for (; i + sizeof w <= n; i += sizeof w) {
		memcpy(&w, s + i, sizeof w);
		if (must_escape(w))
			break;
	}
	if (i + sizeof w <= n || n < sizeof w) {
		buf_json(out, s);
		return;
	}
	memcpy(&w, s + n - sizeof w, sizeof w);
	if (must_escape(w)) {
		buf_json(out, s);
		return;
	}
	buf_reserve(out, n + 2);
	out->p[out->n] = '"';
	memcpy(out->p + out->n + 1, s, n);
	out->n += n + 1;
	buf_addc(out, '"');
}

static void text(struct buf *out, const char *name, const char *s)
{
	key(out, name);
	quoted(out, s);
	buf_addc(out, ',');
}

static void number(struct buf *out, const char *name, int64_t v)
{
	key(out, name);
	buf_addi(out, v);
	buf_addc(out, ',');
}

static void boolean(struct buf *out, const char *name, bool v)
{
	key(out, name);
	buf_adds(out, v ? "true," : "false,");
}

/* Take back the comma after the last member. */
static void end_with(struct buf *out, char c)
{
	if (out->p[out->n - 1] == ',')
		out->n--;
	buf_addc(out, c);
}

/* A bit for each event that has a frame: most cited events have none, and looking for those would cost a full scan each. */
struct framed {
	uint64_t bits[16];
};

static void framed_fill(struct framed *set, const struct result *r)
{
	for (size_t i = 0; i < r->n_frames; i++)
		set->bits[r->frames[i].event >> 6 & 15] |= UINT64_C(1) << (r->frames[i].event & 63);
}

static bool framed_may(const struct framed *set, uint32_t event)
{
	return set->bits[event >> 6 & 15] >> (event & 63) & 1;
}

static void cites(struct buf *out, const struct result *r, const struct finding *f, const struct framed *set,
		  size_t *pos)
{
	key(out, "events");
	buf_addc(out, '[');
	for (unsigned i = 0; i < f->n_cites; i++) {
		buf_addi(out, f->cites[i]);
		buf_addc(out, ',');
	}
	end_with(out, ']');
	buf_addc(out, ',');
	key(out, "frames");
	buf_addc(out, '[');
	for (unsigned i = 0; i < f->n_cites; i++) {
		uint32_t frame = framed_may(set, f->cites[i]) ? frame_of(r, f->cites[i], pos) : 0;

		if (!frame)
			continue;
		buf_addi(out, frame);
		buf_addc(out, ',');
	}
	end_with(out, ']');
	buf_addc(out, ',');
}

static void see(struct buf *out, uint64_t bits)
{
	key(out, "see");
	buf_addc(out, '[');
	for (unsigned i = 0; bits >> i && i < n_checks; i++) {
		if (!(bits >> i & 1))
			continue;
		quoted(out, checks[i]->id);
		buf_addc(out, ',');
	}
	end_with(out, ']');
	buf_addc(out, ',');
}

/* Of what does not pass: what to do, as the other formats say it. */
static void hint(struct buf *out, const struct report_env *env, const struct verdict *v)
{
	enum kind kind = verdict_kind(v, env->strict);
	struct buf todo = {0};

	if (kind != KIND_PASS && kind != KIND_SKIP)
		words_todo(&todo, env, v);
	text(out, "hint", todo.n ? todo.p : v->finding.hint);
	buf_free(&todo);
}

static void verdict(const struct report_env *env, struct buf *out, const struct result *r, const struct verdict *v,
		    const struct framed *set, size_t *pos)
{
	const struct finding *f = &v->finding;

	buf_addc(out, '{');
	text(out, "check", v->check->id);
	text(out, "title", v->check->title);
	text(out, "level", level_name(f->level));
	text(out, "outcome", outcome_names[f->outcome]);
	text(out, "kind", kind_names[verdict_kind(v, env->strict)]);
	text(out, "expected", f->expected);
	text(out, "actual", f->actual);
	text(out, "whose", f->whose);
	hint(out, env, v);
	see(out, f->see);
	cites(out, r, f, set, pos);
	end_with(out, '}');
	buf_addc(out, ',');
}

/* WARN is not an outcome: the scenario passed, and should_failed says the rest. */
static const char *outcome_of(enum kind kind)
{
	return kind_names[kind == KIND_WARN ? KIND_PASS : kind];
}

static void expected(struct buf *out, const struct result *r)
{
	key(out, "expected");
	buf_addc(out, '{');
	for (int i = 0; i < CONN_N; i++) {
		if (!r->expected[i])
			continue;
		key(out, conn_outcome_names[i]);
		buf_addc(out, '{');
		number(out, "count", r->expected[i]);
		text(out, "why", r->expected_why[i]);
		end_with(out, '}');
		buf_addc(out, ',');
	}
	end_with(out, '}');
	buf_addc(out, ',');
}

static void scenario(const struct report_env *env, const struct result *r, struct buf *out)
{
	struct framed set = {0};
	size_t pos = 0;
	bool should = r->should_failed;

	framed_fill(&set, r);
	for (size_t i = 0; i < r->n_verdicts; i++)
		should |= r->verdicts[i].finding.outcome == FAIL && r->verdicts[i].finding.level == SHOULD;
	buf_adds(out, "\n{");
	text(out, "name", or_empty(r->name));
	text(out, "path", r->path);
	text(out, "why", r->why);
	number(out, "index", r->index);
	text(out, "outcome", outcome_of(result_kind(r, env->strict)));
	text(out, "kind", kind_names[result_kind(r, env->strict)]);
	boolean(out, "should_failed", should);
	text(out, "skip_reason", r->skip_reason);
	text(out, "broken", r->broken);
	number(out, "took_ns", r->took);
	key(out, "verdicts");
	buf_addc(out, '[');
	for (size_t i = 0; i < r->n_verdicts; i++)
		verdict(env, out, r, &r->verdicts[i], &set, &pos);
	end_with(out, ']');
	buf_addc(out, ',');
	key(out, "connections");
	buf_addc(out, '{');
	for (int i = 0; i < CONN_N; i++)
		number(out, conn_outcome_names[i], r->connections[i]);
	end_with(out, '}');
	buf_addc(out, ',');
	expected(out, r);
	text(out, "evidence", r->evidence);
	text(out, "story", r->story);
	text(out, "target_tail", r->target_tail);
	end_with(out, '}');
	buf_addc(out, ',');
}

static void kinds(struct buf *out, const char *name, const size_t counts[KIND_N])
{
	static const char *const names[KIND_N] = {"pass", "warn", "fail", "unsure", "skip", "broken"};

	key(out, name);
	buf_addc(out, '{');
	for (int i = 0; i < KIND_N; i++)
		number(out, names[i], (int64_t)counts[i]);
	end_with(out, '}');
	buf_addc(out, ',');
}

static void summary(const struct report_env *env, const struct result *all, size_t n, bool complete, struct buf *out)
{
	struct buf sentence = {0};
	struct tally t;

	tally_all(&t, all, n, env->strict);
	words_verdict(&sentence, env, all, n, false);
	number(out, "exit", report_exit_status(all, n, env->strict));
	text(out, "summary", complete ? sentence.p : "incomplete: the run has not ended, or was interrupted");
	kinds(out, "scenario_counts", t.scenarios);
	kinds(out, "verdict_counts", t.verdicts);
	buf_free(&sentence);
}

static void json_document(const struct report_env *env, const struct result *all, size_t n, bool complete,
			  struct buf *out)
{
	struct buf started = {0};

	words_started(&started, env);
	buf_addc(out, '{');
	number(out, "version", REPORT_JSON_VERSION);
	text(out, "drainspec", env->version);
	text(out, "command", env->command);
	text(out, "started", started.p);
	boolean(out, "strict", env->strict);
	boolean(out, "complete", complete);
	summary(env, all, n, complete, out);
	key(out, "notes");
	buf_addc(out, '[');
	for (const char **note = env->notes; note && *note; note++) {
		buf_json(out, *note);
		buf_addc(out, ',');
	}
	end_with(out, ']');
	buf_addc(out, ',');
	text(out, "evidence", env->out_dir);
	key(out, "scenarios");
	buf_addc(out, '[');
	for (size_t i = 0; i < n; i++)
		scenario(env, &all[i], out);
	end_with(out, ']');
	buf_adds(out, "}\n");
	buf_free(&started);
}

const struct reporter reporter_json = {
	.name = "json", .suffix = ".json", .help = "JSON, as reports/schema.json says",
	.document = json_document,
};
