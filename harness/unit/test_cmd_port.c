/* drainspec port: what it prints, and its exit status. */
#include "base/buf.h"
#include "cli/cli.h"
#include "target_rig.h"

static int command(char *a, char *b, char *c, struct buf *out)
{
	char *argv[] = { "port", a, b, c, NULL }, text[8192];
	int argc = !a ? 1 : !b ? 2 : !c ? 3 : 4, status;
	FILE *f = tmpfile();

	fflush(stdout);
	pid_t pid = fork();

	if (!pid) {
		dup2(fileno(f), 1);
		dup2(fileno(f), 2);
		status = cmd_port(argc, argv);
		fflush(stdout);
		_exit(status);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	rewind(f);
	size_t n = fread(text, 1, sizeof text, f);

	buf_clear(out);
	buf_add(out, text, n);
	fclose(f);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

START_TEST(the_command)
{
	struct buf out = {0};
	char word[8];

	NEED_NET();
	int fd = rig_listen("127.0.0.1", 0, REUSEADDR);

	prctl(PR_SET_NAME, "nginx");
	snprintf(word, sizeof word, "%d", rig_port(fd));
	ck_assert_int_eq(command(word, NULL, NULL, &out), 1);
	ck_assert_ptr_nonnull(strstr(out.p, "is held by nginx (pid"));
	ck_assert_int_eq(command(word, "-o", "json", &out), 1);
	ck_assert_ptr_nonnull(strstr(out.p, "\"free\":false"));
	ck_assert_int_eq(command("-ojson", word, NULL, &out), 1);
	ck_assert_ptr_nonnull(strstr(out.p, "\"kind\":\"listener\""));
	ck_assert_int_eq(command("81", NULL, NULL, &out), 0);
	ck_assert_str_eq(out.p, "port 81: free\n");
	ck_assert_int_eq(command("--help", NULL, NULL, &out), 0);
	static char *const wrong[][3] = { { NULL }, { "x" }, { "0" }, { "65536" }, { "-1" }, { "80", "81" }, { "80x" },
					  { "-o" }, { "-o", "xml", "80" }, { "--nope", "80" }, { "" } };

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		ck_assert_int_eq(command(wrong[i][0], wrong[i][1], wrong[i][2], &out), 4);
		ck_assert_ptr_nonnull(strstr(out.p, "usage: drainspec port"));
	}
	buf_free(&out);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cmd_port");
	TCase *tc = tcase_create("cmd_port");

	suite_add_tcase(s, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, the_command);
	return rig_run(s);
}
