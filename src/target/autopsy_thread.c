/* Threads: where each one is, and what the arguments of its system call mean. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "target/autopsy_look.h"
#include "target/census_proc.h"
#include "target/syscall_names.h"

struct gather {
	pid_t pid;
	struct look_thread *v;
	size_t n;
};

void look_call(pid_t pid, struct look_thread *t)
{
	char name[48], text[256];
	unsigned long long a[6] = {0};

	snprintf(name, sizeof name, "task/%d/syscall", t->tid);
	t->nr = CALL_UNKNOWN;
	if (proc_read(pid, name, text, sizeof text) <= 0)
		return;
	if (!strncmp(text, "running", 7))
		t->nr = CALL_RUNNING;
	else if (sscanf(text, "%ld %llx %llx %llx %llx %llx %llx", &t->nr, &a[0], &a[1], &a[2], &a[3], &a[4],
			&a[5]) < 1 || t->nr < 0)
		t->nr = CALL_UNKNOWN;
	for (int i = 0; i < 6; i++)
		t->arg[i] = a[i];
}

static char read_state(pid_t pid, struct look_thread *t, char *comm, size_t size)
{
	char name[48], text[1024];

	snprintf(name, sizeof name, "task/%d/stat", t->tid);
	if (proc_read(pid, name, text, sizeof text) < 0)
		return 'X';
	const char *open = strchr(text, '('), *at;
	char state = proc_stat_state(text, &at);

	if (!open || !state)
		return 'X';
	if (comm) {
		snprintf(comm, size, "%.*s", (int)(at - 2 - open - 1), open + 1);
		proc_printable(comm);
	}
	return state;
}

static bool add_thread(int tid, void *arg)
{
	struct gather *g = arg;
	struct look_thread *t = &g->v[g->n];
	char name[48];

	*t = (struct look_thread){ .tid = tid };
	t->state = t->state_after = read_state(g->pid, t, t->comm, sizeof t->comm);
	if (t->state == 'X')
		return true;
	snprintf(name, sizeof name, "task/%d/wchan", tid);
	if (proc_read(g->pid, name, t->wchan, sizeof t->wchan) < 0 || !strcmp(t->wchan, "0"))
		t->wchan[0] = '\0';
	look_call(g->pid, t);
	return ++g->n < LOOK_THREADS;
}

static uint64_t cpu_ns(pid_t pid, pid_t tid)
{
	char name[48], text[128];

	snprintf(name, sizeof name, "task/%d/schedstat", tid);
	return proc_read(pid, name, text, sizeof text) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* R and D pass by in every healthy process; only what is still so a while later is a finding. */
static void look_again(struct gather *g)
{
	uint64_t before[LOOK_THREADS];
	bool needed = false;

	for (size_t i = 0; i < g->n; i++) {
		needed |= g->v[i].state == 'R' || g->v[i].state == 'D';
		before[i] = 0;
	}
	if (!needed)
		return;
	for (size_t i = 0; i < g->n; i++)
		before[i] = cpu_ns(g->pid, g->v[i].tid);
	nsec_t t0 = clock_now();

	nanosleep(&(struct timespec){ .tv_nsec = 10 * NSEC_PER_MSEC }, NULL);
	for (size_t i = 0; i < g->n; i++) {
		struct look_thread *t = &g->v[i];

		t->state_after = read_state(g->pid, t, NULL, 0);
		uint64_t used = cpu_ns(g->pid, t->tid) - before[i];

		if (before[i])
			t->cpu_percent = (uint32_t)(used * 100 / (uint64_t)(clock_now() - t0));
	}
}

int look_threads(pid_t pid, struct look_thread **ret, size_t *ret_n)
{
	struct gather g = { .pid = pid, .v = calloc(LOOK_THREADS, sizeof *g.v) };
	char path[40];

	if (!g.v)
		return -ENOMEM;
	snprintf(path, sizeof path, "/proc/%d/task", pid);
	int r = proc_numbers(path, add_thread, &g);

	if (!r)
		look_again(&g);
	*ret = g.v;
	*ret_n = g.n;
	return r;
}

const char *call_name(const struct look_thread *t)
{
	const char *name = t->nr >= 0 ? syscall_name(t->nr) : NULL;

	return name ? name : "";
}
