"""`JobRoom`: livekit.rtc's room as a job has it. Runs in job processes.

It has its name before it is connected, and it notices that it joined whoever called `connect`: the context, a
framework, or the user's own code. And whoever leaves it, "disconnected" is said: that is how a job that left is told
from one that is still there.
"""

from collections.abc import Callable

from livekit import rtc


class JobRoom(rtc.Room):
    """The room of a job, not yet connected; `name` is the room's name from the start. Needs a running loop."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._given_name = name
        self._was_joined = False
        self._join_callbacks: list[Callable[[], None]] = []
        self._leave_was_told = False
        self.on("disconnected", self._on_disconnected)

    @property
    def name(self) -> str:
        return super().name or self._given_name

    @property
    def joined(self) -> bool:
        """Whether the job was in its room at any time, now or before."""
        return self._was_joined

    def when_joined(self, callback: Callable[[], None]) -> None:
        """Call `callback` each time the room has been connected, before `connect` returns."""
        self._join_callbacks.append(callback)

    async def connect(self, url: str, token: str, options: rtc.RoomOptions | None = None) -> None:
        """Join the room; raises `livekit.rtc.ConnectError` when the server cannot be reached or refuses."""
        self._leave_was_told = False
        await super().connect(url, token, options or rtc.RoomOptions())
        self._was_joined = True
        for callback in self._join_callbacks:
            callback()

    async def disconnect(
        self, *, reason: rtc.DisconnectReason.ValueType = rtc.DisconnectReason.CLIENT_INITIATED
    ) -> None:
        """Leave the room, if it is joined; "disconnected" has been emitted when this returns.

        livekit.rtc 1.1.21 closes its stream of events at once when it is asked to leave, and now and then that takes
        the last event with it (measured: 4 of 14 on a busy machine): the state changes, and "disconnected" is missing.
        """
        leaves = self.isconnected()
        await super().disconnect(reason=reason)
        if leaves and not self._leave_was_told:
            self.emit("disconnected", reason)

    def _on_disconnected(self, _: int) -> None:
        self._leave_was_told = True
