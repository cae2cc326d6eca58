/* The floor of one gate-driven scenario: the same steps as scenarios/bench/gate.yaml, done bare, in one process and one
 * namespace: launch, readiness by sock_diag every 100 us, one quick request, one request in flight at the gate, SIGTERM, listener gone,
 * gate released, answer, exit, re-bind both ways, captured (trace and output in a folder of the scenario's own), judged, one line of JSON.
 * Usage: floor N OUTDIR COMMAND... (with the word PORT where the port goes). Prints wall and CPU seconds. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sched.h>
#include <linux/sock_diag.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PACKET_IGNORE_OUTGOING 23

static struct mnl_socket *nl;
static char stack[65536] __attribute__((aligned(16)));
extern char **environ;

struct child {
	char **argv;
	int out, err;
};

static int die(const char *what)
{
	perror(what);
	exit(3);
}

static int child_main(void *arg)
{
	struct child *c = arg;

	dup2(c->out, 1);
	dup2(c->err, 2);
	execve(c->argv[0], c->argv, environ);
	_exit(127);
}

static bool listens(uint16_t port)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} q = {.h = {.nlmsg_len = sizeof q, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
	       .r = {.sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = -1U}};
	char buf[4096];

	q.r.id.idiag_sport = htons(port);
	q.r.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
	q.r.id.idiag_cookie[0] = q.r.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	mnl_socket_sendto(nl, &q, sizeof q);
	return mnl_socket_recvfrom(nl, buf, sizeof buf) > 0 && ((struct nlmsghdr *)buf)->nlmsg_type == SOCK_DIAG_BY_FAMILY;
}

static int listen_on(uint16_t *port, bool reuse)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (reuse)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (void *)&a, n) < 0 || listen(fd, 64) < 0) {
		close(fd);
		return -1;
	}
	getsockname(fd, (void *)&a, &n);
	*port = ntohs(a.sin_port);
	return fd;
}

static int dial(uint16_t port, const char *request)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (void *)&a, sizeof a) < 0 || send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
		die("connect");
	return fd;
}

static size_t read_answer(int fd, char *buf, size_t n, bool to_eof)
{
	size_t got = 0;

	for (;;) {
		ssize_t r = recv(fd, buf + got, n - 1 - got, 0);

		if (r <= 0)
			break;
		got += (size_t)r;
		buf[got] = '\0';
		if (!to_eof && strstr(buf, "\r\n\r\n"))
			break;
	}
	return got;
}

static void to_file(u_char *user, const struct pcap_pkthdr *h, const u_char *p)
{
	pcap_dump(user, h, p);
}

static int create(const char *folder, const char *name)
{
	char path[600];

	snprintf(path, sizeof path, "%s/%s", folder, name);
	return open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0644);
}

static void scenario(int i, char **argv, uint16_t port, int gate, pcap_t *cap, const char *out_dir, FILE *json)
{
	struct child c = {.argv = argv};
	char buf[8192], folder[512], path[600];
	int pidfd = -1, status;

	/* the evidence of a scenario is a folder of its own: trace and output */
	snprintf(folder, sizeof folder, "%s/%d", out_dir, i);
	mkdir(folder, 0777);
	snprintf(path, sizeof path, "%s/wire.pcap", folder);
	pcap_dumper_t *dump = pcap_dump_open(cap, path);

	c.out = create(folder, "stdout.log");
	c.err = create(folder, "stderr.log");
	pid_t pid = clone(child_main, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &c, &pidfd);
	struct timespec tick = {0, 100000};

	if (pid < 0)
		die("clone");
	while (!listens(port))
		nanosleep(&tick, NULL);
	int quick = dial(port, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");

	read_answer(quick, buf, sizeof buf, false);
	close(quick);
	int fd = dial(port, "GET /gate HTTP/1.1\r\nHost: x\r\nX-Drainspec-Nonce: 0123456789abcdef\r\n\r\n");
	int g = accept4(gate, NULL, NULL, SOCK_CLOEXEC);

	read_answer(g, buf, sizeof buf, false);
	nsec_t t = clock_now();

	syscall(SYS_pidfd_send_signal, pidfd, SIGTERM, NULL, 0);
	while (listens(port))
		nanosleep(&tick, NULL);
	send(g, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 41, MSG_NOSIGNAL);
	size_t n = read_answer(fd, buf, sizeof buf, true);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	poll(&p, 1, 10000);
	nsec_t took = clock_now() - t;

	waitpid(pid, &status, 0);
	close(fd);
	close(g);
	close(pidfd);
	int plain = listen_on(&port, false), plain_errno = errno, reuse = listen_on(&port, true);

	if (plain >= 0)
		close(plain);
	if (reuse >= 0)
		close(reuse);
	while (pcap_dispatch(cap, -1, to_file, (u_char *)dump) > 0)
		;
	pcap_dump_close(dump);
	close(c.out);
	close(c.err);
	fprintf(json, "{\"scenario\":%d,\"answer\":%zu,\"ok\":%s,\"exit\":%d,\"took_ns\":%lld,\"rebind\":%d,\"plain_errno\":%d}\n", i, n,
		strstr(buf, " 200 ") && WIFEXITED(status) ? "true" : "false", WEXITSTATUS(status), (long long)took,
		reuse >= 0, plain < 0 ? plain_errno : 0);
	if (!strstr(buf, " 200 ") || !WIFEXITED(status) || WEXITSTATUS(status))
		die("the floor's scenario went wrong");
}

