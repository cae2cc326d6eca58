"""The ladder of isolation. On each rung the same server is judged the same, but for what cannot be seen there: that is said
once and SKIPped by name, never silently, and what can be seen still turns red."""
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

import support
from support import FIXTURES

ROOT_USER = os.geteuid() == 0
UID = "54321"           # nobody's: no files, no group, no limits of anybody else
AS_USER = ["setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all"] if ROOT_USER else []
CONFINED = [sys.executable, str(Path(__file__).with_name("confine.py"))]
NO_LIMITS_LEFT = ["unshare", "-Ur", "sh", "-c",
                  "for n in user net pid mnt; do echo 0 > /proc/sys/user/max_${n}_namespaces; done; exec \"$@\"", "sh"]
GATE = ["--slow", "gate", "--stream", "GET /gate/stream", "--big", "GET /big", "--upload", "POST /upload"]

# name: prefix, options, sees packets, has namespaces
RUNGS = {
    "root": ([], [], True, True),
    "root-host": ([], ["--isolate", "host"], True, False),
    "root-confined": (CONFINED, [], True, False),
    "user": (AS_USER, [], True, True),
    "user-host": (AS_USER, ["--isolate", "host"], False, False),
    "user-confined": ([*CONFINED, *AS_USER], [], False, False),
    "user-no-namespaces-left": ([*AS_USER, *NO_LIMITS_LEFT], [], False, False),
}
NEEDS_WIRE = {"HAR-2"}
"""Checks that are never judged without packets. Others may say SKIP for what only the wire shows, and PASS for the rest."""

BY_CHANCE = {"second-after-last-byte", "backlog-busy", "burst-new", "burst-reuse"}
"""Scenarios in which a good server may be too quick for what is to be judged, on any rung."""


@pytest.fixture(scope="session")
def open_place(program):
    """Program, fixtures and a working folder where any user can get at them."""
    folder = Path(tempfile.mkdtemp(prefix="drainspec-rungs-"))
    folder.chmod(0o755)
    (folder / "bin").mkdir()
    for path in (program, *FIXTURES.glob("*_server")):
        if path.is_file():
            shutil.copy(path, folder / "bin")
    shutil.copy(program, folder / "bin" / "drainspec")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


class Rung:
    def __init__(self, name, place, mark):
        self.prefix, self.options, self.wire, self.namespaces = RUNGS[name]
        self.name = name
        if not ROOT_USER and name.startswith("root"):
            pytest.skip("needs root")
        work = Path(tempfile.mkdtemp(dir=place))
        if AS_USER and name.startswith("user"):
            os.chown(work, int(UID), int(UID))
        self.cli = support.Cli(place / "bin" / "drainspec", mark, work)
        if AS_USER and name.startswith("user"):
            os.chown(self.cli.cwd, int(UID), int(UID))
        self.place = place

    def check(self, *options, fault=None, server="http1_server", command=None):
        argv = command or [str(self.place / "bin" / server), "--port", "${PORT}", *(["--fault", fault] if fault else [])]
        got = self.cli("check", *self.options, "-o", "json", *options, "--", *argv, prefix=self.prefix,
                       env={"TMPDIR": self.cli.cwd}, timeout=90)
        self.cli.mark.assert_all_gone(2)
        return got


@pytest.fixture(params=list(RUNGS))
def rung(request, open_place, mark):
    return Rung(request.param, open_place, mark)


def by_outcome(got):
    found = {}
    for scenario, check, outcome, _ in support.verdicts(got.json):
        found.setdefault(outcome, set()).add(check)
    return found


def skips(got):
    """(scenario, check) -> reason, of checks; and scenario -> reason, of whole scenarios."""
    of_checks = {(s["name"], v["check"]): v["actual"] for s in got.json["scenarios"] for v in s["verdicts"]
                 if v["outcome"] == "SKIP"}
    return of_checks, {s["name"]: s["skip_reason"] for s in got.json["scenarios"] if s["skip_reason"]}


def test_a_good_server_is_good_on_every_rung(rung):
    got = rung.check(*GATE)
    assert got.status == 0, got
    assert not {"FAIL", "BROKEN", "UNSURE"} & set(by_outcome(got)), got
    of_checks, of_scenarios = skips(got)
    notes = " ".join(got.json["notes"])
    assert all(of_checks.values()) and all(of_scenarios.values()), "every SKIP has its reason"
    if rung.wire and rung.namespaces:
        assert not notes and "pid1" not in of_scenarios, "nothing is hidden here, and nothing is said to be"
        assert NEEDS_WIRE <= by_outcome(got)["PASS"]
    if not rung.wire:
        assert "capture" in notes or "packets" in notes, notes
        assert not NEEDS_WIRE & by_outcome(got)["PASS"], "not seen, so not passed"
    if not rung.namespaces:
        assert set(of_scenarios) | {s for s, _ in of_checks} >= {"pid1"}, "a container cannot be made here"
        if not rung.options:
            assert "namespace" in notes, notes


