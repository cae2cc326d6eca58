"""What docs/architecture.md promises about the sources: arrows point one way, budgets are kept, nothing is timed by sleep."""
import re

from support import ROOT

SRC = ROOT / "src"
SOURCES = sorted(p for p in SRC.glob("*/*") if p.suffix in (".c", ".h", ".def", ".inc"))
FILE_LINES, FUNCTION_LINES, CHECK_LINES = 500, 60, 120
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def layers():
    """Folders in the order of the table in docs/architecture.md: each may include itself and those before it."""
    table = re.findall(r"^\| `(\w+)/` \|", (ROOT / "docs" / "architecture.md").read_text(), re.M)
    assert len(table) > 5, "docs/architecture.md has no table of layers any more"
    return table


def allowed(layer):
    order = layers()
    if layer == "judge":
        return {"base", "event", "scenario", "plan", "judge"}
    return set(order[:order.index(layer) + 1])


def wrong_includes(layer, text, generated=("gen",)):
    """Folders that a source of this layer includes and may not."""
    used = {name.split("/")[0] for name in INCLUDE.findall(text) if "/" in name}
    return sorted(used - allowed(layer) - set(generated))


def without_comments_and_texts(text):
    """C source in which comments, strings and characters are blank; lines stay where they are."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group())
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text, flags=re.S)


def long_functions(text, limit=FUNCTION_LINES):
    """(first line, length) of functions over the limit: a brace at the margin to its closing one."""
    found, start = [], None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("{"):
            start = number
        elif line.startswith("}") and start:
            if number - start + 1 > limit:
                found.append((start, number - start + 1))
            start = None
    return found


def test_includes_point_left_to_right():
    unknown = {p.parent.name for p in SOURCES} - set(layers())
    assert not unknown, "folders that the table of docs/architecture.md does not have"
    wrong = {name(p): wrong_includes(p.parent.name, p.read_text()) for p in SOURCES}
    assert not only_found(wrong), "includes against the flow of docs/architecture.md"


def test_file_budgets():
    over = {name(p): lines(p) for p in SOURCES if p.suffix in (".c", ".h") and lines(p) > limit_of(p)}
    assert not over, "files with more lines than their budget"


def test_file_budgets_of_the_tests_in_c():
    folders = [ROOT / "harness" / "unit", ROOT / "harness" / "fuzz", ROOT / "fixtures", ROOT / "fixtures" / "lib"]
    over = {p.name: lines(p) for folder in folders for p in folder.glob("*.[ch]") if lines(p) > FILE_LINES}
    assert not over, "split by subject; what they share goes into a header"


def limit_of(path):
    """A file of the judge may hold several checks that belong together, each with its texts."""
    checks = len(re.findall(r"^const struct check check_", path.read_text(), re.M)) if path.parent.name == "judge" else 0
    return min(FILE_LINES, checks * CHECK_LINES) if checks else FILE_LINES


def test_function_budget():
    long = {name(p): long_functions(p.read_text()) for p in SOURCES}
    assert not only_found(long), f"functions over {FUNCTION_LINES} lines, as (line, length)"


SLEEPS = re.compile(r"\b(?:u|nano|clock_nano)?sleep\s*\(")
MEASURES = {"target/autopsy_thread.c"}
"""An interval is what these are about: CPU time used in it. Nothing waits for its end to decide anything."""
SOCKETS_AND_FILES = re.compile(
    r"\b(?:socket|connect|recv|send|read|write|open|openat|fopen|stat|lstat|access|kill|fork|system|popen|getenv|time|"
    r"clock_gettime|clock_now|printf|fprintf|exit)\s*\(")


def test_no_sleep():
    asleep = {name(p): SLEEPS.findall(without_comments_and_texts(p.read_text())) for p in SOURCES}
    assert not set(only_found(asleep)) - MEASURES, "armed by evidence, never by time: wait for an event with a deadline"
    assert sum(map(len, asleep.values())) <= len(MEASURES)


def test_judge_is_pure():
    calls = {name(p): SOCKETS_AND_FILES.findall(without_comments_and_texts(p.read_text()))
             for p in SOURCES if p.parent.name == "judge"}
    assert not only_found(calls), "judging reads events and nothing else, so any run can be judged again"


def name(path):
    return str(path.relative_to(SRC))


def lines(path):
    return path.read_text().count("\n")


def only_found(by_name):
    return {k: v for k, v in by_name.items() if v}


# The tools above see what they are meant to see.

def test_a_wrong_include_is_seen():
    assert wrong_includes("event", '#include "run/run.h"\n#include "base/buf.h"\n') == ["run"]
    assert wrong_includes("judge", '#include "target/diag.h"\n') == ["target"]
    assert wrong_includes("judge", '#include "plan/plan.h"\n#include <stdio.h>\n') == []
    assert wrong_includes("cli", '#include "judge/judge.h"\n') == []


def test_a_long_function_is_seen():
    body = "\tx();\n"
    assert long_functions("int f(void)\n{\n" + body * 58 + "}\n") == []
    assert long_functions("int f(void)\n{\n" + body * 59 + "}\n") == [(2, 61)]


def test_sleep_is_seen_only_in_code():
    assert SLEEPS.findall(without_comments_and_texts("\tusleep(10);")) and SLEEPS.findall("\tnanosleep (&t, NULL);")
    assert not SLEEPS.findall(without_comments_and_texts('/* sleep(1) */ f("sleep(1)"); // sleep(2)'))
    assert not SLEEPS.findall("clock_sleepers(x)")


def test_the_sources_are_found():
    assert {p.parent.name for p in SOURCES} >= {"base", "event", "judge", "cli"} and len(SOURCES) > 40
    assert SRC / "cli" / "main.c" in SOURCES
