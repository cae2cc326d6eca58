/* Calls as they are written, and compiled descriptors: any input is safe. Input: a descriptor set up to the first line that begins
 * with "grpc ", which is the call; without a set of its own that of the unit tests is taken. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/grpc.h"

static uint8_t kinds[64 * 1024];
static size_t n_kinds;

static void read_kinds(void)
{
	FILE *f = fopen("fixtures/proto/kinds.desc", "re");

	if (!f)
		abort();        /* run it in the project's folder */
	n_kinds = fread(kinds, 1, sizeof kinds, f);
	fclose(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct arena *arena = arena_new();
	const uint8_t *call = memmem(p, n, "\ngrpc ", 6);
	size_t own = call ? (size_t)(call - p) : n;
	struct buf out = {0};
	struct pb_set set;
	struct err err;
	bool streams;

	if (!n_kinds)
		read_kinds();
	bool has = pb_read_set(own ? p : kinds, own ? own : n_kinds, arena, &set, &err) == 0;

	if (call) {
		char *line = strndup((const char *)call + 1, n - own - 1);

		if (grpc_messages(line, has ? &set : NULL, &out, &streams, &err) == 0 && out.n < 5)
			abort();
		free(line);
	}
	buf_free(&out);
	arena_free(arena);
	return 0;
}
