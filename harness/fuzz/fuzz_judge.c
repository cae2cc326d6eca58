/* Any list of events is judged without harm, whatever order, times and numbers it has, and the result is complete.
 * Input: four bytes choose the scenario, then six bytes an event: kind, connection and round, time, a, b, text. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "judge/explain.h"
#include "judge/judge.h"

#define MAX_EVENTS 600

static const char *const texts[] = {
	NULL, "root", "root core", "root by harness", "descendant", "descendant core", "slow waiting", "slow#0 nonsense", "warm-up idle",
	"200 echo-ok", "200 echo-bad@7", "200 body-other@0", "503", "close", "keep-alive", "inode 7 wqueue 0 timer 0", "inode 0 wqueue 0", "signal", "armed",
	"ready", "batch", "generation", "end", "predecessor", "x GET /", "y GET /gate", "sentinel frame 9", "no sentinel", "104/srv fd 3, CLOEXEC missing",
	"104/sleep fd 3, CLOEXEC set", "{\"comm\":\"srv\",\"state\":\"Z\",\"threads\":3,\"fds\":null,\"sigcgt\":\"0000000000004002\"}",
	"{\"comm\":\"srv\",\"state\":\"S\",\"threads\":9,\"fds\":9,\"sigcgt\":\"0\",\"sigblk\":\"0\",\"sigign\":\"0\",\"rss_kib\":"
	"99999999999999999999,\"pid1\":true}", "{\"threads\":", "thread 'w' (3) in futex; no client socket open", "==1==ERROR: AddressSanitizer",
	"idle idle", "q backlog", "busy loop", "new late", "half half-body", "big slow-reader", "pipe pipelined", "s streaming", "h half-closed",
};

/* Small numbers, the numbers that mean something, and the absurd ones. */
static int64_t number(uint8_t x)
{
	static const int64_t odd[] = { INT64_MIN, INT64_MAX, -1, -2, ECONNREFUSED, ECONNRESET, ETIMEDOUT, 8080, 1000, UINT32_MAX, 100, 101,
		SIGTERM, SIGINT, SIGKILL, SIGABRT };

	return x < 16 ? odd[x] : x - 16;
}

static void scenario_from(const uint8_t *p, struct scenario *sc, struct client_spec *clients, struct signal_spec *signals,
			  struct exit_allowed *exits, enum whom *vary, char **removes)
{
	static const char *const names[] = { "slow", "idle", "q", "busy", "new", "half", "big", "pipe", "s", "h", "silent" };
	static const enum phase phases[] = { PHASE_WAITING, PHASE_IDLE, PHASE_BACKLOG, PHASE_LOOP, PHASE_LATE, PHASE_HALF_BODY,
		PHASE_SLOW_READER, PHASE_PIPELINED, PHASE_STREAMING, PHASE_HALF_CLOSED, PHASE_CONNECTED };

	sc->name = "fuzz";
	sc->clients = clients;
	sc->n_clients = sizeof names / sizeof *names;
	for (size_t i = 0; i < sc->n_clients; i++)
		clients[i] = (struct client_spec){ .name = names[i], .phase = phases[i], .never_closes = p[0] & 1 };
	sc->signals = signals;
	sc->n_signals = 2;
	signals[0].signo = SIGTERM;
	signals[1].signo = p[0] & 2 ? SIGINT : SIGTERM;
	sc->skip_if_unreachable = p[0] & 4;
	sc->restart = (struct restart_spec){ .how = p[0] & 8 ? 1 + p[3] % RESTART_COMMAND : RESTART_NO, .newest = p[3] & 64, .times = p[3],
		.within = NSEC_PER_SEC };
	sc->target.no_port = p[0] & 16;
	sc->target.isolate = p[0] & 32 ? ISOLATE_CONTAINER : ISOLATE_AUTO;
	sc->sweep = p[0] & 64 ? 3 : 0;
	sc->vary_to = vary;
	sc->n_vary_to = p[0] & 128 ? 2 : 0;
	sc->leak_batches = p[1] & 3;
	sc->leak_batch_size = p[1] >> 2 & 7;
	sc->expect.readiness = p[1] & 32 ? "/healthz" : NULL;
	sc->expect.log = p[1] & 64 ? "stopped" : NULL;
	sc->expect.removes = p[1] & 128 ? removes : NULL;
	sc->expect.has_second = p[2] & 1;
	sc->expect.second = (enum second_policy)(p[2] >> 1 & 1 ? SECOND_FORCE : SECOND_IDEMPOTENT);
	sc->expect.within = number(p[3]);
	sc->expect.exits = exits;
	sc->expect.n_exits = p[2] >> 3 & 1;
	exits[0] = (struct exit_allowed){ (enum exit_how)(p[2] >> 4 & 3), 0 };
}

static void check_result(const struct result *r, const struct events *ev)
{
	for (size_t i = 0; i < r->n_verdicts; i++) {
		const struct finding *v = &r->verdicts[i].finding;

		if (!v->actual || !v->expected || v->n_cites > FINDING_CITES || (v->outcome == FAIL && !v->whose))
			abort();
		for (unsigned k = 0; k < v->n_cites; k++)
			if (!event_at(ev, v->cites[k]))
				abort();
	}
	if ((r->outcome == BROKEN) != (r->broken != NULL) || (r->outcome == SKIP) != (r->skip_reason != NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct arena *arena;
	struct client_spec clients[16] = { 0 };
	struct signal_spec signals[2] = { 0 };
	struct exit_allowed exits[1];
	enum whom vary[2] = { TO_PROCESS, TO_GROUP };
	char *removes[] = { "/x", NULL };
	struct scenario sc = { 0 };
	struct result res;
	struct events ev;
	nsec_t t = 1000;

	if (n < 4)
		return 0;
	arena = arena ? arena : arena_new();
	arena_reset(arena);
	scenario_from(p, &sc, clients, signals, exits, vary, removes);
	events_init(&ev, arena);
	for (size_t i = 4; i + 6 <= n && ev.n < MAX_EVENTS; i += 6) {
		const uint8_t *e = p + i;

		t = e[2] == 255 ? INT64_MAX : e[2] == 254 ? INT64_MIN : e[2] == 253 ? 1000 :
			t > INT64_MAX / 2 || t < 0 ? 1000 : t + ((nsec_t)e[2] << (e[2] >> 4));
		ev.round = e[1] >> 6;
		events_add_at(&ev, t, e[3] & 1 ? e[2] : 0, (enum event_kind)(e[0] % EV_N), (int32_t)(e[1] & 63) % 12 - 1, number(e[3]),
			      e[4] == 200 ? t & ~INT64_C(7) : number(e[4]), texts[e[5] % (sizeof texts / sizeof *texts)]);
	}
	/* most logs should get past the first look */
	if (!(p[2] & 128))
		events_add_at(&ev, t, 0, EV_END, -1, 0, 0, NULL);
	judge_all(&sc, &ev, NULL, NULL, arena, &res);
	check_result(&res, &ev);
	events_close(&ev);
	return 0;
}
