/* Inside the run layer: one run in progress. Everything here lives in the run's arena or in the world. */
#pragma once
#include <netinet/in.h>
#include <regex.h>
#include <sys/types.h>
#include <sys/un.h>

#include "proto/proto.h"
#include "run/logs.h"
#include "run/pressure.h"
#include "run/run.h"
#include "target/census.h"
#include "target/launch.h"

#define MAX_PORTS 8
#define MAX_TREE 256             /* processes of a target that are looked at one by one */
#define MAX_ACTIONS 64

enum tls_file { TLS_FILE_CERT, TLS_FILE_KEY, TLS_FILE_CA, TLS_FILES };

struct client {                 /* a client_spec made ready to connect */
	const struct client_spec *spec;
	const struct proto *proto;
	struct request rq;
	struct request *rqs;    /* the same, or the several that its protocol makes of its line, each answered by itself */
	size_t n_rqs;           /* 0: nothing is sent */
	bool tls;               /* proto inside TLS */
	unsigned port;          /* index into run.ports */
	const char *label;      /* "name phase" */
	struct client *control; /* asks its request once before all is armed (control.c); NULL: nobody does */
	bool is_control;
	bool asks_later;        /* connected and silent until a step tells it to finish: then its request */
	bool gated;             /* its request goes to the gate: reaching it is the proof */
	uint32_t opened;        /* connections so far */
	uint32_t answers;       /* complete ones, of all its connections */
	bool started;           /* late, loop: its step has run */
	struct carrier *filling;        /* mux.c: the connection that takes the next stream */
	struct timer pause;     /* loop: `every` */
	struct conn *paused;    /* by next_pending */
	uint32_t held;          /* connections to open when the pause of a hand-over is over */
};

enum conn_state {
	CONN_CONNECTING, CONN_SENDING, CONN_PARKED, /* all that its phase wants is sent: proof is looked for */
	CONN_PROVEN, CONN_FREE,                 /* FREE: no phase to prove (late, loop, warm-up) */
	CONN_OVER,                              /* FIN, RST, refused, or closed by us */
};

struct unsent {
	struct buf all;
	size_t at;                              /* sent so far */
};

struct conn {
	struct watch w;                         /* w.arg: the run */
	struct client *client;
	struct conn_tls *tls;                   /* NULL: plain */
	struct conn *next_pending;              /* list of conns not yet proven */
	struct unsent *unsent;                  /* what is to be sent; NULL: nothing */
	uint32_t request_n;                     /* bytes of the request, or the part of one, that was handed over last */
	uint32_t replied;                       /* bytes that the protocol itself has sent behind it: pongs */
	uint32_t rest_at;                       /* where the part of the last request begins that the phase withholds */
	int32_t index;
	uint32_t src_ip;                        /* network order */
	uint32_t number;                        /* mux.c: of the streams on its connection, from 1; 0: not opened */
	nsec_t t_read;                          /* when its request was first seen read, or its greeting heard; 0: not yet */
	uint16_t src_port;
	uint16_t asked, answered;               /* requests handed over, answers complete */
	uint16_t told;                          /* of those asked, with a REQUEST event: whole */
	uint8_t state;
	bool unproven : 1, reading : 1, eof : 1, owed : 1, answering : 1, withheld : 1, first_byte : 1, head_seen : 1;
	bool gate_hit : 1, bad : 1, connected : 1, continued : 1, read_any : 1, looped : 1, paused : 1, was_reset : 1;
	bool hearing : 1, greeted : 1;          /* see greeting.c */
	bool asking : 1;                        /* a request is being handed over */
	bool started : 1;                       /* st is in use: see answer_end */
	bool to_ask : 1, above : 1;             /* mux.c: waits for SETTINGS; answered although GOAWAY disowned it */
	/* generation that this answer names, plus 1, 0: none yet (restart.times is at most 1000); and its process (PID_MAX_LIMIT, 2^22) */
	uint32_t heard : 10, heard_pid : 22;
	struct carrier *car;                    /* mux.c: NULL where a connection carries one request at a time */
	union {                                 /* what is multiplexed has no greeting */
		struct conn *next_hearing;      /* list of those that wait for the server's greeting */
		struct conn *next_sent;         /* by carrier */
	};
	struct answer an;
	_Alignas(8) char st[];                  /* proto->state_size */
};

