"""The tables servers.tsv and systems.tsv: reading them, and what of them can run here."""
from __future__ import annotations

import re
import shlex
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
NEEDS = ("apt", "go", "node", "pypi", "rust", "java")
COLUMNS = 9


@dataclass(frozen=True)
class Row:
    """One line of a table; its columns are explained at the head of servers.tsv."""
    place: str
    name: str
    needs: str          # one of NEEDS
    tools: tuple        # as harness/setup/toolchains.sh calls them
    what: str           # battery, or a scenario file
    options: tuple
    command: tuple
    must: frozenset
    should: dict        # id -> is it asserted?
    may: frozenset
    note: str

    @property
    def battery(self) -> bool:
        return self.what == "battery"

    def argv(self, evidence, report) -> list[str]:
        """What follows the program's name. All runs are started in ROOT: commands name their files from there."""
        head = ["check"] if self.battery else ["run"]
        tail = [] if self.battery else [self.what]
        command = ["--", *self.command] if self.command else []
        return [*head, *self.options, "--out", str(evidence), "-o", f"json={report}", "-o", "text", *tail, *command]

    def option(self, name: str, default: str = "") -> str:
        """The value of one of its options."""
        at = self.options.index(name) if name in self.options else -1
        return self.options[at + 1] if at >= 0 else default


def checks(words: str, suffix: str = "") -> list[str]:
    found = [] if words == "-" else words.split()
    bad = [w for w in found if not re.fullmatch(rf"[A-Z]+-\d+{suffix}", w)]
    assert not bad, f"not ids of checks: {bad}"
    return found


def words_of(column: str) -> tuple:
    return () if column == "-" else tuple(word.replace("\\n", "\n") for word in shlex.split(column))


def parse(text: str, file: str):
    """The rows; a mistake in the table fails here, with its line."""
    names = set()
    for number, line in enumerate(text.splitlines(), 1):
        if not line or line.startswith("#"):
            continue
        place, columns = f"{file}:{number}", line.split("\t")
        assert len(columns) == COLUMNS, f"{place}: {len(columns)} columns instead of {COLUMNS}"
        name, needs, what, options, command, must, should, may, note = columns
        kind, _, tools = needs.partition(" ")
        try:
            row = Row(place, name, kind, tuple(t for t in tools.split(" + ") if t), what, words_of(options), words_of(command),
                      frozenset(checks(must)), {c.rstrip("!"): c[-1] == "!" for c in checks(should, "!?")},
                      frozenset(checks(may)), "" if note == "-" else note)
        except (AssertionError, ValueError) as e:
            raise AssertionError(f"{place}: {e}") from None
        assert kind in NEEDS, f"{place}: needs one of {' '.join(NEEDS)}, not '{kind}'"
        assert name not in names, f"{place}: a second row '{name}'"
        assert row.battery or (ROOT / what).is_file(), f"{place}: no file {what}"
        assert row.command or not row.battery, f"{place}: the battery needs a command"
        names.add(name)
        yield row


def table(file: str) -> list[Row]:
    return list(parse((HERE / file).read_text(encoding="utf-8"), file))


@lru_cache(maxsize=None)
def toolchains() -> dict:
    """Tool -> "" if it is ready, else what would make it so; from harness/setup/toolchains.sh."""
    out = subprocess.run(["sh", ROOT / "harness/setup/toolchains.sh", "-a"], stdout=subprocess.PIPE, text=True, check=False).stdout
    found = re.findall(r"^(ready|absent) +(.+?)  +(?:SKIP until: )?(.*)$", out, re.M)
    return {tool: "" if state == "ready" else how or "?" for state, tool, how in found}


def absent(row: Row) -> str:
    """Why this row cannot run here; "" if it can."""
    missing = [(t, toolchains().get(t, "harness/setup/toolchains.sh does not know it")) for t in row.tools]
    return "; ".join(f"{tool} is absent: {how}" for tool, how in missing if how)
