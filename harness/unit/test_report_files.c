/* The frame of the reports: exit status, files that are never half written, failures that are told. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "report/sink.h"
#include "report_samples.h"

static struct result one(enum outcome outcome, enum level level)
{
	static struct verdict v[32];
	static unsigned next;
	struct verdict *mine = &v[next++ % 32];

	*mine = (struct verdict){&sample_checks[CON_1], {.outcome = outcome, .level = level}};
	return (struct result){.name = "x", .verdicts = mine, .n_verdicts = 1,
		.outcome = outcome == FAIL && level == SHOULD ? PASS : outcome};
}

START_TEST(exit_status)
{
	struct result pass = one(PASS, MUST), must = one(FAIL, MUST), should = one(FAIL, SHOULD), unsure = one(UNSURE, MUST),
		broken = one(BROKEN, MUST), skip = one(SKIP, MUST), silent = {.name = "nothing applies"},
		unrun = {.name = "y", .outcome = SKIP, .skip_reason = "no flag"}, dead = {.outcome = BROKEN, .broken = "x"};
	const struct {
		struct result all[3];
		size_t n;
		bool strict;
		int status;
	} rows[] = {
		{{pass}, 1, false, 0}, {{pass, skip, unrun}, 3, false, 0}, {{should}, 1, false, 0}, {{should}, 1, true, 1},
		{{pass, must}, 2, false, 1}, {{broken, must, unsure}, 3, false, 1}, {{dead, pass, unsure}, 3, false, 3},
		{{pass, broken}, 2, true, 3}, {{pass, unsure, skip}, 3, false, 2}, {{skip, unrun}, 2, false, 77},
		{{unrun}, 1, false, 77}, {{silent}, 1, false, 5}, {{silent, skip}, 2, false, 77}, {{pass}, 0, false, 5},
	};

	for (size_t i = 0; i < COUNT(rows); i++)
		ck_assert_msg(report_exit_status(rows[i].all, rows[i].n, rows[i].strict) == rows[i].status, "row %zu", i);
	ck_assert_int_eq(report_exit_write_failed(0), 3);
	ck_assert_int_eq(report_exit_write_failed(1), 1);
	ck_assert_int_eq(report_exit_write_failed(77), 3);
}
END_TEST

START_TEST(usage_errors)
{
	struct format_request two[] = {{"text", NULL}, {"json", NULL}}, typo[] = {{"jnuit", "x"}},
		same[] = {{"json", "x"}, {"tap", "x"}}, fine[] = {{"text", NULL}, {"json", "x"}, {"junit", "y"}}, dash[] = {{"json", "-"}, {"tap", "/dev/stdout"}};
	struct err err = {0};

	ck_assert_int_lt(report_check(two, 2, &err), 0);
	ck_assert_int_eq(err.kind, ERR_USAGE);
	HAS(err.what, "both write to stdout");
	ck_assert_int_lt(report_check(typo, 1, &err), 0);
	HAS(err.what, "did you mean 'junit'?");
	ck_assert_int_lt(report_check(same, 2, &err), 0);
	ck_assert_int_lt(report_check(dash, 2, &err), 0);
	ck_assert_int_eq(report_check(fine, 3, &err), 0);
	ck_assert(report_on_stdout(two, 1) && !report_on_stdout(same, 2));
}
END_TEST

static char folder[64], old_folder[4096];

static void enter(void)
{
	strcpy(folder, "/tmp/test_report.XXXXXX");
	ck_assert_ptr_nonnull(getcwd(old_folder, sizeof old_folder));
	ck_assert_ptr_nonnull(mkdtemp(folder));
	ck_assert_int_eq(chdir(folder), 0);
}

static void leave(void)
{
	char command[128];

	ck_assert_int_eq(chdir(old_folder), 0);
	snprintf(command, sizeof command, "rm -rf %s", folder);
	ck_assert_int_eq(system(command), 0);
}

static char *slurp(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 22);

	ck_assert_msg(f != NULL, "%s", path);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_lt(fread(text, 1, (1 << 22) - 1, f), 1 << 22);
	fclose(f);
	return text;
}

static int whole_run(const char *format, const char *file, const struct report_env *env, struct err *err)
{
	struct format_request rq = {format, file};
	struct report *r;
	int bad = report_open(&rq, env, &r, err) < 0;

	for (size_t i = 1; i <= S_MAIN; i++)
		bad += report_add(r, samples, i, err) < 0;
	bad += report_close(r, samples, S_MAIN, false, err) < 0;
	return bad;
}

START_TEST(files_are_made_whole)
{
	struct err err = {0};
	struct format_request rq = {"json", "a/b/c/report.json"};
	struct report *r;
	struct stat st;

	ck_assert_int_eq(report_open(&rq, &env0, &r, &err), 0);
	/* valid from the first moment on */
	char *t = slurp("a/b/c/report.json");
	json_t *root = json_loads(t, 0, NULL);

	ck_assert(json_is_false(json_object_get(root, "complete")));
	json_decref(root);
	free(t);
	ck_assert_int_eq(chmod("a/b/c/report.json", 0640), 0);
	ck_assert_int_eq(report_close(r, samples, S_MAIN, false, &err), 0);
	t = slurp("a/b/c/report.json");
	HAS(t, "\"complete\":true");
	free(t);
	ck_assert_int_eq(stat("a/b/c/report.json", &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0640);
	ck_assert_int_eq(system("test $(ls -A a/b/c | wc -l) = 1"), 0);
	/* a link stays a link */
	ck_assert_int_eq(symlink("a/b/c/report.json", "link"), 0);
	ck_assert_int_eq(whole_run("tap", "link", &env0, &err), 0);
	ck_assert_int_eq(lstat("link", &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	t = slurp("a/b/c/report.json");
	HAS(t, "\n1..16\n");
	free(t);
}
END_TEST

START_TEST(devices_are_written_to)
{
	struct err err = {0};
	struct stat st;

	ck_assert_int_eq(whole_run("junit", "/dev/null", &env0, &err), 0);
	ck_assert_int_eq(stat("/dev/null", &st), 0);
	ck_assert(S_ISCHR(st.st_mode));
}
END_TEST

START_TEST(failures_are_told_once_and_at_the_end)
{
	struct err err = {0};
	char text[1024];

	/* at open or the first write, and at the end: not after each scenario */
	ck_assert_int_eq(whole_run("text", "/dev/full", &env0, &err), 2);
	HAS(err_text(&err, text, sizeof text), "/dev/full");
	ck_assert_int_eq(whole_run("json", "/proc/nowhere/report.json", &env0, &err), 2);
	HAS(err_text(&err, text, sizeof text), "/proc/nowhere/report.json");
	ck_assert_int_eq(err.kind, ERR_HARNESS);
	close(open("plain", O_CREAT | O_WRONLY, 0600));
	ck_assert_int_eq(whole_run("junit", "plain/report.xml", &env0, &err), 2);
	ck_assert_int_eq(err.errnum, ENOTDIR);
}
END_TEST

START_TEST(a_full_disk_keeps_the_last_report)
{
	struct rlimit none = {1, 1};
	struct err err = {0};
	struct sink sink;

	ck_assert_int_eq(sink_open("report", &sink, &err), 0);
	ck_assert_int_eq(sink_replace(&sink, "good", 4, &err), 0);
	/* The limit of a file's size stands in for a full disk; check runs each test in a process of its own. */
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_lt(sink_replace(&sink, "half of", 7, &err), 0);
	ck_assert_int_eq(err.errnum, EFBIG);
	sink_close(&sink);
	char *t = slurp("report");

	ck_assert_str_eq(t, "good");
	free(t);
	ck_assert_int_eq(system("test $(ls -A | wc -l) = 1"), 0);
}
END_TEST

START_TEST(summary_is_appended_and_bounded)
{
	struct report_env env = env0;
	struct err err = {0};
	struct stat st;
	static struct result many[20000];
	struct format_request rq = {"github", "log"};
	struct report *r;

	env.summary_file = "summary.md";
	ck_assert_int_eq(whole_run("github", "log", &env, &err), 0);
	char *t = slurp("summary.md");

	HAS(t, "**1 MUST check failed in 1 of 6 scenarios: CON-1 (in-flight).**");
	HAS(t, "### FAIL CON-1 (MUST) in-flight");
	free(t);
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = samples[S_IN_FLIGHT];
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(report_open(&rq, &env, &r, &err), 0);
		ck_assert_int_eq(report_close(r, many, COUNT(many), false, &err), 0);
	}
	ck_assert_int_eq(stat("summary.md", &st), 0);
	ck_assert_int_lt(st.st_size, 1 << 20);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("report files");
	TCase *plain = tcase_create("frame"), *t = tcase_create("files");

	tcase_add_test(plain, exit_status);
	tcase_add_test(plain, usage_errors);
	tcase_add_checked_fixture(t, enter, leave);
	tcase_add_test(t, files_are_made_whole);
	tcase_add_test(t, devices_are_written_to);
	tcase_add_test(t, failures_are_told_once_and_at_the_end);
	tcase_add_test(t, a_full_disk_keeps_the_last_report);
	tcase_add_test(t, summary_is_appended_and_bounded);
	suite_add_tcase(s, plain);
	suite_add_tcase(s, t);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int bad = srunner_ntests_failed(sr);

	srunner_free(sr);
	return bad != 0;
}
