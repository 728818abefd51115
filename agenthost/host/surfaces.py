"""What a host shows to the outside: its HTTP endpoints and its control socket, as the configuration in force says.

Runs on the host's loop. A surface whose settings changed is opened anew before the old one closes; one that cannot be
opened then stays as it was, and the log says so. At the start a port that is taken ends the host.
"""

import os
from collections.abc import Callable
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

    async def open_control(self, config: Config) -> None:
        """Open the control socket; a host without one runs all the same."""
        self._path = _control_path(config)
        self._control = ControlSocket(self._path, self._handler, text=lock_text(config.folder, config.code))
        await self._control.start()

    async def follow(self, config: Config) -> None:
        """Be as this configuration says, after a reload."""
        if config.http != self._listen:
            old = self._endpoints
            try:
                await self.open_http(config)
            except EnvironmentRefused as error:
                _log.error("http not changed", error=str(error))
            else:
                if self.http is None:
                    _log.info("http closed")
                if old is not None:
                    await old.stop()
        if _control_path(config) != self._path and self._control is not None:
            await self._control.stop()
            await self.open_control(config)

    async def close(self) -> None:
        if self._control is not None:
            await self._control.stop()
        if self._endpoints is not None:
            await self._endpoints.stop()


def _control_path(config: Config) -> Path | None:
    if config.control_disabled:
        return None
    if config.control_socket is None:
        return default_path(config.identity, os.environ)
    return configured_path(config.file, config.control_socket)
