"""A gRPC server that knows no message: it answers every call with OK and writes down what it was sent.

usage: grpc_sink.py PORT FILE       FILE gets a line of hexadecimal digits for each call of more than one empty message: its DATA
"""
import signal
import socket
import struct
import sys
import threading

DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def literal(name, value):
    """A header that neither side keeps (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name + bytes([len(value)]) + value


STATUS_200 = b"\x88"
ANSWER_HEAD = STATUS_200 + literal(b"content-type", b"application/grpc")
TRAILERS = literal(b"grpc-status", b"0")


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def exactly(conn, n):
    got = b""
    while len(got) < n:
        more = conn.recv(n - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def serve(conn, path):
    calls = {}
    exactly(conn, len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"))
    conn.sendall(frame(SETTINGS, 0, 0))
    while True:
        head = exactly(conn, 9)
        kind, flags, stream = head[3], head[4], struct.unpack(">I", head[5:])[0]
        payload = exactly(conn, int.from_bytes(head[:3], "big"))
        if kind in (SETTINGS, PING) and not flags & ACK:
            conn.sendall(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind == DATA:
            calls[stream] = calls.get(stream, b"") + payload
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            sent = calls.pop(stream, b"")
            if sent != bytes(5):
                with open(path, "a") as f:
                    f.write(sent.hex() + "\n")
            conn.sendall(frame(HEADERS, END_HEADERS, stream, ANSWER_HEAD) + frame(DATA, 0, stream, bytes(5)) +
                         frame(HEADERS, END_HEADERS | END_STREAM, stream, TRAILERS))


def served(conn, path):
    with conn:
        try:
            serve(conn, path)
        except (EOFError, OSError):
            pass


signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
with socket.create_server(("", int(sys.argv[1])), backlog=128) as listener:
    while True:
        threading.Thread(target=served, args=(listener.accept()[0], sys.argv[2]), daemon=True).start()
