/* sock_diag: what the kernel says about sockets in each state that the run layer relies on. */
#include <netinet/tcp.h>
#include <sys/syscall.h>

#include "target/syscall_names.h"
#include "target_rig.h"

enum { ESTABLISHED = 1, SYN_RECEIVED = 3, FIN_WAIT2 = 5, TIME_WAIT = 6, CLOSE_WAIT = 8, LISTEN = 10, PERSIST = 4 };

static int listener_at(struct diag *diag, const char *ip, uint16_t port, struct diag_row *row)
{
	struct sockaddr_storage ss = rig_addr(ip, port);

	return diag_listener(diag, (struct sockaddr *)&ss, row);
}

static int conn_at(struct diag *diag, const char *ip, uint16_t server, uint16_t client, struct diag_row *row)
{
	struct sockaddr_storage local = rig_addr(ip, server), peer = rig_addr(ip, client);

	return diag_conn(diag, (struct sockaddr *)&local, (struct sockaddr *)&peer, row);
}

START_TEST(diag_finds_listeners)
{
	static const struct { const char *bound, *asked; int found; } cases[] = {
		{ "0.0.0.0", "127.0.0.1", 1 }, { "127.0.0.1", "127.0.0.1", 1 }, { "::", "127.0.0.1", 1 },
		{ "::", "::1", 1 }, { "::", "::ffff:127.0.0.1", 1 }, { "::1", "::1", 1 }, { "::1", "127.0.0.1", 0 },
		{ "127.0.0.2", "127.0.0.1", 0 }, { "0.0.0.0", "0.0.0.0", 1 }, { "::", "::", 1 },
		{ "0.0.0.0", "::1", 0 },
	};
	struct diag_row row;

	NEED_NET();
	struct diag *diag = rig_diag();

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		int fd = rig_listen(cases[i].bound, 0, 0);
		uint16_t port = rig_port(fd);

		ck_assert_msg(listener_at(diag, cases[i].asked, port, &row) == cases[i].found, "%s asked for %s",
			      cases[i].bound, cases[i].asked);
		if (cases[i].found) {
			ck_assert_int_eq(row.state, LISTEN);
			ck_assert_int_eq(row.sport, port);
			ck_assert(row.inode);
			ck_assert_int_eq(row.wqueue, 16);
		}
		close(fd);
		ck_assert_int_eq(listener_at(diag, cases[i].asked, port, &row), 0);
	}
	diag_close(diag);
}
END_TEST

/* The two facts that arming rests on: an inode only after accept(), and a receive queue that counts unread bytes. */
START_TEST(diag_follows_a_connection)
{
	static const char *const servers[] = { "127.0.0.1", "0.0.0.0", "::" };
	struct diag_row row;
	char bytes[8];

	NEED_NET();
	struct diag *diag = rig_diag();
	int lfd = rig_listen(servers[_i], 0, REUSEADDR);
	uint16_t port = rig_port(lfd);
	int c = rig_connect("127.0.0.1", port, 0);
	uint16_t client = rig_port(c);

	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, client, &row), 1);
	ck_assert_int_eq(row.state, ESTABLISHED);
	ck_assert_int_eq(row.inode, 0);
	ck_assert_int_eq(row.dport, client);
	ck_assert_int_eq(listener_at(diag, "127.0.0.1", port, &row), 1);
	ck_assert_int_eq(row.rqueue, 1);

	int a = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);

	ck_assert_int_eq(listener_at(diag, "127.0.0.1", port, &row), 1);
	ck_assert_int_eq(row.rqueue, 0);
	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, client, &row), 1);
	ck_assert(row.inode);
	ck_assert_int_eq(write(c, "hello", 5), 5);
	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, client, &row), 1);
	ck_assert_int_eq(row.rqueue, 5);
	ck_assert_int_eq(read(a, bytes, sizeof bytes), 5);
	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, client, &row), 1);
	ck_assert_int_eq(row.rqueue, 0);
	shutdown(c, SHUT_WR);   /* its FIN counts as one unread byte, which no read() takes away */
	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, client, &row), 1);
	ck_assert_int_eq(row.state, CLOSE_WAIT);
	ck_assert_int_eq(row.rqueue, 1);
	close(a);
	close(c);
	/* nothing but the listener is left there: that is no connection */
	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, (uint16_t)(client ^ 1), &row), 0);
	close(lfd);
	diag_close(diag);
}
END_TEST

START_TEST(diag_time_wait_is_said)
{
	struct diag_row row;

	NEED_NET();
	struct diag *diag = rig_diag();
	int lfd = rig_listen("127.0.0.1", 0, REUSEADDR);
	uint16_t port = rig_port(lfd);
	int c = rig_connect("127.0.0.1", port, 0), a = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	uint16_t client = rig_port(c);

	close(a);
	/* the client's ACK of the FIN may be delayed; until then FIN-WAIT-1 */
	AWAIT(conn_at(diag, "127.0.0.1", port, client, &row) == 1 && row.state == FIN_WAIT2);
	ck_assert_int_eq(row.inode, 0);
	close(c);
	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, client, &row), 1);
	ck_assert_int_eq(row.state, TIME_WAIT);
	ck_assert_int_eq(row.inode, 0);
	close(lfd);
	diag_close(diag);
}
END_TEST

