/* Small reads of /proc, shared by census, autopsy and port. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* /proc/PID/name in one read, NUL-terminated. Bytes, or -errno; -ESRCH whenever the process is gone. */
int proc_read(pid_t pid, const char *name, char *buf, size_t size);
/* Call fn with every number in a directory of numbers (/proc, /proc/PID/fd, /proc/PID/task) until it returns false.
 * 0, or -errno of the directory. */
int proc_numbers(const char *path, bool (*fn)(int number, void *arg), void *arg);
/* What /proc/PID/fd/FD points to: "socket:[123]", "anon_inode:[eventpoll]", a path. Bytes, or -errno. */
int proc_fd_link(pid_t pid, int fd, char *buf, size_t size);
/* Inode of "socket:[N]" behind an fd of a process, 0 if it is no socket or gone. */
uint32_t proc_socket_inode(pid_t pid, int fd);
/* Close-on-exec set, by /proc/PID/fdinfo; false when not visible. */
bool proc_fd_cloexec(pid_t pid, int fd);
/* The id under which /proc shows what a process has open: its own, unless its main thread has ended (pthread_exit) and
 * others live on: then the leader's entry is a zombie's, with no fds and no memory, and a living thread's id is returned. */
pid_t proc_view(pid_t pid);
/* State in /proc/PID/stat, and where in text (a stat line) it stands; 0 if it is no stat line. */
char proc_stat_state(const char *text, const char **ret_at);
/* A comm may hold newlines and escapes: what a person reads on one line must not. In place. */
void proc_printable(char *comm);
/* comm of a process, printable; "?" when it is gone. */
void proc_comm(pid_t pid, char *buf, size_t size);
