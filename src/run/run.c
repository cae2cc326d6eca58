#include "run/run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/dirs.h"
#include "base/names.h"
#include "run/engine.h"
#include "scenario/keys.h"
#include "target/iso.h"

static int make_dir(const char *dir, struct err *reterr)
{
	int rc = dirs_make(dir);

	return rc < 0 ? err_set(reterr, ERR_HARNESS, -rc, "cannot make the folder %s", dir) : 0;
}

/* Repetitions differ in their name alone, which is the first key: the rest is dumped once. */
static void dump_again(struct world *w, const struct plan *plan, struct buf *out)
{
	static const char begin[] = "{\"name\":\"\"";
	struct dumped *d = &w->dumped;

	if (plan->first && d->of != plan->first) {
		struct scenario nameless = *plan->sc;

		nameless.name = "";
		buf_clear(&d->text);
		scenario_dump(&nameless, &d->text);
		d->of = plan->first;
	}
	if (!plan->first || strncmp(d->text.p, begin, sizeof begin - 1)) {
		scenario_dump(plan->sc, out);
		return;
	}
	buf_add(out, begin, sizeof begin - 3);
	dump_string(out, plan->sc->name);
	buf_add(out, d->text.p + sizeof begin - 1, d->text.n - (sizeof begin - 1));
}

/* First of all: what was resolved, what can be seen, and what cannot. */
static void say_what_is_seen(struct run *r)
{
	struct world *w = r->world;
	struct buf b = {0};
	int64_t sees = SEES_SOCK_DIAG | SEES_FDS;

	sees |= w->cap ? SEES_WIRE : 0;
	sees |= w->got & ISO_NET ? SEES_OWN_NETNS : 0;
	sees |= w->got & ISO_PID ? SEES_OWN_PIDNS : 0;
	sees |= w->got & ISO_SHM ? SEES_OWN_SHM : 0;
	dump_again(w, r->plan, &b);
	events_add(r->ev, EV_SCENARIO, -1, clock_now(), clock_ns(CLOCK_REALTIME), arena_strndup(r->arena, b.p, b.n));
	buf_free(&b);
	events_addf(r->ev, EV_SEES, -1, sees, 0, "%s%s%s%s", w->got & ISO_NET ? "own network namespace" : "host network",
		    w->got & ISO_PID ? ", own PID namespace" : "", w->cap ? ", packets" : ", no packets",
		    w->got & ISO_SHM ? ", own /dev/shm" : "");
	if (w->iso_why[0])
		events_add(r->ev, EV_NOTE, -1, 0, 0, w->iso_why);
	if (!w->cap && w->cap_why[0])
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "no capture: %s", w->cap_why);
}

static int start_capture(struct run *r)
{
	uint16_t ports[MAX_PORTS + 1];
	unsigned n = 0;
	char path[600];

	if (!r->world->cap)
		return 0;
	/* in a namespace of our own everything is ours; on the host only what concerns this target */
	if (!(r->world->got & ISO_NET)) {
		for (; n < r->n_ports; n++)
			ports[n] = r->ports[n].number;
		if (r->gate_port)
			ports[n++] = r->gate_port;
	}
	snprintf(path, sizeof path, "%s/wire.pcap", r->dir);
	return capture_begin(r->world->cap, path, ports, n, r->ev, r->err);
}

/* A round of its own in the same run: other ports, the clients anew. */
static int next_round(struct run *r, const char *label)
{
	r->ev->round++;
	return ports_choose(r) < 0 || clients_prepare(r) < 0 ? -1 : round_run(r, label);
}

/* It outlived its grace after two signals. Whether that is the second one's doing, only the same with the first alone can
 * tell. Under `force` the second has to end it in any case. */
static int alone_round(struct run *r)
{
	const struct scenario *whole = r->sc;
	struct scenario one = *whole;
	struct signal_spec first;

	if (!r->harness_killed || r->runaway || r->n_signals < 2 || whole->restart.how || r->world->interrupted ||
	    whole->expect.second == SECOND_FORCE)
		return 0;
	first = whole->signals[0];
	first.count = 1;
	one.signals = &first;
	one.n_signals = 1;
	round_end(r);
	r->sc = &one;
	r->alone = true;
	/* a round that fails to run tells nothing, and takes nothing away */
	int rc = next_round(r, "the first signal alone");

	if (rc < 0 && !r->world->interrupted)
		*r->err = (struct err){0};
	round_end(r);
	r->alone = false;
	r->sc = whole;
	return r->world->interrupted ? rc : 0;
}

static int run_rounds(struct run *r)
{
	static const char *const to_text[] = {"process", "group", "tty", "child", "init"};
	const struct scenario *whole = r->sc;
	int rc = 0;

	if (whole->sweep)
		return sweep_run(r);
	if (!whole->n_vary_to) {
		rc = round_run(r, "");
		return rc < 0 ? rc : alone_round(r);
	}
	for (size_t i = 0; i < whole->n_vary_to && rc == 0; i++) {
		struct scenario one = *whole;
		struct signal_spec sig[8];

		one.target.tty = whole->vary_to[i] == TO_TTY;
		one.signals = sig;
		for (size_t k = 0; k < one.n_signals && k < 8; k++) {
			sig[k] = whole->signals[k];
			sig[k].to = whole->vary_to[i];
		}
		r->sc = &one;
		rc = i ? next_round(r, to_text[whole->vary_to[i]]) : round_run(r, to_text[whole->vary_to[i]]);
		round_end(r);
		r->sc = whole;
	}
	return rc;
}

