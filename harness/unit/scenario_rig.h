/* What the tests of scenarios and of plans share. */
#pragma once
#include <check.h>
#include <string.h>

#include "plan/plan.h"

static struct arena *arena;
static struct err err;

static inline void setup(void)
{
	arena = arena_new();
	err = (struct err){0};
}

static inline void teardown(void)
{
	arena_free(arena);
}

static inline struct scenario *parse(const char *text)
{
	struct scenario *sc = NULL;
	char what[1024];

	ck_assert_msg(scenario_parse("dir/x.yaml", text, strlen(text), arena, &sc, &err) == 0, "%s",
		      err_text(&err, what, sizeof what));
	return sc;
}

static inline const char *dump(const struct scenario *sc)
{
	struct buf b = {0};

	scenario_dump(sc, &b);
	char *text = arena_strndup(arena, b.p, b.n);

	buf_free(&b);
	return text;
}

static char *server[] __attribute__((unused)) = {"server", "--port", "${PORT}", NULL};

/* --- dump(parse(dump(x))) is dump(x), for every file that is shipped and for the awkward */
static inline void comes_back(const struct scenario *sc)
{
	const char *once = dump(sc);

	ck_assert_ptr_null(strchr(once, '\n'));
	ck_assert_str_eq(dump(parse(once)), once);
}
