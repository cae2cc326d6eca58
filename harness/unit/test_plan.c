/* Settings and plans: how flags and files merge, what a plan fills in, what it skips and what it refuses. */
#include <signal.h>
#include <stdlib.h>

#include "scenario_rig.h"

static struct plan *plan(const char *text, const struct settings *st, const struct probe *probe)
{
	struct plan *p = NULL;
	char what[1024];

	ck_assert_msg(plan_build(parse(text), st, probe, arena, &p, &err) == 0, "%s",
		      err_text(&err, what, sizeof what));
	return p;
}

/* --- settings: file and flags */
START_TEST(settings_flags)
{
	static const struct {
		const char *key, *value, *says;
	} wrong[] = {
		{"grace", "5", "--grace: '5' has no unit: say 5ms or 5s"},
		{"grace", "", "--grace: it has no value"},
		{"signal", "SIGTREM", "--signal: 'SIGTREM' is not a signal, did you mean 'SIGTERM'?"},
		{"signal", "50ms,SIGTERM", "--signal: the time '50ms' does not stand between two signals"},
		{"signal", "SIGTERM,50ms", "--signal: the time '50ms' does not stand between two signals"},
		{"isolate", "hots", "--isolate: 'hots' is not auto, host, private or container, did you mean 'host'?"},
		{"port", "http=", "--port: '' is neither auto nor a port from 1 to 65535"},
		{"port", "x", "--port: 'x' is neither auto nor a port from 1 to 65535"},
		{"env", "A", "--env: 'A' is not NAME=VALUE"},
		{"jobs", "0", "--jobs: '0' is not a number from 1 to 1024"},
		{"expect-exit", "0,what", "--expect-exit: 'what' is not clean, any or sig:TERM"},
		{"format", "junit=", "--format: 'junit=' is neither NAME nor NAME=FILE"},
		{"nonsense", "1", "unknown setting 'nonsense'"},
	};
	struct settings st = {0};
	char what[1024];

	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		ck_assert_int_eq(settings_set(&st, wrong[i].key, wrong[i].value, arena, &err), -1);
		ck_assert_str_eq(err_text(&err, what, sizeof what), wrong[i].says);
	}
}
END_TEST

START_TEST(settings_signals)
{
	struct settings st = {0};

	ck_assert_int_eq(settings_set(&st, "signal", "SIGTERM, 50ms, INT,QUIT", arena, &err), 0);
	ck_assert_uint_eq(st.n_signals, 3);
	ck_assert_int_eq(st.signals[0].signo, 15);
	ck_assert_int_eq(st.signals[0].when.on, ON_ARMED);
	ck_assert_int_eq(st.signals[1].signo, 2);
	ck_assert_int_eq(st.signals[1].when.on, ON_SIGNAL);
	ck_assert_int_eq(st.signals[1].when.after, 50 * NSEC_PER_MSEC);
	ck_assert_int_eq(st.signals[2].when.after, 10 * NSEC_PER_MSEC);
	ck_assert_int_eq(settings_set(&st, "signal", "SIGUSR2", arena, &err), 0);
	ck_assert_uint_eq(st.n_signals, 1);
}
END_TEST

