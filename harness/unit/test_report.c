/* The reporters and their frame. `test_report --write DIR` writes samples of every format instead, for check_reports.py. */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>

#include "report/term.h"
#include "report/words.h"
#include "report_samples.h"

/* What the frame would write, without a file. */
static char *render(const char *format, const struct report_env *env, const struct result *all, size_t n, bool interrupted)
{
	const struct reporter *rep = reporter_by_name(format);
	struct buf out = {0};

	if (rep->stream) {
		rep->begin(env, &out);
		for (size_t i = 1; i <= n; i++)
			rep->one(env, all, i, &out);
		rep->end(env, all, n, interrupted, &out);
	} else {
		rep->document(env, all, n, !interrupted, &out);
	}
	return out.p;
}

START_TEST(text_says_what_who_and_what_to_do)
{
	char *t = render("text", &env0, samples, S_MAIN, false);

	HAS(t, "FAIL CON-1 (MUST) in-flight: a request that the server had read is answered in full");
	HAS(t, "fault       the server");
	HAS(t, "what to do  call server.close()");          /* the language was seen in the command */
	HAS(t, "drainspec explain CON-1");
	HAS(t, "events #112 #131 #140, packet frames 7 9");
	HAS(t, "wireshark -r reports/2026-01-02-030405-server/in-flight/wire.pcap -g 7");
	HAS(t, "1 MUST check failed in 1 of 6 scenarios: CON-1 (in-flight).");
	HAS(t, "drainspec judge reports/2026-01-02-030405-server");
	HAS(t, "give one with --stream 'GET /events'");
	ck_assert_uint_eq(count_of(t, "threads cannot be counted"), 1);
	HAS_NOT(t, "\033");
	free(t);
}
END_TEST

static bool advises(const char *command, const char *fix, const char *what)
{
	struct check check = {.fix_python = fix, .todo = "in general"};
	struct verdict v = {.check = &check};
	struct report_env env = {.command = command};
	struct buf out = {0};

	words_todo(&out, &env, &v);
	bool same = !strcmp(out.p, what);

	if (!same)
		fprintf(stderr, "%s: \"%s\", not \"%s\"\n", command, out.p, what);
	buf_free(&out);
	return same;
}

START_TEST(what_to_do_is_for_this_server)
{
	const char *two = "uvicorn, gunicorn: send TERM. http.server: join (daemon_threads = False).";
	const char *parts = "gunicorn sync: --timeout; asyncio: wait_for(), 1.5 s. Close it";

	ck_assert(advises("uvicorn app:app --port 1", two, two));
	ck_assert(advises("python3 -m http.server 1", two, "http.server: join (daemon_threads = False)."));
	ck_assert(advises("./server", two, "in general"));
	ck_assert(advises("python3 app.py", parts, "asyncio: wait_for(), 1.5 s. Close it"));
	ck_assert(advises("gunicorn app:app", parts, parts));
	ck_assert(advises("gunicorn app:app", "gunicorn: send TERM; uvicorn: INT.", "gunicorn: send TERM."));
	ck_assert(advises("python3 app.py", "join(); uvicorn: INT.", "join()."));
	ck_assert(advises("python3 app.py", "gunicorn ends when it can: look; uvicorn too: look.", "in general"));
}
END_TEST

START_TEST(text_keeps_to_its_width_and_to_ascii)
{
	struct report_env env = env0;

	env.ascii = true;
	for (unsigned width = 60; width <= 120; width += 20) {
		env.width = width;
		char *t = render("text", &env, samples, S_MAIN, false), *save, *line = strtok_r(t, "\n", &save);

		for (; line; line = strtok_r(NULL, "\n", &save)) {
			if (!strstr(line, "wireshark") && !strstr(line, "reports/"))
				ck_assert_msg(strlen(line) <= width, "%zu > %u: %s", strlen(line), width, line);
			for (const char *c = line; *c; c++)
				ck_assert_msg((unsigned char)*c < 0x80, "%s", line);
		}
		free(t);
	}
}
END_TEST

