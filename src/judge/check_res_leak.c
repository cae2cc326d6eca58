/* RES-3, RES-4: what grows by one a connection, and what stays on disk. */
#include <string.h>

#include "judge/say.h"

#define MAX_POINTS 16

/* Sums over the target's processes in each census between batches; points[0] is the census at
 * readiness. */
struct growth {
	uint64_t points[MAX_POINTS];
	uint32_t events[MAX_POINTS], n;
	bool visible;
};

static bool sum_of(const struct facts *f, uint32_t census, const char *key, uint64_t *ret)
{
	int64_t number = fact_a(f, census);
	bool any = false;

	*ret = 0;
	for (uint32_t n = census + 1; n <= f->ev->n; n++) {
		const struct event *e = fact_event(f, n);
		uint64_t v;

		if (e->kind != EV_PROCESS || e->conn != number)
			break;          /* they follow their CENSUS */
		if (!process_field(f, n, key, &v) || v > UINT32_MAX)
			return false;
		*ret += v;
		any = true;
	}
	return any;
}

static struct growth growth_of(const struct facts *f, const struct round_fact *r, const char *key)
{
	struct growth g = { .visible = true };

	for_each_event(f, EV_CENSUS, n) {
		bool batch = !strcmp(fact_text(f, n), "batch"), ready = !strcmp(fact_text(f, n), "ready");

		if (fact_event(f, n)->round != r->id || fact_t(f, n) > signal_begin(f, r) ||
			(!batch && !ready) || g.n == MAX_POINTS)
			continue;
		if (ready)
			g.n = 0;
		g.visible &= sum_of(f, n, key, &g.points[g.n]);
		g.events[g.n++] = n;
	}
	return g;
}

/* One more for every connection of every batch; a pool grows in the first batch only. */
static bool leaks(const struct facts *f, const struct growth *g)
{
	uint64_t size = f->sc->leak_batch_size;

	if (!g->visible || g->n < 4 || size < 2)
		return false;
	for (uint32_t i = 1; i < g->n; i++)
		if (g->points[i] < g->points[i - 1] || g->points[i] - g->points[i - 1] < size)
			return false;
	return true;
}

/* A later look at which it had gone down again: it was lazy, not leaking. */
static bool recovered(
	const struct facts *f, const struct round_fact *r, const char *key, const struct growth *g)
{
	uint64_t later;

	return r->census > g->events[g->n - 1] && sum_of(f, r->census, key, &later) &&
	       g->points[g->n - 1] > f->sc->leak_batch_size &&
	       later + f->sc->leak_batch_size <= g->points[g->n - 1];
}

static const char *growth_text(const struct facts *f, const struct growth *g)
{
	const char *text = "";

	for (uint32_t i = 0; i < g->n; i++)
		text = arena_printf(
			f->arena, "%s%s%llu", text, i ? ", " : "", (unsigned long long)g->points[i]);
	return text;
}

static void one_growth(struct sum *t, const struct round_fact *r, const char *key)
{
	const struct facts *f = t->f;
	struct growth g = growth_of(f, r, key);

	if (!f->sc->leak_batches || g.n < 2)
		return;
	if (!g.visible) {
		sum_unsure(t, g.events[0], "the number of %s was not visible", key);
	} else if (!leaks(f, &g) || recovered(f, r, key, &g)) {
		t->good++;
	} else if (sum_bad(t, MUST, "application",
			   "%s grow by one a connection: %s after batches of %u connections "
			   "of one request each",
			   key, growth_text(f, &g), f->sc->leak_batch_size)) {
		for (uint32_t i = 0; i < g.n; i++)
			cite(t->ret, g.events[i]);
	}
}

static bool thread_applies(const struct scenario *sc, const struct facts *f)
{
	if (sc->sweep)
		return false;
	if (sc->leak_batches)
		return any_round(f);
	for_each_round(f, r) {
		if (hang_of(f, r)->charged && !strcmp(hang_of(f, r)->charged, "RES-3"))
			return true;
	}
	return false;
}

static void judge_res_3(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, NULL);
	ret->expected = "threads come back to where they were, and none holds the exit";
	for_each_round(f, r) {
		const struct hung *h = hang_of(f, r);

		one_growth(&t, r, "threads");
		if (h->charged && !strcmp(h->charged, "RES-3") && h->kind != HANG_BORDER &&
			sum_bad(&t, MUST, "application", "%s after %s it was still there: %s",
				after_signal(f, r, r->kill ? r->kill : r->exit), first_signal(f, r),
				suspect_of(f, r))) {
			cite(ret, r->sig);
			cite(ret, r->autopsy);
			cite(ret, r->kill ? r->kill : r->exit);
		}
	}
	sum_end(&t, "rounds kept their number of threads");
}

