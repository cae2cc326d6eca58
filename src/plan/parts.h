/* The parts of plan_build, in the order in which it calls them. */
#pragma once
#include "plan/plan.h"

struct builder {
	struct plan *plan;
	struct scenario *sc;            /* plan->sc, being resolved */
	const struct settings *st;
	const struct probe *probe;      /* never NULL */
	struct arena *arena;
	struct err *reterr;
	double multiplier;              /* DRAINSPEC_TIMEOUT_MULTIPLIER */
	bool http, http_known;          /* does plan->protocol speak HTTP? */
	bool own_target;                /* the scenario brings its own command */
};

/* copy.c: everything in arena; spans keep pointing to the places in the files. */
struct scenario *plan_copy(const struct scenario *sc, struct arena *arena);
/* check.c: what refers to what. 0, or -1 with the place. */
int plan_check(const struct builder *b);
/* target.c: command, ports, environment, readiness, isolation. */
int plan_target(struct builder *b);
/* requests.c: protocol and requests of the clients. */
void plan_requests(struct builder *b);
/* times.c: signals, default steps, expectations, deadlines. */
void plan_signals(struct builder *b);
void plan_steps(struct builder *b);
void plan_times(struct builder *b);
/* What is missing, first reason wins. */
struct kv *plan_copy_kv(struct arena *arena, const struct kv *v, size_t n);
void plan_skip(struct builder *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
