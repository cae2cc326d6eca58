#include "session/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/run.h"
#include "session/pack.h"
#include "target/iso.h"

static int write_all(int fd, const void *p, size_t n)
{
	const char *c = p;

	while (n) {
		ssize_t w = send(fd, c, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -errno;
		c += w;
		n -= (size_t)w;
	}
	return 0;
}

/* A message begins with its length; one send() of both, or the reader is woken twice. */
static void message_begin(struct buf *b)
{
	uint32_t n = 0;

	buf_add(b, &n, sizeof n);
}

static int message_send(int fd, struct buf *b)
{
	uint32_t n = (uint32_t)(b->n - sizeof n);

	memcpy(b->p, &n, sizeof n);
	return write_all(fd, b->p, b->n);
}

/* A scenario whose run failed in the harness still has a result: BROKEN, with the sentence. Where only the
 * evidence could not be written, what was seen is judged all the same. */
static void make_result(const struct session *s, const struct job *job, const struct events *ev, int rc,
			const struct err *err, struct arena *arena, struct result *res)
{
	const struct plan *plan = job->plan;
	char text[1024];

	*res = (struct result){0};
	if (rc == 0 || ev->write_errno)
		judge_all(plan->sc, ev, s->settings->only, s->settings->skip, arena, res);
	res->name = plan->sc->name;
	res->path = plan->sc->path;
	res->why = plan->sc->why;
	res->evidence = job->dir;
	res->index = job->index;
	if (rc > 0) {
		res->outcome = SKIP;
		res->skip_reason = arena_strdup(arena, err_text(err, text, sizeof text));
	} else if (rc < 0) {
		res->broken = arena_strdup(arena, err_text(err, text, sizeof text));
		res->exit_hint = err->kind == ERR_TARGET_MISSING ? 127 :
				 err->kind == ERR_TARGET_NOEXEC || err->kind == ERR_TARGET ? 126 : 0;
		if (res->outcome != FAIL)
			res->outcome = BROKEN;
	}
}

static int run_job(const struct session *s, struct world *w, uint32_t index, int fd)
{
	const struct job *job = &s->jobs[index];
	struct arena *arena = arena_new();
	struct err err = {0};
	struct events ev;
	struct result res;
	struct buf b = {0};
	nsec_t start = clock_now();
	int rc;

	events_init(&ev, arena);
	rc = run_scenario(w, job->plan, job->dir, &ev, &err);
	if (w->interrupted) {
		events_close(&ev);
		arena_free(arena);
		return -1;
	}
	make_result(s, job, &ev, rc, &err, arena, &res);
	res.took = clock_now() - start;
	message_begin(&b);
	result_pack(&res, &b);
	rc = message_send(fd, &b);
	buf_free(&b);
	events_close(&ev);
	arena_free(arena);
	return rc;
}

/* A probe's answer: the err and the probe, as they are (both sides are this program). */
struct probe_message {
	int rc;
	struct err err;
	bool http, keepalive, done;
	char protocol[32];
	char note[600];
};

static int run_probe_job(const struct session *s, struct world *w, int fd)
{
	struct probe_message m = {0};
	struct probe p = {0};
	struct buf b = {0};

	m.rc = run_probe(w, s->jobs[0].plan, s->jobs[0].dir, &p, &m.err);
	m.err.at.path = NULL;
	m.http = p.http;
	m.keepalive = p.keepalive;
	m.done = p.done;
	snprintf(m.protocol, sizeof m.protocol, "%s", p.protocol ? p.protocol : "");
	snprintf(m.note, sizeof m.note, "%s%s%s", w->iso_why, w->iso_why[0] && w->cap_why[0] ? "; " : "",
		 w->cap_why[0] ? w->cap_why : "");
	message_begin(&b);
	buf_add(&b, &m, sizeof m);
	int rc = message_send(fd, &b);

	buf_free(&b);
	return rc;
}

/* Thousands of connections that end at once are a burst of packets: 32 MiB hold some 60,000 of their beginnings. Or some 7,000
 * of 4 KiB, for TLS, where what is cut cannot be decrypted. */
static unsigned ring_for(const struct session *s, unsigned *ret_packet)
{
	uint64_t most = 0;
	bool whole = false;

	for (size_t i = 0; i < s->n_jobs; i++) {
		most = run_needs_clients(s->jobs[i].plan) > most ? run_needs_clients(s->jobs[i].plan) : most;
		whole |= run_needs_packets(s->jobs[i].plan);
	}
	*ret_packet = whole && most <= 1000 ? 4096 : 0;
	return whole || most > 1000 ? 32u << 20 : 0;
}

static void worker_main(const struct session *s, int fd, unsigned got, const char *why)
{
	struct world w;
	struct err err = {0};
	uint32_t index;

	prctl(PR_SET_NAME, "drainspec-work");
	unsigned packet, ring = ring_for(s, &packet);

	if (world_open(&w, got, why, ring, packet, &err) < 0) {
		fprintf(stderr, "drainspec: worker: %s\n", err.what);
		_exit(3);
	}
	w.seed = s->settings->has_seed ? s->settings->seed : (uint64_t)clock_now();
	w.next_port = 0;
	while (!w.interrupted) {
		struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = w.sigfd, .events = POLLIN}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			loop_once(&w.loop, 0);
		if (!p[0].revents)
			continue;
		if (recv(fd, &index, sizeof index, MSG_WAITALL) != sizeof index)
			break;
		if ((index == MSG_PROBE ? run_probe_job(s, &w, fd) : run_job(s, &w, index, fd)) < 0)
			break;
	}
	world_close(&w);
	_exit(0);
}

