/* Why a process that should be gone is not: looked at before the harness kills it. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "target/diag.h"

/* What the harness knows about a client's socket, to name the phase at the other end. NULL if it is none of ours. */
typedef const char *(*autopsy_peer_fn)(void *arg, uint16_t server_port, uint16_t client_port);

/* Append the report on pid to out. First line names the suspect ("thread 'worker-3' in futex_wait; no socket open",
 * "waiting for client #4 (idle keep-alive): ESTABLISHED, both queues empty", "write blocked by client #7 (slow-reader): zero window").
 * Then per thread: name, state, wchan, syscall by name (and arguments), kernel stack where readable; then its sockets
 * with TCP state, queues, and the client and phase at the other end; listening sockets; children. */
void autopsy_process(pid_t pid, struct diag *diag, autopsy_peer_fn peer, void *arg, struct buf *out);
/* Does this process look like a Go or a Java runtime, whose SIGQUIT prints all stacks? NULL, "go" or "java".
 * By ELF section (.go.buildinfo / .note.go.buildid) or mapped libjvm.so, never by name. */
const char *autopsy_runtime(pid_t pid);
