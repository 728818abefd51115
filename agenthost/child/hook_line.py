"""`HookLine`: what a hook process hears and says, in a thread of its own, since user code may hold up its event loop.

Runs in hook processes and in a script's main process. A request handler that blocks (`requests.get`, `time.sleep`)
would hold up the offers of all other rooms with its own. So a question that the loop has not begun after
BLOCKED_SECONDS is taken from it and asked in a thread with a loop of its own, and the log names the line that blocks.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from agenthost.child.user_errors import running_place
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import AskHandler, Message
from agenthost.logs.events import get_logger

BLOCKED_SECONDS = 0.2  # of the 1.3 that a handler has

log = get_logger("hook")


class HookLine:
    """`on_message` and `on_close` are called on the running loop, by which this is made.

    `elsewhere` asks a question on the loop of another thread.
    """

    def __init__(
        self,
        channel: BlockingChannel,
        *,
        on_message: Callable[[Message], None],
        on_close: Callable[[], None],
        elsewhere: Callable[[AskHandler], Coroutine[Any, Any, None]],
    ) -> None:
        self._channel = channel
        self._on_message = on_message
        self._on_close = on_close
        self._elsewhere = elsewhere
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._sending = threading.Lock()
        self._waiting: dict[int, tuple[AskHandler, float]] = {}  # in order, each with the time when it is to be taken
        self._told: set[str] = set()
        threading.Thread(target=self._listen, name="agenthost: hook", daemon=True).start()

    def send(self, message: Message) -> None:
        """From any thread; a host that is gone is told by `on_close`."""
        with self._sending:
            try:
                self._channel.send(message)
            except EOFError:
                pass

    def begins(self, question: AskHandler) -> bool:
        """Whether the loop, which comes to it now, is who asks it; else it was asked elsewhere meanwhile."""
        return self._waiting.pop(question.number, None) is not None

    def give_back(self, question: AskHandler) -> None:
        """From another thread: the loop shall ask it after all, when it comes to it."""
        self._waiting[question.number] = (question, float("inf"))
        self._post(self._on_message, question)

    def _listen(self) -> None:
        try:
            while True:
                if self._channel.wait(self._seconds_left()):
                    self._hear(self._channel.receive())
                self._take_late()
        except EOFError:
            self._post(self._on_close)

    def _hear(self, message: Message) -> None:
        if isinstance(message, AskHandler):
            self._waiting[message.number] = (message, time.monotonic() + BLOCKED_SECONDS)
        self._post(self._on_message, message)

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # the loop is closed: the process ends

    def _seconds_left(self) -> float | None:
        ends = [end for _, end in list(self._waiting.values())]
        end = min(ends, default=float("inf"))
        return None if end == float("inf") else max(0.0, end - time.monotonic())

    def _take_late(self) -> None:
        now = time.monotonic()
        late = [question for question, end in list(self._waiting.values()) if end <= now]
        for question in late:
            if self._waiting.pop(question.number, None) is not None:  # the loop has not come to it just now
                self._tell_what_blocks()
                name = f"agenthost: question {question.number}"
                threading.Thread(target=self._ask, args=(question,), name=name, daemon=True).start()

    def _ask(self, question: AskHandler) -> None:
        asyncio.run(self._and_all_it_began(question))

    async def _and_all_it_began(self, question: AskHandler) -> None:
        """A handler may leave tasks behind; its loop lives as long as they do."""
        await self._elsewhere(question)
        this = asyncio.current_task()
        while others := asyncio.all_tasks() - {this}:
            await asyncio.wait(others)

    def _tell_what_blocks(self) -> None:
        """Once for each line."""
        frame = sys._current_frames().get(self._thread)
        file, line = running_place(frame)
        place = f"{file}:{line}" if file else ""
        if place not in self._told:
            self._told.add(place)
            log.warning(
                "event loop held up",
                at=place or "an unknown line",
                effect="other requests are handled in threads of their own meanwhile",
                hint="await what takes long, or hand it to asyncio.to_thread",
            )
