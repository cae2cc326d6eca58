"""TLS around a protocol: certificates, the probe, what a plain server is told to be, and that Wireshark can read the trace."""
import json
import shutil
import ssl
import subprocess
import sys

import pytest

from support import fixture

SERVER = fixture("http1_tls_server")
PLAIN = fixture("http1_server")


def events(folder):
    return [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]


def kinds(folder, kind):
    return [e for e in events(folder) if e["kind"] == kind]


@pytest.fixture
def own_certificate(tmp_path):
    """A certificate that the target brings itself."""
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=elsewhere", "-keyout", tmp_path / "own.key", "-out", tmp_path / "own.pem"],
                   check=True, stderr=subprocess.DEVNULL)
    return [str(tmp_path / "own.pem"), str(tmp_path / "own.key")]


def test_the_certificate_of_the_run_is_verified(cli):
    got = cli("check", "-P", "tls+http1", "--only", "idle", "--out", "run", "--", *SERVER)
    assert got.status == 0, got
    said = kinds(cli.cwd / "run" / "idle", "tls")
    assert said and all("certificate of this run's CA" in e["text"] and "ALPN http/1.1" in e["text"] for e in said)
    notified = kinds(cli.cwd / "run" / "idle", "close-notify")
    assert len(notified) >= 2, "the idle connections were told close_notify"


def test_a_certificate_of_its_own_is_taken_and_said_so(cli, own_certificate):
    cert, key = own_certificate
    got = cli("check", "-P", "tls+http1", "--only", "idle", "--out", "run", "--", *SERVER, "--cert", cert, "--key", key)
    assert got.status == 0, got
    assert all("of its own, not verified" in e["text"] for e in kinds(cli.cwd / "run" / "idle", "tls"))


def test_paths_are_handed_over_in_command_and_environment(cli):
    code = "import os, sys; e = os.environ; print(*sys.argv[1:], e['DRAINSPEC_TLS_CERT'], e['DRAINSPEC_TLS_KEY'], e['DRAINSPEC_TLS_CA'])"
    cli("check", "-P", "tls+http1", "--only", "quiet", "--out", "run", "--", sys.executable, "-c", code,
        "${TLS_CERT}", "${TLS_KEY}", "${TLS_CA}")
    folder = next((cli.cwd.resolve() / "run").glob("*/stdout.log")).parent         # it never serves: one launch is all
    word = (folder / "stdout.log").read_text().split()
    assert word == 2 * [str(folder / f"tls-{name}.pem") for name in ("cert", "key", "ca")]
    context = ssl.create_default_context(cafile=word[2])
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(word[0], word[1])
    a, b = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = context.wrap_bio(a, b, server_hostname="127.0.0.1")
    theirs = server.wrap_bio(b, a, server_side=True)
    for _ in range(4):
        for side in (ours, theirs):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                pass
    assert ours.version() and theirs.version(), "the chain verifies for 127.0.0.1"


def test_tls_is_found_by_the_probe(cli):
    got = cli("check", "--only", "idle", "--out", "run", "--", *SERVER, "--cert", "${TLS_CERT}", "--key", "${TLS_KEY}")
    assert got.status == 0, got
    assert kinds(cli.cwd / "run" / "idle", "tls"), "the probe found TLS, and HTTP/1 inside"
    assert '"protocol":"tls+http1"' in kinds(cli.cwd / "run" / "idle", "scenario")[0]["text"]


def test_a_plain_server_is_no_tls_server(cli):
    """Not a verdict on how it stops: the clients cannot get to where they should be."""
    got = cli("check", "-P", "tls+http1", "--slow", "gate", "--only", "in-flight", "--arm-within", "300ms", "--grace", "1s", "-o", "json", "--out", "run", "--", *PLAIN)
    assert got.status == 2, got
    verdicts = {v["check"]: v for v in got.json["scenarios"][0]["verdicts"]}
    assert not [v for v in verdicts.values() if v["outcome"] == "FAIL"]
    assert "TLS handshake" in verdicts["HAR-3"]["actual"], verdicts["HAR-3"]


def test_tls_handshake_needs_tls(cli):
    got = cli("check", "-P", "http1", "--only", "tls-handshake", "--", *PLAIN)
    assert got.status == 77 and "not inside TLS (http1)" in got.out


def test_raw_inside_tls(cli, tmp_path):
    """Any protocol can stand behind the plus: a server of lines that ends with close_notify."""
    (cli.cwd / "lines.py").write_text(LINES)
    (cli.cwd / "lines.yaml").write_text("""
why: lines inside TLS
clients:
  - {name: idle, phase: idle, protocol: tls+raw, request: 'PING\\n', answer: 'PONG\\n'}
""")
    got = cli("run", "lines.yaml", "--out", "run", "-o", "json", "--", sys.executable, "lines.py", "${PORT}", "${TLS_CERT}", "${TLS_KEY}")
    assert got.status == 0, got
    assert got.json["scenarios"][0]["connections"]["completed"] == 1


LINES = """
import asyncio, signal, ssl, sys

async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(b"PONG\\n")
    writer.close()

async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    writers = set()
    async def one(reader, writer):
        writers.add(writer)
        await serve(reader, writer)
        writers.discard(writer)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(one, "127.0.0.1", int(sys.argv[1]), ssl=context, reuse_address=True)
    await stop.wait()
    server.close()
    for writer in list(writers):
        writer.close()
    await asyncio.gather(*[writer.wait_closed() for writer in writers], return_exceptions=True)

asyncio.run(main())
"""


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
def test_the_trace_can_be_decrypted(cli):
    got = cli("check", "-P", "tls+http1", "--slow", "gate", "--only", "in-flight", "--out", "run", "--", *SERVER, "--fault", "drop-inflight")
    assert got.status == 1
    folder = cli.cwd / "run" / "in-flight"
    line = next(line for line in got.out.splitlines() if "wireshark -r " in line)
    assert line.endswith("-o tls.keylog_file:run/in-flight/tls.keys"), line
    seen = subprocess.run(["tshark", "-r", folder / "wire.pcap", "-o", f"tls.keylog_file:{folder / 'tls.keys'}", "-Y", "http.request",
                           "-T", "fields", "-e", "tcp.dstport", "-e", "http.request.uri"], stdout=subprocess.PIPE, text=True, check=True).stdout
    port = str(kinds(folder, "listen")[0]["port"])
    assert [port, "/gate"] in [row.split("\t") for row in seen.splitlines()], seen


def test_plain_runs_leave_no_keys(cli):
    assert cli("check", "--only", "quiet", "--out", "run", "--", *PLAIN).status == 0
    assert not list((cli.cwd / "run" / "quiet").glob("tls*"))
