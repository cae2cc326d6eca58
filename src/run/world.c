#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "run/engine.h"
#include "target/iso.h"

static void signals_ready(struct watch *watch, uint32_t events)
{
	struct world *w = watch->arg;
	struct signalfd_siginfo si[16];
	ssize_t n;

	(void)events;
	while ((n = read(w->sigfd, si, sizeof si)) > 0)
		for (size_t i = 0; i < (size_t)n / sizeof *si; i++)
			if (si[i].ssi_signo == SIGTERM)
				w->interrupted = SIGTERM;
	if (w->run)
		target_reap(w->run);
}

uint64_t run_max_clients(void)
{
	struct rlimit lim = {1024, 1024};

	getrlimit(RLIMIT_NOFILE, &lim);
	return lim.rlim_max > 64 ? lim.rlim_max - 64 : 0;
}

uint64_t run_needs_clients(const struct plan *plan)
{
	uint64_t n = 0;

	for (size_t i = 0; i < plan->sc->n_clients; i++) {
		const struct client_spec *s = &plan->sc->clients[i];

		n += s->count * (s->request && plan_gated(s->request) ? 2u : 1u);
	}
	return n;
}

/* A worker that was SIGKILLed leaves its folder behind. Who lives holds a lock on his, so what can be locked is nobody's. */
static void sweep_stale(const char *base)
{
	char path[300];
	DIR *d = opendir(base);

	for (struct dirent *e; d && (e = readdir(d));) {
		if (strncmp(e->d_name, "drainspec-", 10) || strlen(e->d_name) != 16)
			continue;
		snprintf(path, sizeof path, "%.250s/%.40s", base, e->d_name);
		int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		struct stat st;

		if (fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() && flock(fd, LOCK_EX | LOCK_NB) == 0)
			remove_tree(path);
		if (fd >= 0)
			close(fd);
	}
	if (d)
		closedir(d);
}

/* TMPDIR of the targets. Another worker's sweep may come between making and locking: then it is made again. */
static int own_folder(struct world *w, const char *base)
{
	for (int i = 0; i < 20; i++) {
		snprintf(w->tmp, sizeof w->tmp, "%.200s/drainspec-XXXXXX", base);
		if (!mkdtemp(w->tmp))
			return -1;
		w->tmp_fd = open(w->tmp, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (w->tmp_fd >= 0 && flock(w->tmp_fd, LOCK_EX | LOCK_NB) == 0 && access(w->tmp, F_OK) == 0)
			return 0;
		if (w->tmp_fd >= 0)
			close(w->tmp_fd);
		w->tmp_fd = -1;
	}
	return -1;
}

int world_open(struct world *w, unsigned got, const char *iso_why, unsigned ring_bytes, unsigned packet_bytes,
	       struct err *reterr)
{
	struct err why = {0};
	const char *tmp = getenv("TMPDIR");
	const char *base = tmp && *tmp && strlen(tmp) < 200 ? tmp : "/tmp";
	struct rlimit lim;
	sigset_t set;

	*w = (struct world){.got = got, .sigfd = -1, .counter_fds = {-1, -1}, .pressure_fds = {-1, -1}, .tmp_fd = -1};
	for (size_t i = 0; i < sizeof w->port_locks / sizeof *w->port_locks; i++)
		w->port_locks[i] = -1;
	snprintf(w->iso_why, sizeof w->iso_why, "%s", iso_why);
	/* the parent tells us by SIGTERM; a Ctrl-C of the terminal is the parent's business */
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	sigdelset(&set, SIGINT);
	sigdelset(&set, SIGHUP);
	getrlimit(RLIMIT_NOFILE, &lim);
	w->nofile = (unsigned)lim.rlim_cur;
	lim.rlim_cur = lim.rlim_max;
	setrlimit(RLIMIT_NOFILE, &lim);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_TIMERSLACK, 1UL);
	if (loop_init(&w->loop, reterr) < 0 || diag_open(&w->diag, reterr) < 0)
		return -1;
	w->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	w->sig_watch = (struct watch){.fn = signals_ready, .arg = w, .fd = w->sigfd};
	if (w->sigfd < 0 || loop_add(&w->loop, &w->sig_watch, EPOLLIN) < 0)
		return err_set(reterr, ERR_HARNESS, errno, "cannot watch signals");
	w->buf = malloc(RUN_BUF);
	pressure_open(w);
	sweep_stale(base);
	if (own_folder(w, base) < 0)
		return err_set(reterr, ERR_HARNESS, errno, "cannot make a folder in %s", base);
	if (capture_open(&w->cap, ring_bytes, packet_bytes, &why) < 0) {
		w->cap = NULL;
		err_text(&why, w->cap_why, sizeof w->cap_why);
	}
	return 0;
}

void world_close(struct world *w)
{
	if (w->tmp[0])
		remove_tree(w->tmp);
	if (w->tmp_fd >= 0)
		close(w->tmp_fd);
	if (w->cap)
		capture_close(w->cap);
	free(w->buf);
	buf_free(&w->dumped.text);
	diag_close(w->diag);
	loop_done(&w->loop);
	if (w->sigfd >= 0)
		close(w->sigfd);
	pressure_close(w);
	for (int i = 0; i < 2; i++)
		if (w->counter_fds[i] >= 0)
			close(w->counter_fds[i]);
}
