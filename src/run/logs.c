/* stdout and stderr of the target: files that it appends to and that we read at our own offsets. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "run/engine.h"
#include "target/go_dump.h"

#define DUMP_MAX (1u << 20)

/* One descriptor for both: the target appends to it, we read at our own offsets. */
int log_open(struct run *r, struct log_file *lf, const char *name)
{
	if (lf->fd >= 0)
		return 0;               /* the restart goes on in the same files */
	lf->dumped = false;
	snprintf(lf->path, sizeof lf->path, "%s/%s", r->dir, name);
	lf->fd = open(lf->path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_TRUNC, 0644);
	if (lf->fd < 0)
		return err_set(r->err, ERR_HARNESS, errno, "cannot write %s", lf->path);
	return 0;
}

void target_files(struct run *r, bool close_them)
{
	for (int i = 0; i < 2; i++) {
		if (close_them && r->logs[i].fd >= 0)
			close(r->logs[i].fd);
		r->logs[i].fd = -1;
	}
}

static void inotify_ready(struct watch *w, uint32_t events)
{
	struct run *r = w->arg;
	char buf[4096];

	(void)events;
	while (read(w->fd, buf, sizeof buf) > 0)
		;
	r->log_activity = true;
}

static bool wants_log(const struct run *r)
{
	if (r->sc->target.ready == READY_LOG)
		return true;
	for (unsigned i = 0; i < r->n_actions; i++)
		if (r->actions[i].has_re)
			return true;
	return false;
}

int logs_watch(struct run *r)
{
	if (r->inotify_watch.fd >= 0) { /* a restart: the files are the same */
		loop_del(r->loop, &r->inotify_watch);
		close(r->inotify_watch.fd);
	}
	r->inotify_watch = (struct watch){.fn = inotify_ready, .arg = r, .fd = -1};
	if (!wants_log(r))
		return 0;
	r->inotify_watch.fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (r->inotify_watch.fd < 0 || inotify_add_watch(r->inotify_watch.fd, r->logs[0].path, IN_MODIFY) < 0 ||
	    inotify_add_watch(r->inotify_watch.fd, r->logs[1].path, IN_MODIFY) < 0)
		return err_set(r->err, ERR_HARNESS, errno, "cannot watch the target's log (sysctl fs.inotify.max_user_instances and "
			       "max_user_watches are what others have left over)");
	loop_add(r->loop, &r->inotify_watch, EPOLLIN);
	r->log_activity = true;
	return 0;
}

void logs_begin_here(struct run *r)
{
	for (int i = 0; i < 2; i++) {
		struct stat st;

		r->logs[i].dumped = false;
		if (r->logs[i].fd >= 0 && fstat(r->logs[i].fd, &st) == 0)
			r->logs[i].from = r->logs[i].at = st.st_size;
	}
}

/* What comes next, usually one short line and more: to copy all that follows for each would take longer than to write it took. */
static ssize_t read_ahead(struct run *r, const struct log_file *lf)
{
	ssize_t got = lf->fd < 0 ? 0 : pread(lf->fd, r->buf, 4096, lf->at);

	if (got == 4096 && !memchr(r->buf, '\n', 4096))
		got = pread(lf->fd, r->buf, RUN_BUF - 1, lf->at);
	return got;
}

/* The next whole line since the last look; false: there is none. */
bool log_next(struct run *r, char *line, size_t n, int *ret_stream)
{
	for (int i = 0; i < 2; i++) {
		struct log_file *lf = &r->logs[i];
		ssize_t got = read_ahead(r, lf);

		if (got <= 0)
			continue;
		r->buf[got] = '\0';
		char *nl = memchr(r->buf, '\n', (size_t)got);

		if (!nl && got < RUN_BUF - 1)
			continue;
		size_t len = nl ? (size_t)(nl - (char *)r->buf) : (size_t)got;

		lf->at += (int64_t)len + (nl ? 1 : 0);
		snprintf(line, n, "%.*s", (int)(len < n ? len : n - 1), (char *)r->buf);
		*ret_stream = i + 1;
		return true;
	}
	return false;
}

/* True and the line if one of those that came since the last look matches. */
bool log_scan(struct run *r, const regex_t *re, char *line, size_t n, int *ret_stream)
{
	while (log_next(r, line, n, ret_stream))
		if (regexec(re, line, 0, NULL, 0) == 0)
			return true;
	return false;
}

/* Its writes then fail with ENOSPC, and what it said is lost: no fault of its own. */
bool log_has_room(const struct log_file *lf)
{
	struct statvfs fs;

	if (lf->fd < 0 || fstatvfs(lf->fd, &fs) < 0 || !fs.f_blocks)
		return true;
	return geteuid() ? fs.f_bavail > 0 : fs.f_bfree > 0;
}

void logs_dump_begins(struct run *r)
{
	struct stat st;

	for (int i = 0; i < 2; i++)
		if (r->logs[i].fd >= 0 && fstat(r->logs[i].fd, &st) == 0) {
			r->logs[i].at_dump = st.st_size;
			r->logs[i].dumped = true;
		}
}

/* Go prints to stderr, and what it prints is long: ten thousand goroutines are megabytes. */
void logs_dump_read(struct run *r, const char *runtime)
{
	struct buf dump = {0}, ways = {0};
	struct log_file *lf = &r->logs[1];
	ssize_t got;

	while (!strcmp(runtime, "go") && lf->dumped && dump.n < DUMP_MAX &&
	       (got = pread(lf->fd, r->buf, RUN_BUF, lf->at_dump + (off_t)dump.n)) > 0)
		buf_add(&dump, r->buf, (size_t)got);
	size_t n = dump.n ? go_dump(dump.p, dump.n, &ways) : 0;

	if (n)
		events_add(r->ev, EV_STACKS, -1, r->pid, (int64_t)n, ways.n ? ways.p : "all goroutines are the runtime's own");
	buf_free(&dump);
	buf_free(&ways);
}

const char *log_last_lines(struct run *r, struct log_file *lf, unsigned lines, uint64_t *ret_bytes)
{
	struct stat st;
	char tail[4096];

	*ret_bytes = 0;
	if (lf->fd < 0 || fstat(lf->fd, &st) < 0 || !st.st_size)
		return "";
	*ret_bytes = (uint64_t)st.st_size;
	off_t end = lf->dumped ? lf->at_dump : st.st_size;
	off_t from = end - lf->from > (off_t)sizeof tail - 1 ? end - (off_t)sizeof tail + 1 : lf->from;
	ssize_t n = end > from ? pread(lf->fd, tail, (size_t)(end - from), from) : 0;

	if (n <= 0)
		return "";
	tail[n] = '\0';
	char *p = tail + n;

	for (unsigned seen = 0; p > tail; p--)
		if (p[-1] == '\n' && p < tail + n && ++seen == lines)
			break;
	return arena_strdup(r->arena, p);
}

