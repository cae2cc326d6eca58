/* What was written in a scenario file or said by flags: defaults applied, nothing resolved.
 * All strings and arrays live in the arena that was given to the loader. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

enum phase {
#define X(phase, name, help, proof) PHASE_##phase,
#include "scenario/phases.def"
#undef X
	PHASE_N
};

struct phase_row {
	const char *name, *help, *proof;
};
extern const struct phase_row phase_rows[PHASE_N];

enum isolate { ISOLATE_AUTO, ISOLATE_HOST, ISOLATE_PRIVATE, ISOLATE_CONTAINER };
enum second_policy { SECOND_ANY, SECOND_FORCE, SECOND_IDEMPOTENT };
enum whom { TO_PROCESS, TO_GROUP, TO_TTY, TO_CHILD, TO_INIT };
enum trigger_on {
	ON_ARMED,               /* every client is proven in its phase */
	ON_LAUNCH,              /* exec was called */
	ON_LISTENING,           /* the LISTEN row appeared */
	ON_READY,
	ON_SIGNAL,              /* a signal was sent: see struct trigger */
	ON_LISTENER_CLOSED,     /* the LISTEN row is gone */
	ON_SETTLED,             /* after a signal the whole target sleeps: what it does at once is done */
	ON_CLOSED_SETTLED,      /* that, after the LISTEN row is gone: who closes and leaves has left */
	ON_LAST_BYTE,           /* every answer owed has arrived or is lost */
	ON_LOG,                 /* a line of the target's output matches regex */
	ON_EXIT,
};
enum ready_by { READY_LISTENING, READY_HTTP, READY_LOG, READY_NOTIFY, READY_STARTED, READY_GRPC };
enum restart_how {
	RESTART_NO,
	RESTART_AFTER_EXIT,     /* the same command once the old process is gone */
	RESTART_CRASH,          /* the same after SIGKILL */
	RESTART_OVERLAP,        /* the same while the old one still drains */
	RESTART_HOT,            /* a signal makes the target hand over to a new generation of itself */
	RESTART_COMMAND,        /* a command starts the new generation, which takes over from the old */
};
enum step_do { STEP_RELEASE_GATE, STEP_FINISH, STEP_READ, STEP_CLOSE, STEP_CONNECT, STEP_START /* the engine's own: restart.when */ };

/* When something happens: the event, then `after`; `at_latest` after the last signal it fires anyway. ON_SIGNAL is, for a
 * signal, the one before it; for a step, the first. */
struct trigger {
	enum trigger_on on;
	const char *regex;      /* ON_LOG: POSIX extended */
	nsec_t after;
	nsec_t at_latest;       /* NSEC_NEVER: only the event */
};

struct kv {
	struct span at;
	const char *key, *value;
};

struct port_spec {
	const char *name;       /* "" for the only one: ${PORT}; else ${PORT_name} */
	int port;               /* 0: auto */
	const char *path;       /* of a unix socket, NULL: TCP */
	const char *protocol;   /* NULL: the client's */
};

struct target_spec {
	struct span at;
	char **command;         /* NULL-terminated argv, NULL: comes from the command line */
	struct kv *env;
	size_t n_env;
	const char *cwd;
	struct port_spec *ports;
	size_t n_ports;         /* 0: one auto port, unless no_port */
	bool no_port;           /* `port: none`: the target listens nowhere (S4) */
	enum ready_by ready;
	const char *ready_arg;  /* path, or regex */
	nsec_t ready_within;
	enum isolate isolate;
	bool fresh;             /* a namespace of its own instead of the worker's */
	bool tty;               /* run on a pty as the foreground group */
};

