/* What a busy machine costs the target: the time in which the kernel says that somebody who could run had no CPU (PSI,
 * Documentation/accounting/psi.rst; kernel/sched/psi.c). It is not counted against the grace, up to
 * BUSY_AT_MOST graces: a server that had no CPU is not slow. */
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

bool grace_over(struct run *r)
{
	if (clock_now() < r->t_grace)
		return false;
	if (!r->t_signal)
		return true;
	nsec_t within = r->sc->expect.within;

	r->t_grace = r->t_signal + within + busy_part(pressure_since(r->world, &r->pressure), within);
	return clock_now() >= r->t_grace;
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
