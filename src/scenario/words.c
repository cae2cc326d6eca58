/* The words of every enum, in its order: written, read, printed and offered as corrections from here. */
#include "scenario/keys.h"

const struct phase_row phase_rows[PHASE_N] = {
#define X(phase, name, help, proof) [PHASE_##phase] = {name, help, proof},
#include "scenario/phases.def"
#undef X
};

const char *const words_phase[] = {
#define X(phase, name, help, proof) [PHASE_##phase] = name,
#include "scenario/phases.def"
#undef X
	[PHASE_N] = NULL,
};

/* in the order of the bits of enum need */
const char *const words_need[] = {"slow", "stream", "big", "upload", "keepalive", "http", "port", "gate",
				  "request", "tls", "http2", "upgrade", NULL};
const char *const words_unreachable[] = {"unsure", "skip", NULL};
const char *const words_closes[] = {"on-eof", "never", NULL};
const char *const words_gate[] = {"gate", NULL};
const char *const words_isolate[] = {
	[ISOLATE_AUTO] = "auto", [ISOLATE_HOST] = "host", [ISOLATE_PRIVATE] = "private",
	[ISOLATE_CONTAINER] = "container", NULL,
};
const char *const words_second[] = {
	[SECOND_ANY] = "any", [SECOND_FORCE] = "force", [SECOND_IDEMPOTENT] = "idempotent", NULL,
};
const char *const words_to[] = {
	[TO_PROCESS] = "process", [TO_GROUP] = "group", [TO_TTY] = "tty", [TO_CHILD] = "child",
	[TO_INIT] = "init", NULL,
};
const char *const words_when[] = {
	[ON_ARMED] = "armed", [ON_LAUNCH] = "launch", [ON_LISTENING] = "listening", [ON_READY] = "ready",
	[ON_SIGNAL] = "signal", [ON_LISTENER_CLOSED] = "listener-closed", [ON_SETTLED] = "settled",
	[ON_CLOSED_SETTLED] = "closed-and-settled", [ON_LAST_BYTE] = "last-byte",
	[ON_LOG] = "log", [ON_EXIT] = "exit", NULL,
};
const char *const words_ready[] = {
	[READY_LISTENING] = "listening", [READY_HTTP] = "http", [READY_LOG] = "log",
	[READY_NOTIFY] = "notify", [READY_STARTED] = "started", [READY_GRPC] = "grpc", NULL,
};
const char *const words_step[] = {
	[STEP_RELEASE_GATE] = "release", [STEP_FINISH] = "finish", [STEP_READ] = "read",
	[STEP_CLOSE] = "close", [STEP_CONNECT] = "connect", NULL,
};

const char *const words_how[] = {
	[RESTART_NO] = "no", [RESTART_AFTER_EXIT] = "after-exit", [RESTART_CRASH] = "crash",
	[RESTART_OVERLAP] = "overlap", [RESTART_HOT] = "hot", [RESTART_COMMAND] = "command", NULL,
};
const char *const words_leaves[] = {"workers", "all", NULL};

const char *restart_name(enum restart_how how)
{
	return words_how[how];
}

const char *whom_name(enum whom to)
{
	return words_to[to];
}

const char *trigger_name(enum trigger_on on)
{
	return words_when[on];
}

const char *isolate_name(enum isolate iso)
{
	return words_isolate[iso];
}

const char *second_name(enum second_policy p)
{
	return words_second[p];
}
