#include "run/loop.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

int loop_init(struct loop *loop, struct err *reterr)
{
	*loop = (struct loop){.epfd = epoll_create1(EPOLL_CLOEXEC)};
	if (loop->epfd < 0)
		return err_set(reterr, ERR_HARNESS, errno, "cannot make an epoll instance");
	return 0;
}

void loop_done(struct loop *loop)
{
	if (loop->epfd >= 0)
		close(loop->epfd);
	loop->epfd = -1;
	loop->timers = NULL;
}

int loop_add(struct loop *loop, struct watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	w->events = events;
	return epoll_ctl(loop->epfd, EPOLL_CTL_ADD, w->fd, &e) < 0 ? -errno : 0;
}

void loop_set(struct loop *loop, struct watch *w, uint32_t events)
{
	struct epoll_event e = {.events = events, .data.ptr = w};

	if (w->events == events)
		return;
	w->events = events;
	epoll_ctl(loop->epfd, EPOLL_CTL_MOD, w->fd, &e);
}

void loop_del(struct loop *loop, struct watch *w)
{
	if (w->fd >= 0)
		epoll_ctl(loop->epfd, EPOLL_CTL_DEL, w->fd, NULL);
	w->events = 0;
}

void timer_clear(struct loop *loop, struct timer *t)
{
	for (struct timer **p = &loop->timers; *p; p = &(*p)->next)
		if (*p == t) {
			*p = t->next;
			break;
		}
	t->next = NULL;
	t->at = NSEC_NEVER;
}

void timer_set(struct loop *loop, struct timer *t, nsec_t at)
{
	struct timer **p = &loop->timers;

	timer_clear(loop, t);
	t->at = at;
	while (*p && (*p)->at <= at)
		p = &(*p)->next;
	t->next = *p;
	*p = t;
}

/* epoll_wait with nanoseconds; ppoll on the epoll fd where the kernel lacks epoll_pwait2. */
static int wait_events(struct loop *loop, struct epoll_event *ev, int max, nsec_t wait)
{
	struct timespec ts = {wait / NSEC_PER_SEC, wait % NSEC_PER_SEC};

	if (wait <= 0)
		return epoll_wait(loop->epfd, ev, max, 0);
	if (!loop->no_pwait2) {
		int n = epoll_pwait2(loop->epfd, ev, max, &ts, NULL);

		if (n >= 0 || errno != ENOSYS)
			return n;
		loop->no_pwait2 = true;
	}
	struct pollfd p = {.fd = loop->epfd, .events = POLLIN};

	if (ppoll(&p, 1, &ts, NULL) <= 0)
		return 0;
	return epoll_wait(loop->epfd, ev, max, 0);
}

static int run_timers(struct loop *loop)
{
	int ran = 0;

	while (loop->timers && loop->timers->at <= clock_now()) {
		struct timer *t = loop->timers;

		loop->timers = t->next;
		t->next = NULL;
		t->at = NSEC_NEVER;
		t->fn(t);
		ran++;
	}
	return ran;
}

int loop_once(struct loop *loop, nsec_t until)
{
	struct epoll_event ev[64];
	nsec_t next = loop->timers && loop->timers->at < until ? loop->timers->at : until;
	nsec_t now = clock_now();
	nsec_t wait = next - now;

	if (wait > 0 && wait <= loop->spin) {
		while (clock_now() < next)
			;
		wait = 0;
	} else if (wait > loop->spin) {
		wait -= loop->spin;
	}
	int n = wait_events(loop, ev, 64, wait > NSEC_PER_SEC * 3600 ? NSEC_PER_SEC * 3600 : wait);
	int ran = 0;

	for (int i = 0; i < n; i++) {
		struct watch *w = ev[i].data.ptr;

		/* a callback of this batch may have closed it: then its fd is -1 */
		if (w->fd >= 0) {
			w->fn(w, ev[i].events);
			ran++;
		}
	}
	return ran + run_timers(loop);
}
