"""What a run of drainspec has shown, read from its JSON report (reports/schema.json)."""
from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

_WORST_FIRST = ("FAIL", "BROKEN", "UNSURE", "PASS", "SKIP")


@dataclass(frozen=True)
class Verdict:
    """One check in one scenario."""
    check: str
    outcome: str        # PASS FAIL UNSURE SKIP BROKEN
    level: str          # MUST SHOULD
    scenario: str
    title: str = ""
    expected: Optional[str] = None
    actual: Optional[str] = None
    whose: Optional[str] = None
    hint: Optional[str] = None
    events: tuple = ()
    frames: tuple = ()

    @property
    def passed(self) -> bool:
        return self.outcome == "PASS"

    def __repr__(self):
        return f"<{self.check} {self.outcome} ({self.level}) in '{self.scenario}'" + (
            f": {self.actual}>" if self.actual else ">")


@dataclass(frozen=True)
class Scenario:
    """One scenario: its verdicts by check id, and what became of its connections."""
    name: str
    outcome: str
    verdicts: dict
    connections: dict
    evidence: Optional[Path]
    path: Optional[str] = None
    why: Optional[str] = None
    should_failed: bool = False
    skip_reason: Optional[str] = None
    broken: Optional[str] = None
    story: Optional[str] = None
    target_tail: Optional[str] = None
    took: float = 0.0
    _events: list = field(default_factory=list, repr=False)

    @property
    def events(self) -> list:
        """Everything that was seen, one dict an event; event number n of a verdict is events[n - 1]."""
        if not self._events and self.evidence:
            with open(self.evidence / "events.jsonl", encoding="utf-8", errors="replace") as lines:
                self._events.extend(json.loads(line) for line in lines)
        return self._events

    @property
    def failed(self) -> list:
        """Verdicts that FAIL, MUST and SHOULD."""
        return [v for v in self.verdicts.values() if v.outcome == "FAIL"]

    def __repr__(self):
        reason = self.broken or self.skip_reason or " ".join(v.check for v in self.failed)
        return f"<scenario '{self.name}' {self.outcome}" + (f": {reason}>" if reason else ">")


class Run:
    """The result of one run. True if all MUST hold."""

    def __init__(self, argv, exit_status: int, text: str, report: Optional[dict], evidence: Path, cwd):
        self.argv = [str(a) for a in argv]
        self.exit_status = exit_status
        self.text = text
        self.evidence = evidence
        self.report = report or {}
        self.strict = bool(self.report.get("strict"))
        self.complete = bool(self.report.get("complete"))
        self.scenarios = [_scenario(s, cwd) for s in self.report.get("scenarios", ())]

    @property
    def ok(self) -> bool:
        return self.exit_status == 0

    def __bool__(self):
        return self.ok

    @property
    def verdicts(self) -> list:
        return [v for s in self.scenarios for v in s.verdicts.values()]

    @property
    def failed(self) -> list:
        """Verdicts that fail the run: MUST, and SHOULD if it was strict."""
        return [v for v in self.verdicts if v.outcome == "FAIL" and (v.level == "MUST" or self.strict)]

    @property
    def warned(self) -> list:
        """SHOULD that were not met and do not fail the run."""
        return [v for v in self.verdicts if v.outcome == "FAIL" and v.level != "MUST" and not self.strict]

    @property
    def outcomes(self) -> Counter:
        """Connections by outcome, over all scenarios: run.outcomes["completed"]."""
        total = Counter()
        for scenario in self.scenarios:
            total.update(scenario.connections)
        return total

    def verdict(self, check: str) -> Verdict:
        """The worst verdict of this check in any scenario."""
        found = [v for v in self.verdicts if v.check == check]
        if not found:
            judged = " ".join(sorted({v.check for v in self.verdicts})) or "none"
            raise KeyError(f"{check} was not judged in this run; judged were: {judged}")
        return min(found, key=lambda v: _WORST_FIRST.index(v.outcome))

    def scenario(self, name: str) -> Scenario:
        for scenario in self.scenarios:
            if scenario.name == name or (scenario.path and Path(scenario.path).name.split(".")[0] == name):
                return scenario
        raise KeyError(f"no scenario '{name}' in this run; there are: {', '.join(s.name for s in self.scenarios)}")

    def assert_ok(self):
        """AssertionError with the text report unless all MUST hold; UNSURE is not good enough."""
        __tracebackhide__ = True
        if not self.ok:
            raise AssertionError(f"{self.summary}\n{self.text}")
        return self

    @property
    def summary(self) -> str:
        return f"drainspec: {_EXIT_WORDS.get(self.exit_status, 'failed')} (exit {self.exit_status})"

    def __repr__(self):
        bad = [repr(v) for v in self.failed] or [repr(s) for s in self.scenarios if s.outcome in ("UNSURE", "BROKEN")]
        if not bad and not self.scenarios:
            bad = [self.text.strip().splitlines()[-1]] if self.text.strip() else []
        return f"<Run {self.summary}, {len(self.scenarios)} scenarios, evidence in {self.evidence}" + "".join(
            "\n  " + line for line in bad) + ">"


_EXIT_WORDS = {
    0: "all MUST hold", 1: "a check FAILed", 2: "UNSURE", 3: "harness failure", 4: "usage or scenario error",
    5: "nothing selected", 77: "all skipped", 126: "the target cannot be started", 127: "the target was not found",
    130: "interrupted", 143: "interrupted",
}


def _scenario(raw: dict, cwd) -> Scenario:
    verdicts = {}
    for v in raw.get("verdicts", ()):
        verdicts[v["check"]] = Verdict(
            check=v["check"], outcome=v["outcome"], level=v["level"], scenario=raw["name"], title=v.get("title") or "",
            expected=v.get("expected"), actual=v.get("actual"), whose=v.get("whose"), hint=v.get("hint"),
            events=tuple(v.get("events") or ()), frames=tuple(v.get("frames") or ()))
    return Scenario(
        name=raw["name"], outcome=raw["outcome"], verdicts=verdicts, connections=dict(raw.get("connections") or {}),
        evidence=Path(cwd, raw["evidence"]) if raw.get("evidence") else None, path=raw.get("path"), why=raw.get("why"),
        should_failed=bool(raw.get("should_failed")), skip_reason=raw.get("skip_reason"), broken=raw.get("broken"),
        story=raw.get("story"), target_tail=raw.get("target_tail"), took=(raw.get("took_ns") or 0) / 1e9)
