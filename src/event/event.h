/* The append-only log of what was seen. Events are numbered from 1 in the order in which they
 * were recorded, which is also their line in events.jsonl; verdicts cite these numbers.
 * Every event carries its own time: wire events are recorded when the ring is drained, later than
 * they happened, so order in time is order of t, not of number. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/err.h"

enum event_kind {
#define X(kind, name, a, b, help) EV_##kind,
#include "event/events.def"
#undef X
	EV_N
};

/* What a run can see; the report names what it cannot. */
enum sees {
	SEES_WIRE = 1,          /* libpcap on the target's namespace */
	SEES_OWN_NETNS = 2,     /* nobody else's sockets in it */
	SEES_OWN_PIDNS = 4,     /* every process in it is the target's */
	SEES_SOCK_DIAG = 8,     /* accept and receive queues */
	SEES_FDS = 16,          /* /proc/PID/fd of the target */
	SEES_OWN_SHM = 32,      /* a /dev/shm of its own */
};

/* 19,000 connections have some 300,000 of them: 40 bytes each, and the numbers that cannot be large are bit fields. */
#define EVENT_CONN_BITS 23
#define EVENT_CONN_MAX  ((1 << (EVENT_CONN_BITS - 1)) - 1)
#define EVENT_ROUND_MAX ((1u << 10) - 1)
#define EVENT_FRAME_MAX ((1u << 24) - 1)

struct event {
	nsec_t t;
	int64_t a, b;
	const char *text;               /* NULL if none; owned by the log's arena */
	uint64_t frame : 24;            /* 1-based frame in wire.pcap, 0: none, or beyond the largest that can be named */
	int64_t conn : EVENT_CONN_BITS; /* connection, or what the kind says; -1: none */
	uint64_t round : 10, kind : 7;
};

_Static_assert(sizeof(struct event) == 40 && EV_N <= 128, "see above");

struct event_row {
	const char *name, *a, *b, *help;
};

extern const struct event_row event_rows[EV_N];

struct events {
	struct event *v;
	size_t n, cap;
	struct arena *arena;    /* owned by the caller */
	nsec_t t0;              /* of the first event */
	uint16_t round;         /* stamped on each new event */
	int fd;                 /* events.jsonl, -1: memory only; owned */
	int write_errno;        /* first failure to write, 0 if none: reported, never ignored */
	size_t written;         /* events already formatted into out */
	const char *last[EV_N]; /* the newest text of each kind: thousands of connections say the same one after another */
	struct buf out;
};

void events_init(struct events *ev, struct arena *arena);
/* Start writing path (created, truncated). 0, or -1 and *reterr. */
int events_open(struct events *ev, const char *path, struct err *reterr);
/* Record; returns the event's number (1, 2, ...). text may be NULL. The pointer ev->v[n - 1] is valid until the next call. */
uint32_t events_add(struct events *ev, enum event_kind kind, int32_t conn, int64_t a, int64_t b,
		    const char *text);
uint32_t events_addf(struct events *ev, enum event_kind kind, int32_t conn, int64_t a, int64_t b,
		     const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* Record with a time of its own and a frame: for wire events. */
uint32_t events_add_at(struct events *ev, nsec_t t, uint32_t frame, enum event_kind kind,
		       int32_t conn, int64_t a, int64_t b, const char *text);
/* Write what is pending to the file. Cheap when nothing is. Safe to call at any time. */
void events_flush(struct events *ev);
void events_close(struct events *ev);   /* flush, close, free the array; not the arena */

/* Read events.jsonl back (events->fd stays -1). A line that is cut at the end (disk full, killed) ends
 * the log there with *ret_cut = true; any other malformed line is an error with path:line. */
int events_load(const char *path, struct events *ev, int *ret_cut, struct err *reterr);
/* The same from memory: the fuzz target's entry. */
int events_parse(const char *path, const char *text, size_t n, struct events *ev, int *ret_cut,
		 struct err *reterr);

static inline const struct event *event_at(const struct events *ev, uint32_t number)
{
	return number && number <= ev->n ? &ev->v[number - 1] : NULL;
}
