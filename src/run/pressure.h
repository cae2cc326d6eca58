/* What a busy machine costs the target: the time in which the kernel says that somebody who could run had no CPU (PSI). */
#pragma once
#include <stdbool.h>

#include "base/clock.h"

struct run;
struct world;

struct pressure {
	nsec_t before[2];       /* of the machine, of our cgroup; -1: not to be had */
};

struct patience {
	nsec_t start, asked, until;     /* asked: until, as it was in the beginning */
	bool known;
	struct pressure pressure;
};

static inline struct patience patience_until(nsec_t start, nsec_t until)
{
	return (struct patience){.start = start, .asked = until, .until = until};
}

/* What there was to know of the CPUs at one time: ns that the target's threads and ours had been runnable and did not run, in their lives. */
struct cpu_look {
	nsec_t at;
	nsec_t average;         /* PSI since the signal */
	nsec_t target, ours;
	nsec_t ran;             /* the target's */
	uint32_t tasks;         /* of the target */
	long last_task;         /* the number that was given to a task last; -1: not known */
};

/* What a round's target has lost of the CPUs since its first signal. */
struct cpu_lost {
	struct cpu_look first, latest;  /* in a drain that takes long */
	nsec_t due;                     /* the next one */
	nsec_t lost;                    /* up to the latest */
	bool known;                     /* what all tasks did between them */
	nsec_t next, ran;               /* when it may be said again whether it starves; what all its threads had run */
	bool starves;                   /* it would run, and has not for a while */
};

void pressure_open(struct world *w);
void pressure_close(struct world *w);
void pressure_begin(const struct world *w, struct pressure *p);
nsec_t pressure_since(const struct world *w, const struct pressure *p);         /* ns since then; 0 where the kernel does not say */
bool patience_over(const struct world *w, struct patience *p, nsec_t now);      /* moves until by it, by BUSY_AT_MOST waits at most */
bool grace_over(struct run *r);                                                 /* moves t_grace by it, by BUSY_AT_MOST graces at most */
nsec_t grace_look(const struct run *r);                                         /* when grace_over() is to be asked next */
void busy_record(struct run *r);                                                /* CPU_WAIT: at least what t_grace was moved by */
