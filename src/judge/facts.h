/* What the events say, by connection, round, listener and kind. Built in one pass (facts_build), never
 * changed after.
 *
 * A fact is the *number of the event* that proves it (1-based, 0: not seen); its time and values are
 * read through it. So a fact cannot be separated from its citation, and 19,000 connections cost 4 MiB.
 *
 * Order is order in time (t), never of numbers: wire events are recorded when the ring is drained. What
 * is seen after the harness began to kill (round_fact.kill) is our own doing and proves nothing about
 * the target. */
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
	uint32_t partial, cont100, greeting;
	uint32_t gate, gate_last;       /* first and last call at the gate that named one of its requests */
	uint32_t proven, unproven;
	uint32_t waits;                 /* its request waits for others */
	uint32_t first_byte, head;      /* of the last answer that began */
	uint32_t answer;                /* last complete one */
	uint32_t bad;                   /* BAD_ANSWER, or an ANSWER whose bytes are wrong */
	uint32_t other_body;            /* ANSWER whose head names the request, and whose body is not its nonce */
	uint32_t fail5xx;               /* ANSWER with status 5xx; of a pipeline only the first, which is owed */
	uint32_t end;                   /* first of EOF_SEEN, RESET_SEEN */
	uint32_t settings;              /* HTTP/2: the server's, on the connection's carrier alone */
	uint32_t stream, rst_stream, above; /* HTTP/2: last STREAM; STREAM_RESET, ABOVE_GOAWAY of it */
	uint32_t goaway, goaway_last;   /* HTTP/2: first and last GOAWAY of its connection */
	uint32_t tls, notify;           /* TLS: handshake done; the server's close_notify */
	uint32_t closed;                /* CLIENT_CLOSED */
	uint32_t still;                 /* STILL_OPEN */
	uint32_t peer;                  /* last PEER_STATE up to the first signal */
	/* by the wire */
	uint32_t w_syn, w_synack, w_refused;
	uint32_t w_acked;               /* last W_ACKED up to the first signal */
	uint32_t w_last, w_fin, w_rst;

	uint32_t number;                /* within its group and round: slow#0 */
	uint32_t asked, answers;        /* whole requests, complete answers */
	uint64_t logged_mask, answered_mask; /* of 64 requests from log_from on: named in the log; answered 2xx */
	uint32_t log_from;              /* 0, or 63 before the last one answered 2xx: what an exit loses is what came last */
	uint64_t body;                  /* bytes of body of all complete answers */
	uint64_t peer_inode;            /* largest inode that any look at the server's end showed */
	int16_t status;                 /* of the last complete answer, 0: none */
	uint16_t spec; /* index into scenario.clients, NO_SPEC: the harness's own (warm-up) */
	uint16_t round;                 /* index into facts.rounds */
	uint16_t line;                  /* index into facts.lines, of its last request */
	uint8_t phase;                  /* enum phase, PHASE_N: unknown */
	uint8_t outcome;                /* enum conn_outcome */
	bool opened;
	bool logged;                    /* the log names any of its requests... */
	bool logged_early;              /* ...one before log_from */
};

struct round_fact {
	uint16_t id;                    /* event.round */
	uint32_t begin, launch, relaunch; /* ROUND, first LAUNCH, LAUNCH of the restart */
	uint32_t listening, ready, armed, first_answer;
	uint32_t sig, sig2;             /* first and second SIGNAL */
	uint32_t released;              /* last GATE_RELEASED before kill */
	uint32_t kill; /* HARNESS_KILL before any restart: from here on it is our doing */
	uint32_t autopsy, exit;         /* exit: EXIT or KILLED of the root of the first launch */
	uint32_t root_before; /* PROCESS of the root in the last census before the first signal */
	uint32_t census;                /* the last CENSUS before the first signal */
	bool restarted;                 /* while facts are built: events from here on are the restart's */
	uint32_t cpu_wait;              /* CPU_WAIT: what a busy machine took from the drain */
	uint32_t serves;                /* SERVES before kill: asked at the end of the grace */
	bool heir;                      /* of a hand-over: its launch is a HEIR, and the rounds before have no end of their own */
	bool alone;                     /* the first signal alone, after a hang: read by hang.c only */
	bool deviates;                  /* vary_to: differs from the first round; judged by SIG-5 only */
	bool raced;                     /* it differs, but the gate's answer raced with the cut in one of the two */
};

struct port_fact {                      /* one listener in one round */
	uint16_t round;
	int32_t index;
	int64_t number;
	uint32_t listen;                /* last LISTEN before the signal */
	uint32_t row_signal, row_last;  /* LISTEN_ROW 'signal' (else 'armed'), and the last one */
	uint32_t closed; /* LISTENER_CLOSED, the first after the signal, before a restart */
	uint32_t back;                  /* LISTENER_BACK after that, before a restart */
};

struct line_fact {                      /* a request line that was sent */
	const char *text;
	uint32_t echoed;                /* an answer whose body was the request's nonce */
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
	uint32_t dissent;               /* first connection that disagree() names, + 1; 0: none */
	bool any_signal;
};

struct facts *facts_build(const struct scenario *sc, const struct events *ev, struct arena *arena);
/* Mark the rounds of a vary_to scenario whose ending or outcomes differ from the first round's. */
void mark_deviations(struct facts *f);
/* No round came to an end of its own. */
bool rounds_all_killed(const struct facts *f);
