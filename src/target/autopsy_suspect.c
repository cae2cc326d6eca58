/* The sentence that names why a process is still there: the first rule that applies. */
#include <signal.h>
#include <string.h>

#include "base/names.h"
#include "target/autopsy_look.h"

/* TCP states, as in the kernel's tcp_states.h. */
enum { ESTABLISHED = 1, FIN_WAIT1 = 4, FIN_WAIT2 = 5, CLOSE_WAIT = 8, LISTEN = 10, PERSIST_TIMER = 4 };

static bool call_is(const struct look_thread *t, const char *const *names)
{
	for (; *names; names++)
		if (!strcmp(call_name(t), *names))
			return true;
	return false;
}

static bool waits_for_events(const struct look_thread *t)
{
	return call_is(t, (const char *const[]){ "epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll",
						 "select", "pselect6", "accept", "accept4", "io_uring_enter", NULL });
}

static bool sleeps(const struct look_thread *t)
{
	return call_is(t, (const char *const[]){ "nanosleep", "clock_nanosleep", NULL });
}

static bool waits_for_child(const struct look_thread *t)
{
	return call_is(t, (const char *const[]){ "wait4", "waitid", NULL });
}

static const struct look_thread *main_thread(const struct look *look)
{
	for (size_t i = 0; i < look->n_threads; i++)
		if (look->thread[i].tid == look->p.pid)
			return &look->thread[i];
	return NULL;
}

static bool is_dead(const struct look *look, struct buf *out)
{
	bool gone = look->p.state == 'Z' || look->p.state == 'X';

	if (gone)
		buf_printf(out, "it has exited already (zombie): its parent %d has not waited for it", look->p.ppid);
	else if (look->p.exiting)
		buf_printf(out, "it is exiting: the kernel tears down %llu MiB of its memory",
			   (unsigned long long)look->p.rss_kib / 1024);
	else
		return false;
	return true;
}

static bool is_stopped(const struct look *look, struct buf *out)
{
	if (look->p.state == 'T')
		buf_adds(out, "it is stopped (state T: SIGSTOP, SIGTSTP or SIGTTIN): no signal but SIGKILL acts before SIGCONT");
	else if (look->p.state == 't')
		buf_adds(out, "it is stopped by its tracer (state t: a debugger or strace)");
	else
		return false;
	return true;
}

static bool is_uninterruptible(const struct look *look, struct buf *out)
{
	for (size_t i = 0; i < look->n_threads; i++) {
		const struct look_thread *t = &look->thread[i];

		if (t->state != 'D' || t->state_after != 'D')
			continue;
		buf_printf(out, "thread %d '%s' is uninterruptible (state D) in %s: no signal reaches it before that call ends",
			   t->tid, t->comm, t->wchan[0] ? t->wchan : *call_name(t) ? call_name(t) : "the kernel");
		return true;
	}
	return false;
}

/* Signals that ask a server to stop. */
static const int stop_signals[] = { SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 };

static bool signal_blocked(const struct look *look, struct buf *out)
{
	for (size_t i = 0; i < sizeof stop_signals / sizeof *stop_signals; i++) {
		int signo = stop_signals[i];
		uint64_t bit = UINT64_C(1) << (signo - 1);

		if (!(look->p.sigpnd & bit) || !((look->p.sigblk | look->p.sigign) & bit))
			continue;
		buf_printf(out, "%s is pending but %s (%s): it was sent and never taken", signal_name(signo),
			   look->p.sigblk & bit ? "blocked" : "ignored", look->p.sigblk & bit ? "SigBlk" : "SigIgn");
		return true;
	}
	/* Ignoring it once the drain has begun is a way to say "once is enough"; with the listener open it is the fault. */
	if (look->p.sigign >> (SIGTERM - 1) & 1 && look->n_listeners) {
		buf_adds(out, "SIGTERM is ignored (SigIgn), and it still listens");
		return true;
	}
	return false;
}

static bool zero_window(const struct look *look, struct buf *out)
{
	for (size_t i = 0; i < look->n_rows; i++) {
		const struct look_row *row = &look->row[i];

		if (row->r.state == LISTEN || row->r.timer != PERSIST_TIMER || !row->r.wqueue)
			continue;
		buf_printf(out, "write blocked by %s: zero window, %u bytes not taken by it (fd %d, %s)", row->client,
			   row->r.wqueue, row->fd, tcp_state_name(row->r.state));
		return true;
	}
	return false;
}

