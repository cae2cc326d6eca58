"""Running a row, and comparing what drainspec said with what the row expects."""
from __future__ import annotations

import json
import os
import time

import pytest

import rows
import support
from pytest_drainspec.program import execute, timeout_multiplier

TIMEOUT = 120       # seconds: of one row; a battery takes less than 20


def run(row, program, mark, folder, monkeypatch):
    """(exit status, JSON report, text report). Skips if the row cannot run here; with CI=true that is an error."""
    why = rows.absent(row)
    if why and os.environ.get("CI") == "true":
        pytest.fail(f"CI=true, and {why}")
    if why:
        pytest.skip(why)
    monkeypatch.setenv(support.MARK, mark.value)
    report = folder / "report.json"
    status, text = execute([str(program), *row.argv(folder / "evidence", report)], rows.ROOT, folder / "text",
                           TIMEOUT * timeout_multiplier())
    assert report.is_file(), f"drainspec wrote no report, exit {status}:\n{text}"
    return status, json.loads(report.read_text()), text


def ids(report, outcome, level=None) -> set:
    return {check for _, check, got, at in support.verdicts(report) if got == outcome and level in (None, at)}


def compare(row, status, report, text):
    """Exactly what the row says, or AssertionError with drainspec's own report."""
    broken = [f"{s['name']}: {s.get('broken')}" for s in report["scenarios"] if s["outcome"] == "BROKEN"]
    red, should = ids(report, "FAIL", "MUST"), ids(report, "FAIL", "SHOULD")
    asserted = {check for check, is_asserted in row.should.items() if is_asserted}

    assert not broken, f"{row.place} BROKEN: {broken}\n{text}"
    assert row.must <= red, f"{row.place} {row.name}: {sorted(row.must - red)} did not FAIL\n{text}"
    assert red - row.may <= row.must, f"{row.place} {row.name}: {sorted(red - row.must - row.may)} must not FAIL\n{text}"
    assert asserted <= should, f"{row.place} {row.name}: SHOULD {sorted(asserted - should)} did not FAIL\n{text}"
    unsure = ids(report, "UNSURE")
    assert unsure <= row.may, f"{row.place} {row.name}: {sorted(unsure - row.may)} UNSURE\n{text}"
    assert status == (1 if red else 2 if unsure else 0), f"{row.place}: exit {status}\n{text}"
    assert red or ids(report, "PASS"), f"{row.place}: a run in which nothing is judged proves nothing\n{text}"


def check(row, program, mark, folder, monkeypatch):
    """run() and compare(); the report, for the table."""
    began = time.monotonic()
    status, report, text = run(row, program, mark, folder, monkeypatch)
    compare(row, status, report, text)
    print(f"{row.name}: {time.monotonic() - began:.1f} s")
    return report
