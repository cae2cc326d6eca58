/* Event logs by hand: a scenario, a clock in microseconds, and the events that the run layer would record. */
#pragma once
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "judge/facts.h"
#include "judge/judge.h"

#define T0 (1000 * NSEC_PER_SEC)
#define AT(us) (T0 + (us) * NSEC_PER_USEC)
#define PID 100
#define PORT 8080
#define CGT "0000000000004002"  /* SIGTERM and SIGINT are caught */
#define NONE "0000000000000000"
#define MS(n) ((n) * 1000)

static struct rig {
	struct arena *arena;
	struct events ev;
	struct scenario sc;
	struct client_spec clients[8];
	struct signal_spec signals[4];
	struct exit_allowed exits[2];
	struct result res;
	uint32_t sig, frame;
	int32_t conns;
	int census;
	bool no_wire;
} g;

static struct arena *rig_arena;         /* reset between tests */

static void rig_setup(void)
{
	if (!rig_arena)
		rig_arena = arena_new();
	if (g.arena)            /* a test with several cases calls it again */
		events_close(&g.ev);
	arena_reset(rig_arena);
	memset(&g, 0, sizeof g);
	g.arena = rig_arena;
	events_init(&g.ev, g.arena);
	g.sc.name = "by hand";
	g.sc.clients = g.clients;
	g.sc.signals = g.signals;
	g.sc.n_signals = 1;
	g.signals[0].signo = SIGTERM;
	g.sc.expect.within = 10 * NSEC_PER_SEC;
}

static void rig_teardown(void)
{
	events_close(&g.ev);
}

static uint32_t add(int us, enum event_kind kind, int32_t conn, int64_t a, int64_t b, const char *text)
{
	return events_add_at(&g.ev, AT(us), 0, kind, conn, a, b, text);
}

static uint32_t wire(int us, enum event_kind kind, int32_t conn, int64_t a, int64_t b)
{
	return g.no_wire ? 0 : events_add_at(&g.ev, AT(us), ++g.frame, kind, conn, a, b, NULL);
}

/* A group of clients; returns its index. */
static unsigned client(const char *name, enum phase phase)
{
	unsigned i = (unsigned)g.sc.n_clients++;

	g.clients[i] = (struct client_spec){ .name = name, .phase = phase, .count = 1 };
	return i;
}

static void process(int us, const char *state, int pid, int ppid, int threads, int fds, const char *cgt, const char *more)
{
	add(us, EV_PROCESS, g.census, pid, ppid,
	    arena_printf(g.arena, "{\"comm\":\"srv\",\"state\":\"%s\",\"threads\":%d,\"fds\":%d,\"sigcgt\":\"%s\",\"sigblk\":\"" NONE
			 "\",\"sigign\":\"" NONE "\",\"rss_kib\":2048%s}", state, threads, fds, cgt, more));
}

static void census_of(int us, const char *name, const char *cgt)
{
	add(us, EV_CENSUS, -1, ++g.census, 1, name);
	process(us, "S", PID, 1, 1, 5, cgt, "");
}

static int32_t opened(int us, const char *group)
{
	int32_t c = g.conns++;
	const char *phase = "idle";

	for (size_t i = 0; i < g.sc.n_clients; i++)
		if (!strcmp(g.clients[i].name, group))
			phase = phase_rows[g.clients[i].phase].name;
	add(us, EV_CONNECT, c, PORT, 40000 + c, arena_printf(g.arena, "%s %s", group, phase));
	add(us + 10, EV_CONNECTED, c, 0, 0, NULL);
	wire(us + 1, EV_W_SYN, c, 0, 0);
	wire(us + 2, EV_W_SYNACK, c, 0, 0);
	return c;
}

static void asks(int us, int32_t c, int number, const char *line)
{
	add(us, EV_REQUEST, c, number, 100, arena_printf(g.arena, "%016x %s", (unsigned)(c * 16 + number), line));
}

static void begins(int us, int32_t c, int number, int status, int64_t length, const char *close)
{
	add(us, EV_FIRST_BYTE, c, number, 0, NULL);
	add(us, EV_HEAD, c, status, length, close);
}

static void answers(int us, int32_t c, int number, int status, int64_t body, const char *close)
{
	begins(us, c, number, status, body, close);
	add(us, EV_ANSWER, c, number, body, arena_printf(g.arena, "%d echo-ok", status));
	wire(us, EV_W_LAST, c, body + 100, 0);
}