/* Flags win whichever came first; repeated ones add up. */
START_TEST(settings_merge)
{
	static const char file[] = "only: [A, B]\nport: 80\ngrace: 5s\nenv: {X: 1}\nstrict: true\nformat: junit=a.xml\n"
		"expect-exit: '0,143,sig:TERM'\nready: {log: up}\nseed: 18446744073709551615\ncommand: a b\n";
	struct settings st = {0};

	ck_assert_int_eq(settings_set(&st, "grace", "2s", arena, &err), 0);
	ck_assert_int_eq(settings_parse("drainspec.yaml", file, strlen(file), arena, &st, &err), 0);
	ck_assert_int_eq(settings_set(&st, "only", "C,D", arena, &err), 0);
	ck_assert_int_eq(settings_set(&st, "only", "E", arena, &err), 0);
	ck_assert_int_eq(settings_set(&st, "env", "Y=a=b", arena, &err), 0);
	ck_assert_int_eq(settings_set(&st, "port", "http=auto,redis=6380", arena, &err), 0);
	ck_assert_int_eq(settings_set(&st, "ready_within", "3s", arena, &err), 0);
	ck_assert_int_eq(settings_set(&st, "dry-run", NULL, arena, &err), 0);
	ck_assert_int_eq(st.grace, 2 * NSEC_PER_SEC);
	ck_assert_int_eq(st.ready_within, 3 * NSEC_PER_SEC);
	ck_assert_str_eq(st.only[0], "C");
	ck_assert_str_eq(st.only[2], "E");
	ck_assert_ptr_null(st.only[3]);
	ck_assert_uint_eq(st.n_env, 1);
	ck_assert_str_eq(st.env[0].value, "a=b");
	ck_assert_uint_eq(st.n_ports, 2);
	ck_assert_str_eq(st.ports[1].name, "redis");
	ck_assert(st.strict && st.dry_run && st.has_ready && st.has_seed);
	ck_assert_str_eq(st.ready_arg, "up");
	ck_assert_uint_eq(st.seed, UINT64_MAX);
	ck_assert_uint_eq(st.n_exits, 3);
	ck_assert_int_eq(st.exits[2].how, EXIT_SIGNAL);
	ck_assert_str_eq(st.formats[0].file, "a.xml");
	ck_assert_str_eq(st.command[1], "b");
	ck_assert_int_eq(settings_parse("d", "grace: x", 8, arena, &st, &err), -1);
	ck_assert_int_eq(settings_parse("d", "", 0, arena, &st, &err), 0);
}
END_TEST

/* --- the plan */
START_TEST(plan_resolves)
{
	struct settings st = {.command = server, .slow = "gate", .grace = 5 * NSEC_PER_SEC};
	struct probe probe = {.done = true, .protocol = "http1", .http = true, .keepalive = true};
	struct plan *p = plan("clients: [{}, {phase: idle}, {phase: late}]", &st, &probe);

	ck_assert_ptr_null(p->skip_reason);
	ck_assert_str_eq(p->sc->clients[0].request, "GET /gate");
	ck_assert_str_eq(p->sc->clients[0].protocol, "http1");
	ck_assert_str_eq(p->sc->clients[1].request, "GET /");
	ck_assert(p->uses_gate && !p->timed);
	ck_assert_int_eq(p->sc->signals[0].signo, 15);
	ck_assert_int_eq(p->sc->expect.within, 5 * NSEC_PER_SEC);
	ck_assert_int_eq(p->sc->expect.listener_within, 2 * NSEC_PER_SEC);
	ck_assert_int_eq(p->sc->target.ready_within, 30 * NSEC_PER_SEC);
	ck_assert_int_eq(p->sc->expect.exits[0].how, EXIT_CLEAN);
	ck_assert_str_eq(p->sc->target.command[2], "${PORT}");
	ck_assert_uint_eq(p->sc->target.n_ports, 1);
	ck_assert_str_eq(p->quick, "GET /");
	ck_assert_int_gt(p->hard_stop, 5 * NSEC_PER_SEC);
	/* the late one is let in and the gate is opened, though nobody wrote it */
	ck_assert_uint_eq(p->sc->n_steps, 2);
	ck_assert_int_eq(p->sc->steps[0].what, STEP_CONNECT);
	ck_assert_int_eq(p->sc->steps[1].what, STEP_RELEASE_GATE);
	comes_back(p->sc);
	struct buf text = {0};

	plan_print(p, &text);
	ck_assert_ptr_nonnull(strstr(text.p, "send SIGTERM to the process"));
	buf_free(&text);
}
END_TEST

