"""End-to-end tests of drainspec: its plugin, its command line, and that every check turns red for its own fault.

HOWTO run (after `make`; any interpreter that `sh harness/setup/pytest.sh` prints):

    pytest harness/e2e                              all of it
    pytest harness/e2e/test_matrix.py -k http1      the faults of one fixture; -k CON-4: what proves one check
    pytest harness/e2e -n 2                         with pytest-xdist
    DRAINSPEC_LOAD=1 pytest harness/e2e/test_matrix.py   the same while two busy loops take both cores
    DRAINSPEC=build-asan/drainspec pytest harness/e2e    another build of the program

HOWTO add a fault: a line in matrix.tsv; test_matrix.py says which check or fault has none.
HOWTO add a test: wait for what can be seen with support.await_, which has a deadline; no sleep decides anything.
Whatever drainspec starts carries a mark in its environment, and the fixture `mark` fails a test that leaves one alive.
"""
import os
import sys

import pytest

HARNESS = os.path.dirname(os.path.abspath(__file__))
for folder in (HARNESS, os.path.join(HARNESS, "e2e")):
    if folder not in sys.path:
        sys.path.insert(0, folder)

collect_ignore = ["bench"]      # its peer_test.py is a competitor that bench.py runs

import pytest_drainspec  # noqa: E402 - found by the lines above
import support  # noqa: E402


def pytest_configure(config):
    """The plugin of this tree, unless an installed one or `-p pytest_drainspec` brought it already."""
    config.addinivalue_line("markers", "alone: its claim has a clock in it (`ended within 2 s`): not beside other tests")
    if not config.pluginmanager.has_plugin("pytest_drainspec"):
        config.pluginmanager.register(pytest_drainspec, "pytest_drainspec")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Side by side: a test and the next one for each process. By itself xdist hands out dozens at once, and in the end everybody
    waits for the one whose dozen has the long ones."""
    if config.getoption("dist") != "load":
        return None         # somebody asked for another way
    from xdist.scheduler import LoadScheduling

    class TwoEach(LoadScheduling):
        def schedule(self):
            if self.collection is not None or not self._check_nodes_have_same_collection():
                return super().schedule()
            self.collection = next(iter(self.node2collection.values()))
            self.pending[:] = range(len(self.collection))
            for node in self.nodes * 2:
                self._send_tests(node, 1)
            for node in self.nodes:
                self.check_schedule(node)

        def check_schedule(self, node, duration=0):
            if node.shutting_down:
                return
            if self.pending and len(self.node2pending[node]) < 2:
                self._send_tests(node, 1)
            if not self.pending:
                node.shutdown()

    return TwoEach(config, log)


@pytest.fixture(scope="session")
def program(request):
    """The drainspec under test."""
    return pytest_drainspec.find_program(support.ROOT, request.config.getini("drainspec_program"))


@pytest.fixture(scope="session", autouse=True)
def load():
    """DRAINSPEC_LOAD=1: two busy loops for the whole session, ended with it however it ends."""
    wanted = os.environ.get("DRAINSPEC_LOAD") == "1" and os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    with support.busy_loops(2 if wanted else 0):
        yield


@pytest.fixture
def mark():
    """A mark in the environment of all that this test starts; at its end nothing that carries it is alive."""
    mark = support.Mark()
    yield mark
    mark.assert_all_gone()


@pytest.fixture
def cli(program, mark, tmp_path):
    """cli("check", "--only", "CON-1", "--", ...) runs drainspec in an empty folder; see support.Cli."""
    return support.Cli(program, mark, tmp_path)
