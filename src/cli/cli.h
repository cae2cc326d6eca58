/* One command, one file. Only this layer prints and decides the exit status. */
#pragma once
#include <stdio.h>

#include "base/arena.h"
#include "base/err.h"
#include "scenario/scenario.h"

enum exit_status {
	EXIT_OK = 0, EXIT_FAILED = 1, EXIT_UNSURE = 2, EXIT_HARNESS = 3, EXIT_USAGE = 4, EXIT_NOTHING = 5,
	EXIT_ALL_SKIPPED = 77, EXIT_NOEXEC = 126, EXIT_MISSING = 127,
};

int cmd_check(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_judge(int argc, char **argv);
int cmd_port(int argc, char **argv);
int cmd_explain(int argc, char **argv);
int cmd_list(int argc, char **argv);

/* drainspec.yaml of the working folder, then the options of argv, into *settings. The words before "--" that are no options are
 * left in ret_words (NULL-terminated); what follows "--" becomes settings->command. 0, or an exit status after having printed. */
int options_read(int argc, char **argv, struct arena *arena, struct settings *settings, char ***ret_words);
/* names: only these, words with blanks between; NULL: all. */
void options_help(FILE *f, const char *names);
/* What `list` can list: "checks|phases|...". Returns text. */
const char *list_kinds(char *text, size_t size);

/* Print "drainspec: ..." and return the exit status that belongs to this kind of error. */
int cli_fail(const struct err *err);
int cli_exit_of(const struct err *err);

/* A scenario to run: a file's, or one of the battery's. */
struct suite_item {
	const struct scenario *sc;
};
/* Plan all, run all, report all: the exit status. name: for the evidence folder. probe: learn the protocol first. */
int suite_run(const struct suite_item *items, size_t n, const struct settings *settings, const char *name, bool probe,
	      struct arena *arena);

/* The battery, built into the program from scenarios/battery/. */
struct battery_file {
	const char *name, *text;
	unsigned long size;
};
extern const struct battery_file battery_files[];
extern const unsigned long n_battery_files;