static void more_clients(const struct look *look, uint8_t state, struct buf *out)
{
	size_t n = 0;

	for (size_t i = 0; i < look->n_rows; i++)
		n += look->row[i].accepted && look->row[i].r.state == state;
	if (n > 1)
		buf_printf(out, " (and %zu more clients so)", n - 1);
}

/* A client that is connected, or whose close the server waits for, or which the server forgot to close. */
static bool client_open(const struct look *look, struct buf *out)
{
	static const struct { uint8_t state; const char *before, *after; } kinds[] = {
		{ ESTABLISHED, "waiting for ", "" },
		{ FIN_WAIT2, "waiting for ", " to close: it closed its own side" },
		{ FIN_WAIT1, "waiting for ", " to take the last bytes" },
		{ CLOSE_WAIT, "not closing ", ", which has closed its side" },
	};

	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
		for (size_t i = 0; i < look->n_rows; i++) {
			const struct look_row *row = &look->row[i];

			if (!row->accepted || row->r.state != kinds[k].state)
				continue;
			buf_printf(out, "%s%s%s: ", kinds[k].before, row->client, kinds[k].after);
			row_text(&row->r, out);
			buf_printf(out, ", fd %d", row->fd);
			more_clients(look, kinds[k].state, out);
			return true;
		}
	return false;
}

static const struct proc *awaited_child(const struct look *look, const struct look_thread *t)
{
	int pid = awaited_pid(look, t);

	for (size_t i = 0; i < look->n_children && i < LOOK_CHILDREN; i++) {
		const struct proc *c = &look->child[i];

		if (pid > 0 ? c->pid == pid : c->state != 'Z')
			return c;
	}
	return NULL;
}

static bool has_our_listener(const struct look *look, const struct proc *child)
{
	struct holder who;

	for (size_t i = 0; i < look->n_rows; i++)
		if (look->row[i].r.state == LISTEN && census_socket_holders(&child->pid, 1, look->row[i].r.inode, &who, 1) > 0)
			return true;
	return false;
}

static bool child_text(const struct look *look, bool heirs_only, struct buf *out)
{
	for (size_t i = 0; i < look->n_threads; i++) {
		const struct look_thread *t = &look->thread[i];
		const struct proc *c = waits_for_child(t) ? awaited_child(look, t) : NULL;
		bool heir = c && has_our_listener(look, c);

		if (!waits_for_child(t) || (heirs_only && !heir))
			continue;
		buf_printf(out, "waiting for a child process in %s", call_name(t));
		if (c)
			buf_printf(out, ": %d '%s' (state %c) has not ended", c->pid, c->comm, c->state);
		if (c && look->n_children > 1)
			buf_printf(out, ", of %zu children", look->n_children);
		if (heir)
			buf_adds(out, "; it has the same listening socket open");
		return true;
	}
	return false;
}

static bool child_awaited(const struct look *look, struct buf *out)
{
	return child_text(look, false, out);
}

/* Who waits for its successor stays as long as that one does, whatever clients it has besides. */
static bool heir_awaited(const struct look *look, struct buf *out)
{
	struct buf client = {0};

	if (!child_text(look, true, out))
		return false;
	if (client_open(look, &client))
		buf_printf(out, "; and %s", client.p);
	buf_free(&client);
	return true;
}

/* A thread that reads from or writes to somebody who is not a client: the backend, a message queue, a pipe. */
static bool peer_awaited(const struct look *look, struct buf *out)
{
	static const char *const calls[] = { "read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto",
					     "sendmsg", "connect", "flock", NULL };

	for (size_t i = 0; i < look->n_threads; i++) {
		const struct look_thread *t = &look->thread[i];

		if (!call_is(t, calls))
			continue;
		buf_printf(out, "thread %d '%s' is blocked in ", t->tid, t->comm);
		call_text(look, t, out);
		return true;
	}
	return false;
}

