/* How one connection ended (outcome.c). */
#pragma once
#include "judge/facts_read.h"

/* STREAM: RST_STREAM, which ends one request and not the connection. */
enum conn_how { HOW_OPEN, HOW_FIN, HOW_RST, HOW_CLIENT, HOW_STREAM };
enum accepted { ACCEPT_UNKNOWN, ACCEPT_NO, ACCEPT_YES };

/* How it ended before the harness began to kill, and the event. */
enum conn_how conn_how(const struct facts *f, const struct conn_fact *c, uint32_t *ret_event);
enum accepted conn_accepted(const struct facts *f, const struct conn_fact *c);
/* In its phase, proven, when the signal came. */
bool conn_armed(const struct facts *f, const struct conn_fact *c);
/* Was proven, but had left its phase before the signal: the race was lost. Returns the event, 0: no. */
uint32_t conn_left_early(const struct facts *f, const struct conn_fact *c);
/* The same, if it was the server that ended it. */
uint32_t conn_ended_early(const struct facts *f, const struct conn_fact *c);
/* HEAD of the answer that was cut, 0: it had not come that far. */
uint32_t head_of_cut(const struct facts *f, const struct conn_fact *c);
/* It is an open WebSocket: its answer is the frames behind the 101, and ends with a Close. */
bool conn_upgraded(const struct facts *f, const struct conn_fact *c);
/* The answer that was cut had begun. */
bool conn_partial(const struct facts *f, const struct conn_fact *c);
/* A request that the server had read and not answered when the signal came: it is owed a whole answer. */
bool conn_in_flight(const struct facts *f, const struct conn_fact *c);
/* It was not completed, and that is no fault: why, or NULL (completed, or a check has its say about it). */
const char *conn_excuse(const struct facts *f, const struct conn_fact *c);
/* Does the scenario let this slow reader read again? One that never reads may be cut by a server that bounds it. */
bool conn_means_to_read(const struct facts *f, const struct conn_fact *c);
/* Connected, and neither FIN, RST nor close up to time t. A client that keeps its socket after EOF
 * counts as open. */
bool conn_open_at(const struct facts *f, const struct conn_fact *c, nsec_t t);
/* HTTP/2: the server said that it did not take this stream (GOAWAY with a lower id, REFUSED_STREAM), and nothing shows that it
 * did all the same: the client may ask again elsewhere, so nothing is lost. */
bool conn_retry_safe(const struct facts *f, const struct conn_fact *c);
/* HTTP/2: the GOAWAY of a connection error that ended it, 0: none. */
uint32_t conn_error(const struct facts *f, const struct conn_fact *c);
/* The process is gone and this peer was told nothing. */
bool conn_ghost(const struct facts *f, const struct conn_fact *c);
/* Bytes that the server sent on it as the wire saw them; -1: not seen. */
int64_t wire_sent(const struct facts *f, const struct conn_fact *c);
/* The witnesses contradict each other about c: a sentence naming both (in the arena, may be NULL to
 * only ask), or NULL. */
bool disagree(const struct facts *f, const struct conn_fact *c, const char **ret_text, uint32_t cites[2]);
enum conn_outcome conn_outcome_of(const struct facts *f, const struct conn_fact *c);
