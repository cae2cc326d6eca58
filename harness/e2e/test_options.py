"""Options that say how a target behaves, each seen in what the run then does: deadlines, raw answers, greetings."""
import os
import sys

import pytest

import support
from support import fixture

RAW = ["-P", "raw", "--slow", "SLEEP 300ms\\n", "--quick", "PING\\n"]


def events_of(cli, scenario, kind):
    return [e for e in support.read_events(cli.cwd / "run" / scenario) if e["kind"] == kind]


def check(cli, *argv, only="in-flight"):
    return cli("check", "--out", "run", "-o", "json", "--only", only, *argv)


# A server that speaks first.

def test_greeting_is_no_answer(cli):
    got = check(cli, *RAW, "--answer", "\\n", "--", *fixture("raw_server", "--banner", "220 ready"))
    assert got.status == 0, got
    assert [e["text"] for e in events_of(cli, "in-flight", "greeting")] == ["220 ready"] * 2, "warm-up and client"
    sent, = [e for e in events_of(cli, "in-flight", "request") if "SLEEP" in e["text"]]
    assert [e["conn"] for e in events_of(cli, "in-flight", "proven")] == [sent["conn"]]
    signal, = events_of(cli, "in-flight", "signal")
    answer, = [e for e in events_of(cli, "in-flight", "answer") if e["conn"] == sent["conn"]]
    assert answer["t"] > signal["t"] and answer["body_bytes"] == len("SLEPT\n"), "the greeting's bytes are not the answer's"


def test_lost_answer_behind_a_greeting_is_seen(cli):
    got = check(cli, *RAW, "--answer", "\\n", "--", *fixture("raw_server", "--banner", "220 ready", "--fault", "drop-inflight"))
    assert got.status == 1 and support.red(got.json, "MUST") == {"CON-1"}, got


def test_who_does_not_greet_is_asked(cli):
    got = check(cli, *RAW, "--", *fixture("raw_server"))
    assert got.status == 0 and not events_of(cli, "in-flight", "greeting"), got


# How a raw answer ends.

def test_answer_ends_it(cli):
    """Without --answer part of one is as good as all of it; with it the cut answer is seen."""
    server = ["sh", "-c", "exec python3 -c \"$0\" ${PORT}", SLOW_LINES]
    slow = ["-P", "raw", "--slow", "go\\n", "--grace", "5s"]
    whole = check(cli, *slow, "--answer", "end\\n", "--", *server)
    assert whole.status == 1 and support.red(whole.json, "MUST") == {"CON-1"}, whole
    assert check(cli, *slow, "--", *server).status == 0


SLOW_LINES = """
import signal, socket, sys
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
c, _ = s.accept()
c.recv(100); signal.sigwait([signal.SIGTERM]); s.close(); c.sendall(b'begin, and no more')
"""
"""Answers the signal with part of an answer, and leaves."""


def test_answer_of_zeros(cli):
    """MQTT's CONNACK ends with two: they are bytes as any other."""
    server = ["sh", "-c", "exec python3 -c \"$0\" ${PORT}", ZEROS]
    got = check(cli, "-P", "raw", "--quick", "\\x10\\x00", "--answer", "\\x20\\x02\\x00\\x00", "--", *server, only="quiet")
    assert got.status == 0 and [e["body_bytes"] for e in events_of(cli, "quiet", "answer")] == [4], got


ZEROS = """
import signal, socket, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen()
while True:
    c, _ = s.accept()
    if c.recv(100): c.sendall(bytes([32, 2, 0, 0])); c.recv(1)
    c.close()
"""


@pytest.mark.parametrize("words, said", [
    (["--quick", "GET /a b"], "quick: 'GET /a b' is not an HTTP/1 request"),
    (["--slow", "GET /a b"], "client 'waiting': 'GET /a b' is not an HTTP/1 request"),
    (["-P", "raw", "--quick", "\\x4", "--slow", "x"], "quick: '\\x4' in a raw request is no escape")])
def test_misspelt_request_is_refused(cli, words, said):
    """What no client can say was silence once it ran, and a server that answers silence by nothing was blamed for it."""
    got = check(cli, *words, "--", *fixture("http1_server"), only="quiet,in-flight")
    assert got.status == 4 and said in got.err, got


def test_wrong_answer_regex(cli):
    got = check(cli, "-P", "raw", "--answer", "([a", "--", *fixture("raw_server"))
    assert got.status == 4 and "answer" in got.err and "regular expression" in got.err, got


# Deadlines.

def test_listener_within(cli):
    """It closes its listener with the last request: after 300 ms."""
    late = [*RAW, "--only", "in-flight,LSN-1", "--", *fixture("raw_server", "--fault", "listener-late")]
    got = cli("check", "-o", "json", "--listener-within", "50ms", *late)
    assert got.status == 1 and support.red(got.json, "MUST") == {"LSN-1"}, got
    assert cli("check", "-o", "json", *late).status == 0


@pytest.mark.parametrize("within", ["100ms", "400ms"])
def test_arm_within(cli, within):
    got = check(cli, "--slow", "gate", "--arm-within", within, "--", *fixture("http1_server", "--fault", "never-reads"))
    assert got.status == 2, got
    limits = {e["limit_ns"] for e in events_of(cli, "in-flight", "deadline")}
    assert limits == {float(within[:-2]) * 1e6 * support.timeout_multiplier()}
    unproven, = events_of(cli, "in-flight", "unproven")
    assert "unread" in unproven["text"]


