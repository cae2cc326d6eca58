/* What all formats say alike: the kind of a verdict, counts, groups, sentences. */
#pragma once
#include "report/report.h"

/* An outcome as a reader has to take it: a SHOULD that fails is a warning unless --strict. */
enum kind { KIND_PASS, KIND_WARN, KIND_FAIL, KIND_UNSURE, KIND_SKIP, KIND_BROKEN, KIND_N };
extern const char *const kind_names[KIND_N];            /* "PASS" "WARN" ... */

enum kind verdict_kind(const struct verdict *v, bool strict);
/* The worst of a scenario: FAIL, BROKEN, UNSURE, WARN, then PASS; SKIP only if nothing was judged. */
enum kind result_kind(const struct result *r, bool strict);
/* It has no verdict of its own to carry what it came to (skipped, broken, not started): it counts as one itself. */
bool result_stands_alone(const struct result *r);
const char *level_name(enum level level);
/* NULL becomes "". */
const char *or_empty(const char *s);

struct tally {
	size_t scenarios[KIND_N], verdicts[KIND_N], n;
	uint64_t connections[CONN_N], expected[CONN_N];
	const char *expected_why[CONN_N];
	nsec_t took;
};
void tally_add(struct tally *t, const struct result *r, bool strict);
void tally_all(struct tally *ret, const struct result *all, size_t n, bool strict);
/* "1 FAILED, 2 warnings, 8 passed, 2 skipped"; "nothing judged" if all are 0. */
void words_counts(struct buf *out, const size_t verdicts[KIND_N]);
/* "50 completed, 2 fin-no-response (1 expected: it ...)"; nothing if there were none. */
void words_connections(struct buf *out, const struct tally *t);

/* The scenarios in which one check (check NULL: the scenario as a whole) came out as one kind. */
struct group {
	const struct check *check;
	const char *reason, *flag;      /* only groups of SKIP: why, and what would enable it */
	const char *first[3];           /* names of scenarios */
	size_t scenarios;
	uint32_t checks;                /* only groups of SKIP: different checks */
	const struct check *some[8];
};
/* Returns how many; *ret is malloc'ed. SKIPs are grouped by reason, everything else by check. */
size_t group_kind(const struct result *all, size_t n, enum kind kind, bool strict, struct group **ret);
/* "in-flight, pipelined and 3 more" */
void words_scenarios(struct buf *out, const struct group *g);

/* The pcap frame of an event, 0 if none is known. *pos remembers where to look first, begin with 0. */
uint32_t frame_of(const struct result *r, uint32_t event, size_t *pos);
/* "events #12 #31, frames 7 9"; nothing without cites. */
void words_proof(struct buf *out, const struct result *r, const struct finding *f);
/* "the server" with what is meant by it; NULL for NULL. */
const char *words_fault(const char *whose);
/* The same check, come out the same way for the same reason: who has read one need not read the other. */
bool same_cause(const struct verdict *a, const struct verdict *b, bool strict);
/* The scenario before all[n - 1] in which this check came out alike and for the same reason, NULL if this is the first. */
const struct result *seen_before(const struct result *all, size_t n, const struct verdict *v, bool strict);
/* Its block says all; that of an UNSURE which was left to another check, or of a cause that was told before, is one line. */
bool told_in_full(const struct report_env *env, const struct result *all, size_t n, const struct verdict *v);
/* What to do: the hint, else the check's advice for the language of the command, else its one line for all. */
void words_todo(struct buf *out, const struct report_env *env, const struct verdict *v);
/* The check's advice for the language that the command line shows, if words_todo() does not say it; else nothing. */
void words_fix(struct buf *out, const struct report_env *env, const struct verdict *v);
/* The folder's path as one word of a shell. */
void words_shell(struct buf *out, const char *path);
/* What came out, in one sentence. */
void words_verdict(struct buf *out, const struct report_env *env, const struct result *all, size_t n,
		   bool interrupted);
/* env->started as "2026-01-02T03:04:05Z". */
void words_started(struct buf *out, const struct report_env *env);
