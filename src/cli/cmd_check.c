#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int cmd_check(int argc, char **argv)
{
	struct arena *arena = arena_new();
	struct settings settings = {0};
	struct suite_item *items = arena_array(arena, struct suite_item, n_battery_files);
	struct err err = {0};
	char **words;
	int rc = options_read(argc, argv, arena, &settings, &words);

	if (!rc && words[0]) {
		fprintf(stderr, "drainspec: check takes no file ('%s'); the command to test follows `--`\n", words[0]);
		rc = EXIT_USAGE;
	} else if (!rc && !settings.command) {
		fputs("drainspec: no command to test: drainspec check [OPTIONS] -- COMMAND [ARG...]\n"
		      "(or `command:` in drainspec.yaml)\n", stderr);
		rc = EXIT_USAGE;
	}
	for (unsigned long i = 0; !rc && i < n_battery_files; i++) {
		struct scenario *sc;

		if (scenario_parse(battery_files[i].name, battery_files[i].text, battery_files[i].size, arena, &sc, &err) < 0)
			rc = cli_fail(&err);
		else
			items[i].sc = sc;
	}
	if (!rc)
		rc = suite_run(items, n_battery_files, &settings, settings.command[0], true, arena);
	arena_free(arena);
	return rc;
}