/* On a WebSocket idle means open, its path is --upgrade's wherever nothing else is given, and half a message needs no other one. */
START_TEST(plan_websockets)
{
	static const char *const names[] = {"websocket", "tls+websocket"};
	struct settings st = {.command = server, .protocol = names[_i], .upgrade = "GET /ws", .slow = "gate"};
	struct probe probe = {.done = true, .protocol = names[_i], .http = true};
	static const char text[] = "needs: [http, keepalive, upload]\nclients: [{phase: idle, request: $quick}, "
		"{phase: half-body, request: $upload}, {}, {phase: late, request: $quick}]";
	struct plan *p = plan(text, &st, &probe);

	ck_assert_msg(!p->skip_reason, "%s", p->skip_reason);
	ck_assert_str_eq(p->quick, "GET /ws");
	ck_assert_int_eq(p->sc->clients[0].phase, PHASE_UPGRADED);
	ck_assert_str_eq(p->sc->clients[0].request, "GET /ws");
	ck_assert_str_eq(p->sc->clients[1].request, "GET /ws");
	ck_assert_str_eq(p->sc->clients[2].request, "GET /gate");
	ck_assert_str_eq(p->sc->clients[3].request, "GET /ws");
	ck_assert_str_eq(p->sc->clients[0].protocol, names[_i]);
	st.quick = "GET /";
	p = plan(text, &st, &probe);
	ck_assert_str_eq(p->quick, "GET /");
	ck_assert_str_eq(p->sc->clients[0].request, "GET /ws");
	ck_assert_str_eq(p->sc->clients[3].request, "GET /");
	st.quick = st.upgrade = NULL;
	p = plan(text, &st, &probe);
	ck_assert_str_eq(p->sc->clients[1].request, "GET /");
	/* of the rest of a server that speaks HTTP nothing changes */
	st = (struct settings){.command = server, .protocol = "http1", .upgrade = "GET /ws"};
	p = plan("clients: [{phase: idle}, {phase: upgraded, protocol: websocket}, {phase: half-body, request: $upload}]", &st, &probe);
	ck_assert_int_eq(p->sc->clients[0].phase, PHASE_IDLE);
	ck_assert_str_eq(p->sc->clients[0].request, "GET /");
	ck_assert_str_eq(p->sc->clients[1].request, "GET /ws");
	ck_assert(strstr(p->skip_reason, "--upload"));
}
END_TEST

START_TEST(plan_signal_list)
{
	struct settings st = {.command = server};

	ck_assert_int_eq(settings_set(&st, "signal", "SIGINT,50ms,SIGTERM", arena, &err), 0);
	struct plan *p = plan("clients: []", &st, NULL);

	ck_assert_uint_eq(p->sc->n_signals, 2);
	ck_assert_int_eq(p->sc->signals[0].signo, 2);
	ck_assert_int_eq(p->sc->signals[1].signo, 15);
	ck_assert_int_eq(p->sc->signals[1].when.after, 50 * NSEC_PER_MSEC);
	p = plan("signals: [{when: armed}, {}]", &st, NULL);
	ck_assert_uint_eq(p->sc->n_signals, 2);
	ck_assert_int_eq(p->sc->signals[1].signo, 2);
	p = plan("signals: [{when: armed, count: 50}]", &st, NULL);
	ck_assert_uint_eq(p->sc->n_signals, 1);
	p = plan("signals: [{when: launch}]", &st, NULL);
	ck_assert_uint_eq(p->sc->n_signals, 1);
}
END_TEST

