"""Servers that mean harm: the harness neither hangs nor crashes, says what is right, and leaves nothing alive."""
import os
import subprocess
import sys

import pytest

import support
from support import FIXTURES, fixture

BOUND = 12
"""Seconds for one hostile target with a grace of 800 ms."""
ANSWERS = {
    "garbage": "bytes that are no answer", "endless-headers": "a head without end", "lying-length-short": "body over length",
    "lying-length-long": "FIN before length", "negative-chunk": "chunk of size -5",
}


def modes():
    """What the fixture can do, from its own list."""
    said = subprocess.run([FIXTURES / "hostile_server", "--port", "1", "--mode", "list"], capture_output=True, text=True,
                          check=False).stderr
    return [line.split()[0] for line in said.splitlines() if line.startswith("  ")]


def battery(cli, mode, *options, timeout=60):
    got = cli("check", "--grace", "800ms", "--ready-within", "1500ms", "-o", "json", *options, "--",
              *fixture("hostile_server", "--mode", mode), timeout=timeout)
    cli.mark.assert_all_gone(2)
    assert "Sanitizer" not in got.err, got
    return got


def reds(got):
    return support.red(got.json, "MUST")


def outcomes(got):
    return {s["outcome"] for s in got.json["scenarios"]}


def test_every_mode_is_tested():
    here = open(__file__).read()
    assert len(modes()) > 10
    assert [mode for mode in modes() if f'"{mode}"' not in here] == []


@pytest.mark.parametrize("mode", list(ANSWERS))
def test_answers_that_are_none(cli, mode):
    """What cannot be read is never taken for a complete answer, and never breaks the harness."""
    got = battery(cli, mode, "-P", "http1", "--slow", "GET /x", "--only", "in-flight", timeout=BOUND * 3)
    assert "BROKEN" not in outcomes(got), got
    for scenario in got.json["scenarios"]:
        for v in scenario["verdicts"]:
            assert not (v["check"] == "CON-1" and v["outcome"] == "PASS"), f"a lie was believed: {v}"


def test_gigabyte(cli):
    """A body that nobody asked for: bounded memory and time."""
    got = battery(cli, "gigabyte", "-P", "http1", "--only", "slow-reader", "--big", "GET /x", timeout=BOUND * 2)
    assert "BROKEN" not in outcomes(got), got
    evidence = [cli.cwd / s["evidence"] for s in got.json["scenarios"] if s["evidence"]]
    size = sum(f.stat().st_size for folder in evidence for f in folder.rglob("*") if f.is_file())
    assert size < 64 << 20, "the trace of a body is not the body"


def test_fork_for_ever(cli):
    """A chain of forks, each link in a session of its own: all of it is found and ended."""
    got = battery(cli, "fork-forever", "--only", "quiet")
    assert got.status == 1 and "RES-1" in reds(got), got


def test_fork_for_ever_on_the_host(cli):
    """Without a PID namespace they are found as adopted children."""
    got = battery(cli, "fork-forever", "--only", "quiet", "--isolate", "host")
    assert got.status == 1 and "RES-1" in reds(got), got


def test_deaf_to_all_signals(cli):
    got = battery(cli, "ignore-signals", "--only", "quiet")
    assert got.status == 1 and reds(got) == {"EXI-2"} and got.took < BOUND, got
    assert "harness-kill" in {e["kind"] for e in support.read_events(cli.cwd / got.json["scenarios"][0]["evidence"])}


def test_kills_its_process_group(cli):
    """The harness is not in the target's group."""
    got = battery(cli, "kill-group", "--only", "quiet")
    assert got.status == 1 and reds(got) & {"EXI-1", "EXI-3"}, got


def test_stops_itself(cli):
    """A stopped process is neither gone nor draining; it is ended at the grace."""
    got = battery(cli, "stop-self", "--only", "quiet")
    assert got.status == 1 and reds(got) == {"EXI-2"} and got.took < BOUND, got
    events = support.read_events(cli.cwd / got.json["scenarios"][0]["evidence"])
    assert any(e["kind"] == "autopsy" and "stop" in e["text"].lower() for e in events), "the autopsy names the reason"