START_TEST(colour_only_repeats_the_words)
{
	struct report_env env = env0;
	struct buf stripped = {0};

	env.color = true;
	char *coloured = render("text", &env, samples, S_MAIN, false), *plain = render("text", &env0, samples, S_MAIN, false);

	HAS(coloured, "\033[31m");
	for (const char *c = coloured; *c; c++)
		if (*c == '\033')
			c = strchr(c, 'm');
		else
			buf_addc(&stripped, *c);
	/* the elapsed time is not in there: env0.started is 0 */
	ck_assert_str_eq(stripped.p, plain);
	buf_free(&stripped);
	free(coloured);
	free(plain);
}
END_TEST

START_TEST(text_shortens_what_was_said_before)
{
	struct result all[] = {samples[S_IN_FLIGHT], sample_more[0], sample_more[1], sample_more[2]};
	char *t = render("text", &env0, all, 4, true);

	/* in its first block, and in the last lines */
	ck_assert_uint_eq(count_of(t, "call server.close()"), 2);
	HAS(t, "\n  FAIL CON-1 (MUST) as in in-flight; evidence reports/2026-01-02-030405-server/pipelined\n");
	ck_assert_uint_eq(count_of(t, "fault       the server"), 1);
	HAS(t, "UNSURE HAR-3");
	HAS(t, "fault       drainspec itself");
	free(t);
	struct buf sentence = {0};

	words_verdict(&sentence, &env0, all, 4, true);
	ck_assert_str_eq(sentence.p, "Interrupted after 4 of 6 scenarios. 1 MUST check failed in 2 of 4 scenarios: "
			 "CON-1 (in-flight, pipelined). Not judged (BROKEN): crash.");
	buf_free(&sentence);
}
END_TEST

START_TEST(text_tells_each_suspect_once)
{
	char *t = render("text", &env0, sample_suspects, 3, false);

	HAS(t, "FAIL EXI-2 (MUST) quiet: the process ends");
	HAS(t, "FAIL EXI-2 (MUST) as in quiet; evidence reports/2026-01-02-030405-server/idle");
	HAS(t, "FAIL EXI-2 (MUST) late: the process ends");
	HAS(t, "what to do  give the drain a deadline");
	free(t);
}
END_TEST

/* An ending that is no fault is not left to the reader's fears. */
START_TEST(text_says_what_was_expected)
{
	char *t = render("text", &env0, samples, S_MAIN, false);

	HAS(t, "1 truncated (expected: the second signal cut it)");
	HAS(t, "scenarios     1 FAILED, 1 warning, 2 passed, 2 skipped\n");
	free(t);
}
END_TEST

/* Not a byte of what a target or a scenario wrote may steer the terminal or break the encoding. */
START_TEST(nasty_strings_are_tamed)
{
	struct result all[] = {nasty_result()};

	for (size_t i = 0; i < n_reporters; i++) {
		char *t = render(reporters[i]->name, &env0, all, 1, false);
		size_t n = strlen(t);

		for (size_t k = 0; k < n;) {
			uint32_t cp;

			k += utf8_next(t + k, n - k, &cp);
			ck_assert_msg(cp != UTF8_BAD && (cp >= 0x20 || cp == '\n' || cp == '\t') && cp != 0x7F,
				      "%s: U+%04X", reporters[i]->name, cp);
		}
		/* XML carries the lines as they were */
		if (strcmp(reporters[i]->name, "junit")) {
			ck_assert_uint_eq(count_of(t, "\nok 7 - injected"), 0);
			ck_assert_uint_eq(count_of(t, "\nBail out!"), 0);
		}
		free(t);
	}
}
END_TEST

START_TEST(tap_numbers_and_plan)
{
	char *t = render("tap", &env0, samples, S_MAIN, false);

	ck_assert_int_eq(strncmp(t, "TAP version 13\n", 15), 0);
	HAS(t, "\nnot ok 6 - in-flight: CON-1 ");
	HAS(t, " # TODO SHOULD");
	HAS(t, "\nok 5 - quiet: RES-3 threads are back to what they were # SKIP threads cannot");
	HAS(t, "\n1..16\n");
	free(t);
	t = render("tap", &env0, samples, 2, true);
	HAS(t, "\nBail out! interrupted");
	HAS_NOT(t, "\n1..");
	free(t);
}
END_TEST

