/* Capture: real connections in a network namespace of our own; what the events say is compared with the frames
 * that libpcap reads back from wire.pcap. The tracker alone: test_wire.c. */
#include "capture_rig.h"

#include <sys/mount.h>
#include <sys/wait.h>

START_TEST(fin_of_both)
{
	nsec_t t0 = clock_now();

	begin();
	int c = client_of(7, &server, 0), s = accept(listener, NULL, NULL);

	send_all(c, 100);
	ck_assert_uint_eq(recv_some(s), 100);
	send_all(s, 30);
	recv_some(c);
	send_all(s, 12);
	recv_some(c);
	capture_poll(cap);
	close(s);
	recv_some(c);
	close(c);
	end();
	expect_one(EV_W_SYN, 7, SYN, 0, 0);
	expect_one(EV_W_SYNACK, 7, SYN | ACK, 0, 0);
	expect_one(EV_W_FIRST, 7, ACK, 30, 0);
	expect_one(EV_W_LAST, 7, ACK, 42, 0);
	expect_one(EV_W_FIN_S, 7, FIN | ACK, 42, 0);
	expect_one(EV_W_FIN_C, 7, FIN | ACK, 100, 0);
	expect_one(EV_W_ACKED, 7, ACK, 100, 0);
	ck_assert(!one(EV_W_RST_S, 7, 0) && !one(EV_W_RST_C, 7, 0) && !one(EV_W_ZEROWIN, 7, 0));
	ck_assert_uint_eq(frames[one(EV_W_LAST, 7, ACK)->frame - 1].len, 12);
	ck_assert(one(EV_W_SYN, 7, SYN)->t >= t0 && one(EV_W_SYN, 7, SYN)->t <= clock_now());
	ck_assert_int_eq(ev.v[ev.n - 1].kind, EV_CAPTURE_END);
	ck_assert_int_eq(ev.v[ev.n - 1].a, n_frames);
	ck_assert_ptr_nonnull(strstr(ev.v[ev.n - 1].text, "sentinel frame"));
}
END_TEST

START_TEST(rst_of_server)
{
	begin();
	int c = client_of(0, &server, 0), s = accept(listener, NULL, NULL);

	send_all(c, 10);
	recv_some(s);
	send_all(s, 1000);
	recv_some(c);
	linger0(s);
	close(s);
	end();
	const struct event *e = one(EV_W_RST_S, 0, RST | ACK);

	ck_assert(e && e->a == 1000 && (e->b == 1000 || e->b == 0));
	ck_assert_ptr_null(one(EV_W_FIN_S, 0, 0));
	close(c);
}
END_TEST

/* A server that closes with unread bytes: the kernel sends RST though all was answered. */
START_TEST(rst_by_unread_bytes_and_rst_of_client)
{
	begin();
	int c = client_of(0, &server, 0), s = accept(listener, NULL, NULL);

	send_all(c, 10);
	send_all(s, 5);
	close(s);
	int d = client_of(1, &server, 0);

	s = accept(listener, NULL, NULL);
	linger0(d);
	close(d);
	end();
	ck_assert_ptr_nonnull(one(EV_W_RST_S, 0, RST | ACK));
	ck_assert_int_eq(one(EV_W_RST_S, 0, RST | ACK)->a, 5);
	expect_one(EV_W_RST_C, 1, RST | ACK, 0, 0);
	ck_assert_ptr_null(one(EV_W_RST_S, 1, 0));
	close(c);
	close(s);
}
END_TEST

START_TEST(half_close)
{
	begin();
	int c = client_of(3, &server, 0), s = accept(listener, NULL, NULL);

	send_all(c, 20);
	shutdown(c, SHUT_WR);
	ck_assert_uint_eq(recv_some(s), 20);
	ck_assert_uint_eq(recv_some(s), 0);
	send_all(s, 50);
	recv_some(c);
	capture_mark(cap, clock_now());
	size_t marked = ev.n;

	close(s);
	close(c);
	end();
	ck_assert_int_eq(ev.v[marked - 1].kind, EV_W_ACKED);
	ck_assert_int_eq(ev.v[marked - 1].a, 20);
	/* not 21 at the end: the FIN is no byte, so the mark stands and is not said again */
	expect_one(EV_W_ACKED, 3, ACK, 20, 0);
	expect_one(EV_W_FIN_C, 3, FIN | ACK, 20, 0);
	expect_one(EV_W_FIN_S, 3, FIN | ACK, 50, 0);
}
END_TEST