static pcap_t *capture(void)
{
	char err[PCAP_ERRBUF_SIZE];
	pcap_t *cap = pcap_create("lo", err);
	int one = 1;

	pcap_set_snaplen(cap, 256);
	pcap_set_immediate_mode(cap, 1);
	pcap_set_buffer_size(cap, 8 << 20);
	if (pcap_activate(cap) < 0)
		die(pcap_geterr(cap));
	setsockopt(pcap_fileno(cap), SOL_PACKET, PACKET_IGNORE_OUTGOING, &one, sizeof one);
	pcap_setnonblock(cap, 1, err);
	return cap;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 4;
	int n = atoi(argv[1]);
	char path[512], text[32];
	uint16_t gate_port = 0;
	struct ifreq ifr = {.ifr_name = "lo"};
	struct rusage self, kids;

	if (unshare(CLONE_NEWNET) < 0)
		die("unshare");
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	ioctl(s, SIOCGIFFLAGS, &ifr);
	ifr.ifr_flags |= IFF_UP;
	ioctl(s, SIOCSIFFLAGS, &ifr);
	nl = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID);
	int gate = listen_on(&gate_port, true);

	snprintf(text, sizeof text, "127.0.0.1:%u", gate_port);
	setenv("DRAINSPEC_GATE", text, 1);
	pcap_t *cap = capture();

	snprintf(path, sizeof path, "%s/report.jsonl", argv[2]);
	FILE *json = fopen(path, "w");

	nsec_t start = clock_now();

	for (int i = 0; i < n; i++) {
		for (int k = 3; k < argc; k++)
			if (!strcmp(argv[k], "PORT") || strspn(argv[k], "0123456789") == strlen(argv[k])) {
				snprintf(text, sizeof text, "%d", 20000 + i % 12000);
				argv[k] = text;
			}
		scenario(i, argv + 3, (uint16_t)(20000 + i % 12000), gate, cap, argv[2], json);
	}
	double wall = (double)(clock_now() - start) / 1e9;

	fclose(json);
	getrusage(RUSAGE_SELF, &self);
	getrusage(RUSAGE_CHILDREN, &kids);
	printf("{\"n\":%d,\"wall_s\":%.6f,\"cpu_s\":%.6f}\n", n, wall,
	       (double)(self.ru_utime.tv_sec + self.ru_stime.tv_sec + kids.ru_utime.tv_sec + kids.ru_stime.tv_sec) +
	       (double)(self.ru_utime.tv_usec + self.ru_stime.tv_usec + kids.ru_utime.tv_usec + kids.ru_stime.tv_usec) / 1e6);
	return 0;
}
