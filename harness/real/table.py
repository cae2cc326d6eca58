"""docs/servers.md: what drainspec said about each server, from the JSON reports of a run of test_real.py.

    DRAINSPEC_TABLE=docs/servers.md pytest harness/real          writes it at the end of the session
    python harness/real/table.py REPORTS_FOLDER [FILE]           from reports that were kept
"""
from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import json

import rows

GROUPS = (      # column, scenarios of the battery
    ("in flight", ("in-flight", "half-closed", "pipelined", "ways", "streaming", "slow-reader")),
    ("idle", ("idle", "never-closes", "quiet")),
    ("half sent", ("half-header", "half-body")),
    ("stuck clients", ("silent", "never-reads")),
    ("queue, burst", ("backlog", "backlog-busy", "burst-new", "burst-reuse")),
    ("late, again", ("late", "restart", "restart-idle")),
    ("second signal", ("second-armed", "second-listener-closed", "second-after-listener-closed", "second-after-last-byte",
                       "second-int", "storm", "ways-terminal")),
    ("start, PID 1, leaks", ("startup-sweep", "pid1", "leaks")),
)

VERSIONS = {    # tool -> command whose output names its version
    "nginx": "nginx -v", "haproxy": "haproxy -v", "redis": "redis-server -v", "http.server": "/usr/bin/python3 -V",
    "gunicorn (Debian)": "/usr/bin/python3 -m gunicorn --version", "uvicorn (Debian)": "/usr/bin/python3 -m uvicorn --version",
    "apache": "apache2 -v", "lighttpd": "lighttpd -v", "puma": "puma --version", "java/jdk": "java -version",
    "java/jetty": "ls build/java/lib/jetty-server-*.jar", "rust/axum": "grep -A1 '\"axum\"' fixtures/rust/Cargo.lock",
    "rust/actix": "grep -A1 '\"actix-web\"' fixtures/rust/Cargo.lock",
    "tini": "tini --version", "dumb-init": "dumb-init --version", "go": "go version",
    **{f"go/{name}": f"grep {name}/websocket {rows.ROOT}/fixtures/go/go.mod" for name in ("gorilla", "coder")},
}

HEAD = """# What drainspec says about real servers

Written by `DRAINSPEC_TABLE=docs/servers.md pytest harness/real` from the reports of that run: not to be edited by hand. What is
expected of each row, and why, stands in `harness/real/servers.tsv`; the servers' contracts, measured without drainspec, in
`fixtures/real/README.md`.

✓ passes · **ID** a MUST that fails · *ID* a SHOULD that fails (a warning) · ? could not be decided · – not applicable.
Which SHOULD of the bursts fail differs from run to run: whether a connection is in the accept queue at the signal is chance.

## The whole battery, with the drain signal of the manual
"""

WRONG = """
## One scenario each: the manual's promise, the wrong signal, the version with the bug

`scenarios/real/NAME.yaml`
"""

WRAPPED = """
## Wrappers

The process that gets the signal is not the server. Within the container the wrapper is PID 1.
"""


def version(row) -> str:
    for tool in row.tools or ():
        if "/" in tool and not tool.startswith("go/") and tool not in VERSIONS:
            return re.sub(r"^[a-z]+/(?:[a-z]+-)?", "", tool)
        command = VERSIONS.get(tool) or VERSIONS.get("go" if tool.startswith("go/") else tool, "")
        try:
            out = subprocess.run(f"PATH=$PATH:/usr/sbin:/sbin {command} 2>&1", shell=True, stdout=subprocess.PIPE, text=True,
                                 check=False, timeout=20, cwd=rows.ROOT).stdout
        except subprocess.TimeoutExpired:
            continue
        found = re.search(r"\d+(?:\.\d+)+", out)
        if command and found:
            return found[0]
    return ""


def mark(verdict) -> str:
    check, outcome, level = verdict
    return {"FAIL": f"**{check}**" if level == "MUST" else f"*{check}*", "UNSURE": f"{check}?", "BROKEN": f"{check}!"}[outcome]


