"""What a verdict cites is there: numbers are lines of events.jsonl, frames are packets of the cited kind."""
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass

import pytest

import support
from support import fixture

FIN, SYN, RST, ACK = 1, 2, 4, 16
KINDS = {  # of wire events: what such a packet has to be
    "wire-syn": lambda p: p.flags & SYN and not p.flags & ACK, "wire-synack": lambda p: p.flags & SYN and p.flags & ACK,
    "wire-server-rst": lambda p: p.flags & RST, "wire-client-rst": lambda p: p.flags & RST,
    "wire-refused": lambda p: p.flags & RST, "wire-server-fin": lambda p: p.flags & FIN,
    "wire-client-fin": lambda p: p.flags & FIN, "wire-zero-window": lambda p: p.window == 0,
    "wire-first-data": lambda p: p.length > 0, "wire-last-data": lambda p: p.length > 0,
}
FROM_SERVER = {"wire-server-rst", "wire-server-fin", "wire-synack", "wire-refused", "wire-first-data", "wire-last-data"}


@pytest.fixture(params=["drop-inflight", "rst-inflight", "truncate", "idle-holds"])
def faulty(request, cli):
    """The report of a run with a fault that shows on the wire, and its scenarios' folders."""
    got = cli("check", "--slow", "gate", "--stream", "GET /gate/stream", "--grace", "800ms", "-o", "json", "--only", "in-flight",
              "--only", "idle", "--only", "streaming", "--only", "late", "--", *fixture("http1_server", "--fault", request.param))
    assert got.status == 1, got
    return got.json, cli.cwd


def folders(report, cwd):
    return [(s, cwd / s["evidence"]) for s in report["scenarios"] if s["verdicts"]]


@dataclass
class Packet:
    source: int
    flags: int
    length: int
    window: int
    epoch: float


def packets(pcap):
    """frame number -> Packet, as tshark sees them."""
    fields = ["frame.number", "tcp.srcport", "tcp.flags", "tcp.len", "tcp.window_size", "frame.time_epoch"]
    done = subprocess.run(["tshark", "-r", pcap, "-Y", "tcp", "-T", "fields", *[w for f in fields for w in ("-e", f)]],
                          capture_output=True, text=True, check=True)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return {int(r[0]): Packet(int(r[1]), int(r[2], 16), int(r[3]), int(r[4]), float(r[5])) for r in rows}


def test_cited_events_are_lines(faulty):
    cited = 0
    for scenario, folder in folders(*faulty):
        events = support.read_events(folder)
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1)), "the number is the line"
        for v in scenario["verdicts"]:
            assert all(1 <= n <= len(events) for n in v["events"]), v
            assert v["outcome"] != "FAIL" or v["events"], f"a FAIL without proof: {v}"
            cited += len(v["events"])
            framed = [events[n - 1]["frame"] for n in v["events"] if "frame" in events[n - 1]]
            assert v["frames"] == framed, f"frames are those of the cited events: {v}"
    assert cited > 10


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_wire_events_are_packets(faulty):
    """Every wire event with a frame, cited or not: tshark sees such a packet there, from the right side, at that time."""
    seen = set()
    for _, folder in folders(*faulty):
        events = support.read_events(folder)
        ports = {e["port"] for e in events if e["kind"] == "listen"}
        trace = packets(folder / "wire.pcap")
        for e in (e for e in events if e["kind"] in KINDS and e.get("frame")):
            packet = trace[e["frame"]]
            assert KINDS[e["kind"]](packet), f"{e} is something else: {packet}"
            assert (packet.source in ports) == (e["kind"] in FROM_SERVER), f"{e}: {packet}"
            assert abs(packet.epoch * 1e9 - (events[0]["real_ns"] + e["t"])) < 2e6, f"{e}: {packet}, on another clock"
            seen.add(e["kind"])
    assert seen >= {"wire-syn", "wire-synack", "wire-first-data", "wire-refused"} and len(seen) > 5


@pytest.mark.skipif(not shutil.which("capinfos"), reason="capinfos is not installed")
def test_capture_is_whole(faulty):
    for _, folder in folders(*faulty):
        done = subprocess.run(["capinfos", "-Tmc", folder / "wire.pcap"], capture_output=True, text=True, check=False)
        assert done.returncode == 0 and "cut short" not in done.stdout + done.stderr, done.stderr
        end = next(e for e in support.read_events(folder) if e["kind"] == "capture-end")
        assert end["drops"] == 0 and "sentinel frame" in end["text"]
        assert int(done.stdout.strip().split(",")[-1]) >= end["packets"] > 0


def test_counters_of_every_scenario_of_a_worker(cli):
    """A worker keeps its namespace. Its first scenario makes the kernel's files longer (the sentinel's UDP is answered by ICMP);
    what is counted in the third is what the wire shows, as in the first."""
    got = cli("check", "-j", "1", "--repeat", "3", "--slow", "gate", "-o", "json", "--only", "in-flight", "--",
              *fixture("http1_server", "--fault", "rst-inflight"))
    scenarios = folders(got.json, cli.cwd)
    assert len(scenarios) == 3
    for scenario, folder in scenarios:
        story = support.read_events(folder)
        counted = {e["text"]: e["delta"] for e in story if e["kind"] == "counter"}
        resets = sum(p.flags & RST != 0 for p in packets(folder / "wire.pcap").values())
        assert counted["Tcp.OutRsts"] == resets > 0, (scenario["name"], counted)
        assert counted["Tcp.AttemptFails"] == sum(e["kind"] == "wire-refused" for e in story) > 0, (scenario["name"], counted)


