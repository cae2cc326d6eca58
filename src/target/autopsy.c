#include "target/autopsy.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/names.h"
#include "target/autopsy_look.h"
#include "target/census_proc.h"

enum { LISTENING = 10, THREADS_SHOWN = 32, ROWS_SHOWN = 24, FRAMES_SHOWN = 6 };

static void take_children(struct look *look)
{
	struct proc *v = calloc(256, sizeof *v);
	size_t n = v ? census_tree(look->p.pid, false, false, v, 256) : 0;

	for (size_t i = 0; i < n && i < 256; i++)
		if (v[i].ppid == look->p.pid && look->n_children++ < LOOK_CHILDREN) {
			look->child[look->n_children - 1] = v[i];
			proc_printable(look->child[look->n_children - 1].comm);
		}
	free(v);
}

int look_take(pid_t pid, struct diag *diag, autopsy_peer_fn peer, void *arg, struct look *ret)
{
	*ret = (struct look){0};
	int r = census_one(pid, true, &ret->p);

	if (r < 0)
		return r;
	proc_printable(ret->p.comm);
	ret->view = proc_view(pid);
	ret->runtime = autopsy_runtime(ret->view);
	take_children(ret);
	r = look_threads(pid, &ret->thread, &ret->n_threads);
	return r < 0 ? r : look_sockets(ret->view, diag, peer, arg, ret);
}

void look_free(struct look *look)
{
	free(look->thread);
	free(look->fd);
	free(look->row);
}

static void signals_text(const struct look *look, struct buf *out)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGQUIT };
	const struct proc *p = &look->p;

	for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
		uint64_t bit = UINT64_C(1) << (signals[i] - 1);

		buf_printf(out, "%s%s %s%s%s", i ? ", " : "signals: ", signal_name(signals[i]),
			   p->sigcgt & bit ? "caught" : p->sigign & bit ? "ignored" : "default",
			   p->sigblk & bit ? " blocked" : "", p->sigpnd & bit ? " PENDING" : "");
	}
	buf_addc(out, '\n');
}

static void process_text(const struct look *look, struct buf *out)
{
	const struct proc *p = &look->p;

	buf_printf(out, "process %d '%s': state %c, %u threads, ", p->pid, p->comm, p->state, p->threads);
	if (p->fds == UINT32_MAX)
		buf_adds(out, "fds not visible");
	else
		buf_printf(out, "%u fds", p->fds);
	buf_printf(out, ", %llu KiB, parent %d%s%s%s\n", (unsigned long long)p->rss_kib, p->ppid,
		   look->runtime ? ", " : "", look->runtime ? look->runtime : "",
		   look->runtime ? " runtime (SIGQUIT prints all stacks)" : "");
	signals_text(look, out);
}

/* "[<0>] ep_poll+0x1/0x2" and so on, one a line: only the names, innermost first. */
static void stack_text(pid_t pid, pid_t tid, struct buf *out)
{
	char name[48], text[2048], *save = NULL;
	int shown = 0;

	snprintf(name, sizeof name, "task/%d/stack", tid);
	if (proc_read(pid, name, text, sizeof text) <= 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line && shown < FRAMES_SHOWN;
	     line = strtok_r(NULL, "\n", &save)) {
		char *from = strstr(line, "] "), *to = from ? strchr(from, '+') : NULL;

		if (!to || !strncmp(from + 2, "entry_SYSCALL", 13) || !strncmp(from + 2, "do_syscall", 10))
			continue;
		buf_printf(out, "%s%.*s", shown++ ? " < " : "    kernel: ", (int)(to - from - 2), from + 2);
	}
	if (shown)
		buf_addc(out, '\n');
}

static void threads_text(const struct look *look, struct buf *out)
{
	for (size_t i = 0; i < look->n_threads && i < THREADS_SHOWN; i++) {
		const struct look_thread *t = &look->thread[i];

		buf_printf(out, "thread %d '%s': state %c, ", t->tid, t->comm, t->state);
		call_text(look, t, out);
		if (t->wchan[0] && t->nr >= 0)
			buf_printf(out, ", wchan %s", t->wchan);
		if (t->cpu_percent)
			buf_printf(out, ", %u %% cpu", t->cpu_percent);
		buf_addc(out, '\n');
		stack_text(look->p.pid, t->tid, out);
	}
	if (look->p.threads > THREADS_SHOWN)
		buf_printf(out, "... and %u more threads\n", look->p.threads - THREADS_SHOWN);
}

static void rows_text(const struct look *look, struct buf *out)
{
	char addr[DIAG_ADDR_TEXT];
	size_t shown = 0;

	/* listeners first: there are few, and many connections must not push them out */
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < look->n_rows && shown < ROWS_SHOWN; i++) {
			const struct look_row *row = &look->row[i];
			bool listens = row->r.state == LISTENING;

			if (listens != !pass)
				continue;
			buf_printf(out, "fd %d %s %s", row->fd, listens ? "listens on" : row->accepted ? "accepted on"
				   : "connects from", diag_addr_text(&row->r, false, addr));
			if (!listens)
				buf_printf(out, row->accepted ? " <- %s" : " -> %s", row->client);
			buf_adds(out, ": ");
			row_text(&row->r, out);
			buf_addc(out, '\n');
			shown++;
		}
	if (look->n_rows > shown)
		buf_printf(out, "... and %zu more TCP sockets\n", look->n_rows - shown);
	if (look->rows_denied)
		buf_adds(out, "TCP states not visible: sock_diag does not answer\n");
}

static void fds_count_text(const struct look *look, struct buf *out)
{
	static const char *const names[FD_KINDS] = { "files", "tcp sockets", "unix sockets", "other sockets", "pipes",
						     "epoll sets", "others" };
	size_t count[FD_KINDS] = {0};

	if (look->fds_denied) {
		buf_adds(out, "open files not visible (another user's process)\n");
		return;
	}
	for (size_t i = 0; i < look->n_fds; i++)
		count[look->fd[i].kind]++;
	buf_adds(out, "fds:");
	for (int k = 0, some = 0; k < FD_KINDS; k++)
		if (count[k])
			buf_printf(out, "%s %zu %s", some++ ? "," : "", count[k], names[k]);
	buf_addc(out, '\n');
}

static void children_text(const struct look *look, struct buf *out)
{
	for (size_t i = 0; i < look->n_children && i < LOOK_CHILDREN; i++) {
		const struct proc *c = &look->child[i];

		buf_printf(out, "child %d '%s': state %c%s\n", c->pid, c->comm, c->state,
			   c->state == 'Z' ? " (zombie, not waited for)" : "");
	}
	if (look->n_children > LOOK_CHILDREN)
		buf_printf(out, "... and %zu more children\n", look->n_children - LOOK_CHILDREN);
}

void autopsy_process(pid_t pid, struct diag *diag, autopsy_peer_fn peer, void *arg, struct buf *out)
{
	struct look look;
	int r = look_take(pid, diag, peer, arg, &look);

	if (r < 0) {
		buf_printf(out, r == -ESRCH ? "process %d is gone\n" : "process %d cannot be looked at\n", pid);
	} else {
		suspect_text(&look, out);
		buf_addc(out, '\n');
		process_text(&look, out);
		threads_text(&look, out);
		rows_text(&look, out);
		fds_count_text(&look, out);
		children_text(&look, out);
	}
	look_free(&look);
}