START_TEST(zero_window)
{
	static const char chunk[65536];
	ssize_t sent, all = 0;

	begin();
	int c = client_of(0, &server, 4096), s = accept(listener, NULL, NULL);
	nsec_t limit = clock_now() + 10 * NSEC_PER_SEC;

	while ((sent = send(s, chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
		all += sent;
	for (bool seen = false; !seen && clock_now() < limit;) {
		capture_poll(cap);
		for (size_t i = 0; i < ev.n; i++)
			seen |= ev.v[i].kind == EV_W_ZEROWIN;
	}
	end();
	const struct event *e = one(EV_W_ZEROWIN, 0, ACK);

	ck_assert(e && frames[e->frame - 1].win == 0);
	ck_assert(one(EV_W_LAST, 0, ACK)->a < all);     /* the wire carried less than was handed to the kernel */
	close(c);
	close(s);
}
END_TEST

START_TEST(refused)
{
	struct sockaddr_in gone;

	close(bound(&gone));
	uint16_t ports[] = {ntohs(server.sin_port), ntohs(gone.sin_port)};
	struct err err = {0};

	events_init(&ev, arena);
	ck_assert_int_eq(capture_begin(cap, path, ports, 2, &ev, &err), 0);
	close(client_of(5, &gone, 0));
	close(client_of(-1, &gone, 0));         /* not announced */
	int quiet = client_of(-1, &server, 0);  /* not announced and accepted: no event */

	end();
	expect_one(EV_W_SYN, 5, SYN, 0, 0);
	expect_one(EV_W_RST_SYN, 5, RST | ACK, 0, 0);
	expect_one(EV_W_RST_SYN, -1, RST | ACK, 0, 0);
	ck_assert_ptr_null(one(EV_W_RST_S, 5, 0));
	ck_assert_ptr_null(one(EV_W_ACKED, 5, 0));
	for (size_t i = 0; i < ev.n; i++)
		ck_assert(ev.v[i].conn == 5 || ev.v[i].kind == EV_W_RST_SYN || ev.v[i].kind == EV_CLOCK ||
			  ev.v[i].kind == EV_CAPTURE_END);
	close(quiet);
}
END_TEST

START_TEST(two_scenarios_and_other_ports)
{
	struct sockaddr_in other;
	int l = bound(&other);

	listen(l, 1);
	begin();
	int c = client_of(0, &server, 0), o = client_of(-1, &other, 0);

	end();
	for (unsigned i = 0; i < n_frames; i++)
		ck_assert(frames[i].udp || frames[i].sport == ntohs(server.sin_port) || frames[i].dport == ntohs(server.sin_port));
	struct sockaddr_in old = server;
	int next = bound(&server);

	listen(next, 1);
	events_close(&ev);
	close(client_of(-1, &server, 0));       /* between the scenarios: belongs to none */
	begin();
	close(c);                               /* not the port of this one */
	c = client_of(0, &server, 0);
	end();
	for (unsigned i = 0; i < n_frames; i++)
		ck_assert(frames[i].sport != ntohs(old.sin_port) && frames[i].dport != ntohs(old.sin_port));
	ck_assert_uint_eq(one(EV_W_SYN, 0, SYN)->frame, 1);
	close(c);
	close(next);
	close(o);
	close(l);
}
END_TEST

/* W_ACKED at the signal's time leaves out what came later, though it is drained in the same go. */
START_TEST(mark_splits_by_time)
{
	begin();
	int c = client_of(0, &server, 0), s = accept(listener, NULL, NULL);

	send_all(c, 10);
	recv_some(s);
	nsec_t t = clock_now();

	while (clock_now() < t + 100 * NSEC_PER_USEC)
		;
	send_all(c, 7);
	recv_some(s);
	capture_mark(cap, t);
	ck_assert_int_eq(ev.v[ev.n - 1].kind, EV_W_ACKED);
	ck_assert_int_eq(ev.v[ev.n - 1].a, 10);
	ck_assert_int_eq(ev.v[ev.n - 1].t, t);
	ev.v[ev.n - 1].kind = EV_NOTE;
	end();
	expect_one(EV_W_ACKED, 0, ACK, 17, 0);
	close(c);
	close(s);
}
END_TEST

START_TEST(ipv6)
{
	struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}, me = a;
	socklen_t len = sizeof a;
	int l = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0), c = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof a) < 0)
		return;         /* a kernel without IPv6 */
	getsockname(l, (struct sockaddr *)&a, &len);
	listen(l, 1);
	server.sin_port = a.sin6_port;
	begin();
	bind(c, (struct sockaddr *)&me, sizeof me);
	getsockname(c, (struct sockaddr *)&me, &len);
	capture_expect(cap, 0, 0, ntohs(me.sin6_port), ntohs(a.sin6_port));
	ck_assert_int_eq(connect(c, (struct sockaddr *)&a, sizeof a), 0);
	int s = accept(l, NULL, NULL);

	send_all(c, 9);
	recv_some(s);
	end();
	expect_one(EV_W_SYN, 0, SYN, 0, 0);
	expect_one(EV_W_ACKED, 0, ACK, 9, 0);
	close(c);
	close(s);
	close(l);
}
END_TEST

