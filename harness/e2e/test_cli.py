"""The command line: exit status and message of everything that a person can get wrong, and what each option does."""
import json
import os
import re
import resource
import shutil
import socket
import stat
import subprocess
import sys

import pytest

import support
from support import ROOT, fixture

HTTP = fixture("http1_server")
QUIET = ("--only", "quiet")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def said(result, *words):
    """All words, in this order, on stderr; and never a crash's signature."""
    at = 0
    for word in words:
        found = result.err.find(word, at)
        assert found >= 0, f"stderr does not say '{word}' (in this order):\n{result}"
        at = found + len(word)
    assert "Sanitizer" not in result.err, result
    return True


def told(result, *words):
    """All words, wherever it said them: on stderr, or wrapped in the text report."""
    text = " ".join((result.out + result.err).split())
    missing = [word for word in words if word not in text]
    assert not missing, f"{missing} was not said:\n{result}"
    return True


def one_line(result):
    return len(result.err.strip().splitlines()) == 1


# Scenario files: the place, what is wrong, and the word that was meant.

@pytest.mark.parametrize("text, place, words", [
    ("clinets:\n  - {phase: idle}\n", "1:1", ["unknown key 'clinets'", "clients"]),
    ("clients:\n  - {phase: idle, contu: 3}\n", "2:19", ["unknown key 'contu'", "count"]),
    ("clients:\n  - {phase: idel}\n", "2:13", ["'idel'", "did you mean 'idle'"]),
    ("clients: 3\n", "1:10", ["a list"]),
    ("clients:\n  - {phase: idle, count: many}\n", "2:26", ["'many' is not a number"]),
    ("clients:\n  - {phase: idle, count: 0}\n", "2:26", ["'0' is not a number from 1"]),
    ("clients:\n  - {phase: idle, count: [1]}\n", "2:26", ["a number", "this is a list"]),
    ("restart: perhaps\n", "1:10", ["'perhaps' is neither true nor false"]),
    ("expect:\n  within: 10 parsecs\n", "2:11", ["10 parsecs"]),
    ("expect:\n  within: -1s\n", "2:11", ["-1s"]),
    ("expect:\n  within: 5\n", "2:11", ["'5'"]),
    ("signals:\n  - {send: SIGTREM}\n", "2:12", ["SIGTREM", "did you mean", "SIGTERM"]),
    ("signals:\n  - {send: 999}\n", "2:12", ["999"]),
    ("signals:\n  - {send: SIGTERM, when: amred}\n", "2:27", ["amred", "armed"]),
    ("target:\n  isolate: privat\n", "2:12", ["'privat'", "private"]),
    ("target:\n  ready: {htpp: /x}\n", "2:17", ["htpp", "http"]),
    ("count: 3\n", "1:1", ["key 'count' belongs to"]),
    ("then:\n  - {release: gaet}\n", "2:15", ["gaet", "gate"]),
    ("clients:\n  - {name: a, phase: idle}\nthen:\n  - {close: b}\n", "4:5", ["no client 'b'"]),
    ("clients: [}\n", "1:11", []),
    ("\tclients: []\n", "1:1", []),
    ("", "1:1", ["empty"]),
    ("- a\n- b\n", "1:1", ["a scenario is a mapping", "a list"]),
    ("name: x\nname: y\n", "2:1", ["name"]),
])
def test_wrong_scenario(cli, text, place, words):
    (cli.cwd / "x.yaml").write_text(text)
    got = cli("run", "x.yaml", "--", *HTTP)
    assert got.status == 4 and said(got, f"x.yaml:{place}: ", *words)
    assert one_line(got) and not got.out


def test_wrong_settings_file(cli):
    (cli.cwd / "drainspec.yaml").write_text("grace: 2s\nslwo: GET /x\n")
    got = cli("check", "--", *HTTP)
    assert got.status == 4 and said(got, "drainspec.yaml:2:1: unknown key 'slwo'", "slow")


