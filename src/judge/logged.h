/* What the target's log names of the requests that it answered. */
#pragma once
#include "judge/facts_read.h"

struct logged {
	uint32_t before;                /* connections answered before the signal and named */
	uint32_t before_missing;        /* and those that are not */
	uint32_t missing;               /* answered requests that are not named */
	const struct conn_fact *first;  /* of the missing ones */
	uint32_t request, answer;       /* that one's events */
	/* One is missing between two of this connection that are named. What is lost at the exit is what came last, so this log loses lines
	 * at any time. HAProxy's does: a thread lets one go rather than wait for another that writes (fd_write_frag_line, src/fd.c). */
	const struct conn_fact *hole;
	uint32_t proof;                 /* a LOG_NONCE */
};

/* Request `number` was answered 2xx; the log names it (after all answers). */
void log_owes(struct conn_fact *c, int64_t number);
void log_names(struct conn_fact *c, int64_t number);
bool logs_nonces(const struct facts *f);
void count_logged(const struct facts *f, const struct round_fact *r, struct logged *l);
/* The log was not read to its end (too long, or the scan stopped at bad words): the event, 0: it was. */
uint32_t log_unread(const struct facts *f, const struct round_fact *r);
/* The event that says that the disk of its output is full, 0: there is none. */
uint32_t log_full(const struct facts *f, const struct round_fact *r);
/* Does an awaited line that was seen in this round match? */
bool log_line_matches(const struct facts *f, const struct round_fact *r, const char *pattern, uint32_t *ret);
/* "; the last one: 'bye'": the last that it said, of either stream. */
const char *log_last_words(const struct facts *f, const struct round_fact *r);
