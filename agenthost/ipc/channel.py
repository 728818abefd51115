"""Length-prefixed frames over a stream socket: pure framing, and a blocking and an asyncio end.

The host's ends live on its event loop; a job's end is blocking while the process is idle (it costs no loop) and
moves to the job's loop with `AsyncChannel` once there is one. A closed peer is `EOFError`/`on_close`, never silence.
"""

import asyncio
import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence

from agenthost.ipc.messages import Message, decode, encode

_HEADER = struct.Struct("!I")
MAX_FRAME = 16 * 1024 * 1024  # metadata is at most 64 KiB on the server; settings are files of people


class FrameReader:
    """Turns bytes, however cut, into frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Every frame that `data` completes. Raises ValueError when a peer announces an absurd length."""
        self._buffer += data
        while len(self._buffer) >= _HEADER.size:
            (length,) = _HEADER.unpack_from(self._buffer)
            if length > MAX_FRAME:
                raise ValueError(f"a frame of {length} bytes is over the limit of {MAX_FRAME}")
            end = _HEADER.size + length
            if len(self._buffer) < end:
                return
            frame = bytes(self._buffer[_HEADER.size : end])
            del self._buffer[:end]
            yield frame


def frame(message: Message) -> bytes:
    body = encode(message)
    return _HEADER.pack(len(body)) + body


class BlockingChannel:
    """One end in a process without a loop. Not thread-safe."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self.socket = sock
        self._reader = FrameReader()
        self._pending: list[bytes] = []

    async def to_async(self, on_message: Callable[[Message], None], on_close: Callable[[], None]) -> "AsyncChannel":
        """This end on the running loop, in place of `self`; messages read but not yet received come first."""
        return await AsyncChannel.open(self.socket, on_message, on_close, reader=self._reader, pending=self._pending)

    def wait(self, seconds: float) -> bool:
        """Whether there is something to receive, or the peer's end, within this time."""
        if self._pending:
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def send(self, message: Message) -> None:
        """Raises EOFError when the peer is gone."""
        try:
            self.socket.sendall(frame(message))
        except (BrokenPipeError, ConnectionResetError):
            raise EOFError("the host is gone") from None

    def receive(self) -> Message:
        """The next message; raises EOFError when the peer is gone."""
        while not self._pending:
            try:
                data = self.socket.recv(65536)
            except ConnectionResetError:
                data = b""  # it left without reading all that it was sent
            if not data:
                raise EOFError("the host is gone")
            self._pending.extend(self._reader.feed(data))
        return decode(self._pending.pop(0))


class AsyncChannel(asyncio.Protocol):
    """One end on an event loop; messages are handed to `on_message` in order, the end to `on_close` once.

    A peer that says what is no message is hung up on; `fault` then tells what it said.
    """

    def __init__(
        self,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
        *,
        reader: FrameReader | None = None,
        pending: Sequence[bytes] = (),
    ) -> None:
        self._reader = reader or FrameReader()
        self._pending = pending
        self.fault = ""
        self._on_message = on_message
        self._on_close = on_close
        self._transport: asyncio.WriteTransport | None = None
        self._lost = asyncio.Event()

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
        *,
        reader: FrameReader | None = None,
        pending: Sequence[bytes] = (),
    ) -> "AsyncChannel":
        """Take over a connected socket; it is closed with the channel.

        `reader` and `pending` are what a former owner had read of it: half a frame, and whole ones.
        """
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_connection(
            lambda: cls(on_message, on_close, reader=reader, pending=pending), sock=sock
        )
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport
        for body in self._pending:
            self._on_message(decode(body))
        self._pending = ()

    def data_received(self, data: bytes) -> None:
        try:
            messages = [decode(body) for body in self._reader.feed(data)]
        except ValueError as error:
            self.fault = str(error)
            self.close()
            return
        for message in messages:
            self._on_message(message)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._lost.set()
        self._on_close()

    def send(self, message: Message) -> None:
        """Queue a message; a peer that is gone is reported by `on_close`, not here."""
        if self._transport is not None:
            self._transport.write(frame(message))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def close_flushed(self) -> None:
        """Close once everything queued has been written, or the peer is gone; returns then."""
        self.close()
        await self._lost.wait()
