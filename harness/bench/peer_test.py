# The peer to beat: what a careful person writes with pytest, subprocess and http.client for the same steps (no fixed sleeps).
import http.client
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


@pytest.mark.parametrize("i", range(N))
def test_scenario(i):
    gate, port, result = Gate(), free_port(), {}
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
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", port))
        s.listen(1)
    gate.close()