def arm_one_at_a_time(cli, prefix=()):
    (cli.cwd / "x.yaml").write_text("clients:\n  - {phase: idle, count: 10, protocol: raw, request: go, answer: x}\n")
    got = cli("run", "x.yaml", "--out", "run", "-o", "json", "--arm-within", "150ms", "--grace", "3s", "--", "sh", "-c",
              "exec python3 -c \"$0\" ${PORT}", ONE_AT_A_TIME, prefix=prefix)
    assert [e["proven"] for e in events_of(cli, "x", "armed")] == [10], got


def test_arming_goes_on_while_clients_get_on(cli):
    """One client at a time for 40 ms each: ten take longer than --arm-within, and all of them are armed."""
    arm_one_at_a_time(cli)


@pytest.mark.alone
@pytest.mark.skipif(not os.path.exists("/proc/pressure/cpu"), reason="this kernel has no PSI")
def test_arming_goes_on_while_the_machine_stands_still(cli):
    """Nobody gets on for longer than --arm-within then, through nobody's fault."""
    with support.throttled(0.5, n_loops=3) as prefix:
        arm_one_at_a_time(cli, prefix)


ONE_AT_A_TIME = """
import socket, sys, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(('127.0.0.1', int(sys.argv[1]))); s.listen(64)
kept = []
while True:
    c, _ = s.accept(); c.recv(100); time.sleep(.04); c.sendall(b'x'); kept.append(c)
"""


# A --big that is none.

@pytest.mark.parametrize("size", [1000, 100000])
def test_too_small_big_is_told(cli, size):
    """Whether the client's buffer takes it all, or the server's the rest: it is said how big it must be, and at once."""
    got = check(cli, "--big", f"GET /big?bytes={size}", "--", *fixture("http1_server"), only="slow-reader")
    assert got.status == 2 and not events_of(cli, "slow-reader", "deadline"), got
    unproven, = events_of(cli, "slow-reader", "unproven")
    assert "too small" in unproven["text"] and "16 MiB" in unproven["text"] and "tcp_wmem" in unproven["text"]
    assert size < int(unproven["text"].split("all its ")[1].split()[0]) < size + 1000, "head and body"


# Who holds the port: the target itself is not drainspec.

TWICE = """
import os, signal, socket, sys, time
first, port = not os.path.exists('again'), int(sys.argv[1])
open('again', 'w').close()
a = socket.socket(); a.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); a.bind(('127.0.0.1', port)); a.listen()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
if not first:
    try: socket.create_server(('127.0.0.1', port))
    except OSError as e: print(e, flush=True); signal.pause()
print('up', flush=True)
while True: time.sleep(1)
"""
"""Started again it listens twice on one port: S6a."""


def test_the_holder_is_the_target_itself(cli):
    (cli.cwd / "x.yaml").write_text("clients: []\nrestart: true\ntarget: {ready: {log: ^up}, ready_within: 2s}\n")
    got = cli("run", "x.yaml", "--out", "run", "-o", "json", "-P", "raw", "--", "python3", "-c", TWICE, "${PORT}")
    assert got.status == 1 and support.red(got.json, "MUST") == {"LSN-4"}, got
    holder, = events_of(cli, "x", "port-holder")
    assert support.holder_kinds()[holder["holder_kind"]] == "HOLDER_SELF", holder


# Header fields of every request.

GUARDED = """
import http.server, signal, sys, threading
class H(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        ok = self.headers["Authorization"] == "Bearer t=1" and len(self.headers.get_all("host")) == 1
        self.send_response(200 if ok else 401)
        self.send_header("Content-Length", "2")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(b"ok")
        self.close_connection = True
s = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), H)
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=s.shutdown).start())
s.serve_forever()
s.server_close()
"""


@pytest.mark.parametrize("file", [False, True], ids=["flag", "drainspec.yaml"])
def test_header_of_every_request(cli, file):
    if file:
        (cli.cwd / "drainspec.yaml").write_text("header: {authorization: Bearer t=1, Host: me.example}\n")
    flags = [] if file else ["--header", "Authorization: Bearer t=1", "--header", "host:me.example"]
    got = check(cli, *flags, "--", sys.executable, "-c", GUARDED, "${PORT}", only="quiet,burst-new")
    heads = [e["status"] for name in ("quiet", "burst-new") for e in events_of(cli, name, "head")]
    assert got.status in (0, 1) and len(heads) > 2 and set(heads) == {200}, got


def test_own_headers_of_a_client_win(cli):
    (cli.cwd / "x.yaml").write_text("clients:\n  - {phase: idle, request: GET /, headers: {authorization: none}}\n"
                                    "signals:\n  - {send: SIGTERM, when: armed}\n")
    cli("run", "x.yaml", "--out", "run", "--header", "Authorization: Bearer t=1", "--", sys.executable, "-c", GUARDED, "${PORT}")
    status = {e["conn"]: e["status"] for e in events_of(cli, "x", "head")}
    assert status == {0: 200, 1: 401}, "the warm-up has that of the command line, the client its own"


@pytest.mark.parametrize("value, words", [("nope", "'nope' is not 'Name: value'"), ("a b: c", "'a b' is not the name of a header field"),
                                          ("a: b\r\nc: d", "line break")])
def test_wrong_header_is_said(cli, value, words):
    got = cli("check", "--header", value, "--", "true")
    assert got.status == 4 and words in got.err, got
