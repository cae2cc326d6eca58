"""What several e2e tests need: running drainspec, looking at its processes, waiting for what can be seen."""
from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
import uuid
from contextlib import contextmanager
from pathlib import Path

import pytest
from pytest_drainspec.program import timeout_multiplier

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "fixtures" / "bin"
MARK = "DRAINSPEC_E2E_MARK"


def fixture(name: str, *options: str) -> list[str]:
    """Command line of one of the fixtures."""
    return [str(FIXTURES / name), "--port", "${PORT}", *options]


def await_(condition, what: str, seconds: float = 10, every: float = 0.005):
    """The first true value of condition(); AssertionError after the deadline."""
    watch, seconds = Stopwatch(), seconds * timeout_multiplier()
    last = time.monotonic() + 10 * seconds
    while True:
        value = condition()
        if value:
            return value
        if watch.seconds() > seconds or time.monotonic() > last:
            raise AssertionError(f"waited {seconds} s in vain for: {what}")
        time.sleep(every)       # pause of a poll; what is waited for is the condition


class Stopwatch:
    """Seconds since it was made, without those in which somebody on this machine could run and had no CPU (PSI): a kernel that
    starves a process for seconds beside a few busy loops has been seen, and says nothing about what is tested. PSI is an average
    over the CPUs that are not idle: one process that waits at one of two, both busy, is counted for half of the time."""

    def __init__(self):
        self.began, self._waited = time.monotonic(), self._total()

    @staticmethod
    def _total() -> float:
        try:
            return int(re.search(r"total=(\d+)", Path("/proc/pressure/cpu").read_text())[1]) / 1e6
        except (OSError, TypeError):
            return 0.0

    def seconds(self) -> float:
        elapsed = time.monotonic() - self.began
        return max(0.0, elapsed - os.cpu_count() * (self._total() - self._waited))


@contextmanager
def busy_loops(n: int, pin: tuple | list = ()):
    """n processes that take a core each, or the one of pin. They end with us, and by themselves after ten minutes."""
    code = "import os, sys, time\nend = time.time() + 600\nwhile time.time() < end and os.getppid() == int(sys.argv[1]):\n" \
           " for _ in range(1000000): pass"
    # a session each: the kernel may share out the CPUs among sessions first (sched_autogroup)
    loops = [subprocess.Popen([sys.executable, "-c", code, str(os.getpid())], start_new_session=True) for _ in range(n)]
    for loop, cpu in zip(loops, pin):
        os.sched_setaffinity(loop.pid, [cpu])
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@contextmanager
def throttled(share: float, n_loops: int = 0):
    """Words for `prefix`: what they start may have such a share of one CPU, in slices of 0.2 s, together with so many busy loops."""
    name, period = f"drainspec-{os.getpid()}", 200000
    v1, v2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
    old = (v1 / "tasks").exists()       # v2 has no such file
    group = (v1 if old else v2) / name
    try:
        group.mkdir()
        for file, text in ([("cpu.cfs_period_us", period), ("cpu.cfs_quota_us", int(share * period))] if old
                           else [("cpu.max", f"{int(share * period)} {period}")]):
            (group / file).write_text(str(text))
        enter = ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$0" "$@"']
        subprocess.run([*enter, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as e:
        if group.exists():
            group.rmdir()
        pytest.skip(f"no CPU quota to be had here: {e}")
    loops = [subprocess.Popen([*enter, sys.executable, "-c", "while True: pass"]) for _ in range(n_loops)]
    try:
        yield enter
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()
        await_(lambda: not (group / "cgroup.procs").read_text(), "the end of all under the quota")
        group.rmdir()


def preload(folder: Path, name: str) -> Path:
    """harness/e2e/NAME.c, made in folder, for LD_PRELOAD."""
    made = folder / f"{name}.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", made, ROOT / "harness" / "e2e" / f"{name}.c", "-ldl"], check=True)
    return made


