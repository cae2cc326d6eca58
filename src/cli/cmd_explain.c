#include <stdio.h>
#include <string.h>

#include "base/names.h"
#include "cli/cli.h"
#include "judge/explain.h"

int cmd_explain(int argc, char **argv)
{
	const char *ids[256];
	struct buf out = {0};
	const struct check *check;

	for (size_t i = 0; i < n_checks && i < 256; i++)
		ids[i] = checks[i]->id;
	if (argc != 2) {
		fputs("drainspec: explain takes one check id: drainspec explain CON-1 (`drainspec list checks`)\n", stderr);
		return EXIT_USAGE;
	}
	check = check_by_id(argv[1]);
	if (!check) {
		const char *near = nearest_word(argv[1], ids, n_checks);

		fprintf(stderr, "drainspec: there is no check '%s'%s%s%s\n", argv[1], near ? "; did you mean " : "",
			near ? near : "", near ? "?" : "; `drainspec list checks` shows them");
		return EXIT_USAGE;
	}
	explain_print(check, &out);
	fwrite(out.p, 1, out.n, stdout);
	buf_free(&out);
	return fflush(stdout) ? EXIT_HARNESS : EXIT_OK;
}
