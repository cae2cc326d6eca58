#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"

struct list {
	struct suite_item *v;
	size_t n, cap;
	struct arena *arena;
};

static int add_file(struct list *l, const char *path)
{
	struct err err = {0};
	struct scenario *sc;

	if (scenario_load(path, l->arena, &sc, &err) < 0)
		return cli_fail(&err);
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 64;
		struct suite_item *v = arena_array(l->arena, struct suite_item, cap);

		if (l->n)
			memcpy(v, l->v, l->n * sizeof *v);
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++].sc = sc;
	return 0;
}

static int is_yaml(const struct dirent *e)
{
	const char *dot = strrchr(e->d_name, '.');

	return e->d_name[0] != '.' && (!dot || !strcmp(dot, ".yaml") || !strcmp(dot, ".yml"));
}

/* A file, or a folder with all below it, in the order of names. */
static int add_path(struct list *l, const char *path, int depth)
{
	struct stat st;
	struct dirent **names;
	int rc = 0, n;

	if (stat(path, &st) < 0) {
		fprintf(stderr, "drainspec: %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	if (!S_ISDIR(st.st_mode))
		return add_file(l, path);
	n = depth < 8 ? scandir(path, &names, is_yaml, alphasort) : 0;
	for (int i = 0; i < n; i++) {
		char *below = arena_printf(l->arena, "%s/%s", path, names[i]->d_name);
		bool yaml = strchr(names[i]->d_name, '.') != NULL;

		if (!rc && (yaml || (stat(below, &st) == 0 && S_ISDIR(st.st_mode))))
			rc = add_path(l, below, depth + 1);
		free(names[i]);
	}
	if (n > 0)
		free(names);
	return rc;
}

int cmd_run(int argc, char **argv)
{
	struct arena *arena = arena_new();
	struct settings settings = {0};
	struct list list = {.arena = arena};
	char **words;
	int rc = options_read(argc, argv, arena, &settings, &words);

	if (!rc && !words[0]) {
		fputs("drainspec: no scenario given: drainspec run [OPTIONS] FILE|DIR... [-- COMMAND...]\n", stderr);
		rc = EXIT_USAGE;
	}
	for (char **w = words; !rc && *w; w++)
		rc = add_path(&list, *w, 0);
	if (!rc)
		rc = suite_run(list.v, list.n, &settings, words[0], false, arena);
	arena_free(arena);
	return rc;
}
