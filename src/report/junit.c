/* JUnit XML as xunit2 (pytest) and the Jenkins xunit plugin's schema have it: a suite for each scenario, a case for each verdict.
 * FAIL is a failure; UNSURE and BROKEN are errors, because nothing was proven; a SHOULD that fails is `skipped` with type SHOULD
 * (as pytest files expected failures): visible and not red. */
#include <stdlib.h>
#include <string.h>

#include "report/term.h"
#include "report/words.h"

/* XML 1.0 cannot carry most control characters, not even escaped, nor U+FFFE and U+FFFF. */
static bool xml_illegal(uint32_t cp)
{
	return cp == UTF8_BAD || (cp < 0x20 && cp != '\n' && cp != '\t' && cp != '\r') || (cp & 0xFFFE) == 0xFFFE;
}

static void xml_text(struct buf *out, const char *s)
{
	size_t n = s ? strlen(s) : 0;

	for (size_t i = 0; i < n;) {
		uint32_t cp;
		size_t len = utf8_next(s + i, n - i, &cp);

		if (xml_illegal(cp))
			buf_adds(out, "\xEF\xBF\xBD");
		else if (cp == '<')
			buf_adds(out, "&lt;");
		else if (cp == '>')     /* or "]]>" would be an error */
			buf_adds(out, "&gt;");
		else if (cp == '&')
			buf_adds(out, "&amp;");
		else if (cp == '"')
			buf_adds(out, "&quot;");
		else if (cp == '\r')    /* a parser would turn it into a newline */
			buf_adds(out, "&#13;");
		else
			buf_add(out, s + i, len);
		i += len;
	}
}

/* In an attribute a parser turns newlines and tabs into spaces unless they are references. */
static void xml_attr(struct buf *out, const char *name, const char *s)
{
	struct buf text = {0};

	xml_text(&text, s);
	buf_printf(out, " %s=\"", name);
	for (size_t i = 0; i < text.n; i++)
		if (text.p[i] == '\n' || text.p[i] == '\t')
			buf_printf(out, "&#%d;", text.p[i]);
		else
			buf_addc(out, text.p[i]);
	buf_addc(out, '"');
	buf_free(&text);
}

static void attr_count(struct buf *out, const char *name, size_t n)
{
	buf_printf(out, " %s=\"%zu\"", name, n);
}

static void attr_time(struct buf *out, nsec_t t)
{
	buf_printf(out, " time=\"%.6f\"", (double)(t < 0 ? 0 : t) / 1e9);
}

static void property(struct buf *out, const char *name, const char *value)
{
	if (!value)
		return;
	buf_adds(out, "      <property");
	xml_attr(out, "name", name);
	xml_attr(out, "value", value);
	buf_adds(out, "/>\n");
}

static void line(struct buf *out, const char *label, const char *s)
{
	if (!s || !*s)
		return;
	buf_adds(out, label);
	xml_text(out, s);
	buf_addc(out, '\n');
}

/* The element's text is what a person reads in Jenkins or GitLab: all that there is to know without the evidence. */
static void problem(const struct report_env *env, const struct result *r, const struct verdict *v, bool story,
		    struct buf *out)
{
	const struct finding *f = &v->finding;
	struct buf todo = {0}, proof = {0};

	line(out, "fault:    ", words_fault(f->whose));
	line(out, "expected: ", f->expected);
	line(out, "actual:   ", f->actual);
	words_proof(&proof, r, f);
	line(out, "proof:    ", proof.p);
	words_todo(&todo, env, v);
	line(out, "to do:    ", todo.p);
	line(out, "more:     drainspec explain ", v->check->id);
	line(out, "evidence: ", r->evidence);
	if (story)
		line(out, "\n", r->story);
	buf_free(&todo);
	buf_free(&proof);
}

/* Jenkins splits a class name at its dots. */
static void classname(struct buf *out, const struct result *r)
{
	struct buf name = {0};

	buf_adds(&name, "drainspec.");
	for (const char *s = or_empty(r->name); *s; s++)
		buf_addc(&name, *s == '.' ? '_' : *s);
	xml_attr(out, "classname", name.p);
	buf_free(&name);
}

static void open_case(struct buf *out, const struct result *r, const char *id, const char *title, nsec_t took)
{
	struct buf name = {0};

	buf_printf(&name, "%s%s%s", id, *title ? " " : "", title);
	buf_adds(out, "    <testcase");
	classname(out, r);
	xml_attr(out, "name", name.p);
	attr_time(out, took);
	buf_free(&name);
}

static void open_problem(struct buf *out, const char *element, const char *type, const char *message)
{
	buf_printf(out, ">\n      <%s", element);
	xml_attr(out, "type", type);
	xml_attr(out, "message", message);
	buf_addc(out, '>');
}

static void close_problem(struct buf *out, const char *element)
{
	buf_printf(out, "</%s>\n    </testcase>\n", element);
}

