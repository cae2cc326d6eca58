"""Real servers: markers by what a row needs, reports kept for the table.

HOWTO run (after `make real-targets`, or `make` for -m apt; any interpreter that `sh harness/setup/pytest.sh` prints):

    pytest harness/real                       everything that can run here; the rest is skipped with the reason
    pytest harness/real -m apt                what Debian's packages are enough for: part of `make check`
    pytest harness/real -k nginx              one server
    DRAINSPEC_TABLE=docs/servers.md pytest harness/real      and write the table of what was seen
    DRAINSPEC_LOAD=1 pytest harness/real      the same while two busy loops take both cores
"""
import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

import rows  # noqa: E402 - found by the lines above
import table  # noqa: E402


def pytest_configure(config):
    for needs in rows.NEEDS:
        config.addinivalue_line("markers", f"{needs}: needs nothing but what {needs} gives")


def row_of(item):
    """The row that it is the test of, or None."""
    return item.callspec.params.get("row") if hasattr(item, "callspec") else None


def pytest_collection_modifyitems(items):
    """A row's marker is what it needs. Batteries fill a core and the other rows wait: they are mixed, and no battery comes last."""
    for item in items:
        row = row_of(item)
        if row:
            item.add_marker(getattr(pytest.mark, row.needs))
        elif item.path.is_relative_to(HERE) and not item.get_closest_marker("go"):
            item.add_marker(pytest.mark.apt)
    batteries = [item for item in items if row_of(item) and row_of(item).battery]
    others = [item for item in items if item not in batteries]
    place = {item: i / len(batteries) * 0.6 for i, item in enumerate(batteries)}
    place.update({item: i / len(others) for i, item in enumerate(others)})
    items.sort(key=place.get)


@pytest.fixture(scope="session")
def reports(tmp_path_factory):
    """Folder of the reports: NAME.json. At the end they become the table, if one was asked for."""
    folder = tmp_path_factory.mktemp("reports")
    yield folder
    path = os.environ.get("DRAINSPEC_TABLE")
    if path:
        table.write(rows.ROOT / path, rows.table("servers.tsv"), folder)