static void fin(int us, int32_t c, int answers_done, int64_t cut)
{
	wire(us - 5, EV_W_FIN_S, c, answers_done * 1000 + cut, 0);
	add(us, EV_EOF_SEEN, c, answers_done, cut, NULL);
}

static void rst(int us, int32_t c, int64_t sent, int64_t acked, int64_t cut)
{
	wire(us - 5, EV_W_RST_S, c, sent, acked);
	add(us, EV_RESET_SEEN, c, ECONNRESET, cut, NULL);
}

/* Launch, ready, one warm-up request "GET /" answered 200. Takes until 1 ms. */
static void starts_with(const char *cgt)
{
	add(0, EV_SCENARIO, -1, 0, 0, "{}");
	add(0, EV_SEES, -1, g.no_wire ? 62 : 63, 0, "all");
	add(1, EV_ROUND, -1, g.ev.round, 0, "");
	add(2, EV_LAUNCH, 0, PID, 0, "./srv");
	add(500, EV_LISTEN, 0, PORT, 77, "100/srv fd 3");
	add(510, EV_READY, -1, 0, 0, "listening");
	census_of(520, "ready", cgt);
	int32_t w = opened(600, "warm-up");

	asks(610, w, 0, "GET /");
	answers(700, w, 0, 200, 16, "keep-alive");
	add(710, EV_CLIENT_CLOSED, w, 0, 0, "warm-up is over");
}

static void starts(void)
{
	starts_with(CGT);
}

/* A client in its phase at 2 ms, with its request read. */
static int32_t parked_at(int us, unsigned spec, const char *line)
{
	enum phase phase = g.clients[spec].phase;
	int32_t c = opened(us, g.clients[spec].name);

	if (phase == PHASE_IDLE) {
		asks(us + 20, c, 0, line);
		answers(us + 30, c, 0, 200, 16, "keep-alive");
	} else if (phase == PHASE_HALF_HEADER || phase == PHASE_HALF_BODY) {
		add(us + 20, EV_PARTIAL, c, 50, 100, NULL);
	} else if (phase != PHASE_CONNECTED) {
		asks(us + 20, c, 0, line);
		if (phase == PHASE_PIPELINED)
			asks(us + 20, c, 1, line);
	}
	if (phase == PHASE_STREAMING)
		begins(us + 40, c, 0, 200, 64, "close");
	add(us + 50, EV_PROVEN, c, phase, phase == PHASE_BACKLOG ? 0 : 1000 + c, "as it is proven");
	return c;
}

static int32_t parked(unsigned spec, const char *line)
{
	return parked_at(MS(2), spec, line);
}

/* Armed at 4 ms, the signal at 5 ms. */
static void signalled_with(int signo, const char *cgt)
{
	census_of(MS(4), "armed", cgt);
	add(MS(4) + 1, EV_ARMED, -1, g.conns - 1, 0, NULL);
	add(MS(5) - 3, EV_LISTEN_ROW, 0, 0, 511, "signal");
	for (int32_t c = 1; c < g.conns; c++)
		wire(MS(5) - 2, EV_W_ACKED, c, 100, 0);
	g.sig = events_add_at(&g.ev, AT(MS(5)), 0, EV_SIGNAL, 0, signo,
			      AT(MS(5) + 4), "process 100");
}

static void signalled(void)
{
	signalled_with(SIGTERM, CGT);
}

static void closes_listener(int us)
{
	add(us, EV_LISTENER_CLOSED, 0, PORT, AT(us - 100), NULL);
}

static void exits(int us, int code)
{
	add(us, EV_EXIT, 0, PID, code, "root");
}

/* The grace is over at 10.005 s: look, kill. */
static void hangs(const char *suspect)
{
	add(MS(10005), EV_AUTOPSY, -1, PID, 0, suspect);
	add(MS(10006), EV_HARNESS_KILL, -1, PID, SIGKILL, "the grace is over");
	add(MS(10007), EV_KILLED, 0, PID, SIGKILL, "root by harness");
}

static void still_open(int us, int32_t c, int state, int server)
{
	add(us, EV_STILL_OPEN, c, state, server, "inode 0");
}

