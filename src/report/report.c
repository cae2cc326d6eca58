/* The frame: what is written when, and where to. */
#include "report/report.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/names.h"
#include "report/live.h"
#include "report/sink.h"

#define X(name) extern const struct reporter reporter_##name;
#include "report/reporters.def"
#undef X

const struct reporter *const reporters[] = {
#define X(name) &reporter_##name,
#include "report/reporters.def"
#undef X
};
const size_t n_reporters = sizeof reporters / sizeof *reporters;

#define REWRITE_EVERY (250 * NSEC_PER_MSEC)
#define REWRITE_SHARE 100       /* at most one part in so many of the time is spent on it */
#define SUMMARY_LIMIT ((1u << 20) - 1024)       /* GitHub takes less than 1 MiB of a step */

struct report {
	const struct reporter *rep;
	struct report_env env;
	struct sink sink;
	struct live live;
	struct buf out;         /* a replaced file: all of it; else what is not yet written */
	nsec_t next;            /* when a rewrite is due */
	bool behind;            /* a result is not in the file yet */
	bool told;              /* the caller knows that writing fails */
};

const struct reporter *reporter_by_name(const char *name)
{
	for (size_t i = 0; i < n_reporters; i++)
		if (!strcmp(reporters[i]->name, name))
			return reporters[i];
	return NULL;
}

static int no_such_format(const char *name, struct err *reterr)
{
	const char *names[16], *near;
	size_t n = n_reporters < 16 ? n_reporters : 16;
	struct buf list = {0};

	for (size_t i = 0; i < n; i++) {
		names[i] = reporters[i]->name;
		buf_printf(&list, "%s%s", i ? ", " : "", names[i]);
	}
	near = nearest_word(name, names, n);
	err_set(reterr, ERR_USAGE, 0, "no report format '%s'%s%s%s; there are: %s", name, near ? ": did you mean '" : "",
		near ? near : "", near ? "'?" : "", list.p);
	buf_free(&list);
	return -1;
}

static bool is_stdout(const struct format_request *rq)
{
	return !rq->file || !strcmp(rq->file, "-") || !strcmp(rq->file, "/dev/stdout");
}

bool report_on_stdout(const struct format_request *rq, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (is_stdout(&rq[i]))
			return true;
	return false;
}

int report_check(const struct format_request *rq, size_t n, struct err *reterr)
{
	for (size_t i = 0; i < n; i++) {
		if (!reporter_by_name(rq[i].name))
			return no_such_format(rq[i].name, reterr);
		if (rq[i].file && !*rq[i].file)
			return err_set(reterr, ERR_USAGE, 0, "-o %s=: the file's name is missing", rq[i].name);
		for (size_t k = 0; k < i; k++) {
			if (is_stdout(&rq[i]) && is_stdout(&rq[k]))
				return err_set(reterr, ERR_USAGE, 0,
					       "-o %s and -o %s both write to stdout: give one of them a file, as in -o %s=FILE",
					       rq[k].name, rq[i].name, rq[i].name);
			if (!is_stdout(&rq[i]) && !is_stdout(&rq[k]) && !strcmp(rq[i].file, rq[k].file))
				return err_set(reterr, ERR_USAGE, 0, "-o %s and -o %s both write to %s",
					       rq[k].name, rq[i].name, rq[i].file);
		}
	}
	return 0;
}

/* Asked of a locale object of its own: the process's locale stays what main() made it. */
static bool locale_is_utf8(void)
{
	locale_t loc = newlocale(LC_CTYPE_MASK, "", (locale_t)0);

	if (!loc)
		return false;
	bool yes = !strcmp(nl_langinfo_l(CODESET, loc), "UTF-8");

	freelocale(loc);
	return yes;
}

static unsigned terminal_width(bool is_terminal)
{
	struct winsize ws;

	if (!is_terminal || ioctl(STDOUT_FILENO, TIOCGWINSZ, &ws) < 0 || !ws.ws_col)
		return 100;
	/* Sentences that run over a very wide screen are hard to read. */
	return ws.ws_col < 120 ? ws.ws_col : 120;
}

static nsec_t rewrite_pause(nsec_t cost)
{
	/* A report of thousands of scenarios on a slow disk must not take the run's time. */
	return cost * REWRITE_SHARE > REWRITE_EVERY ? cost * REWRITE_SHARE : REWRITE_EVERY;
}

static int by_index(const void *a, const void *b)
{
	const struct result *x = *(const struct result *const *)a, *y = *(const struct result *const *)b;

	/* Results that share an index keep the order of arrival, which is that of their addresses. */
	return x->index != y->index ? (x->index > y->index) - (x->index < y->index) : (x > y) - (x < y);
}

/* In the order of the plan; malloc'ed. */
static struct result *in_order(const struct result *all, size_t n)
{
	const struct result **places = malloc((n + 1) * sizeof *places);
	struct result *sorted = malloc((n + 1) * sizeof *sorted);