struct port {
	const struct port_spec *spec;
	uint16_t number;
	const char *path;                       /* of a unix socket; then number is only what events call it. NULL: TCP */
	bool v6;                                /* the target listens on ::1 only */
	struct sockaddr_storage addr;
	uint32_t inode;
	uint32_t *inodes;                       /* of all LISTEN rows on the port before the signal */
	unsigned n_inodes, cap_inodes;
	uint32_t twin;                          /* listened on when all of those were gone */
	bool listening, closed, back;
	bool unseen;                            /* a look-up has failed, and it was said */
	unsigned looks;                         /* for its listener, before it was there */
	nsec_t t_last_open;
};

static inline socklen_t port_addr_len(const struct port *p)
{
	return p->path ? sizeof(struct sockaddr_un) : p->v6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
}

struct gate_conn {
	struct watch w;
	int32_t index;
	char *in;                       /* the run's; grows up to GATE_HEAD_MAX */
	unsigned in_n, in_max;
	bool held, streaming, closes;
	int32_t conn;
	char nonce[NONCE_LEN + 1];
	struct gate_conn *next;
};

struct action {
	const struct signal_spec *sig;          /* one of the two */
	const struct step_spec *step;
	unsigned number;                        /* index in its list */
	uint32_t left;                          /* storm: how many more */
	nsec_t due;                             /* NSEC_NEVER: its event has not come */
	nsec_t at_latest;                       /* due without its event, were the machine not busy; 0: only with it */
	nsec_t asked_gap;
	bool done;
	nsec_t t_log;                           /* its line came, 0: not yet */
	regex_t re;
	bool has_re;
};

struct member {                         /* of a generation: a process, with the socket by which it was found */
	pid_t pid;
	uint32_t inode;
	uint16_t generation;
	bool gone;
};

#define MAX_MEMBERS 1024
#define MAX_LABELS  256

/* One generation after the other. A generation is who listens: processes found by the inode of a LISTEN socket, never by time. */
struct hand {
	struct member members[MAX_MEMBERS];
	unsigned n_members;
	unsigned attempt;                       /* number of the hand-over in progress, or the last one; 0: none yet */
	unsigned found, answered;               /* newest generation that listens; that has answered */
	struct {
		char text[24];
		uint16_t generation;
		pid_t pid;
	} labels[MAX_LABELS];                   /* what answers named, once seen */
	unsigned n_labels;
	regex_t names;
	bool brake;                             /* a hand-over takes long: the stream goes on slowly */
	bool pause;                             /* nobody asks anything: the census is of the server alone */
	bool over;                              /* the stream ends */
	bool late;                              /* an old generation outlived its time: it is not waited for again */
	bool known;                             /* reload_disposition and end_disposition are */
	unsigned reload_disposition, end_disposition;   /* what the first generation does with restart.send, with signals[0] */
	pid_t taker;                            /* who is to get the next signal, */
	int taken;                              /* which one, */
	unsigned as_before;                     /* and what the first generation does with it: waited for */
	uint32_t goal, seen, nudges;            /* answers awaited, at the last look; connections put in the place of stuck ones */
	nsec_t t_seen, t_look;
};

struct run {
	struct world *world;
	struct loop *loop;
	const struct plan *plan;
	const struct scenario *sc;
	struct events *ev;
	struct arena *arena;            /* of the events: texts, and what is small */
	struct arena *mem;              /* connections: freed before judging begins */
	const char *dir;
	struct err *err;

	struct port ports[MAX_PORTS];
	unsigned n_ports;
	struct client *clients;
	unsigned n_clients;
	struct client warmup;
	struct client_spec warmup_spec;

