"""The shapes of what the fixtures give, for annotations in tests."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from livekit import rtc

from tests.support.host import HostProcess


class Server(Protocol):
    """What a client needs to know about a LiveKit server, real or fake."""

    api_key: str
    api_secret: str

    @property
    def url(self) -> str: ...

    @property
    def environment(self) -> dict[str, str]: ...


class RunHost(Protocol):
    """`await run_host(file)`: see the fixture."""

    async def __call__(
        self,
        *arguments: str | Path,
        command: str = "start",
        server: Server | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        under: Sequence[str] = (),
    ) -> HostProcess: ...


class Join(Protocol):
    """`await participant("room")`: see the fixture."""

    async def __call__(
        self, room: str, identity: str = "caller", *, attributes: Mapping[str, str] | None = None, agent: bool = False
    ) -> rtc.Room: ...
