/* The program's exit status from the results: one table, one place. */
#include "report/words.h"

int report_exit_status(const struct result *all, size_t n, bool strict)
{
	struct tally t;

	tally_all(&t, all, n, strict);
	/* FAIL wins over BROKEN: it stands on the evidence of its own scenario, which a harness failure elsewhere does not touch;
	 * and who retries a 3 as "the harness's day" must not retry a proven fault away. */
	if (t.scenarios[KIND_FAIL])
		return 1;
	if (t.scenarios[KIND_BROKEN]) {
		uint32_t hint = 0;

		/* a target that could not be started is its own answer; a failure of ours beside it is worth more */
		for (size_t i = 0; i < n; i++) {
			if (all[i].outcome == BROKEN && !all[i].exit_hint)
				return 3;
			if (all[i].outcome == BROKEN)
				hint = all[i].exit_hint;
		}
		return hint ? (int)hint : 3;
	}
	if (t.scenarios[KIND_UNSURE])
		return 2;
	if (t.scenarios[KIND_PASS] || t.scenarios[KIND_WARN])
		return 0;
	/* Nothing was judged. Without a word about why (a SKIP) nothing had been asked for: --only that fits nothing. */
	for (size_t i = 0; i < n; i++)
		if (all[i].skip_reason || all[i].outcome == SKIP || all[i].n_verdicts)
			return 77;
	return 5;
}

int report_exit_write_failed(int status)
{
	return status == 1 ? 1 : 3;
}
