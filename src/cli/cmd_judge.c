/* Judge recorded evidence again: events.jsonl of a scenario's folder, or of every folder below a run's. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/output.h"
#include "event/event.h"
#include "judge/judge.h"
#include "report/version.h"

struct rejudge {
	struct arena *arena;
	struct settings settings;
	struct result *v;
	size_t n, cap;
};

static struct result *next_result(struct rejudge *j)
{
	if (j->n == j->cap) {
		size_t cap = j->cap ? j->cap * 2 : 64;
		struct result *v = arena_array(j->arena, struct result, cap);

		if (j->n)
			memcpy(v, j->v, j->n * sizeof *v);
		j->v = v;
		j->cap = cap;
	}
	return &j->v[j->n++];
}

static int judge_dir(struct rejudge *j, const char *dir)
{
	char *path = arena_printf(j->arena, "%s/events.jsonl", dir);
	struct events ev __attribute__((cleanup(events_close)));
	struct err err = {0};
	struct scenario *sc;
	int cut = 0;

	events_init(&ev, j->arena);
	if (events_load(path, &ev, &cut, &err) < 0)
		return cli_fail(&err);
	if (!ev.n || ev.v[0].kind != EV_SCENARIO || !ev.v[0].text) {
		fprintf(stderr, "drainspec: %s: the first event is not a scenario\n", path);
		return EXIT_USAGE;
	}
	if (scenario_parse(path, ev.v[0].text, strlen(ev.v[0].text), j->arena, &sc, &err) < 0)
		return cli_fail(&err);
	if (!strcmp(sc->name, "probe"))
		return 0;
	struct result *res = next_result(j);

	judge_all(sc, &ev, j->settings.only, j->settings.skip, j->arena, res);
	res->name = sc->name;
	res->path = sc->path;
	res->why = sc->why;
	res->evidence = arena_strdup(j->arena, dir);
	res->index = (uint32_t)(j->n - 1);
	res->took = ev.n ? ev.v[ev.n - 1].t - ev.v[0].t : 0;
	if (cut || ev.v[ev.n - 1].kind != EV_END) {
		res->broken = "the event log is cut: the run did not end by itself";
		if (res->outcome != FAIL)
			res->outcome = BROKEN;
	}
	return 0;
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static int judge_below(struct rejudge *j, const char *dir, int depth)
{
	struct dirent **names;
	int rc = 0, n;

	if (access(arena_printf(j->arena, "%s/events.jsonl", dir), F_OK) == 0)
		return judge_dir(j, dir);
	n = depth < 4 ? scandir(dir, &names, visible, alphasort) : 0;
	if (n < 0) {
		fprintf(stderr, "drainspec: %s: %s\n", dir, strerror(errno));
		return EXIT_USAGE;
	}
	for (int i = 0; i < n; i++) {
		char *below = arena_printf(j->arena, "%s/%s", dir, names[i]->d_name);
		struct stat st;

		if (!rc && stat(below, &st) == 0 && S_ISDIR(st.st_mode))
			rc = judge_below(j, below, depth + 1);
		free(names[i]);
	}
	if (n > 0)
		free(names);
	return rc;
}

static int report_judged(struct rejudge *j, const char *dir)
{
	struct report_env env = {.command = arena_printf(j->arena, "judge %s", dir), .out_dir = dir,
		.color = isatty(1) && !getenv("NO_COLOR"), .strict = j->settings.strict, .planned = j->n,
		.version = DRAINSPEC_VERSION, .started = clock_now()};
	struct output output = {0};

	signal(SIGPIPE, SIG_IGN);       /* the verdict is the exit status, also when nobody reads on */
	int rc = output_open(&output, &j->settings, &env);

	if (rc)
		return rc;
	for (size_t k = 1; k <= j->n; k++)
		output_add(&output, j->v, k);
	return output_close(&output, j->v, j->n, false, report_exit_status(j->v, j->n, j->settings.strict));
}

int cmd_judge(int argc, char **argv)
{
	struct rejudge j = {.arena = arena_new()};
	char **words;
	int rc = options_read(argc, argv, j.arena, &j.settings, &words);

	if (!rc && (!words[0] || words[1])) {
		fputs("drainspec: judge takes one folder of evidence: drainspec judge [-o FORMAT] RUN_DIR\n", stderr);
		rc = EXIT_USAGE;
	}
	if (!rc)
		rc = output_check(&j.settings);
	if (!rc)
		rc = judge_below(&j, words[0], 0);
	if (!rc && !j.n) {
		fprintf(stderr, "drainspec: no events.jsonl in or below %s\n", words[0]);
		rc = EXIT_NOTHING;
	}
	if (!rc)
		rc = report_judged(&j, words[0]);
	arena_free(j.arena);
	return rc;
}
