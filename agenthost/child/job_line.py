"""`JobLine`: a job's side of the talk with the host, and the one ending it comes to. Runs in job processes.

The first ending that is decided stays (`endings.py`). While the loop turns, a heartbeat tells the host so. When the
host is gone the process ends on the spot: nobody is left to end it for.
"""

import asyncio
import os
from collections.abc import Callable, Mapping

from agenthost.child.budget import Budget
from agenthost.child.endings import Ending, stopped
from agenthost.ipc.channel import AsyncChannel, BlockingChannel
from agenthost.ipc.messages import ApiToken, Guests, Heartbeat, LogLevels, Message, StopJob, Stopping
from agenthost.logs import pipe_handler
from agenthost.logs.events import get_logger

HEARTBEAT_SECONDS = 1.0
LAST_SECONDS = 1.0  # for exit functions, where the shutdown callbacks have used up their limit
HOST_GONE = 1  # exit code; nobody reads it but a debugger

log = get_logger("job")


class JobLine:
    """`heartbeat` tells how the job is in its room; `renew_token` takes a fresh token for the API.
    `welcome` is told who the host's guests are, each time there is one more.

    `ending` is done when it is decided what the job ends by; `budget` is how long that may take. Make it on the loop
    that runs the job.
    """

    def __init__(
        self,
        *,
        heartbeat: Callable[[], Heartbeat],
        renew_token: Callable[[str], None],
        welcome: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._heartbeat = heartbeat
        self._renew_token = renew_token
        self._welcome = welcome
        self._channel: AsyncChannel | None = None
        self.ending: asyncio.Future[Ending] = self._loop.create_future()
        self.budget = Budget()
        self._callbacks_began: float | None = None

    def open(self, channel: BlockingChannel) -> None:
        """Take `channel` over, with what it has read already: a StopJob can come in the same breath as StartJob."""
        self._channel = channel.to_async(self._on_message, self._on_close)

    def say(self, message: Message) -> None:
        """Send it; after `close` there is nobody to hear it."""
        if isinstance(message, Stopping) and message.phase == "callbacks":
            self._callbacks_began = self._loop.time()
        if self._channel is not None:
            self._channel.send(message)

    def decide(self, ending: Ending) -> bool:
        """Whether `ending` is what the job ends by; only the first one is."""
        if self.ending.done():
            return False
        self.ending.set_result(ending)
        return True

    def start_heartbeat(self) -> None:
        """Once a second from now on, until the loop ends."""
        self._loop.call_later(HEARTBEAT_SECONDS, self._beat)

    async def close(self) -> None:
        """Say the last word and give the channel back; returns when the host has been sent all of it."""
        outcome = await self.ending
        finished, self._channel = self._channel, None
        if finished is not None:
            finished.send(outcome.message())
            await finished.release()

    def exit_seconds(self, shutdown_seconds: float) -> float:
        """How long the process may still take for its exit functions: what the callbacks left of their limit."""
        used = 0.0 if self._callbacks_began is None else self._loop.time() - self._callbacks_began
        return min(max(LAST_SECONDS, shutdown_seconds - used), self.budget.left())

    def _on_message(self, message: Message) -> None:
        match message:
            case StopJob():
                self.budget.tighten(grace=message.grace_seconds, total=message.budget_seconds)
                self.decide(stopped(message.reason))
            case ApiToken():
                self._renew_token(message.token)
            case Guests():
                self._welcome(message.sids)
            case LogLevels():
                pipe_handler.set_levels(message.level, message.levels)
            case _:
                log.error("a message that no running job expects", kind=type(message).__name__)

    def _on_close(self) -> None:
        if self._channel is not None:
            os._exit(HOST_GONE)

    def _beat(self) -> None:
        self.say(self._heartbeat())
        self.start_heartbeat()
