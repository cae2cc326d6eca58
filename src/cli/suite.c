/* From scenarios to the exit status: plan all, run all, report as results come. */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/dirs.h"
#include "base/names.h"
#include "cli/cli.h"
#include "cli/output.h"
#include "plan/plan.h"
#include "proto/proto.h"
#include "report/version.h"
#include "run/run.h"
#include "session/session.h"

struct suite {
	struct arena *arena;
	struct settings settings;       /* as given, only/skip split below */
	char **only_names, **skip_names;
	const char *out;
	struct probe probe;
	struct job *jobs;
	size_t n_jobs;
	struct result *results;
	size_t n_results;
	size_t n_mute;                  /* scenarios that cannot show what --only and --skip leave to judge */
	struct output output;
	nsec_t started;
	struct report_env env;
};

/* --only and --skip name checks and scenarios alike; each kind goes where it is used. */
static char **pick(struct arena *arena, char **names, bool checks)
{
	size_t n = 0, k = 0;

	while (names && names[n])
		n++;
	char **v = arena_array(arena, char *, n + 1);

	for (size_t i = 0; i < n; i++)
		if ((check_by_id(names[i]) != NULL) == checks)
			v[k++] = names[i];
	return k ? v : NULL;
}

static bool named(char **names, const struct scenario *sc)
{
	const char *base = strrchr(sc->path, '/');
	size_t len;

	base = base ? base + 1 : sc->path;
	len = strcspn(base, ".");
	for (; names && *names; names++)
		if (!strcmp(*names, sc->name) || (strlen(*names) == len && !strncmp(*names, base, len)))
			return true;
	return false;
}

