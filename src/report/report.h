/* Reporters: from results to text, TAP, JUnit, JSON, GitHub. One file and one row in reporters.def each. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/err.h"
#include "judge/judge.h"

/* All strings are borrowed and outlive the reports. */
struct report_env {
	const char *command;            /* the target's command line, for the head line */
	const char *out_dir;            /* folder of the evidence */
	bool color, strict, live;       /* live: stderr is a terminal, a status line may be drawn */
	size_t planned;                 /* scenarios that will be reported */
	const char *version;
	const char **notes;             /* what this run could not see, once, NULL-terminated or NULL */
	const char *summary_file;       /* $GITHUB_STEP_SUMMARY or NULL */
	nsec_t started;                 /* CLOCK_MONOTONIC */
	unsigned width;                 /* columns of the text report; 0: report_open() finds out */
	bool ascii;                     /* no other characters of our own; report_open() sets it if the locale is not UTF-8 */
};

struct reporter {
	const char *name, *suffix, *help;
	/* Whole documents are rewritten from all results so far; streams append. All of them write into out only;
	 * the frame (report.c) puts it into stdout or atomically into a file (temporary name in the same folder, fsync, rename).
	 * one: all[n - 1] is the new one, the others are there so that a stream need not repeat itself.
	 * end, document and summary get the results in the order of the plan, one in the order of arrival. */
	bool stream;                    /* true: begin/one/end append to what was written; false: document() from scratch */
	void (*begin)(const struct report_env *, struct buf *out);
	void (*one)(const struct report_env *, const struct result *all, size_t n, struct buf *out);
	void (*end)(const struct report_env *, const struct result *all, size_t n, bool interrupted, struct buf *out);
	void (*document)(const struct report_env *, const struct result *all, size_t n, bool complete, struct buf *out);
	/* Appended to env->summary_file at the end; NULL: none. */
	void (*summary)(const struct report_env *, const struct result *all, size_t n, bool interrupted, struct buf *out);
};

extern const struct reporter *const reporters[];
extern const size_t n_reporters;
const struct reporter *reporter_by_name(const char *name);

/* Call this first: an unknown name, two formats on stdout or the same file twice is a usage error. */
int report_check(const struct format_request *rq, size_t n, struct err *reterr);
/* Some format already writes to stdout: the text report must not be added there. */
bool report_on_stdout(const struct format_request *rq, size_t n);

/* The frame: one per -o. Documents in files are rewritten at most every 250 ms and at the end, so that a report is valid at
 * every moment, whatever kills us.
 *
 * When the file cannot be written, these return -1 with the path and the reason, once each; the report stays usable, later
 * writes are tried again, and the caller goes on and ends with report_exit_write_failed(). *ret is NULL only after ERR_USAGE. */
struct report;
int report_open(const struct format_request *rq, const struct report_env *env, struct report **ret, struct err *reterr);
int report_add(struct report *r, const struct result *all, size_t n, struct err *reterr);   /* all[n - 1] is the new one */
/* Call now and then while nothing new comes: writes what report_add() left for later. */
int report_catch_up(struct report *r, const struct result *all, size_t n, struct err *reterr);
/* Frees r in any case. */
int report_close(struct report *r, const struct result *all, size_t n, bool interrupted, struct err *reterr);
/* Draw the live status line: this scenario runs now (NULL: unknown). Nothing happens unless env->live and r is text on stdout. */
void report_running(struct report *r, const struct result *all, size_t n, const char *name);
/* Wipe the status line: call before anything else is written to the terminal. */
void report_quiet(struct report *r);

/* The program's exit status for these results: design.md section 6. */
int report_exit_status(const struct result *all, size_t n, bool strict);
/* The same when a report could not be written. */
int report_exit_write_failed(int status);
