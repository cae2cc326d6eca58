/* What a busy machine costs the target is not counted against the grace, up to BUSY_AT_MOST graces: a server that had no CPU is not slow.
 *
 * In a drain that takes long, the target's threads and our own are asked now and then how long they have been runnable and did not run
 * (run_delay, kernel/sched/stats.h). A task takes that with it when it ends, so between two looks it is only the answer if none has ended.
 * Where one has, it is the time in which the kernel says that somebody could run and had no CPU (PSI, Documentation/accounting/psi.rst;
 * kernel/sched/psi.c), an average over the CPUs that are not idle (collect_percpu_times()): who waits all the time at one of two that are
 * busy is counted for half of it, so what is known of the target's own counts if it is more. One that would run but does not get to it is
 * waited for. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"
#include "target/iso.h"

/* "some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS", first line; reading brings total up to date. -1: not to be had. */
static nsec_t total_of(int fd)
{
	char text[256];
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
	const char *total;

	if (n <= 0)
		return -1;
	text[n] = '\0';
	total = strstr(text, "total=");
	return total ? (nsec_t)strtoll(total + 6, NULL, 10) * NSEC_PER_USEC : -1;
}

static nsec_t cpus(void)
{
	static long n;

	if (!n)
		n = sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? n : 1;
}

void pressure_open(struct world *w)
{
	w->pressure_fds[0] = open("/proc/pressure/cpu", O_RDONLY | O_CLOEXEC);
	/* in a container: its own cgroup, where a quota shows too */
	w->pressure_fds[1] = open("/sys/fs/cgroup/cpu.pressure", O_RDONLY | O_CLOEXEC);
}

void pressure_close(struct world *w)
{
	for (int i = 0; i < 2; i++)
		if (w->pressure_fds[i] >= 0)
			close(w->pressure_fds[i]);
}

void pressure_begin(const struct world *w, struct pressure *p)
{
	for (int i = 0; i < 2; i++)
		p->before[i] = total_of(w->pressure_fds[i]);
}

nsec_t pressure_since(const struct world *w, const struct pressure *p)
{
	nsec_t most = 0;

	for (int i = 0; i < 2; i++) {
		nsec_t now = total_of(w->pressure_fds[i]);

		if (p->before[i] >= 0 && now - p->before[i] > most)
			most = now - p->before[i];
	}
	return most;
}

#define SHARE_PERIOD (20 * NSEC_PER_MSEC)       /* some ticks: with each the kernel counts what a thread has run */
#define LONG_WAIT (50 * NSEC_PER_MSEC)          /* most waits are over in no time; only in a long one is anybody asked */
#define LOOK_EVERY (100 * NSEC_PER_MSEC)        /* for so long, about, the average counts when a task has ended */
#define WORTH_A_LOOK NSEC_PER_MSEC              /* of PSI since the last one; else the two are taken as one */

