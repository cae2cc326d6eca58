/* All reports of one run: those of -o, and the text report unless something else is on stdout. */
#pragma once
#include "report/report.h"

#define MAX_REPORTS 9

struct output {
	struct report *v[MAX_REPORTS];
	size_t n;
	struct err err;         /* first report that could not be written; the run goes on */
};

/* 0, or an exit status after having printed (usage errors only). */
int output_check(const struct settings *settings);
int output_open(struct output *o, const struct settings *settings, const struct report_env *env);
void output_add(struct output *o, const struct result *all, size_t n);
void output_running(struct output *o, const struct result *all, size_t n, const char *name);
/* status: what the results say; returns it, or EXIT_HARNESS's place in it when a report could not be written. */
int output_close(struct output *o, const struct result *all, size_t n, bool interrupted, int status);
