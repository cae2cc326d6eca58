"""A server as people write it by hand: a thread for each connection. Each switch leaves one thing out (test_blame.py).

usage: own_server.py PORT [SWITCH...]
  deaf        SIGTERM sets a flag that the accept loop does not look at
  no-reuse    no SO_REUSEADDR on the listener
  keep-alive  connections are kept open after the answer
  named       every answer repeats the request's nonce in its head, whatever its body is
  own-words   what the gate said is not handed on
  proxy       every request is handed on to the gate
  left-to-python  no handler for SIGINT: KeyboardInterrupt
  fast-int    SIGINT closes the listener and cuts what is in flight: at once, or, on a terminal, 6 ms later
  hasty       SIGTERM closes the listener, tidies up for 5 ms, and leaves: no handler is waited for
  slow-twin   a second worker computes for 100 ms when the first one serves already, and forgets a SIGTERM that comes meanwhile
SIGINT does what SIGTERM does, and the second one ends it at once; nothing at all if it was ignored when the process began. (A second
KeyboardInterrupt that meets the traceback of the first is swallowed, now and then.)
"""
import http.client
import os
import select
import signal
import socket
import sys
import threading
import time

port, switches = int(sys.argv[1]), set(sys.argv[2:])
stopping = threading.Event()


def nonce_of(head):
    for line in head.split("\r\n"):
        if line.lower().startswith("x-drainspec-nonce:"):
            return line.partition(":")[2].strip()
    return ""


def body_of(path, nonce):
    if not path.startswith("/gate") and "proxy" not in switches:
        return b"ok"
    call = http.client.HTTPConnection(os.environ["DRAINSPEC_GATE"])
    call.request("GET", path, headers={"X-Drainspec-Nonce": nonce} if nonce else {})
    body = call.getresponse().read()
    call.close()
    return b"{}" if "own-words" in switches else body


def serve(conn):
    with conn:
        head = b""
        while b"\r\n\r\n" not in head:
            more = conn.recv(65536)
            if not more:
                return
            head += more
        path, nonce = head.split()[1].decode(), nonce_of(head.decode())
        body = body_of(path, nonce)
        keep = "keep-alive" in switches and not stopping.is_set()
        lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}"]
        lines += [f"X-Drainspec-Nonce: {nonce}"] if nonce and (path.startswith("/gate") or "named" in switches) else []
        lines += [] if keep else ["Connection: close"]
        conn.sendall("\r\n".join(lines + ["", ""]).encode() + body)
        if keep:
            conn.recv(65536)


def stop(signo, frame):
    stopping.set()
    if "hasty" in switches:
        listener.close()
        time.sleep(0.005)
        os._exit(0)
    if "deaf" not in switches:
        sys.exit(0)


def leave(*_):
    os._exit(0)


def twin():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)   # before the fork: it is never without
    pid = os.fork()
    if pid:
        return pid
    began = time.process_time()
    while time.process_time() < began + 0.1:
        pass
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    while True:
        signal.pause()


def interrupted(signo, frame):
    if "fast-int" in switches:
        listener.close()
        time.sleep(0.006 if os.isatty(0) else 0)
        os._exit(0)
    if stopping.is_set():
        os._exit(130)
    stop(signo, frame)


second = twin() if "slow-twin" in switches else 0
signal.signal(signal.SIGTERM, stop)
if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN and "left-to-python" not in switches:
    signal.signal(signal.SIGINT, interrupted)
listener = socket.socket()
if "no-reuse" not in switches:
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)
# a signal between Python's last look at its flag and accept() would wait for the next client (seen): its byte in a pipe does not
wake, woken = os.pipe()
os.set_blocking(woken, False)
signal.set_wakeup_fd(woken)
try:
    while True:     # no daemons: Python waits for the threads before it ends
        if wake in select.select([listener, wake], [], [])[0]:
            os.read(wake, 64)
            continue
        threading.Thread(target=serve, args=(listener.accept()[0],)).start()
finally:
    listener.close()
    if second:
        os.kill(second, signal.SIGTERM)
        os.waitpid(second, 0)
