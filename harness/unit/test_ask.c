/* Questions of the harness's own: what of them the loop has when the round is over. */
#include <arpa/inet.h>
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "run/engine.h"

static unsigned told;

static void tell(struct run *r, void *arg, int status, const char *body)
{
	(void)r, (void)arg, (void)status, (void)body;
	told++;
}

/* A listener that nobody accepts at: its clients are never answered. */
static int mute(struct sockaddr_in *ret)
{
	socklen_t n = sizeof *ret;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)ret, n) == 0 && listen(fd, 5) == 0 &&
		  getsockname(fd, (struct sockaddr *)ret, &n) == 0);
	return fd;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(nothing_outlives_the_round)
{
	struct err err = {0};
	struct loop loop;
	struct sockaddr_in at;
	struct run *r = calloc(1, sizeof *r);
	int fd = mute(&at);

	ck_assert_int_eq(loop_init(&loop, &err), 0);
	r->loop = &loop;
	r->arena = arena_new();
	r->err = &err;
	memcpy(&r->ports[0].addr, &at, sizeof at);
	r->ports[0].number = ntohs(at.sin_port);
	r->n_ports = 1;
	int before = open_fds();

	told = 0;
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(ask(r, 0, "/", NSEC_PER_MSEC, tell, NULL), 0);
		ck_assert_int_eq(ask_health(r, 0, NULL, NSEC_PER_MSEC, tell, NULL), 0);
	}
	ck_assert_ptr_nonnull(r->asks);
	ck_assert_ptr_nonnull(loop.timers);
	questions_end(r);
	ck_assert_ptr_null(r->asks);
	ck_assert_ptr_null(loop.timers);
	ck_assert_int_eq(open_fds(), before);
	loop_once(&loop, clock_now() + 3 * NSEC_PER_MSEC);
	ck_assert_uint_eq(told, 0);

	/* one that is answered in time, be it by its deadline, is closed by itself */
	ck_assert_int_eq(ask(r, 0, "/", NSEC_PER_MSEC, tell, NULL), 0);
	while (r->asks)
		loop_once(&loop, clock_now() + NSEC_PER_SEC);
	ck_assert_uint_eq(told, 1);
	ck_assert_ptr_null(loop.timers);
	loop_done(&loop);
	arena_free(r->arena);
	free(r);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("ask");
	TCase *tc = tcase_create("ask");

	suite_add_tcase(s, tc);
	tcase_add_test(tc, nothing_outlives_the_round);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed != 0;
}
