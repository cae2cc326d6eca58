#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "cli/cli.h"
#include "report/version.h"

static const struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *usage, *help;
} commands[] = {
	{"check", cmd_check, "[OPTIONS] -- COMMAND [ARG...]", "the standard battery against COMMAND"},
	{"run", cmd_run, "[OPTIONS] FILE|DIR... [-- COMMAND...]", "scenario files; one without a target takes COMMAND"},
	{"judge", cmd_judge, "[-o FORMAT] RUN_DIR", "judge recorded evidence again"},
	{"port", cmd_port, "PORT", "who holds it, in which state, and would a bind succeed"},
	{"explain", cmd_explain, "ID", "why a check matters, how it is proven, how to fix it"},
	{"list", cmd_list, "checks|phases|protocols|keys|scenarios", "what there is"},
};

static void help(FILE *f)
{
	fprintf(f, "drainspec %s: does a server shut down correctly? With evidence.\n\n", DRAINSPEC_VERSION);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		fprintf(f, "  drainspec %-7s %-42s %s\n", commands[i].name, commands[i].usage, commands[i].help);
	fputs("\nOptions of check and run:\n", f);
	options_help();
	fputs("\nExit status: 0 all MUST hold, 1 a check FAILed, 2 UNSURE only, 3 harness failure, 4 usage or scenario\n"
	      "error, 5 nothing selected, 77 all skipped, 126/127 target cannot be started, 130/143 interrupted.\n"
	      "First steps: drainspec check -- ./your-server --port '${PORT}'\n", f);
}

int main(int argc, char **argv)
{
	const char *names[sizeof commands / sizeof *commands];

	if (argc < 2) {
		help(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
		help(stdout);
		return EXIT_OK;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "version")) {
		printf("drainspec %s\n", DRAINSPEC_VERSION);
		return EXIT_OK;
	}
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		names[i] = commands[i].name;
		if (!strcmp(argv[1], commands[i].name))
			return commands[i].fn(argc - 1, argv + 1);
	}
	const char *near = nearest_word(argv[1], names, sizeof names / sizeof *names);

	fprintf(stderr, "drainspec: unknown command '%s'%s%s%s; `drainspec help` shows them\n", argv[1],
		near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
	return EXIT_USAGE;
}