static void verdict_case(const struct report_env *env, const struct result *r, const struct verdict *v, nsec_t took,
			 bool *told, struct buf *out)
{
	enum kind kind = verdict_kind(v, env->strict);
	const char *element = kind == KIND_FAIL ? "failure" : kind == KIND_UNSURE || kind == KIND_BROKEN ? "error" :
			      "skipped";
	const char *type = kind == KIND_FAIL || kind == KIND_WARN ? level_name(v->finding.level) : kind_names[kind];
	struct buf message = {0};

	open_case(out, r, v->check->id, or_empty(v->check->title), took);
	if (kind == KIND_PASS) {
		buf_adds(out, "/>\n");
		return;
	}
	buf_printf(&message, "%s%s", kind == KIND_WARN ? "warning, a SHOULD does not hold: " : "",
		   or_empty(v->finding.actual ? v->finding.actual : v->finding.expected));
	open_problem(out, element, type, message.p);
	if (kind != KIND_SKIP) {
		problem(env, r, v, !*told && kind != KIND_WARN, out);
		*told |= kind != KIND_WARN;
	}
	close_problem(out, element);
	buf_free(&message);
}

static void scenario_case(const struct report_env *env, const struct result *r, nsec_t took, struct buf *out)
{
	enum kind kind = result_kind(r, env->strict);
	const char *element = kind == KIND_SKIP ? "skipped" : kind == KIND_FAIL ? "failure" : "error";

	open_case(out, r, "scenario", "", took);
	if (kind == KIND_PASS || kind == KIND_WARN) {
		buf_adds(out, "/>\n");
		return;
	}
	open_problem(out, element, kind_names[kind], kind == KIND_SKIP ?
		     r->skip_reason ? r->skip_reason : "nothing was judged" : or_empty(r->broken));
	close_problem(out, element);
}

struct counts {
	size_t tests, failures, errors, skipped;
};

static void count(struct counts *c, enum kind kind)
{
	c->tests++;
	c->failures += kind == KIND_FAIL;
	c->errors += kind == KIND_UNSURE || kind == KIND_BROKEN;
	c->skipped += kind == KIND_SKIP || kind == KIND_WARN;
}

static void count_result(struct counts *c, const struct result *r, bool strict)
{
	for (size_t i = 0; i < r->n_verdicts; i++)
		count(c, verdict_kind(&r->verdicts[i], strict));
	if (result_stands_alone(r)) {
		enum kind kind = result_kind(r, strict);

		count(c, kind == KIND_WARN ? KIND_PASS : kind);
	}
}

static void suite_properties(const struct report_env *env, const struct result *r, struct buf *out)
{
	struct buf conns = {0};
	struct tally t = {0};

	tally_add(&t, r, env->strict);
	words_connections(&conns, &t);
	buf_adds(out, "    <properties>\n");
	property(out, "drainspec.version", env->version);
	property(out, "command", env->command);
	property(out, "file", r->path);
	property(out, "why", r->why);
	property(out, "evidence", r->evidence);
	property(out, "connections", conns.p);
	for (const char **note = env->notes; note && *note; note++)
		property(out, "not seen", *note);
	buf_adds(out, "    </properties>\n");
	buf_free(&conns);
}

static void suite(const struct report_env *env, const struct result *r, const char *started, struct buf *out)
{
	struct counts c = {0};
	nsec_t took = r->took;
	bool told = false;

	count_result(&c, r, env->strict);
	buf_adds(out, "  <testsuite");
	xml_attr(out, "name", or_empty(r->name));
	attr_count(out, "tests", c.tests);
	attr_count(out, "failures", c.failures);
	attr_count(out, "errors", c.errors);
	attr_count(out, "skipped", c.skipped);
	attr_time(out, took);
	xml_attr(out, "timestamp", started);
	buf_adds(out, ">\n");
	suite_properties(env, r, out);
	/* A verdict has no time of its own. The first case carries the scenario's, so that sums come out right. */
	for (size_t i = 0; i < r->n_verdicts; i++, took = 0)
		verdict_case(env, r, &r->verdicts[i], took, &told, out);
	if (result_stands_alone(r))
		scenario_case(env, r, took, out);
	if (r->story || r->target_tail) {
		buf_adds(out, "    <system-out>");
		line(out, "", r->story);
		line(out, "last output of the target:\n", r->target_tail);
		buf_adds(out, "</system-out>\n");
	}
	buf_adds(out, "  </testsuite>\n");
}

static void junit_document(const struct report_env *env, const struct result *all, size_t n, bool complete,
			   struct buf *out)
{
	struct counts c = {0};
	struct buf started = {0};
	nsec_t took = 0;

	for (size_t i = 0; i < n; i++) {
		count_result(&c, &all[i], env->strict);
		took += all[i].took;
	}
	words_started(&started, env);
	/* The schema knows no zone: the time is UTC. */
	started.p[started.n - 1] = '\0';
	buf_adds(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites");
	xml_attr(out, "name", complete ? "drainspec" : "drainspec (incomplete: the run did not end)");
	attr_count(out, "tests", c.tests);
	attr_count(out, "failures", c.failures);
	attr_count(out, "errors", c.errors);
	attr_time(out, took);
	buf_adds(out, ">\n");
	for (size_t i = 0; i < n; i++)
		suite(env, &all[i], started.p, out);
	buf_adds(out, "</testsuites>\n");
	buf_free(&started);
}

const struct reporter reporter_junit = {
	.name = "junit", .suffix = ".xml", .help = "JUnit XML (xunit2), for Jenkins and GitLab",
	.document = junit_document,
};
