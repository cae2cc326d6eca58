/* Results as a judge would make them, and results as nobody would, for test_report.c, test_pack.c and check_reports.py. */
#pragma once
#include <string.h>

#include "judge/judge.h"
#include "report/report.h"

/* Until the judge layer is linked these stand in for its tables. */
__attribute__((weak)) const char *const outcome_names[] = {"PASS", "FAIL", "UNSURE", "SKIP", "BROKEN"};
#define X(id, name) [CONN_##id] = name,
__attribute__((weak)) const char *const conn_outcome_names[CONN_N] = {CONN_OUTCOMES(X)};
#undef X

static const struct check sample_checks[] = {
	{.id = "CON-1", .title = "a request that the server had read is answered in full", .level = MUST,
	 .fix_node = "call server.close() and wait for its callback before process.exit()"},
	{.id = "CON-7", .title = "the last answer on a connection says that it will be closed", .level = SHOULD,
	 .fix_node = "set 'Connection: close' on answers once draining began"},
	{.id = "EXI-1", .title = "the exit status is in the allowed set", .level = MUST},
	{.id = "EXI-2", .title = "the process ends within the grace", .level = MUST, .todo = "give the drain a deadline"},
	{.id = "LSN-1", .title = "the listener closes soon after the signal", .level = MUST},
	{.id = "LSN-4", .title = "the same command starts again at once", .level = MUST},
	{.id = "RES-3", .title = "threads are back to what they were", .level = MUST},
	{.id = "HAR-3", .title = "every client was proven to be in its phase", .level = MUST},
};
enum { CON_1, CON_7, EXI_1, EXI_2, LSN_1, LSN_4, RES_3, HAR_3, SAMPLE_CHECKS };

#define ONE(i) &sample_checks[i]
__attribute__((weak)) const struct check *const checks[] = {
	ONE(0), ONE(1), ONE(2), ONE(3), ONE(4), ONE(5), ONE(6), ONE(7),
};
__attribute__((weak)) const size_t n_checks = SAMPLE_CHECKS;

#define PASSED(c) {&sample_checks[c], {.outcome = PASS, .level = MUST, .expected = "as the check says", .actual = "so it is"}}
#define SKIPPED(c, why, flag) {&sample_checks[c], {.outcome = SKIP, .level = MUST, .actual = why, .hint = flag}}

static struct verdict sample_quiet[] = {PASSED(EXI_1), PASSED(EXI_2), PASSED(LSN_1), PASSED(LSN_4),
	SKIPPED(RES_3, "threads cannot be counted before and after: no quick request is known", "-r 'GET /'")};
static struct verdict sample_in_flight[] = {
	{&sample_checks[CON_1], {
		.outcome = FAIL, .level = MUST, .whose = "server",
		.expected = "all 50 connections whose request the server had read before SIGTERM get a complete answer",
		.actual = "2 of 50 got none: connection slow#7 and slow#31 saw FIN after 0 bytes, 0.4 ms after the signal; "
			  "their requests had been acknowledged 3.1 ms before it",
		.cites = {112, 131, 140}, .n_cites = 3}},
	PASSED(EXI_1), PASSED(EXI_2), PASSED(LSN_1),
	SKIPPED(RES_3, "threads cannot be counted before and after: no quick request is known", "-r 'GET /'")};
static struct verdict sample_keep_alive[] = {
	PASSED(EXI_1), PASSED(EXI_2),
	{&sample_checks[CON_7], {
		.outcome = FAIL, .level = SHOULD, .whose = "application",
		.expected = "an answer sent after the signal carries 'Connection: close'",
		.actual = "10 of 10 answers sent after SIGTERM said keep-alive, then FIN followed",
		.cites = {77}, .n_cites = 1}}};
static struct verdict sample_again[] = {
	{&sample_checks[CON_1], {
		.outcome = FAIL, .level = MUST, .whose = "server", .expected = "the answer in progress arrives whole",
		.actual = "1 of 1 ended after 512 of 4096 bytes", .cites = {44}, .n_cites = 1}},
	PASSED(EXI_1)};
static struct verdict sample_second[] = {PASSED(EXI_1)};
static struct verdict sample_unsure[] = {
	{&sample_checks[HAR_3], {
		.outcome = UNSURE, .level = MUST, .whose = "environment", .expected = "the server reads the request within 5 s",
		.actual = "the request was still in the server's receive queue", .cites = {9}, .n_cites = 1,
		.hint = "give a request that a handler reads: -s 'GET /slow'"}},
	PASSED(EXI_1)};

static struct frame_cite sample_frames[] = {{112, 7}, {131, 9}};

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define RESULT(id, label, out, list) \
	.name = label, .path = "battery/" label ".yaml", .why = "a request that was read is owed an answer", .index = id, \
	.outcome = out, .verdicts = list, .n_verdicts = COUNT(list), .evidence = "reports/2026-01-02-030405-server/" label

enum { S_QUIET, S_IN_FLIGHT, S_KEEP_ALIVE, S_STREAM, S_ZERO_WINDOW, S_SECOND, S_MAIN };