static void ends(int us)
{
	add(us, EV_REBIND, 0, 0, EADDRINUSE, NULL);
	if (!g.no_wire)
		add(us + 1, EV_CAPTURE_END, -1, g.frame, 0, "sentinel frame 99");
	add(us + 2, EV_END, -1, 0, 0, NULL);
}

/* Whoever yields to another check yields to one that FAILs. */
static void yields_to_failures(void)
{
	uint64_t failed = 0;

	for (size_t i = 0; i < g.res.n_verdicts; i++)
		if (g.res.verdicts[i].finding.outcome == FAIL)
			failed |= UINT64_C(1) << check_index(g.res.verdicts[i].check);
	for (size_t i = 0; i < g.res.n_verdicts; i++) {
		const struct verdict *v = &g.res.verdicts[i];
		bool silent = v->finding.outcome == PASS || v->finding.outcome == SKIP;

		ck_assert_msg(!silent || !(v->finding.see & ~failed) || strstr(v->finding.actual, "left out of this run"),
			      "%s: %s", v->check->id, v->finding.actual);
	}
}

static void judge_only(char **only)
{
	judge_all(&g.sc, &g.ev, only, NULL, g.arena, &g.res);
	yields_to_failures();
}

static void judge(void)
{
	judge_only(NULL);
}

/* A good end: the listener closed at 5.2 ms, exit 0 at 20 ms. */
static void good_end(void)
{
	closes_listener(MS(5) + 200);
	exits(MS(20), 0);
	ends(MS(21));
	judge();
}

static const struct finding *verdict(const char *id)
{
	for (size_t i = 0; i < g.res.n_verdicts; i++)
		if (!strcmp(g.res.verdicts[i].check->id, id))
			return &g.res.verdicts[i].finding;
	return NULL;
}

/* Exactly these checks FAIL ("CON-1 SIG-1", "" none), and what they say is complete. */
static void fails(const char *ids)
{
	char got[256] = "";

	for (size_t i = 0; i < g.res.n_verdicts; i++) {
		const struct verdict *v = &g.res.verdicts[i];

		ck_assert_ptr_nonnull(v->finding.expected);
		ck_assert_msg(v->finding.actual && *v->finding.actual, "%s says nothing", v->check->id);
		if (v->finding.outcome != FAIL)
			continue;
		strcat(strcat(got, *got ? " " : ""), v->check->id);
		ck_assert_msg(v->finding.n_cites > 0, "%s cites nothing", v->check->id);
		ck_assert_msg(v->finding.whose != NULL, "%s blames nobody", v->check->id);
		for (unsigned k = 0; k < v->finding.n_cites; k++)
			ck_assert_ptr_nonnull(event_at(&g.ev, v->finding.cites[k]));
	}
	if (strcmp(got, ids))
		for (size_t i = 0; i < g.res.n_verdicts; i++)
			fprintf(stderr, "    %-7s %-6s %s\n", g.res.verdicts[i].check->id, outcome_names[g.res.verdicts[i].finding.outcome],
				g.res.verdicts[i].finding.actual);
	ck_assert_str_eq(got, ids);
	ck_assert(!*ids || g.res.story != NULL);
}

static void is(const char *id, enum outcome outcome)
{
	const struct finding *v = verdict(id);

	ck_assert_msg(v != NULL, "no verdict of %s", id);
	ck_assert_msg(v->outcome == outcome, "%s is %s: %s", id, outcome_names[v->outcome], v->actual);
}

static void says(const char *id, const char *words)
{
	const struct finding *v = verdict(id);

	ck_assert_msg(v && strstr(v->actual, words), "%s says: %s", id, v ? v->actual : "nothing");
}

/* The outcome of a connection by judge_conn. */
static enum conn_outcome outcome_of(int32_t c)
{
	uint32_t cites[FINDING_CITES];
	unsigned n;
	enum conn_outcome o = judge_conn(facts_build(&g.sc, &g.ev, g.arena), c, cites, &n);

	ck_assert(n > 0 && n <= FINDING_CITES);
	return o;
}

static inline void rig_unused(void)
{
	(void)rig_unused, (void)rig_setup, (void)rig_teardown, (void)wire, (void)client, (void)parked_at, (void)closes_listener;
	(void)hangs, (void)still_open, (void)good_end, (void)fails, (void)is, (void)says, (void)outcome_of, (void)fin, (void)rst;
	(void)starts, (void)signalled, (void)parked, (void)begins;
}

static inline int rig_main(Suite *s)
{
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
