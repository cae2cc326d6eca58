/* Argument vector and environment of the target: ${PORT}, ${PORT_name}, DRAINSPEC_GATE, TMPDIR, NOTIFY_SOCKET. */
#pragma once

struct run;

/* Fills r->argv and r->envp. notify: name of the socket or "". 0 or -1 (an unknown ${...} in the command). */
int env_build(struct run *r, const char *notify);
/* ${PORT}, ${PORT_name}, ${DRAINSPEC_GATE} and ${TMPDIR} replaced; in the run's arena. */
char *env_expand(struct run *r, const char *s);
