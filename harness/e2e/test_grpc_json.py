"""Messages that were written as JSON, as a server got them, against what Google's own encoder makes of the same JSON."""
import functools
import json
import os
import shutil
import struct
import subprocess
import sys

import pytest

from support import ROOT

DESCRIPTORS = ROOT / "fixtures" / "proto" / "kinds.desc"
SINK = ROOT / "harness" / "e2e" / "servers" / "grpc_sink.py"
pytest.importorskip("google.protobuf", reason="python3-protobuf is not there (make deps-check)")

# Each of them is taken by both, and means the same.
ALL = [
    # both names of a field, and null for nothing
    '{"bigOne":"9"}', '{"big_one":9}', '{"s":null,"inner":null,"many":null,"counts":null,"text":null,"when":null}',
    # whole numbers: as numbers, as texts, with exponents and empty fractions
    '{"i64":"-9223372036854775808","u64":"18446744073709551615","i32":-2147483648,"u32":4294967295}',
    '{"i64":9223372036854775807,"f64":"18446744073709551615","sf64":"-9223372036854775808","s64":"-9223372036854775808"}',
    '{"i32":1.0,"u32":1e2,"f32":5,"sf32":-1,"s32":-2147483648,"i64":1e18,"u64":1e19}',
    # floating point
    '{"d":"NaN","f":"NaN"}', '{"d":"Infinity","f":"-Infinity"}', '{"d":"-Infinity","f":"Infinity"}',
    '{"d":"1.5e-3","f":3.4028234663852886e38}', '{"d":-0.0,"f":-0.0}', '{"d":1.7976931348623157e308}',
    # texts and bytes, in either alphabet, with and without padding
    '{"s":"h\\u00e9\\ud83d\\ude00\\u0000x"}', '{"s":""}', '{"raw":"-_-_"}', '{"raw":"+/+/"}', '{"raw":"AQ"}', '{"raw":"AQ=="}',
    '{"raw":"AQI"}', '{"raw":""}',
    # enums by name and by number
    '{"colour":"BELOW"}', '{"colour":-1}', '{"colour":7}', '{"palette":["RED",0,"NONE",-1]}',
    # lists and maps
    '{"many":[1,"2",3e0]}', '{"many":[]}', '{"inners":[{"word":"x"},{}]}', '{"counts":{"k":3,"":0}}', '{"named":{"-7":{"word":"w"}}}',
    '{"colours":{"true":"RED","false":1}}', '{"blobs":{"18446744073709551615":"AAEC"}}', '{"counts":{}}',
    # oneofs and optional fields
    '{"left":""}', '{"right":0}', '{"left":null,"right":5}', '{"middle":null}', '{"maybe":0}', '{"maybe":null}',
    # wrappers stand for their value
    '{"text":"","bigOne":"-1","doubleValue":"NaN","floatValue":0,"uint64Value":"18446744073709551615","int32Value":-1}',
    '{"uint32Value":0,"boolValue":false,"bytesValue":"AQ=="}', '{"boolValue":null}',
    # time
    '{"wait":"-1.5s"}', '{"wait":"0.000000001s"}', '{"wait":"-0.5s"}', '{"wait":"315576000000s"}', '{"waits":["1s","0s"]}',
    '{"when":"2026-11-21T13:00:00.25Z"}', '{"when":"0001-01-01T00:00:00Z"}', '{"when":"9999-12-31T23:59:59.999999999Z"}',
    '{"when":"2024-02-29T23:59:59-08:00"}', '{"when":"1969-12-31T23:59:59+01:00"}',
    # any JSON
    '{"anything":null}', '{"anything":1.5}', '{"anything":"t"}', '{"anything":false}', '{"anything":[]}', '{"anything":{}}',
    '{"anything":[1,[null,{"a":{"b":[true]}}],"NaN"]}', '{"loose":{"a":null,"":[],"c":{"d":-3}}}', '{"loose":{}}',
    '{"several":[]}', '{"several":[null,"x",[0]]}', '{"anythings":[null,1,[]]}', '{"labels":{"a":null,"b":{"c":1}}}', '{"null":null}',
    '{"null":"NULL_VALUE"}', '{"empty":{}}',
    # masks
    '{"mask":"user.displayName,photo"}', '{"mask":""}', '{"mask":"aBcD"}',
    # Any: of a message, of a type with a form of its own, of itself, of nothing
    '{"any":{"@type":"type.googleapis.com/kinds.All.Inner","word":"a","deeper":{"word":"b"}}}',
    '{"any":{"word":"late","@type":"type.googleapis.com/kinds.All.Inner"}}',
    '{"any":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1.5s"}}',
    '{"any":{"@type":"type.googleapis.com/google.protobuf.Struct","value":{"a":[1]}}}',
    '{"any":{"@type":"type.googleapis.com/google.protobuf.Int64Value","value":"7"}}',
    '{"any":{"@type":"type.googleapis.com/google.protobuf.Empty"}}',
    '{"any":{"@type":"type.googleapis.com/google.protobuf.Any","value":{"@type":"example.org/a/b/kinds.All.Inner","word":"c"}}}',
    '{"any":{}}', '{"anys":[{"@type":"type.googleapis.com/kinds2.Old","name":"n"},{}]}',
]
OLD = [
    '{"name":"n"}', '{"name":"","sender":{"host":"h","replyTo":{"name":"m","sender":{}}}}', '{"name":"n","sender":{"reply_to":null}}',
    '{"name":"n","line":[{"number":1},{"number":"2","width":"Infinity"}]}', '{"name":"n","here":{"now":true}}', '{"name":"n","there":"t"}',
]
DYNAMIC = ['null', '"t"', '[1,{"a":null}]', '{"a":"b"}', '-2.5', 'true']


