"""`python faulty_host.py start …`: agenthost, harmed at a step of its event loop that an offer names.

Runs in the host process. An offer whose bytes hold `at-step:FAULT:N:KEY;`, with a KEY that was not there before, begins
a count: N callbacks of the loop later (a task runs one from each await to the next) the fault happens, in between two
of them. `TERM`, `HUP` and `TERM+TERM` are signals to the host, `DROP` breaks the socket that the offer came through,
`NONE` is no fault. `at-step:TELL;` writes how many steps there have been since the last count began, to the file that
STEPS_FILE names.
"""

import asyncio.events
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from aiohttp.client_proto import ResponseHandler

_ORDER = re.compile(rb"at-step:([A-Z+]+):(\d+):(\w+);")
_TELL = b"at-step:TELL;"


class Faults:
    """One at a time; `steps` counts from the offer on."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()
        self._steps = 0
        self._at: int | None = None
        self._happen: Callable[[], None] = lambda: None
        self._receive = ResponseHandler.data_received
        self._run = asyncio.events.Handle._run

    def install(self) -> None:
        """In this process, for all sockets and all callbacks."""
        faults = self

        def data_received(handler: ResponseHandler, data: bytes) -> None:
            faults.look(handler, data)
            faults._receive(handler, data)

        def run(handle: asyncio.events.Handle) -> None:
            faults._run(handle)
            faults.step()

        ResponseHandler.data_received = data_received  # type: ignore[method-assign]
        asyncio.events.Handle._run = run  # type: ignore[method-assign]

    def look(self, handler: ResponseHandler, data: bytes) -> None:
        """Bytes have come, in the midst of a step; that step is number 0."""
        order = _ORDER.search(data)
        if order and order[3] not in self._seen:  # the assignment tells it again
            self._seen.add(order[3])
            fault, step = order[1].decode(), int(order[2])
            self._steps, self._at = 0, step
            self._happen = lambda: self._harm(handler, fault)
        elif _TELL in data:
            Path(os.environ["STEPS_FILE"]).write_text(str(self._steps))

    def step(self) -> None:
        """A callback has run."""
        if self._at == self._steps:
            self._at = None
            self._happen()
        self._steps += 1

    @staticmethod
    def _harm(handler: ResponseHandler, fault: str) -> None:
        if fault == "DROP":
            if handler.transport is not None:
                handler.transport.abort()
        elif fault != "NONE":
            for name in fault.split("+"):
                os.kill(os.getpid(), signal.Signals[f"SIG{name}"])


if __name__ == "__main__":
    Faults().install()
    from agenthost import signals
    from agenthost.__main__ import main

    signals.REPEAT_SECONDS = 0.0  # two signals between two steps are meant here, and no echo

    sys.exit(main())
