/* Which endings a scenario allows. */
#pragma once
#include "judge/blame.h"

/* SEGV, ABRT and the like: a crash, whatever the set says. */
bool fatal_signal(int signo);
/* One of the signals of the round. */
bool signal_sent(const struct facts *f, const struct round_fact *r, int signo);
/* *ret_explicit: expect.exit names this very code or signal, or any. */
bool exit_allowed(const struct facts *f, const struct round_fact *r, const struct ending *e, bool *ret_explicit);
/* "exit status in: 0, 143, killed by SIGTERM" */
const char *exit_set_text(const struct facts *f);
/* The KILLED of a process of the target that crashed after the signal: not by us, not by the signal that was sent. 0: none. */
uint32_t crash_of(const struct facts *f, const struct round_fact *r);
