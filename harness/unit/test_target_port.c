/* Who holds a port: every kind of holder, made with real sockets and processes. */
#include <sys/utsname.h>

#include "target/port.h"
#include "target_rig.h"

struct server {
	const char *ip, *comm;
	uint16_t port;
	int how, connections;
	bool closes_listener, dups, prefork;
	int cat_in, cat_out;    /* if not 0: a pipe, on whose end a cat waits that inherits the listener */
};

/* A process that accepts what is told, then waits in accept() or, without a listener, in pause(). */
static void serve(int ready, void *arg)
{
	const struct server *s = arg;
	int fd = rig_listen(s->ip ? s->ip : "127.0.0.1", s->port, s->how);

	if (s->comm)
		prctl(PR_SET_NAME, s->comm);
	if (s->dups && dup(fd) < 0)
		_exit(1);
	if (s->cat_out && !fork()) {
		dup2(s->cat_in, 0);
		execlp("cat", "cat", NULL);
		_exit(1);
	}
	if (s->cat_out)
		close(s->cat_out);
	for (int i = 0; i < 2 && s->prefork; i++)
		if (!fork()) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (accept(fd, NULL, NULL) >= 0)
				;
		}
	rig_say(ready, rig_port(fd));
	for (int i = 0; i < s->connections; i++)
		if (accept(fd, NULL, NULL) < 0)
			_exit(1);
	if (s->closes_listener)
		close(fd);
	if (s->connections)
		rig_say(ready, 2);
	while (!s->closes_listener && !s->prefork && accept(fd, NULL, NULL) >= 0)
		;
	pause();
}

static struct port_report examine(uint16_t port, pid_t asker)
{
	struct diag *diag = rig_diag();
	struct port_report r;
	struct err err;

	ck_assert_msg(!port_examine_for(diag, port, asker, &r, &err), "%s", err.what);
	diag_close(diag);
	for (size_t i = 0; i < r.n; i++)
		ck_assert_msg(*r.v[i].text && *r.v[i].fix, "%s says nothing", holder_kind_name(r.v[i].kind));
	return r;
}

static const struct port_holder *find(const struct port_report *r, enum holder_kind kind)
{
	for (size_t i = 0; i < r->n; i++)
		if (r->v[i].kind == kind)
			return &r->v[i];
	return NULL;
}

static void expect(const struct port_report *r, const char *part, bool first_line)
{
	struct buf text = {0}, json = {0};

	port_report_text(r, &text);
	port_report_json(r, &json);
	if (first_line)
		*strchr(text.p, '\n') = '\0';
	ck_assert_msg(strstr(text.p, part) != NULL, "no \"%s\" in:\n%s", part, text.p);
	ck_assert_msg(!strncmp(json.p, "{\"version\":1,", 13) && !strcmp(json.p + json.n - 3, "]}\n"), "%s", json.p);
	buf_free(&text);
	buf_free(&json);
}

#define expect_text(r, part)  expect(r, part, false)
#define expect_first(r, part) expect(r, part, true)

START_TEST(free_port)
{
	NEED_NET();
	struct port_report r = examine(8080, 0);
	struct buf text = {0};

	ck_assert_int_eq(r.n, 0);
	ck_assert(!r.errno_plain && !r.errno_reuse);
	port_report_text(&r, &text);
	ck_assert_str_eq(text.p, "port 8080: free\n");
	expect_text(&r, "free");
	buf_free(&text);
	port_report_free(&r);
}
END_TEST

START_TEST(listener)
{
	static const char *const ips[] = { "127.0.0.1", "0.0.0.0", "::", "::1" };
	struct server s = { .ip = ips[_i], .comm = "my) (server\n", .how = REUSEADDR | (_i % 2 ? INHERITABLE : 0) };
	char line[128];
	uint16_t port;

	NEED_NET();
	pid_t pid = rig_child(serve, &s, &port);
	struct port_report r = examine(port, 0);

	ck_assert_int_eq(r.n, 1);
	ck_assert_int_eq(r.v[0].kind, HOLDER_LISTENER);
	ck_assert_int_eq(r.v[0].pid, pid);
	ck_assert_int_eq(r.v[0].state, 10);
	ck_assert_int_eq(r.errno_plain, EADDRINUSE);
	ck_assert_int_eq(r.errno_reuse, EADDRINUSE);
	snprintf(line, sizeof line, "port %d is held by my) (server? (pid %d, fd %d): it listens", port, pid, r.v[0].fd);
	expect_first(&r, line);
	expect_text(&r, "kill -TERM");
	port_report_free(&r);
	r = examine(port, pid);
	ck_assert_int_eq(r.v[0].kind, HOLDER_SELF);
	port_report_free(&r);
	rig_kill(pid);
}
END_TEST

