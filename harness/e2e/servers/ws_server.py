"""A WebSocket server with habits: each is seen in the wild, and none but the last few may make drainspec say a word.

/ is a WebSocket that echoes and, with --ticks, sends by itself; /slow takes 400 ms for its handshake. SIGTERM: the listener is closed, every client gets a Close (1001),
answers it, gets a FIN, and the server exits 0.
"""
import argparse
import asyncio
import base64
import fcntl
import hashlib
import signal
import struct
import termios
import time

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
TICK = 0.02
PATIENCE = 1.0
SLOW = 0.4


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    for flag, why in (("greets", "a message in the same segment as the 101"), ("ticks", "sends a message every 20 ms"), ("binary", "binary ticks"),
                      ("fragments", "ticks in three frames, with a ping between them"), ("pings", "a ping every 20 ms; who does not answer is dropped"),
                      ("computes", "works on a message for 60 ms before it answers, and sends nothing else meanwhile"),
                      ("odd-head", "a 101 in lower case, with more fields than needed"), ("long-reason", "a Close of 125 bytes, not in ASCII"),
                      ("no-code", "a Close without a code"), ("close-twice", "a second Close behind the client's, as some libraries send"),
                      ("talks-on", "a message behind its own Close"), ("never-hears", "closes when the client's Close has come, without reading it"),
                      ("never-reads", "reads nothing after the handshake"), ("subprotocol", "400 to who does not ask for `chat`"),
                      ("deflates", "permessage-deflate, where it is offered"), ("refuses-late", "503 to a handshake that is not done when the signal comes"),
                      ("forgets-late", "no Close to a WebSocket that opens after the signal"), ("wants-fin", "waits for the client's FIN when both have said Close")):
        parser.add_argument("--" + flag, action="store_true", help=why)
    parser.add_argument("--code", type=int, default=1001, help="of the Close")
    return parser.parse_args()


def frame(opcode, payload=b"", first=0x80):
    size = len(payload)
    head = bytes([first | opcode, size]) if size < 126 else bytes([first | opcode, 126]) + size.to_bytes(2, "big")
    return head + payload


class Socket:
    def __init__(self, options, reader, writer):
        self.options, self.reader, self.writer = options, reader, writer
        self.unanswered = 0     # pings
        self.opened, self.leaving, self.closing, self.deflates = False, False, False, False
        self.closed = asyncio.Event()

    async def handshake(self):
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])}
        if head.startswith("GET /slow "):
            await asyncio.sleep(SLOW)
        if self.leaving and self.options.refuses_late:
            self.writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        protocols = fields.get("sec-websocket-protocol", "")
        if "sec-websocket-key" not in fields or (self.options.subprotocol and protocols != "chat"):
            self.writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        accept = base64.b64encode(hashlib.sha1((fields["sec-websocket-key"] + GUID).encode()).digest()).decode()
        said = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]
        if self.options.odd_head:
            said = [("server", "odd"), ("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade"), ("date", "now"), ("sec-websocket-accept", accept)]
        self.deflates = self.options.deflates and "permessage-deflate" in fields.get("sec-websocket-extensions", "")
        if self.deflates:
            said.append(("Sec-WebSocket-Extensions", "permessage-deflate; server_no_context_takeover"))
        if self.options.subprotocol:
            said.append(("Sec-WebSocket-Protocol", "chat"))
        text = "HTTP/1.1 101 Switching Protocols\r\n" + "".join(f"{name}: {value}\r\n" for name, value in said) + "\r\n"
        self.writer.write(text.encode() + (frame(TEXT, b"hello") if self.options.greets else b""))
        self.opened = True
        if self.leaving and not self.options.forgets_late:
            self.goodbye()
        return True

    def tick(self):
        if self.options.fragments:
            return frame(TEXT, b"ti", 0) + frame(PING, b"in between") + frame(CONTINUATION, b"", 0) + frame(CONTINUATION, b"ck")
        if self.options.pings:
            self.unanswered += 1
            return frame(PING, b"are you there?")
        # what the last byte of a deflated message is: RFC 7692, 7.2.3.1
        return frame(TEXT, b"\xf2\x48\xcd\xc9\xc9\x07\x00", 0xc0) if self.deflates else frame(BINARY if self.options.binary else TEXT, b"tick")

    async def send_by_itself(self):
        while not self.closing:
            if self.unanswered > 50:
                self.writer.transport.abort()
                return
            self.writer.write(self.tick())
            await asyncio.sleep(TICK)

    async def read_frame(self):
        first, second = await self.reader.readexactly(2)
        size = second & 0x7f
        if size == 126:
            size = int.from_bytes(await self.reader.readexactly(2), "big")
        mask = await self.reader.readexactly(4)
        data = await self.reader.readexactly(size)
        return first & 0x0f, bool(first & 0x80), bytes(b ^ mask[i % 4] for i, b in enumerate(data))

    def take(self, opcode, whole, data):
        if opcode == PING:
            self.writer.write(frame(PONG, data))
        elif opcode == PONG:
            self.unanswered = 0
        elif opcode != CLOSE and whole and not self.closing:
            begin = time.monotonic()
            while self.options.computes and time.monotonic() < begin + 0.06:
                pass
            self.writer.write(frame(TEXT, data))
        elif opcode == CLOSE and (not self.closing or self.options.close_twice):
            self.closing = True
            self.writer.write(frame(CLOSE, data))
        return opcode != CLOSE

    async def serve(self):
        if not await self.handshake():
            return
        sender = asyncio.create_task(self.send_by_itself()) if self.options.ticks or self.options.pings else None
        try:
            if self.options.never_reads:
                await self.closed.wait()
            while self.take(*await self.read_frame()):
                pass
            if self.options.wants_fin:
                await self.reader.read()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.closing = True
            if sender:
                await asyncio.wait([sender])

    def goodbye(self):
        reason = "über".encode() * 24 + b"xyz" if self.options.long_reason else b""
        self.leaving = True
        if self.closing or not self.opened:
            return
        self.closing = True
        self.writer.write(frame(CLOSE, b"" if self.options.no_code else self.options.code.to_bytes(2, "big") + reason))
        if self.options.talks_on:
            self.writer.write(frame(TEXT, b"one more thing"))
        if self.options.never_hears:
            self.writer.transport.pause_reading()
            # kept: asyncio itself holds a task only weakly
            self.unheard = asyncio.get_running_loop().create_task(self.close_unread())
        self.closed.set()

    async def close_unread(self):
        fd, end = self.writer.get_extra_info("socket").fileno(), time.monotonic() + PATIENCE
        while not struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0] and time.monotonic() < end:
            await asyncio.sleep(0.001)
        self.writer.close()


async def main(options):
    sockets, tasks, stop = set(), set(), asyncio.Event()

    async def serve(reader, writer):
        socket = Socket(options, reader, writer)
        sockets.add(socket)
        tasks.add(asyncio.current_task())
        if stop.is_set():
            socket.goodbye()
        try:
            await socket.serve()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        sockets.discard(socket)
        tasks.discard(asyncio.current_task())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", options.port, backlog=100)
    for signo in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signo, stop.set)
    await stop.wait()
    server.close()
    for socket in list(sockets):
        socket.goodbye()
    if tasks:
        await asyncio.wait(tasks, timeout=None if options.wants_fin or options.forgets_late else PATIENCE)


if __name__ == "__main__":
    asyncio.run(main(arguments()))
