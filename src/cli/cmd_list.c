#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "cli/cli.h"
#include "judge/judge.h"
#include "proto/proto.h"
#include "report/report.h"

static void list_checks(struct buf *out)
{
	for (size_t i = 0; i < n_checks; i++)
		buf_printf(out, "%-7s %-6s %s\n", checks[i]->id, checks[i]->level == MUST ? "MUST" : "SHOULD",
			   checks[i]->title);
}

static void list_phases(struct buf *out)
{
	for (size_t i = 0; i < PHASE_N; i++)
		buf_printf(out, "%-14s %s\n%-14s proof: %s\n", phase_rows[i].name, phase_rows[i].help, "",
			   phase_rows[i].proof);
}

static void list_protocols(struct buf *out)
{
	for (size_t i = 0; i < n_protos; i++)
		buf_printf(out, "%-8s %s\n", protos[i]->name, protos[i]->help);
	buf_adds(out, "tls+NAME each of them inside TLS: the target finds a certificate in ${TLS_CERT} and ${TLS_KEY}\n");
}

static void list_scenarios(struct buf *out)
{
	struct arena *arena = arena_new();

	for (unsigned long i = 0; i < n_battery_files; i++) {
		struct scenario *sc;
		struct err err = {0};

		if (scenario_parse(battery_files[i].name, battery_files[i].text, battery_files[i].size, arena, &sc, &err) == 0)
			buf_printf(out, "%-24s %s\n", sc->name, sc->why ? sc->why : "");
	}
	arena_free(arena);
}

static const struct listing {
	const char *name;
	void (*print)(struct buf *out);
} listings[] = {
	{"checks", list_checks}, {"phases", list_phases}, {"protocols", list_protocols}, {"keys", keys_print},
	{"scenarios", list_scenarios}, {"schema", keys_schema},
};

const char *list_kinds(char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < sizeof listings / sizeof *listings && n < size; i++)
		n += (size_t)snprintf(text + n, size - n, "%s%s", i ? "|" : "", listings[i].name);
	return text;
}

int cmd_list(int argc, char **argv)
{
	struct buf out = {0};
	char kinds[128];

	for (size_t i = 0; argc == 2 && i < sizeof listings / sizeof *listings; i++)
		if (!strcmp(argv[1], listings[i].name)) {
			listings[i].print(&out);
			fwrite(out.p, 1, out.n, stdout);
			buf_free(&out);
			return fflush(stdout) ? EXIT_HARNESS : EXIT_OK;
		}
	fprintf(stderr, "drainspec: list takes one of: %s\n", list_kinds(kinds, sizeof kinds));
	return EXIT_USAGE;
}