static const struct result samples[] = {
	{RESULT(S_QUIET, "quiet", PASS, sample_quiet), .took = 812000},
	{RESULT(S_IN_FLIGHT, "in-flight", FAIL, sample_in_flight), .took = 1240000,
	 .connections = {[CONN_COMPLETED] = 48, [CONN_FIN_NO_RESPONSE] = 2},
	 .frames = sample_frames, .n_frames = COUNT(sample_frames),
	 .story = "   0.0ms  armed       50 of 50 clients proven waiting (request read, no byte of answer)\n"
		  "   0.1ms  signal      SIGTERM to the process\n"
		  "   0.5ms  eof         slow#7: FIN after 0 bytes\n"
		  "   0.5ms  eof         slow#31: FIN after 0 bytes\n"
		  "   1.1ms  exit        0",
	 .target_tail = "listening on 8080\n\033[33mSIGTERM\033[0m received, closing\nbye\n"},
	{RESULT(S_KEEP_ALIVE, "keep-alive", PASS, sample_keep_alive), .took = 950000, .should_failed = true,
	 .connections = {[CONN_COMPLETED] = 10}},
	{.name = "stream", .path = "battery/stream.yaml", .index = S_STREAM, .outcome = SKIP,
	 .skip_reason = "no request is known whose answer goes on for ever: give one with --stream 'GET /events'"},
	{.name = "upload", .path = "battery/upload.yaml", .index = S_ZERO_WINDOW, .outcome = SKIP,
	 .skip_reason = "no request is known that takes a body: give one with --upload 'POST /upload'"},
	{RESULT(S_SECOND, "second-term", PASS, sample_second), .took = 1100000,
	 .connections = {[CONN_COMPLETED] = 1, [CONN_TRUNCATED] = 1}, .expected = {[CONN_TRUNCATED] = 1},
	 .expected_why = {[CONN_TRUNCATED] = "the second signal cut it"}},
};
static const struct result sample_more[] = {
	{RESULT(6, "pipelined", FAIL, sample_again), .took = 700000, .connections = {[CONN_TRUNCATED] = 1}},
	{RESULT(7, "half-header", UNSURE, sample_unsure), .took = 5000000000},
	{.name = "crash", .path = "battery/crash.yaml", .index = 8, .outcome = BROKEN, .took = 400000,
	 .evidence = "reports/2026-01-02-030405-server/crash",
	 .broken = "the worker process was killed by SIGSEGV while it ran this scenario"},
};

/* What hangs has a suspect; the same suspect twice is one story, another is another. */
#define SUSPECTS(name, who) static struct verdict name[] = {{&sample_checks[EXI_2], {.outcome = FAIL, .level = MUST, \
	.whose = "server", .expected = "gone within 3s", .actual = "still running 3.01s after SIGTERM; suspect: " who, \
	.cites = {5}, .n_cites = 1}}}
SUSPECTS(sample_hangs, "main thread 'srv' in epoll_wait(fd 4)");
SUSPECTS(sample_hangs_too, "main thread 'srv' in epoll_wait(fd 9)");
SUSPECTS(sample_hangs_else, "waiting for client #7 (idle, idle): ESTABLISHED");
static const struct result sample_suspects[] = {
	{RESULT(0, "quiet", FAIL, sample_hangs)}, {RESULT(1, "idle", FAIL, sample_hangs_too)},
	{RESULT(2, "late", FAIL, sample_hangs_else)},
};

/* Everything that has ever broken a report. */
#define NASTY "]]> -- <b a='\"'>&amp; # SKIP \\# %0A ::error::x | ` @x ##[add-path]y \x01\x02\x1b[31mred\x1b]0;t\x07 " \
	      "\xff\xfe \xed\xa0\x80 \xef\xbf\xbf \xc2\x85 \xe2\x80\xae \xf0\x9f\x98\x80 é\ttab\r\nok 7 - injected\nBail out! no"

static char sample_long[20000];

static inline void sample_nasty(struct verdict v[4], struct result *ret)
{
	static struct frame_cite frames[] = {{4294967295u, 4294967295u}, {1, 1}};
	enum outcome outcomes[] = {FAIL, FAIL, SKIP, BROKEN};

	memset(sample_long, 'x', sizeof sample_long - 1);
	for (int i = 0; i < 4; i++)
		v[i] = (struct verdict){&sample_checks[i], {
			.outcome = outcomes[i], .level = i == 1 ? SHOULD : MUST, .expected = NASTY,
			.actual = i ? NASTY : sample_long, .whose = i ? NULL : NASTY, .hint = NASTY,
			.cites = {4294967295u, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, .n_cites = FINDING_CITES}};
	*ret = (struct result){
		.name = NASTY, .path = NASTY, .why = NASTY, .index = 4294967295u, .outcome = FAIL, .should_failed = true,
		.broken = NASTY, .verdicts = v, .n_verdicts = 4, .evidence = NASTY, .took = -1, .story = NASTY "\n\n" NASTY,
		.target_tail = "::stop-commands::x\n  ::set-env name=A::b\n" NASTY "\n::x::\n", .frames = frames,
		.n_frames = 2};
}

static const char *sample_notes[] = {"the wire: capturing needs CAP_NET_RAW, so checks that need packets are SKIPped", NULL};
static const struct report_env env0 = {
	.command = "node server.js --port ${PORT}", .out_dir = "reports/2026-01-02-030405-server", .planned = 6,
	.version = "0.1.0", .notes = sample_notes, .width = 100,
};

static inline struct result nasty_result(void)
{
	static struct verdict v[4];
	struct result r;

	sample_nasty(v, &r);
	return r;
}

static inline size_t count_of(const char *text, const char *word)
{
	size_t n = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		n++;
	return n;
}

#define HAS(text, word) ck_assert_msg(strstr(text, word), "no '%s' in:\n%s", word, text)
#define HAS_NOT(text, word) ck_assert_msg(!strstr(text, word), "'%s' in:\n%s", word, text)
