/* What the threads of a process have had of the CPUs. */
#include <stdio.h>
#include <stdlib.h>

#include "target/census.h"
#include "target/census_proc.h"

struct walk {
	pid_t pid;
	bool any;               /* only: does one of them run? */
	struct cpu_share *share;
};

static char state_of(pid_t pid, int tid)
{
	char name[32], text[512];
	const char *at;

	snprintf(name, sizeof name, "task/%d/stat", tid);
	return proc_read(pid, name, text, sizeof text) > 0 ? proc_stat_state(text, &at) : 0;
}

static bool look(int tid, void *arg)
{
	struct walk *w = arg;
	char name[32], text[96], *end;

	w->share->runnable |= state_of(w->pid, tid) == 'R';
	if (w->any)
		return !w->share->runnable;
	snprintf(name, sizeof name, "task/%d/schedstat", tid);
	if (proc_read(w->pid, name, text, sizeof text) > 0) {
		w->share->ran += (nsec_t)strtoull(text, &end, 10);
		w->share->waited += (nsec_t)strtoull(end, NULL, 10);
		w->share->tasks++;
	}
	return true;
}

static void walk(pid_t pid, bool any, struct cpu_share *share)
{
	char path[32];

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	proc_numbers(path, look, &(struct walk){pid, any, share});
}

void census_cpu(pid_t pid, struct cpu_share *add)
{
	walk(pid, false, add);
}

bool census_runs(pid_t pid)
{
	struct cpu_share share = {0};

	walk(pid, true, &share);
	return share.runnable;
}
