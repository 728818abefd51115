"""Messages as JSON: what goes in comes out, and nothing else does."""

import pytest

from agenthost.ipc.messages import AskHandler, ForkProcess, StartJob, TemplateReady, TemplateSpec, decode, encode

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
SPEC = TemplateSpec(agent="a", generation=1, env={"A": "B"}, working_dir="/", path=("/x",), entrypoint="m:e")


@pytest.mark.parametrize(
    "message",
    [
        START,
        ForkProcess(number=1, kind="template", spec=SPEC),
        ForkProcess(number=2, kind="job", open_files=100),
        TemplateReady(pid=1, import_seconds=0.5, modules=("a", "b"), threads=()),
        AskHandler(number=1, job=b"\x00", identity="i", name="", metadata="", attributes={}),
    ],
)
def test_round_trip(message: object) -> None:
    """Equal after encoding and decoding, bytes, tuples and nested messages included."""
    assert decode(encode(message)) == message  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'["Nobody", {}]', b'["Hello", {"nonsense": 1}]', b'["Hello", 3]', b"\xff"]
)
def test_what_is_no_message_is_a_value_error(data: bytes) -> None:
    """A process of the user's cannot make the host do anything else than that."""
    with pytest.raises(ValueError, match="not a message"):
        decode(data)


def test_secrets_are_in_no_repr() -> None:
    """Messages may end up in a log line."""
    assert "tok" not in repr(START)
    assert "alba" not in repr(START)
