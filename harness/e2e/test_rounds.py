"""Rounds of one scenario share the target's log files and the gate: what the one before said or left is not the next one's."""
import sys

import support

# says what it is told to when it listens and when it stops; the words may depend on how many have been started before, in its folder
SERVER = """
import os, signal, socket, sys, threading
before = sum(n.startswith("start.") for n in os.listdir("."))
open("start.%d" % before, "w").close()
def say(text):
    if text:
        print(text, flush=True)
def gate(asked):
    host, port = os.environ["DRAINSPEC_GATE"].split(":")
    nonce = asked.lower().split("x-drainspec-nonce: ")[1].split()[0]
    c = socket.create_connection((host, int(port)))
    c.sendall(("GET /gate HTTP/1.0\\r\\nX-Drainspec-Nonce: %s\\r\\nAuthorization: Bearer %s\\r\\n\\r\\n" % (nonce, 9000 * "x")).encode())
    while c.recv(4096):
        pass
def serve(c):
    while asked := c.recv(4096).decode():
        if "/gate" in asked:
            say(HANDLING)
            gate(asked)
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    c.close()
def end(*_):
    say(BYE)
    s.close()
    os._exit(0)
signal.signal(signal.SIGTERM, end)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
say("up")
say("up")
while True:
    threading.Thread(target=serve, args=[s.accept()[0]], daemon=True).start()
"""


def run(cli, scenario, *options, handling="None", bye="None"):
    """handling, bye: Python expressions of what it says; `before` have been started before it."""
    code = SERVER.replace("say(HANDLING)", f"say({handling})").replace("say(BYE)", f"say({bye})")
    (cli.cwd / "x.yaml").write_text(scenario)
    got = cli("run", "x.yaml", "--out", "run", "-P", "http1", "-o", "json", *options, "--", sys.executable, "-S", "-c", code, "${PORT}")
    return got, support.read_events(cli.cwd / "run" / "x")


def test_each_round_says_its_own_line(cli):
    """The first has said it, the second does not: the line of the first is no proof."""
    scenario = "clients: []\nvary: {to: [process, group]}\nexpect: {log: bye}\n"
    got, _ = run(cli, scenario, bye="'bye'")
    assert got.status == 0, got
    for start in (cli.cwd).glob("start.*"):
        start.unlink()
    got, _ = run(cli, scenario, bye="None if before else 'bye'")
    assert ("EXI-4", "FAIL") in {(v["check"], v["outcome"]) for s in got.json["scenarios"] for v in s["verdicts"]}, got


def test_a_line_of_the_last_round_is_not_readiness(cli):
    """It says "up" twice; the second one was not read in its round, and comes before the next one listens."""
    got, events = run(cli, "clients: []\nvary: {to: [process, group]}\n", "--ready", "log:^up$")
    assert got.status == 0 and not [e for e in events if e["kind"] == "ready-early"], got
    at = [(e["kind"], e["t"]) for e in events if e["kind"] in ("listen", "ready")]
    assert [kind for kind, _ in at] == ["listen", "ready"] * 2 and at == sorted(at, key=lambda e: e[1]), at


def test_leaks_of_nothing_that_can_be_asked(cli):
    """No port, or one where nothing is known to say: nobody counts, and nobody crashes."""
    (cli.cwd / "x.yaml").write_text("clients: []\nleak: {}\n")
    for options, target in (["--port", "none"], ["sleep", "100"]), (["-P", "raw"], support.fixture("raw_server")):
        got = cli("run", "x.yaml", "-o", "json", *options, "--", *target)
        [scenario] = got.json["scenarios"]
        assert scenario["outcome"] != "BROKEN", got
        assert "RES-3" not in {v["check"] for v in scenario["verdicts"] if v["outcome"] == "PASS"}, got


def test_a_long_head_at_the_gate(cli):
    """The nonce stands before a token of 9 kB."""
    got, events = run(cli, "clients:\n  - {name: asks, phase: waiting, request: GET /gate}\nthen:\n  - {release: gate}\n")
    proven = [e["text"] for e in events if e["kind"] == "proven"]
    assert proven == ["it reached the gate"], got


def test_closed_before_it_was_proven(cli):
    """Nobody waits for it any more, and the report says why."""
    got, events = run(cli, "clients:\n  - {name: asks, phase: waiting, request: GET /hold/gate}\n"
                           "then:\n  - {close: asks, when: {log: handling}}\n", handling="'handling'")
    assert got.took < 5 and got.status == 2, got
    [unproven] = [e for e in events if e["kind"] == "unproven"]
    assert "the scenario closed it" in unproven["text"] and [e for e in events if e["kind"] == "end"]


def test_a_sweep_says_how_busy_the_machine_was(cli):
    """Whoever did not end there may have had no CPU: SIG-2 asks for it (starved())."""
    got = cli("check", "--only", "startup-sweep", "--grace", "300ms", "--out", "run", "-o", "json", "--",
              *support.fixture("http1_server", "--fault", "startup-stuck"))
    events = support.read_events(cli.cwd / "run" / "startup-sweep")
    killed = {e["round"] for e in events if e["kind"] == "harness-kill"}
    assert killed and killed == {e["round"] for e in events if e["kind"] == "cpu-wait"}, got
