#include "target/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

/* What the child reads and writes: it shares our memory (CLONE_VM) until exec. */
struct child {
	const struct launch *spec;
	const char *path;
	int null_fd;
	pid_t parent;
	volatile int failed;            /* errno of the step that failed */
	const char *volatile step;
	volatile int mount_errno;
};

static sigset_t not_default;
static bool signals_known;

static int child_fail(struct child *c, const char *step)
{
	c->failed = errno;
	c->step = step;
	_exit(127);
}

/* Which signals we handle or ignore. Asked once: nothing changes it while targets are launched, and 62 calls a launch are 62 calls. */
static void learn_signals(void)
{
	struct sigaction old;

	if (signals_known)
		return;
	sigemptyset(&not_default);
	for (int n = 1; n < NSIG; n++)
		if (sigaction(n, NULL, &old) == 0 && (old.sa_flags & SA_SIGINFO || old.sa_handler != SIG_DFL))
			sigaddset(&not_default, n);
	signals_known = true;
}

/* Signals as a shell would hand them over: a mask or SIG_IGN that leaked from us would change what is tested. */
static void child_signals(void)
{
	struct sigaction dfl = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int n = 1; n < NSIG; n++)
		if (sigismember(&not_default, n) == 1)
			sigaction(n, &dfl, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void child_fds(struct child *c)
{
	const struct launch *s = c->spec;
	int in = s->tty_fd >= 0 ? s->tty_fd : s->stdin_fd >= 0 ? s->stdin_fd : c->null_fd;

	if (dup2(in, 0) < 0 || dup2(s->stdout_fd, 1) < 0 || dup2(s->stderr_fd, 2) < 0)
		child_fail(c, "redirect its standard streams");
	if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) < 0 && errno != EINVAL && errno != ENOSYS)
		child_fail(c, "close the harness's files");
}

static int child_main(void *arg)
{
	struct child *c = arg;
	const struct launch *s = c->spec;

	if (s->die_with_parent) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!s->new_pidns && getppid() != c->parent)
			_exit(127);
	}
	prctl(PR_SET_TIMERSLACK, 50000UL);
	if (s->tty_fd >= 0) {
		if (setsid() < 0 || ioctl(s->tty_fd, TIOCSCTTY, 0) < 0)
			child_fail(c, "take its controlling terminal");
	} else if (setpgid(0, 0) < 0) {
		child_fail(c, "become leader of its process group");
	}
	if (s->new_pidns && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		c->mount_errno = errno;
	child_fds(c);
	if (s->cwd && chdir(s->cwd) < 0)
		child_fail(c, "change to its working folder");
	if (s->nofile) {
		struct rlimit lim;

		getrlimit(RLIMIT_NOFILE, &lim);
		lim.rlim_cur = s->nofile;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
	child_signals();
	execve(c->path, s->argv, s->envp);
	c->failed = errno;
	c->step = "execute it";
	_exit(errno == ENOENT ? 127 : 126);
}

static bool executable(const char *path, int *ret_errno)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		*ret_errno = errno;
		return false;
	}
	if (!S_ISREG(st.st_mode)) {
		*ret_errno = S_ISDIR(st.st_mode) ? EISDIR : EACCES;
		return false;
	}
	if (access(path, X_OK) < 0) {
		*ret_errno = errno;
		return false;
	}
	return true;
}

const char *launch_resolve(const char *name, const char *cwd, struct arena *arena, struct err *reterr)
{
	const char *path = getenv("PATH");
	int why = ENOENT, worst = ENOENT;

	if (strchr(name, '/')) {
		const char *full = name[0] == '/' || !cwd ? name : arena_printf(arena, "%s/%s", cwd, name);

		if (executable(full, &why))
			return arena_strdup(arena, name);
		worst = why;
	} else {
		if (!path)
			path = "/usr/local/bin:/usr/bin:/bin";
		for (const char *p = path; p; p = strchr(p, ':') ? strchr(p, ':') + 1 : NULL) {
			int len = (int)strcspn(p, ":");
			char *full = arena_printf(arena, "%.*s/%s", len ? len : 1, len ? p : ".", name);

			if (executable(full, &why))
				return full;
			if (why != ENOENT && why != ENOTDIR)
				worst = why;
		}
	}
	if (worst == ENOENT || worst == ENOTDIR)
		err_set(reterr, ERR_TARGET_MISSING, 0, "command not found: %s%s", name,
			strchr(name, '/') ? "" : " (searched in PATH)");
	else
		err_set(reterr, ERR_TARGET_NOEXEC, worst, "cannot execute %s", name);
	return NULL;
}

int launch(const struct launch *spec, struct launched *ret, struct err *reterr)
{
	struct arena *arena = arena_new();
	struct child c = {.spec = spec, .parent = getpid()};
	static char stack[64 * 1024] __attribute__((aligned(16)));
	_cleanup_fd_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	int pidfd = -1;
	int flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD;

	c.null_fd = null_fd;
	c.path = launch_resolve(spec->argv[0], spec->cwd, arena, reterr);
	if (!c.path) {
		arena_free(arena);
		return -1;
	}
	if (spec->new_pidns)
		flags |= CLONE_NEWPID | CLONE_NEWNS;
	learn_signals();
	pid_t pid = clone(child_main, stack + sizeof stack, flags, &c, &pidfd);
	int saved = errno;

	ret->t_exec = clock_now();
	arena_free(arena);
	if (pid < 0 && spec->new_pidns)
		return err_set(reterr, ERR_NOT_HERE, saved, "a PID namespace cannot be made here");
	if (pid < 0)
		return err_set(reterr, ERR_HARNESS, saved, "cannot start a process");
	if (c.failed) {
		waitpid(pid, NULL, 0);
		close(pidfd);
		if (c.failed == ENOENT)
			return err_set(reterr, ERR_TARGET_NOEXEC, c.failed,
				       "cannot %s (is its interpreter there?): %s", c.step, spec->argv[0]);
		return err_set(reterr, strcmp(c.step, "execute it") ? ERR_HARNESS : ERR_TARGET_NOEXEC, c.failed,
			       "cannot %s: %s", c.step, spec->argv[0]);
	}
	fcntl(pidfd, F_SETFD, FD_CLOEXEC);
	ret->pid = pid;
	ret->pidfd = pidfd;
	ret->mount_errno = c.mount_errno;
	return 0;
}