START_TEST(plan_skips)
{
	static const struct {
		const char *text, *reason;
	} cases[] = {
		{"clients: [{}]", "no slow request: give --slow 'GET /path' or --slow gate"},
		{"clients: [{phase: streaming}]", "no streamed answer: give --stream 'GET /path'"},
		{"clients: [{phase: slow-reader}]", "no big answer: give --big 'GET /path' (some MiB)"},
		{"clients: [{phase: half-body}]", "no request with a body: give --upload 'POST /path'"},
		{"clients: [{phase: idle}]", "no request: give --quick 'BYTES', or --protocol http1"},
		{"needs: [http]", "not an HTTP server (raw)"},
		{"needs: [keepalive]", "the server closes after every answer: no keep-alive"},
		{"needs: [gate]", "the time of an answer must be ours: give --slow gate"},
		{"clients: [{phase: connected}, {phase: late}]", NULL},
	};
	struct settings st = {.command = server};
	struct probe probe = {.done = true, .protocol = "raw"};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *reason = plan(cases[i].text, &st, &probe)->skip_reason;

		ck_assert_pstr_eq(reason, cases[i].reason);
	}
	st.no_port = true;
	ck_assert_str_eq(plan("clients: [{phase: connected}]", &st, NULL)->skip_reason,
			 "the target listens nowhere (port: none)");
	ck_assert_ptr_null(plan("clients: []", &st, NULL)->skip_reason);
	st.isolate = ISOLATE_HOST;
	ck_assert_str_eq(plan("target: {isolate: container}", &st, NULL)->skip_reason,
			 "it needs a PID namespace: not with --isolate host");
}
END_TEST

/* Apache drains by SIGWINCH: before its handler is there the kernel drops it, and no program can do anything about that. */
START_TEST(plan_skips_a_sweep_of_what_is_dropped)
{
	struct settings st = {.command = server};

	ck_assert_str_eq(plan("sweep: 4\nclients: []\nsignals: [{send: SIGWINCH, when: launch}]", &st, NULL)->skip_reason,
			 "SIGWINCH is dropped by the kernel until its handler is installed: what is lost in the start is nobody's fault");
	st.signals = (struct signal_spec[]){ { .signo = SIGWINCH } };
	st.n_signals = 1;
	ck_assert_ptr_nonnull(plan("sweep: 4\nclients: []\nsignals: [{send: $signal, when: launch}]", &st, NULL)->skip_reason);
	ck_assert_ptr_null(plan("sweep: 4\nclients: []\nsignals: [{send: SIGUSR1, when: launch}]", &st, NULL)->skip_reason);
	ck_assert_ptr_null(plan("clients: []\nsignals: [{send: SIGWINCH}]", &st, NULL)->skip_reason);
}
END_TEST

START_TEST(plan_refusals)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"clients: [{name: slow, phase: half-body}]\nthen: [{finish: slwo}]", "dir/x.yaml:2:8: there is no client "
		 "'slwo', did you mean 'slow'?"},
		{"clients: [{}]\nthen: [{finish: waiting}]", "dir/x.yaml:2:8: client 'waiting' is waiting: finish is for "
		 "half-header, half-body, transaction, streaming (a call that keeps sending) and connected (asks only then)"},
		{"clients: [{name: mute, phase: connected}]\nthen: [{finish: mute}]", "dir/x.yaml:2:8: client 'mute' has no request that "
		 "it could finish with"},
		{"clients: [{}]\nthen: [{read: all}]", "dir/x.yaml:2:8: there is no client that it could mean: read is for "
		 "slow-reader"},
		{"clients: [{port: http}]", "dir/x.yaml:1:11: client 'waiting': the target has no port 'http'"},
		{"signals: [{when: signal}]", "dir/x.yaml:1:11: every signal waits for a signal: say `when: armed` for the first"},
		{"signals: [{to: tty}]", "dir/x.yaml:1:11: a terminal cannot send SIGTERM, only SIGINT, SIGQUIT, SIGTSTP and "
		 "SIGHUP"},
		{"signals: [{to: init}]", "dir/x.yaml:1:11: to: init needs `isolate: container`, there is no init otherwise"},
		{"signals: [{when: {log: '['}}]", "dir/x.yaml:1:11: when: '[' is not a regular expression: "
		 "Invalid regular expression"},
		{"expect: {log: '((a{255}){255}){255}'}", "dir/x.yaml:1:9: expect.log: '((a{255}){255}){255}' repeats too often"},
	};
	struct settings st = {.command = server};
	struct plan *p;
	char what[1024];

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		ck_assert_int_eq(plan_build(parse(cases[i].text), &st, NULL, arena, &p, &err), -1);
		ck_assert_str_eq(err_text(&err, what, sizeof what), cases[i].says);
	}
	ck_assert_int_eq(plan_build(parse("name: a"), &(struct settings){0}, NULL, arena, &p, &err), -1);
	ck_assert_str_eq(err_text(&err, what, sizeof what),
			 "dir/x.yaml:1:1: no command: put it after -- or under target.command");
}
END_TEST

