#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/names.h"
#include "cli/cli.h"
#include "proto/proto.h"
#include "report/report.h"

static const struct row {
	const char *name;
	char letter;
	const char *arg, *key, *help;
} rows[] = {
#define X(name, letter, arg, key, help) {name, letter, arg, key, help},
#include "cli/options.def"
#undef X
};
#define N_ROWS (sizeof rows / sizeof *rows)

/* The names of a table, as help shows a choice. */
static void put_names(FILE *f, bool protocols)
{
	size_t n = protocols ? n_protos : n_reporters;

	for (size_t i = 0; i < n; i++)
		fprintf(f, "%s%s", i ? " | " : "", protocols ? protos[i]->name : reporters[i]->name);
}

static void put_help(FILE *f, const char *text)
{
	static const char protocols_here[] = "{protocols}", formats_here[] = "{formats}";

	while (*text) {
		size_t n = strcspn(text, "{");

		fwrite(text, 1, n, f);
		text += n;
		if (!strncmp(text, protocols_here, sizeof protocols_here - 1)) {
			put_names(f, true);
			text += sizeof protocols_here - 1;
		} else if (!strncmp(text, formats_here, sizeof formats_here - 1)) {
			put_names(f, false);
			text += sizeof formats_here - 1;
		} else if (*text) {
			fputc(*text++, f);
		}
	}
	fputc('\n', f);
}

static bool has_word(const char *words, const char *word)
{
	size_t n = strlen(word);

	for (; *words; words += strcspn(words, " "), words += strspn(words, " "))
		if (strcspn(words, " ") == n && !strncmp(words, word, n))
			return true;
	return false;
}

void options_help(FILE *f, const char *names)
{
	for (size_t i = 0; i < N_ROWS; i++) {
		char left[40], letter[8] = "    ";

		if (names && !has_word(names, rows[i].name))
			continue;

		if (rows[i].letter)
			snprintf(letter, sizeof letter, "-%c, ", rows[i].letter);
		snprintf(left, sizeof left, "%s--%s%s%s", letter, rows[i].name, rows[i].arg ? " " : "",
			 rows[i].arg ? rows[i].arg : "");
		fprintf(f, "  %-26s ", left);
		put_help(f, rows[i].help);
	}
}

int cli_exit_of(const struct err *err)
{
	switch (err->kind) {
	case ERR_USAGE:
		return EXIT_USAGE;
	case ERR_TARGET_MISSING:
		return EXIT_MISSING;
	case ERR_TARGET_NOEXEC:
	case ERR_TARGET:
		return EXIT_NOEXEC;
	case ERR_NONE:
	case ERR_HARNESS:
	case ERR_NOT_HERE:
	case ERR_INTERRUPTED:
		break;
	}
	return EXIT_HARNESS;
}

int cli_fail(const struct err *err)
{
	char text[1024];

	fflush(stdout);
	fprintf(stderr, "drainspec: %s\n", err_text(err, text, sizeof text));
	return cli_exit_of(err);
}

static int unknown(const char *word)
{
	const char *names[N_ROWS];
	char bare[64];

	snprintf(bare, sizeof bare, "%.*s", (int)strcspn(word + (word[1] == '-' ? 2 : 1), "="),
		 word + (word[1] == '-' ? 2 : 1));
	for (size_t i = 0; i < N_ROWS; i++)
		names[i] = rows[i].name;
	const char *near = nearest_word(bare, names, N_ROWS);

	fprintf(stderr, "drainspec: unknown option %s%s%s%s; `drainspec help` shows them\n", word,
		near ? ", did you mean --" : "", near ? near : "", near ? "?" : "");
	return EXIT_USAGE;
}

static int getopt_rows(int argc, char **argv, struct arena *arena, struct settings *settings)
{
	struct option longs[N_ROWS + 1] = {0};
	char shorts[2 * N_ROWS + 3] = "+:";
	struct err err = {0};
	int c, at = 0;

	for (size_t i = 0; i < N_ROWS; i++) {
		longs[i] = (struct option){rows[i].name, rows[i].arg ? required_argument : no_argument, NULL, 1000 + (int)i};
		if (rows[i].letter)
			snprintf(shorts + strlen(shorts), 3, "%c%s", rows[i].letter, rows[i].arg ? ":" : "");
	}
	opterr = 0;
	while ((c = getopt_long(argc, argv, shorts, longs, &at)) != -1) {
		const struct row *row = NULL;

		for (size_t i = 0; i < N_ROWS; i++)
			if (c == 1000 + (int)i || (rows[i].letter && c == rows[i].letter))
				row = &rows[i];
		if (c == ':') {
			fprintf(stderr, "drainspec: option %s needs a value\n", argv[optind - 1]);
			return EXIT_USAGE;
		}
		if (!row)
			return unknown(argv[optind - 1]);
		if (settings_set(settings, row->key, row->arg ? optarg : "true", arena, &err) < 0)
			return cli_fail(&err);
	}
	return 0;
}

int options_read(int argc, char **argv, struct arena *arena, struct settings *settings, char ***ret_words)
{
	char **words = arena_array(arena, char *, argc + 1);
	struct err err = {0};
	int n = 0, rc;

	if (access("drainspec.yaml", F_OK) == 0 && settings_load("drainspec.yaml", arena, settings, &err) < 0)
		return cli_fail(&err);
	*ret_words = words;
	optind = 1;
	/* options and words may be mixed up to "--"; what follows it is the target's alone */
	while (optind < argc) {
		if (!strcmp(argv[optind], "--")) {
			optind++;
			break;
		}
		if (argv[optind][0] != '-') {
			words[n++] = argv[optind++];
			continue;
		}
		int before = optind;

		rc = getopt_rows(argc, argv, arena, settings);
		if (rc)
			return rc;
		if (optind > before && !strcmp(argv[optind - 1], "--"))
			break;
		if (optind == before)
			break;
	}
	if (optind < argc && !strcmp(argv[optind - 1], "--"))
		settings->command = argv + optind;
	return 0;
}
