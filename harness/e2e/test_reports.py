"""All formats tell of one run the same, counted the same way: reports/README.md."""
import re
import xml.etree.ElementTree as tree

import pytest

from check_reports import CHECKS
from support import fixture

FORMATS = {"json": "r.json", "junit": "r.xml", "tap": "r.tap", "text": "r.txt", "github": "r.log"}


def reports(cli, *words, status):
    """One run, told in every format: {format: path}, each taken by its readers."""
    asked = [w for name, path in FORMATS.items() for w in ("-o", f"{name}={path}")]
    got = cli("check", "--grace", "800ms", *asked, *words)
    assert got.status == status, got
    paths = {name: cli.cwd / path for name, path in FORMATS.items()}
    for path in paths.values():
        CHECKS[path.suffix](path)
    return paths


def counted(line):
    """'1 FAILED, 2 warnings, 8 passed' -> {'fail': 1, 'warn': 2, 'pass': 8}"""
    names = {"FAILED": "fail", "BROKEN": "broken", "unsure": "unsure", "warning": "warn", "warnings": "warn", "passed": "pass",
             "skipped": "skip"}
    return {names[word]: int(n) for n, word in re.findall(r"(\d+) (\w+)", line)}


def text_counts(path, label):
    return counted(re.search(rf"^  {label} +(.*)$", path.read_text(), re.M).group(1))


RUNS = {
    "one MUST fails": (["--slow", "gate", "--only", "in-flight,quiet,backlog-busy,streaming", "--",
                        *fixture("http1_server", "--fault", "drop-inflight")], 1),
    "a SHOULD fails": (["--slow", "gate", "--only", "in-flight,quiet", "--",
                        *fixture("http1_server", "--fault", "no-goodbye")], 0),
    "a SHOULD fails, strictly": (["--strict", "--slow", "gate", "--only", "in-flight,quiet", "--",
                                  *fixture("http1_server", "--fault", "no-goodbye")], 1),
    "UNSURE": (["--slow", "GET /nowhere", "--only", "in-flight,quiet", "--", *fixture("http1_server")], 2),
    "all skipped": (["--only", "in-flight", "--", *fixture("http1_server")], 77),
    "started only once": (["--only", "quiet,idle", "--", "sh", "-c", "mkdir seen || exit 3; exec \"$@\"", "sh",
                           *fixture("http1_server")], 126),
    "not found": (["--only", "quiet", "--", "/nowhere/server"], 127),
    "cannot be executed": (["--only", "quiet", "--", "/etc/passwd"], 126),
    "never ready": (["--only", "quiet", "--", "sh", "-c", "echo no configuration; exit 3"], 126),
}


@pytest.mark.parametrize("what", RUNS)
def test_formats_agree(cli, what):
    import json
    words, status = RUNS[what]
    paths = reports(cli, *words, status=status)
    report = json.loads(paths["json"].read_text())
    verdicts, scenarios = report["verdict_counts"], report["scenario_counts"]
    alone = [s["kind"] for s in report["scenarios"]
             if not s["verdicts"] or (s["broken"] and not any(v["kind"] == "BROKEN" for v in s["verdicts"]))]

    kinds = [v["kind"].lower() for s in report["scenarios"] for v in s["verdicts"]]
    assert verdicts == {k: kinds.count(k) for k in verdicts}
    assert {k: n for k, n in verdicts.items() if n} == text_counts(paths["text"], "checks")
    assert {k: n for k, n in scenarios.items() if n} == text_counts(paths["text"], "scenarios")

    suites = tree.parse(paths["junit"]).getroot()
    total = {a: sum(int(s.get(a)) for s in suites) for a in ("tests", "failures", "errors", "skipped")}
    assert total == {
        "tests": sum(verdicts.values()) + len(alone), "failures": verdicts["fail"],
        "errors": verdicts["unsure"] + verdicts["broken"] + alone.count("BROKEN"),
        "skipped": verdicts["skip"] + verdicts["warn"] + alone.count("SKIP")}
    assert len(suites) == len(report["scenarios"])

    points = re.findall(r"^(not )?ok \d+ ", paths["tap"].read_text(), re.M)
    todo = len(re.findall(r"# TODO", paths["tap"].read_text()))
    assert len(points) == total["tests"] and todo == verdicts["warn"]
    assert len([p for p in points if p]) == total["failures"] + total["errors"] + todo


def test_annotations_cite_only_files_that_the_user_has(cli):
    words, status = RUNS["one MUST fails"]
    assert "file=" not in reports(cli, *words, status=status)["github"].read_text()
    (cli.cwd / "drainspec.yaml").write_text("slow: gate\n")
    text = reports(cli, *words, status=status)["github"].read_text()
    assert "::error file=drainspec.yaml,title=CON-1 " in text


def test_every_check_says_what_to_do(cli):
    for line in cli("list", "checks").out.splitlines():
        text = cli("explain", line.split()[0]).out
        assert re.search(r"^to do +\S+", text, re.M), f"explain {line.split()[0]} has no line that says what to do"