/* A word of --only that names nothing is a typing error, not an empty selection. */
static int check_names(const struct suite_item *items, size_t n, char **names, const char *option)
{
	for (; names && *names; names++) {
		bool found = false;
		const char **known = calloc(n + n_checks, sizeof *known);

		for (size_t i = 0; i < n; i++) {
			char *one[] = {*names, NULL};

			found |= named(one, items[i].sc);
			if (known)
				known[i] = items[i].sc->name;
		}
		for (size_t i = 0; known && i < n_checks; i++)
			known[n + i] = checks[i]->id;
		const char *near = known ? nearest_word(*names, known, n + n_checks) : NULL;

		if (!found)
			fprintf(stderr, "drainspec: %s: '%s' is neither a check nor a scenario here%s%s%s\n", option, *names,
				near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
		free(known);
		if (!found)
			return EXIT_USAGE;
	}
	return 0;
}

static int check_protocol(const char *name)
{
	const char *known[32];

	bool tls;

	if (!name || !strcmp(name, "auto") || proto_find(name, &tls))
		return 0;
	for (size_t i = 0; i < n_protos && i < 32; i++)
		known[i] = protos[i]->name;
	const char *near = nearest_word(name, known, n_protos);

	fprintf(stderr, "drainspec: unknown protocol '%s'%s%s%s; `drainspec list protocols` shows them\n", name,
		near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
	return EXIT_USAGE;
}

static void slug(const char *name, char *out, size_t n)
{
	size_t k = 0;
	const char *base = strrchr(name, '/');

	for (const char *p = base && base[1] ? base + 1 : name; *p && k + 1 < n && k < 60; p++) {
		if (isalnum((unsigned char)*p) || *p == '.' || *p == '_')
			out[k++] = *p;
		else if (k && out[k - 1] != '-')
			out[k++] = '-';
	}
	while (k && (out[k - 1] == '-' || out[k - 1] == '.'))
		k--;
	out[k] = '\0';
	if (!k)
		snprintf(out, n, "run");
}

/* A new folder reports/<time>-<name>; --out is taken as it is. Its being writable is found out here, not after the runs. */
static int choose_out(struct suite *s, const char *name)
{
	char text[64], stamp[32];
	time_t now = time(NULL);
	struct tm tm;

	if (s->settings.out) {
		s->out = s->settings.out;
	} else {
		slug(name, text, sizeof text);
		strftime(stamp, sizeof stamp, "%Y%m%d-%H%M%S", localtime_r(&now, &tm));
		mkdir("reports", 0777);
		for (int i = 1; i < 1000; i++) {
			s->out = i == 1 ? arena_printf(s->arena, "reports/%s-%s", stamp, text) :
				 arena_printf(s->arena, "reports/%s-%s-%d", stamp, text, i);
			if (mkdir(s->out, 0777) == 0 || errno != EEXIST)
				break;
		}
	}
	int rc = dirs_make(s->out);
	char *real = rc == 0 ? realpath(s->out, NULL) : NULL;
	bool hidden = real && s->settings.isolate != ISOLATE_HOST && (!strncmp(real, "/dev/shm/", 9) || !strcmp(real, "/dev/shm"));

	free(real);
	if (hidden) {
		fputs("drainspec: evidence cannot be kept in /dev/shm: workers and targets get one of their own, which ends with them "
		      "(choose another folder with --out)\n", stderr);
		return EXIT_USAGE;
	}
	if (rc == 0 && access(s->out, W_OK) < 0)
		rc = -errno;
	if (rc < 0) {
		fprintf(stderr, "drainspec: cannot write evidence to %s: %s (choose another folder with --out)\n", s->out,
			strerror(-rc));
		return EXIT_HARNESS;
	}
	return 0;
}

static char *join_command(struct arena *arena, char **argv)
{
	struct buf b = {0};

	for (; argv && *argv; argv++)
		buf_printf(&b, "%s%s", b.n ? " " : "", *argv);
	char *p = arena_strdup(arena, b.p ? b.p : "");

	buf_free(&b);
	return p;
}

static int open_reports(struct suite *s, const struct suite_item *items, size_t planned)
{
	struct settings *st = &s->settings;

	s->env = (struct report_env){.out_dir = s->out, .strict = st->strict, .version = DRAINSPEC_VERSION,
		.color = isatty(1) && !getenv("NO_COLOR"), .live = isatty(2) && !getenv("CI"), .planned = planned,
		.summary_file = getenv("GITHUB_STEP_SUMMARY"), .started = s->started, .notes = s->env.notes,
		.command = join_command(s->arena, st->command ? st->command : items[0].sc->target.command)};
	return output_open(&s->output, st, &s->env);
}

static void on_done(void *arg, const struct result *res)
{
	struct suite *s = arg;

	s->results[s->n_results++] = *res;
	output_add(&s->output, s->results, s->n_results);
}

static void on_tick(void *arg, const char *const *running, size_t finished)
{
	struct suite *s = arg;

	(void)finished;
	output_running(&s->output, s->results, s->n_results, running[0]);
}

static bool wants_isolation(const struct settings *st)
{
	return st->isolate != ISOLATE_HOST;
}

static void add_note(struct suite *s, const char *text)
{
	const char **notes = arena_array(s->arena, const char *, 3);    /* two at most, and the end */

	if (s->env.notes)
		notes[0] = s->env.notes[0];
	notes[s->env.notes ? 1 : 0] = arena_strdup(s->arena, text);
	s->env.notes = notes;
}

/* One line for all of them: who asks for one check is not told of each scenario that is about others. */
static void note_mute(struct suite *s)
{
	char **option = s->settings.only ? s->settings.only : s->settings.skip;
	struct buf b = {0};

	buf_printf(&b, "%zu scenario%s not run: nothing to see there with %s", s->n_mute, s->n_mute == 1 ? "" : "s",
		   s->settings.only ? "--only" : "--skip");
	for (; option && *option; option++)
		buf_printf(&b, " %s", *option);
	add_note(s, b.p);
	buf_free(&b);
}

/* Who reads a report finds there, too, that the target could not even be looked at. */
static int report_probe(struct suite *s, const struct suite_item *items, const struct err *err, int status)
{
	struct result res = {.name = "probe", .path = "probe", .outcome = BROKEN,
		.why = "one start before all scenarios: what does the target speak?", .evidence = arena_printf(s->arena, "%s/probe", s->out)};
	char text[1024];

	if (!s->settings.n_formats)
		return status;
	s->results = &res;
	if (err->kind) {
		res.broken = arena_strdup(s->arena, err_text(err, text, sizeof text));
		res.exit_hint = status == EXIT_MISSING || status == EXIT_NOEXEC ? (uint32_t)status : 0;
		s->n_results = 1;
	}
	if (open_reports(s, items, 1) != 0)
		return status;
	if (s->n_results)
		output_add(&s->output, s->results, s->n_results);
	return output_close(&s->output, s->results, s->n_results, !err->kind, status);
}

static int do_probe(struct suite *s, const struct suite_item *items)
{
	static const char text[] = "name: probe\nclients: []\n";
	struct scenario *sc;
	struct plan *plan;
	struct err err = {0};
	char note[512] = "";

	if (scenario_parse("probe", text, sizeof text - 1, s->arena, &sc, &err) < 0 ||
	    plan_build(sc, &s->settings, NULL, s->arena, &plan, &err) < 0)
		return cli_fail(&err);
	int rc = session_probe(plan, arena_printf(s->arena, "%s/probe", s->out), wants_isolation(&s->settings), &s->probe,
			       note, sizeof note, &err);

	if (rc > 0)
		return report_probe(s, items, &err, 128 + rc);
	if (rc < 0)
		return report_probe(s, items, &err, cli_fail(&err));
	s->probe.protocol = arena_strdup(s->arena, s->probe.protocol);
	if (note[0])
		add_note(s, note);
	return 0;
}

/* from: the first job of this repetition; two files of one name in different folders: the second gets a number */
static const char *evidence_dir(struct suite *s, const struct scenario *sc, int round, bool repeats, size_t from)
{
	char text[64];
	const char *base = strrchr(sc->path, '/');

	slug(base ? base + 1 : sc->path, text, sizeof text);
	text[strcspn(text, ".")] = '\0';
	for (int n = 0; n < 1000; n++) {
		char *dir = n ? arena_printf(s->arena, "%s/%s-%d", s->out, text, n + 1) :
			    arena_printf(s->arena, "%s/%s", s->out, text);
		bool taken = false;

		if (repeats)
			dir = arena_printf(s->arena, "%s.%d", dir, round + 1);
		for (size_t i = from; i < s->n_jobs; i++)
			taken |= !strcmp(s->jobs[i].dir, dir);
		if (!taken)
			return dir;
	}
	return s->out;
}

/* *ret NULL: nobody asked for it, or it can show nothing of what was asked for. */
static int plan_item(struct suite *s, const struct scenario *sc, struct plan **ret)
{
	struct err err = {0};
	struct plan *plan;

	*ret = NULL;
	if ((s->only_names && !named(s->only_names, sc)) || named(s->skip_names, sc))
		return 0;
	if (plan_build(sc, &s->settings, s->probe.done ? &s->probe : NULL, s->arena, &plan, &err) < 0)
		return cli_fail(&err);
	if (!judge_can_show(plan->sc, s->settings.only, s->settings.skip)) {
		s->n_mute++;
		return 0;
	}
	if (!plan->skip_reason && run_check(plan, &err) < 0)
		return cli_fail(&err);
	if (!plan->skip_reason && run_needs_clients(plan) > run_max_clients()) {
		err_at(&err, sc->at, "scenario '%s' holds %llu sockets open at once (clients, and a gate "
		       "connection for each gated one); the limit of open files (ulimit -Hn) allows %llu",
		       sc->name, (unsigned long long)run_needs_clients(plan),
		       (unsigned long long)run_max_clients());
		return cli_fail(&err);
	}
	*ret = plan;
	return 0;
}

/* Readers of JUnit merge cases of one name: each repetition has its own. All else is the first one's plan. */
static const struct plan *plan_again(struct suite *s, const struct plan *first, int round)
{
	struct plan *plan = arena_alloc(s->arena, sizeof *plan);

	*plan = *first;
	plan->first = first;
	plan->sc = arena_alloc(s->arena, sizeof *plan->sc);
	*plan->sc = *first->sc;
	plan->sc->name = arena_printf(s->arena, "%s #%d", first->sc->name, round + 1);
	return plan;
}

static void plan_tell(const struct plan *plan)
{
	struct buf b = {0};

	plan_print(plan, &b);
	fwrite(b.p, 1, b.n, stdout);
	buf_free(&b);
}

static int plan_all(struct suite *s, const struct suite_item *items, size_t n, bool dry)
{
	int repeat = s->settings.repeat > 0 ? s->settings.repeat : 1;
	struct plan **first = arena_array(s->arena, struct plan *, n + 1);

	s->jobs = arena_array(s->arena, struct job, n * (size_t)repeat + 1);
	s->results = arena_array(s->arena, struct result, n * (size_t)repeat + 1);
	for (size_t i = 0; i < n; i++) {
		int rc = plan_item(s, items[i].sc, &first[i]);

		if (rc)
			return rc;
	}
	for (int round = 0; round < repeat; round++) {
		size_t from = s->n_jobs;

		for (size_t i = 0; i < n; i++) {
			const struct scenario *sc = items[i].sc;
			uint32_t index = (uint32_t)(i + (size_t)round * n);
			const struct plan *plan = first[i] && repeat > 1 ? plan_again(s, first[i], round) : first[i];

			if (!plan)
				continue;
			if (dry) {
				plan_tell(plan);
			} else if (plan->skip_reason) {
				s->results[s->n_results++] = (struct result){.name = sc->name, .path = sc->path,
					.why = sc->why, .outcome = SKIP, .skip_reason = plan->skip_reason, .index = index};
			} else {
				s->jobs[s->n_jobs] = (struct job){.plan = plan, .index = index,
					.dir = evidence_dir(s, sc, round, repeat > 1, from)};
				s->n_jobs++;
			}
		}
	}
	return 0;
}

static int run_and_report(struct suite *s)
{
	struct session session = {.jobs = s->jobs, .n_jobs = s->n_jobs, .settings = &s->settings,
		.workers = session_workers(s->jobs, s->n_jobs, s->settings.jobs),
		.isolate = wants_isolation(&s->settings), .done = on_done, .tick = on_tick, .arg = s, .arena = s->arena};
	size_t skipped = s->n_results;
	struct err err = {0};
	int rc = 0, status;

	s->n_results = 0;
	for (size_t i = 0; i < skipped; i++)
		on_done(s, &s->results[i]);
	if (s->n_jobs)
		rc = session_run(&session, &err);
	status = rc > 0 ? 128 + rc : rc < 0 ? cli_exit_of(&err) :
		 report_exit_status(s->results, s->n_results, s->settings.strict);
	status = output_close(&s->output, s->results, s->n_results, rc != 0, status);
	if (rc < 0)
		cli_fail(&err);
	if (rc == 0 && (status == EXIT_NOEXEC || status == EXIT_MISSING))
		for (size_t i = 0; i < s->n_results; i++)
			if (s->results[i].exit_hint) {
				fprintf(stderr, "drainspec: %s\n", s->results[i].broken);
				break;
			}
	return status;
}

int suite_run(const struct suite_item *items, size_t n, const struct settings *settings, const char *name, bool probe,
	      struct arena *arena)
{
	struct suite *s = arena_new_of(arena, struct suite);
	int rc;

	s->arena = arena;
	s->settings = *settings;
	s->only_names = pick(arena, settings->only, false);
	s->skip_names = pick(arena, settings->skip, false);
	s->settings.only = pick(arena, settings->only, true);
	s->settings.skip = pick(arena, settings->skip, true);
	if (!n) {
		fputs("drainspec: no scenario found\n", stderr);
		return EXIT_NOTHING;
	}
	signal(SIGPIPE, SIG_IGN);       /* a reader of our stdout that goes away must not take the targets' reaping with it */
	s->started = clock_now();
	rc = output_check(settings);
	if (!rc)
		rc = check_protocol(settings->protocol);
	if (!rc)
		rc = check_names(items, n, s->only_names, "--only");
	if (!rc)
		rc = check_names(items, n, s->skip_names, "--skip");
	if (rc)
		return rc;
	if (settings->dry_run)
		return plan_all(s, items, n, true);
	rc = choose_out(s, name);
	if (!rc && probe)
		rc = do_probe(s, items);
	if (!rc)
		rc = plan_all(s, items, n, false);
	if (rc && !s->settings.out)
		rmdir(s->out);          /* nothing began, and nothing is in it unless the probe left its evidence */
	if (!rc && s->n_mute)
		note_mute(s);
	if (!rc)
		rc = open_reports(s, items, s->n_jobs + s->n_results);
	return rc ? rc : run_and_report(s);
}