def test_no_such_scenario_file(cli):
    got = cli("run", "nowhere.yaml", "--", *HTTP)
    assert got.status == 4 and said(got, "nowhere.yaml", "No such file")
    (cli.cwd / "empty").mkdir()
    assert cli("run", "empty", "--", *HTTP).status == 5


# Words of the command line.

@pytest.mark.parametrize("argv, words", [
    (["chekc"], ["unknown command 'chekc'", "'check'"]),
    (["check", "--grcae", "1s", "--", "true"], ["unknown option --grcae", "--grace"]),
    (["check", "-Z", "--", "true"], ["unknown option -Z"]),
    (["check", "--grace"], ["--grace needs a value"]),
    (["check", "--grace", "soon", "--", "true"], ["--grace", "'soon'"]),
    (["check", "--signal", "SIGTREM", "--", "true"], ["--signal", "SIGTREM", "SIGTERM"]),
    (["check", "--signal", "SIGTERM,banana,SIGINT", "--", "true"], ["--signal", "banana"]),
    (["check", "--isolate", "jail", "--", "true"], ["--isolate", "'jail'", "host"]),
    (["check", "--second", "forcce", "--", "true"], ["--second", "'forcce'", "force"]),
    (["check", "--expect-exit", "0,huh", "--", "true"], ["--expect-exit", "huh"]),
    (["check", "--port", "70000", "--", "true"], ["--port", "70000"]),
    (["check", "--jobs", "0", "--", "true"], ["--jobs", "'0'"]),
    (["check", "--only", "COM-1", "--", "true"], ["--only", "COM-1", "CON-1"]),
    (["check", "--skip", "in-fligth", "--", "true"], ["--skip", "in-fligth", "in-flight"]),
    (["check", "-P", "htpp1", "--", "true"], ["htpp1", "http1"]),
    (["check", "-o", "jsno", "--", "true"], ["jsno", "json"]),
    (["check", "-o", "json", "-o", "tap", "--", "true"], ["json", "tap"]),
    (["check", "--env", "NOVALUE", "--", "true"], ["--env", "NOVALUE"]),
    (["check"], ["no command to test"]),
    (["check", "--"], ["no command to test"]),
    (["check", "x.yaml", "--", "true"], ["takes no file", "x.yaml"]),
    (["run", "--", "true"], ["no scenario given"]),
    (["judge"], ["judge takes one folder"]),
    (["judge", "nowhere"], ["nowhere", "No such file"]),
    (["explain", "CON-77"], ["CON-77", "CON-7"]),
    (["list", "chekcs"], ["checks"]),
    (["port"], ["which port"]),
    (["port", "http"], ["not a port number", "http"]),
])
def test_wrong_words(cli, argv, words):
    got = cli(*argv)
    assert got.status == 4 and said(got, *words)
    assert not got.out and not (cli.cwd / "reports").exists(), "nothing was begun"


def test_no_words_at_all(cli):
    got = cli()
    assert got.status == 4 and said(got, "drainspec check")


@pytest.mark.parametrize("argv, words", [
    (["--help"], ["check", "--grace", "Exit status"]), (["help"], ["check"]), (["--version"], ["drainspec "]),
    (["explain", "CON-1"], ["CON-1"]), (["list", "checks"], ["CON-12", "SHOULD"]), (["list", "phases"], ["slow-reader"]),
    (["list", "protocols"], ["http1"]), (["list", "keys"], ["arm_within"]), (["list", "scenarios"], ["in-flight"]),
])
def test_asking_it(cli, argv, words):
    got = cli(*argv)
    assert got.status == 0 and not got.err, got
    assert all(word in got.out for word in words), got


@pytest.mark.parametrize("command, words", [
    ("check", ["-- COMMAND", "--grace", "Exit status"]), ("run", ["FILE", "--slow"]), ("judge", ["RUN_DIR", "--strict"]),
    ("port", ["PORT", "--format"]), ("explain", ["ID"]), ("list", ["phases|", "schema"]),
])
@pytest.mark.parametrize("word", ["--help", "-h"])
def test_help_of_a_command(cli, command, words, word):
    got = cli(command, word)
    assert got.status == 0 and not got.err and f"usage: drainspec {command}" in got.out, got
    assert all(w in got.out for w in words), got
    assert ("--grace" in got.out) == (command in ("check", "run")), "its own options, not all there are"


