/* What the port autopsy gathers: sockets of the port, and which fds of which processes are these sockets. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "target/port.h"

/* TCP states as in the kernel's tcp_states.h. */
enum { PORT_ESTABLISHED = 1, PORT_SYN_RECV = 3, PORT_TIME_WAIT = 6, PORT_CLOSE = 7, PORT_LISTEN = 10,
       PORT_BOUND_INACTIVE = 13 };

/* One process that holds one of the sockets. */
struct port_fd {
	uint32_t inode;
	pid_t pid;
	int fd;
};

struct port_scan {
	struct diag *diag;
	uint16_t port;
	pid_t asker;
	struct diag_row *row;
	size_t n_rows;
	struct port_fd *fd;             /* by inode, then pid, then fd */
	size_t n_fds;
	bool denied;                    /* some process would not let us see its fds */
};

/* 0, or -errno of sock_diag. */
int port_scan(struct port_scan *ret, struct diag *diag, uint16_t port, pid_t asker);
void port_scan_free(struct port_scan *scan);
/* The holders of one socket: pointer to the first, and how many fds. */
const struct port_fd *port_scan_fds(const struct port_scan *scan, uint32_t inode, size_t *ret_n);

/* bind() and listen() on every local address for a moment; 0 or the errno that a server would get. */
int port_probe(uint16_t port, bool reuseaddr);

/* One holder for a listening socket each (or two: the server, and whoever inherited it); the others grouped. */
void port_judge_listeners(const struct port_scan *scan, struct port_report *r);
void port_judge_others(const struct port_scan *scan, struct port_report *r);
/* Append a zeroed holder. */
struct port_holder *port_add(struct port_report *r, enum holder_kind kind, const struct diag_row *row);
/* Write text or fix of a holder, cut at its size. */
void port_say(char *field, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fill text and fix of a holder of which no process is visible. */
void port_unseen(const struct port_scan *scan, const struct diag_row *row, const char *does, struct port_holder *h);