	/* the target */
	pid_t pid;
	int pidfd;
	struct watch pid_watch;
	bool alive, reaped, stopped, harness_killed, runaway;
	int generation, tty;
	nsec_t t_launch, t_exit;
	struct log_file logs[2];
	int notify_fd;
	struct watch notify_watch, inotify_watch;
	bool notified, log_activity;
	bool claimed, claimed_early;    /* it has said that it is ready; and that was too early */
	char **argv, **envp;
	uint64_t rss_kib;

	/* TLS, if any client or the command has to do with it */
	struct tls_ctx *tls;
	bool tls_handed;                        /* the target was told of the files */
	const char *tls_files[TLS_FILES];       /* paths */
	int keylog;

	/* connections */
	struct conn **conns;            /* by index - conn_base; grows */
	uint32_t n_conns, cap_conns;
	struct conn *pending, *pending_last;
	uint32_t n_pending;
	uint32_t owed;                  /* answers owed and not yet settled */
	uint8_t *buf;                   /* shared read buffer */
	struct conn *hearing;                   /* these have not asked yet: the server may speak first */
	enum { SPEAKS_UNKNOWN, SPEAKS_SECOND, SPEAKS_FIRST } speaks_first;
	nsec_t t_greet;                         /* next look at them */
	nsec_t t_prove;                 /* next look at the pending ones */
	nsec_t t_all_asleep, t_asleep_look;
	bool asleep, typed;             /* typed: the first signal came by the terminal */

	/* gate */
	struct watch gate_watch;
	uint16_t gate_port;
	struct gate_conn *gate_conns;
	int32_t n_gate;
	uint32_t gate_held;
	bool gate_open;

	/* signals, steps, time line */
	struct action actions[MAX_ACTIONS];
	unsigned n_actions;
	nsec_t t_on[ON_EXIT + 1];       /* when each trigger event came, 0: not yet */
	nsec_t t_signal, t_prev_signal, t_grace;
	struct pressure pressure;       /* at the first signal */
	struct cpu_lost share;          /* of the CPUs, since the first signal */
	bool held_seen;                 /* HELD: it was looked who holds it, shortly before the grace is over */
	unsigned n_signals;
	int last_signo;
	bool second_contract;
	bool alone;                     /* the first signal alone: this round only tells whose doing the hang of the one before was */
	nsec_t t_watch, t_probe, t_left;        /* next look at listeners, at its readiness, at who is left of it */
	uint16_t census_no;
	uint32_t leak_from;             /* first connection of the batch */
	struct question *asks;                  /* of the harness's own, not answered yet */
	int ready_status;
	nsec_t t_progress;              /* a client last came closer to what it wants */
	nsec_t look;                    /* when the condition that is pumped for wants to look again */
	struct checking *health_watch;  /* ask_health.c: a Watch that stands; NULL: none */
	nsec_t t_runaway, t_capture;
	int no_socket;                  /* errno of a client for which there was none; 0: all had one */
	uint32_t round_first;           /* first connection of this round */
	bool capturing;
	bool none_left;                 /* root and all descendants of this generation are gone: looked for and proven */
	bool watching;                  /* listeners are watched: from the signal to the exit */
	pid_t left[MAX_TREE];           /* processes that were there when the same command was started again: not its own */
	unsigned n_left;
	pid_t beside;                   /* the new process of an overlapping restart, 0: none yet */
	bool beside_up;
	uint32_t beside_files;          /* of expect.removes, those that were there when it was up */
	struct hand *hand;              /* NULL: no generations hand over here */
	uint8_t first[256];                     /* what came first on the probe's connection */
	unsigned n_first;
	bool hung_up;                           /* the server ended that connection */
	struct client after_exit[MAX_PORTS];
	struct client_spec after_exit_spec;
};

#define RUN_BUF (256 * 1024)

