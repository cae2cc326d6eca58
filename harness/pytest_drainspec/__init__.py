"""pytest plugin of drainspec: does a server shut down correctly?

Scenario files are tests: every `*.drainspec.yaml`, and every `*.yaml` below the folders that the ini option
`drainspec_scenarios` names. A check that FAILs fails the test with the report's own words; UNSURE and BROKEN fail it
under that name; SKIP skips it with the reason; a SHOULD that is not met is a warning.

In Python the fixture `drainspec` does the same:

    def test_deploys_lose_nothing(drainspec):
        run = drainspec.check(["./server", "--port", "${PORT}"], slow="GET /sleep?duration=1s", grace="5s")
        run.assert_ok()
        assert run.verdict("CON-1").passed
        assert run.outcomes["completed"] > 0

ini options: drainspec_program (the program; else $DRAINSPEC, ./drainspec here or in a parent folder, PATH),
drainspec_scenarios (folders), drainspec_command (for scenario files without a target), drainspec_options (of every
run), drainspec_timeout (seconds for one run), drainspec_evidence (folder; else pytest's temporary one).

Without installation: PYTHONPATH=harness pytest -p pytest_drainspec.
"""
from .plugin import *  # noqa: F401,F403 - the hooks and the fixture have to stand in the registered module
from .plugin import Drainspec, DrainspecWarning
from .program import DrainspecError, DrainspecTimeout, find_program
from .result import Run, Scenario, Verdict

__all__ = ["Drainspec", "DrainspecError", "DrainspecTimeout", "DrainspecWarning", "Run", "Scenario", "Verdict",
           "find_program"]