START_TEST(two_descriptors)
{
	struct server s = { .dups = true };
	uint16_t port;

	NEED_NET();
	pid_t pid = rig_child(serve, &s, &port);
	struct port_report r = examine(port, 0);

	ck_assert_int_eq(r.n, 1);
	expect_text(&r, "are one socket: close all of them");
	port_report_free(&r);
	rig_kill(pid);
}
END_TEST

START_TEST(prefork)
{
	struct server s = { .prefork = true, .how = INHERITABLE };
	uint16_t port;

	NEED_NET();
	pid_t pid = rig_child(serve, &s, &port);
	struct port_report r = examine(port, 0);

	ck_assert(r.n == 1 && r.v[0].kind == HOLDER_LISTENER && r.v[0].pid == pid);
	expect_text(&r, "held too by");
	port_report_free(&r);
	rig_kill(pid);
}
END_TEST

/* A helper was started while the listener was inheritable: first beside its server, then alone. */
START_TEST(inherited)
{
	struct server s = { .how = REUSEADDR | INHERITABLE };
	uint16_t port;
	int p[2];

	NEED_NET();
	ck_assert(!pipe2(p, O_CLOEXEC));
	s.cat_in = p[0];
	s.cat_out = p[1];
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid_t pid = rig_child(serve, &s, &port);
	struct port_report r = {0};
	const struct port_holder *h = NULL;

	for (int i = 0; i < 1000 && (!h || strcmp(h->comm, "cat")); i++) {      /* until it runs */
		port_report_free(&r);
		r = examine(port, 0);
		h = find(&r, HOLDER_INHERITED);
	}
	ck_assert(h && r.n == 2 && r.v[0].kind == HOLDER_LISTENER && r.v[0].pid == pid);
	ck_assert_str_eq(h->comm, "cat");
	ck_assert_ptr_nonnull(strstr(h->text, "missing CLOEXEC"));
	pid_t cat = h->pid;

	port_report_free(&r);
	rig_kill(pid);
	r = examine(port, 0);
	ck_assert_int_eq(r.n, 1);
	ck_assert_int_eq(r.v[0].kind, HOLDER_INHERITED);
	ck_assert_int_eq(r.v[0].pid, cat);
	ck_assert_int_eq(r.errno_reuse, EADDRINUSE);
	expect_first(&r, "it inherited the listening socket");
	expect_text(&r, "from a server that is gone");
	port_report_free(&r);
	rig_kill(cat);
}
END_TEST

START_TEST(twin)
{
	struct server s = { .how = REUSEPORT };
	uint16_t port;

	NEED_NET();
	pid_t first = rig_child(serve, &s, &port);

	s.port = port;
	pid_t second = rig_child(serve, &s, NULL);
	struct port_report r = examine(port, 0);

	ck_assert(r.n == 2 && r.v[0].kind == HOLDER_LISTENER && r.v[1].kind == HOLDER_TWIN);
	ck_assert(r.v[0].pid != r.v[1].pid && r.v[0].inode != r.v[1].inode);
	expect_text(&r, "SO_REUSEPORT");
	port_report_free(&r);
	rig_kill(first);
	rig_kill(second);
}
END_TEST

/* nginx and others: one listener for each family is no twin. */
START_TEST(one_of_each_family)
{
	NEED_NET();
	int v4 = rig_listen("0.0.0.0", 0, 0), v6 = rig_listen("::", rig_port(v4), V6ONLY);
	struct port_report r = examine(rig_port(v4), 0);

	ck_assert_int_eq(r.n, 2);
	ck_assert(r.v[0].kind == HOLDER_LISTENER && r.v[1].kind == HOLDER_LISTENER);
	port_report_free(&r);
	close(v4);
	close(v6);
}
END_TEST

static bool lists_bound_sockets(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	return sscanf(u.release, "%d.%d", &major, &minor) == 2 && (major > 6 || (major == 6 && minor >= 8));
}

