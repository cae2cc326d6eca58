/* Isolation of a worker: its own network, PID and mount namespace, in a user namespace when we are not root. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

enum iso_bits {
	ISO_NET = 1,            /* own network namespace, loopback up */
	ISO_PID = 2,            /* own PID namespace: we are its PID 1, /proc is its own */
	ISO_SHM = 4,            /* own /dev/shm */
	ISO_USER = 8,           /* inside a user namespace */
};

/* fork() into new namespaces as far as wanted says and the machine allows. In the child returns 0 with *ret_got = iso_bits and,
 * for what it did not get, one sentence in why (size n). In the parent the child's pid; -1 and *reterr if not even a fork works.
 * want: bits of ISO_NET and ISO_PID; 0 is a plain fork. When the parent dies the child gets SIGKILL
 * (which ends everything in its PID namespace), or SIGTERM where it has none and must clean up itself. */
pid_t iso_fork(unsigned want, unsigned *ret_got, char *why, unsigned long n, struct err *reterr);
