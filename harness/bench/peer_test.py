"""The peer to beat: what a careful person writes with pytest, subprocess and http.client for the same steps (no fixed sleeps).

BENCH_TCPDUMP=1: captured as well, with a tcpdump for each test; without it there is no evidence.
"""
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

SERVER = os.environ["BENCH_SERVER"]
N = int(os.environ.get("BENCH_N", "100"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Gate:
    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.sock.listen(16)
        self.port = self.sock.getsockname()[1]

    def wait(self):
        self.conn, _ = self.sock.accept()
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.conn.recv(4096)

    def release(self):
        self.conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    def close(self):
        self.conn.close()
        self.sock.close()


def connectable(port):
    try:
        socket.create_connection(("127.0.0.1", port), 0.02).close()
        return True
    except OSError:
        return False


class Capture:
    """tcpdump of one port. It has begun when it says so, and has everything when it has a last packet of ours."""

    def __init__(self, path, port):
        self.path, self.port = path, port
        # in immediate mode the ring has a slot of 256 KiB for each packet: the default has eight, and drops some. -B is in KiB
        self.process = subprocess.Popen(["tcpdump", "-i", "lo", "-U", "--immediate-mode", "-B", "16384", "-w", path, "port", str(port)],
                                        stderr=subprocess.PIPE)
        while b"listening on" not in self.process.stderr.readline():
            pass

    def end(self):
        with socket.socket(type=socket.SOCK_DGRAM) as s:
            s.sendto(b"the last one", ("127.0.0.1", self.port))
        while b"the last one" not in open(self.path, "rb").read():
            time.sleep(0.0002)
        self.process.send_signal(signal.SIGINT)
        said = self.process.stderr.read()
        assert self.process.wait(10) == 0 and b"\n0 packets dropped" in said


def can_listen(port, reuse):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        try:
            s.bind(("127.0.0.1", port))
            s.listen(1)
        except OSError:
            return False
    return True


@pytest.mark.parametrize("i", range(N))
def test_scenario(i, tmp_path):
    gate, port, result = Gate(), free_port(), {}
    capture = Capture(str(tmp_path / "wire.pcap"), port) if os.environ.get("BENCH_TCPDUMP") else None
    env = dict(os.environ, DRAINSPEC_GATE="127.0.0.1:%d" % gate.port)
    p = subprocess.Popen([SERVER, "--port", str(port)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not connectable(port):
        time.sleep(0.0002)

    def ask():
        c = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        c.request("GET", "/gate")
        r = c.getresponse()
        result["status"], result["body"] = r.status, r.read()
        c.close()

    t = threading.Thread(target=ask)
    t.start()
    gate.wait()
    p.send_signal(signal.SIGTERM)
    while connectable(port):
        time.sleep(0.0002)
    gate.release()
    t.join()
    assert p.wait(10) == 0
    assert result["status"] == 200
    plain = can_listen(port, 0)
    assert can_listen(port, 1)
    if capture:
        capture.end()
    (tmp_path / "report.json").write_text(json.dumps({"scenario": i, "exit": p.returncode, "plain": plain, **result}, default=str))
    gate.close()
