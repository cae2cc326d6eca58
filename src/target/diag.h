/* sock_diag: the kernel's own view of sockets in the network namespace in which the handle was opened.
 * A single-socket lookup costs 1-3 us, needs no privilege, and does nothing to the socket (net/ipv4/inet_diag.c).
 * A handle belongs to one thread. */
#pragma once
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

struct diag;

struct diag_row {
	uint8_t family, state, timer;   /* timer 4: persist (zero-window probe); TCP states of tcp_states.h */
	uint16_t sport, dport;
	struct in6_addr src, dst;       /* v4 in the first word */
	uint32_t rqueue, wqueue;        /* LISTEN: accept queue and its limit; else unread and unacked bytes,
					 * in both of which a FIN counts as one byte */
	uint32_t inode;                 /* 0: no file (never accepted, or orphaned) */
	uint32_t uid;
};

int diag_open(struct diag **ret, struct err *reterr);
void diag_close(struct diag *diag);
/* The listener that would get a connection to addr (its port is the listening port): one bound to that very address,
 * else a wildcard, dual-stack [::] included. Of a SO_REUSEPORT group it is any one. 1 found, 0 none, -errno. */
int diag_listener(struct diag *diag, const struct sockaddr *addr, struct diag_row *ret);
/* The server's end of a connection: local = the server's address, peer = the client's. 1, 0, -errno.
 * A v4 pair finds the v4-mapped socket of a dual-stack server too (its row says AF_INET6). The row may be a TIME-WAIT
 * (or a FIN-WAIT-2 that the kernel keeps for a closed socket: timer 3) or a half-open SYN-RECEIVED: look at its state. */
int diag_conn(struct diag *diag, const struct sockaddr *local, const struct sockaddr *peer,
	      struct diag_row *ret);
/* Every TCP socket in one of the states (bits 1 << TCP_state), v4 and v6; fn returns false to stop. 0 or -errno.
 * States other than LISTEN make the kernel walk its whole table (milliseconds). Bit 13 adds sockets that are bound and
 * nothing else (Linux 6.8 and later; ignored before). fn may look single sockets up, but not dump again. */
int diag_dump(struct diag *diag, uint32_t states, uint16_t port, /* 0: all; else local port */
	      bool (*fn)(const struct diag_row *, void *), void *arg);

enum { DIAG_ADDR_TEXT = 64 };
/* "127.0.0.1:80" or "[::1]:80", v4-mapped as v4: the row's own address, or its peer's. buf holds DIAG_ADDR_TEXT. */
const char *diag_addr_text(const struct diag_row *row, bool peer, char *buf);
