/* One epoll loop with nanosecond timers, by hand on purpose: signal gaps need better than the milliseconds
 * of event libraries. Single-threaded; every event has one order and one clock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/clock.h"
#include "base/err.h"

struct watch {
	void (*fn)(struct watch *w, uint32_t events);
	void *arg;
	int fd;                 /* -1: not watched */
	uint32_t events;        /* what is asked for, as in EPOLL_CTL_ADD */
};

struct timer {
	void (*fn)(struct timer *t);
	void *arg;
	nsec_t at;              /* NSEC_NEVER: not set */
	struct timer *next;     /* sorted list: there are a handful */
};

struct loop {
	int epfd;
	struct timer *timers;
	nsec_t spin;            /* a timer this near is awaited by reading the clock: its lateness is then < 1 us */
	bool no_pwait2;         /* kernel < 5.11 */
};

int loop_init(struct loop *loop, struct err *reterr);
void loop_done(struct loop *loop);
int loop_add(struct loop *loop, struct watch *w, uint32_t events);      /* 0 or -errno */
void loop_set(struct loop *loop, struct watch *w, uint32_t events);     /* change what is asked for */
void loop_del(struct loop *loop, struct watch *w);                      /* does not close the fd */
void timer_set(struct loop *loop, struct timer *t, nsec_t at);          /* moves it if it was set */
void timer_clear(struct loop *loop, struct timer *t);
/* Wait for events or the next timer, at most until `until`, and run what is due. Returns how many callbacks ran. */
int loop_once(struct loop *loop, nsec_t until);
