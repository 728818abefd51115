"""What a host shows to the outside: its HTTP endpoints and its control socket, as the configuration in force says.

Runs on the host's loop. A surface whose settings changed is opened anew before the old one closes, unless the old one
is in its way; one that cannot be opened then stays as it was, and the log says so. At the start a port that is taken
ends the host.
"""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from agenthost.config.model import Config, HttpConfig
from agenthost.control.location import configured_path, default_path, lock_text
from agenthost.control.server import ControlHandler, ControlSocket
from agenthost.endpoints.server import Endpoints
from agenthost.errors import EnvironmentRefused
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.status import HostStatus

_log = get_logger("host")


class Surfaces:
    """`http` is the bound address, None without HTTP."""

    def __init__(
        self,
        handler: ControlHandler,
        *,
        status: Callable[[], HostStatus],
        metrics: Metrics,
    ) -> None:
        self.http: tuple[str, int] | None = None
        self._handler = handler
        self._status = status
        self._metrics = metrics
        self._listen: HttpConfig | None = None
        self._endpoints: Endpoints | None = None
        self._path: Path | None = None
        self._control: ControlSocket | None = None

    async def open_http(self, config: Config) -> None:
        """Open the endpoints. Raises EnvironmentRefused when the port is taken."""
        endpoints = Endpoints(config.http, status=self._status, metrics=self._metrics, errors=self._handler.errors)
        self.http = await endpoints.start()
        self._endpoints, self._listen = endpoints, config.http
        if self.http is not None:
            _log.info("http listening", address=":".join(map(str, self.http)))

    async def open_control(self, config: Config) -> bool:
        """Open the control socket; a host without one runs all the same. False: it should have one."""
        self._path = _control_path(config)
        self._control = ControlSocket(self._path, self._handler, text=lock_text(config.folder, config.code))
        return await self._control.start() == self._path

    async def follow(self, config: Config) -> Mapping[str, str]:
        """Be as this configuration says, after a reload. What could not be done, and why, by the keys of the file."""
        undone = {}
        if config.http != self._listen and (refused := await self._change_http(config)):
            _log.error("http not changed", error=refused)
            undone["http.listen"] = refused
        if _control_path(config) != self._path and self._control is not None:
            await self._control.stop()
            if not await self.open_control(config):
                undone["control.socket"] = "it cannot be opened; the log says why"
        return undone

    async def _change_http(self, config: Config) -> str:
        """Why it stays as it is; "" when it was changed."""
        old = self._endpoints
        try:
            await self.open_http(config)
        except EnvironmentRefused as error:
            in_its_way = _is_taken(error) and self.http is not None and self.http[1] == config.http.port
            return await self._make_way(config) if in_its_way else str(error)
        if self.http is None:
            _log.info("http closed")
        if old is not None:
            await old.stop()
        return ""

    async def _make_way(self, config: Config) -> str:
        """The new address has the port of the old one, and they overlap: close first. Back to the old if that fails."""
        assert self._endpoints is not None and self._listen is not None and self.http is not None
        old = HttpConfig(host=self._listen.host, port=self.http[1])
        await self._endpoints.stop()
        try:
            await self.open_http(config)
            return ""
        except EnvironmentRefused as error:
            refused = str(error)
        endpoints = Endpoints(old, status=self._status, metrics=self._metrics, errors=self._handler.errors)
        try:
            self.http = await endpoints.start()
            self._endpoints = endpoints
        except EnvironmentRefused as error:
            self._endpoints = self._listen = self.http = None
            refused = f"{refused}. Nor can the old address be had again: {error}"
        return refused

    async def close(self) -> None:
        if self._control is not None:
            await self._control.stop()
        if self._endpoints is not None:
            await self._endpoints.stop()


def _is_taken(error: EnvironmentRefused) -> bool:
    return isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EADDRINUSE


def _control_path(config: Config) -> Path | None:
    if config.control_disabled:
        return None
    if config.control_socket is None:
        return default_path(config.identity, os.environ)
    return configured_path(config.file, config.control_socket)
