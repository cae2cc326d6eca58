/* Scenario files: what is read, what is refused and where, and that a dump comes back. */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>

#include "scenario_rig.h"

/* --- what is refused, where, and with which words */
static const struct {
	const char *text, *says;
} refused[] = {
	{"clinets: []", "dir/x.yaml:1:1: unknown key 'clinets', did you mean 'clients'?"},
	{"clients:\n  - {phaze: idle}", "dir/x.yaml:2:6: unknown key 'phaze' in clients[], did you mean 'phase'?"},
	{"phase: idle", "dir/x.yaml:1:1: key 'phase' belongs to clients[]"},
	{"clients: [{phase: waitng}]", "dir/x.yaml:1:19: phase: 'waitng' is not connected, backlog, half-header, "
	 "half-body, waiting, streaming, slow-reader, idle, pipelined, half-closed, ping-only, goaway-race, transaction, late, loop, tls-handshake or "
	 "upgraded, did you mean 'waiting'?"},
	{"name: a\nwhy: b\nname: c", "dir/x.yaml:3:1: key 'name' is there twice, first in line 1"},
	{"clients: {}", "dir/x.yaml:1:10: clients: a list (- ...) is needed, this is a mapping"},
	{"clients: [a]", "dir/x.yaml:1:11: clients: a mapping (key: value) is needed, this is a single value"},
	{"target: [a]", "dir/x.yaml:1:9: target: a mapping (key: value) is needed, this is a list"},
	{"name:", "dir/x.yaml:1:6: name: it has no value"},
	{"name: ''", "dir/x.yaml:1:7: name: an empty text"},
	{"name: [a]", "dir/x.yaml:1:7: name: a text is needed, this is a list"},
	{"arm_within: 5", "dir/x.yaml:1:13: arm_within: '5' has no unit: say 5ms or 5s"},
	{"arm_within: 5 parsecs", "dir/x.yaml:1:13: arm_within: '5 parsecs' is not a time such as 250us, 100ms, 1.5s or 2m"},
	{"arm_within: 25h", "dir/x.yaml:1:13: arm_within: '25h' is more than a day"},
	{"expect: {within: soon}", "dir/x.yaml:1:18: expect.within: 'soon' is not a time such as 250us, 100ms, 1.5s or 2m"},
	{"signals: [{send: SIGTREM}]", "dir/x.yaml:1:18: send: 'SIGTREM' is not a signal, did you mean 'SIGTERM'?"},
	{"signals: [{send: 32}]", "dir/x.yaml:1:18: send: '32' is not a signal"},
	{"signals: [{when: log}]", "dir/x.yaml:1:18: when: say which line: {log: regex}"},
	{"signals: [{when: {armed: x}}]", "dir/x.yaml:1:18: when: 'armed' takes nothing, only log does: {log: regex}"},
	{"signals: [{when: listener-close}]", "dir/x.yaml:1:18: when: 'listener-close' is not armed, launch, listening, "
	 "ready, signal, listener-closed, settled, closed-and-settled, last-byte, log or exit, did you mean 'listener-closed'?"},
	{"clients: [{count: 0}]", "dir/x.yaml:1:19: count: '0' is not a number from 1 to 100000"},
	{"clients: [{count: 99999999999999999999}]", "dir/x.yaml:1:19: count: '99999999999999999999' is not a number "
	 "from 1 to 100000"},
	{"clients: [{count: -1}]", "dir/x.yaml:1:19: count: '-1' is not a number from 1 to 100000"},
	{"clients: [{body: 5x}]", "dir/x.yaml:1:18: body: '5x' is not a number of bytes such as 65536, 64k or 16M"},
	{"clients: [{body: 9999999G}]", "dir/x.yaml:1:18: body: '9999999G' is more than 1099511627776 bytes"},
	{"clients: [{reuse: true}]", "dir/x.yaml:1:19: reuse: only phase loop has it, this client is waiting"},
	{"clients: [{request: $slwo}]", "dir/x.yaml:1:21: request: '$slwo' is not $slow, $quick, $stream, $big, "
	 "$upload or $upgrade, did you mean '$slow'?"},
	{"clients: [{}, {}]", "dir/x.yaml:1:15: two clients are called 'waiting': give them names"},
	{"clients: [{name: all}]", "dir/x.yaml:1:11: a client cannot be called 'all'"},
	{"restart: yes", "dir/x.yaml:1:10: restart: 'yes' is neither true nor false"},
	{"restart: {how: hott}", "dir/x.yaml:1:16: restart.how: 'hott' is not no, after-exit, crash, overlap, hot or command, did you "
	 "mean 'hot'?"},
	{"restart: {how: overlap, times: 3}", "dir/x.yaml:1:32: restart.times: `how: overlap` has no such thing"},
	{"then: [{}]", "dir/x.yaml:1:8: a step says one of release, finish, read, close or connect"},
	{"then: [{release: gate, read: all}]", "dir/x.yaml:1:24: 'release' and 'read' in one step: make it two"},
	{"then: [{release: gat}]", "dir/x.yaml:1:18: release: 'gat' is not gate, did you mean 'gate'?"},
	{"then: [{connect: all}]", "dir/x.yaml:1:18: connect: name the client"},
	{"expect: {exit: [256]}", "dir/x.yaml:1:17: expect.exit: '256' is not an exit status (0 to 255)"},
	{"expect: {exit: [claen]}", "dir/x.yaml:1:17: expect.exit: 'claen' is not clean, any or sig:TERM, did you mean "
	 "'clean'?"},
	{"expect: {exit: []}", "dir/x.yaml:1:16: expect.exit: no ending is allowed: say any, if that is meant"},
	{"target: {port: 70000}", "dir/x.yaml:1:16: target.port: '70000' is neither auto nor a port from 1 to 65535"},
	{"target: {port: {a-b: 1}}", "dir/x.yaml:1:22: target.port: 'a-b' cannot name a port: letters, digits and _ "
	 "make ${PORT_name}"},
	{"target: {command: a | b}", "dir/x.yaml:1:19: target.command: 'a | b': it needs a shell: write [sh, -c, '...']"},
	{"target: {command: \"a 'b\"}", "dir/x.yaml:1:19: target.command: 'a 'b': a quote is not closed"},
	{"target: {command: []}", "dir/x.yaml:1:19: target.command: a list of words or a text is needed, this is an empty list"},
	{"target: {ready: {http: healthz}}", "dir/x.yaml:1:17: target.ready: the path 'healthz' does not begin with /"},
	{"needs: [slo]", "dir/x.yaml:1:9: needs: 'slo' is not slow, stream, big, upload, keepalive, http, port, gate, "
	 "request, tls, http2 or upgrade, did you mean 'slow'?"},
	{"vary: {to: [group, group]}", "dir/x.yaml:1:20: vary.to: 'group' is there twice"},
	{"", "dir/x.yaml:1:1: the file is empty"},
	{"- a", "dir/x.yaml:1:1: a scenario is a mapping (key: value), this is a list"},
	{"name: a\n---\nname: b", "dir/x.yaml:2:1: a second document: one file holds one"},
	{"name: \"a\\0b\"", "dir/x.yaml:1:7: a NUL byte cannot stand in a text"},
	{"? [a]\n: b", "dir/x.yaml:1:3: a key is a word, this is a list"},
	{"name: *a", "dir/x.yaml:1:7: there is no anchor '&a' before this alias"},
	{"name: &a [*a]", "dir/x.yaml:1:11: the alias '*a' stands inside its own anchor"},
	{"only: [[[[[[[[[[[[[]]]]]]]]]]]]]", "dir/x.yaml:1:18: nested deeper than 12 levels"},
	{"name: 'a", "dir/x.yaml:1:9: not YAML: found unexpected end of stream while scanning a quoted scalar"},
};

