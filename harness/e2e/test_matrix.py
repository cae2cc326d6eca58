"""Every check has a fault that turns it red, every fault turns exactly its checks red, and no fault turns none: matrix.tsv."""
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import pytest

import support
from support import FIXTURES, ROOT

MATRIX = ROOT / "harness" / "matrix.tsv"
FAULTS = ROOT / "fixtures" / "faults.def"
SCENARIOS = Path(__file__).with_name("scenarios")
PROGRAMS = {"http1": "http1_server", "raw": "raw_server", "prefork": "prefork_server", "resp": "resp_server",
            "hello": "hello_server", "http1_tls": "http1_tls_server", "h2": "h2_server"}
GRACE = ["--grace", "800ms"]
DRAIN = ["--drain-timeout", "300ms"]
"""Of the fixtures: how long a peer that does not read is waited for. Well below the grace, also on a busy machine."""


@dataclass(frozen=True)
class Line:
    number: int
    server: str
    fault: str          # "-": none
    options: tuple      # of drainspec
    arguments: tuple    # of the server
    scenarios: str
    must: frozenset
    should: frozenset
    unsure: frozenset

    @property
    def id(self):
        reds = " ".join(sorted(self.must | self.should | self.unsure)) or "green"
        return f"{self.server}-{self.fault}-{reds}-line{self.number}"


def parse_checks(words):
    """("CON-1 HAR-3?") -> (checks that FAIL, checks that are UNSURE); "-" is none."""
    ids = [] if words == "-" else words.split()
    assert all(re.fullmatch(r"[A-Z]+-\d+\??", i) for i in ids), words
    return frozenset(i for i in ids if i[-1] != "?"), frozenset(i[:-1] for i in ids if i[-1] == "?")


def parse(text):
    """Lines of the matrix; a mistake in it fails here, with the line's number."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        columns = line.split("\t")
        assert len(columns) == 6, f"matrix.tsv:{number}: {len(columns)} columns instead of 6"
        server, fault, options, scenarios, must, should = columns
        words = [] if options == "-" else [w.replace("\\n", "\n").replace("ROOT/", f"{ROOT}/")
                                           for w in shlex.split(options)]
        at = words.index("--") if "--" in words else len(words)
        (must, unsure), (should, none) = parse_checks(must), parse_checks(should)
        assert not none, f"matrix.tsv:{number}: UNSURE belongs into the fifth column"
        yield Line(number, server, fault, tuple(words[:at]), tuple(words[at + 1:]), scenarios, must, should, unsure)


LINES = list(parse(MATRIX.read_text()))


def command(line):
    program = FIXTURES / PROGRAMS.get(line.server, line.server)
    unix = line.scenarios.endswith(".yaml") and "unix:" in (SCENARIOS / line.scenarios).read_text()
    port = [] if "none" in line.options else ["--unix" if unix else "--port", "${PORT}", *DRAIN]
    return [program, *port, *line.arguments, *(["--fault", line.fault] if line.fault != "-" else [])]


def run(cli, line):
    options = [*GRACE, *line.options, "-o", "json"]
    if line.scenarios.endswith(".yaml"):
        words = ["run", *options, SCENARIOS / line.scenarios]
    elif line.scenarios == "*":
        words = ["check", *options]
    else:
        words = ["check", *options, "--only", line.scenarios]
    return cli(*words, "--", *command(line))


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.id)
def test_line(cli, line):
    got = run(cli, line)
    assert got.status in (0, 1, 2), got
    report = got.json
    assert not [s["broken"] for s in report["scenarios"] if s["outcome"] == "BROKEN"]
    unsure = {check for _, check, outcome, _ in support.verdicts(report) if outcome == "UNSURE"}
    for kind, found, wanted in (("fail as MUST", support.red(report, "MUST"), line.must),
                                ("fail as SHOULD", support.red(report, "SHOULD"), line.should),
                                ("are UNSURE", unsure, line.unsure)):
        assert found == wanted, f"these {kind} and should not: {sorted(found - wanted)}; " \
            f"should and do not: {sorted(wanted - found)}{said_of(report, found ^ wanted)}"
    assert not support.unanswered(report), "verdicts that yield to a check that did not fail"
    assert got.status == (1 if line.must else 2 if line.unsure else 0), got
    passed = [v for v in support.verdicts(report) if v[2] == "PASS"]
    assert passed or line.must or line.unsure, "a line on which nothing is judged proves nothing"


def said_of(report, checks):
    """What the report says about these checks, for the reader of a failed test."""
    found = [(v["outcome"] in ("PASS", "SKIP"),
              f"\n  {v['check']} {v['outcome']} {v['level']} in {s['name']}: {v['actual']} ({s['evidence']})")
             for s in report["scenarios"] for v in s["verdicts"] if v["check"] in checks]
    return "".join(text for _, text in sorted(found)[:8])


# The matrix is complete.

WAITING = set()
"""Servers of a protocol that drainspec does not speak yet."""


def declared_faults():
    """(server, fault) of faults.def."""
    rows = re.findall(r'^X\(([\w |]+), \w+, "([\w-]+)"', FAULTS.read_text(), re.M)
    found = {(server.strip(), fault) for servers, fault in rows for server in servers.split("|")}
    return {(server, fault) for server, fault in found if server not in WAITING}


def test_every_fault_is_in_the_matrix():
    declared, here = declared_faults(), {(line.server, line.fault) for line in LINES if line.fault != "-"}
    assert len(declared) > 50
    assert not declared - here, "faults of faults.def without a line in matrix.tsv"
    assert not here - declared, "lines of matrix.tsv with a fault that faults.def does not have"


def test_every_server_has_a_line_without_fault():
    green = {line.server for line in LINES if line.fault == "-"}
    assert {server for server, _ in declared_faults()} <= green
    assert all(not (line.must | line.should | line.unsure) for line in LINES if line.fault == "-")


def test_every_check_turns_red(cli):
    levels = {line.split()[0]: line.split()[1] for line in cli("list", "checks").out.splitlines()}
    reds = {check for line in LINES for check in line.must | line.should}
    assert len(levels) > 35
    assert not {c for c in levels if not c.startswith("HAR-")} - reds, "checks that no fault turns red"
    assert not reds - set(levels), "checks of matrix.tsv that do not exist"


def test_every_check_has_a_fault_of_its_own(cli):
    """Exactly one check red: the fault and nothing around it is what the check sees."""
    alone = {next(iter(line.must | line.should)) for line in LINES if len(line.must | line.should) == 1 and not line.unsure}
    checks = {line.split()[0] for line in cli("list", "checks").out.splitlines()} - WITH_OTHERS
    assert not {c for c in checks if not c.startswith("HAR-")} - alone


WITH_OTHERS = set()
"""Checks whose faults cannot break only one thing."""


def test_the_parser_sees_mistakes():
    good = "http1\tx\t--second force -- --pidfile a\tquiet\tCON-1 HAR-3?\t-"
    line, = parse("# comment\n\n" + good)
    assert line.options == ("--second", "force") and line.arguments == ("--pidfile", "a") and line.number == 3
    assert (line.must, line.should, line.unsure) == ({"CON-1"}, set(), {"HAR-3"})
    for bad in ("http1\tx\t-\t*\tCON-1", good.replace("CON-1", "con1"), "http1\tx\t-\t*\t-\tHAR-3?"):
        with pytest.raises(AssertionError):
            list(parse(bad))
