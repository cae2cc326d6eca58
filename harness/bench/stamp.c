/* A server that says when: it prints CLOCK_MONOTONIC right after listen() returned and right before _exit(), so that
 * the bench can say how late the harness saw each. One connection at a time; SIGTERM ends it. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int listener = -1;

static long long now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void on_term(int signo)
{
	char line[64];

	(void)signo;
	close(listener);
	int n = snprintf(line, sizeof line, "exit %lld\n", now());

	_exit(write(1, line, (size_t)n) == n ? 0 : 1);
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(argc > 1 ? argv[1] : "0")),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sigaction sa = {.sa_handler = on_term};
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	char buf[4096];
	int one = 1;

	sigaction(SIGTERM, &sa, NULL);
	listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 64) < 0)
		return 1;
	printf("listen %lld\n", now());
	fflush(stdout);
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		if (fd >= 0 && recv(fd, buf, sizeof buf, 0) > 0 && send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0)
			return 1;
		close(fd);
	}
}
