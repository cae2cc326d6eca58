/* A scenario, the settings and what the probe learned become one resolved scenario: nothing is left to look up.
 * scenario_dump(plan->sc) is the first event of a run, and judging needs only that. */
#pragma once
#include <stdbool.h>

#include "scenario/scenario.h"

/* What one launch of the target taught the CLI (run/run.h: run_probe). */
struct probe {
	bool done;
	const char *protocol;   /* "http1", "raw" */
	bool keepalive;         /* a connection may be used again */
	bool http;
};

/* While clients still get on, arming may take so many times arm_within; a first request that was read, so many. */
#define ARM_AT_MOST 10
#define WARM_AT_MOST 3

struct plan {
	struct scenario *sc;            /* a deep copy: command, ports, requests, signals, deadlines resolved */
	const struct plan *first;       /* the same but for the name: of a repetition; NULL: it is none */
	const char *skip_reason;        /* what is missing and the flag that gives it; NULL: run it */
	const char *protocol;           /* of clients that do not say; NULL: not known yet */
	const char *descriptors;        /* of --proto: how calls of gRPC are written; NULL: not given */
	struct kv *headers;             /* of every request that does not say its own */
	size_t n_headers;
	const char *quick;              /* request that is answered at once: warm-up, restart, probe; NULL: none known */
	const char *answer;             /* raw: how the answer to quick ends; NULL: with FIN */
	bool uses_gate;                 /* some request is held by the gate, or a step releases it */
	bool timed;                     /* a slow request that is not gated: the run sleeps rather than computes */
	nsec_t hard_stop;               /* for the whole run: a worker that takes longer hangs and is BROKEN */
};

/* probe may be NULL or not done: then what only it could tell is taken to be there. 0, or -1 and *reterr with the
 * place. Everything in *ret lives in arena; sc and st are not needed afterwards. */
int plan_build(const struct scenario *sc, const struct settings *st, const struct probe *probe,
	       struct arena *arena, struct plan **ret, struct err *reterr);
/* Steps and triggers as a person reads them: --dry-run. */
void plan_print(const struct plan *plan, struct buf *out);
/* Does the request go to the gate (its path is /gate...)? */
bool plan_gated(const char *request);