START_TEST(plan_multiplier)
{
	struct settings st = {.command = server, .slow = "GET /sleep"};
	struct plan *p;

	setenv("DRAINSPEC_TIMEOUT_MULTIPLIER", "3", 1);
	p = plan("clients: [{}]\nthen: [{release: gate, when: listener-closed, after: 50ms}]\nsignals: [{after: 1ms, gap: 1ms}]",
		 &st, NULL);
	ck_assert_int_eq(p->sc->expect.within, 30 * NSEC_PER_SEC);
	ck_assert_int_eq(p->sc->arm_within, 9 * NSEC_PER_SEC);
	ck_assert_int_eq(p->sc->expect.listener_within, 6 * NSEC_PER_SEC);
	ck_assert_int_eq(p->sc->steps[0].when.at_latest, 900 * NSEC_PER_MSEC);
	ck_assert_int_eq(p->sc->steps[0].when.after, 50 * NSEC_PER_MSEC);
	ck_assert_int_eq(p->sc->signals[0].when.after, NSEC_PER_MSEC);
	ck_assert_int_eq(p->sc->signals[0].when.at_latest, NSEC_NEVER);
	ck_assert(p->timed);
	setenv("DRAINSPEC_TIMEOUT_MULTIPLIER", "many", 1);
	ck_assert_int_eq(plan_build(parse("name: a"), &st, NULL, arena, &p, &err), -1);
	unsetenv("DRAINSPEC_TIMEOUT_MULTIPLIER");
}
END_TEST

/* The plan owns all that it points to: it outlives the scenario and the settings. */
START_TEST(plan_is_deep)
{
	struct arena *gone = arena_new();
	struct scenario *sc = NULL;
	struct settings st = {0};
	struct plan *p = NULL;
	static const char text[] = "name: n\nwhy: w\ntarget: {command: [a, b], env: {K: V}, cwd: /, port: {p: 1}, ready: {log: r}}\n"
		"clients: [{name: c, phase: half-body, request: R, headers: {H: v}, port: p, answer: a, protocol: raw}]\n"
		"signals: [{when: {log: x}}]\nthen: [{finish: c, when: {log: y}}]\nonly: [O]\n"
		"expect: {exit: [1], log: l, removes: [r], readiness: /r}\nvary: {to: [group]}\n";

	ck_assert_int_eq(scenario_parse("x", text, strlen(text), gone, &sc, &err), 0);
	ck_assert_int_eq(settings_set(&st, "env", "E=F", gone, &err), 0);
	ck_assert_int_eq(plan_build(sc, &st, NULL, arena, &p, &err), 0);
	const char *before = dump(p->sc);

	arena_free(gone);
	ck_assert_str_eq(dump(p->sc), before);
	ck_assert_str_eq(p->sc->at.path, "x");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("plan");
	TCase *tc = tcase_create("plan");

	suite_add_tcase(s, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, settings_flags);
	tcase_add_test(tc, settings_signals);
	tcase_add_test(tc, settings_merge);
	tcase_add_test(tc, plan_resolves);
	tcase_add_loop_test(tc, plan_websockets, 0, 2);
	tcase_add_test(tc, plan_signal_list);
	tcase_add_test(tc, plan_skips);
	tcase_add_test(tc, plan_skips_a_sweep_of_what_is_dropped);
	tcase_add_test(tc, plan_refusals);
	tcase_add_test(tc, plan_multiplier);
	tcase_add_test(tc, plan_is_deep);
	SRunner *sr = srunner_create(s);

	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);

	srunner_free(sr);
	return failed ? 1 : 0;
}
