"""The systems of the five articles: good ways are green, each fault turns exactly its checks red. systems.tsv."""
import json
import os
import re
import signal
import subprocess

import pytest

import judged
import rows
import support

ROWS = rows.table("systems.tsv")
BY_NAME = {row.name: row for row in ROWS}


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_system(row, program, mark, tmp_path, monkeypatch):
    judged.check(row, program, mark, tmp_path, monkeypatch)


def test_every_scenario_has_a_row():
    here = {str(p.relative_to(rows.ROOT)) for p in (rows.ROOT / "scenarios/systems").glob("*.yaml")}
    assert here == {row.what for row in ROWS}


def outcomes(row, program, mark, tmp_path, monkeypatch):
    """Connections by outcome, and the report's text."""
    _, report, text = judged.run(row, program, mark, tmp_path, monkeypatch)
    return report["scenarios"][0]["connections"], text


@pytest.mark.parametrize("name", [
    "s5-gap", pytest.param("go-s5-gap", marks=pytest.mark.go)])
def test_s5_the_gap_is_counted(name, program, mark, tmp_path, monkeypatch):
    """40 ms of gap, two visitors every millisecond: tens of refusals, counted, and told with their time."""
    got, text = outcomes(BY_NAME[name], program, mark, tmp_path, monkeypatch)
    assert got["refused-after"] >= 10, text
    assert re.search(r"port \d+ refused .* and accepted .* (\d+(\.\d+)?)ms\s+later", " ".join(text.split())), text


@pytest.mark.parametrize("name, good", [("s8b-two-phase-start", True), ("s8b-listen-twice", False)])
def test_s8b_the_pause(name, good, program, mark, tmp_path, monkeypatch):
    """Connections between Listen and Serve: served; or reset, when the first socket is not the one that is served."""
    got, text = outcomes(BY_NAME[name], program, mark, tmp_path, monkeypatch)
    assert (got["completed"] >= 4 and not got["reset-in-flight"]) if good else got["reset-in-flight"] >= 3, text


def test_s6a_the_holder_is_the_process_itself(program, mark, tmp_path):
    """Two Listen on one address: `drainspec port` names the process that has it."""
    listener = support.ROOT / "fixtures/bin/sys_s6a"
    with open(tmp_path / "err", "w+b") as err:
        target = subprocess.Popen([listener, "--port", "0", "--ready-log"], env=mark.env(), stdout=subprocess.PIPE, stderr=err)
        try:
            port = int(re.search(rb"listening on (\d+)", target.stdout.readline())[1])
            out = subprocess.run([program, "port", str(port)], stdout=subprocess.PIPE, text=True, check=False, timeout=20).stdout
            assert re.search(rf"sys_s6a \(pid {target.pid}, fd \d+\)", out), out
            assert b"address already in use" in (tmp_path / "err").read_bytes()
        finally:
            os.kill(target.pid, signal.SIGTERM)
            target.wait(10)


def test_s6b_the_descriptor_that_stays_is_named(program, mark, tmp_path, monkeypatch):
    """One of two descriptors was closed: the report says that the process still listens."""
    _, _, text = judged.run(BY_NAME["s6b-close-one"], program, mark, tmp_path, monkeypatch)
    assert "its listener was open to the end" in " ".join(text.split()), text


@pytest.mark.go
@pytest.mark.parametrize("name", ["go-s1a-not-waited-for", "go-s1b-not-waited-for", "go-s1c-stop",
                                  "go-s3-stop", "go-s3-main-returns"])
def test_the_calls_are_lost(name, program, mark, tmp_path, monkeypatch):
    """The connection of every call ends without its answer; by FIN or by RST is the kernel's choice."""
    status, report, text = judged.run(BY_NAME[name], program, mark, tmp_path, monkeypatch)
    got = report["scenarios"][0]["connections"]
    clients = 2 if "-s1" in name else 1
    assert status == 1 and got.get("fin-no-response", 0) + got.get("reset-in-flight", 0) + got.get("truncated", 0) == clients, text
    assert judged.ids(report, "FAIL", "MUST") & {"CON-1", "CON-2"}, text


@pytest.mark.parametrize("name", [
    "s1-restart-in-use", pytest.param("go-s1-restart-in-use", marks=pytest.mark.go)])
def test_s1_the_old_process_is_named(name, program, mark, tmp_path, monkeypatch):
    """Started while the old one is there: the report names the process that got the signal, and both of its ports."""
    _, report, text = judged.run(BY_NAME[name], program, mark, tmp_path, monkeypatch)
    events = [json.loads(line) for line in open(os.path.join(report["scenarios"][0]["evidence"], "events.jsonl"), encoding="utf-8")]
    old = next(e["pid"] for e in events if e["kind"] == "launch")
    held = [e for e in events if e["kind"] == "port-holder" and re.search(rf"s1 \(pid {old}, fd \d+\) listens", e["text"])]
    assert len({e["port"] for e in held}) == 2, text
    assert re.search(rf"s1 \(pid {old}, fd \d+\)\s+listens", text), text


@pytest.mark.go
def test_the_goroutine_that_is_stuck_is_named(program, mark, tmp_path, monkeypatch):
    """Of a Go target that was asked for its stacks: its own last lines, where main waits, and the worker that main waits for."""
    _, report, text = judged.run(BY_NAME["go-s8c-busy"], program, mark, tmp_path, monkeypatch)
    exi_2 = next(v for v in report["scenarios"][0]["verdicts"] if v["check"] == "EXI-2")
    assert re.search(r"goroutine 1 \[\S*Wait\S*\] in main\.main \(main\.go:\d+\), goroutine \d+ \[sleep\] in main\.\(\*pool\)\.item",
                     exi_2["actual"]), text
    tail = report["scenarios"][0]["target_tail"]
    assert "stopping\ngoroutine 1 [" in tail and "SIGQUIT: quit" not in tail and "rflags" not in tail, tail


@pytest.mark.go
def test_s6c_who_waits_for_whom(program, mark, tmp_path, monkeypatch):
    """The article's parents wait in cmd.Run() for the child that has taken over: named before the clients that they hold."""
    _, report, text = judged.run(BY_NAME["go-s6c-article"], program, mark, tmp_path, monkeypatch)
    upg_2 = next(v for v in report["scenarios"][0]["verdicts"] if v["check"] == "UPG-2")
    assert re.search(r"with the listening socket open: waiting for a child process in waitid: \d+ 's6c' \(state S\) has not ended; it "
                     r"has the same listening socket open", upg_2["actual"]), text