@pytest.mark.parametrize("mode", ["exit-before-ready", "never-ready"])
def test_does_not_come_up(cli, mode):
    assert battery(cli, mode).status == 126


def test_daemonize(cli):
    """The command returns at once; what listens is somebody else's child. It is found, said, and ended."""
    got = battery(cli, "daemonize", "--only", "quiet")
    assert got.status in (1, 126) and got.took < BOUND, got


def test_daemonize_on_the_host(cli):
    got = battery(cli, "daemonize", "--only", "quiet", "--isolate", "host")
    assert got.status in (1, 126) and got.took < BOUND, got


@pytest.mark.parametrize("mode", ["slow-ready", "close-stdio", "spam-log"])
def test_odd_but_good(cli, mode):
    """Strange habits are no faults."""
    got = battery(cli, mode, "--only", "quiet", "--only", "idle")
    assert got.status == 0, got


def test_log_is_bounded_in_the_report(cli):
    got = battery(cli, "spam-log", "--only", "quiet", "--expect-exit", "9")
    assert got.status == 1 and len(got.out) < 200_000, "10 MB of log do not go into the report"


def test_a_target_that_kills_the_harness(cli, tmp_path):
    """A worker that dies makes one BROKEN verdict; its target dies with it; the next scenario runs."""
    script = tmp_path / "server.sh"
    script.write_text('mkdir "$0.once" 2>/dev/null && kill -9 "$PPID"\nexec "$@"\n')
    got = cli("check", "--isolate", "host", "-j", "1", "--skip", "leaks", "-o", "json", "--only", "idle", "--only", "silent",
              "--", "sh", script, *fixture("http1_server"))
    cli.mark.assert_all_gone(2)
    # the probe's worker is the first one: that is a harness failure before the battery
    assert got.status == 3, got


def test_a_worker_that_dies_is_replaced(cli, tmp_path):
    script = tmp_path / "server.sh"
    script.write_text('n=$(cat "$0.n" 2>/dev/null || echo 0); echo $((n + 1)) > "$0.n"\n'
                      '[ "$n" = 1 ] && kill -9 "$PPID"\nexec "$@"\n')
    got = cli("check", "--isolate", "host", "-j", "1", "-o", "json", "--only", "idle", "--only", "silent", "--only", "quiet",
              "--", "sh", script, *fixture("http1_server"))
    cli.mark.assert_all_gone(2)
    assert sorted(s["outcome"] for s in got.json["scenarios"]) == ["BROKEN", "PASS", "PASS"] and got.status == 3, got
    assert "killed by signal 9" in next(s["broken"] for s in got.json["scenarios"] if s["broken"])


def test_clients_without_a_socket_are_no_verdict(cli):
    """Late ones, of which nobody waits for a proof: the scenario would have been judged without them."""
    flag = cli.cwd / "full"
    (cli.cwd / "x.yaml").write_text("clients:\n  - {name: late, phase: late, count: 3}\n"
                                    "then:\n  - {connect: late, when: listener-closed}\n"
                                    "signals:\n  - {send: SIGTERM, when: armed}\n")
    server = """
import signal, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
def end(*_):
    open(sys.argv[2], "w").close()
    s.close()
    time.sleep(0.3)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
s.listen()
while True:
    signal.pause()
"""
    got = cli("run", "x.yaml", "--out", "run", "-P", "raw", "-o", "json", "--", sys.executable, "-S", "-c", server, "${PORT}", flag,
              env={"LD_PRELOAD": support.preload(cli.cwd, "no_sockets"), "NO_SOCKETS": flag})
    [scenario] = got.json["scenarios"]
    assert got.status == 3 and "cannot make a client socket" in scenario["broken"], got


def test_nothing_stays_in_the_temporary_folder(cli, tmp_path):
    """The target's TMPDIR is the harness's, and goes with it."""
    (tmp_path / "t").mkdir()
    cli("check", "--only", "quiet", "--", *fixture("http1_server", "--fault", "tmp-leak"), env={"TMPDIR": tmp_path / "t"})
    assert os.listdir(tmp_path / "t") == []