class Mark:
    """Finds what a test has started by a mark in its environment, wherever it was adopted and whatever it calls itself."""

    def __init__(self):
        self.value = uuid.uuid4().hex
        self._line = f"{MARK}={self.value}".encode()

    def env(self, **more) -> dict:
        return {**os.environ, MARK: self.value, **{k: str(v) for k, v in more.items()}}

    def processes(self) -> dict:
        """pid -> command line of all that live with the mark (zombies have no environment)."""
        found = {}
        for entry in os.scandir("/proc"):
            if not entry.name.isdigit() or entry.name == str(os.getpid()):
                continue
            try:
                with open(f"/proc/{entry.name}/environ", "rb") as f:
                    if self._line not in f.read().split(b"\0"):
                        continue
                with open(f"/proc/{entry.name}/cmdline", "rb") as f:
                    found[int(entry.name)] = f.read().replace(b"\0", b" ").decode(errors="replace").strip()
            except OSError:
                continue        # gone meanwhile, or not ours to look at
        return found

    def targets(self, word: str) -> dict:
        """Those of processes() whose program (the command line's first word) contains word."""
        return {pid: line for pid, line in self.processes().items() if word in line.split(" ")[0]}

    def await_target(self, word: str, seconds: float = 10) -> int:
        """Pid of a target that runs: its exec has happened."""
        return next(iter(await_(lambda: self.targets(word), f"a process of {word}", seconds)))

    def assert_all_gone(self, seconds: float = 2):
        """Nothing with the mark is alive, at the latest after so long; what is left is killed, and named."""
        try:
            await_(lambda: not self.processes(), "the end of all processes", seconds)
        except AssertionError:
            left = self.processes()
            for pid in left:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            raise AssertionError(f"left alive: {left}") from None


class Result:
    """A finished drainspec."""

    def __init__(self, argv, status, out, err, took, cwd):
        self.argv, self.status, self.out, self.err, self.took, self.cwd = argv, status, out, err, took, cwd

    def __repr__(self):
        return f"exit {self.status} after {self.took:.2f} s: {' '.join(self.argv)}\n{self.out}{self.err}"

    @property
    def json(self) -> dict:
        """Of `-o json`."""
        return json.loads(self.out)


class Cli:
    """Runs drainspec in a folder of its own; bounded in time, marked, and never left behind."""

    def __init__(self, program, mark: Mark, folder: Path):
        self.program, self.mark, self.cwd = program, mark, folder / "cwd"
        self.cwd.mkdir()

    def __call__(self, *args, env=None, timeout=60, cwd=None, prefix=(), stdout=None) -> Result:
        child = self.start(*args, env=env, cwd=cwd, prefix=prefix, stdout=stdout)
        return self.finish(child, timeout)

    def start(self, *args, env=None, cwd=None, prefix=(), stdout=None) -> subprocess.Popen:
        argv = [*map(str, prefix), str(self.program), *map(str, args)]
        folder = Path(cwd or self.cwd)
        out = stdout or open(folder.parent / "stdout.txt", "w+b")
        err = open(folder.parent / "stderr.txt", "w+b")
        watch = Stopwatch()             # before: on a busy machine it may run for a while until Popen() returns
        child = subprocess.Popen(argv, cwd=folder, env=self.mark.env(**(env or {})), stdin=subprocess.DEVNULL,
                                 stdout=out, stderr=err, start_new_session=True)
        child.watch, child.files, child.folder = watch, (out, err), folder
        return child

    def finish(self, child, timeout=60) -> Result:
        """Wait for it. One that takes too long is killed, and fails the test."""
        if not await_exit(child, timeout * timeout_multiplier()):
            child.kill()
            child.wait()
            raise AssertionError(f"not ended after {timeout} s: {' '.join(child.args)}\n{self._texts(child)}")
        got = Result(child.args, child.returncode, *self._texts(child), child.took, child.folder)
        got.lasted = child.lasted
        return got

    @staticmethod
    def _texts(child):
        texts = []
        for f in child.files:
            if f.readable():
                f.seek(0)
                texts.append(f.read().decode(errors="replace"))
            else:
                texts.append("")
            f.close()
        return texts


