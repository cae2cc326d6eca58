"""When a step happens that waits for a line of the target's output."""
import sys

import pytest

import support

SAYS = """
import signal, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.sigwait([signal.SIGTERM])
s.close()
for text in sys.argv[2:]:
    sys.stdout.write(text + "\\n")
    sys.stdout.flush()
    time.sleep(0.2)
"""
TWO_STEPS = """
clients:
  - {name: a, phase: late}
  - {name: b, phase: late}
then:
  - {connect: a, when: {log: one}}
  - {connect: b, when: {log: two}}
"""


def story_of(cli, scenario, *says):
    (cli.cwd / "x.yaml").write_text(scenario)
    cli("run", "x.yaml", "--out", "run", "-P", "raw", "--", sys.executable, "-S", "-c", SAYS, "${PORT}", *says)
    return support.read_events(cli.cwd / "run" / "x")


def steps_of(story):
    return [(e["text"].strip(), e["t"] / 1e9) for e in story if e["kind"] == "step"]


@pytest.mark.parametrize("first, second", [("one", "two"), ("two", "one")])
def test_each_step_waits_for_its_own_line(cli, first, second):
    story = story_of(cli, TWO_STEPS, first, second)
    (a, t_a), (b, t_b) = steps_of(story)
    order = {"one": "connect a", "two": "connect b"}
    assert [a, b] == [order[first], order[second]] and t_b - t_a > 0.15, story
    lines = [e["text"] for e in story if e["kind"] == "log-line"]
    assert lines == [first, second], lines


@pytest.mark.parametrize("says", ["two\none", "one and two", "one\ntwo\none\ntwo"])
def test_lines_that_come_at_once_are_read_by_all(cli, says):
    assert sorted(text for text, _ in steps_of(story_of(cli, TWO_STEPS, says))) == ["connect a", "connect b"]


def test_line_that_never_comes(cli):
    assert [text for text, _ in steps_of(story_of(cli, TWO_STEPS, "two", "three"))] == ["connect b"]


def test_signals_wait_for_a_line_each(cli):
    story = story_of(cli, "clients: []\nsignals:\n  - {send: SIGTERM, when: armed}\n"
                          "  - {send: SIGINT, when: {log: one}}\n  - {send: SIGINT, when: {log: two}}\n", "one", "two")
    t = [e["t"] / 1e9 for e in story if e["kind"] == "signal"]
    assert len(t) == 3 and t[2] - t[1] > 0.15, story


CHATTERS = """
import os, signal, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen()
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
end = time.monotonic() + 1
while time.monotonic() < end:
    os.write(1, b"what it says all day long\\n")
os._exit(3)
"""


def test_chatter_does_not_hold_up_the_signal(cli):
    """It says more than can be read, and the line that a step waits for is not among it."""
    (cli.cwd / "x.yaml").write_text("clients:\n  - {name: a, phase: late}\n"
                                    "signals:\n  - {send: SIGTERM, when: armed, after: 20ms}\n"
                                    "then:\n  - {connect: a, when: {log: one}}\n")
    got = cli("run", "x.yaml", "--out", "run", "-P", "raw", "--", sys.executable, "-S", "-c", CHATTERS, "${PORT}")
    at = {e["kind"]: e for e in support.read_events(cli.cwd / "run" / "x")}
    assert "signal" in at and at["exit"]["code"] == 0, (got, at)


def test_last_line_of_many(cli):
    """All that it says at its end is read, though it is gone by then."""
    assert len(steps_of(story_of(cli, TWO_STEPS, 20_000 * "x\n" + "one\ntwo"))) == 2
    (cli.cwd / "x.yaml").write_text(TWO_STEPS)
    cli("run", "x.yaml", "--out", "gone", "-P", "raw", "--", sys.executable, "-S", "-c",
        SAYS.replace("time.sleep(0.2)", ""), "${PORT}", 20_000 * "x\n" + "one\ntwo")
    assert len(steps_of(support.read_events(cli.cwd / "gone" / "x"))) == 2
