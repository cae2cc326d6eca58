/* A worker: its own namespaces, one scenario at a time. */
#pragma once
#include <stdint.h>
#include <sys/types.h>

#include "session/session.h"

#define MSG_PROBE UINT32_MAX

struct worker {
	pid_t pid;              /* 0: none */
	int fd;                 /* stream socket to it, -1 */
	int32_t job;            /* what it runs, -1: idle */
	int32_t queued;         /* what it runs next, -1 */
	bool quick;             /* its last one took next to no time */
	uint32_t ran;
	nsec_t deadline;        /* of its job */
	bool hung;
	struct buf in;
};

/* Fork one. The child never returns. 0 or -1. */
int worker_start(struct session *s, struct worker *w, struct err *reterr);
/* Tell it to run job index (or MSG_PROBE), after what it runs. 0 or -1 (it is gone). */
int worker_tell(struct worker *w, uint32_t index);
/* Read what is there; 1: a whole message is in *ret_p (valid until the next call), 0: not yet, -1: it is gone. */
int worker_read(struct worker *w, const char **ret_p, size_t *ret_n);
void worker_drop_message(struct worker *w);
void worker_stop(struct worker *w, int signo);  /* signals it; does not wait */
/* One worker, one message (the probe's): 0 and the bytes (static storage), a signal number, or -1. */
int session_one(struct session *s, const char **ret_p, size_t *ret_n, struct err *reterr);
