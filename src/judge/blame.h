/* Attribution: one symptom is charged to one check, the most specific one (blame.c). */
#pragma once
#include "judge/facts_read.h"

/* From then on losing what is in flight is the contract of the second signal; NSEC_NEVER: never. */
nsec_t contract_from(const struct facts *f, const struct round_fact *r);
enum second_policy second_policy(const struct facts *f);
nsec_t grace_of(const struct facts *f);
/* What a busy machine took from the drain (run/pressure.c), BUSY_AT_MOST graces at most: no limit of the target's counts it. */
nsec_t cpu_wait_of(const struct facts *f, const struct round_fact *r);
/* The grace, 100 us per resident MiB for the kernel to take the address space down, and what a busy machine took. */
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
/* Did the root hold signo (caught, blocked or ignored) before the signal? 1, 0; -1: not known. */
int root_held(const struct facts *f, const struct round_fact *r, int signo);
/* Did the root ignore signo (SigIgn) before the signal? false also when it is not known. */
bool root_ignored(const struct facts *f, const struct round_fact *r, int signo);
/* Killed by the default action of a signal that was sent: SIG-1's symptom. */
bool died_of_default(const struct facts *f, const struct round_fact *r);

/* A well-known server, and this is not the signal that drains it: the advice, or NULL. */
const char *drain_signal_hint(const struct facts *f, const struct round_fact *r);

/* The same, and SIG-1 says so: a request had been answered before. What was lost by it is charged
 * there, and to CON-1. */
bool charged_to_default(const struct facts *f, const struct round_fact *r);

enum hang { HANG_NONE, HANG_LATE, HANG_KILLED, HANG_BORDER };
struct hung {
	enum hang kind;
	nsec_t at;                      /* when it was looked who is still open: at its limit, or when it was killed */
	const char *charged; /* id of the check that answers for it; NULL: why it cannot be said */
	const char *why;                /* why this check, or why it cannot be said */
	uint32_t cites[4];
	unsigned n_cites;
	uint32_t clients;               /* connections that were still open and explain it */
	uint32_t let_go;                /* one HELD: they were when the grace was all but over, and not any more at its end; 0: no */
	bool excused;                   /* nobody is to blame: why says so */
	const struct round_fact *alone; /* the round with the first signal alone, NULL: none was run */
};
/* r was killed by us sooner after its signal than the other one came to its end by itself (a busy machine had lengthened its
 * limit): with as much time r might have ended as well, so the two do not differ. */
bool less_patience(const struct facts *f, const struct round_fact *r, const struct round_fact *other);
/* Killed, or late by itself, and the machine had been too busy to say whose doing that was. */
bool starved(const struct facts *f, const struct round_fact *r);
/* Outlived the grace? Then who holds it, and which check answers for it. */
struct hung hang_find(const struct facts *f, const struct round_fact *r);
static inline const struct hung *hang_of(const struct facts *f, const struct round_fact *r)
{
	return &f->hung[r - f->rounds];
}
/* The client that a HELD event is about; NULL: of another round, or the harness's own. */
const struct conn_fact *held_client(const struct facts *f, const struct round_fact *r, uint32_t held);
/* Its drain waited for a client that does nothing (PEER-1, PEER-2), and for nobody else: the event that proves that client there,
 * or 0. */
uint32_t held_up_by(const struct facts *f, const struct round_fact *r);
bool root_is_pid1(const struct facts *f, const struct round_fact *r);
/* Who answers for a connection that came to no end: id of a check, or NULL (it cannot be said). */
const char *hung_charged(const struct facts *f, const struct conn_fact *c);
/* The process was made to go by a second signal, as the policy allows. */
bool was_forced(const struct facts *f, const struct round_fact *r);
/* A process that outlived the root still has the port: id of the check that answers, or NULL. */
const char *port_held_by(const struct facts *f, uint16_t round);
/* A LEFT_HOLDER whose descriptor was carried over an exec: it runs another program. */
bool holder_inherited(const struct facts *f, uint32_t left_holder);
#define SILENT_PHASES (PHASES(CONNECTED) | PHASES(HALF_HEADER) | PHASES(HALF_BODY) | PHASES(TRANSACTION) | PHASES(TLS_HANDSHAKE))
/* The silent or half-sent client that a LEFT_PROCESS waits for, as its autopsy says; NULL: none. */
const struct conn_fact *survivor_waits_for(const struct facts *f, uint32_t left_process);
/* A LEFT_PROCESS that a more specific check than RES-1 answers for: its id, or NULL. */
const char *survivor_charged(const struct facts *f, uint32_t left_process);
