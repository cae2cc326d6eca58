"""The pytest plugin, seen from outside: a pytest in a process of its own, a project in a temporary folder, and
fake_drainspec.py in the place of the program. That plugin and program fit is for test_plugin_real.py's few tests."""
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from importlib.metadata import version
from pathlib import Path

import pytest

import support
from pytest_drainspec.plugin import failure_block, option_words

HARNESS = Path(support.ROOT, "harness")
FAKE = Path(__file__).with_name("fake_drainspec.py")
needs_xdist = pytest.mark.skipif(not importlib.util.find_spec("xdist"), reason="pytest-xdist is not installed")


def put_fake(path):
    """The fake as a program of its own, run by our interpreter: a version manager's shim would be more processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(FAKE.read_text().replace("/usr/bin/env python3", sys.executable, 1))
    path.chmod(0o755)
    return path


class Project:
    """A folder with tests and scenario files, and a pytest to run on it."""

    def __init__(self, folder, mark):
        self.folder, self.mark = folder, mark
        self.ini = {"drainspec_program": str(put_fake(folder / "fake" / "program")), "drainspec_evidence": "evidence"}

    def write(self, **files):
        for name, text in files.items():
            path = self.folder / name.replace("__", "/").replace("_yaml", ".yaml").replace("_py", ".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return self

    def argv(self, *options):
        lines = "".join(f"{k} = {v}\n" for k, v in self.ini.items() if v is not None)
        (self.folder / "pytest.ini").write_text("[pytest]\n" + lines)
        return [sys.executable, "-m", "pytest", "-p", "pytest_drainspec", "-p", "no:cacheprovider",
                "--junitxml=junit.xml", *options]

    def env(self, **env):
        mine = self.mark.env(PYTHONPATH=HARNESS, **env)
        for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT", "PYTEST_CURRENT_TEST"):
            mine.pop(name, None)
        if "DRAINSPEC" not in env:
            mine.pop("DRAINSPEC", None)
        return mine

    def run(self, *options, **env):
        done = subprocess.run(self.argv(*options), cwd=self.folder, env=self.env(**env), capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stdout + done.stderr

    def start(self, *options):
        """With SIGINT as a terminal's children have it: a shell's background jobs, this run perhaps, have it ignored."""
        return subprocess.Popen(self.argv(*options), cwd=self.folder, env=self.env(), stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, start_new_session=True,
                                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def results(self):
        """name -> (result, message) of junit.xml."""
        found = {}
        for case in ET.parse(self.folder / "junit.xml").iter("testcase"):
            bad = next((c for c in case if c.tag in ("failure", "error", "skipped")), None)
            found[case.get("name")] = (bad.tag, bad.get("message") + "\n" + (bad.text or "")) if bad is not None \
                else ("passed", "")
        return found

    def evidence(self, name):
        return self.folder / "evidence" / "main" / name


@pytest.fixture
def project(tmp_path, mark):
    return Project(tmp_path, mark)


def test_what_is_collected(project):
    project.ini["drainspec_scenarios"] = "specs more/specs"
    project.write(a_drainspec_yaml="PASS", sub__b_drainspec_yaml="PASS", specs__c_yaml="PASS", more__specs__deep__d_yaml="PASS",
                  other_yaml="PASS", more__e_yaml="PASS")
    for name in ("a_drainspec.yaml", "sub/b_drainspec.yaml"):
        (project.folder / name).rename(project.folder / name.replace("_drainspec", ".drainspec"))
    status, out = project.run()
    assert status == 0, out
    assert project.results() == {name: ("passed", "") for name in "abcd"}


@pytest.mark.parametrize("outcome, result, said", [
    ("PASS", "passed", ""), ("WARN", "passed", ""), ("FAIL", "failure", "3 of 50 got no answer"),
    ("UNSURE", "failure", "drainspec: UNSURE"), ("BROKEN", "failure", "drainspec: BROKEN"),
    ("SKIP", "skipped", "no --slow was given"), ("USAGE", "failure", "x.yaml:3:5: unknown key 'clinets'"),
])
def test_outcome_of_a_scenario_file(project, outcome, result, said):
    status, out = project.write(x_yaml=outcome).run("--override-ini=drainspec_scenarios=.")
    got, message = project.results()["x"]
    assert (got, status) == (result, 1 if result == "failure" else 0), out
    assert said in message
    assert "Traceback" not in out and "runtest" not in out and "plugin.py" not in message, "not a Python traceback"
    assert ("DrainspecWarning: CON-7 (SHOULD)" in out) == (outcome == "WARN")


def test_a_file_without_target_gets_the_configured_command_and_options(project):
    project.ini.update(drainspec_command="./server --port ${PORT} PASS", drainspec_options="--grace 2s")
    project.write(x_yaml="FAIL").run("--override-ini=drainspec_scenarios=.")
    assert project.results()["x"][0] == "passed", "the fake obeys the last word of the command"
    argv = json.loads(next(project.folder.glob("evidence/main/*/argv.json")).read_text())
    assert argv[argv.index("--"):] == ["--", "./server", "--port", "${PORT}", "PASS"]
    assert argv[argv.index("--grace") + 1] == "2s"


def test_fixture(project):
    status, out = project.write(test_it_py='''
import pytest

def test_fields(drainspec):
    run = drainspec.check(["./server", "PASS"], slow="GET /x", signal="SIGTERM", grace="5s", only=["CON-1", "CON-2"],
                          env={"A": "b"}, expect_exit=0, protocol=None, strict=False)
    assert run.ok and run and run.exit_status == 0
    assert [s.name for s in run.scenarios] == ["fake scenario", "another"]
    assert run.outcomes["completed"] == 100 and run.outcomes["truncated"] == 0
    assert run.verdict("CON-1").passed and run.verdict("CON-1").events == (1,)
    assert run.scenario("another").verdicts["CON-1"].level == "MUST" and run.scenarios[0].took == 1.5
    assert [e["kind"] for e in run.scenarios[0].events] == ["scenario", "end"]
    assert "does this shut down correctly" in run.text and run.evidence.is_dir()
    assert run.assert_ok() is run
    assert run.argv[-9:] == ["--only", "CON-2", "--env", "A=b", "--expect-exit", "0", "--", "./server", "PASS"]
    with pytest.raises(KeyError, match="LSN-1 was not judged"):
        run.verdict("LSN-1")

def test_failed(drainspec):
    run = drainspec.check(["FAIL"])
    assert not run.ok and run.exit_status == 1
    assert [v.check for v in run.failed] == ["CON-1", "CON-1"] and not run.warned
    assert "CON-1 FAIL (MUST) in 'another': CON-1 was FAIL" in repr(run)
    with pytest.raises(AssertionError, match="3 of 50 got no answer"):
        run.assert_ok()

def test_should(drainspec):
    assert [v.check for v in drainspec.check(["WARN"]).warned] == ["CON-7", "CON-7"]
    run = drainspec.check(["WARN"], strict=True)
    assert not run.ok and [v.check for v in run.failed] == ["CON-7", "CON-7"] and not run.warned

def test_a_file_beside_the_test(drainspec):
    assert drainspec.run("sub.yaml").exit_status == 2
    assert drainspec.run("sub.yaml", command=["PASS"]).ok

def test_usage(drainspec):
    from pytest_drainspec import DrainspecError
    with pytest.raises(DrainspecError, match="unknown key 'clinets'"):
        drainspec.check(["USAGE"])
''', sub_yaml="UNSURE").run()
    assert status == 0, out


def test_a_failing_test_shows_text_and_evidence(project):
    project.write(test_it_py='def test_x(drainspec):\n    drainspec.check(["PASS"])\n    drainspec.check(["FAIL"]).assert_ok()\n')
    status, out = project.run()
    assert status == 1
    assert "3 of 50 got no answer" in out and f"evidence: {project.evidence('test_it.py-test_x.2')}" in out
    xml = (project.folder / "junit.xml").read_text()
    assert 'name="drainspec_evidence"' in xml and str(project.evidence("test_it.py-test_x.2")) in xml


def test_evidence_is_in_pytests_own_folder_by_default(project, tmp_path):
    project.ini["drainspec_evidence"] = None
    project.write(test_it_py='def test_x(drainspec, tmp_path_factory):\n    run = drainspec.check(["PASS"])\n'
                             '    assert tmp_path_factory.getbasetemp() in run.evidence.parents\n')
    status, out = project.run(f"--basetemp={tmp_path / 'base'}")
    assert status == 0, out
    assert (tmp_path / "base" / "drainspec" / "test_it.py-test_x" / "argv.json").exists()


TWO = 'import pytest\n\n@pytest.mark.parametrize("n", range(4))\ndef test_x(drainspec, n):\n    drainspec.check(["PASS"])\n'


@needs_xdist
def test_xdist_workers_share_no_folder(project):
    status, out = project.write(test_it_py=TWO).run("-n", "2")
    assert status == 0, out
    folders = sorted(str(p.relative_to(project.folder / "evidence").parent)
                     for p in project.folder.glob("evidence/*/*/argv.json"))
    assert len(folders) == 4 and {f.split("/")[0] for f in folders} == {"gw0", "gw1"}


# Where the program is.

def look_up(project, **env):
    project.ini["drainspec_program"] = env.pop("ini", None)
    return project.write(test_it_py='def test_x(drainspec):\n    print("found", drainspec.program)\n').run("-s", **env)


def test_program_by_ini_environment_folder_parent_path(project, tmp_path):
    project.folder = tmp_path / "work" / "project"
    project.folder.mkdir(parents=True)
    in_path = put_fake(tmp_path / "bin" / "drainspec")
    path = f"{in_path.parent}:{os.environ['PATH']}"
    assert f"found {in_path}\n" in look_up(project, PATH=path)[1]
    in_parent = put_fake(tmp_path / "work" / "drainspec")
    assert f"found {in_parent}\n" in look_up(project, PATH=path)[1]
    here = put_fake(project.folder / "drainspec")
    assert f"found {here}\n" in look_up(project, PATH=path)[1]
    by_env = put_fake(tmp_path / "env" / "other")
    assert f"found {by_env}\n" in look_up(project, PATH=path, DRAINSPEC=by_env)[1]
    by_ini = put_fake(project.folder / "tools" / "ds")
    assert f"found {by_ini}\n" in look_up(project, PATH=path, DRAINSPEC=by_env, ini="tools/ds")[1]


def test_no_program(project):
    empty = project.folder / "empty"
    empty.mkdir()
    (project.folder / "drainspec").mkdir()      # a folder of that name is not the program
    status, out = look_up(project, PATH=str(empty))
    assert status == 1 and "the program was not found" in out and "drainspec_program" in out
    status, out = look_up(project, DRAINSPEC="/nowhere/drainspec")
    assert status == 1 and "$DRAINSPEC is '/nowhere/drainspec', which is not an executable file" in out


# Nothing is left behind.

@pytest.mark.parametrize("how", ["HANG", "HANG-DEAF"])
def test_timeout_ends_it(project, how):
    project.write(test_it_py=f'''
import pytest
from pytest_drainspec import DrainspecTimeout

def test_x(drainspec):
    with pytest.raises(DrainspecTimeout, match="did not end within 0.5 s"):
        drainspec.check(["{how}"], timeout=0.5)
''')
    status, out = project.run()
    assert status == 0, out
    project.mark.assert_all_gone(0)


def interrupt(project, *options, group, how="HANG"):
    """SIGINT to pytest while drainspec runs; (seconds to its end, output)."""
    child = project.write(test_it_py=f'def test_x(drainspec):\n    drainspec.check(["{how}"])\n').start(*options)
    try:
        support.await_(lambda: list(project.folder.glob("evidence/*/*/hanging")), "the run to begin", 20)
        (os.killpg if group else os.kill)(child.pid, signal.SIGINT)
        watch = support.Stopwatch()
        out, _ = child.communicate(timeout=120)    # took says how long, less what others took
        return watch.seconds(), out
    finally:
        child.kill()
        child.wait()


@pytest.mark.alone
@pytest.mark.parametrize("group", [False, True], ids=["kill", "ctrl-c"])
def test_sigint_ends_it(project, group):
    took, out = interrupt(project, group=group)
    project.mark.assert_all_gone(0)
    assert took < 2 and "KeyboardInterrupt" in out


@pytest.mark.alone
def test_sigint_kills_a_deaf_one(project):
    took, _ = interrupt(project, group=True, how="HANG-DEAF")
    project.mark.assert_all_gone(0)
    assert took < 4


@pytest.mark.alone
@needs_xdist
def test_ctrl_c_ends_it_in_a_worker(project):
    took, _ = interrupt(project, "-n", "1", group=True)
    project.mark.assert_all_gone(2)
    assert took < 4


@pytest.mark.alone
def test_sigint_while_it_is_being_started(project):
    """A KeyboardInterrupt out of subprocess.Popen() would leave a child that nobody knows."""
    project.write(conftest_py="""
