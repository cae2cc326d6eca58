#!/usr/bin/env python3
"""Are our reports what their readers take? Asks the readers: prove, xmllint, jsonschema.

    check_reports.py                        samples of every format (the unit test writes them)
    check_reports.py FILE...                reports of real runs, by suffix: .tap .xml .json .log .txt
Exits 0, or 1 after naming every file that a reader refuses. pytest imports the check_* functions: each raises AssertionError.
"""
import copy
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCHEMA = ROOT / "reports" / "schema.json"
XSD = ROOT / "harness" / "schemas" / "junit.xsd"
# What prove must say of each sample: a SHOULD is a warning, UNSURE and BROKEN are not passes.
SAMPLES_THAT_PASS = {"passed", "skipped"}


def run(*argv, **kw):
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **kw)


def check_tap(path, passes=None):
    """perl's TAP::Harness parses it without complaint; passes: what it has to conclude."""
    done = run("prove", "--exec", "cat", "--verbose", str(path), env={**os.environ, "LC_ALL": "C.UTF-8"})
    bailed = re.search(r"^Bail out!", path.read_text(), re.M)
    problems = re.findall(r"Parse errors:.*", done.stdout)
    # A run that bailed out has no plan, and says so by not having one.
    assert not problems or (bailed and problems == ["Parse errors: No plan found in TAP output"]), f"{path}: {done.stdout}"
    if passes is not None:
        assert (done.returncode == 0) == passes, f"{path}: prove exits {done.returncode}: {done.stdout}"
    check_yaml(path)


def check_yaml(path):
    """The diagnostics are YAML to TAP::Parser (it dies if not) and hold what they should."""
    script = ('use TAP::Parser; my $p = TAP::Parser->new({source => $ARGV[0]}); my ($n, $bad) = (0, 0);'
              'while (my $r = $p->next) { $bad++ if $r->is_unknown && $r->raw =~ /\\S/;'
              ' if ($r->is_yaml) { $n++; $bad++ unless ref $r->data eq "HASH" && $r->data->{outcome}; } }'
              'print "$n $bad\n"')
    done = run("perl", "-e", script, str(path))
    assert done.returncode == 0, f"{path}: {done.stdout}"
    blocks, bad = map(int, done.stdout.split())
    assert bad == 0, f"{path}: {bad} lines or blocks are not understood"
    assert blocks == path.read_text().count("\n  ---\n"), f"{path}: only {blocks} YAML blocks were found"


def check_junit(path):
    done = run("xmllint", "--noout", "--schema", str(XSD), str(path))
    assert done.returncode == 0, f"{path}: {done.stdout}"
    import xml.etree.ElementTree as tree
    root = tree.parse(path).getroot()
    for suite in root:
        for attr, element in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            seen = len(suite.findall(f"testcase/{element}"))
            assert int(suite.get(attr)) == seen, f"{path}: {attr}={suite.get(attr)}, but {seen} are there"
        assert int(suite.get("tests")) == len(suite.findall("testcase")), f"{path}: wrong number of tests"
    for attr in ("tests", "failures", "errors"):
        total = sum(int(suite.get(attr)) for suite in root)
        assert int(root.get(attr)) == total, f"{path}: {attr} of testsuites is not the sum"


def closed(schema):
    """The published schema lets fields be added; what we write today must have no others."""
    schema = copy.deepcopy(schema)
    todo = [schema]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            if "properties" in node:
                node["additionalProperties"] = False
            todo.extend(node.values())
        elif isinstance(node, list):
            todo.extend(node)
    return schema


def check_json(path):
    import jsonschema
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    report = json.loads(path.read_bytes().decode("utf-8", "strict"))
    errors = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}"
              for e in jsonschema.Draft202012Validator(closed(schema)).iter_errors(report)]
    assert not errors, f"{path}: {errors[:5]}"
    total = sum(len(scenario["verdicts"]) for scenario in report["scenarios"])
    assert sum(report["verdict_counts"].values()) == total, f"{path}: verdict_counts"
    assert sum(report["scenario_counts"].values()) == len(report["scenarios"]), f"{path}: scenario_counts"


def check_github(path):
    """Read as the runner reads: between ::stop-commands::TOKEN and ::TOKEN:: nothing is obeyed, elsewhere only ours may stand."""
    stop, groups = None, 0
    for line in path.read_text().splitlines():
        line = line.lstrip()
        if stop:
            stop = None if line == stop else stop
            continue
        command = re.match(r"::([a-z-]+)", line)
        assert command or "##[" not in line, f"{path}: {line}"
        if not command:
            continue
        assert command[1] in ("group", "endgroup", "error", "warning", "stop-commands"), f"{path}: {line}"
        groups += {"group": 1, "endgroup": -1}.get(command[1], 0)
        if command[1] == "stop-commands":
            stop = f"::{line.split('::')[2]}::"
    assert stop is None and groups == 0, f"{path}: commands stay stopped, or a group open"


def check_text(path):
    text = path.read_bytes().decode("utf-8", "strict")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text), f"{path}: control characters"


CHECKS = {".tap": check_tap, ".xml": check_junit, ".json": check_json, ".log": check_github, ".txt": check_text,
          ".md": check_text}


def write_samples(folder):
    """Samples by the unit test's program; built here if `make` has not yet."""
    program = pathlib.Path(os.environ.get("TEST_REPORT", ROOT / "build" / "unit" / "test_report"))
    if not program.exists():
        program = folder / "test_report"
        flags = run("pkg-config", "--cflags", "--libs", "check", "jansson").stdout.split()
        sources = [str(p) for layer in ("report", "base") for p in sorted((ROOT / "src" / layer).glob("*.c"))]
        done = run("cc", "-std=gnu17", "-D_GNU_SOURCE", f"-I{ROOT}/src", "-o", str(program),
                   f"{ROOT}/harness/unit/test_report.c", *sources, *flags, "-lm")
        assert done.returncode == 0, done.stdout
    samples = folder / "samples"
    samples.mkdir()
    done = run(str(program), "--write", str(samples))
    assert done.returncode == 0, done.stdout
    return sorted(samples.iterdir())


def main(argv):
    with tempfile.TemporaryDirectory() as folder:
        real = [pathlib.Path(a) for a in argv]
        files, bad = real or write_samples(pathlib.Path(folder)), 0
        for path in files:
            try:
                if path.suffix == ".tap" and not real:
                    check_tap(path, passes=path.stem in SAMPLES_THAT_PASS or path.stem == "empty")
                else:
                    CHECKS[path.suffix](path)
            except AssertionError as error:
                bad += 1
                print(error, file=sys.stderr)
        print(f"{len(files)} reports checked, {bad} refused")
        return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