def test_help_belongs_to_the_target_behind_dashes(cli):
    got = cli("check", *QUIET, "--", "no-such-server", "--help")
    assert got.status == 127, got


def test_help_has_the_names_of_the_tables(cli):
    help_text = cli("help").out
    protocols = [line.split()[0] for line in cli("list", "protocols").out.splitlines()]
    assert " | ".join(protocols) in help_text and "text | tap | junit | json | github" in help_text
    assert "{" not in help_text.replace("${", ""), "every name was filled in"


@pytest.mark.parametrize("fault, status", [("drop-inflight", 1), (None, 0)])
def test_reader_that_goes_away(cli, fault, status):
    """`| head`: the verdict stands, and nobody complains."""
    server = fixture("http1_server", *(["--fault", fault] if fault else []))
    for argv in (["check", "--slow", "gate", "--only", "in-flight,quiet", "--out", "run", "--", *server], ["judge", "run"]):
        reading, writing = os.pipe()
        os.close(reading)
        with open(writing, "wb") as pipe:
            got = cli(*argv, stdout=pipe)
        assert got.status == status and "report" not in got.err, got


def test_only_a_check_runs_what_can_show_it(cli):
    got = cli("check", "--slow", "gate", "--only", "CON-5", "--", *fixture("http1_server"))
    assert got.status == 0 and "pipelined" in got.out and "not run: nothing to see there with --only CON-5" in got.out, got
    assert "quiet" not in got.out and "Skipped" not in got.out, "scenarios that cannot show it are not listed"
    (cli.cwd / "x.yaml").write_text("clients: []\n")
    got = cli("run", "x.yaml", "--only", "CON-5", "--", *fixture("http1_server"))
    assert got.status == 5 and "1 scenario not run" in got.out, got


def test_no_verdict_comes_from_a_scenario_that_cannot_show_it(cli):
    """What --only leaves out is what would have said nothing: compared with the whole battery."""
    target = ["--", *fixture("http1_server")]
    gate = ["--slow", "gate", "--stream", "GET /gate/stream", "--big", "GET /big", "--upload", "POST /upload"]
    report = cli("check", "--out", "run", "-o", "json", *gate, *target).json
    said_in = {}
    for s in report["scenarios"]:
        for v in s["verdicts"]:
            if v["outcome"] != "SKIP":
                said_in.setdefault(v["check"], set()).add(s["name"])
    assert len(said_in) > 30
    for check, scenarios in said_in.items():
        plan = cli("check", "--dry-run", "--only", check, *gate, *target).out
        shown = {line.split(":")[0] for line in plan.splitlines() if line and not line.startswith(" ")}
        assert scenarios <= shown, f"{check} says something in {scenarios - shown}, which --only {check} leaves out"
        assert check.startswith("HAR") or len(shown) < len(report["scenarios"]), "the sweep at least says nothing about it"


def test_stream_without_a_request_is_skipped_at_once(cli):
    got = cli("check", "--slow", "gate", "--only", "streaming", "-o", "json", "--", *fixture("http1_server"))
    assert got.status == 77 and "--stream 'GET /path'" in got.json["scenarios"][0]["skip_reason"], got


def test_explain_knows_every_check(cli):
    ids = [line.split()[0] for line in cli("list", "checks").out.splitlines()]
    assert len(ids) > 30
    for check in ids:
        got = cli("explain", check)
        assert got.status == 0 and check in got.out and len(got.out) > 200, got


def test_closed_stdout_is_no_crash(cli):
    with open("/dev/full", "wb", buffering=0) as full:
        got = cli("list", "checks", stdout=full)
        assert got.status == 3, got


