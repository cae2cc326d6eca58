"""Hand-over: servers that are known to be good lose nothing in ten thousand connections; what is wrong is red. restart.tsv."""
import json
import re

import pytest

import judged
import rows

ROWS = rows.table("restart.tsv")
ENOUGH = 10_000
"""Connections over which a good hand-over must lose none."""


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_restart(row, program, mark, tmp_path, monkeypatch):
    report = judged.check(row, program, mark, tmp_path, monkeypatch)
    verdicts = {v["check"]: v for v in report["scenarios"][0]["verdicts"]}
    streams = "answers:" in (rows.ROOT / row.what).read_text()
    if "UPG-1" in verdicts and not row.must and streams:
        assert_nothing_lost(verdicts["UPG-1"]["actual"])


def assert_nothing_lost(actual):
    """As many answers as ENOUGH, and every one of them known by its generation."""
    connections, answers, known = (int(n) for n in re.search(
        r"(\d+) connections and (\d+) answers over .*none lost.*; (\d+) of the answers are known", actual).groups())
    assert answers >= ENOUGH and connections >= ENOUGH * 2 // 3, actual
    assert known == answers, actual


def test_the_old_process_is_named(program, mark, tmp_path, monkeypatch):
    """Started while the old one drains: address in use, by whom, and that it is the old process."""
    row, = (row for row in ROWS if row.name == "gunicorn-overlap")
    _, report, text = judged.run(row, program, mark, tmp_path, monkeypatch)
    lsn_4, = (v for v in report["scenarios"][0]["verdicts"] if v["check"] == "LSN-4")
    holder = re.search(r"python3 \(pid (\d+), fd \d+\) listens on 127\.0\.0\.1:\d+", lsn_4["actual"])
    events = next((tmp_path / "evidence").rglob("events.jsonl")).read_text().splitlines()
    old = [e for e in map(json.loads, events) if e["kind"] == "launch"][0]["pid"]
    said = next((tmp_path / "evidence").rglob("stderr.log")).read_text()
    assert holder and int(holder[1]) >= old and "Connection in use" in said, text


def test_every_scenario_has_a_row():
    here = {str(p.relative_to(rows.ROOT)) for p in (rows.ROOT / "scenarios/restart").glob("*.yaml")}
    assert here == {row.what for row in ROWS}
