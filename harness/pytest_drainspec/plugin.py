"""Hooks, the scenario item and the fixture."""
from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest

from .program import DrainspecError, DrainspecTimeout, execute, find_program, timeout_multiplier
from .result import Run

__all__ = ["pytest_addoption", "pytest_collect_file", "drainspec"]

DEFAULT_TIMEOUT = 120.0


class DrainspecWarning(UserWarning):
    """A SHOULD that was not met."""


class ScenarioFailed(Exception):
    """A scenario whose outcome is not PASS; the text is the report, for a person."""


def pytest_addoption(parser):
    parser.addini("drainspec_program", "the program drainspec (else $DRAINSPEC, ./drainspec, PATH)", default="")
    parser.addini("drainspec_scenarios", "folders whose *.yaml are scenarios", type="args", default=[])
    parser.addini("drainspec_command", "command for scenario files without a target", type="args", default=[])
    parser.addini("drainspec_options", "options for every run of drainspec", type="args", default=[])
    parser.addini("drainspec_timeout", "seconds that one run may take", default=str(DEFAULT_TIMEOUT))
    parser.addini("drainspec_evidence", "folder for the evidence (else pytest's temporary folder)", default="")


def pytest_collect_file(file_path, parent):
    if file_path.name.endswith(".drainspec.yaml") or (
            file_path.suffix == ".yaml" and _below_scenarios(file_path, parent.config)):
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


def _below_scenarios(path: Path, config) -> bool:
    base = config.inipath.parent if config.inipath else config.rootpath
    return any((base / folder).resolve() in path.resolve().parents for folder in config.getini("drainspec_scenarios"))


class ScenarioFile(pytest.File):
    def collect(self):
        yield ScenarioItem.from_parent(self, name=self.path.name.split(".")[0])


class ScenarioItem(pytest.Item):
    """One scenario file, run by drainspec."""

    def runtest(self):
        run = Runner(self).run_file(self.path, self.config.getini("drainspec_command"))
        _report_warnings(run)
        if run.exit_status == 77:
            # shown with the scenario's place instead of this line's
            raise pytest.skip.Exception("; ".join(_skip_reasons(run)) or "all skipped", _use_item_location=True)
        if not run.ok:
            raise ScenarioFailed(_failure_text(run))

    def repr_failure(self, excinfo, style=None):
        if isinstance(excinfo.value, (ScenarioFailed, DrainspecError)):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self):
        return self.path, 0, f"scenario {self.name}"


def _report_warnings(run: Run):
    for v in run.warned:
        warnings.warn(DrainspecWarning(f"{v.check} (SHOULD) {v.scenario}: {v.actual or v.title}"), stacklevel=1)


def _skip_reasons(run: Run) -> list:
    reasons = [s.skip_reason for s in run.scenarios if s.skip_reason]
    reasons += [v.actual for v in run.verdicts if v.outcome == "SKIP" and v.actual]
    return list(dict.fromkeys(reasons))


def _failure_text(run: Run) -> str:
    words = sorted({s.outcome for s in run.scenarios} - {"PASS", "SKIP"}) or ["failed"]
    return f"drainspec: {' and '.join(words)} (exit {run.exit_status})\n{failure_block(run.text)}"


def failure_block(text: str) -> str:
    """Of the text report what stands between its head line and its final counts: the failed checks, with proof."""
    lines = text.rstrip().splitlines()
    if not lines or not lines[0].startswith("drainspec "):
        return text.rstrip()
    end = next((i for i, line in enumerate(lines) if line.startswith("  checks  ")), len(lines))
    evidence = [line for line in lines[end:] if line.startswith(("  evidence", "  judge again"))]
    return "\n".join(lines[1:end] + evidence).strip("\n")


