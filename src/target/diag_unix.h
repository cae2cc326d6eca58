/* The same for unix stream sockets: who listens on a path, and the server's end of a connection of ours. */
#pragma once
#include "target/diag.h"

/* Both open a netlink socket of their own: they are asked rarely, and a dump of unix sockets is not to be mixed with another. */
/* The socket that listens on this path: rqueue is its accept queue, wqueue the limit. Of several (one whose file was removed or
 * replaced goes on listening) the one whose file is there now, by its inode. 1 found, 0 none, -errno. */
int diag_unix_listener(const char *path, struct diag_row *ret);
/* The other end of our connected socket fd: inode 0 as long as nobody has accepted it; rqueue: bytes it has not read; wqueue:
 * bytes that we have not. 1, 0: there is none any more, -errno. */
int diag_unix_peer(int fd, struct diag_row *ret);