def test_only_what_is_hidden_is_skipped(open_place, mark):
    """Between the highest and the lowest rung nothing but the named is lost."""
    high = Rung("root" if ROOT_USER else "user", open_place, mark).check(*GATE)
    low = Rung("user-confined", open_place, mark).check(*GATE)
    assert (high.status, low.status) == (0, 0), (high, low)
    judged_high = {(s, c) for s, c, outcome, _ in support.verdicts(high.json) if outcome == "PASS"}
    judged_low = {(s, c) for s, c, outcome, _ in support.verdicts(low.json) if outcome == "PASS"}
    of_checks, of_scenarios = skips(low)
    lost = {(s, c) for s, c in judged_high - judged_low if s not in BY_CHANCE and s not in of_scenarios}
    assert lost <= set(of_checks), "what was judged above and is not judged here is SKIPped by name"
    assert {c for _, c in lost} <= {"HAR-2", "CON-2", "CON-3", "CON-12", "RES-4", "SIG-6"}, sorted(lost)


FAULTS = {  # fault: scenario, the check that it turns red
    "drop-inflight": ("in-flight", "CON-1"), "rst-inflight": ("in-flight", "CON-2"), "exit-3": ("quiet", "EXI-1"),
    "idle-holds": ("idle", "CON-6"), "orphan": ("quiet", "RES-1"), "no-reuseaddr": ("restart", "LSN-4"),
    "fd-inherit": ("late", "RES-5"), "listener-leak": ("late", "LSN-2"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_red_on_every_rung(rung, fault):
    scenario, red = FAULTS[fault]
    got = rung.check("--slow", "gate", "--grace", "800ms", "--only", scenario, fault=fault,
                     server="prefork_server" if fault == "orphan" else "http1_server")
    assert got.status == 1 and red in support.red(got.json, "MUST"), got


def test_two_on_the_host_do_not_meet(open_place, mark):
    """Without namespaces ports are shared: two harnesses at once pick different ones."""
    rungs = [Rung("user-host", open_place, mark) for _ in range(3)]
    command = [str(open_place / "bin" / "http1_server"), "--port", "${PORT}"]
    children = [r.cli.start("check", *r.options, "-o", "json", "--", *command, prefix=r.prefix) for r in rungs]
    results = [r.cli.finish(c, 90) for r, c in zip(rungs, children)]
    assert [r.status for r in results] == [0, 0, 0], results


@pytest.mark.parametrize("which", ["harness", "worker"])
def test_descendants_die_with_a_killed_harness(rung, which):
    """SIGKILL of the harness, or of its worker alone, while a shell, its server and the server's workers run."""
    (rung.cli.cwd / "x.yaml").write_text("clients: []\nsignals:\n  - {send: SIGTERM, when: armed, after: 30s}\n")
    child = rung.cli.start("run", *rung.options, "x.yaml", "--", "sh", "-c",
                           f"{rung.place}/bin/prefork_server --port $PORT; true", prefix=rung.prefix,
                           env={"TMPDIR": rung.cli.cwd})
    support.await_(lambda: len(rung.cli.mark.targets("prefork_server")) >= 3, "master and workers")
    drainspec = {pid for pid, line in rung.cli.mark.processes().items() if "/drainspec run" in line}
    parents = {pid: support.parent_of(pid) for pid in drainspec}    # by kinship: pids wrap around in a long run
    victims = {"harness": [p for p in drainspec if parents[p] not in drainspec], "worker": drainspec - set(parents.values())}
    (victim,) = victims[which]
    support.os.kill(victim, 9)
    got = rung.cli.finish(child, 10)
    rung.cli.mark.assert_all_gone(2)
    if which == "worker":
        assert got.status == 3 and "killed by signal 9" in got.out + got.err, got


def test_who_was_there_before_is_left_alone(open_place, mark):
    """A shell that has started something and then executes drainspec leaves it its children."""
    rung = Rung("root-host", open_place, mark)
    command = [str(open_place / "bin" / "http1_server"), "--port", "${PORT}"]
    child = rung.cli.start("check", *rung.options, "--only", "quiet", "-o", "json", "--", *command,
                           prefix=["sh", "-c", '(sleep 71; :) & exec "$@"', "x", *rung.prefix])
    got = rung.cli.finish(child, 30)
    left = [pid for pid, line in rung.cli.mark.processes().items() if "sleep 71" in line]
    for pid in left:
        os.kill(pid, 9)
    assert got.status == 0 and len(left) == 2, (got, left)


def test_container_is_refused_where_it_cannot_be(open_place, mark):
    rung = Rung("user-confined", open_place, mark)
    got = rung.check("--isolate", "container", "--only", "quiet")
    assert got.status in (3, 77) and "namespace" in got.out + got.err, got


def test_the_filter_confines(tmp_path):
    """confine.py does what these tests rely on."""
    deny = support.subprocess.run([*CONFINED, "unshare", "-Ur", "true"], capture_output=True, text=True, check=False)
    allow = support.subprocess.run([*CONFINED, "sh", "-c", "(echo a; :) | cat"], capture_output=True, text=True, check=False)
    assert deny.returncode != 0 and "not permitted" in deny.stderr and allow.stdout == "a\n"
