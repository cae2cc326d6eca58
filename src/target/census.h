/* /proc: who belongs to the target and in what state. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/clock.h"

struct proc {
	pid_t pid, ppid, pgid, sid;
	char state;             /* R S D T t Z X as /proc/PID/stat says; if only the main thread has ended, another thread's */
	bool exiting;           /* PF_EXITING: inside do_exit, its page tables are being torn down */
	char comm[32];
	uint32_t threads, fds;  /* fds UINT32_MAX: not visible */
	uint64_t sigcgt, sigblk, sigign, sigpnd;        /* bit n - 1 is signal n; sigpnd: thread and shared, either */
	uint64_t rss_kib;
	uint64_t starttime;     /* clock ticks since boot: with pid, identifies a process */
	bool pid1;              /* last number of NSpid is 1 */
};

/* One process; 0, or -errno (-ESRCH: gone). with_fds also counts /proc/PID/fd (costs one directory read). */
int census_one(pid_t pid, bool with_fds, struct proc *ret);
/* root and all its descendants, root first, zombies included, by /proc/PID/task/TID/children.
 * extra: in a PID namespace of our own (own_pidns) every process but pid 1 (us) counts, so orphans are found as well;
 * otherwise our own children (we are subreaper) that are not root are included. Returns how many were found (may exceed max). */
size_t census_tree(pid_t root, bool own_pidns, bool with_fds, struct proc *ret, size_t max);
/* Do any of these processes hold socket `inode`? Fills who/fd/cloexec of the first; returns how many holders there are.
 * -EACCES if none was found and some fd table was not readable. */
struct holder {
	pid_t pid;
	char comm[32];
	int fd;
	bool cloexec;
};
int census_socket_holders(const pid_t *pids, size_t n, uint32_t inode, struct holder *ret, size_t max);
/* The same of one process and its lowest descriptors only, for a tenth of the price (each name under /proc that is looked at is made for
 * that, and unmade when the process is reaped). false: not among them, ask the other. cloexec is not filled. */
bool census_socket_low(pid_t pid, uint32_t inode, struct holder *ret);
/* Of all threads of a process: ns that they ran, and ns that they were runnable and did not (Documentation/scheduler/sched-stats.rst; a
 * wait is counted when it is over, the time on a CPU with every tick). Added to *add. */
struct cpu_share {
	nsec_t ran, waited;
	uint32_t tasks;         /* threads that were asked */
	bool runnable;          /* one of them runs, or would if it had a CPU */
};
void census_cpu(pid_t pid, struct cpu_share *add);
bool census_runs(pid_t pid);    /* is one of its threads runnable? */
/* As JSON for the PROCESS event: {"comm":..., "state":"S", "threads":1, ...}. */
void census_json(const struct proc *p, struct buf *out);