def await_exit(child: subprocess.Popen, seconds: float) -> bool:
    """Popen.wait() looks every 50 ms only; this one wakes at once, and notes in child.took how long it lived (child.lasted: by the clock on
    the wall, for what must not be shorter)."""
    if child.poll() is not None:
        child.took, child.lasted = child.watch.seconds(), time.monotonic() - child.watch.began
        return True
    pidfd = os.pidfd_open(child.pid)
    try:
        ended = bool(select.select([pidfd], [], [], seconds)[0])
    finally:
        os.close(pidfd)
    child.took, child.lasted = child.watch.seconds(), time.monotonic() - child.watch.began
    if ended:
        child.wait()
    return ended


LISTEN, ESTABLISHED = "0A", "01"


def parent_of(pid: int) -> int:
    """PPID; 0 if it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def tcp_rows(pid: int) -> list[dict]:
    """TCP sockets of the network namespace of a process: {state, local, remote, rx}."""
    rows = []
    for name in ("tcp", "tcp6"):
        try:
            with open(f"/proc/{pid}/net/{name}") as f:
                for line in f.readlines()[1:]:
                    w = line.split()
                    rows.append({"state": w[3], "local": int(w[1].rsplit(":")[1], 16),
                                 "remote": int(w[2].rsplit(":")[1], 16), "rx": int(w[4].split(":")[1], 16)})
        except OSError:
            pass
    return rows


def listening_port(pid: int) -> int:
    """The port from a fixture's own command line, once its LISTEN row is there; 0 before."""
    with open(f"/proc/{pid}/cmdline") as f:
        words = f.read().split("\0")
    port = int(words[words.index("--port") + 1])
    return port if any(r["state"] == LISTEN and r["local"] == port for r in tcp_rows(pid)) else 0


NS = {"ns": 1, "us": 1e3, "µs": 1e3, "ms": 1e6, "s": 1e9}


def duration(text: str) -> float:
    """ns of a time as drainspec prints it: "7.03ms"."""
    number, unit = re.fullmatch(r"([0-9.]+) ?(\D+)", text).groups()
    return float(number) * NS[unit]


def read_events(folder: Path) -> list[dict]:
    """events.jsonl of a scenario's folder."""
    with open(Path(folder) / "events.jsonl") as f:
        return [json.loads(line) for line in f]


def verdicts(report: dict) -> list[tuple]:
    """(scenario, check, outcome, level) of a JSON report."""
    return [(s["name"], v["check"], v["outcome"], v["level"]) for s in report["scenarios"] for v in s["verdicts"]]


def red(report: dict, level: str) -> set:
    """Ids of the checks that FAIL at this level."""
    return {check for _, check, outcome, at in verdicts(report) if outcome == "FAIL" and at == level}


LEFT_OUT = "left out of this run by"
"""Words of a verdict that yields to a check which the scenario, --only or --skip leaves out."""


def unanswered(report: dict) -> list[str]:
    """Verdicts that leave what they saw to a check that does not FAIL in the same scenario: there must be none."""
    found = []
    for s in report["scenarios"]:
        failed = {v["check"] for v in s["verdicts"] if v["outcome"] == "FAIL"}
        told = {v["check"] for v in s["verdicts"]}
        for v in s["verdicts"]:
            named = set(re.findall(r"see ([A-Z]+-\d+(?:, [A-Z]+-\d+)*)", v["actual"] or ""))
            seen = set(v["see"]) | {i for ids in named for i in ids.split(", ")}
            absent = {x for x in seen - told if LEFT_OUT in (v["actual"] or "")}
            if v["outcome"] in ("PASS", "SKIP") and seen - failed - absent:
                found.append(f"{v['check']} in {s['name']}: {v['actual']} ({s['evidence']})")
    return found


def holder_kinds() -> list[str]:
    """enum holder_kind of target/port.h, by number."""
    text = (ROOT / "src/target/port.h").read_text()
    body = re.search(r"enum holder_kind \{(.*?)\};", text, re.S)[1]
    return [""] + re.findall(r"\bHOLDER_\w+", re.sub(r"/\*.*?\*/", "", body, flags=re.S))
