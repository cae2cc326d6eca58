/* Judging is pure: from the resolved scenario and the events to verdicts, nothing else. So any run can be judged again. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "event/event.h"
#include "scenario/scenario.h"

enum outcome { PASS, FAIL, UNSURE, SKIP, BROKEN };              /* of a verdict */
enum level { SHOULD, MUST };

#define X(id, name) CONN_##id,
#define CONN_OUTCOMES(X) \
	X(COMPLETED, "completed") X(TRUNCATED, "truncated") X(RESET_IN_FLIGHT, "reset-in-flight") \
	X(FIN_NO_RESPONSE, "fin-no-response") X(TAIL_LOST, "tail-lost") X(IDLE_RACE, "idle-race") \
	X(BACKLOG_RESET, "backlog-reset") X(REFUSED_EARLY, "refused-early") X(REFUSED_AFTER, "refused-after") \
	X(ACCEPTED_LATE, "accepted-late") X(RETRY_SAFE, "retry-safe") X(HUNG, "hung")
enum conn_outcome { CONN_OUTCOMES(X) CONN_N };
#undef X
extern const char *const conn_outcome_names[CONN_N];
extern const char *const outcome_names[];                      /* "PASS" ... */

#define FINDING_CITES 12

/* What a check found. Texts are in the judge's arena. cites are event numbers; frames follow from the events. */
struct finding {
	enum outcome outcome;
	enum level level;               /* as judged: some checks are MUST or SHOULD by what was seen */
	const char *expected, *actual;  /* one sentence each; actual names counts, times, the connection */
	const char *whose;              /* FAIL: "server", "application", "harness", "environment", "client" - whose fault */
	const char *hint;               /* FAIL: what to do, one sentence; NULL: explain's */
	uint32_t cites[FINDING_CITES];
	unsigned n_cites;
	uint64_t see;                   /* PASS, SKIP, UNSURE: bits (check_index) of the checks that answer for what it leaves out */
};

struct facts;           /* judge/facts.h: what the events say, by connection, round, signal, listener */

struct check {
	const char *id, *title;
	enum level level;
	bool crash;             /* judged also where the target was killed on purpose (restart.how: crash), unlike all others */
	bool alone;             /* means nothing where the port is another process's at the end (restart.how: overlap) */
	const char *todo;       /* what to do, one line that holds in every language */
	/* explain: each a paragraph */
	const char *why, *proof, *modes, *fix_go, *fix_node, *fix_python, *fix_c, *fix_nginx;
	/* May a run of this scenario say anything about it (shows.h)? NULL: any may that is no start-up sweep. */
	bool (*shows)(const struct scenario *);
	/* false: not applicable to this scenario, and no verdict is made at all */
	bool (*applies)(const struct scenario *, const struct facts *);
	void (*judge)(const struct scenario *, const struct facts *, struct arena *, struct finding *ret);
};

extern const struct check *const checks[];      /* in the order of checks.def */
extern const size_t n_checks;
const struct check *check_by_id(const char *id);
/* Its place in checks[], n_checks if it is none. */
unsigned check_index(const struct check *check);

struct verdict {
	const struct check *check;
	struct finding finding;
};

/* Everything that the reports need about one scenario; flat, so that a worker can send it to the parent (session/pack.c). */
struct result {
	const char *name, *path, *why;  /* of the scenario */
	uint32_t index;                 /* in the order of the plan, stable for reports */
	enum outcome outcome;           /* the worst: FAIL of a MUST, UNSURE, BROKEN; SKIP only if nothing was judged */
	bool should_failed;             /* a SHOULD failed (outcome stays PASS unless strict) */
	const char *skip_reason;        /* SKIP before any run: which flag would enable it */
	const char *broken;             /* BROKEN: what failed in the harness, or why the target could not be started */
	uint32_t exit_hint;             /* 126 or 127: the target could not be started; else 0 */
	struct verdict *verdicts;
	size_t n_verdicts;
	uint32_t connections[CONN_N];
	uint32_t expected[CONN_N];      /* of these: no fault, though nothing was completed */
	const char *expected_why[CONN_N]; /* of the first of them */
	const char *evidence;           /* folder, relative to the working folder if below it */
	nsec_t took;
	const char *story;              /* a few lines "12.3ms  event  text" around the worst finding, or NULL */
	const char *target_tail;        /* last lines of the target's output if something failed, or NULL */
	struct frame_cite { uint32_t event, frame; } *frames;   /* frame numbers of cited events */
	size_t n_frames;
};

/* only: check ids to judge (NULL-terminated), NULL: all. ret's memory is in arena. */
void judge_all(const struct scenario *sc, const struct events *ev, char **only, char **skip,
	       struct arena *arena, struct result *ret);
/* Can a run of the scenario, as planned, say anything about a check that only and skip select? */
bool judge_can_show(const struct scenario *sc, char **only, char **skip);
/* Outcome of one connection (index as in the events), with the numbers of the events that prove it. For the e2e tests and JSON. */
enum conn_outcome judge_conn(const struct facts *f, int32_t conn, uint32_t *ret_cites, unsigned *ret_n);