/* conn.c */
struct conn *conn_open(struct run *r, struct client *cl);
void conn_ask(struct run *r, struct conn *c);                   /* the next request */
void conn_speak(struct run *r, struct conn *c);                 /* the first one, when it is our turn */
void conn_send_rest(struct run *r, struct conn *c);             /* STEP_FINISH */
void conn_send_more(struct run *r, struct conn *c, bool whole);
void conn_start_reading(struct run *r, struct conn *c);         /* STEP_READ */
void conn_listen(struct run *r, struct conn *c, bool reads);
void conn_close(struct run *r, struct conn *c, const char *why);/* STEP_CLOSE, end of the round */
void conn_over(struct run *r, struct conn *c);
void conn_nonce(const struct run *r, const struct conn *c, unsigned number, char out[NONCE_LEN + 1]);
struct conn *conn_by_nonce(struct run *r, const char *nonce, unsigned *ret_number);  /* NULL: not ours */
void conn_settle(struct run *r, struct conn *c);                /* its answer came or is lost */
int conn_tcp_state(const struct conn *c);
bool conn_heard(struct run *r, const struct conn *c);
uint64_t conn_body(const struct conn *c);                       /* bytes of its request's body */
const struct request *conn_request(const struct conn *c, unsigned number);

/* conn_io.c */
void conn_failed(struct run *r, struct conn *c, int errnum);
void conn_flush(struct run *r, struct conn *c);
void conn_forget_unsent(struct conn *c);
void conn_read(struct run *r, struct conn *c);
void conn_eof(struct run *r, struct conn *c);
void conn_queue(struct conn *c, struct buf *b, size_t n);
void conn_queue_wire(struct conn *c, struct buf *b, size_t n);    /* the same, as it goes on the wire */
void conn_progress(struct run *r, struct conn *c);              /* its answer has moved */
void request_sent(struct run *r, struct conn *c);
void conn_send_request(struct run *r, struct conn *c, struct buf *b, size_t n);
void answer_begin(struct run *r, struct conn *c);
void conn_begin(struct run *r, struct conn *c);                 /* the protocol's turn: after TCP, or after TLS */
void conn_take(struct run *r, struct conn *c, const uint8_t *p, size_t n);
void answer_end(struct conn *c);

/* mux.c: connections that carry many requests */
bool mux_join(struct run *r, struct conn *c);
void mux_joined(struct run *r, struct conn *c);
void mux_connected(struct run *r, struct conn *c);
void mux_established(struct run *r, struct conn *c);
bool mux_owns(const struct conn *c);                            /* the socket is its own */
void mux_ask(struct run *r, struct conn *c);
void mux_send_more(struct run *r, struct conn *c, bool whole);
void mux_read_on(struct run *r, struct conn *c);
void mux_bytes(struct run *r, struct conn *c, const uint8_t *p, size_t n);
void mux_flushed(struct run *r, struct conn *c);
void mux_ended(struct run *r, struct conn *c, int errnum);
void mux_closed(struct run *r, struct conn *c, const char *why);
bool mux_was_read(struct run *r, struct conn *c);
bool mux_ponged(const struct conn *c);
bool mux_shut(const struct conn *c);
bool mux_heard(const struct conn *c);                           /* the server's SETTINGS came */
uint32_t mux_max_streams(const struct conn *c);

/* greeting.c: who speaks first */
bool greeting_awaited(struct run *r, const struct conn *c);
void greeting_await(struct run *r, struct conn *c);
void greeting_bytes(struct run *r, struct conn *c, const uint8_t *p, size_t n);
void greetings_look(struct run *r);

/* too_small.c: says so of an answer that fits into the socket buffers */
bool too_small(struct run *r, struct conn *c, const struct diag_row *row);

/* control.c */
bool control_wanted(const struct run *r, unsigned i);
struct client_spec *control_spec(struct run *r, const struct client_spec *of);
int controls(struct run *r);

/* conn_tls.c */
int tls_open(struct run *r);                                    /* makes the CA and its files */
int tls_begin(struct run *r);                                   /* makes the CA and its files, if the run needs them */
void tls_end(struct run *r);
void conn_tls_start(struct run *r, struct conn *c);
void conn_tls_stop(struct run *r, struct conn *c);
void conn_tls_seal(struct conn *c, const void *p, size_t n, struct buf *out);
void conn_tls_bye(struct conn *c);
void conn_tls_read(struct run *r, struct conn *c, size_t n);
bool conn_shaking(const struct conn *c);                        /* its handshake is not done */
bool conn_end_is_told(const struct conn *c);