# Targets that do not start.

@pytest.fixture(params=["check", "run"])
def verb(request, cli):
    """Both ways to run a command: the battery, and a scenario file."""
    (cli.cwd / "x.yaml").write_text("clients: []\n")
    return ["check", *QUIET] if request.param == "check" else ["run", "x.yaml"]


def test_command_missing(cli, verb):
    got = cli(*verb, "--", "no-such-server", "--port", "${PORT}")
    assert got.status == 127 and told(got, "no-such-server", "PATH")
    got = cli(*verb, "--", "./no-such-server")
    assert got.status == 127 and told(got, "./no-such-server")


def test_command_not_executable(cli, verb):
    (cli.cwd / "server").write_text("#!/bin/sh\n")
    got = cli(*verb, "--", "./server")
    assert got.status == 126 and told(got, "./server", "Permission denied")
    got = cli(*verb, "--", "./")
    assert got.status == 126 and told(got, "./", "directory")


def test_command_of_the_wrong_format(cli, verb):
    path = cli.cwd / "server"
    path.write_bytes(b"\x7fELF but not really")
    path.chmod(0o755)
    assert cli(*verb, "--", "./server").status == 126
    path.write_text("#!/no/such/interpreter\n")
    got = cli(*verb, "--", "./server")
    assert got.status in (126, 127) and told(got, "interpreter")


def test_exits_before_ready(cli, verb):
    got = cli(*verb, "--", *fixture("hostile_server", "--mode", "exit-before-ready"))
    assert got.status == 126 and told(got, "exited with status 3 before it was ready", "line 30 of 30"), got
    assert "line 5 of 30" not in got.out + got.err, "its last lines, not all"


@pytest.mark.alone
def test_never_ready(cli, verb):
    got = cli(*verb, "--ready-within", "300ms", "--", *fixture("hostile_server", "--mode", "never-ready"))
    assert got.status == 126 and told(got, "not ready within its time", "LISTEN"), got
    assert got.lasted >= 0.3 and got.took < 2


def test_slow_ready_is_waited_for(cli, verb):
    assert cli(*verb, "--", *fixture("hostile_server", "--mode", "slow-ready")).status == 0


# Ports.

@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as s:
        yield s.getsockname()[1]


def me():
    with open("/proc/self/comm") as f:
        return f.read().strip()


def test_port_taken_on_the_host(cli, verb, listener):
    got = cli(*verb, "--isolate", "host", "-p", listener, "--", *HTTP)
    assert got.status == 126 and told(got, str(listener)), got
    assert str(os.getpid()) in got.out + got.err and me() in got.out + got.err, f"the holder is named: {got}"


def test_port_taken_on_the_host_is_free_in_a_namespace(cli, verb, listener):
    got = cli(*verb, "-p", listener, "--", *HTTP)
    assert got.status == 0, got


CROWD = """
import fcntl, resource, socket, struct, subprocess, sys
fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh22x', b'lo', 0x49))      # SIOCSIFFLAGS: the loopback is up
resource.setrlimit(resource.RLIMIT_NOFILE, [resource.getrlimit(resource.RLIMIT_NOFILE)[1]] * 2)
held = [socket.socket() for port in range(20000, 32000) if port % 20]
for s, port in zip(held, (p for p in range(20000, 32000) if p % 20)): s.bind(('127.0.0.1', port))
sys.exit(subprocess.call(sys.argv[1:]))
"""


@as_root
@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < 15000, reason="needs more descriptors")
def test_a_free_port_is_found_among_many_taken(cli):
    """On a host whose ports are nearly all in use or in TIME-WAIT; in a network namespace, to have such a host."""
    got = cli("check", "--only", "quiet,idle,silent", "--isolate", "host", "--", *HTTP,
              prefix=["unshare", "-n", sys.executable, "-c", CROWD])
    assert got.status == 0, got


