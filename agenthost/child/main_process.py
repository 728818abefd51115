"""A script's main process: `run_main_process`. One per agent generation whose entrypoint is a script, or a module.

The script runs here as its author runs it, once, with all that it starts beside the agent: a health server, a
scheduler. Where it calls `cli.run_app(…)` or `AgentServer.run()`, in whatever thread, loop or forked child, it has come
to the door: the host is told what it was given, and is answered like by a hook process, until it has no use for this
generation any more.
"""

import asyncio
import os
import signal
import socket
import threading
from typing import Any

from agenthost.child.agent_code import AgentCode
from agenthost.child.framework import handed_over
from agenthost.child.hook_main import Hook
from agenthost.child.main_children import DoorInChildren
from agenthost.child.main_script import MAIN, find_script, run_script
from agenthost.child.missing_packages import hint
from agenthost.child.own_import import Learning
from agenthost.child.run_app import answer_run_app
from agenthost.child.user_errors import describe_failure, error_text, traceback_text
from agenthost.errors import EntrypointError
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import ForkProcess, decode, encode
from agenthost.logs.events import get_logger

log = get_logger("main")


def run_main_process(request: ForkProcess, channel: BlockingChannel, learning: Learning) -> int:
    """Run the script until it ends, which is after the host has closed the channel; returns the exit code."""
    assert request.code is not None
    door = Door(request, channel, learning, entered=os.memfd_create("agenthost-door"))
    answer_run_app(door)
    door.open_in_children()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # the host's last word before it kills
    _share_ports()
    reference = request.code.entrypoint
    try:
        module = run_script(find_script(reference), MAIN)
    except KeyboardInterrupt:
        return 0
    except BaseException as error:
        if door.entered:
            return _ended(error)
        channel.send(describe_failure("import", _failed(reference, error)))
        return 1
    if not door.entered:
        door.run_app(module)
    door.wait()
    return 0


def _open_door(request: bytes, channel: int, entered: int, learns: int | None = None) -> None:
    """In a child of the script's that has an interpreter of its own."""
    asked = decode(request)
    assert isinstance(asked, ForkProcess)
    reading = BlockingChannel(socket.socket(fileno=channel))
    door = Door(asked, reading, Learning(asked, learns, alone=True), entered=entered)
    answer_run_app(door)
    door.open_in_children()


class Door:
    """Where the script hands its agent over; the `Answer` of a main process.

    `entered` is a file that has something in it once somebody has: a child of the script may be who does.
    """

    def __init__(self, request: ForkProcess, channel: BlockingChannel, learning: Learning, *, entered: int) -> None:
        self._request = request
        self._channel = channel
        self._learning = learning
        self._left = threading.Event()
        self._entered = entered

    def open_in_children(self) -> None:
        """In those as well that start with an interpreter of their own, from now on."""
        descriptors = [self._channel.socket.fileno(), self._entered]
        if self._learning.file is not None:
            descriptors.append(self._learning.file)
        DoorInChildren(_open_door, encode(self._request), tuple(descriptors)).install()

    @property
    def entered(self) -> bool:
        return bool(os.pread(self._entered, 1, 0))

    def run_app(self, agent: object) -> None:
        """As `Answer`; a module instead of an agent is searched for one."""
        try:
            asyncio.run(self.run(agent))
        except KeyboardInterrupt:
            self._left.set()

    async def run(self, agent: object) -> None:
        """As `Answer`."""
        if self.entered:
            log.warning("a script runs one agent: this one is not hosted", agent=type(agent).__name__)
            await asyncio.to_thread(self._left.wait)
            return
        os.pwrite(self._entered, b"1", 0)
        code = self._hand_over(agent)
        try:
            await Hook(code).run(self._channel)
        finally:
            self._left.set()

    def wait(self) -> None:
        """Until the host has no more use for it; the script has ended, but not what it started."""
        self._left.wait()

    def _hand_over(self, agent: object) -> AgentCode:
        assert self._request.code is not None
        try:
            code, functions = handed_over(agent, self._request.code)
        except BaseException as error:
            self._channel.send(describe_failure("import", error))
            os._exit(1)
        os.environ.update(self._request.credentials)  # as after `own_import.import_own`
        self._channel.send(self._learning.report(code, functions))
        return code


def _failed(reference: str, error: BaseException) -> BaseException:
    if isinstance(error, EntrypointError):
        return error
    advice = hint(error)
    told = f"`{reference}`: running it failed with {error_text(error)}" + (f"; {advice}" if advice else "")
    failed = EntrypointError(told, traceback_text=traceback_text(error))
    failed.__cause__ = error
    return failed


def _ended(error: BaseException) -> int:
    """What the script raised after its agent was handed over."""
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    log.error("the script failed", exc_info=error)
    return 1


def _share_ports() -> None:
    """A reload starts the script anew while the old one still lives: both may listen on the same fixed port for that
    moment. The port of another program stays taken, since that one does not share it."""
    bind: Any = socket.socket.bind

    def bind_shared(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and self.type & socket.SOCK_STREAM and address[1]:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bind(self, address)

    setattr(socket.socket, "bind", bind_shared)  # noqa: B010  an assignment is not allowed to a method
