"""The harness practises what it preaches: interrupted in any stage it reaps its targets, leaves valid reports and exits
130/143 within two seconds; killed, its targets die with it."""
import json
import os
import signal
import xml.etree.ElementTree as ET

import pytest

import support
from support import ESTABLISHED, LISTEN, fixture, tcp_rows

WITHIN = 2.0
pytestmark = pytest.mark.alone
HTTP = fixture("http1_server")


class Stage:
    """A run that stays in one stage, and how to see from outside that it is there."""

    def __init__(self, cli):
        self.cli = cli

    def start(self, text, command, *options):
        (self.cli.cwd / "x.yaml").write_text(text)
        return self.cli.start("run", "x.yaml", "--out", "run", "-o", "json=r.json", "-o", "junit=r.xml", "-o", "text",
                              *options, "--", *command)

    def seen(self, state, n, read=None):
        """A target whose server has n sockets in this state; read: their requests were read."""
        def look():
            for pid in self.cli.mark.targets("server"):
                rows = [r for r in tcp_rows(pid) if r["state"] == state and r["local"] == self.port(pid)]
                if len(rows) >= n and (read is None or all((r["rx"] == 0) == read for r in rows)):
                    return pid
            return 0
        return support.await_(look, f"{n} sockets in state {state}")

    @staticmethod
    def port(pid):
        try:
            with open(f"/proc/{pid}/cmdline") as f:
                words = f.read().split("\0")
            return int(words[words.index("--port") + 1])
        except (OSError, ValueError):
            return -1

    def before_ready(self):
        child = self.start("clients: []\n", fixture("hostile_server", "--mode", "never-ready"))
        self.cli.mark.await_target("hostile_server")
        return child

    def arming(self):
        """A request that nobody reads, the warm-up's already: the proof does not come."""
        child = self.start("clients:\n  - {phase: waiting, request: GET /gate, count: 2}\n",
                           [*HTTP, "--fault", "never-reads"])
        self.seen(ESTABLISHED, 1, read=False)
        return child

    def armed(self):
        child = self.start("clients:\n  - {phase: waiting, request: GET /gate, count: 2}\n"
                           "signals:\n  - {send: SIGTERM, when: armed, after: 30s}\n", HTTP)
        self.seen(ESTABLISHED, 2, read=True)
        return child

    def draining(self):
        child = self.start("clients:\n  - {phase: waiting, request: GET /gate, count: 2}\n"
                           "then:\n  - {release: gate, when: signal, after: 30s}\nexpect: {within: 40s}\n", HTTP)
        pid = self.seen(ESTABLISHED, 2, read=True)
        support.await_(lambda: not any(r["state"] == LISTEN and r["local"] == self.port(pid) for r in tcp_rows(pid)),
                       "the listener's end")
        return child

    def sweep(self):
        """Between two launches, or in one of them: wherever it is after the third."""
        child = self.start("sweep: 1000\n", HTTP)
        pids = set()
        support.await_(lambda: pids.update(self.cli.mark.targets("http1_server")) or len(pids) > 2, "three launches",
                       every=0.0005)
        return child

    def restart(self):
        """The second launch of the command never becomes ready."""
        (self.cli.cwd / "server.sh").write_text(
            'mkdir first 2>/dev/null && exec "$@"\nexec ' + str(support.FIXTURES / "hostile_server")
            + ' --mode never-ready --port 1\n')
        child = self.start("clients: []\nrestart: true\n", ["sh", "server.sh", *HTTP])
        self.cli.mark.await_target("hostile_server")
        return child

    def probe(self):
        child = self.cli.start("check", "--out", "run", "-o", "json=r.json", "--",
                               *fixture("hostile_server", "--mode", "never-ready"))
        self.cli.mark.await_target("hostile_server")
        return child


STAGES = ["before_ready", "arming", "armed", "draining", "sweep", "restart", "probe"]


@pytest.fixture(params=STAGES)
def stage(request, cli):
    child = getattr(Stage(cli), request.param)()
    yield request.param, child
    if child.poll() is None:
        child.kill()
        child.wait()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