struct client_spec {
	struct span at;
	const char *name;
	uint32_t count;
	uint32_t streams;       /* http2, grpc: of those, so many on one TCP connection; 0 is 1 */
	const char *protocol;   /* row of protocols.def; NULL: settings, then probed */
	const char *request;    /* "GET /x", raw bytes for raw, or $slow $quick $stream $big $upload; NULL: the phase's (plan) */
	const char *descriptors;/* grpc: file of a compiled descriptor set; NULL: the settings' */
	const char *answer;     /* raw: POSIX regex that the whole answer matches; NULL: until EOF */
	struct kv *headers;
	size_t n_headers;
	uint64_t body;          /* bytes of request body; 0: none, upload phases take 64 KiB */
	bool expect_continue;
	enum phase phase;
	const char *port;       /* name of port_spec, NULL: first */
	bool never_closes;      /* keeps its socket after EOF */
	bool stop_target;       /* backlog: SIGSTOP the target while these connect */
	bool reuse;             /* loop: one connection for many requests */
	uint32_t requests;      /* loop: at most so many a connection; 0: phase's default */
	nsec_t every;           /* loop: pause between requests (0: none) */
	nsec_t lasts;           /* loop: goes on for so long after the first signal */
	uint32_t rcvbuf;        /* slow-reader: SO_RCVBUF, 0: default */
};

struct signal_spec {
	struct span at;
	int signo;              /* 0: $signal, until the plan puts the settings' one there */
	enum whom to;
	struct trigger when;
	uint32_t count;         /* storm: so many times */
	nsec_t gap;             /* between them */
};

struct step_spec {
	struct span at;
	enum step_do what;
	const char *client;     /* name of a client_spec, NULL: all it applies to */
	struct trigger when;
};

enum exit_how { EXIT_CLEAN, EXIT_CODE, EXIT_SIGNAL, EXIT_ANY };
struct exit_allowed {
	enum exit_how how;
	int value;
};

/* On a busy machine a limit of the target's grows by the time in which somebody waited for a CPU, by so many times itself at most. */
#define BUSY_AT_MOST 3

/* By how much limit grows when somebody waited for so long. Not at all where the sum would not be a time. */
static inline nsec_t busy_part(nsec_t waited, nsec_t limit)
{
	nsec_t most = limit > 0 && limit < NSEC_NEVER / (BUSY_AT_MOST + 1) ? BUSY_AT_MOST * limit : 0;

	return waited <= 0 ? 0 : waited < most ? waited : most;
}

struct expect_spec {
	struct span at;
	struct exit_allowed *exits;
	size_t n_exits;         /* 0: clean */
	nsec_t within;          /* the grace; 0: settings, then 10 s */
	nsec_t listener_within; /* LSN-1's T; 0: settings, then 2 s */
	enum second_policy second;
	bool has_second;
	const char *log;        /* EXI-4: a line that must appear */
	char **removes;         /* LSN-5: paths that must be gone after exit, NULL-terminated or NULL */
	const char *readiness;  /* LSN-6: grpc:SERVICE, watch:SERVICE or HTTP path that must stop answering 200 before the listener closes */
};

struct restart_spec {
	enum restart_how how;
	int signo, old;         /* hot: what makes it hand over; sent to the old one when the new one answers, 0: nothing */
	bool newest;            /* the old generation leaves whole; else a master stays and only its workers are new */
	uint32_t times;         /* hand-overs */
	uint32_t answers;       /* that the loop clients get at least, over all hand-overs */
	char **command;         /* command: NULL is the target's own */
	const char *names;      /* POSIX regex: its group is the pid or generation that an answer names; NULL: by the socket's owner */
	const char *spoil;      /* file that is made bad for one hand-over, which must fail */
	struct trigger when;    /* overlap: when the new one is started */
	nsec_t within;          /* a hand-over, from the signal to the old generation's end */
};
/* Generations follow each other while clients come and go: no round of signals and exits. */
static inline bool restart_hands_over(const struct restart_spec *s)
{
	return s->how == RESTART_HOT || s->how == RESTART_COMMAND;
}

/* Things a scenario cannot do without; missing ones SKIP it, naming the flag that would enable it. */
enum need {
	NEED_SLOW = 1, NEED_STREAM = 2, NEED_BIG = 4, NEED_UPLOAD = 8, NEED_KEEPALIVE = 16,
	NEED_HTTP = 32, NEED_PORT = 64, NEED_GATE = 128, NEED_REQUEST = 256, NEED_TLS = 512, NEED_HTTP2 = 1024, NEED_UPGRADE = 2048,
};