START_TEST(drops_are_counted)
{
	struct capture_stats st;
	struct err err = {0};

	capture_close(cap);
	ck_assert_int_eq(capture_open(&cap, 64 << 10, 0, &err), 0);
	begin();
	int c = client_of(0, &server, 0), s = accept(listener, NULL, NULL), on = 1;

	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	for (int i = 0; i < 1000; i++) {        /* nobody drains meanwhile */
		send_all(c, 1);
		recv_some(s);
	}
	ck_assert_int_eq(capture_end(cap, &st, &err), 0);
	ck_assert(st.drops > 0 && st.sentinel > 0);     /* the sentinel had room again */
	events_close(&ev);
	begin();
	end();                  /* and the next scenario starts from 0 drops */
	close(c);
	close(s);
}
END_TEST

START_TEST(disk_full)
{
	struct capture_stats st;
	struct err err = {0};
	char full[96];

	ck_assert_int_eq(unshare(CLONE_NEWNS), 0);
	ck_assert_int_eq(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mount("tmpfs", dir, "tmpfs", 0, "size=16k"), 0);
	begin();
	int c = client_of(0, &server, 0), s = accept(listener, NULL, NULL), on = 1;

	setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	for (int i = 0; i < 3000; i++) {
		send_all(c, 1);
		recv_some(s);
		if (i % 100 == 0)
			capture_poll(cap);
	}
	close(s);
	ck_assert_int_eq(capture_end(cap, &st, &err), -1);
	ck_assert_msg(err.kind == ERR_HARNESS && err.errnum == ENOSPC && strstr(err.what, "wire.pcap"), "%s (%d)",
		      err.what, err.errnum);
	ck_assert(st.packets > 3000 && st.sentinel > 3000 && st.drops == 0);
	ck_assert_int_eq(ev.v[ev.n - 1].kind, EV_CAPTURE_END);
	events_close(&ev);
	snprintf(full, sizeof full, "%s/no/such/folder", dir);
	ck_assert_int_eq(capture_begin(cap, full, NULL, 0, &ev, &err), -1);
	ck_assert_int_eq(err.errnum, ENOENT);
	ck_assert_int_eq(capture_end(cap, &st, &err), -1);
	umount(dir);
	begin();
	end();
	close(c);
}
END_TEST

START_TEST(closed_on_exec)
{
	for (int fd = 3; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0) {
			int domain = 0;
			socklen_t len = sizeof domain;

			if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) == 0 && domain == AF_PACKET)
				ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		}
	capture_poll(NULL);
	capture_mark(NULL, 0);
	capture_expect(NULL, 0, 0, 0, 0);
	capture_close(NULL);
	capture_poll(cap);      /* no scenario: nothing happens */
}
END_TEST

static bool permitted(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(own_netns() < 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

int main(void)
{
	Suite *s = suite_create("capture");
	TCase *tc = tcase_create("capture");

	if (!permitted()) {
		puts("capture: skipped, no network namespace is permitted here");
		return 77;
	}
	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, fin_of_both);
	tcase_add_test(tc, rst_of_server);
	tcase_add_test(tc, rst_by_unread_bytes_and_rst_of_client);
	tcase_add_test(tc, half_close);
	tcase_add_test(tc, zero_window);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, two_scenarios_and_other_ports);
	tcase_add_test(tc, mark_splits_by_time);
	tcase_add_test(tc, ipv6);
	tcase_add_test(tc, drops_are_counted);
	tcase_add_test(tc, disk_full);
	tcase_add_test(tc, closed_on_exec);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
