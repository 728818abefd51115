"""What the host's side of a process needs: a reaper on this test's loop, and pipes whose other ends the test plays."""

import asyncio
import os
import select
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack

import pytest

from agenthost.ipc.messages import PACKET_BYTES, Message, decode, encode
from agenthost.logs.events import get_logger
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import ExitStatus, Reaper
from agenthost.processes.templates import Template


@pytest.fixture
async def home() -> AsyncIterator[ProcessHome]:
    """A reaper that really reaps."""
    reaper = Reaper()
    reaper.start()
    yield ProcessHome(reaper=reaper, log=get_logger("test"))
    reaper.stop()


def spawn(*command: str, session: bool = False, env: dict[str, str] | None = None) -> int:
    """A child that nobody waits for but the reaper."""
    if session:
        command = ("setsid", *command)  # not every Python can have the exec make it
    return os.posix_spawnp(command[0], command, {**os.environ, **(env or {})})


async def ended(home: ProcessHome, pid: int) -> ExitStatus:
    async with asyncio.timeout(5):
        return await home.reaper.exited(pid)


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


class TemplatePeer:
    """The process behind a template's socket, played by the test. `host` is what the host has of it."""

    def __init__(self, home: ProcessHome, name: str = "agent") -> None:
        ends = ProcessEnds.open(packets=True)
        channel, *rest = (os.dup(end) for end in ends.theirs)
        ends.close_theirs()
        self._socket = socket.socket(fileno=channel)
        self._socket.setblocking(False)
        self._rest = rest
        self.host = Template(name, ends, home)

    def say(self, message: Message) -> None:
        self._socket.send(encode(message))

    async def receive(self) -> tuple[Message, list[int]]:
        """The next message of the host and the descriptors that came with it."""
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._socket, readable.set)
        try:
            async with asyncio.timeout(5):
                await readable.wait()
        finally:
            loop.remove_reader(self._socket)
        packet, descriptors, _, _ = socket.recv_fds(self._socket, PACKET_BYTES, 4)
        return decode(packet), descriptors

    def has_mail(self) -> bool:
        """Whether there is something to receive now."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def die(self) -> None:
        """Close every end, as the kernel does."""
        self._socket.close()
        while self._rest:
            os.close(self._rest.pop())


MakePeer = Callable[..., TemplatePeer]


@pytest.fixture
async def peer(home: ProcessHome) -> AsyncIterator[MakePeer]:
    """`peer(name="agent")`: a template whose process is the test."""
    with ExitStack() as stack:
        made: list[TemplatePeer] = []

        def make(name: str = "agent") -> TemplatePeer:
            new = TemplatePeer(home, name)
            stack.callback(new.die)
            made.append(new)
            return new

        yield make
        for each in made:
            each.die()
            each.host.close()
            await each.host.silent()


MakeEnds = Callable[[], ProcessEnds]


@pytest.fixture
def make_ends() -> Iterator[MakeEnds]:
    """`make_ends()`: the descriptors of a process to be; the host's halves are closed at the end."""
    with ExitStack() as stack:

        def make() -> ProcessEnds:
            ends = ProcessEnds.open()
            stack.callback(ends.channel.close)
            for descriptor in (ends.stdout, ends.stderr, ends.log):
                stack.callback(os.close, descriptor)
            return ends

        yield make
