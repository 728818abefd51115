"""Messages on the wire: what goes in comes out, and nothing else does."""

import math
from types import MappingProxyType

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.ipc.messages import (
    AskHandler,
    CodeSpec,
    Ended,
    ForkProcess,
    HandlerAnswer,
    Library,
    StartJob,
    TemplateReady,
    TemplateSpec,
    decode,
    encode,
)
from tests.support.any_text import any_text

START = StartJob(
    job_id="AJ_1",
    job=bytes(range(256)),
    url="ws://x",
    token="tok",
    api_token="api",
    worker_id="AW_1",
    agent="a",
    room="r",
    identity="i",
    name="n",
    metadata="{}",
    attributes={"k": "v"},
    settings={"voice": "alba", "nested": [1, {"a": None}]},
    attempt=2,
    session_end_seconds=1.5,
    shutdown_seconds=2.0,
)
SPEC = TemplateSpec(
    agent="a",
    env={"A": "B"},
    working_dir="/",
    path=("/x",),
    code=CodeSpec(entrypoint="m:e"),
    libraries=(Library(name="json"), Library(name="torch", env={"A": "1", "B": None})),
)


@pytest.mark.parametrize(
    "message",
    [
        START,
        SPEC,
        ForkProcess(number=1, kind="job", spec=SPEC, code=CodeSpec(entrypoint="m:e", functions=b"\x80")),
        ForkProcess(number=2, kind="job", open_files=100),
        TemplateReady(pid=1, import_seconds=0.5, modules=("a", "b"), threads=()),
        AskHandler(number=1, job=b"\x00", identity="i", name="", metadata="", attributes={}),
        # What MessagePack has no form for: a variable that is not UTF-8, a number of more than 64 bits.
        ForkProcess(number=3, kind="template", spec=msgspec.structs.replace(SPEC, env={"A": "\udcff", "B": "ü"})),
        msgspec.structs.replace(START, settings={"seed": 10**30, "list": [-(2**70), "\udc80"]}, attributes={}),
    ],
)
def test_round_trip(message: object) -> None:
    """Equal after encoding and decoding, bytes, tuples and nested messages included."""
    assert decode(encode(message)) == message  # type: ignore[arg-type]


def test_a_number_that_is_none_stays_none() -> None:
    """`nan` and infinity are YAML numbers, and a file may have them in its settings."""
    start = msgspec.structs.replace(START, settings={"a": math.nan, "b": math.inf})
    back = decode(encode(start))
    assert isinstance(back, StartJob)
    assert math.isnan(back.settings["a"])
    assert back.settings["b"] == math.inf


def test_any_mapping_arrives_as_a_dict() -> None:
    """The host keeps its values in mappings that cannot be changed."""
    start = msgspec.structs.replace(START, settings=MappingProxyType({"a": MappingProxyType({"b": 1})}))
    back = decode(encode(start))
    assert isinstance(back, StartJob)
    assert back.settings == {"a": {"b": 1}}


@pytest.mark.parametrize("settings", [{"a": object()}, {"a": object(), "b": "\udcff"}])
def test_what_is_no_plain_value_is_refused(settings: object) -> None:
    """By name, however the rest would have been sent."""
    with pytest.raises(TypeError, match="object cannot cross the process border"):
        encode(msgspec.structs.replace(START, settings=settings))


MALFORMED = [
    b"",
    b"{}",
    b'{"type": "Nobody"}',
    b'{"type": "Hello", "pid": 1, "nonsense": 1}',
    b'{"type": "Hello", "pid": "one"}',
    b"{" + b'"a":{' * 20_000,
    b'["Hello", {"pid": 1}]',
    b"\xff",
    b"\xc1",
    b"\x91" * 20_000,
    msgspec.msgpack.encode({"type": "Nobody"}),
    msgspec.msgpack.encode({"type": "Hello"}),
    msgspec.msgpack.encode({"type": "Hello", "pid": 1, "nonsense": 1}),
    msgspec.msgpack.encode({"type": "Hello", "pid": "one"}),
    msgspec.msgpack.encode(3),
    encode(START)[:-1],
    encode(START) + b"\x00",
]


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
def test_what_is_no_message_is_a_value_error(data: bytes) -> None:
    """A process of the user's cannot make the host do anything else than that."""
    with pytest.raises(ValueError, match="not a message"):
        decode(data)


@given(any_text, any_text, st.dictionaries(any_text, any_text, max_size=3))
def test_any_text_crosses_the_border(name: str, metadata: str, attributes: dict[str, str]) -> None:
    """As it is, and what becomes of it is decided where it leaves the host; but two halves that meet are a pair."""
    answer = HandlerAnswer(number=1, action="accept", name=name, metadata=metadata, attributes=attributes)
    got = decode(encode(answer))
    assert isinstance(got, HandlerAnswer)
    assert (got.name, got.metadata) == (_paired(name), _paired(metadata))
    assert got.attributes == {_paired(key): _paired(value) for key, value in attributes.items()}
    ended = decode(encode(Ended(kind="failed", reason=name, error=metadata)))
    assert ended == Ended(kind="failed", reason=_paired(name), error=_paired(metadata))


def _paired(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


def test_secrets_are_in_no_repr() -> None:
    """Messages may end up in a log line."""
    assert "tok" not in repr(START)
    assert "alba" not in repr(START)
