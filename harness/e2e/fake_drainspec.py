#!/usr/bin/env python3
"""Stands in for drainspec in test_plugin.py: writes the reports that were asked for, with the outcome that the scenario
file (or the last word of the command) names. What the real one says is for the other tests."""
import json
import os
import signal
import sys
import time

EXIT = {"PASS": 0, "WARN": 0, "FAIL": 1, "UNSURE": 2, "BROKEN": 3, "SKIP": 77}
TEXT = """drainspec 0: does this shut down correctly?  fake

x {outcome}   fake scenario

  {outcome} CON-1 (MUST) fake scenario: a request in flight is answered
    actual      3 of 50 got no answer

  checks       1 {outcome}
  evidence     {out}
"""


def verdict(check, level, outcome):
    return {"check": check, "title": "a title", "level": level, "outcome": outcome, "expected": "all",
            "actual": f"{check} was {outcome}", "whose": "server", "hint": None, "events": [1], "frames": []}


def report(outcome, out, strict):
    verdicts = [verdict("CON-1", "MUST", "PASS" if outcome == "WARN" else outcome)]
    verdicts += [verdict("CON-7", "SHOULD", "FAIL")] * (outcome == "WARN")
    scenario = {"name": "fake scenario", "path": "fake.yaml", "why": None, "index": 0,
                "outcome": "PASS" if outcome == "WARN" else outcome, "should_failed": outcome == "WARN",
                "skip_reason": "no --slow was given" if outcome == "SKIP" else None,
                "broken": "the worker crashed" if outcome == "BROKEN" else None, "took_ns": 1500000000,
                "verdicts": verdicts, "connections": {"completed": 50, "truncated": 0}, "evidence": out}
    return {"version": 1, "strict": strict, "complete": True, "exit": EXIT[outcome], "notes": [], "evidence": out,
            "scenarios": [scenario, {**scenario, "name": "another"}]}


def main(argv):
    out = argv[argv.index("--out") + 1]
    files = dict(word.split("=", 1) for flag, word in zip(argv, argv[1:]) if flag == "-o" and "=" in word)
    words = argv[argv.index("--") + 1:] if "--" in argv else []
    outcome = words[-1] if words else open(argv[-1]).read().split()[-1]
    with open(os.path.join(out, "argv.json"), "w") as f:
        json.dump(argv, f)
    if outcome == "USAGE":
        print("drainspec: x.yaml:3:5: unknown key 'clinets', did you mean 'clients'?", file=sys.stderr)
        return 4
    if outcome.startswith("HANG"):
        if outcome == "HANG-DEAF":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        with open(os.path.join(out, "hanging"), "w"):
            pass
        for _ in range(600):    # a signal between Python's last look and a sleep of a minute would wait for its end
            time.sleep(0.1)
    with open(os.path.join(out, "events.jsonl"), "w") as f:
        f.write('{"n":1,"kind":"scenario"}\n{"n":2,"kind":"end"}\n')
    with open(files["json"], "w") as f:
        json.dump(report(outcome, out, "--strict" in argv), f)
    print(TEXT.format(outcome=outcome, out=out), end="")
    return 1 if outcome == "WARN" and "--strict" in argv else EXIT[outcome]


sys.exit(main(sys.argv))