/* Threads that every JVM has: they never keep it alive. Names are cut to 15 bytes by the kernel. */
static bool is_runtime_thread(const struct look_thread *t)
{
	static const char *const starts[] = { "GC ", "G1 ", "VM ", "C1 ", "C2 ", "Signal Dispatch", "Finalizer",
		"Reference Handl", "Common-Cleaner", "Service Thread", "Monitor Deflati", "Sweeper thread",
		"Notification Th", "DestroyJavaVM", "V8Worker", "libuv-worker", "SignalInspector" };

	for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
		if (!strncmp(t->comm, starts[i], strlen(starts[i])))
			return true;
	return false;
}

/* The thread that main joins; else one that sleeps; else one in a futex. Where main waits for events itself, or a JVM runs
 * (whose launcher joins its first thread for ever), threads that carry main's own name are the runtime's pool. */
static const struct look_thread *holding_thread(const struct look *look, const struct look_thread *main)
{
	const struct look_thread *best = NULL;
	bool java = look->runtime && !strcmp(look->runtime, "java");
	bool pool = java || (main && waits_for_events(main));

	for (size_t i = 0; i < look->n_threads; i++) {
		const struct look_thread *t = &look->thread[i];

		if (t == main || is_runtime_thread(t) || (pool && !sleeps(t) && !strcmp(t->comm, look->p.comm)))
			continue;
		if (main && !strcmp(call_name(main), "futex") && (uint32_t)main->arg[2] == (uint32_t)t->tid)
			return t;
		if (sleeps(t) && (!best || !sleeps(best)))
			best = t;
		else if (!best && !strcmp(call_name(t), "futex"))
			best = t;
	}
	return best;
}

static bool thread_holds(const struct look *look, struct buf *out)
{
	const struct look_thread *main = main_thread(look), *t = holding_thread(look, main);

	if (look->n_clients || !t)
		return false;
	if (look->runtime && !strcmp(look->runtime, "go")) {
		buf_adds(out, "all threads of the Go runtime are parked and no client socket is open: a goroutine waits (SIGQUIT prints them)");
		return true;
	}
	buf_printf(out, "thread '%s' (%d) in ", t->comm, t->tid);
	call_text(look, t, out);
	buf_adds(out, look->fds_denied ? "; sockets not visible" : "; no client socket open");
	if (main && *call_name(main)) {
		buf_adds(out, "; the main thread is in ");
		call_text(look, main, out);
	}
	return true;
}

static bool spins(const struct look *look, struct buf *out)
{
	for (size_t i = 0; i < look->n_threads; i++) {
		const struct look_thread *t = &look->thread[i];

		if (t->state != 'R' || t->state_after != 'R' || t->cpu_percent < 30)
			continue;
		buf_printf(out, "thread %d '%s' is busy: it ran %u %% of the time between two looks", t->tid, t->comm,
			   t->cpu_percent);
		return true;
	}
	return false;
}

/* A master may hold the listener for its workers and wait for these alone. What cannot be told is taken for watched. */
static bool watches_a_listener(const struct look *look)
{
	for (size_t i = 0; i < look->n_rows; i++)
		if (look->row[i].r.state == LISTEN && autopsy_watches(look->p.pid, look->row[i].fd) != 0)
			return true;
	return false;
}

static bool main_waits(const struct look *look, struct buf *out)
{
	const struct look_thread *t = main_thread(look);

	if (!t)
		return false;
	if (look->n_listeners && waits_for_events(t) && watches_a_listener(look))
		buf_adds(out, "it still listens and waits for connections as if no signal had come: ");
	buf_printf(out, "main thread '%s' in ", t->comm);
	call_text(look, t, out);
	if (look->p.sigign >> (SIGTERM - 1) & 1)
		buf_adds(out, "; SIGTERM is ignored (SigIgn)");
	else if (!look->n_clients && !look->fds_denied)
		buf_adds(out, "; no client socket open");
	return true;
}

void suspect_text(const struct look *look, struct buf *out)
{
	static bool (*const rules[])(const struct look *, struct buf *) = {
		is_dead, is_stopped, is_uninterruptible, signal_blocked, zero_window, heir_awaited, client_open,
		child_awaited, peer_awaited, thread_holds, spins, main_waits,
	};

	for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
		if (rules[i](look, out))
			return;
	buf_adds(out, "no suspect: nothing of it is visible");
}