def cell(report, names) -> str:
    """What failed in these scenarios; ✓ if nothing did, – if nothing could be judged."""
    bad, passed = set(), False
    for s in report["scenarios"]:
        if names is not None and s["name"] not in names:
            continue
        for v in s["verdicts"]:
            passed |= v["outcome"] == "PASS"
            if v["outcome"] in ("FAIL", "UNSURE", "BROKEN"):
                bad.add((v["check"], v["outcome"], v["level"]))
    return " ".join(mark(v) for v in sorted(bad)) or ("✓" if passed else "–")


def ending(report) -> str:
    """How it ended in the quietest scenario: `exit 0`, `killed by SIGTERM`."""
    for s in sorted(report["scenarios"], key=lambda s: s["name"] != "quiet"):
        for v in s["verdicts"]:
            if v["check"] == "EXI-1" and v.get("actual") and v["outcome"] in ("PASS", "FAIL"):
                return re.split(r"[,;] ", v["actual"])[0]
    return "–"


def why(report, row) -> str:
    """The first MUST's own sentence and the table's note; else the SHOULD of which there is one for each check."""
    seen, texts = set(), []
    for s in report["scenarios"]:
        for v in s["verdicts"]:
            if v["outcome"] == "FAIL" and v["level"] == "MUST" and v["check"] not in seen:
                seen.add(v["check"])
                texts.append(f"{v['check']}: {shorten(v['actual'])}")
    if row.note:
        texts.append(row.note)
    return "; ".join(texts).replace("|", "\\|")


def shorten(text: str, n: int = 150) -> str:
    text = " ".join((text or "").split())
    text = re.sub(r"; suspect: .*|; the same on .*| \(frame \d+\)", "", text)
    return text if len(text) <= n else text[:n].rsplit(" ", 1)[0] + " …"


def line(*cells) -> str:
    return "| " + " | ".join(cells) + " |"


def write(path, all_rows, folder):
    """The page, from NAME.json in folder; rows without a report are not in it."""
    got = {row.name: json.loads((Path(folder) / f"{row.name}.json").read_text()) for row in all_rows
           if (Path(folder) / f"{row.name}.json").is_file()}
    there = [row for row in all_rows if row.name in got]
    wrapped = [row for row in there if row.name.startswith("wrap-")]
    text = HEAD + "\n"
    text += line("server", "version", "signal", *(g for g, _ in GROUPS), "exit") + "\n" + "|---" * (len(GROUPS) + 4) + "|\n"
    notes = ""
    for row in there:
        if row.battery and row not in wrapped:
            report = got[row.name]
            text += line(f"`{row.name}`", version(row), row.option("--signal", "SIGTERM").removeprefix("SIG"),
                         *(cell(report, names) for _, names in GROUPS), ending(report)) + "\n"
            if why(report, row):
                notes += f"- `{row.name}`: {why(report, row)}\n"
    text += "\n" + notes + WRONG + "\n" + line("scenario", "version", "fails", "exit", "what it said") + "\n" + "|---" * 5 + "|\n"
    for row in there:
        if not row.battery and row not in wrapped:
            report = got[row.name]
            text += line(f"`{row.name}`", version(row), cell(report, None), ending(report), why(report, row) or "–") + "\n"
    text += WRAPPED + "\n" + line("wrapper", "isolate", "fails", "exit", "what it said") + "\n" + "|---" * 5 + "|\n"
    for row in wrapped:
        report, command = got[row.name], " ".join(row.command)
        command = re.sub(r"fixtures/bin/http1_server --port \$\{PORT\}", "S", command)
        text += line(f"`{command}`", row.option("--isolate", "auto"), cell(report, None), ending(report), why(report, row) or "–") + "\n"
    Path(path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    write(sys.argv[2] if len(sys.argv) == 3 else rows.ROOT / "docs/servers.md", rows.table("servers.tsv"), sys.argv[1])
