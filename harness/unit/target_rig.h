/* Sockets and processes for the tests of target/: each test runs in its own process (libcheck forks) and in
 * a network namespace of its own, so ports and connections are nobody else's. */
#pragma once
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "target/diag.h"

enum { REUSEADDR = 1, REUSEPORT = 2, INHERITABLE = 4, BIND_ONLY = 8, V6ONLY = 16 };

/* Wait for a condition that no descriptor tells; looks every 100 us, gives up after 5 s. */
#define AWAIT(condition) do { \
		nsec_t until_ = clock_now() + 5 * NSEC_PER_SEC; \
		while (!(condition)) { \
			ck_assert_msg(clock_now() < until_, "5 s passed without: %s", #condition); \
			nanosleep(&(struct timespec){ .tv_nsec = 100000 }, NULL); \
		} \
	} while (0)

static inline bool rig_net(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return false;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int r = ioctl(fd, SIOCSIFFLAGS, &lo);

	close(fd);
	return r == 0;
}

#define NEED_NET() do { \
		if (!rig_net()) { \
			printf("%s: skipped, no network namespace to be had\n", __func__); \
			return; \
		} \
	} while (0)

static inline struct sockaddr_storage rig_addr(const char *ip, uint16_t port)
{
	struct sockaddr_storage ss = {0};
	struct sockaddr_in *in = (struct sockaddr_in *)&ss;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

	if (strchr(ip, ':')) {
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
		inet_pton(AF_INET6, ip, &in6->sin6_addr);
	} else {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		inet_pton(AF_INET, ip, &in->sin_addr);
	}
	return ss;
}

static inline uint16_t rig_port(int fd)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof ss;

	ck_assert(!getsockname(fd, (struct sockaddr *)&ss, &len));
	return ntohs(ss.ss_family == AF_INET ? ((struct sockaddr_in *)&ss)->sin_port
					     : ((struct sockaddr_in6 *)&ss)->sin6_port);
}

static inline int rig_listen(const char *ip, uint16_t port, int how)
{
	struct sockaddr_storage ss = rig_addr(ip, port);
	int yes = 1, no = 0;
	int fd = socket(ss.ss_family, SOCK_STREAM | (how & INHERITABLE ? 0 : SOCK_CLOEXEC), 0);

	ck_assert(fd >= 0);
	if (how & REUSEADDR)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (how & REUSEPORT)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
	if (ss.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, how & V6ONLY ? &yes : &no, sizeof yes);
	ck_assert_msg(!bind(fd, (struct sockaddr *)&ss, sizeof ss), "bind %s: %s", ip, strerror(errno));
	if (!(how & BIND_ONLY))
		ck_assert(!listen(fd, 16));
	return fd;
}

/* A client; rcvbuf 0: the kernel's choice. */
static inline int rig_connect(const char *ip, uint16_t port, int rcvbuf)
{
	struct sockaddr_storage ss = rig_addr(ip, port);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof rcvbuf);
	ck_assert_msg(!connect(fd, (struct sockaddr *)&ss, sizeof ss), "connect %s: %s", ip, strerror(errno));
	return fd;
}

static inline void rig_say(int fd, uint16_t word)
{
	if (write(fd, &word, sizeof word) != sizeof word)
		_exit(99);
}

static inline uint16_t rig_hear(int fd)
{
	uint16_t word = 0;

	ck_assert_msg(read(fd, &word, sizeof word) == sizeof word, "the child has died");
	return word;
}

/* A child that runs fn with a pipe to say that it is ready (rig_say) on; its word is returned through ret_word.
 * It leads a process group of its own and dies with the test. */
static inline pid_t rig_child(void (*fn)(int ready, void *arg), void *arg, uint16_t *ret_word)
{
	int p[2];

	ck_assert(!pipe2(p, O_CLOEXEC));
	pid_t pid = fork();

	ck_assert(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setpgid(0, 0);
		signal(SIGTERM, SIG_DFL);       /* libcheck catches these */
		signal(SIGINT, SIG_DFL);
		close(p[0]);
		fn(p[1], arg);
		_exit(0);
	}
	close(p[1]);
	uint16_t word = rig_hear(p[0]);

	if (ret_word)
		*ret_word = word;
	close(p[0]);
	return pid;
}

static inline void rig_kill(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

static inline struct diag *rig_diag(void)
{
	struct diag *diag = NULL;
	struct err err;

	ck_assert_msg(!diag_open(&diag, &err), "%s", err.what);
	return diag;
}

/* Write until the kernel takes no more. */
static inline size_t rig_fill(int fd)
{
	static char bytes[65536];
	size_t total = 0;
	ssize_t n;

	while ((n = send(fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		total += (size_t)n;
	return total;
}

static inline int rig_run(Suite *s)
{
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