struct scenario {
	struct span at;
	const char *path;       /* file, or "battery/in-flight.yaml" for a built-in one; key `file` of the dump */
	const char *name, *why;
	unsigned needs;
	bool skip_if_unreachable;       /* a phase that cannot be proven SKIPs instead of UNSURE */
	struct target_spec target;
	struct client_spec *clients;
	size_t n_clients;
	struct signal_spec *signals;
	size_t n_signals;
	struct step_spec *steps;
	size_t n_steps;
	struct expect_spec expect;
	enum whom *vary_to;     /* one round for each: SIG-5 */
	size_t n_vary_to;
	uint32_t sweep;         /* start-up sweep: number of steps; 0: none */
	struct restart_spec restart;    /* LSN-4, UPG-* */
	bool control;           /* one request of each line that clients wait for is answered before: CON-1 knows a 5xx by it */
	uint32_t leak_batches, leak_batch_size; /* RES-3/4: batches of one-request connections before the signal */
	nsec_t arm_within;      /* the arming ends when for so long nothing has come of it; 0: settings, then 3 s */
	char **only;            /* judge only these checks; NULL: all that apply */
};

/* Flags and drainspec.yaml: the same fields, flags win. */
struct format_request {
	const char *name, *file;        /* file NULL: stdout */
};
struct settings {
	struct span at;
	char **command;
	struct port_spec *ports;
	size_t n_ports;
	bool no_port;                   /* --port none */
	const char *protocol;
	const char *descriptors;
	const char *slow, *stream, *big, *upload, *upgrade, *quick;       /* requests; slow may be "gate" */
	const char *answer;             /* raw: of these requests */
	struct kv *headers;             /* of all of them */
	size_t n_headers;
	struct signal_spec *signals;    /* of --signal; n 0: SIGTERM */
	size_t n_signals;
	enum second_policy second;
	bool has_second;
	struct exit_allowed *exits;
	size_t n_exits;
	nsec_t grace;                   /* 0: 10 s */
	nsec_t listener_within, arm_within;     /* 0: 2 s, 3 s */
	enum isolate isolate;
	struct kv *env;
	size_t n_env;
	enum ready_by ready;
	bool has_ready;
	const char *ready_arg;
	nsec_t ready_within;            /* 0: 30 s */
	char **only, **skip;            /* check ids and scenario names; NULL-terminated */
	bool strict, dry_run;
	int jobs, repeat;               /* 0: default */
	uint64_t seed;
	bool has_seed;
	const char *out;
	struct format_request *formats;
	size_t n_formats;
	uint64_t from_flags;            /* settings_set's own: keys that the command line gave, which files leave alone */
};

/* Read a scenario file. 0, or -1 and *reterr with file:line:column. */
int scenario_load(const char *path, struct arena *arena, struct scenario **ret, struct err *reterr);
int scenario_parse(const char *path, const char *text, size_t n, struct arena *arena,
		   struct scenario **ret, struct err *reterr);
/* The scenario as one line of JSON that scenario_parse() reads back to the same scenario. */
void scenario_dump(const struct scenario *sc, struct buf *out);
/* Read drainspec.yaml into *settings (fields that are not written stay as they are; so do those that the command line
 * gave before). */
int settings_load(const char *path, struct arena *arena, struct settings *settings, struct err *reterr);
int settings_parse(const char *path, const char *text, size_t n, struct arena *arena,
		   struct settings *settings, struct err *reterr);

/* One value of the command line into the field of the same key, by the same table and with the same messages
 * ("--grace: ..."): key as in drainspec.yaml ("grace", "signal", "expect-exit", "port", ...). A flag replaces what a file
 * said, whichever came first; repeated only, skip, env and format add up. value NULL means true (a flag without a value). */
int settings_set(struct settings *settings, const char *key, const char *value, struct arena *arena,
		 struct err *reterr);
/* Print the table of keys as text (`list keys`) and as JSON Schema (scenarios/schema.json). */
void keys_print(struct buf *out);
void keys_schema(struct buf *out);

const char *whom_name(enum whom to);
const char *trigger_name(enum trigger_on on);
const char *isolate_name(enum isolate iso);
const char *second_name(enum second_policy p);
const char *restart_name(enum restart_how how);