/* phase.c */
int clients_prepare(struct run *r);
int client_probe(struct run *r, const struct proto *proto, bool tls);    /* the warm-up becomes that protocol's probe */
int clients_arm(struct run *r);                                 /* opens and proves all; adds ARMED */
void phase_progress(struct run *r, struct conn *c);             /* called after each input */
/* Since *t_since, set if it is 0, every thread of the target sleeps; or has computed for a tenth of a second. */
bool target_waits(struct run *r, nsec_t *t_since);
bool target_rests(struct run *r);      /* asleep as a whole for 12 ms of looks: ask again and again */
bool phase_try_prove(struct run *r, struct conn *c);
bool phase_awaits_gate(const struct conn *c);      /* nothing but the gate can prove it */
void phase_proven(struct run *r, struct conn *c, uint32_t inode, const char *how);
void phase_unreachable(struct run *r, struct conn *c, const char *why);
void phase_loop_step(struct run *r, struct conn *c);
void loops_go_on(struct run *r);
int warm_up(struct run *r);
/* Until the last connection's answer is there, or it is given up. */
void first_answer(struct run *r, struct conn *c, const char *what);
int leak_batches(struct run *r);
void client_start(struct run *r, struct client *cl);            /* late and loop clients */
int diag_of(struct run *r, const struct conn *c, struct diag_row *row);
struct conn *conn_by_port(struct run *r, uint16_t src_port);

/* gate.c */
int gate_open(struct run *r);
void gate_release(struct run *r);
void gate_close(struct run *r);

/* target.c */
int target_start(struct run *r, const char *label);
void target_reap(struct run *r);                                /* SIGCHLD */
void target_kill_all(struct run *r);
void target_stop_continue(struct run *r, bool stop);
unsigned target_tree(struct run *r, struct proc *v, unsigned max, bool fds);
void target_census(struct run *r, const char *name, bool fds);
void root_settle(struct run *r);                                /* until it sleeps, and does not just block the signal */
void workers_settle(struct run *r);                             /* the same of all its processes, where there are several */
void target_settle(struct run *r);                              /* until no thread runs and the counts stand still */
int ports_choose(struct run *r);
void ports_release(struct run *r);

/* ready.c */
int target_await_ready(struct run *r);
bool daemonised(struct run *r);         /* the command has ended with 0, unsignalled, and others of it live on; r->err says so */
bool ports_listen(struct run *r);                               /* for pump(): each port has a listener, or the root is gone */
int notify_open(struct run *r, char *name, size_t n);

/* shooter.c */
int actions_prepare(struct run *r);
void actions_event(struct run *r, enum trigger_on on, nsec_t t);
bool actions_await_line(const struct run *r);                   /* does one of them still wait for a line of the log? */
bool actions_line(struct run *r, const char *line, nsec_t t);   /* true: it is one that was waited for */
nsec_t actions_next(const struct run *r);
bool actions_want(const struct run *r, enum trigger_on on);     /* does one of them still wait for it? */
void actions_run(struct run *r);
void actions_free(struct run *r);
bool actions_pending(const struct run *r);

/* watch.c */
void watch_listeners(struct run *r);
nsec_t watch_period(nsec_t since);              /* from the signal: until the next look at the listeners */
void listeners_learn(struct run *r);
int port_listener(struct run *r, const struct port *p, struct diag_row *ret);   /* as diag_listener */
int port_listeners(struct run *r, const struct port *p, bool (*fn)(const struct diag_row *, void *), void *arg);
void watch_counters(struct run *r, bool end);
void watch_wire(struct run *r);                                  /* drains the ring: often, or packets are lost */
void listen_rows(struct run *r, const char *when);

/* ask.c: one GET, asynchronously; fn gets the status or -errno. Whatever is still open when the round ends is dropped: its memory is
 * the run's, and the loop would find it there in the next one. */
