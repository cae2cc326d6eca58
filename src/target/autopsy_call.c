/* System calls: what their arguments mean, where the memory and the fds of the process tell. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "target/autopsy_look.h"
#include "target/census_proc.h"

enum shape { NONE, FD, POLL, SELECT, EPOLL, FUTEX, SLEEP, CLOCK_SLEEP, WAIT4, WAITID };

struct call_shape {
	const char *name;
	enum shape shape;
};

static const struct call_shape shapes[] = {
	{ "accept", FD }, { "accept4", FD }, { "read", FD }, { "write", FD }, { "readv", FD }, { "writev", FD },
	{ "recvfrom", FD }, { "recvmsg", FD }, { "sendto", FD }, { "sendmsg", FD }, { "sendfile", FD },
	{ "connect", FD }, { "close", FD }, { "fsync", FD }, { "fdatasync", FD }, { "flock", FD },
	{ "fcntl", FD }, { "ioctl", FD }, { "pread64", FD }, { "pwrite64", FD }, { "splice", FD },
	{ "poll", POLL }, { "ppoll", POLL }, { "select", SELECT }, { "pselect6", SELECT },
	{ "epoll_wait", EPOLL }, { "epoll_pwait", EPOLL }, { "epoll_pwait2", EPOLL },
	{ "futex", FUTEX }, { "nanosleep", SLEEP }, { "clock_nanosleep", CLOCK_SLEEP },
	{ "wait4", WAIT4 }, { "waitid", WAITID },
};

static enum shape shape_of(const struct look_thread *t)
{
	const char *name = call_name(t);

	for (size_t i = 0; *name && i < sizeof shapes / sizeof *shapes; i++)
		if (!strcmp(shapes[i].name, name))
			return shapes[i].shape;
	return NONE;
}

static bool peek(pid_t pid, uint64_t addr, void *buf, size_t n)
{
	struct iovec here = { buf, n }, there = { (void *)(uintptr_t)addr, n };

	return addr && process_vm_readv(pid, &here, 1, &there, 1, 0) == (ssize_t)n;
}

/* The fds that a poll or select waits for. How many were stored, -1: not readable. */
static int waited_fds(pid_t pid, const struct look_thread *t, enum shape shape, int *ret, int max)
{
	int n = 0;

	if (shape == POLL) {
		struct pollfd p[64];
		size_t count = t->arg[1] < 64 ? (size_t)t->arg[1] : 64;

		if (count && !peek(pid, t->arg[0], p, count * sizeof *p))
			return -1;
		for (size_t i = 0; i < count && n < max; i++)
			if (p[i].fd >= 0)
				ret[n++] = p[i].fd;
		return n;
	}
	uint64_t words[FD_SETSIZE / 64];
	size_t nfds = t->arg[0] < FD_SETSIZE ? (size_t)t->arg[0] : FD_SETSIZE;

	if (!t->arg[1])
		return 0;
	if (!peek(pid, t->arg[1], words, (nfds + 63) / 64 * 8))
		return -1;
	for (size_t fd = 0; fd < nfds && n < max; fd++)
		if (words[fd / 64] >> fd % 64 & 1)
			ret[n++] = (int)fd;
	return n;
}

static void fds_text(const struct look *look, const struct look_thread *t, enum shape shape, struct buf *out)
{
	int fds[6], n = waited_fds(look->view, t, shape, fds, 6);

	for (int i = 0; i < n && i < 5; i++) {
		buf_printf(out, "%sfd %d = ", i ? ", " : "", fds[i]);
		fd_text(look, fds[i], out);
	}
	if (n > 5)
		buf_adds(out, ", ...");
	if (n <= 0)
		buf_adds(out, n ? "?" : "no fd");
}

static void span_text(pid_t pid, uint64_t addr, struct buf *out)
{
	struct timespec ts;
	char text[24];

	if (peek(pid, addr, &ts, sizeof ts))
		buf_adds(out, duration_text(ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec, text));
}

static void timeout_text(const struct look_thread *t, struct buf *out)
{
	const char *name = call_name(t);
	int ms = (int)t->arg[!strncmp(name, "epoll", 5) ? 3 : 2];

	if (!strcmp(name, "poll") || !strcmp(name, "epoll_wait") || !strcmp(name, "epoll_pwait")) {
		if (ms < 0)
			buf_adds(out, ", no timeout");
		else
			buf_printf(out, ", timeout %d ms", ms);
		return;
	}
	uint64_t ts = !strcmp(name, "ppoll") ? t->arg[2] : !strcmp(name, "epoll_pwait2") ? t->arg[3] : 0;

	if (!strncmp(name, "select", 6) || !strncmp(name, "pselect", 7))
		ts = t->arg[4];
	buf_adds(out, ts ? ", with a timeout" : ", no timeout");
}

/* pthread_join waits on the word that holds the other thread's id: the expected value names it. */
static void futex_text(const struct look *look, const struct look_thread *t, struct buf *out)
{
	for (size_t i = 0; i < look->n_threads; i++)
		if ((uint32_t)t->arg[2] == (uint32_t)look->thread[i].tid && look->thread[i].tid != t->tid) {
			buf_printf(out, "joins thread %d '%s'", look->thread[i].tid, look->thread[i].comm);
			return;
		}
	buf_printf(out, "0x%" PRIx64, t->arg[0]);
}

