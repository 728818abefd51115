"""Frames and messages across the process border."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.ipc.channel import MAX_FRAME, AsyncChannel, BlockingChannel, FrameReader, frame
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


class Listener:
    """An end on the loop; `heard` are its messages, `closed` is set when it was told the end, `ends` how often."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: list[Message] = []
        self.ends = 0
        self.closed = asyncio.Event()
        self.arrived = asyncio.Event()
        self.channel = AsyncChannel(sock, self._hear, self._end)

    def _hear(self, message: Message) -> None:
        self.heard.append(message)
        self.arrived.set()

    def _end(self) -> None:
        self.ends += 1
        self.closed.set()


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Listener, socket.socket]]:
    """An end on the loop, and the socket of its peer."""
    ours, theirs = socket.socketpair()
    listener = Listener(ours)
    async with asyncio.timeout(10):
        yield listener, theirs
        theirs.close()
        await listener.channel.close_flushed()
    assert listener.ends == 1, "the end is told once"
    assert ours.fileno() == -1, "the socket is closed with its channel"


Pair = tuple[Listener, socket.socket]
LONG = Ended(kind="failed", reason="r", error="x" * 3_000_000)  # more than a socket takes at once


async def test_messages_arrive_on_the_loop_and_then_the_end(pair: Pair) -> None:
    """In their order, also when they come in one piece."""
    listener, peer = pair
    peer.sendall(frame(Started()) + frame(Heartbeat(people=2)))
    peer.close()
    await listener.closed.wait()
    assert listener.heard == [Started(), Heartbeat(people=2)]


async def test_more_than_the_socket_takes_is_sent_in_order(pair: Pair) -> None:
    """What is queued meanwhile comes after it."""
    listener, peer = pair
    listener.channel.send(LONG)
    listener.channel.send(Started())
    receiver = BlockingChannel(peer)
    assert [await asyncio.to_thread(receiver.receive) for _ in range(2)] == [LONG, Started()]
    listener.channel.send(Heartbeat(people=1))
    assert await asyncio.to_thread(receiver.receive) == Heartbeat(people=1)


async def test_closing_sends_what_is_queued_and_hears_no_more(pair: Pair) -> None:
    """A last word arrives whole; nothing can be said after it."""
    listener, peer = pair
    listener.channel.send(LONG)
    listener.channel.close()
    listener.channel.send(Started())
    peer.send(frame(Heartbeat(people=1)))
    receiver = BlockingChannel(peer)
    assert await asyncio.to_thread(receiver.receive) == LONG
    await listener.channel.close_flushed()
    with pytest.raises(EOFError):
        receiver.receive()
    assert listener.heard == []


async def test_peer_that_goes_in_the_middle_is_the_end(pair: Pair) -> None:
    """What it did not read is lost, and nobody waits for it."""
    listener, peer = pair
    listener.channel.send(LONG)
    peer.close()
    await listener.closed.wait()
    listener.channel.send(Started())


async def test_peer_that_talks_nonsense_is_hung_up_on(pair: Pair) -> None:
    """With what it said."""
    listener, peer = pair
    peer.send(struct.pack("!I", 3) + b"???")
    await listener.closed.wait()
    assert "not a message" in listener.channel.fault


async def test_what_was_read_before_comes_first() -> None:
    """A message that came in the same breath as the one that was waited for is heard before `to_async` returns."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(frame(Started()) + frame(Heartbeat(people=1)) + frame(Heartbeat(people=2))[:7])
        channel = BlockingChannel(ours)
        assert channel.receive() == Started()
        heard: list[Message] = []
        second = asyncio.Event()
        on_loop = channel.to_async(lambda message: (heard.append(message), len(heard) == 2 and second.set()), bool)
        assert heard == [Heartbeat(people=1)]
        theirs.sendall(frame(Heartbeat(people=2))[7:])
        async with asyncio.timeout(10):
            await second.wait()
            await on_loop.close_flushed()
    assert heard[1] == Heartbeat(people=2)
