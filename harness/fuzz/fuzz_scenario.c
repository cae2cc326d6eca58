/* Scenario files and drainspec.yaml: any input is safe and every refusal says why. What is accepted comes back from its
 * own dump, and so does what the plan makes of it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plan/plan.h"

static void must_be_said(const struct err *err)
{
	if (!err->kind || !err->what[0] || !memchr(err->what, '\0', sizeof err->what))
		abort();
}

/* dump(parse(dump(sc))) is dump(sc). */
static void must_come_back(const struct scenario *sc, struct arena *arena)
{
	struct buf once = {0}, twice = {0};
	struct scenario *again;

	scenario_dump(sc, &once);
	if (memchr(once.p, '\n', once.n))
		abort();
	if (scenario_parse("dump", once.p, once.n, arena, &again, NULL) < 0)
		abort();
	scenario_dump(again, &twice);
	if (once.n != twice.n || memcmp(once.p, twice.p, once.n))
		abort();
	buf_free(&once);
	buf_free(&twice);
}

static void plan_it(const struct scenario *sc, struct arena *arena)
{
	char *command[] = {"true", NULL};
	struct settings st = {.command = command, .slow = "gate", .quick = "GET /", .big = "GET /big"};
	struct plan *plan;
	struct err err = {0};
	struct buf text = {0};

	if (plan_build(sc, &st, NULL, arena, &plan, &err) < 0) {
		must_be_said(&err);
		return;
	}
	must_come_back(plan->sc, arena);
	plan_print(plan, &text);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *arena = arena_new();
	struct scenario *sc;
	struct settings st = {0};
	struct err err = {0};
	/* of its own and without a NUL, so that ASan sees a read beyond it */
	char *text = malloc(size ? size : 1);

	memcpy(text, data, size);
	if (scenario_parse("fuzz.yaml", text, size, arena, &sc, &err) < 0) {
		must_be_said(&err);
	} else {
		must_come_back(sc, arena);
		plan_it(sc, arena);
	}
	err = (struct err){0};
	if (settings_parse("drainspec.yaml", text, size, arena, &st, &err) < 0)
		must_be_said(&err);
	free(text);
	arena_free(arena);
	return 0;
}
