/* unix_diag: who listens on a path, and what our peer has accepted and read. */
#include <sys/stat.h>
#include <sys/un.h>

#include "target/diag_unix.h"
#include "target_rig.h"

enum { ESTABLISHED = 1, LISTEN = 10 };

static char path[108];

static int listen_at(const char *at)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof un.sun_path, "%s", at);
	unlink(at);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	ck_assert_int_eq(listen(fd, 7), 0);
	return fd;
}

static int connect_to(const char *at)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(un.sun_path, sizeof un.sun_path, "%s", at);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&un, sizeof un), 0);
	return fd;
}

static uint32_t inode_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return (uint32_t)st.st_ino;
}

START_TEST(listener_by_its_path)
{
	struct diag_row row;

	ck_assert_int_eq(diag_unix_listener(path, &row), 0);
	int fd = listen_at(path);

	ck_assert_int_eq(diag_unix_listener(path, &row), 1);
	ck_assert_int_eq(row.state, LISTEN);
	ck_assert_uint_eq(row.inode, inode_of(fd));
	ck_assert_uint_eq(row.rqueue, 0);
	ck_assert_uint_eq(row.wqueue, 7);
	/* a part of the name is another name */
	path[strlen(path) - 1] = '\0';
	ck_assert_int_eq(diag_unix_listener(path, &row), 0);
	close(fd);
}
END_TEST

/* Of a server that was killed a worker goes on listening, and the next server has put a socket of its own there. */
START_TEST(listener_of_the_file_that_is_there)
{
	struct diag_row row;
	int fds[16];

	/* more than one look can get right by chance: rows come by the hash of their inodes */
	for (unsigned i = 0; i < 16; i++) {
		fds[i] = listen_at(path);
		ck_assert_int_eq(diag_unix_listener(path, &row), 1);
		ck_assert_uint_eq(row.inode, inode_of(fds[i]));
	}
	unlink(path);
	ck_assert_int_eq(diag_unix_listener(path, &row), 1);    /* they listen all the same */
	for (unsigned i = 0; i < 16; i++)
		close(fds[i]);
}
END_TEST

START_TEST(peer_is_followed)
{
	struct diag_row row;
	int fd = listen_at(path), client = connect_to(path);
	char byte;

	ck_assert_int_eq(diag_unix_peer(client, &row), 1);
	ck_assert_uint_eq(row.inode, 0);                /* connected, and nobody has accepted it */
	ck_assert_int_eq(diag_unix_listener(path, &row), 1);
	ck_assert_uint_eq(row.rqueue, 1);
	int server = accept(fd, NULL, NULL);

	ck_assert_int_eq(diag_unix_peer(client, &row), 1);
	ck_assert_uint_eq(row.inode, inode_of(server));
	ck_assert_int_eq(row.state, ESTABLISHED);
	ck_assert_uint_eq(row.rqueue, 0);
	ck_assert_int_eq(write(client, "ab", 2), 2);
	ck_assert_int_eq(diag_unix_peer(client, &row), 1);
	ck_assert_uint_gt(row.rqueue, 0);               /* unread */
	ck_assert_int_eq(read(server, &byte, 1), 1);
	ck_assert_int_eq(read(server, &byte, 1), 1);
	ck_assert_int_eq(diag_unix_peer(client, &row), 1);
	ck_assert_uint_eq(row.rqueue, 0);
	close(server);
	ck_assert_int_eq(diag_unix_peer(client, &row), 0);
	close(client);
	close(fd);
}
END_TEST

static void begin(void)
{
	snprintf(path, sizeof path, "/tmp/drainspec-unit-%d.sock", getpid());
}

static void end(void)
{
	begin();
	unlink(path);
}

int main(void)
{
	Suite *s = suite_create("unix_diag");
	TCase *tc = tcase_create("unix_diag");
	SRunner *sr = srunner_create(s);

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, begin, end);
	tcase_add_test(tc, listener_by_its_path);
	tcase_add_test(tc, listener_of_the_file_that_is_there);
	tcase_add_test(tc, peer_is_followed);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