static void binds_only(int ready, void *arg)
{
	int fd = rig_listen("0.0.0.0", 0, BIND_ONLY | *(int *)arg);

	rig_say(ready, rig_port(fd));
	pause();
}

START_TEST(bound)
{
	int how = _i ? REUSEADDR : 0;
	uint16_t port;

	NEED_NET();
	pid_t pid = rig_child(binds_only, &how, &port);
	struct port_report r = examine(port, 0);

	ck_assert_int_eq(r.errno_plain, EADDRINUSE);
	ck_assert_int_eq(r.errno_reuse, _i ? 0 : EADDRINUSE);
	ck_assert_int_eq(r.n, 1);
	if (lists_bound_sockets()) {
		ck_assert_int_eq(r.v[0].kind, HOLDER_BOUND);
		ck_assert_int_eq(r.v[0].pid, pid);
		expect_text(&r, "neither listens nor is connected");
	} else {
		ck_assert_int_eq(r.v[0].kind, HOLDER_UNKNOWN);
		expect_first(&r, "held, but not visible");
	}
	port_report_free(&r);
	rig_kill(pid);
}
END_TEST

static void connects(int ready, void *arg)
{
	int fd = rig_connect("127.0.0.1", *(uint16_t *)arg, 0);

	rig_say(ready, rig_port(fd));
	pause();
}

START_TEST(outgoing)
{
	NEED_NET();
	int lfd = rig_listen("127.0.0.1", 0, 0);
	uint16_t port = rig_port(lfd), local;
	pid_t pid = rig_child(connects, &port, &local);
	struct port_report r = examine(local, 0);

	ck_assert_int_eq(r.n, 1);
	ck_assert_int_eq(r.v[0].kind, HOLDER_OUTGOING);
	ck_assert_int_eq(r.v[0].pid, pid);
	ck_assert_int_eq(r.errno_reuse, EADDRINUSE);
	expect_first(&r, "an outgoing connection uses it as its local port");
	expect_text(&r, "ip_local_reserved_ports");
	port_report_free(&r);
	close(lfd);
	rig_kill(pid);
}
END_TEST

/* A server that closed its listener and still has a connection: in the way only if it did not set SO_REUSEADDR. */
START_TEST(connection)
{
	struct server s = { .connections = 1, .closes_listener = true, .how = _i ? REUSEADDR : 0 };
	uint16_t port;
	int ready[2];

	NEED_NET();
	ck_assert(!pipe2(ready, O_CLOEXEC));
	pid_t pid = fork();

	if (!pid)
		serve(ready[1], &s);
	port = rig_hear(ready[0]);
	int c = rig_connect("127.0.0.1", port, 0);

	rig_hear(ready[0]);
	struct port_report r = examine(port, 0);

	ck_assert_int_eq(r.n, 1);
	ck_assert_int_eq(r.v[0].kind, HOLDER_CONNECTION);
	ck_assert_int_eq(r.v[0].pid, pid);
	ck_assert_int_eq(r.errno_reuse, _i ? 0 : EADDRINUSE);
	ck_assert_int_eq(r.errno_plain, EADDRINUSE);
	expect_text(&r, "1 accepted connection ");
	port_report_free(&r);
	close(c);
	rig_kill(pid);
}
END_TEST

START_TEST(connection_without_process)
{
	NEED_NET();
	int lfd = rig_listen("127.0.0.1", 0, REUSEADDR);
	uint16_t port = rig_port(lfd);
	int c = rig_connect("127.0.0.1", port, 4096), a = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);

	rig_fill(a);
	close(a);
	close(lfd);
	struct port_report r = examine(port, 0);

	ck_assert_int_eq(r.n, 1);
	ck_assert_int_eq(r.v[0].kind, HOLDER_CONNECTION);
	ck_assert_int_eq(r.v[0].pid, 0);
	ck_assert_int_eq(r.errno_reuse, 0);
	expect_text(&r, "the kernel waits for the client");
	port_report_free(&r);
	close(c);
}
END_TEST

