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
_READ_BYTES = 64 * 1024
MAX_FRAME = 16 * 1024 * 1024  # a job's metadata, its room's and a participant's are at most 512 KiB each, by default


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
    """One end in a process without a loop. One thread may receive while another one sends."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(True)
        self.socket = sock
        self._reader = FrameReader()
        self._pending: list[bytes] = []

    def to_async(self, on_message: Callable[[Message], None], on_close: Callable[[], None]) -> "AsyncChannel":
        """This end on the running loop, in place of `self`; messages read but not yet received come first.

        Once that is released, `self` is an end again.
        """
        pending, self._pending = self._pending, []
        return AsyncChannel(self.socket, on_message, on_close, reader=self._reader, pending=pending)

    def wait(self, seconds: float | None) -> bool:
        """Whether there is something to receive, or the peer's end, within this time; None: however long it takes."""
        if self._pending:
            return True
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(None if seconds is None else seconds * 1000))

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
                data = self.socket.recv(_READ_BYTES)
            except ConnectionResetError:
                data = b""  # it left without reading all that it was sent
            if not data:
                raise EOFError("the host is gone")
            self._pending.extend(self._reader.feed(data))
        return decode(self._pending.pop(0))


class AsyncChannel:
    """One end on the running loop; messages are handed to `on_message` in order, the end to `on_close` once.

    Takes over a connected socket, which is closed with the channel. `reader` and `pending` are what a former owner had
    read of it: half a frame, and whole ones, which are handed over before anything else. A peer that says what is no
    message is hung up on; `fault` then tells what it said.

    Not a transport of asyncio's, which costs a process another 40 pages and each side a quarter of a millisecond.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
        *,
        reader: FrameReader | None = None,
        pending: Sequence[bytes] = (),
    ) -> None:
        sock.setblocking(False)
        self.fault = ""
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._on_message = on_message
        self._on_close = on_close
        self._reader = reader or FrameReader()
        self._unsent = bytearray()
        self._closing = False
        self._released = False
        self._lost = asyncio.Event()
        self._loop.add_reader(sock, self._readable)
        for body in pending:
            on_message(decode(body))

    def send(self, message: Message) -> None:
        """Queue a message; a peer that is gone is reported by `on_close`, not here."""
        if self._closing:
            return
        waiting = bool(self._unsent)
        self._unsent += frame(message)
        if not waiting:
            self._write()
            if self._unsent and not self._closing:
                self._loop.add_writer(self._socket, self._write)

    def close(self) -> None:
        """Read no more; the end comes when everything queued has been written."""
        if not self._closing:
            self._closing = True
            self._loop.remove_reader(self._socket)
            if not self._unsent:
                self._loop.call_soon(self._lose)

    async def close_flushed(self) -> None:
        """Close once everything queued has been written, or the peer is gone; returns then."""
        self.close()
        await self._lost.wait()

    async def release(self) -> None:
        """As `close_flushed`, but the socket stays open, for the end that this one was made of."""
        self._released = True
        await self.close_flushed()
        self._socket.setblocking(True)

    def _readable(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._break()  # it left without reading all that it was sent
            return
        if not data:
            self.close()
            return
        try:
            messages = [decode(body) for body in self._reader.feed(data)]
        except ValueError as error:
            self.fault = str(error)
            self.close()
            return
        for message in messages:
            self._on_message(message)

    def _write(self) -> None:
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            return
        except OSError:
            self._break()
            return
        del self._unsent[:sent]
        if self._unsent:
            return
        self._loop.remove_writer(self._socket)
        if self._closing:
            self._loop.call_soon(self._lose)

    def _break(self) -> None:
        """The peer will read no more: what is unsent is lost."""
        self._loop.remove_writer(self._socket)
        self._unsent.clear()
        if self._closing:
            self._loop.call_soon(self._lose)
        else:
            self.close()

    def _lose(self) -> None:
        if not self._lost.is_set():
            if not self._released:
                self._socket.close()
            self._lost.set()
            self._on_close()