/* With TCP_DEFER_ACCEPT the client is ESTABLISHED and the server has nothing but a request socket. */
START_TEST(diag_half_open)
{
	struct diag_row row;
	int seconds = 5;

	NEED_NET();
	struct diag *diag = rig_diag();
	int lfd = rig_listen("::", 0, 0);
	uint16_t port = rig_port(lfd);

	ck_assert(!setsockopt(lfd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds));
	int c = rig_connect("127.0.0.1", port, 0);

	ck_assert_int_eq(conn_at(diag, "127.0.0.1", port, rig_port(c), &row), 1);
	ck_assert_int_eq(row.state, SYN_RECEIVED);
	ck_assert_int_eq(row.inode, 0);
	ck_assert_int_eq(listener_at(diag, "127.0.0.1", port, &row), 1);
	ck_assert_int_eq(row.rqueue, 0);
	close(c);
	close(lfd);
	diag_close(diag);
}
END_TEST

START_TEST(diag_zero_window)
{
	struct diag_row row = {0};

	NEED_NET();
	struct diag *diag = rig_diag();
	int lfd = rig_listen("127.0.0.1", 0, 0);
	uint16_t port = rig_port(lfd);
	int c = rig_connect("127.0.0.1", port, 4096), a = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	uint16_t client = rig_port(c);

	ck_assert(rig_fill(a) > 0);
	AWAIT(conn_at(diag, "127.0.0.1", port, client, &row) == 1 && row.timer == PERSIST);
	ck_assert(row.wqueue > 0);
	close(a);
	close(c);
	close(lfd);
	diag_close(diag);
}
END_TEST

struct count {
	struct diag *diag;
	int rows, stop_at, nested;
	uint16_t port;
};

static bool count_row(const struct diag_row *row, void *arg)
{
	struct count *c = arg;
	struct diag_row other;

	ck_assert_int_eq(row->sport, c->port);
	c->nested += listener_at(c->diag, "127.0.0.1", c->port, &other);
	return ++c->rows != c->stop_at;
}

START_TEST(diag_dump_counts_and_stops)
{
	NEED_NET();
	struct diag *diag = rig_diag();
	int lfd = rig_listen("::", 0, 0), other = rig_listen("0.0.0.0", 0, 0), fds[400];
	struct count c = { .diag = diag, .port = rig_port(lfd), .stop_at = 7 };

	for (int i = 0; i < 200; i++) {
		fds[i] = rig_connect(i % 2 ? "127.0.0.1" : "::1", c.port, 0);
		fds[200 + i] = accept4(lfd, NULL, NULL, SOCK_CLOEXEC);
	}
	ck_assert_int_eq(diag_dump(diag, 1 << ESTABLISHED, c.port, count_row, &c), 0);
	ck_assert_int_eq(c.rows, 7);
	c.rows = c.nested = c.stop_at = 0;
	ck_assert_int_eq(diag_dump(diag, 1 << ESTABLISHED | 1 << LISTEN, c.port, count_row, &c), 0);
	ck_assert_int_eq(c.rows, 201);
	ck_assert_int_eq(c.nested, 201);
	for (int i = 0; i < 400; i++)
		close(fds[i]);
	close(lfd);
	close(other);
	diag_close(diag);
}
END_TEST

/* Printed, not judged: a slow machine is no fault. */
START_TEST(speed)
{
	enum { TIMES = 20000 };
	struct diag_row row;

	NEED_NET();
	struct diag *diag = rig_diag();
	int lfd = rig_listen("0.0.0.0", 0, 0);
	uint16_t port = rig_port(lfd);
	nsec_t t = clock_now();

	for (int i = 0; i < TIMES; i++)
		listener_at(diag, "127.0.0.1", port, &row);
	printf("sock_diag: one lookup %.2f us\n", (double)(clock_now() - t) / TIMES / 1000);
	close(lfd);
	diag_close(diag);
}
END_TEST

START_TEST(syscalls_have_names)
{
	ck_assert_str_eq(syscall_name(SYS_read), "read");
	ck_assert_str_eq(syscall_name(SYS_epoll_pwait), "epoll_pwait");
	ck_assert_str_eq(syscall_name(SYS_futex), "futex");
	ck_assert_str_eq(syscall_name(SYS_accept4), "accept4");
	ck_assert_str_eq(syscall_name(SYS_clock_nanosleep), "clock_nanosleep");
	ck_assert_str_eq(syscall_name(SYS_waitid), "waitid");
	ck_assert_str_eq(syscall_name(SYS_process_mrelease), "process_mrelease");
	ck_assert_ptr_null(syscall_name(-1));
	ck_assert_ptr_null(syscall_name(100000));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("target");
	TCase *tc = tcase_create("target");

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, diag_finds_listeners);
	tcase_add_loop_test(tc, diag_follows_a_connection, 0, 3);
	tcase_add_test(tc, diag_time_wait_is_said);
	tcase_add_test(tc, diag_half_open);
	tcase_add_test(tc, diag_zero_window);
	tcase_add_test(tc, diag_dump_counts_and_stops);
	tcase_add_test(tc, syscalls_have_names);
	tcase_add_test(tc, speed);
	return rig_run(s);
}
