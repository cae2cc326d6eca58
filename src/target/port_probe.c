/* Would a server get the port? Only bind() and listen() tell. */
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "target/port_scan.h"

/* While the probe listens, a SYN must find silence and not a connection that is reset a moment later:
 * the filter drops every packet, and the client's retransmission one second on gets the true answer. */
static void drop_all(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &nothing };

	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof prog);
}

static int probe_family(int family, uint16_t port, bool reuseaddr)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	const struct sockaddr *sa = family == AF_INET ? (const void *)&in : (const void *)&in6;
	socklen_t len = family == AF_INET ? sizeof in : sizeof in6;
	int yes = 1;
	_cleanup_fd_ int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)     /* no IPv6 here: then nobody can hold it there either */
		return errno == EAFNOSUPPORT ? 0 : errno;
	drop_all(fd);
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
	if (reuseaddr)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(fd, sa, len) < 0)
		return errno == EADDRNOTAVAIL ? 0 : errno;
	return listen(fd, 0) < 0 ? errno : 0;
}

int port_probe(uint16_t port, bool reuseaddr)
{
	int v4 = probe_family(AF_INET, port, reuseaddr);

	return v4 ? v4 : probe_family(AF_INET6, port, reuseaddr);
}