static bool leak_applies(const struct scenario *sc, const struct facts *f)
{
	return !sc->sweep && any_round(f);
}

static void left_files(struct sum *t, const struct round_fact *r)
{
	const struct facts *f = t->f;
	bool any = false;

	if (!r->exit || r->kill) {
		sum_killed(t, r);
		return;
	}
	for_each_event(f, EV_LEFT_FILE, n) {
		if (fact_event(f, n)->round != r->id || fact_event(f, n)->conn > 0)
			continue;       /* a path of expect.removes, which is LSN-5's */
		any = true;
		if (charged_to_default(f, r))
			sum_see(t, "SIG-1");
		else if (was_forced(f, r))
			t->contract++;
		else if (sum_bad(t, MUST, "application",
				 "%s (%lld bytes) is still there after the exit", fact_text(f, n),
				 (long long)fact_a(f, n))) {
			cite(t->ret, r->exit);
			cite(t->ret, n);
		}
	}
	t->good += !any;
}

static void judge_res_4(
	const struct scenario *sc, const struct facts *f, struct arena *arena, struct finding *ret)
{
	struct sum t;

	(void)sc, (void)arena;
	sum_begin_of(&t, f, ret, NULL);
	ret->expected = "no descriptor is leaked by connections, no file is left in TMPDIR or /dev/shm";
	for_each_round(f, r) {
		one_growth(&t, r, "fds");
		left_files(&t, r);
	}
	sum_end(&t, "looks found nothing left");
	if (ret->outcome == PASS && f->has_sees && !(f->sees & SEES_OWN_SHM))
		found(f, ret, PASS, "%s; /dev/shm is shared here and was not looked at", ret->actual);
}

const struct check check_res_3 = {
	.id = "RES-3", .title = "no thread leaks or holds the exit", .level = MUST,
	.applies = thread_applies, .judge = judge_res_3,
	.todo = "tell every thread to stop and join it; one thread for each connection must end with it",
	.why = "A thread for each connection that is never joined ends the server at the limit of "
	       "threads; a thread that nobody tells to stop keeps the process alive when everything "
	       "else is done.",
	.proof = "Batches of connections with one request each, and a census after each when the "
		 "kernel shows no server end any more: a leak adds at least one thread for every "
		 "connection of every batch. Or the autopsy of a process that outlived its grace names "
		 "a thread while no client's socket is open.",
	.modes = "SD-LEFT-THREAD, SD-EXIT-HANG",
	.fix_go = "goleak in tests; give every goroutine a context, and wait for it with a WaitGroup.",
	.fix_node = "worker.terminate() for every worker before the end.",
	.fix_python = "threading.Thread(daemon=True), or an Event that the thread's wait() looks at.",
	.fix_c = "pthread_detach or join each; wake workers with a condition or eventfd when stopping.",
	.fix_nginx = "thread_pool threads end with their worker.",
};

const struct check check_res_4 = {
	.id = "RES-4", .title = "no descriptor or file leaks", .level = MUST,
	.applies = leak_applies, .judge = judge_res_4,
	.todo = "close what each connection opened; remove temporary files and shared memory on the way out",
	.why = "One descriptor a connection ends in EMFILE; one temporary file a run fills /tmp, and "
	       "shared memory stays until somebody reboots (shm_overview(7)).",
	.proof = "/proc/PID/fd is counted after batches of connections: a leak adds at least one for "
		 "every connection of every batch. TMPDIR is the target's own, and so is /dev/shm "
		 "where the run could isolate it: what is in them after the exit was left.",
	.modes = "SD-UPG-STATE, SD-LEFT-FILE",
	.fix_go = "defer resp.Body.Close() and f.Close(); os.CreateTemp: os.Remove in the shutdown "
		  "path.",
	.fix_node = "stream.pipeline() instead of pipe(): it closes both ends on errors.",
	.fix_python = "with-statements; tempfile.TemporaryDirectory, SharedMemory.unlink().",
	.fix_c = "O_TMPFILE or unlink() right after mkstemp(); memfd_create(2) instead of shm_open.",
	.fix_nginx = "client_body_temp files are removed by the worker; SIGKILL leaves them.",
};