	if (!sorted || !places)
		abort();        /* like buf: no report without memory */
	for (size_t i = 0; i < n; i++)
		places[i] = &all[i];
	qsort(places, n, sizeof *places, by_index);
	for (size_t i = 0; i < n; i++)
		sorted[i] = *places[i];
	free(places);
	return sorted;
}

/* Put what the reporter made where it belongs. */
static int flush(struct report *r, struct err *reterr)
{
	int rc;

	if (r->sink.whole) {
		nsec_t before = clock_now();

		rc = sink_replace(&r->sink, r->out.p ? r->out.p : "", r->out.n, reterr);
		nsec_t after = clock_now();

		r->next = after + rewrite_pause(after - before);
		return rc;
	}
	live_wipe(&r->live);
	rc = r->out.n ? sink_append(&r->sink, r->out.p, r->out.n, reterr) : 0;
	buf_clear(&r->out);
	return rc;
}

/* The caller hears of a failing file once, not after every scenario. */
static int once(struct report *r, int rc)
{
	if (rc >= 0 || r->told)
		return 0;
	r->told = true;
	return -1;
}

static void render(struct report *r, const struct result *all, size_t n, bool complete)
{
	struct result *sorted = in_order(all, n);

	buf_clear(&r->out);
	r->rep->document(&r->env, sorted, n, complete, &r->out);
	free(sorted);
}

int report_open(const struct format_request *rq, const struct report_env *env, struct report **ret, struct err *reterr)
{
	const struct reporter *rep = reporter_by_name(rq->name);
	bool out = is_stdout(rq), tty = out && isatty(STDOUT_FILENO);

	*ret = NULL;
	if (!rep)
		return no_such_format(rq->name, reterr);
	struct report *r = calloc(1, sizeof *r);

	if (!r)
		abort();
	r->rep = rep;
	r->env = *env;
	r->env.color = env->color && out;
	r->env.width = env->width ? env->width : terminal_width(tty);
	r->env.ascii = env->ascii || !locale_is_utf8();
	*ret = r;
	int rc = sink_open(out ? NULL : rq->file, &r->sink, reterr);

	live_init(&r->live, env->live && out && !strcmp(rep->name, "text"), env->planned);
	if (rep->stream)
		rep->begin(&r->env, &r->out);
	else if (r->sink.whole)
		render(r, NULL, 0, false);
	/* The first write comes before the run: who mistyped the path learns it now. */
	if (rc == 0)
		rc = flush(r, reterr);
	r->told = rc < 0;
	return rc;
}

/* What was left for later because the last rewrite was too fresh: asked for while nothing new comes. */
int report_catch_up(struct report *r, const struct result *all, size_t n, struct err *reterr)
{
	if (!r->behind || clock_now() < r->next)
		return 0;
	r->behind = false;
	if (!r->rep->stream)
		render(r, all, n, false);
	return once(r, flush(r, reterr));
}

int report_add(struct report *r, const struct result *all, size_t n, struct err *reterr)
{
	bool due = clock_now() >= r->next;

	r->behind = r->sink.whole && !due;

	if (r->rep->stream) {
		r->rep->one(&r->env, all, n, &r->out);
		if (r->sink.whole && !due)
			return 0;
	} else {
		if (!r->sink.whole || !due)
			return 0;
		nsec_t before = clock_now();

		render(r, all, n, false);
		int rc = flush(r, reterr);

		r->next = clock_now() + rewrite_pause(clock_now() - before);
		return once(r, rc);
	}
	return once(r, flush(r, reterr));
}

static int append_summary(struct report *r, const struct result *all, size_t n, bool interrupted, struct err *reterr)
{
	struct buf page = {0};

	r->rep->summary(&r->env, all, n, interrupted, &page);
	int rc = sink_add_to_file(r->env.summary_file, page.p, page.n, SUMMARY_LIMIT, reterr);

	buf_free(&page);
	return rc;
}

int report_close(struct report *r, const struct result *all, size_t n, bool interrupted, struct err *reterr)
{
	struct result *sorted = in_order(all, n);
	int rc, summary = 0;

	if (r->rep->stream) {
		r->rep->end(&r->env, sorted, n, interrupted, &r->out);
	} else {
		buf_clear(&r->out);
		r->rep->document(&r->env, sorted, n, !interrupted, &r->out);
	}
	rc = flush(r, reterr);
	/* A pipe that failed before has lost what came before, even if it works again. A file has everything now. */
	if (!r->sink.whole && r->told)
		rc = rc < 0 ? rc : err_set(reterr, ERR_HARNESS, 0, "the report %s has gaps: writing failed", r->sink.path);
	if (r->rep->summary && r->env.summary_file && *r->env.summary_file)
		summary = append_summary(r, sorted, n, interrupted, rc < 0 ? NULL : reterr);
	live_wipe(&r->live);
	free(sorted);
	buf_free(&r->out);
	sink_close(&r->sink);
	free(r);
	return rc < 0 || summary < 0 ? -1 : 0;
}

void report_running(struct report *r, const struct result *all, size_t n, const char *name)
{
	live_draw(&r->live, all, n, r->env.strict, name);
}

void report_quiet(struct report *r)
{
	live_wipe(&r->live);
}
