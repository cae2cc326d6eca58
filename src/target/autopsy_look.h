/* What autopsy saw of one process: gathered once (autopsy_look.c), then judged (autopsy_suspect.c) and printed (autopsy.c). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "target/autopsy.h"
#include "target/census.h"
#include "target/diag.h"

enum { CALL_RUNNING = -1, CALL_UNKNOWN = -2, LOOK_THREADS = 256, LOOK_CHILDREN = 32 };

struct look_thread {
	pid_t tid;
	char comm[32], wchan[48];
	char state, state_after;        /* in the first and the second look */
	uint32_t cpu_percent;           /* of the time between the looks; 0 if there was no second one */
	long nr;                        /* system call it is blocked in, or CALL_* */
	uint64_t arg[6];
};

enum fd_kind { FD_FILE, FD_TCP, FD_UNIX, FD_SOCKET, FD_PIPE, FD_EPOLL, FD_OTHER, FD_KINDS };

struct look_fd {
	int fd;
	enum fd_kind kind;
	uint32_t inode;                 /* sockets only */
	int row;                        /* FD_TCP: index into rows, else -1 */
	char name[64];                  /* FD_FILE, FD_OTHER: what the link says */
};

struct look_row {
	struct diag_row r;
	int fd;
	bool accepted;                  /* the other end is a client: by the callback, or the port is one that is listened on */
	char client[96];                /* who is at the other end: the callback's words, else the address */
};

struct look {
	struct proc p;
	pid_t view;                     /* where /proc shows its fds and memory: proc_view() */
	const char *runtime;            /* autopsy_runtime() */
	struct look_thread *thread;
	size_t n_threads;
	struct look_fd *fd;
	size_t n_fds;
	bool fds_denied, rows_denied;   /* not visible to us: then "none" means nothing */
	struct look_row *row;
	size_t n_rows, n_clients, n_listeners;
	struct proc child[LOOK_CHILDREN];
	size_t n_children;              /* may exceed LOOK_CHILDREN */
};

/* Takes 10 ms more when a thread is running or uninterruptible: it is looked at twice. 0, or -errno. */
int look_take(pid_t pid, struct diag *diag, autopsy_peer_fn peer, void *arg, struct look *ret);
void look_free(struct look *look);

int look_threads(pid_t pid, struct look_thread **ret, size_t *ret_n);          /* autopsy_thread.c */
void look_call(pid_t pid, struct look_thread *t);                              /* fills nr and arg of t->tid */
int look_sockets(pid_t pid, struct diag *diag, autopsy_peer_fn peer, void *arg, struct look *look);

/* Append the call of a thread with what its fds and times mean: "read(fd 7 = pipe)". */
void call_text(const struct look *look, const struct look_thread *t, struct buf *out);
/* Append what an fd is: "connection from client #4", "listening socket 0.0.0.0:80", "pipe". */
void fd_text(const struct look *look, int fd, struct buf *out);
/* Append "ESTABLISHED, 12 bytes unread, 0 unacknowledged" and so on. */
void row_text(const struct diag_row *row, struct buf *out);
/* The name of the call, "" when it is not in one or not visible. */
const char *call_name(const struct look_thread *t);
/* The child that the thread's wait4 or waitid is about, -1: any. */
int awaited_pid(const struct look *look, const struct look_thread *t);
/* Append the sentence that names the suspect, without a newline. */
void suspect_text(const struct look *look, struct buf *out);

/* Does a thread of this process wait on fd (accept, poll, select, or an epoll set that has it)? 1 yes, 0 no,
 * -1 cannot be told (it runs at the moment, io_uring, or not permitted). */
int autopsy_watches(pid_t pid, int fd);