def test_first_event_is_a_scenario_that_can_be_run_again(faulty, cli):
    _, cwd = faulty
    report, _ = faulty
    for scenario, folder in folders(report, cwd):
        (cli.cwd / "again.yaml").write_text(support.read_events(folder)[0]["text"])
        got = cli("run", "again.yaml", "-o", "json")
        assert got.status in (0, 1) and got.json["scenarios"][0]["name"] == scenario["name"], got
        assert {(v["check"], v["outcome"]) for v in got.json["scenarios"][0]["verdicts"]} == \
            {(v["check"], v["outcome"]) for v in scenario["verdicts"]}


def test_order_of_the_story(cli):
    """A green run tells: launched, listening, ready, armed, signalled, listener closed, exited."""
    got = cli("check", "--slow", "gate", "--only", "in-flight", "-o", "json", "--", *fixture("http1_server"))
    assert got.status == 0, got
    events = support.read_events(cli.cwd / got.json["scenarios"][0]["evidence"])
    wanted = ["scenario", "launch", "listen", "ready", "connect", "gate-reached", "proven", "armed", "signal",
              "listener-closed", "gate-released", "answer", "exit", "end"]
    conn = next(e["conn"] for e in events if e["kind"] == "connect" and "waiting" in e["text"])
    of_conn = {"connect", "gate-reached", "proven", "answer"}       # the warm-up and the control request have theirs too
    at = {kind: next(e["t"] for e in events if e["kind"] == kind and (kind not in of_conn or e["conn"] == conn))
          for kind in wanted}
    assert [at[k] for k in wanted] == sorted(at.values()), json.dumps(at, indent=1)


# its kernel brings the answer to the client at 200 kB/s (SO_MAX_PACING_RATE is 47), for a second after it has written all and left
LEAVES_IT_TO_THE_KERNEL = """
import signal, socket, sys, threading
stop = threading.Event()
def serve(c):
    while b"/hold" not in (asked := c.recv(4096)):
        if not asked:
            return c.close()
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
    stop.wait()
    c.setsockopt(socket.SOL_SOCKET, 47, 200_000)
    c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 600000\\r\\n\\r\\n" + 600_000 * b"x")
    c.close()
def end(*_):
    s.close()
    stop.set()
    for t in threading.enumerate():
        if t is not threading.current_thread():
            t.join()
    sys.exit(0)
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
signal.signal(signal.SIGTERM, end)
s.listen()
while True:
    threading.Thread(target=serve, args=[s.accept()[0]]).start()
"""


def test_what_the_kernel_still_delivers_is_waited_for(cli):
    """The target has ended in time; how fast the rest comes is not its doing, and the end of the grace is no reason to look away."""
    (cli.cwd / "x.yaml").write_text("clients:\n  - {name: asks, phase: waiting, request: GET /hold}\n")
    got = cli("run", "x.yaml", "--grace", "500ms", "--out", "run", "-P", "http1", "-o", "json", "--",
              sys.executable, "-S", "-c", LEAVES_IT_TO_THE_KERNEL, "${PORT}")
    at = {e["kind"]: e["t"] for e in support.read_events(cli.cwd / "run" / "x")}
    assert got.status == 0 and got.json["scenarios"][0]["outcome"] == "PASS", got
    assert at["exit"] < at["wire-server-fin"] and at["answer"] > at["signal"] + 600_000_000, at


def test_what_came_while_the_kernel_was_asked_is_read(cli):
    """The last bytes and the FIN come after the loop was asked for the last time and before the look at the server's end, which
    says then that nothing comes any more: they are here, and belong to the round."""
    (cli.cwd / "x.yaml").write_text("clients:\n  - {name: asks, phase: waiting, request: GET /hold}\n")
    got = cli("run", "x.yaml", "--grace", "10s", "--out", "run", "-P", "http1", "-o", "json", "--",
              sys.executable, "-S", "-c", LEAVES_IT_TO_THE_KERNEL, "${PORT}", env={"LD_PRELOAD": support.preload(cli.cwd, "slow_look")})
    assert got.status == 0 and got.json["scenarios"][0]["outcome"] == "PASS", got


HOLDS = """
import signal, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
held = []
def end(*_):
    s.close()
    held.pop(0).close()
    time.sleep(60)
signal.signal(signal.SIGTERM, end)
s.listen()
while True:
    held.append(s.accept()[0])
"""


def test_who_holds_it_is_asked_before_the_grace_is_over(cli):
    """What a busy machine adds to the grace may be long enough for the client to be let go of; who waits for it has waited till then."""
    (cli.cwd / "x.yaml").write_text("clients:\n  - {name: mute, phase: connected, count: 3}\nsignals:\n"
                                    "  - {send: SIGTERM, when: armed}\nexpect: {within: 3s}\n")
    got = cli("run", "x.yaml", "--out", "run", "-P", "raw", "-o", "json", "--", sys.executable, "-S", "-c", HOLDS, "${PORT}")
    events = support.read_events(cli.cwd / "run" / "x")
    signal = next(e["t"] for e in events if e["kind"] == "signal")
    held = {e["conn"]: e["t"] - signal for e in events if e["kind"] == "held"}
    closed = {e["conn"] for e in events if e["kind"] == "eof"}
    mute = {e["conn"] for e in events if e["kind"] == "proven"}
    assert len(mute) == 3 and len(closed) == 1 and set(held) == mute - closed, got
    assert all(2_900_000_000 <= t for t in held.values()), held
