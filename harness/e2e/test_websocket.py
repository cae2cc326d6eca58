"""WebSocket servers with habits (servers/ws_server.py): what is in order stays green, and what is not turns exactly its checks red."""
import sys

import pytest

import support
from support import ROOT

SERVER = [sys.executable, str(ROOT / "harness/e2e/servers/ws_server.py"), "--port", "${PORT}"]
ALL = "quiet,idle,upgraded,half-header,half-body,in-flight,late,streaming,never-closes,burst-new"
PUSHED = "quiet,idle,upgraded,streaming"
CHANCE = {"CON-8"}      # whether somebody is in asyncio's accept queue at the signal

HABITS = [
    # switches, scenarios, MUST, SHOULD
    ("", ALL + ",leaks", "", ""),
    ("--greets", ALL, "", ""),
    ("--ticks --binary", ALL, "", ""),
    ("--ticks --fragments", ALL, "", ""),
    ("--pings", ALL, "", ""),
    # each pong of ours is acknowledged by the next ping only: that is not a request that it has not read
    ("--pings --computes", "in-flight", "", ""),
    ("--odd-head --long-reason --code 1012", ALL, "", ""),
    ("--close-twice", ALL, "", ""),
    ("--talks-on", ALL, "", ""),
    ("--deflates", ALL, "", ""),
    ("--ticks --never-reads", PUSHED + ",leaks", "", ""),
    ("--code 1000", ALL, "", "CON-7"),
    ("--no-code", ALL, "", "CON-7"),
    ("--wants-fin", "idle,upgraded", "EXI-2", ""),
    ("--never-hears", "idle,upgraded", "", "CON-3"),
]


LATE = [("", ""), ("--refuses-late", ""), ("--forgets-late", "EXI-2")]


def undecided(report):
    return [(s, check) for s, check, outcome, _ in support.verdicts(report) if outcome in ("UNSURE", "BROKEN")]


@pytest.mark.parametrize("switches, scenarios, must, should", HABITS, ids=lambda word: str(word).replace(" ", ""))
def test_habit(cli, switches, scenarios, must, should):
    got = cli("check", "-P", "websocket", "--upgrade", "GET /", "--slow", "GET /\nwork", "--stream", "GET /\nhello", "--grace", "2s",
              "--only", scenarios, "-o", "json", "--", *SERVER, *switches.split())
    report = got.json
    assert len(report["scenarios"]) == len(scenarios.split(",")), got
    assert not undecided(report), got
    assert support.red(report, "MUST") == set(must.split()), got
    assert support.red(report, "SHOULD") - CHANCE == set(should.split()), got


@pytest.mark.parametrize("switches, must", LATE)
def test_a_handshake_that_is_under_way(cli, switches, must):
    """It is finished, and the WebSocket told to go at once; or refused. Who opens it and forgets it waits for a client that was not told."""
    got = cli("check", "-P", "websocket", "--upgrade", "GET /", "--slow", "GET /slow", "--grace", "2s", "--only", "in-flight,half-header", "-o", "json",
              "--", *SERVER, *switches.split())
    assert not undecided(got.json), got
    assert support.red(got.json, "MUST") == set(must.split()) and not support.red(got.json, "SHOULD"), got
    proven = [s["name"] for s in got.json["scenarios"] for v in s["verdicts"] if v["check"] == "HAR-3" and v["outcome"] == "PASS"]
    assert sorted(proven) == ["half-header", "in-flight"]


def scenario(cli, headers, request="GET /"):
    path = cli.cwd / "ws.yaml"
    path.write_text("why: what the headers ask for\nclients:\n"
                    f"  - {{name: idle, protocol: websocket, phase: upgraded, request: \"{request}\", headers: {headers}}}\n"
                    f"  - {{name: busy, protocol: websocket, phase: streaming, request: \"{request}\\nhello\", headers: {headers}}}\n")
    return path


DEFLATE = "{Sec-WebSocket-Extensions: permessage-deflate}"


@pytest.mark.parametrize("headers, switches", [(DEFLATE, "--deflates --ticks"), (DEFLATE, ""), ("{Sec-WebSocket-Protocol: chat}", "--subprotocol")])
def test_what_the_headers_offer_is_taken_or_refused(cli, headers, switches):
    got = cli("run", "--out", "run", "-o", "json", scenario(cli, headers), "--", *SERVER, *switches.split())
    assert got.status == 0 and not undecided(got.json), got


def test_a_subprotocol_that_was_not_asked_for_is_no_verdict_on_how_it_stops(cli):
    got = cli("run", "--out", "run", "-o", "json", scenario(cli, "{X-Other: chat}"), "--", *SERVER, "--subprotocol")
    assert got.status == 2 and {check for _, check in undecided(got.json)} == {"HAR-3"}, got
    unproven = [v["actual"] for v in got.json["scenarios"][0]["verdicts"] if v["check"] == "HAR-3"]
    assert "no open WebSocket: 400" in unproven[0]


def test_who_never_answers_a_close_does_not_hold_the_probe(cli):
    """A server that only sends reads no Close: the first request, and the batches of leaks, do not wait for an answer to it."""
    got = cli("check", "-P", "websocket", "--only", "quiet,startup-sweep", "--grace", "2s", "-o", "json", "--", *SERVER, "--ticks", "--never-reads")
    assert got.status == 0, got
    assert got.took < 20


def test_what_a_websocket_cannot_show_is_skipped_with_the_reason(cli):
    got = cli("check", "-P", "websocket", "--slow", "gate", "--only", "pipelined,half-closed,burst-reuse,tls-handshake,streams", "-o", "json", "--", *SERVER)
    assert got.status == 77, got
    why = {s["name"]: s["skip_reason"] for s in got.json["scenarios"]}
    assert "nothing is answered in order" in why["pipelined"]
    assert "says Close, not FIN" in why["half-closed"]
    assert "cannot be used again" in why["burst-reuse"]
    assert "not inside TLS" in why["tls-handshake"]


def test_no_websocket_is_said(cli):
    got = cli("check", "-P", "websocket", "--only", "idle,half-body", "-o", "json", "--", *support.fixture("http1_server"))
    assert got.status == 2, got
    for s in got.json["scenarios"]:
        arming = next(v for v in s["verdicts"] if v["check"] == "HAR-3")
        assert "no open WebSocket: 200" in arming["actual"], s["name"]