/* TIME-WAIT remembers whether its server had SO_REUSEADDR: if not, even a bind with it fails. */
START_TEST(time_wait)
{
	enum { N = 3 };
	int c[N];

	NEED_NET();
	int lfd = rig_listen("127.0.0.1", 0, _i ? REUSEADDR : 0);
	uint16_t port = rig_port(lfd);

	for (int i = 0; i < N; i++) {
		c[i] = rig_connect("127.0.0.1", port, 0);
		close(accept4(lfd, NULL, NULL, SOCK_CLOEXEC));
		close(c[i]);
	}
	close(lfd);
	struct port_report r = examine(port, 0);

	ck_assert_int_eq(r.n, 1);
	ck_assert_int_eq(r.v[0].kind, HOLDER_TIME_WAIT);
	ck_assert_int_eq(r.v[0].count, N);
	ck_assert_int_eq(r.errno_plain, EADDRINUSE);
	ck_assert_int_eq(r.errno_reuse, _i ? 0 : EADDRINUSE);
	expect_first(&r, _i ? "free now, but 3 TIME-WAIT sockets remain: a bind without SO_REUSEADDR fails (EADDR"
			    : "is held: 3 TIME-WAIT sockets remain");
	port_report_free(&r);
}
END_TEST

START_TEST(self)
{
	NEED_NET();
	int fd = rig_listen("127.0.0.1", 0, REUSEADDR);
	struct diag *diag = rig_diag();
	struct port_report r;

	ck_assert_int_eq(port_examine_for(diag, rig_port(fd), getpid(), &r, NULL), 0);
	ck_assert(r.n == 1 && r.v[0].kind == HOLDER_SELF && r.v[0].fd == fd);
	expect_first(&r, "it has it already itself");
	expect_text(&r, "a second listen on one address");
	port_report_free(&r);
	diag_close(diag);
	close(fd);
}
END_TEST

/* As an ordinary user: the socket is seen, its holder is not. */
START_TEST(other_user)
{
	NEED_NET();
	if (getuid()) {
		printf("other_user: skipped, needs root\n");
		return;
	}
	struct server s = {0};
	uint16_t port;
	pid_t pid = rig_child(serve, &s, &port);

	ck_assert(!seteuid(65534));
	struct port_report r = examine(port, 0);

	ck_assert_int_eq(r.n, 1);
	ck_assert_int_eq(r.v[0].kind, HOLDER_UNKNOWN);
	expect_first(&r, "a process owned by another user (uid 0)");
	port_report_free(&r);
	r = examine(80, 0);
	ck_assert_int_eq(r.errno_reuse, EACCES);
	expect_first(&r, "CAP_NET_BIND_SERVICE");
	port_report_free(&r);
	ck_assert(!seteuid(0));
	rig_kill(pid);
}
END_TEST

/* Connects again and again to a port on which nobody listens; ends with 1 as soon as somebody answers. */
static void knocks(int ready, void *arg)
{
	struct sockaddr_storage ss = rig_addr("127.0.0.1", *(uint16_t *)arg);

	rig_say(ready, 1);
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (connect(fd, (struct sockaddr *)&ss, sizeof ss) < 0 && errno == EINPROGRESS && poll(&p, 1, 0) == 1 &&
		    !(p.revents & (POLLERR | POLLHUP)))
			_exit(1);
		close(fd);
	}
}

/* What a probe does to a client that connects in its moment: nothing. */
START_TEST(probe_does_not_answer)
{
	NEED_NET();
	int lfd = rig_listen("127.0.0.1", 0, 0);
	uint16_t port = rig_port(lfd);

	close(lfd);
	pid_t pid = rig_child(knocks, &port, NULL);

	for (int i = 0; i < 200; i++) {
		struct port_report r = examine(port, 0);

		ck_assert(!r.errno_plain && !r.errno_reuse);
		port_report_free(&r);
	}
	ck_assert_msg(!waitpid(pid, NULL, WNOHANG), "a probe accepted a connection");
	rig_kill(pid);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("port");
	TCase *tc = tcase_create("port");

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, free_port);
	tcase_add_loop_test(tc, listener, 0, 4);
	tcase_add_test(tc, two_descriptors);
	tcase_add_test(tc, prefork);
	tcase_add_test(tc, inherited);
	tcase_add_test(tc, twin);
	tcase_add_test(tc, one_of_each_family);
	tcase_add_loop_test(tc, bound, 0, 2);
	tcase_add_test(tc, outgoing);
	tcase_add_loop_test(tc, connection, 0, 2);
	tcase_add_test(tc, connection_without_process);
	tcase_add_loop_test(tc, time_wait, 0, 2);
	tcase_add_test(tc, self);
	tcase_add_test(tc, other_user);
	tcase_add_test(tc, probe_does_not_answer);
	return rig_run(s);
}