@functools.cache
def message_class(name):
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    pool = descriptor_pool.DescriptorPool()
    files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
    for file in files.file:
        pool.Add(file)
    return message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName(name)), pool


def encoded(name, text):
    """What Google's library makes of it: one that it wrote itself, so that two can be compared (NaN equals nothing)."""
    from google.protobuf import json_format
    message, pool = message_class(name)
    return json_format.Parse(text, message(), descriptor_pool=pool).SerializeToString(deterministic=True)


def again(name, data):
    return message_class(name)[0].FromString(data).SerializeToString(deterministic=True)


def frames(data):
    while data:
        assert data[0] == 0, "not compressed"
        n = struct.unpack(">I", data[1:5])[0]
        yield data[5:5 + n]
        data = data[5 + n:]


def sent(cli, request):
    """The messages of the one call of the scenario, as a server got them."""
    log = cli.cwd / "calls"
    (cli.cwd / "s.yaml").write_text("clients:\n  - {phase: idle, request: " + json.dumps(request) + "}\nexpect: {exit: any}\n")
    got = cli("run", "--proto", DESCRIPTORS, "--quick", "grpc kinds.Calls/Nothing", "-o", "json", "--out", "run", "s.yaml",
              "--", sys.executable, SINK, "${PORT}", log)
    assert got.status in (0, 1), got
    line, = log.read_text().splitlines()
    return list(frames(bytes.fromhex(line)))


@pytest.mark.parametrize("method, name, texts", [
    ("kinds.Calls/In", "kinds.All", ALL), ("kinds2.Calls/In", "kinds2.Old", OLD),
    ("kinds.Calls/Dynamic", "google.protobuf.Value", DYNAMIC),
], ids=["all", "old", "dynamic"])
def test_as_googles_encoder(cli, method, name, texts):
    got = sent(cli, " ".join(["grpc", method, *texts]))
    assert len(got) == len(texts)
    for text, data in zip(texts, got):
        assert again(name, data) == encoded(name, text), f"{text} was sent as {data.hex()}"


def test_the_descriptors_are_those_of_the_sources(tmp_path):
    folder, protoc = DESCRIPTORS.parent, shutil.which("protoc")
    made = protoc and subprocess.run([protoc, "-I", folder, "--include_imports", "-o", tmp_path / "k.desc", "kinds.proto", "kinds2.proto"],
                                     capture_output=True, text=True)
    if not made or "any.proto: File not found" in made.stderr:
        assert os.environ.get("CI") != "true", "make deps-check installs protobuf-compiler and libprotobuf-dev"
        pytest.skip("no protoc here, or not Google's own types")
    assert made.returncode == 0, made.stderr
    fresh, kept = (message_files(p) for p in (tmp_path / "k.desc", DESCRIPTORS))
    assert fresh == kept, "make fixtures/proto/kinds.desc again, as kinds.proto says"


def message_files(path):
    from google.protobuf import descriptor_pb2
    files = descriptor_pb2.FileDescriptorSet.FromString(path.read_bytes()).file
    return {f.name: f for f in files if f.name.startswith("kinds")}


def test_what_is_refused_is_told_with_its_place(cli):
    """A wrong message is the user's mistake: exit 4, the place in the JSON and the nearest right name; nothing was sent."""
    (cli.cwd / "s.yaml").write_text('clients:\n  - {phase: idle, request: \'grpc kinds.Calls/One {"inners":[{},{"wurd":"x"}]}\'}\n')
    got = cli("run", "--proto", DESCRIPTORS, "s.yaml", "--", sys.executable, SINK, "${PORT}", cli.cwd / "calls")
    assert got.status == 4 and "inners[1]: message kinds.All.Inner has no field 'wurd', did you mean 'word'?" in got.out + got.err, got
