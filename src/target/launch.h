/* Start a target: everything is prepared before the fork, the child only makes system calls. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/err.h"

struct launch {
	char *const *argv;      /* argv[0] is searched in PATH as execvp(3) does */
	char *const *envp;
	const char *cwd;        /* NULL: ours */
	int stdin_fd;           /* -1: /dev/null */
	int stdout_fd, stderr_fd;
	int tty_fd;             /* slave of a pty that becomes the controlling terminal, -1: none */
	bool new_pidns;         /* PID 1 of a PID namespace of its own, with its own /proc */
	bool die_with_parent;   /* PR_SET_PDEATHSIG */
	unsigned nofile;        /* soft RLIMIT_NOFILE of the child, 0: ours */
};

struct launched {
	pid_t pid;
	int pidfd;              /* owned by the caller */
	nsec_t t_exec;          /* exec returned (clone was a vfork) */
	int mount_errno;        /* new_pidns: why /proc could not be mounted, 0 if it was */
};

/* 0, or -1 with ERR_TARGET_MISSING, ERR_TARGET_NOEXEC, ERR_NOT_HERE (no PID namespace) or ERR_HARNESS. The child is the leader of a new process group
 * (of a new session with a tty), has default dispositions, an empty signal mask and default timer slack. */
int launch(const struct launch *spec, struct launched *ret, struct err *reterr);

/* Resolve argv[0] as execvp(3) would, without running it: the path in arena, or NULL and *reterr (missing, not executable).
 * cwd: the folder that a relative path with a slash is relative to (NULL: ours). */
const char *launch_resolve(const char *name, const char *cwd, struct arena *arena, struct err *reterr);