class Runner:
    """Runs drainspec for one test, and hangs text and evidence on that test's report."""

    def __init__(self, item):
        self.item = item
        self.config = item.config
        self.program = find_program(self.config.rootpath, self.config.getini("drainspec_program"))
        self.runs = 0

    def run_file(self, path, command, options=(), timeout=None, cwd=None) -> Run:
        tail = ["--", *map(str, command)] if command else []
        return self("run", options, [str(path), *tail], timeout, cwd)

    def __call__(self, verb, options, tail, timeout=None, cwd=None) -> Run:
        evidence = self._evidence()
        report = evidence / "report.json"
        argv = [str(self.program), verb, "--out", str(evidence), "-o", "text", "-o", f"json={report}",
                *self.config.getini("drainspec_options"), *options, *tail]
        cwd = cwd or self.config.rootpath
        limit = timeout or float(self.config.getini("drainspec_timeout"))
        status, text = execute(argv, cwd, evidence / "report.txt", limit * timeout_multiplier())
        run = Run(argv, status, text, _load(report), evidence, cwd)
        self._attach(run)
        if status in (126, 127) or (not run.report and status not in (5, 77)):   # a target that did not start proves nothing
            raise DrainspecError(f"{run.summary}\n{text.strip()}\n  command: {' '.join(argv)}")
        return run

    def _attach(self, run: Run):
        if self.runs == 1 or not run.ok:
            self.item.user_properties.append(("drainspec_evidence", str(run.evidence)))
            self.item.user_properties.append(("drainspec_exit", run.exit_status))
        self.item.add_report_section(self.item_phase, "drainspec", f"{run.text.rstrip()}\nevidence: {run.evidence}\n")

    item_phase = "call"

    def _evidence(self) -> Path:
        """A new empty folder by worker and test: xdist's workers, and a test's several runs, never share one."""
        self.runs += 1
        name = re.sub(r"[^A-Za-z0-9_.-]+", "-", self.item.nodeid).strip("-.")
        if len(name) > 80:
            name = f"{name[:60]}-{hashlib.sha1(self.item.nodeid.encode()).hexdigest()[:12]}"
        base = _evidence_base(self.config)
        folder = base / (name if self.runs == 1 else f"{name}.{self.runs}")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder


def _evidence_base(config) -> Path:
    """drainspec_evidence/WORKER, or below pytest's temporary folder, which is new for each session and each worker."""
    configured = config.getini("drainspec_evidence")
    if configured:
        return Path(config.rootpath, configured, os.environ.get("PYTEST_XDIST_WORKER", "main"))
    factory = getattr(config, "_tmp_path_factory", None)
    base = factory.getbasetemp() if factory else Path(tempfile.mkdtemp(prefix="drainspec-pytest-"))
    return base / "drainspec"


def _load(path: Path):
    try:
        return json.loads(path.read_text(encoding="utf-8", errors="replace"))
    except (OSError, ValueError):
        return None


class Drainspec:
    """The fixture: check() is the standard battery against a command, run() a scenario file."""

    def __init__(self, item):
        self._item = item
        self._runner = None

    @property
    def program(self) -> Path:
        return self._run().program

    def _run(self) -> Runner:
        if not self._runner:
            self._runner = Runner(self._item)
        return self._runner

    def check(self, command, *, timeout=None, cwd=None, **options) -> Run:
        """drainspec check. Options are those of the command line: slow=, signal=, grace=, only=[...], skip=[...], env={},
        protocol=, expect_exit=, isolate=, second=, strict=, port=, ... None, False, [] and {} mean "not said"."""
        return self._run()("check", option_words(options), ["--", *map(str, command)], timeout, cwd)

    def run(self, path, command=None, *, timeout=None, cwd=None, **options) -> Run:
        """drainspec run: a scenario file, looked for beside the test file, then in the working folder."""
        beside = self._item.path.parent / path
        return self._run().run_file(beside if beside.exists() else path, command, option_words(options), timeout, cwd)


def option_words(options: dict) -> list:
    """{"expect_exit": 0, "only": ["CON-1"], "env": {"A": "b"}, "strict": True} as words of the command line."""
    words = []
    for key, value in options.items():
        flag = "--" + key.replace("_", "-")
        if value is None or value is False or (isinstance(value, (list, tuple, dict)) and not value):
            continue
        if value is True:
            words.append(flag)
        elif isinstance(value, dict):
            for name, one in value.items():
                words += [flag, f"{name}={one}"]
        elif isinstance(value, (list, tuple)):
            for one in value:
                words += [flag, str(one)]
        else:
            words += [flag, str(value)]
    return words


@pytest.fixture
def drainspec(request) -> Drainspec:
    """Runs drainspec: see the plugin's own page (`python -m pydoc pytest_drainspec`)."""
    return Drainspec(request.node)
