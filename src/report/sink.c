#include "report/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

static int failed(struct err *reterr, const char *path, int errnum)
{
	return err_set(reterr, ERR_HARNESS, errnum, "cannot write the report %s", path);
}

/* 0 or an errno. A terminal or pipe shared with a program that made it non-blocking is waited for. */
static int write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t k = write(fd, p, n);

		if (k >= 0) {
			p += k;
			n -= (size_t)k;
		} else if (errno == EAGAIN) {
			poll(&(struct pollfd){.fd = fd, .events = POLLOUT}, 1, -1);
		} else if (errno != EINTR) {
			return errno;
		}
	}
	return 0;
}

static void make_parents(const char *file)
{
	char *path __attribute__((cleanup(cleanup_mem))) = strdup(file);

	/* Failures show when the file itself is opened, with a better message. */
	for (char *s = path ? strchr(path + 1, '/') : NULL; s; s = strchr(s + 1, '/')) {
		*s = '\0';
		mkdir(path, 0777);
		*s = '/';
	}
}

/* Renaming over these would put a plain file where a device was. */
static bool is_replaceable(const char *path)
{
	struct stat st;

	if (!strncmp(path, "/dev/fd/", 8) || !strncmp(path, "/dev/std", 8) || !strncmp(path, "/proc/", 6))
		return false;
	return stat(path, &st) < 0 || S_ISREG(st.st_mode);
}

int sink_open(const char *file, struct sink *ret, struct err *reterr)
{
	if (!file || !strcmp(file, "-")) {
		*ret = (struct sink){.fd = STDOUT_FILENO, .path = strdup("stdout")};
		return 0;
	}
	make_parents(file);
	*ret = (struct sink){.whole = is_replaceable(file), .fd = -1};
	if (ret->whole) {
		/* Of a link the file behind it is replaced, not the link. */
		ret->path = realpath(file, NULL);
		if (!ret->path)
			ret->path = strdup(file);
		return 0;
	}
	ret->path = strdup(file);
	ret->fd = open(file, O_WRONLY | O_CLOEXEC | O_NOCTTY | O_APPEND);
	return ret->fd < 0 ? failed(reterr, file, errno) : 0;
}

int sink_append(struct sink *sink, const char *p, size_t n, struct err *reterr)
{
	int errnum = sink->fd < 0 ? EBADF : sink->gone ? 0 : write_all(sink->fd, p, n);

	/* `| head` has seen enough: that is its reader's matter, and no trouble of the run */
	if (errnum == EPIPE && sink->fd == STDOUT_FILENO) {
		sink->gone = true;
		errnum = 0;
	}

	return errnum ? failed(reterr, sink->path, errnum) : 0;
}

/* Write, sync and close: only what is on the disk may take the old report's place. */
static int fill(int fd, const char *p, size_t n)
{
	int errnum = write_all(fd, p, n);

	if (!errnum && fsync(fd) < 0 && errno != EINVAL && errno != ENOSYS)
		errnum = errno;
	if (close(fd) < 0 && !errnum && errno != EINTR)
		errnum = errno;
	return errnum;
}

/* A file that may be written in a folder that may not be (a single file mounted into a container): better not atomic than not
 * at all. Never for a full disk: that would trade the last good report for half of one. */
static int overwrite(const char *path, const char *p, size_t n)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC | O_NOCTTY);

	return fd < 0 ? errno : fill(fd, p, n);
}

static char *temporary_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = NULL;

	/* Not made from the file's name, which may be as long as names can be. */
	if (asprintf(&name, "%.*s.drainspec-%d.tmp", slash ? (int)(slash - path + 1) : 0, path, (int)getpid()) < 0)
		return NULL;
	return name;
}

static int replace(const char *path, const char *p, size_t n)
{
	char *tmp __attribute__((cleanup(cleanup_mem))) = temporary_name(path);
	struct stat st;
	bool there = stat(path, &st) == 0;
	int errnum;

	if (!tmp)
		return ENOMEM;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);

	errnum = fd < 0 ? errno : 0;
	if (fd >= 0) {
		if (there && fchmod(fd, st.st_mode & 07777) < 0)
			there = false;  /* somebody else's file: ours has our mode */
		errnum = fill(fd, p, n);
		if (!errnum && rename(tmp, path) < 0)
			errnum = errno;
		if (errnum)
			unlink(tmp);
	}
	if (there && (errnum == EACCES || errnum == EPERM || errnum == EBUSY || errnum == EROFS))
		errnum = overwrite(path, p, n);
	return errnum;
}

int sink_replace(struct sink *sink, const char *p, size_t n, struct err *reterr)
{
	int errnum = replace(sink->path, p, n);

	return errnum ? failed(reterr, sink->path, errnum) : 0;
}

void sink_close(struct sink *sink)
{
	if (sink->fd > STDERR_FILENO)
		close(sink->fd);
	free(sink->path);
	*sink = (struct sink){.fd = -1};
}

int sink_add_to_file(const char *path, const char *p, size_t n, size_t limit, struct err *reterr)
{
	static const char cut[] = "\n\n*(cut here: the rest is in the log and in the evidence)*\n";
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
	struct stat st;
	bool too_long;

	if (fd < 0 || fstat(fd, &st) < 0)
		return failed(reterr, path, errno);
	size_t used = S_ISREG(st.st_mode) ? (size_t)st.st_size : 0;
	size_t room = used < limit ? limit - used : 0;

	too_long = n > room;
	if (too_long) {
		n = room > sizeof cut ? room - sizeof cut : 0;
		/* A section that is not whole would leave its code block open. */
		while (n && !(n >= 5 && !memcmp(p + n - 5, "\n### ", 5)))
			n--;
		n = n ? n - 5 : 0;
	}
	int errnum = write_all(fd, p, n);

	if (!errnum && too_long && room > sizeof cut)
		errnum = write_all(fd, cut, sizeof cut - 1);
	return errnum ? failed(reterr, path, errnum) : 0;
}