/* The process that a wait4 or waitid waits for; -1: any. Go waits by pidfd, whose fdinfo names the process. */
int awaited_pid(const struct look *look, const struct look_thread *t)
{
	enum { BY_PID = 1, BY_PIDFD = 3 };
	char name[32], text[512];

	if (shape_of(t) == WAIT4)
		return (int)t->arg[0] > 0 ? (int)t->arg[0] : -1;
	if (t->arg[0] == BY_PID)
		return (int)t->arg[1];
	if (t->arg[0] != BY_PIDFD)
		return -1;
	snprintf(name, sizeof name, "fdinfo/%d", (int)t->arg[1]);
	if (proc_read(look->view, name, text, sizeof text) <= 0)
		return -1;
	const char *pid = strstr(text, "\nPid:");

	return pid ? atoi(pid + 5) : -1;
}

static void child_text(const struct look *look, int pid, struct buf *out)
{
	for (size_t i = 0; i < look->n_children && i < LOOK_CHILDREN; i++)
		if (look->child[i].pid == pid) {
			buf_printf(out, "child %d '%s'", pid, look->child[i].comm);
			return;
		}
	if (pid == -1)
		buf_adds(out, "any child");
	else
		buf_printf(out, "pid %d", pid);
}

static void args_text(const struct look *look, const struct look_thread *t, enum shape shape, struct buf *out)
{
	switch (shape) {
	case FD:
	case EPOLL:
		buf_printf(out, "fd %d = ", (int)t->arg[0]);
		fd_text(look, (int)t->arg[0], out);
		if (shape == EPOLL)
			timeout_text(t, out);
		break;
	case POLL:
	case SELECT:
		fds_text(look, t, shape, out);
		timeout_text(t, out);
		break;
	case FUTEX:
		futex_text(look, t, out);
		break;
	case SLEEP:
		span_text(look->view, t->arg[0], out);
		break;
	case CLOCK_SLEEP:
		if (t->arg[1] & 1)      /* TIMER_ABSTIME */
			buf_adds(out, "until a given time");
		else
			span_text(look->view, t->arg[2], out);
		break;
	case WAIT4:
	case WAITID:
		child_text(look, awaited_pid(look, t), out);
		break;
	case NONE:
		break;
	}
}

void call_text(const struct look *look, const struct look_thread *t, struct buf *out)
{
	const char *name = call_name(t);

	if (t->nr == CALL_RUNNING)
		buf_adds(out, "running");
	else if (t->nr == CALL_UNKNOWN)
		buf_adds(out, t->wchan[0] ? t->wchan : "system call not visible");
	else if (!*name)
		buf_printf(out, "system call %ld", t->nr);
	else {
		buf_printf(out, "%s(", name);
		args_text(look, t, shape_of(t), out);
		buf_addc(out, ')');
	}
}

struct watch {
	pid_t pid;
	int fd;
	int found;      /* as autopsy_watches returns */
};

static bool thread_watches(int tid, void *arg)
{
	struct watch *w = arg;
	struct look_thread t = { .tid = tid };
	int fds[256];

	look_call(w->pid, &t);
	enum shape shape = shape_of(&t);

	if (t.nr < 0)
		w->found = -1;
	else if (shape == FD && (int)t.arg[0] == w->fd)
		w->found = 1;
	else if (shape == POLL || shape == SELECT) {
		int n = waited_fds(w->pid, &t, shape, fds, 256);

		if (n < 0)
			w->found = -1;
		for (int i = 0; i < n; i++)
			if (fds[i] == w->fd)
				w->found = 1;
	}
	return w->found != 1;
}

/* An epoll set names its members in fdinfo, one "tfd:" line each. */
static bool epoll_has(pid_t pid, int epfd, int fd)
{
	char path[48], line[256];

	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", pid, epfd);
	_cleanup_file_ FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof line, f)) {
		int member;

		if (sscanf(line, "tfd: %d", &member) == 1 && member == fd)
			return true;
	}
	return false;
}

static bool set_watches(int fd, void *arg)
{
	struct watch *w = arg;
	char link[64];

	if (proc_fd_link(w->pid, fd, link, sizeof link) < 0)
		return true;
	if (!strcmp(link, "anon_inode:[eventpoll]") && epoll_has(w->pid, fd, w->fd))
		w->found = 1;
	else if (!strcmp(link, "anon_inode:[io_uring]"))
		w->found = -1;
	return w->found != 1;
}

static int look_for_watch(pid_t pid, int fd)
{
	struct watch w = { .pid = pid, .fd = fd };
	char path[40];

	snprintf(path, sizeof path, "/proc/%d/task", pid);
	proc_numbers(path, thread_watches, &w);
	if (w.found == 1)
		return 1;
	w.pid = proc_view(pid);
	snprintf(path, sizeof path, "/proc/%d/fd", w.pid);
	if (proc_numbers(path, set_watches, &w) < 0 && !w.found)
		return -1;
	return w.found;
}

/* A thread that runs just now is on its way somewhere: where, is seen a moment later. */
int autopsy_watches(pid_t pid, int fd)
{
	nsec_t deadline = clock_now() + 3 * NSEC_PER_MSEC;
	int found = look_for_watch(pid, fd);

	while (found < 0 && clock_now() < deadline) {
		sched_yield();
		found = look_for_watch(pid, fd);
	}
	return found;
}