int worker_start(struct session *s, struct worker *w, struct err *reterr)
{
	int pair[2];
	unsigned got = 0;
	char why[256];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(reterr, ERR_HARNESS, errno, "cannot make a socket pair");
	pid_t pid = iso_fork(s->isolate ? ISO_NET | ISO_PID : 0, &got, why, sizeof why, reterr);

	if (pid == 0) {
		close(pair[0]);
		worker_main(s, pair[1], got, why);
	}
	close(pair[1]);
	if (pid < 0) {
		close(pair[0]);
		return -1;
	}
	*w = (struct worker){.pid = pid, .fd = pair[0], .job = -1, .queued = -1};
	return 0;
}

int worker_tell(struct worker *w, uint32_t index)
{
	w->ran++;
	return write_all(w->fd, &index, sizeof index);
}

int worker_read(struct worker *w, const char **ret_p, size_t *ret_n)
{
	uint32_t n;

	for (;;) {
		if (w->in.n >= sizeof n) {
			memcpy(&n, w->in.p, sizeof n);
			if (w->in.n >= sizeof n + n) {
				*ret_p = w->in.p + sizeof n;
				*ret_n = n;
				return 1;
			}
		}
		buf_reserve(&w->in, 64 * 1024);
		ssize_t got = recv(w->fd, w->in.p + w->in.n, w->in.cap - w->in.n - 1, MSG_DONTWAIT);

		if (got < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (got <= 0)
			return -1;
		w->in.n += (size_t)got;
	}
}

void worker_drop_message(struct worker *w)
{
	uint32_t n;

	memcpy(&n, w->in.p, sizeof n);
	memmove(w->in.p, w->in.p + sizeof n + n, w->in.n - sizeof n - n);
	w->in.n -= sizeof n + n;
}

void worker_stop(struct worker *w, int signo)
{
	if (w->pid > 0)
		kill(w->pid, signo);
}

int session_probe(const struct plan *plan, const char *dir, bool isolate, struct probe *ret, char *note, size_t note_n,
		  struct err *reterr)
{
	static char protocol[32];
	struct settings none = {0};
	struct job job = {.plan = plan, .dir = dir};
	struct session s = {.jobs = &job, .n_jobs = 1, .settings = &none, .workers = 1, .isolate = isolate};
	const char *p;
	size_t n;
	struct probe_message m;

	int signo = session_one(&s, &p, &n, reterr);

	if (signo)
		return signo;
	if (n != sizeof m)
		return err_set(reterr, ERR_HARNESS, 0, "the probe's worker sent nonsense");
	memcpy(&m, p, sizeof m);
	snprintf(note, note_n, "%s", m.note);
	if (m.rc < 0) {
		*reterr = m.err;
		return -1;
	}
	snprintf(protocol, sizeof protocol, "%s", m.protocol);
	*ret = (struct probe){.done = m.done, .http = m.http, .keepalive = m.keepalive,
		.protocol = protocol[0] ? protocol : NULL};
	return 0;
}