def test_interrupted(cli, stage, how):
    name, child = stage
    watch = support.Stopwatch()
    os.kill(child.pid, how)
    got = cli.finish(child, 10)
    took = watch.seconds()
    left = cli.mark.processes()
    assert got.status == 128 + how, got
    assert took < WITHIN * support.timeout_multiplier(), f"{took:.2f} s"
    assert not left, "gone when the harness is gone, not some time later"
    assert not list(cli.cwd.glob("*.tmp*")), "no half-written report stays"
    if name != "probe":
        reports_are_valid(cli, got)


def reports_are_valid(cli, got):
    report = json.loads((cli.cwd / "r.json").read_text())
    assert report["complete"] is False and report["version"] == 1
    ET.parse(cli.cwd / "r.xml")
    assert "nterrupted" in got.out, f"the text says that it is not the whole: {got}"


def test_ctrl_c_of_the_whole_group(cli):
    """A terminal's Ctrl-C reaches parent and workers: the same end."""
    child = Stage(cli).armed()
    os.killpg(child.pid, signal.SIGINT)
    got = cli.finish(child, 10)
    assert got.status == 130 and not cli.mark.processes(), got


def test_an_impatient_person(cli):
    """Ctrl-C again and again: nothing is left behind, and the reports are still closed properly."""
    child = Stage(cli).draining()
    support.await_(lambda: child.poll() is not None or os.kill(child.pid, signal.SIGINT), "the end", every=0.0002)
    got = cli.finish(child, 10)
    assert got.status == 130 and not cli.mark.processes(), got
    reports_are_valid(cli, got)


def test_events_until_the_interruption_are_kept(cli):
    child = Stage(cli).armed()
    os.kill(child.pid, signal.SIGTERM)
    assert cli.finish(child, 10).status == 143
    kinds = [e["kind"] for e in support.read_events(cli.cwd / "run" / "x")]
    assert "armed" in kinds and "interrupted" in kinds and kinds[-1] == "end"


def test_killed(cli, stage):
    """SIGKILL leaves the harness no word, so the kernel has to end its targets."""
    _, child = stage
    child.kill()
    cli.finish(child, 5)
    cli.mark.assert_all_gone(2)


def test_killed_on_the_host(cli):
    """Without a PID namespace too."""
    child = Stage(cli).start("clients: []\nsignals:\n  - {send: SIGTERM, when: armed, after: 30s}\n", HTTP, "--isolate",
                             "host")
    cli.mark.await_target("http1_server")
    child.kill()
    cli.finish(child, 5)
    cli.mark.assert_all_gone(2)


def test_interrupted_on_the_host(cli):
    child = Stage(cli).start("clients: []\nsignals:\n  - {send: SIGTERM, when: armed, after: 30s}\n", HTTP, "--isolate",
                             "host")
    cli.mark.await_target("http1_server")
    os.kill(child.pid, signal.SIGINT)
    assert cli.finish(child, 5).status == 130 and not cli.mark.processes()


def test_killed_report_is_valid(cli):
    """Two scenarios are done, the third hangs, then SIGKILL: what is on the disk is a whole document."""
    for name, text in (("a", "clients: []\n"), ("b", "clients: []\n"),
                       ("c", "clients: []\nsignals:\n  - {send: SIGTERM, when: armed, after: 30s}\n")):
        (cli.cwd / f"{name}.yaml").write_text(text)
    child = cli.start("run", "-j", "1", "a.yaml", "b.yaml", "c.yaml", "-o", "json=r.json", "-o", "junit=r.xml", "--", *HTTP)

    def two_are_there():
        try:
            return len(json.loads((cli.cwd / "r.json").read_text())["scenarios"]) == 2
        except FileNotFoundError:
            return False

    support.await_(two_are_there, "two scenarios in the report")    # a document that is not whole fails here
    child.kill()
    cli.finish(child, 5)
    report = json.loads((cli.cwd / "r.json").read_text())
    assert report["complete"] is False and [s["name"] for s in report["scenarios"]] == ["a", "b"]
    ET.parse(cli.cwd / "r.xml")
    cli.mark.assert_all_gone(2)
