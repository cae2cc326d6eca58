/* Run a resolved scenario: produces events and files, judges nothing. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "event/event.h"
#include "plan/plan.h"
#include "run/capture.h"
#include "run/loop.h"
#include "target/diag.h"

#define START_MEMORY 4

struct starts {                 /* how long the last starts of a command took, from exec to LISTEN */
	uint64_t key;
	unsigned n;
	nsec_t took[START_MEMORY];
};

struct dumped {                 /* scenario_dump() of a plan that is repeated, without its name */
	const struct plan *of;
	struct buf text;
};

/* What a worker keeps for its life: namespaces, capture, loop. */
struct world {
	unsigned got;           /* iso_bits of target/iso.h */
	char iso_why[256];      /* what isolation could not be had, and why; "" if all */
	struct loop loop;
	struct diag *diag;
	struct capture *cap;    /* NULL: not permitted, see cap_why */
	char cap_why[256];
	int sigfd;              /* SIGCHLD, SIGTERM */
	struct watch sig_watch;
	int interrupted;        /* signal number that told the worker to stop, 0: none */
	char tmp[256];          /* TMPDIR of the targets, made by world_open, removed by world_close */
	int tmp_fd;             /* holds the lock on tmp: see sweep_stale() */
	struct timespec tmp_changed, shm_changed;       /* their mtime when they were last looked through */
	unsigned next_port;
	unsigned nofile;        /* soft RLIMIT_NOFILE as we found it: the targets get that one */
	int port_locks[8];      /* host namespace: locks that hold the chosen ports, -1 */
	struct run *run;        /* the run in progress, NULL */
	uint8_t *buf;           /* RUN_BUF bytes that runs share */
	uint64_t seed;
	struct starts starts;
	struct dumped dumped;
	uint64_t counters[16];  /* of the namespace, at the end of the last run */
	bool counted;
	int counter_fds[2];     /* /proc/net/netstat and snmp of the namespace, -1 */
	int pressure_fds[2];    /* who waits for a CPU: of the machine, of our cgroup; -1 */
};

/* In the worker, after iso_fork(): block signals, open sock_diag and capture (ring_bytes 0: 8 MiB). 0 or -1 (only if nothing can work at all). */
int world_open(struct world *w, unsigned got, const char *iso_why, unsigned ring_bytes, unsigned packet_bytes,
	       struct err *reterr);
void world_close(struct world *w);

/* How many client connections a plan may hold open at once in this process (RLIMIT_NOFILE less what we need). */
uint64_t run_max_clients(void);
/* The largest number that it does hold open: clients, and their gate connections, which are ours as well. */
uint64_t run_needs_clients(const struct plan *plan);

/* Does a client of it speak TLS? Then the whole packets are wanted: what is cut cannot be decrypted. */
bool run_needs_packets(const struct plan *plan);

/* What only a protocol can say about a plan, before anything is started: is there such a one, and can the requests be written?
 * 0, or -1: the scenario is wrong. */
int run_check(const struct plan *plan, struct err *reterr);

/* Run the plan; evidence goes to the folder dir (made if missing). ev is initialised by the caller and stays readable.
 * 0: ran (whatever the target did); -1: the harness or the target's start failed, *reterr says how; the events up to there,
 * closed by BROKEN or INTERRUPTED and END, are in ev and in the file. 1: this cannot be run here (*reterr says why): SKIP.
 * Nothing of the target is alive afterwards. */
int run_scenario(struct world *w, const struct plan *plan, const char *dir, struct events *ev, struct err *reterr);

/* Launch the plan's target once, wait until it is ready, learn its protocol with one harmless request, kill it. */
int run_probe(struct world *w, const struct plan *plan, const char *dir, struct probe *ret, struct err *reterr);
