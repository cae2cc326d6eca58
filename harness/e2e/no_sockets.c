/* LD_PRELOAD: from when the file $NO_SOCKETS is there, the first two of our clients get no socket (ENFILE: the system's table is full). */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int socket(int domain, int type, int protocol)
{
	static int left = 2;
	int (*real)(int, int, int) = (int (*)(int, int, int))dlsym(RTLD_NEXT, "socket");
	const char *file = getenv("NO_SOCKETS");

	if (domain == AF_INET && type == (SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC) && file && access(file, F_OK) == 0 && left > 0) {
		left--;
		errno = ENFILE;
		return -1;
	}
	return real(domain, type, protocol);
}