START_TEST(refusals)
{
	struct scenario *sc;
	char what[1024];

	ck_assert_int_eq(scenario_parse("dir/x.yaml", refused[_i].text, strlen(refused[_i].text), arena, &sc, &err), -1);
	ck_assert_int_eq(err.kind, ERR_USAGE);
	ck_assert_str_eq(err_text(&err, what, sizeof what), refused[_i].says);
}
END_TEST

/* Aliases of aliases, a hundred thousand keys, a deep nest, a megabyte: refused at once. */
START_TEST(hostile)
{
	struct buf b = {0};
	struct scenario *sc;

	for (char c = 'b'; c < 'm'; c++)
		buf_printf(&b, "%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", c, c, c - 1, c - 1, c - 1, c - 1, c - 1,
			   c - 1, c - 1, c - 1);
	char *bomb = arena_printf(arena, "a: &a [x]\n%s", b.p);

	ck_assert_int_eq(scenario_parse("x", bomb, strlen(bomb), arena, &sc, &err), -1);
	buf_clear(&b);
	buf_adds(&b, "target: {env: {");
	for (int i = 0; i < 9000; i++)
		buf_printf(&b, "k%d: 1, ", i);
	buf_adds(&b, "}}");
	ck_assert_int_eq(scenario_parse("x", b.p, b.n, arena, &sc, &err), -1);
	ck_assert_str_eq(err.what, "target.env: more than 256 entries");
	buf_clear(&b);
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, '[');
	ck_assert_int_eq(scenario_parse("x", b.p, b.n, arena, &sc, &err), -1);
	buf_clear(&b);
	for (int i = 0; i < 1 << 20; i++)
		buf_addc(&b, ' ');
	ck_assert_int_eq(scenario_parse("x", b.p, b.n, arena, &sc, &err), -1);
	ck_assert_str_eq(err.what, "larger than 256 KiB");
	buf_clear(&b);
	for (int i = 0; i < 15000; i++)
		buf_printf(&b, "- &a%d x\n", i);
	ck_assert_int_eq(scenario_parse("x", b.p, b.n, arena, &sc, &err), -1);
	ck_assert_str_eq(err.what, "more than 64 anchors");
	buf_free(&b);
}
END_TEST