def test_foreign_process_answers(cli, verb, tmp_path):
    """The target forgets to listen and somebody else has its port: nothing may be judged by the stranger's answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # the stranger appears after the harness looked at the port, as it does when two servers race for it
    wait = tmp_path / "wait.sh"
    wait.write_text("echo > started\nexec sleep 30\n")
    child = cli.start(*verb, "--isolate", "host", "-p", port, "--ready-within", "1500ms", "--", "/bin/sh", wait)
    support.await_((cli.cwd / "started").exists, "the start of the target")
    with socket.create_server(("127.0.0.1", port)):
        got = cli.finish(child)
    assert got.status == 126 and told(got, f"port {port}", "not the target's"), got


def test_port_command(cli, listener):
    got = cli("port", listener)
    assert got.status == 1 and str(os.getpid()) in got.out and me() in got.out, got
    report = cli("port", "-o", "json", listener)
    assert report.status == 1 and str(listener) in report.out and json.loads(report.out)


def test_port_command_free(cli):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    assert cli("port", port).status == 0


# Limits of the machine.

def test_more_clients_than_descriptors(cli):
    (cli.cwd / "x.yaml").write_text("clients:\n  - {phase: idle, count: 5000}\n")
    got = cli("run", "x.yaml", "--", "touch", "started", prefix=["prlimit", "--nofile=1000:1000"])
    assert got.status == 4 and said(got, "5000"), got
    assert re.search(r"nofile|descriptor|ulimit", got.err), "names the limit"
    assert not (cli.cwd / "started").exists(), "said before the start"
    assert not list(cli.cwd.glob("reports/*")), "nothing ran: no folder of it stays"


def test_soft_limit_of_descriptors_is_raised(cli):
    (cli.cwd / "x.yaml").write_text("clients:\n  - {phase: connected, count: 300}\n")
    got = cli("run", "x.yaml", "-o", "json", "--", *HTTP, prefix=["prlimit", "--nofile=128:4096"])
    assert got.status == 0 and got.json["scenarios"][0]["connections"]["completed"] >= 300, got


def test_reports_folder_not_writable(cli):
    (cli.cwd / "file").write_text("")
    got = cli("check", *QUIET, "--out", "file/x", "--", *HTTP)
    assert got.status == 3 and said(got, "file/x", "Not a directory", "--out"), got


def test_reports_folder_hidden_from_workers(cli):
    """A worker's own /dev/shm would take the evidence with it: refused, and where nothing is hidden it is kept."""
    out = f"/dev/shm/drainspec-{os.getpid()}"
    try:
        got = cli("check", *QUIET, "--out", out, "--", *HTTP)
        assert got.status == 4 and said(got, "/dev/shm", "--out"), got
        got = cli("check", *QUIET, "--isolate", "host", "--out", out, "--", *HTTP)
        assert os.path.exists(os.path.join(out, "quiet", "events.jsonl")), got
    finally:
        shutil.rmtree(out, ignore_errors=True)