/* The number that was given out last in our PID namespace (fs/proc/loadavg.c): how far it moves is how many tasks were made. -1: not to be had. */
static long last_task(void)
{
	char text[128];
	int fd = open("/proc/loadavg", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? pread(fd, text, sizeof text - 1, 0) : -1;
	const char *last;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	text[n] = '\0';
	last = strrchr(text, ' ');
	return last ? strtol(last, NULL, 10) : -1;
}

/* What the target's threads have had of the CPUs, and what we ourselves waited: it waits for our answers. */
static struct cpu_look share_look(struct run *r, nsec_t now)
{
	struct proc v[64];
	unsigned n = 0, max = sizeof v / sizeof *v;
	struct cpu_share share, ours = {0};
	long before, after = last_task();

	for (int tries = 0; tries < 3; tries++) {       /* it may make one meanwhile */
		n = target_tree(r, v, max, false);
		share = (struct cpu_share){0};
		for (unsigned i = 0; i < n; i++)
			census_cpu(v[i].pid, &share);
		before = after;
		after = last_task();
		if (before == after)
			break;
	}
	census_cpu(getpid(), &ours);
	if (now >= r->share.next) {
		r->share.starves = share.runnable && (!r->share.next || share.ran == r->share.ran);
		r->share.ran = share.ran;
		r->share.next = now + SHARE_PERIOD;
	}
	return (struct cpu_look){
		.at = now, .average = pressure_since(r->world, &r->pressure), .target = share.waited, .ours = ours.waited, .ran = share.ran,
		.tasks = share.tasks, .last_task = before == after && n < max && r->world->got & ISO_PID ? after : -1,
	};
}

/* Is it known what all of its tasks have waited between the two? What one that has ended had waited nobody can say, so as many must be there
 * more as were made. Nobody else must be in that PID namespace: on the host others fork, and it may wait for one that is not its own. */
static bool all_known(const struct cpu_look *a, const struct cpu_look *b)
{
	return a->tasks && a->last_task >= 0 && b->last_task >= a->last_task &&
	       (long)b->tasks - (long)a->tasks == b->last_task - a->last_task;
}

/* In that time somebody can have had no CPU for so long at most. */
static nsec_t most_of(nsec_t average, nsec_t time)
{
	return average < time / cpus() ? average * cpus() : time;
}

static nsec_t lost_between(const struct cpu_look *a, const struct cpu_look *b)
{
	nsec_t time = b->at - a->at, average = b->average - a->average, own = b->target - a->target + b->ours - a->ours;

	if (!all_known(a, b)) {
		own = most_of(average, time) < b->target ? most_of(average, time) : b->target;
		own = own > average ? own : average;
	}
	return own < time ? own : time;
}

/* From the first one on, another is only taken where somebody has waited since: the time between two of them may be long. */
static void look_again(struct run *r, nsec_t now)
{
	struct cpu_look *last = &r->share.latest, next = share_look(r, now);

	if (!last->at) {
		r->share.first = next;
		r->share.lost = most_of(next.average, now - r->t_signal);
		r->share.known = true;
	} else {
		r->share.lost += lost_between(last, &next);
		r->share.known &= all_known(last, &next);
	}
	*last = next;
}

/* When it is time for one, and a target of many processes is not asked all the time. */
static void look_in_time(struct run *r, nsec_t now)
{
	if (!r->t_signal || !r->alive || now < r->t_signal + LONG_WAIT || now < r->share.due)
		return;
	r->share.due = now + LOOK_EVERY;
	if (r->share.latest.at && pressure_since(r->world, &r->pressure) - r->share.latest.average < WORTH_A_LOOK)
		return;
	look_again(r, now);
	r->share.due = now + LOOK_EVERY + 20 * (clock_now() - now);
}

/* What a busy machine took since the signal. */
static nsec_t lost_since_signal(struct run *r)
{
	const struct cpu_look *last = &r->share.latest;
	nsec_t from = last->at ? last->at : r->t_signal, end = r->alive ? clock_now() : r->t_exit;
	nsec_t average = pressure_since(r->world, &r->pressure) - last->average, time = end > from ? end - from : 0;
	nsec_t tail = last->at ? most_of(average, time) : average;
	nsec_t lost = r->share.lost + (tail < time ? tail : time);
	nsec_t late = r->share.next - r->t_signal - r->sc->expect.within;

	return r->alive && r->share.starves && lost < late ? late : lost;
}

bool grace_over(struct run *r)
{
	nsec_t now = clock_now();

	look_in_time(r, now);
	if (now < r->t_grace)
		return false;
	if (!r->t_signal)
		return true;
	if (r->alive && now < r->t_signal + r->sc->expect.within + busy_part(NSEC_NEVER, r->sc->expect.within))
		look_again(r, now);
	r->t_grace = r->t_signal + r->sc->expect.within + busy_part(lost_since_signal(r), r->sc->expect.within);
	return now >= r->t_grace;
}

nsec_t grace_look(const struct run *r)
{
	nsec_t due = r->t_signal + LONG_WAIT;

	if (due < r->share.due)
		due = r->share.due;
	return r->t_signal && r->alive && due < r->t_grace ? due : r->t_grace;
}

void busy_record(struct run *r)
{
	nsec_t given = r->t_grace - r->t_signal - r->sc->expect.within, lost = lost_since_signal(r);
	nsec_t ran = r->share.known ? (r->share.latest.ran - r->share.first.ran) / cpus() + 1 : 0;

	events_add(r->ev, EV_CPU_WAIT, -1, lost > given ? lost : given, ran, NULL);
}

bool patience_over(const struct world *w, struct patience *p, nsec_t now)
{
	if (!p->known && now - p->start >= LONG_WAIT) {
		pressure_begin(w, &p->pressure);
		p->known = true;
	}
	if (now < p->until || !p->known)
		return now >= p->until;
	p->until = p->asked + busy_part(pressure_since(w, &p->pressure), p->asked - p->start);
	return now >= p->until;
}
