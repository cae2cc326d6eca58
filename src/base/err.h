/* Errors are values: a negative code and a sentence for the person who has to act on it.
 * Nothing below cli/ prints or exits; the one exception is the forked child before exec. */
#pragma once
#include <stdint.h>

/* A place in a scenario or settings file; path NULL means "the command line". */
struct span {
	const char *path;
	unsigned line, col;
};

/* What kind of failure: decides the exit status of the program (cli/exit_status.h). */
enum err_kind {
	ERR_NONE = 0,
	ERR_USAGE,      /* wrong option, wrong scenario: exit 4 */
	ERR_TARGET_MISSING, /* command not found: exit 127 */
	ERR_TARGET_NOEXEC,  /* found but cannot be executed: exit 126 */
	ERR_TARGET,     /* it started, but exited or never became ready: exit 3 */
	ERR_HARNESS,    /* our own failure: exit 3 */
	ERR_NOT_HERE,   /* this machine or user cannot do it (no namespaces): the scenario is SKIPped */
	ERR_INTERRUPTED,/* SIGINT or SIGTERM reached the harness: exit 130 or 143 */
};

struct err {
	enum err_kind kind;
	int errnum;             /* errno that caused it, 0 if none */
	struct span at;
	char what[768];         /* what was wrong, and what to do */
};

/* Fill *reterr (may be NULL) and return -1. The text replaces what stood there. */
int err_set(struct err *reterr, enum err_kind kind, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* The same with a place in a file. */
int err_at(struct err *reterr, struct span at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "file:line:col: what" or "what: strerror"; returns a pointer into buf. */
const char *err_text(const struct err *err, char *buf, unsigned long len);
