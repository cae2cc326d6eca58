/* What the events say, by connection, round, listener and kind. Built in one pass (facts_build), never changed after.
 *
 * A fact is the *number of the event* that proves it (1-based, 0: not seen); its time and values are read through it.
 * So a fact cannot be separated from its citation, and 19,000 connections cost 4 MiB.
 *
 * Order is order in time (t), never of numbers: wire events are recorded when the ring is drained. What is seen after the
 * harness began to kill (round_fact.kill) is our own doing and proves nothing about the target. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h"
#include "judge/judge.h"
#include "scenario/scenario.h"

#define NO_SPEC UINT16_MAX

struct conn_fact {
	/* by the client socket */
	uint32_t connect, connected, refused;
	uint32_t request;               /* last whole request */
	uint32_t partial, shut_wr, cont100, gate;
	uint32_t proven, unproven;
	uint32_t first_byte, head;      /* of the last answer that began */
	uint32_t answer;                /* last complete one */
	uint32_t bad;                   /* BAD_ANSWER, or an ANSWER whose bytes are wrong */
	uint32_t fail5xx;               /* ANSWER with status 5xx */
	uint32_t end;                   /* first of EOF_SEEN, RESET_SEEN */
	uint32_t closed;                /* CLIENT_CLOSED */
	uint32_t still;                 /* STILL_OPEN */
	uint32_t peer;                  /* last PEER_STATE up to the first signal */
	/* by the wire */
	uint32_t w_syn, w_synack, w_refused;
	uint32_t w_acked;               /* last W_ACKED up to the first signal */
	uint32_t w_last, w_fin, w_rst, w_fin_c;

	uint32_t number;                /* within its group and round: slow#0 */
	uint32_t asked, answers;        /* whole requests, complete answers */
	uint64_t asked_mask, logged_mask, answered_mask; /* requests 0..63: asked; named in the log; answered 2xx */
	uint64_t body;                  /* bytes of body of all complete answers */
	uint64_t peer_inode;            /* largest inode that any look at the server's end showed */
	int16_t status;                 /* of the last complete answer, 0: none */
	uint16_t spec;                  /* index into scenario.clients, NO_SPEC: a client of the harness's own (warm-up) */
	uint16_t round;                 /* index into facts.rounds */
	uint16_t line;                  /* index into facts.lines, of its last request */
	uint8_t phase;                  /* enum phase, PHASE_N: unknown */
	uint8_t outcome;                /* enum conn_outcome */
	bool opened;
};

struct round_fact {
	uint16_t id;                    /* event.round */
	uint32_t begin, launch, relaunch; /* ROUND, first LAUNCH, LAUNCH of the restart */
	uint32_t listening, ready, armed, first_answer;
	uint32_t sig, sig2, last_sig, n_sigs, sig_failed;
	uint32_t released;              /* last GATE_RELEASED */
	uint32_t kill;                  /* HARNESS_KILL before any restart: from here on it is our doing */
	uint32_t autopsy, exit;         /* exit: EXIT or KILLED of the root of the first launch */
	uint32_t root_before;           /* PROCESS of the root in the last census before the first signal */
	uint32_t n_conns;
	uint32_t census;                /* the last CENSUS before the first signal */
	bool restarted;                 /* events from here on belong to the restart (only while facts are built) */
	bool deviates;                  /* vary_to: differs from the first round; judged by SIG-5 only */
};

struct port_fact {                      /* one listener in one round */
	uint16_t round;
	int32_t index;
	int64_t number;
	uint32_t listen;                /* last LISTEN before the signal */
	uint32_t row_signal, row_last;  /* LISTEN_ROW 'signal' (else 'armed'), and the last one */
	uint32_t closed;                /* LISTENER_CLOSED, the first after the signal and before a restart */
	uint32_t back;                  /* LISTENER_BACK after that, before a restart */
	uint32_t other;                 /* LISTENER_OTHER: part of a SO_REUSEPORT group is gone */
};

struct line_fact {                      /* a request line that was sent */
	const char *text;
	uint32_t ok;                    /* first 2xx answer to it before the first signal of its round */
};

struct hung;

enum wire { WIRE_UNSEEN, WIRE_BROKEN, WIRE_OK };