import os, signal, subprocess, time
real = subprocess.Popen.__init__

def interrupted(self, *args, **more):
    real(self, *args, **more)
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(20):
        time.sleep(0.01)

subprocess.Popen.__init__ = interrupted
""", test_it_py='def test_x(drainspec):\n    drainspec.check(["HANG"])\n')
    out, _ = project.start().communicate(timeout=120)
    project.mark.assert_all_gone(0)
    assert "KeyboardInterrupt" in out


# Installation.

def test_pip_install(project, tmp_path):
    missing = [m for m in ("pip", "setuptools") if not importlib.util.find_spec(m)]
    if not missing and int(version("setuptools").split(".")[0]) < 71 and not importlib.util.find_spec("wheel"):
        missing = ["wheel"]     # newer ones have their own
    if missing:
        pytest.skip(f"without the network an installation needs: {' '.join(missing)}")
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(HARNESS / "pytest_drainspec", source / "pytest_drainspec")
    shutil.copy(HARNESS / "pyproject.toml", source)
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--no-build-isolation", "--no-deps", "--no-index",
                    "--target", site, source], check=True, capture_output=True, timeout=120)
    project.write(test_it_py='def test_x(drainspec):\n    assert drainspec.check(["PASS"]).ok\n')
    for options in ((), ("-p", "pytest_drainspec"), ("-p", "drainspec")):
        argv = [w for w in project.argv() if w not in ("pytest_drainspec",)]
        del argv[argv.index("-p")]
        done = subprocess.run([*argv, *options], cwd=project.folder, env={**project.env(), "PYTHONPATH": str(site)},
                              capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


# Small parts.

def test_option_words():
    assert option_words({"expect_exit": 0, "only": ["A", "B"], "env": {"K": "v=1"}, "strict": True, "slow": None,
                         "skip": [], "dry_run": False}) == [
        "--expect-exit", "0", "--only", "A", "--only", "B", "--env", "K=v=1", "--strict"]


def test_failure_block():
    text = "drainspec 1: head\n\nx FAIL  name\n\n  FAIL CON-1\n    actual  no\n\n1 of 1 failed\n  checks       1 FAIL\n" \
           "  time         1 s\n  evidence     reports/x\n"
    assert failure_block(text) == "x FAIL  name\n\n  FAIL CON-1\n    actual  no\n\n1 of 1 failed\n  evidence     reports/x"
    assert failure_block("drainspec: something else\n") == "drainspec: something else"
    assert re.match("^$", failure_block(""))