/* What the harness itself took: the bench reads it, and a reader of a slow run may want to know. */
static void say_own_cost(struct run *r)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	events_add(r->ev, EV_COUNTER, -1, ru.ru_maxrss, 0, "harness.peak_rss_kib");
}

/* It came to its end, and was not what it should have been. */
static int own_faults(struct run *r, int rc)
{
	if (rc == 0 && r->no_socket)
		rc = err_set(r->err, ERR_HARNESS, r->no_socket, "cannot make a client socket: some clients of the scenario never came");
	/* what the loop still has is memory of this run, and the next run of this worker would call it */
	if (r->loop->timers && rc >= 0)
		rc = err_set(r->err, ERR_HARNESS, 0, "a timer of the harness outlived its run");
	r->loop->timers = NULL;
	return rc;
}

static void finish(struct run *r, int rc)
{
	struct capture_stats stats;
	struct err late = {0};
	char text[1024];

	round_end(r);
	tls_end(r);
	gate_close(r);
	rc = own_faults(r, rc);
	ports_release(r);
	target_files(r, true);
	watch_counters(r, true);
	say_own_cost(r);
	if (r->world->cap && r->capturing && capture_end(r->world->cap, &stats, &late) < 0)
		events_addf(r->ev, EV_NOTE, -1, 0, 0, "wire.pcap is not whole: %s",
			    err_text(&late, text, sizeof text));
	if (r->world->interrupted)
		events_add(r->ev, EV_INTERRUPTED, -1, r->world->interrupted, 0, NULL);
	else if (rc < 0)
		events_add(r->ev, EV_BROKEN, -1, r->err->errnum, 0, arena_strdup(r->arena, r->err->what));
	events_add(r->ev, EV_END, -1, 0, 0, NULL);
	events_flush(r->ev);
	arena_free(r->mem);
	free(r->conns);
	r->world->run = NULL;
}

/* A run with its folder and its log open, and what can be seen said. NULL and *err. */
static struct run *run_begin(struct world *w, const struct plan *plan, const char *dir, struct events *ev, struct err *err)
{
	struct run *r = arena_new_of(ev->arena, struct run);
	char path[600];

	*r = (struct run){.world = w, .loop = &w->loop, .plan = plan, .sc = plan->sc, .ev = ev, .arena = ev->arena, .mem = arena_new(),
		.dir = dir, .err = err, .pidfd = -1, .tty = -1, .t_grace = NSEC_NEVER};
	r->logs[0].fd = r->logs[1].fd = -1;
	r->notify_watch.fd = r->inotify_watch.fd = r->gate_watch.fd = -1;
	r->buf = w->buf;
	snprintf(path, sizeof path, "%s/events.jsonl", dir);
	if (make_dir(dir, err) < 0 || events_open(ev, path, err) < 0) {
		arena_free(r->mem);
		return NULL;
	}
	w->run = r;
	say_what_is_seen(r);
	return r;
}

int run_scenario(struct world *w, const struct plan *plan, const char *dir, struct events *ev, struct err *reterr)
{
	struct run *r = run_begin(w, plan, dir, ev, reterr);
	int rc = -1;

	if (!r)
		return -1;
	watch_counters(r, false);
	if (ports_choose(r) == 0 && gate_open(r) == 0 && start_capture(r) == 0) {
		r->capturing = w->cap != NULL;
		rc = clients_prepare(r) < 0 ? -1 : tls_begin(r);
		if (rc == 0)
			rc = run_rounds(r);
	}
	if (rc < 0 && reterr->kind == ERR_NOT_HERE)
		rc = 1;
	finish(r, rc);
	if (w->interrupted && rc < 0)
		err_set(reterr, ERR_INTERRUPTED, 0, "interrupted by %s", signal_name(w->interrupted));
	if (rc == 0 && ev->write_errno)
		rc = err_set(reterr, ERR_HARNESS, ev->write_errno, "cannot write %s/events.jsonl", dir);
	w->run = NULL;
	return rc;
}

/* run_probe's launch: no capture, no gate kept, nothing judged. */
int run_one_probe(struct world *w, const struct plan *plan, const char *dir, struct events *ev, struct probe *ret,
		  struct err *reterr)
{
	struct run *r = run_begin(w, plan, dir, ev, reterr);
	int rc = -1;

	if (!r)
		return -1;
	if (ports_choose(r) == 0 && gate_open(r) == 0 && clients_prepare(r) == 0 && tls_begin(r) == 0) {
		round_reset(r, "probe");
		r->gate_open = true;    /* should the quick request call it, it is answered at once */
		rc = target_start(r, "probe");
		if (rc == 0)
			rc = target_await_ready(r);
		if (rc == 0)
			probe_learn(r, ret);
	}
	finish(r, rc);
	w->run = NULL;
	return w->interrupted ? err_set(reterr, ERR_INTERRUPTED, 0, "interrupted") : rc;
}