struct facts {
	const struct scenario *sc;
	const struct events *ev;
	struct arena *arena;
	struct conn_fact *conns;        /* by connection index; .opened false: no CONNECT was seen */
	uint32_t n_conns;
	struct round_fact *rounds;
	uint32_t n_rounds;
	struct port_fact *ports;
	uint32_t n_ports;
	struct line_fact *lines;
	uint32_t n_lines;
	uint32_t first[EV_N], last[EV_N], *next; /* chains of events by kind: first[kind], next[number] */
	unsigned sees;
	bool has_sees;
	enum wire wire;
	const char *incomplete;         /* the log is not that of a finished run: why; NULL: it is */
	uint32_t incomplete_event;
	uint32_t unreachable;           /* UNPROVEN in a scenario that skips what cannot be reached */
	struct hung *hung;              /* by round */
	uint32_t dissent;               /* connections about which the witnesses disagree + 1, 0: none; see disagree() */
	bool any_signal;
};

struct facts *facts_build(const struct scenario *sc, const struct events *ev, struct arena *arena);

/* Saturating, because a log can hold any number. */
static inline nsec_t nsec_sub(nsec_t a, nsec_t b)
{
	nsec_t d;

	return __builtin_sub_overflow(a, b, &d) ? (b > 0 ? INT64_MIN : INT64_MAX) : d;
}

static inline nsec_t nsec_add(nsec_t a, nsec_t b)
{
	nsec_t s;

	return __builtin_add_overflow(a, b, &s) ? (b > 0 ? INT64_MAX : INT64_MIN) : s;
}

static inline const struct event *fact_event(const struct facts *f, uint32_t number)
{
	return &f->ev->v[number - 1];
}

/* When it happened; NSEC_NEVER for what was not seen. */
static inline nsec_t fact_t(const struct facts *f, uint32_t number)
{
	return number ? f->ev->v[number - 1].t : NSEC_NEVER;
}

static inline int64_t fact_a(const struct facts *f, uint32_t number)
{
	return number ? f->ev->v[number - 1].a : 0;
}

static inline int64_t fact_b(const struct facts *f, uint32_t number)
{
	return number ? f->ev->v[number - 1].b : 0;
}

static inline const char *fact_text(const struct facts *f, uint32_t number)
{
	return number && f->ev->v[number - 1].text ? f->ev->v[number - 1].text : "";
}

/* Did number happen before time t? False for what was not seen. */
static inline bool fact_before(const struct facts *f, uint32_t number, nsec_t t)
{
	return number && f->ev->v[number - 1].t < t;
}

#define each_event(f, kind, n) (uint32_t n = (f)->first[kind]; n; n = (f)->next[n])
#define each_conn(f, c) \
	(const struct conn_fact *c = (f)->conns; c < (f)->conns + (f)->n_conns; c++) if (!c->opened) {} else

static inline const struct round_fact *round_of(const struct facts *f, const struct conn_fact *c)
{
	return &f->rounds[c->round];
}

/* The round in which event number n was recorded; NULL if it has none. */
const struct round_fact *round_at(const struct facts *f, uint32_t n);
/* Rounds that the checks of a signal's effect look at: one was sent, and SIG-5 did not claim the round. */
bool round_judged(const struct facts *f, const struct round_fact *r);
/* The moment of the first signal: an interval. NSEC_NEVER if none was sent. */
nsec_t signal_begin(const struct facts *f, const struct round_fact *r);
nsec_t signal_end(const struct facts *f, const struct round_fact *r);

/* A number of a PROCESS event's JSON: masks are hexadecimal text, true is 1. false: not there, or null. */
bool process_field(const struct facts *f, uint32_t number, const char *key, uint64_t *ret);
/* N of 'inode N' in an event's text (PEER_STATE), 0 if there is none. */
uint64_t event_inode(const struct facts *f, uint32_t number);
/* The string value of a key, copied and cut to n; false if not there. */
bool process_string(const struct facts *f, uint32_t number, const char *key, char *ret, size_t n);

/* ---- outcome.c: one connection ---- */

enum conn_how { HOW_OPEN, HOW_FIN, HOW_RST, HOW_CLIENT };
enum accepted { ACCEPT_UNKNOWN, ACCEPT_NO, ACCEPT_YES };

