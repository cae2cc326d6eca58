"""Real servers: the good ones are green on the whole battery, and what is wrong turns exactly its checks red. servers.tsv."""
import json

import pytest

import judged
import rows

ROWS = rows.table("servers.tsv")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_server(row, program, mark, tmp_path, monkeypatch, reports):
    report = judged.check(row, program, mark, tmp_path, monkeypatch)
    (reports / f"{row.name}.json").write_text(json.dumps(report))


def test_every_scenario_has_a_row():
    used = {row.what for row in ROWS}
    here = {str(p.relative_to(rows.ROOT)) for p in (rows.ROOT / "scenarios/real").glob("*.yaml")}
    assert not here - used, "scenarios without a row in servers.tsv"


def test_every_tool_is_known():
    unknown = {tool for row in ROWS for tool in row.tools if tool not in rows.toolchains()}
    assert not unknown, "harness/setup/toolchains.sh does not know them"


NEVER_GOOD = {"npm/10.2.5", "nghttpd"}     # forwards wrongly; has no handler for any signal


def test_every_server_has_a_good_and_a_wrong_row():
    """A table in which nothing fails would not show that anything can."""
    for tool in {tool for row in ROWS for tool in row.tools}:
        of_it = [row for row in ROWS if tool in row.tools]
        assert [row for row in of_it if not row.must] or tool in NEVER_GOOD, f"{tool}: no row is good"
        assert [row for row in of_it if row.must or row.should], f"{tool}: no row is red"


def test_a_mistake_in_the_table_is_seen():
    good = "x\tapt nginx\tbattery\t--grace 2s\tcommand\tCON-1\tCON-7! CON-8\tSIG-2\tnote"
    row, = rows.parse("# comment\n\n" + good, "t")
    assert (row.must, row.should, row.may, row.tools) == ({"CON-1"}, {"CON-7": True, "CON-8": False}, {"SIG-2"}, ("nginx",))
    for bad in (good + "\n" + good, good.replace("apt", "brew"), good.replace("battery", "none.yaml"), good + "\t",
                good.replace("CON-1", "con1"), good.replace("\tcommand", "\t-")):
        with pytest.raises(AssertionError):
            list(rows.parse(bad, "t"))
