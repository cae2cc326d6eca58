/* Worker processes: scenarios are dealt to them, results come back through pipes. A worker that dies makes one
 * BROKEN verdict and is replaced. When this process dies, however it dies, its workers and their targets die with it. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "judge/judge.h"
#include "plan/plan.h"

struct job {
	const struct plan *plan;
	const char *dir;                /* evidence folder */
	uint32_t index;
};

struct session {
	const struct job *jobs;
	size_t n_jobs;
	const struct settings *settings;
	unsigned workers;
	bool isolate;                   /* try namespaces */
	/* Called in the parent for each result in the order of completion; the result lives in arena. */
	void (*done)(void *arg, const struct result *res);
	/* Called about every 100 ms while something runs: names of what is running, NULL-terminated. May be NULL. */
	void (*tick)(void *arg, const char *const *running, size_t finished);
	void *arg;
	struct arena *arena;
};

/* Run all jobs. 0; or the number of the signal that interrupted it (every target is gone then); or -1 and *reterr. */
int session_run(struct session *s, struct err *reterr);
/* One probe launch in a worker of its own. 0, signal number, or -1 with the kind that says how the target could not be started. */
int session_probe(const struct plan *plan, const char *dir, bool isolate, struct probe *ret, char *note, size_t note_n,
		  struct err *reterr);
/* How many workers for these jobs: at most one a core for those that compute; those that sleep (a timed slow request, a client
 * that outlasts the grace) cost next to nothing while they wait, so they may all wait at once. */
unsigned session_workers(const struct job *jobs, size_t n, int asked);