@as_root
def test_reports_folder_not_writable_for_this_user(cli, tmp_path):
    cli.program = shutil.copy(cli.program, tmp_path / "drainspec")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        if folder.stat().st_uid == os.geteuid():
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH | stat.S_IROTH)
    cli.cwd.chmod(0o555)
    got = cli("check", *QUIET, "--", *HTTP, prefix=["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert got.status == 3 and said(got, "reports/", "--out"), got


def test_report_file_not_writable(cli):
    (cli.cwd / "file").write_text("")
    got = cli("check", *QUIET, "-o", "json=file/x.json", "-o", "text", "--", *HTTP)
    assert got.status == 3 and said(got, "file/x.json", "Not a directory"), got
    assert "quiet" in got.out, "the other report is there all the same"


@as_root
@pytest.mark.parametrize("fault, status", [(None, 3), ("exit-3", 1)])
def test_disk_full(cli, fault, status):
    """A run whose evidence cannot be written is judged all the same, and says so."""
    more = ["--fault", fault] if fault else []
    script = 'mount -t tmpfs -o size=16k none "$0" && exec "$@"'
    (cli.cwd / "full").mkdir()
    got = cli("check", "--only", "in-flight", "--slow", "gate", "--out", "full/run", "--", *HTTP, *more,
              prefix=["unshare", "-m", "sh", "-c", script, cli.cwd / "full"])
    assert got.status == status and "No space left" in got.out + got.err, got
    if fault:
        assert "EXI-1" in got.out, "the proven fault is reported all the same"


@as_root
@pytest.mark.parametrize("where, words", [("full/run", ["full", "--out"]), ("run", ["No space left on device"])])
def test_disk_full_is_the_targets_trouble(cli, where, words):
    """It cannot write, and exits: named, also when not even its complaint has room."""
    script = 'mount -t tmpfs -o size=64k none "$0" && mkdir "$0/run" && { cat /dev/zero > "$0/fill" 2>/dev/null; exec "$@"; }'
    (cli.cwd / "full").mkdir()
    (cli.cwd / "target.py").write_text("with open('full/own', 'w') as f: f.write('x' * 9999)\n")
    got = cli("check", *QUIET, "--out", where, "--", "python3", "target.py",
              prefix=["unshare", "-m", "sh", "-c", script, cli.cwd / "full"])
    assert got.status == 126 and told(got, "exited with status 1 before it was ready", *words), got


# What options do.

@pytest.mark.parametrize("name", ["text", "tap", "junit", "json", "github"])
def test_format_on_stdout(cli, name):
    got = cli("check", *QUIET, "-o", name, "--", *HTTP, "--fault", "exit-3")
    assert got.status == 1 and "EXI-1" in got.out and not got.err, got


SUFFIXES = {"text": "txt", "tap": "tap", "junit": "xml", "json": "json", "github": "log"}


@pytest.mark.parametrize("fault", [None, "drop-inflight", "no-goodbye", "never-reads"])
def test_all_formats_at_once_are_valid(cli, fault):
    """As their readers say: prove, xmllint, jsonschema (check_reports.py)."""
    files = [f"r.{suffix}" for suffix in SUFFIXES.values()]
    words = [w for name, suffix in SUFFIXES.items() for w in ("-o", f"{name}=r.{suffix}")]
    (cli.cwd / "x.yaml").write_text("arm_within: 300ms\nclients:\n  - {request: GET /gate}\n")
    verb = ["run", "x.yaml"] if fault == "never-reads" else ["check", "--slow", "gate"]
    cli(*verb, "--grace", "800ms", *words, "--", *HTTP, *(["--fault", fault] if fault else []))
    checker = ROOT / "harness" / "e2e" / "check_reports.py"
    done = subprocess.run([sys.executable, checker, *files], cwd=cli.cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_check(cli):
    got = cli("check", "--only", "EXI-1,RES-1", "-o", "json", "--", *HTTP)
    assert got.status == 0 and {check for _, check, _, _ in support.verdicts(got.json)} <= {"EXI-1", "RES-1"}
    assert len(got.json["scenarios"]) > 5


def test_only_scenario_and_check(cli):
    got = cli("check", "--only", "quiet", "--only", "EXI-1", "-o", "json", "--", *HTTP)
    assert [(s, c) for s, c, _, _ in support.verdicts(got.json)] == [("quiet", "EXI-1")], got


def test_skip(cli):
    everything = cli("check", "-o", "json", "--dry-run", "--", *HTTP)
    got = cli("check", "--skip", "EXI-1", "--skip", "quiet", "-o", "json", "--", *HTTP)
    assert got.status == 0 and everything.status == 0
    assert "quiet" not in {s["name"] for s in got.json["scenarios"]} and len(got.json["scenarios"]) > 5
    assert "EXI-1" not in {check for _, check, _, _ in support.verdicts(got.json)}


def test_skipped_fault_is_green(cli):
    bad = [*HTTP, "--fault", "exit-3"]
    assert cli("check", *QUIET, "--", *bad).status == 1
    assert cli("check", *QUIET, "--skip", "EXI-1", "--", *bad).status == 0


def test_nothing_selected(cli):
    got = cli("check", "--only", "quiet", "--skip", "quiet", "--", *HTTP)
    assert got.status == 5, got


def test_all_skipped(cli):
    got = cli("check", "--only", "in-flight", "--", *HTTP)
    assert got.status == 77 and "--slow" in got.out + got.err, got


def test_strict(cli):
    rude = ["--slow", "gate", "--only", "in-flight", "--", *HTTP, "--fault", "no-goodbye"]
    got, strict = cli("check", *rude), cli("check", "--strict", *rude)
    assert (got.status, strict.status) == (0, 1), (got, strict)
    assert "CON-7" in got.out and "CON-7" in strict.out


def test_repeat(cli):
    got = cli("check", *QUIET, "--repeat", "3", "-o", "json", "--", *HTTP)
    assert got.status == 0 and [s["name"].split()[0] for s in got.json["scenarios"]] == ["quiet"] * 3
    folders = {s["evidence"] for s in got.json["scenarios"]}
    assert len(folders) == 3 and all((cli.cwd / f / "events.jsonl").exists() for f in folders)


def test_repeat_finds_what_is_rare(cli, tmp_path):
    """A server that is bad every fifth time: --repeat finds it, and says how often."""
    script = tmp_path / "server.sh"
    script.write_text('n=$(cat "$1" 2>/dev/null || echo 0); echo $((n + 1)) > "$1"\n'
                      '[ $((n % 5)) = 4 ] && set -- "$@" --fault exit-3; shift; exec "$@"\n')
    got = cli("check", *QUIET, "-j", "1", "--repeat", "10", "-o", "json", "--", "sh", script, tmp_path / "n", *HTTP)
    outcomes = [s["outcome"] for s in got.json["scenarios"]]
    assert got.status == 1 and outcomes.count("FAIL") == 2, got


def test_dry_run(cli):
    got = cli("check", "--slow", "gate", "--dry-run", "--", "touch", "started")
    assert got.status == 0 and "in-flight" in got.out and "SIGTERM" in got.out, got
    assert not (cli.cwd / "started").exists() and not (cli.cwd / "reports").exists(), "nothing was run or written"


def test_env_and_port_reach_the_target(cli):
    script = 'echo "$GREETING $PORT $1 $DRAINSPEC_GATE" > said; exit 7'
    got = cli("check", *QUIET, "--env", "GREETING=hello there", "--isolate", "host", "--", "sh", "-c", script, "x",
              "${PORT}")
    assert got.status == 126, got
    words = (cli.cwd / "said").read_text().split()
    assert words[:2] == ["hello", "there"] and words[2] == words[3] and re.match(r"127\.0\.0\.1:\d+$", words[4])


def test_several_ports(cli):
    script = 'echo "$PORT_http $PORT_redis $1"; exit 7'
    got = cli("check", *QUIET, "-p", "http=18080,redis=16380", "--", "sh", "-c", script, "x", "${PORT_redis}")
    assert got.status == 126 and said(got, "18080 16380 16380"), got


def test_settings_file(cli):
    (cli.cwd / "drainspec.yaml").write_text(f"command: {json.dumps(HTTP + ['--fault', 'exit-3'])}\nonly: [quiet]\n")
    assert cli("check").status == 1
    assert cli("check", "--", *HTTP).status == 0, "the command line wins"
    assert cli("check", "--expect-exit", "3").status == 0
    assert cli("check", "--skip", "EXI-1").status == 0


def test_scenario_of_its_own_name_in_a_folder(cli):
    (cli.cwd / "specs" / "deep").mkdir(parents=True)
    for name in ("b", "a", "deep/c"):
        (cli.cwd / "specs" / f"{name}.yaml").write_text("clients: []\n")
    (cli.cwd / "specs" / "notes.txt").write_text("not a scenario")
    got = cli("run", "specs", "-o", "json", "--", *HTTP)
    assert got.status == 0 and [s["name"] for s in got.json["scenarios"]] == ["a", "b", "c"], got


def test_a_scenario_keeps_its_own_target(cli):
    (cli.cwd / "x.yaml").write_text(f"target:\n  command: {json.dumps(HTTP)}\nclients: []\n")
    assert cli("run", "x.yaml", "--", "no-such-server").status == 0


# Time.

def grace_in_events(folder):
    """Seconds from the first signal to the harness's kill."""
    events = support.read_events(folder)
    signal = next(e for e in events if e["kind"] == "signal")
    kill = next(e for e in events if e["kind"] == "harness-kill")
    busy = next(e for e in events if e["kind"] == "cpu-wait")     # what others on this machine took is given on top
    return (kill["t"] - signal["t"] - busy["waited_ns"]) / 1e9


@pytest.mark.parametrize("multiplier, low, high", [("1", 0.25, 0.85), ("3", 0.85, 1.9)])
def test_timeout_multiplier(cli, multiplier, low, high):
    got = cli("check", *QUIET, "--grace", "300ms", "-o", "json", "--", *HTTP, "--fault", "never-exits",
              env={"DRAINSPEC_TIMEOUT_MULTIPLIER": multiplier})
    assert got.status == 1 and support.red(got.json, "MUST") == {"EXI-2"}, got
    assert low <= grace_in_events(cli.cwd / got.json["scenarios"][0]["evidence"]) < high


def test_timeout_multiplier_nonsense(cli):
    for value in ("abc", "-1", "1e9", "nan"):
        got = cli("check", *QUIET, "--", *HTTP, env={"DRAINSPEC_TIMEOUT_MULTIPLIER": value})
        assert got.status == 4 and said(got, "DRAINSPEC_TIMEOUT_MULTIPLIER", value), got


# Judging again.

@pytest.mark.parametrize("fault", [None, "drop-inflight", "rst-inflight", "exit-3", "no-goodbye"])
def test_judge_says_the_same(cli, fault):
    more = ["--fault", fault] if fault else []
    ran = cli("check", "--slow", "gate", "--stream", "GET /gate/stream", "--out", "run", "-o", "json", "--", *HTTP, *more)
    again = cli("judge", "run", "-o", "json")
    assert again.status == ran.status, (ran, again)

    def parts(report):
        return {s["name"]: json.dumps([s["outcome"], s["should_failed"], s["connections"], s["verdicts"]], sort_keys=True)
                for s in report["scenarios"] if s["verdicts"]}

    assert parts(ran.json) == parts(again.json) and len(parts(ran.json)) > 10


def test_judge_one_scenario(cli):
    cli("check", *QUIET, "--out", "run", "--", *HTTP, "--fault", "exit-3")
    got = cli("judge", "run/quiet")
    assert got.status == 1 and "EXI-1" in got.out, got
    assert cli("judge", "run/quiet", "--skip", "EXI-1").status == 0


def test_judge_a_cut_log(cli):
    """A run that was killed leaves half a line: judged as far as it goes, and never PASS."""
    cli("check", *QUIET, "--out", "run", "--", *HTTP)
    path = cli.cwd / "run" / "quiet" / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:len(whole) * 2 // 3])
    got = cli("judge", "run", "-o", "json")
    assert got.status == 3 and got.json["scenarios"][0]["outcome"] == "BROKEN", got


@pytest.mark.parametrize("text", [b"", b"\0\0\0", b"{}\n", b"[1]\n", b'{"n":1,"t":0,"kind":"nonsense"}\n', b"{" * 5000])
def test_judge_nonsense(cli, text):
    (cli.cwd / "run").mkdir()
    (cli.cwd / "run" / "events.jsonl").write_bytes(text)
    got = cli("judge", "run")
    assert got.status in (3, 4, 5) and "events.jsonl" in got.err, got


def test_judge_without_evidence(cli):
    (cli.cwd / "empty").mkdir()
    got = cli("judge", "empty")
    assert got.status == 5 and said(got, "no events.jsonl"), got