/* --- what is read */
START_TEST(defaults)
{
	struct scenario *sc = parse("clients: [{}]\nthen: [{release: gate}, {release: gate, when: listener-closed}]");

	ck_assert_str_eq(sc->name, "x");
	ck_assert_str_eq(sc->path, "dir/x.yaml");
	ck_assert_int_eq(sc->arm_within, 0);
	ck_assert_uint_eq(sc->n_signals, 1);
	ck_assert_int_eq(sc->signals[0].signo, 0);
	ck_assert_int_eq(sc->signals[0].when.on, ON_ARMED);
	ck_assert_int_eq(sc->signals[0].when.at_latest, NSEC_NEVER);
	ck_assert_uint_eq(sc->signals[0].count, 1);
	ck_assert_uint_eq(sc->clients[0].count, 1);
	ck_assert_int_eq(sc->clients[0].phase, PHASE_WAITING);
	ck_assert_ptr_null(sc->clients[0].request);
	ck_assert_uint_eq(sc->clients[0].at.line, 1);
	ck_assert_uint_eq(sc->clients[0].at.col, 11);
	ck_assert_int_eq(sc->steps[0].when.on, ON_SIGNAL);
	ck_assert_int_eq(sc->steps[0].when.at_latest, NSEC_NEVER);
	ck_assert_int_eq(sc->steps[1].when.at_latest, 300 * NSEC_PER_MSEC);
	ck_assert_uint_eq(sc->target.n_ports, 0);
	ck_assert(!sc->target.no_port && !sc->target.command && !sc->expect.has_second);
	ck_assert_uint_eq(sc->leak_batches, 0);
	ck_assert_uint_eq(parse("leak: {}")->leak_batches, 3);
	ck_assert_uint_eq(parse("leak: {}")->leak_batch_size, 8);
	ck_assert_uint_eq(parse("signals: []")->n_signals, 0);
	ck_assert_int_eq(sc->restart.how, RESTART_NO);
	ck_assert_int_eq(parse("restart: true")->restart.how, RESTART_AFTER_EXIT);
	sc = parse("restart: {send: SIGUSR1, leaves: all, times: 3}");
	ck_assert_int_eq(sc->restart.how, RESTART_HOT);
	ck_assert(sc->restart.newest && sc->restart.times == 3 && sc->restart.signo == SIGUSR1 && sc->n_signals == 1);
	ck_assert_int_eq(parse("restart: {how: crash}")->signals[0].signo, SIGKILL);
	ck_assert_int_eq(parse("restart: {how: overlap}")->restart.when.on, ON_LISTENER_CLOSED);
	ck_assert_str_eq(parse("target: {port: 'unix:/a=b'}")->target.ports[0].path, "/a=b");
}
END_TEST