struct question {
	struct question *next;
	void (*drop)(void *of);
	void *of;
};
void question_open(struct run *r, struct question *q);
void question_closed(struct run *r, struct question *q);
void questions_end(struct run *r);
typedef void (*ask_fn)(struct run *r, void *arg, int status, const char *body);
int ask(struct run *r, unsigned port, const char *path, nsec_t within, ask_fn fn, void *arg);
/* The standard health service of gRPC: 200 SERVING, 503 not, else the HTTP class of its status. service NULL: the server's own. */
int ask_health(struct run *r, unsigned port, const char *service, nsec_t within, ask_fn fn, void *arg);
/* The same for as long as the round lasts: fn is called at each change that the server tells. */
int watch_health(struct run *r, unsigned port, const char *service, ask_fn fn, void *arg);
bool health_told(const struct run *r);          /* its first word has come, or there is none to come */
void health_end(struct run *r);
void readiness_watch(struct run *r);            /* watch.c: for `readiness: watch`, until its first word */
/* The same, awaited: status or -errno; 0 if nothing can be asked (no port, no protocol with a status). */
int ask_and_wait(struct run *r, const char *path, nsec_t within);

/* aftermath.c */
void aftermath(struct run *r);
void zombies_look(struct run *r);
void left_processes(struct run *r);
void rebind(struct run *r);
void port_autopsy(struct run *r, struct port *p);
void restart(struct run *r);
void restart_ask(struct run *r, const char *what);
void beside_start(struct run *r);       /* beside.c: the same command while the old process drains */
void beside_after(struct run *r);
unsigned beside_leave_out(const struct run *r, struct proc *v, unsigned n);
void still_open(struct run *r);
void held_look(struct run *r);                                  /* HELD: whose connections the target has open */
void target_logs(struct run *r);        /* what it said at the end */
void one_autopsy(struct run *r, pid_t pid);
void places_clean(struct run *r);       /* TMPDIR and /dev/shm: what a killed restart left is nobody's */
void remove_tree(const char *path);     /* files.c; never follows a link */
void autopsy_and_kill(struct run *r, const char *why);

/* generation.c */
void generation_look(struct run *r);                            /* who listens now? */
void generation_hear(struct run *r, struct conn *c, const uint8_t *p, size_t n);        /* bytes of an answer: do they name it? */
void generation_answered(struct run *r, struct conn *c);
pid_t generation_leader(struct run *r);                         /* of the newest that lives; 0: none */
bool generation_adopt(struct run *r);                           /* the root is gone: is there a successor? */
bool generation_old_gone(struct run *r);
bool generation_survivors(struct run *r);                       /* says who lives and should not; true: somebody does */
void root_watch(struct run *r, pid_t pid, int pidfd);           /* target.c: this process is the root from now on */
int target_launch(struct run *r, char **argv, int tty, struct launched *ret);

/* handover.c */
int handovers(struct run *r);
bool has_loops(const struct run *r);
void hand_over_end(struct run *r);                              /* no generations any more */
void heir_settle(struct run *r);                                /* until the last generation takes its signal as the first did */

/* heir.c: the last generation's own end */
int heir_round(struct run *r);

/* round.c */
int round_run(struct run *r, const char *label);
void round_reset(struct run *r, const char *label);
void round_end(struct run *r);
void clients_end(struct run *r, const char *why);               /* closes all connections of this round */
int round_stop(struct run *r);                                  /* from the clients' phases to the aftermath */
/* Let things happen until cond(r) or the time; true: cond held. Interruption ends it at once. */
bool pump(struct run *r, bool (*cond)(struct run *), nsec_t until);
/* The same, until for arm_within no client has come closer to its phase or its answer. */
bool pump_progress(struct run *r, bool (*cond)(struct run *));
int sweep_run(struct run *r);

/* probe.c, run.c */
void probe_learn(struct run *r, struct probe *ret);
int run_one_probe(struct world *w, const struct plan *plan, const char *dir, struct events *ev, struct probe *ret,
		  struct err *reterr);