/* How it ended before the harness began to kill, and the event. */
enum conn_how conn_how(const struct facts *f, const struct conn_fact *c, uint32_t *ret_event);
enum accepted conn_accepted(const struct facts *f, const struct conn_fact *c);
/* In its phase, proven, when the signal came. */
bool conn_armed(const struct facts *f, const struct conn_fact *c);
/* Was proven, but had left its phase before the signal: the race was lost. Returns the event, 0: no. */
uint32_t conn_left_early(const struct facts *f, const struct conn_fact *c);
/* HEAD of the answer that was cut, 0: it had not come that far. */
uint32_t head_of_cut(const struct facts *f, const struct conn_fact *c);
/* The answer that was cut had begun. */
bool conn_partial(const struct facts *f, const struct conn_fact *c);
/* A request that the server had read and not answered when the signal came: it is owed a whole answer. */
bool conn_in_flight(const struct facts *f, const struct conn_fact *c);
/* Connected, and neither FIN, RST nor close up to time t. A client that keeps its socket after EOF counts as open. */
bool conn_open_at(const struct facts *f, const struct conn_fact *c, nsec_t t);
/* The process is gone and this peer was told nothing. */
bool conn_ghost(const struct facts *f, const struct conn_fact *c);
/* Bytes that the server sent on it as the wire saw them; -1: not seen. */
int64_t wire_sent(const struct facts *f, const struct conn_fact *c);
/* The witnesses contradict each other about c: a sentence naming both (in the arena, may be NULL to only ask), or NULL. */
bool disagree(const struct facts *f, const struct conn_fact *c, const char **ret_text, uint32_t cites[2]);
enum conn_outcome conn_outcome_of(const struct facts *f, const struct conn_fact *c);

/* ---- deviation.c ---- */

/* Mark the rounds of a vary_to scenario whose ending or outcomes differ from the first round's. */
void mark_deviations(struct facts *f);

/* ---- blame.c: one symptom is charged to one check ---- */

/* From when on losing what is in flight is the declared contract of the second signal; NSEC_NEVER: never. */
nsec_t contract_from(const struct facts *f, const struct round_fact *r);
enum second_policy second_policy(const struct facts *f);
nsec_t grace_of(const struct facts *f);
/* The grace and the time that the kernel needs to take the address space down: 100 us per resident MiB. */
nsec_t exit_limit(const struct facts *f, const struct round_fact *r, uint64_t *ret_rss_kib);

enum exit_kind { ENDED_NOT, ENDED_CODE, ENDED_SIGNAL, ENDED_BY_US };
struct ending {
	enum exit_kind kind;
	int value;                      /* code or signal */
	bool core;
	uint32_t event;
};
struct ending ending_of(const struct facts *f, const struct round_fact *r);
/* "exit 0", "killed by SIGTERM", ... in the arena */
const char *ending_text(const struct facts *f, const struct ending *e);
/* 1 yes, 0 no, -1 not known: did the root hold signo (handler, blocked or ignored) before the first signal? */
int root_held(const struct facts *f, const struct round_fact *r, int signo);
bool fatal_signal(int signo);
/* Killed by the default action of a signal that was sent: SIG-1's symptom. */
bool died_of_default(const struct facts *f, const struct round_fact *r);

/* The same, and SIG-1 says so: a request had been answered before. What was lost by it is charged there, and to CON-1. */
bool charged_to_default(const struct facts *f, const struct round_fact *r);

enum hang { HANG_NONE, HANG_LATE, HANG_KILLED, HANG_BORDER };
struct hung {
	enum hang kind;
	const char *charged;            /* id of the check that answers for it; NULL: not to be said (why says it) */
	const char *why;                /* static: why this check, or why it cannot be said */
	uint32_t cites[4];
	unsigned n_cites;
	uint32_t clients;               /* connections that were still open and explain it */
};
/* Outlived the grace? Then who holds it, and which check answers for it. */
struct hung hang_find(const struct facts *f, const struct round_fact *r);
static inline const struct hung *hang_of(const struct facts *f, const struct round_fact *r)
{
	return &f->hung[r - f->rounds];
}
bool root_is_pid1(const struct facts *f, const struct round_fact *r);
/* Who answers for a connection that came to no end: id of a check, or NULL (it cannot be said). */
const char *hung_charged(const struct facts *f, const struct conn_fact *c);
/* The process was made to go by a second signal, as the policy allows. */
bool was_forced(const struct facts *f, const struct round_fact *r);
/* A process that outlived the root still has the port: id of the check that answers, or NULL. */
const char *port_held_by(const struct facts *f, uint16_t round);
/* A LEFT_HOLDER whose descriptor was carried over an exec: it runs another program. */
bool holder_inherited(const struct facts *f, uint32_t left_holder);
/* A LEFT_PROCESS that a more specific check than RES-1 answers for: its id, or NULL. */
const char *survivor_charged(const struct facts *f, uint32_t left_process);
