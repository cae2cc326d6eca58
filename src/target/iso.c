#include "target/iso.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

static int loopback_up(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = {.ifr_name = "lo"};

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &ifr) < 0)
		return -errno;
	ifr.ifr_flags |= IFF_UP;
	return ioctl(fd, SIOCSIFFLAGS, &ifr) < 0 ? -errno : 0;
}

static int write_file(const char *path, const char *text)
{
	_cleanup_fd_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		return -errno;
	return 0;
}

/* Map ourselves onto ourselves: files keep their owner, and the target does not believe that it is root. */
static int map_ids(uid_t uid, gid_t gid)
{
	char line[64];
	int r = write_file("/proc/self/setgroups", "deny");

	if (r < 0 && r != -ENOENT)
		return r;
	snprintf(line, sizeof line, "%u %u 1", uid, uid);
	r = write_file("/proc/self/uid_map", line);
	if (r < 0)
		return r;
	snprintf(line, sizeof line, "%u %u 1", gid, gid);
	return write_file("/proc/self/gid_map", line);
}

/* A try that fails must leave no half-made namespace, so each rung of the ladder is a fork of its own. */
static pid_t fork_into(int flags)
{
	/* not clone3(): the seccomp filters of container engines answer it with ENOSYS */
	return (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

struct rung {
	unsigned bits;
	int flags;
};

static int in_child(const struct rung *rung, uid_t uid, gid_t gid, unsigned *ret_got, char *why,
		    unsigned long n)
{
	int r;

	*ret_got = rung->bits;
	if ((rung->bits & ISO_USER) && (r = map_ids(uid, gid)) < 0)
		return r;
	if ((rung->bits & ISO_NET) && (r = loopback_up()) < 0)
		return r;
	if (!(rung->flags & CLONE_NEWNS))
		return 0;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return -errno;
	if ((rung->bits & ISO_PID) &&
	    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) < 0)
		return -errno;
	if (mount("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") == 0)
		*ret_got |= ISO_SHM;
	else
		snprintf(why, n, "no /dev/shm of its own (%s)", strerror(errno));
	return 0;
}

pid_t iso_fork(unsigned want, unsigned *ret_got, char *why, unsigned long n, struct err *reterr)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	pid_t parent = getpid();
	const struct rung rungs[] = {
		{ISO_NET | ISO_PID, CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS},
		{ISO_NET | ISO_PID | ISO_USER, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWNS},
		{ISO_NET | ISO_USER, CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWNS},
		{0, 0},
	};
	int first_errno = 0;

	why[0] = '\0';
	for (size_t i = want ? 0 : 3; i < sizeof rungs / sizeof *rungs; i++) {
		int sync[2], verdict = -EPIPE;

		if (pipe2(sync, O_CLOEXEC) < 0)
			return err_set(reterr, ERR_HARNESS, errno, "cannot make a pipe");
		pid_t pid = fork_into(rungs[i].flags);

		if (pid == 0) {
			/* PID 1 of a namespace takes all with it; elsewhere we must end our children ourselves */
			prctl(PR_SET_PDEATHSIG, rungs[i].bits & ISO_PID ? SIGKILL : SIGTERM);
			/* in a PID namespace our parent is always 0 */
			if (!(rungs[i].bits & ISO_PID) && getppid() != parent)
				_exit(3);
			verdict = in_child(&rungs[i], uid, gid, ret_got, why, n);
			if (write(sync[1], &verdict, sizeof verdict) < 0 || verdict < 0)
				_exit(3);
			close(sync[0]);
			close(sync[1]);
			if (first_errno && !rungs[i].bits)
				snprintf(why, n, "no namespaces (%s)", strerror(first_errno));
			return 0;
		}
		verdict = pid < 0 ? -errno : verdict;
		close(sync[1]);
		if (pid > 0 && read(sync[0], &verdict, sizeof verdict) != sizeof verdict)
			verdict = -EPIPE;
		close(sync[0]);
		if (pid > 0 && verdict == 0)
			return pid;
		if (pid > 0)
			waitpid(pid, NULL, 0);
		if (!first_errno)
			first_errno = -verdict;
		/* a parent whose SIGCHLD is a signalfd sees the failed try; it finds no child and goes on */
	}
	return err_set(reterr, ERR_HARNESS, first_errno, "cannot start a worker process");
}
