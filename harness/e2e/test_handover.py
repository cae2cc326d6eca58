"""Hand-overs: the next one begins when the last is over for its process as well, not only for its clients."""
import sys

import support

# A master that hands over to a new worker and is deaf for a third of a second afterwards, as one is that executes itself anew.
MASTER = """
import os, select, signal, socket, sys, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", int(sys.argv[1])))
s.listen(64)
workers = []
def work():
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    stop, wake = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.close(wake))
    while True:
        if s not in select.select([s, stop], [], [])[0]:
            os._exit(0)
        c = s.accept()[0]
        while b"\\r\\n\\r\\n" not in c.recv(4096):
            pass
        c.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\nX-Pid: %d\\r\\n\\r\\n" % os.getpid())
        c.close()
def spawn():
    pid = os.fork()
    if not pid:
        work()
    workers.append(pid)
def leave(pid):
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
def reload(*_):
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    spawn()
    leave(workers.pop(0))
    time.sleep(0.3)
    signal.signal(signal.SIGUSR2, reload)
def end(*_):
    leave(workers.pop())
    os._exit(0)
spawn()
signal.signal(signal.SIGUSR2, reload)
signal.signal(signal.SIGTERM, end)
while True:
    signal.pause()
"""


def test_next_signal_waits_until_it_is_taken(cli):
    """It was lost otherwise, as with HAProxy's master, and the server charged with it (UPG-5)."""
    (cli.cwd / "x.yaml").write_text(
        "restart: {how: hot, send: SIGUSR2, times: 3, answers: 100, names: 'X-Pid: ([0-9]+)'}\n"
        "clients:\n  - {name: new, count: 2, protocol: http1, request: GET /, phase: loop}\nsignals:\n  - {send: SIGTERM, when: armed}\n")
    got = cli("run", "x.yaml", "--out", "run", "-o", "json", "--", sys.executable, "-S", "-c", MASTER, "${PORT}")
    at = [e["t"] for e in support.read_events(cli.cwd / "run" / "x") if e["kind"] == "handover"]
    assert got.status == 0 and got.json["scenarios"][0]["outcome"] == "PASS", got
    assert len(at) == 3 and at[2] - at[1] > 300_000_000, at
