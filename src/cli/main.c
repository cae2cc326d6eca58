#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "cli/cli.h"
#include "report/version.h"

#define ALL ""

static const struct command {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *usage, *help;       /* usage NULL: what there is to list */
	const char *options;            /* names of those that it takes; ALL, or NULL: none of the common ones */
} commands[] = {
	{"check", cmd_check, "[OPTIONS] -- COMMAND [ARG...]", "the standard battery against COMMAND", ALL},
	{"run", cmd_run, "[OPTIONS] FILE|DIR... [-- COMMAND...]", "scenario files; one without a target takes COMMAND", ALL},
	{"judge", cmd_judge, "[OPTIONS] RUN_DIR", "judge recorded evidence again", "only skip strict format"},
	{"port", cmd_port, "[-o text|json] PORT", "who holds it, in which state, and would a bind succeed", NULL},
	{"explain", cmd_explain, "ID", "why a check matters, how it is proven, how to fix it", NULL},
	{"list", cmd_list, NULL, "what there is", NULL},
};
#define N_COMMANDS (sizeof commands / sizeof *commands)

static const char exits[] =
	"\nExit status: 0 all MUST hold, 1 a check FAILed, 2 UNSURE only, 3 harness failure, 4 usage or scenario\n"
	"error, 5 nothing selected, 77 all skipped, 126/127 target cannot be started, 130/143 interrupted.\n";

static const char *usage_of(const struct command *c, char *text, size_t size)
{
	return c->usage ? c->usage : list_kinds(text, size);
}

static void help(FILE *f)
{
	char text[128];

	fprintf(f, "drainspec %s: does a server shut down correctly? With evidence.\n\n", DRAINSPEC_VERSION);
	for (size_t i = 0; i < N_COMMANDS; i++)
		fprintf(f, "  drainspec %-7s %-46s  %s\n", commands[i].name, usage_of(&commands[i], text, sizeof text),
			commands[i].help);
	fputs("\nOptions of check and run:\n", f);
	options_help(f, NULL);
	fputs(exits, f);
	fputs("First steps: drainspec check -- ./your-server --port '${PORT}'\n", f);
}

static int help_of(const struct command *c)
{
	char text[128];

	printf("usage: drainspec %s %s\n%s\n", c->name, usage_of(c, text, sizeof text), c->help);
	if (c->options) {
		fputs("\nOptions:\n", stdout);
		options_help(stdout, *c->options ? c->options : NULL);
		fputs(exits, stdout);
	}
	return fflush(stdout) ? EXIT_HARNESS : EXIT_OK;
}

/* Asked for help before anything that belongs to the target? */
static bool wants_help(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--"); i++)
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	const char *names[N_COMMANDS];

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
	for (size_t i = 0; i < N_COMMANDS; i++) {
		names[i] = commands[i].name;
		if (strcmp(argv[1], commands[i].name))
			continue;
		/* port has options of its own, and tells of them itself */
		if (commands[i].fn != cmd_port && wants_help(argc - 2, argv + 2))
			return help_of(&commands[i]);
		return commands[i].fn(argc - 1, argv + 1);
	}
	const char *near = nearest_word(argv[1], names, N_COMMANDS);

	fprintf(stderr, "drainspec: unknown command '%s'%s%s%s; `drainspec help` shows them\n", argv[1],
		near ? ", did you mean '" : "", near ? near : "", near ? "'" : "");
	return EXIT_USAGE;
}
