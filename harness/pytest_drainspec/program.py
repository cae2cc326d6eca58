"""The program drainspec: where it is, and running it so that nothing of it is left behind."""
from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

STOP_WITHIN = 2.5
"""Seconds for a drainspec that was told to stop: it promises 2."""

LOST_SIGNAL = 0.5
"""Seconds until a signal is noticed that Python's handler took between its last look and the system call that waits."""


class DrainspecError(Exception):
    """drainspec could not do its work: a usage error, a target that does not start, its own failure."""


class DrainspecTimeout(DrainspecError):
    """The run took longer than its timeout and was ended."""


def find_program(rootdir, configured: str = "") -> Path:
    """The program: what was configured, $DRAINSPEC, ./drainspec in rootdir or a parent, PATH; in this order."""
    for source, value in (("ini option drainspec_program", configured), ("$DRAINSPEC", os.environ.get("DRAINSPEC"))):
        if not value:
            continue
        path = _executable(Path(rootdir, value)) if "/" in value else None
        path = path or (shutil.which(value) if "/" not in value else None) or _executable(Path(value))
        if not path:
            raise DrainspecError(f"drainspec: {source} is '{value}', which is not an executable file")
        return Path(path).absolute()
    rootdir = Path(rootdir).absolute()
    for folder in (rootdir, *rootdir.parents):
        if _executable(folder / "drainspec"):
            return folder / "drainspec"
    path = shutil.which("drainspec")
    if path:
        return Path(path).absolute()
    raise DrainspecError(
        f"drainspec: the program was not found: no ./drainspec in {rootdir} or a parent folder (has `make` been run?), "
        "none in PATH; say where it is with $DRAINSPEC or the ini option drainspec_program")


def _executable(path: Path):
    return path if path.is_file() and os.access(path, os.X_OK) else None


def timeout_multiplier() -> float:
    """$DRAINSPEC_TIMEOUT_MULTIPLIER, 1 if it is none."""
    try:
        return max(float(os.environ.get("DRAINSPEC_TIMEOUT_MULTIPLIER", "1")), 0.01)
    except ValueError:
        return 1.0


def execute(argv: list[str], cwd, output: Path, timeout: float) -> tuple[int, str]:
    """Run argv with stdout and stderr into the file output; (exit status, what was written there).

    The child is in our process group, so Ctrl-C reaches it directly; whatever else ends the waiting (SIGINT to us alone,
    pytest.exit(), the timeout) ends the child too, and waits for it. Its output goes to a file and not to a pipe: a pipe
    that a stray descendant holds would keep us waiting."""
    child = None
    try:
        with open(output, "wb") as out, _deferred() as interrupted:
            child = subprocess.Popen(argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        if interrupted:
            raise KeyboardInterrupt
        finished = _wait(child, timeout)
    except BaseException:
        if child:
            _stop(child)
        raise
    if not finished:
        _stop(child)
        raise DrainspecTimeout(f"drainspec did not end within {timeout:g} s and was stopped: {' '.join(argv)}\n"
                               + output.read_text(errors="replace"))
    if child.returncode in (-signal.SIGINT, 128 + signal.SIGINT):
        raise KeyboardInterrupt     # Ctrl-C was for both of us; ours may have come while nobody was listening
    return child.returncode, output.read_text(errors="replace")


@contextmanager
def _deferred():
    """A list that is no longer empty if SIGINT came meanwhile: raised inside of Popen() it would leave a child that nobody knows. Caught
    is also what we ignore (xdist's workers may): it would be ignored by the child too, for exec resets only what is caught."""
    came = []
    before = signal.getsignal(signal.SIGINT) if threading.current_thread() is threading.main_thread() else None
    if before is None:          # not ours to change
        yield came
        return
    signal.signal(signal.SIGINT, lambda *_: before == signal.SIG_IGN or came.append(True))
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, before)


def _wait(child: subprocess.Popen, timeout: float) -> bool:
    """Popen.wait() looks every 50 ms; a pidfd wakes us at once. A signal that comes just before the call does not: so it is a short one."""
    deadline = time.monotonic() + timeout
    try:
        pidfd = os.pidfd_open(child.pid)
    except (AttributeError, OSError):
        pidfd = -1
    try:
        if pidfd >= 0:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            while not poll.poll(min(max(0, deadline - time.monotonic()), LOST_SIGNAL) * 1000) and time.monotonic() < deadline:
                pass
        child.wait(max(0.001, deadline - time.monotonic()))
        return True
    except subprocess.TimeoutExpired:
        return False
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _stop(child: subprocess.Popen):
    """Terminate, wait, kill: it reaps its targets on TERM; and when it is killed they die with it."""
    for end, seconds in ((child.terminate, STOP_WITHIN), (child.kill, 5)):
        if child.poll() is not None:
            return
        end()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if _wait(child, deadline - time.monotonic()):
                    return
            except KeyboardInterrupt:
                continue        # an impatient second Ctrl-C does not leave orphans
