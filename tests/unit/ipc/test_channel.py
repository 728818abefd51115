"""Frames and messages across the process border."""

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.ipc.channel import MAX_FRAME, BlockingChannel, FrameReader, frame
from agenthost.ipc.messages import Ended, Heartbeat, Message, Started, StopJob, decode


@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_messages_survive_any_chunking(cuts: list[int]) -> None:
    """However the bytes are cut on their way, the same messages come out in the same order."""
    messages: list[Message] = [Started(), Ended(kind="failed", reason="é", error="x" * 200), Heartbeat(people=2)]
    data = b"".join(map(frame, messages))
    reader, found, at = FrameReader(), [], 0
    while at < len(data):
        for cut in cuts:
            found += [decode(body) for body in reader.feed(data[at : at + cut])]
            at += cut
    assert found == messages


def test_absurd_length_is_refused_before_it_is_waited_for() -> None:
    """A broken peer must not make the host collect 4 GiB."""
    with pytest.raises(ValueError, match="over the limit"):
        list(FrameReader().feed(struct.pack("!I", MAX_FRAME + 1)))


def test_closed_peer_is_the_end_of_file() -> None:
    """Never silence, never an empty message."""
    ours, theirs = socket.socketpair()
    channel = BlockingChannel(ours)
    BlockingChannel(theirs).send(StopJob(reason="r", grace_seconds=1.0))
    theirs.close()
    assert channel.receive() == StopJob(reason="r", grace_seconds=1.0)
    with pytest.raises(EOFError):
        channel.receive()
    ours.close()