START_TEST(json_reads_back)
{
	struct result all[] = {samples[S_IN_FLIGHT], nasty_result()};
	char *t = render("json", &env0, all, 2, false);
	json_t *root = json_loads(t, 0, NULL);

	ck_assert_ptr_nonnull(root);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "version")), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(root, "exit")), 1);
	json_t *sc = json_array_get(json_object_get(root, "scenarios"), 0);
	json_t *v = json_array_get(json_object_get(sc, "verdicts"), 0);

	ck_assert_str_eq(json_string_value(json_object_get(v, "check")), "CON-1");
	ck_assert_str_eq(json_string_value(json_object_get(v, "outcome")), "FAIL");
	ck_assert_str_eq(json_string_value(json_object_get(v, "kind")), "FAIL");
	ck_assert_str_eq(json_string_value(json_object_get(v, "hint")), "call server.close() and wait for its callback before process.exit()");
	ck_assert_uint_eq(json_array_size(json_object_get(v, "events")), 3);
	ck_assert_int_eq(json_integer_value(json_array_get(json_object_get(v, "frames"), 1)), 9);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(sc, "connections"), "completed")), 48);
	json_decref(root);
	free(t);
}
END_TEST

/* Outside of the stopped parts only our own commands may stand; the runner ignores leading blanks. */
START_TEST(github_obeys_only_us)
{
	static const char *const ours[] = {"group::", "endgroup::", "error ", "warning ", "stop-commands::"};
	struct result all[] = {samples[S_QUIET], samples[S_IN_FLIGHT], nasty_result()};
	char *t = render("github", &env0, all, 3, false), *save, stop[64] = "";

	for (char *line = strtok_r(t, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		bool known = false;

		line += strspn(line, " \t");
		if (*stop) {
			if (!strcmp(line, stop))
				*stop = '\0';
			continue;
		}
		for (size_t i = 0; i < COUNT(ours); i++)
			known |= !strncmp(line, "::", 2) && !strncmp(line + 2, ours[i], strlen(ours[i]));
		ck_assert_msg(known || (strncmp(line, "::", 2) && !strstr(line, "##[")), "%s", line);
		if (!strncmp(line, "::stop-commands::", 17))
			snprintf(stop, sizeof stop, "::%s::", line + 17);
	}
	ck_assert_str_eq(stop, "");
	free(t);
}
END_TEST

START_TEST(github_annotates_at_most_ten)
{
	struct result all[30];

	for (int i = 0; i < 30; i++)
		all[i] = samples[S_IN_FLIGHT];
	char *t = render("github", &env0, all, 30, false);

	ck_assert_uint_eq(count_of(t, "\n::error "), 10);
	/* the battery is in nobody's repository: nothing is cited, or the settings file where there is one */
	HAS(t, "\n::error title=CON-1 (MUST) FAIL::in-flight: ");
	HAS(t, "::21 more in the log");
	HAS(t, "%0Afault: the server: ");
	free(t);
	all[0].path = "/dev/null";      /* a file that is there */
	t = render("github", &env0, all, 1, false);
	HAS(t, "\n::error file=/dev/null,title=CON-1 (MUST) FAIL::in-flight: ");
	free(t);
}
END_TEST

START_TEST(wrapping_and_scrubbing)
{
	struct buf out = {0};
	struct pen pen = {.out = &out, .width = 40};

	pen_wrap(&pen, "one two three four five six seven eight", 4, 0);
	ck_assert_str_eq(out.p, "one two three four five six seven\n    eight\n");
	buf_clear(&out);
	pen_wrap(&pen, "wwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwwww", 10, 0);
	ck_assert_str_eq(out.p, "wwwwwwwwwwwwwwwwwwwwwwwwwwwwww\n          wwwwwwwwwwwwww\n");
	buf_clear(&out);
	scrub(&out, "a\033[1;31mred\033[0m\tb\r\nc\001\xff \xe2\x80\xae", 0);
	ck_assert_str_eq(out.p, "ared b c\\x01\\xff \\u202e");
	buf_clear(&out);
	scrub(&out, "a…\xe2\x86\x92é", SCRUB_ASCII);
	ck_assert_str_eq(out.p, "a...->é");
	buf_clear(&out);
	pen_wrap(&pen, "", 4, 0);
	pen_wrap(&pen, "   indented text stays, and is broken at a space", 4, 2);
	ck_assert_str_eq(out.p, "\n   indented text stays, and is\n    broken at a space\n");
	ck_assert_uint_eq(text_columns("é漢x", 6), 4);
	buf_free(&out);
}
END_TEST

/* A scenario of a usual size must not cost more than 20 us; sanitizers and a busy machine are given room. */
START_TEST(json_is_fast)
{
	static struct verdict v[40];
	static struct frame_cite frames[160];
	const struct reporter *rep = reporter_by_name("json");
	struct result r = samples[S_IN_FLIGHT];
	struct buf out = {0};
	nsec_t best = NSEC_NEVER;

	for (uint32_t i = 0; i < 40; i++) {
		v[i] = sample_in_flight[0];
		for (uint32_t k = 0; k < 4; k++)
			v[i].finding.cites[k] = i * 100 + k, frames[i * 4 + k] = (struct frame_cite){i * 100 + k, i};
		v[i].finding.n_cites = 4;
	}
	r.verdicts = v, r.n_verdicts = 40, r.frames = frames, r.n_frames = 160;
	for (int i = 0; i < 200; i++) {
		nsec_t before = clock_now();

		buf_clear(&out);
		rep->document(&env0, &r, 1, true, &out);
		nsec_t took = clock_now() - before;

		best = took < best ? took : best;
	}
	if (getenv("SHOW_TIMES"))
		fprintf(stderr, "json of 40 verdicts, %zu bytes: %lld ns\n", out.n, (long long)best);
	ck_assert_int_lt(best, 400 * NSEC_PER_USEC);
	buf_free(&out);
}
END_TEST

static int write_samples(const char *dir)
{
	static struct result nasty[1], more[S_MAIN + 3];
	struct report_env env = env0;
	char path[4096];

	nasty[0] = nasty_result();
	memcpy(more, samples, sizeof samples);
	memcpy(more + S_MAIN, sample_more, sizeof sample_more);
	const struct {
		const char *name;
		const struct result *all;
		size_t n;
		bool interrupted;
	} sets[] = {
		{"main", samples, S_MAIN, false}, {"more", more, COUNT(more), false}, {"nasty", nasty, 1, false},
		{"passed", samples, 1, false}, {"skipped", samples + S_STREAM, 2, false}, {"empty", samples, 0, false},
		{"interrupted", samples, 2, true},
	};

	for (size_t i = 0; i < COUNT(sets); i++)
		for (size_t k = 0; k < n_reporters; k++) {
			struct format_request rq = {reporters[k]->name, path};
			struct err err;
			struct report *r;
			char page[4096];

			snprintf(path, sizeof path, "%s/%s%s", dir, sets[i].name, reporters[k]->suffix);
			snprintf(page, sizeof page, "%s/%s.md", dir, sets[i].name);
			env.summary_file = page;
			if (report_open(&rq, &env, &r, &err) < 0)
				return 1;
			for (size_t j = 1; j <= sets[i].n; j++)
				if (report_add(r, sets[i].all, j, &err) < 0)
					return 1;
			if (report_close(r, sets[i].all, sets[i].n, sets[i].interrupted, &err) < 0)
				return 1;
		}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--write"))
		return write_samples(argv[2]);
	Suite *s = suite_create("report");
	TCase *t = tcase_create("formats");

	tcase_add_test(t, text_says_what_who_and_what_to_do);
	tcase_add_test(t, what_to_do_is_for_this_server);
	tcase_add_test(t, text_keeps_to_its_width_and_to_ascii);
	tcase_add_test(t, colour_only_repeats_the_words);
	tcase_add_test(t, text_shortens_what_was_said_before);
	tcase_add_test(t, text_tells_each_suspect_once);
	tcase_add_test(t, text_says_what_was_expected);
	tcase_add_test(t, nasty_strings_are_tamed);
	tcase_add_test(t, tap_numbers_and_plan);
	tcase_add_test(t, json_reads_back);
	tcase_add_test(t, github_obeys_only_us);
	tcase_add_test(t, github_annotates_at_most_ten);
	tcase_add_test(t, wrapping_and_scrubbing);
	tcase_add_test(t, json_is_fast);
	suite_add_tcase(s, t);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int bad = srunner_ntests_failed(sr);

	srunner_free(sr);
	return bad != 0;
}