START_TEST(values)
{
	struct scenario *sc = parse(
		"target: {command: \"a 'b c' d\\\\ e \\\"${PORT}\\\" ''\", port: {http: {port: auto, protocol: http1}, r: 6380},\n"
		"  ready: 'http:/ok', env: {A: 1}}\n"
		"signals: [{send: term, when: {log: up}}, {send: 2, after: 1.5ms}, {send: SIGRTMIN+1, when: signal}]\n"
		"clients: [{body: 64k, phase: half-body, closes: never, port: r}]\n"
		"expect: {exit: 143, removes: 'a, b'}\nonly: CON-1\nneeds: [slow, request]\n");

	ck_assert_str_eq(sc->target.command[1], "b c");
	ck_assert_str_eq(sc->target.command[2], "d e");
	ck_assert_str_eq(sc->target.command[3], "${PORT}");
	ck_assert_str_eq(sc->target.command[4], "");
	ck_assert_ptr_null(sc->target.command[5]);
	ck_assert_uint_eq(sc->target.n_ports, 2);
	ck_assert_str_eq(sc->target.ports[0].protocol, "http1");
	ck_assert_int_eq(sc->target.ports[1].port, 6380);
	ck_assert_int_eq(sc->target.ready, READY_HTTP);
	ck_assert_str_eq(sc->target.ready_arg, "/ok");
	ck_assert_str_eq(sc->target.env[0].value, "1");
	ck_assert_int_eq(sc->signals[0].signo, 15);
	ck_assert_str_eq(sc->signals[0].when.regex, "up");
	ck_assert_int_eq(sc->signals[1].when.on, ON_SIGNAL);
	ck_assert_int_eq(sc->signals[1].when.after, 1500 * NSEC_PER_USEC);
	ck_assert_uint_eq(sc->clients[0].body, 65536);
	ck_assert(sc->clients[0].never_closes);
	ck_assert_int_eq(sc->expect.exits[0].how, EXIT_CODE);
	ck_assert_int_eq(sc->expect.exits[0].value, 143);
	ck_assert_str_eq(sc->expect.removes[0], "a, b");
	ck_assert_str_eq(sc->only[0], "CON-1");
	ck_assert_uint_eq(sc->needs, NEED_SLOW | NEED_REQUEST);
}
END_TEST

static void folder(const char *path, unsigned *n)
{
	DIR *d = opendir(path);
	struct dirent *e;

	ck_assert_msg(d != NULL, "%s: run this from the top of the repository", path);
	while ((e = readdir(d))) {
		char *name = arena_printf(arena, "%s/%s", path, e->d_name), what[1024];
		struct scenario *sc = NULL;

		if (e->d_name[0] == '.')
			continue;
		if (e->d_type == DT_DIR) {
			folder(name, n);
			continue;
		}
		if (!strstr(name, ".yaml"))
			continue;
		ck_assert_msg(scenario_load(name, arena, &sc, &err) == 0, "%s", err_text(&err, what, sizeof what));
		ck_assert_msg(sc->why != NULL, "%s says no why", name);
		comes_back(sc);
		struct settings st = {.command = server, .slow = "gate", .stream = "GET /gate/stream", .big = "GET /big", .upload = "POST /upload",
			.upgrade = "GET /ws", .protocol = sc->needs & NEED_TLS ? "tls+http1" : NULL};
		struct plan *p = NULL;

		ck_assert_msg(plan_build(sc, &st, NULL, arena, &p, &err) == 0, "%s", err_text(&err, what, sizeof what));
		comes_back(p->sc);
		ck_assert_msg(!p->skip_reason, "%s: %s", name, p->skip_reason);
		++*n;
	}
	closedir(d);
}

START_TEST(shipped)
{
	unsigned n = 0;

	folder("scenarios", &n);
	ck_assert_uint_ge(n, 30);
}
END_TEST

START_TEST(awkward)
{
	comes_back(parse("name: \"a \\\"q\\\" \\\\ \\t\\n \\x01 \\x7f \\u0085 \\u00a0 \\u2028 \\u2029 \\ufeff \\uffff \\U0001f600\""));
	comes_back(parse("target: {port: none, env: {A: '', 'b: c': '- x'}}\nclients: [{name: '*', request: '$5\\r\\n'}]"));
	comes_back(parse("signals: []\nleak: {size: 1}\nvary: {to: []}\nexpect: {within: 1ns, removes: []}"));
	comes_back(parse("target: {command: [a, '', ~, 'null', 'true', '1']}\nonly: ['a, b']"));
}
END_TEST

/* --- the printed table */
START_TEST(printed)
{
	struct buf text = {0}, schema = {0};
	char file[65536];

	keys_print(&text);
	ck_assert_ptr_nonnull(strstr(text.p, "if_unreachable   one of unsure or skip; default unsure"));
	keys_schema(&schema);
	FILE *f = fopen("scenarios/schema.json", "r");

	ck_assert_ptr_nonnull(f);
	size_t n = fread(file, 1, sizeof file, f);

	fclose(f);
	ck_assert_msg(n == schema.n && !memcmp(file, schema.p, n), "scenarios/schema.json is old: run `make schema`");
	buf_free(&text);
	buf_free(&schema);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("scenario");
	TCase *tc = tcase_create("scenario");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, refusals, 0, sizeof refused / sizeof *refused);
	tcase_add_test(tc, hostile);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, values);
	tcase_add_test(tc, shipped);
	tcase_add_test(tc, awkward);
	tcase_add_test(tc, printed);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
