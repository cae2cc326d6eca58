/* LD_PRELOAD: every question to the kernel's netlink families takes 60 ms before it is asked, as if the asker had lost its CPU there.
 * Longer than the 40 ms after which a delayed ACK is sent, so that whatever was under way is over when the answer comes. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/socket.h>
#include <time.h>

ssize_t send(int fd, const void *buf, size_t n, int flags)
{
	ssize_t (*real)(int, const void *, size_t, int) = (ssize_t (*)(int, const void *, size_t, int))dlsym(RTLD_NEXT, "send");
	int domain = 0;
	socklen_t len = sizeof domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_NETLINK)
		nanosleep(&(struct timespec){.tv_nsec = 60 * 1000 * 1000}, NULL);
	return real(fd, buf, n, flags);
}
