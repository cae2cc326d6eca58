"""Plugin and program together: the fixture `drainspec` of this very process against the fixtures, and a project whose
scenario files pytest collects."""
import subprocess
import sys

import pytest

import support
from support import fixture

HTTP = fixture("http1_server")


@pytest.fixture(autouse=True)
def nothing_is_left(mark, monkeypatch):
    monkeypatch.setenv(support.MARK, mark.value)


def test_check(drainspec):
    run = drainspec.check(HTTP, slow="gate", grace="2s", only=["in-flight", "idle"], env={"A": "b"})
    run.assert_ok()
    assert run.verdict("CON-1").passed and not run.failed and not run.warned
    assert run.outcomes["completed"] >= 3 and run.outcomes["truncated"] == 0
    assert "in-flight" in run.text and run.complete
    kinds = [e["kind"] for e in run.scenario("in-flight").events]
    assert kinds.index("armed") < kinds.index("signal") < kinds.index("exit")


def test_check_fails(drainspec):
    run = drainspec.check([*HTTP, "--fault", "rst-inflight"], slow="gate", only="in-flight")
    assert (run.ok, run.exit_status) == (False, 1) and [v.check for v in run.failed] == ["CON-2"]
    verdict = run.verdict("CON-2")
    assert verdict.level == "MUST" and verdict.events and verdict.frames and verdict.expected and verdict.whose
    cited = [run.scenario("in-flight").events[n - 1]["kind"] for n in verdict.events]
    assert "signal" in cited and "wire-server-rst" in cited
    assert "CON-2 FAIL (MUST) in 'in-flight'" in repr(run)
    with pytest.raises(AssertionError, match="FAIL CON-2"):
        run.assert_ok()


def test_should_warns_and_strict_fails(drainspec):
    rude = [*HTTP, "--fault", "no-goodbye"]
    run, strict = (drainspec.check(rude, slow="gate", only="in-flight", strict=s) for s in (False, True))
    assert run.ok and [v.check for v in run.warned] == ["CON-7"] and not run.failed
    assert not strict.ok and [v.check for v in strict.failed] == ["CON-7"] and not strict.warned


def test_options_arrive(drainspec):
    run = drainspec.check([*HTTP, "--fault", "exit-3"], only="quiet", expect_exit=3, signal="SIGINT", isolate="host", second="any",
                          protocol="http1")
    run.assert_ok()
    assert next(e for e in run.scenarios[0].events if e["kind"] == "signal")["signo"] == 2


def test_a_scenario_file_with_a_command(drainspec):
    drainspec.run("scenarios/never-reads.yaml", command=HTTP).assert_ok()
    run = drainspec.run("scenarios/never-reads.yaml", command=[*HTTP, "--fault", "never-reads"])
    assert run.exit_status == 2 and run.verdict("HAR-3").outcome == "UNSURE"


def test_target_that_is_not_there(drainspec):
    with pytest.raises(Exception, match="no-such-server"):
        drainspec.check(["no-such-server"])


@pytest.fixture
def project(program, tmp_path, mark):
    """A folder in which pytest runs scenario files; returns what it printed."""
    def run(**files):
        ini = [f"drainspec_program = {program}", "drainspec_scenarios = .", f"drainspec_command = {' '.join(HTTP)}",
               "drainspec_options = --grace 800ms"]
        (tmp_path / "pytest.ini").write_text("[pytest]\n" + "\n".join(ini) + "\n")
        for name, text in files.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return subprocess.run([sys.executable, "-m", "pytest", "-q", "-rsw", "-p", "pytest_drainspec", "-p", "no:cacheprovider"],
                              cwd=tmp_path, env=mark.env(PYTHONPATH=support.ROOT / "harness"), capture_output=True, text=True,
                              timeout=60, check=False)
    return run


def target(fault):
    return "target: {command: %s}\n" % str([*HTTP, "--fault", fault]).replace("'", '"')


def test_scenario_files_are_tests(project):
    waiting = "clients:\n  - {request: GET /gate}\n"
    done = project(
        good="clients: []\n", bad=target("drop-inflight") + waiting, rude=target("no-goodbye") + waiting,
        wrong="clinets: []\n", unsure=target("never-reads") + waiting + "arm_within: 300ms\n",
        skipped="needs: [slow]\nclients:\n  - {request: $slow}\n")
    assert done.returncode == 1 and "3 failed, 2 passed, 1 skipped" in done.stdout, done.stdout
    assert "FAIL CON-1 (MUST) bad: " in done.stdout and "after 0 bytes of the answer" in done.stdout
    assert "DrainspecWarning: CON-7 (SHOULD) rude: " in done.stdout
    assert "wrong.yaml:1:1: unknown key 'clinets'" in done.stdout
    assert "drainspec: UNSURE" in done.stdout and "not proven waiting" in done.stdout
    assert "--slow" in done.stdout.split("SKIPPED")[1].splitlines()[0]
    assert "Traceback" not in done.stdout and "plugin.py" not in done.stdout.split("warnings summary")[0]
