/* What a busy machine costs the target: the time in which the kernel says that somebody who could run had no CPU (PSI,
 * Documentation/accounting/psi.rst; kernel/sched/psi.c). It is not counted against the grace, up to
 * BUSY_AT_MOST graces: a server that had no CPU is not slow.
 *
 * PSI is an average over the CPUs that are not idle (collect_percpu_times()): who waits all the time at one of two that are busy is
 * counted for half of it. So when the grace is over on such a machine the target's own threads are asked how long they have
 * waited, and one that would run but does not get to it is waited for. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "run/engine.h"

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

static void share_look(struct run *r, nsec_t now)
{
	struct proc v[64];
	unsigned n = target_tree(r, v, sizeof v / sizeof *v, false);
	struct cpu_share share = {0};

	for (unsigned i = 0; i < n; i++)
		census_cpu(v[i].pid, &share);
	r->share.starves = share.runnable && (!r->share.next || share.ran == r->share.ran);
	r->share.ran = share.ran;
	r->share.waited = share.waited;
	r->share.next = now + SHARE_PERIOD;
}

/* What the target itself has waited, as far as somebody can have. */
static nsec_t own_wait(struct run *r, nsec_t now, nsec_t average, nsec_t within)
{
	nsec_t most = average < (now - r->t_signal) / cpus() ? average * cpus() : now - r->t_signal, waited;

	if (!r->alive || most < SHARE_PERIOD || now >= r->t_signal + within + busy_part(most, within))
		return 0;
	if (now >= r->share.next)
		share_look(r, now);
	waited = r->share.starves ? r->share.next - r->t_signal - within : r->share.waited;
	return waited < most ? waited : most;
}

bool grace_over(struct run *r)
{
	nsec_t now = clock_now();

	if (now < r->t_grace)
		return false;
	if (!r->t_signal)
		return true;
	nsec_t within = r->sc->expect.within, average = pressure_since(r->world, &r->pressure), own = own_wait(r, now, average, within);

	r->t_grace = r->t_signal + within + busy_part(average > own ? average : own, within);
	return now >= r->t_grace;
}

nsec_t busy_since_signal(const struct run *r)
{
	nsec_t average = pressure_since(r->world, &r->pressure), given = r->t_grace - r->t_signal - r->sc->expect.within;

	return average > given ? average : given;
}

/* Most waits are over in no time; only for a long one is the beginning looked at. */
#define LONG_WAIT (50 * NSEC_PER_MSEC)

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
