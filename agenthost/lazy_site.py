"""A listening socket whose HTTP server is made when the first client comes. Runs on the host's loop.

aiohttp's server half takes 35 ms and 2 MB to import, which a start need not wait for and a host that nobody asks never
pays. Clients that come before it is there wait in the socket's own queue.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler, Middleware

_log = logging.getLogger("agenthost.http")

_RETRY_SECONDS = 1.0
_STOP_SECONDS = 1.0  # for answers that are under way; they take milliseconds
_BACKLOG = 128
_TURNS_TO_ACCEPT = 5


class LazySite:
    """Serves what `make_app` makes on `listening`, a bound stream socket, which is closed with it.

    `failed` is called with an error in answering a request, which is answered with 500, as any other is with its own,
    and with one that kept the server from being made, which is tried again.
    """

    def __init__(
        self,
        listening: socket.socket,
        make_app: "Callable[[], web.Application]",
        *,
        failed: Callable[[Exception], None],
    ) -> None:
        self._socket = listening
        self._make_app = make_app
        self._failed = failed
        self._runner: web.AppRunner | None = None
        self._starting: asyncio.Task[None] | None = None
        self._stopped = asyncio.Event()

    def start(self) -> None:
        """Listen. Raises OSError."""
        self._socket.setblocking(False)
        self._socket.listen(_BACKLOG)
        asyncio.get_running_loop().add_reader(self._socket, self._first_client)

    async def stop(self) -> None:
        """Stop listening and close every connection; also fine when nobody ever came."""
        asyncio.get_running_loop().remove_reader(self._socket)
        self._stopped.set()
        if self._starting is not None:
            await self._starting
        if self._runner is not None:
            # asyncio needs a few turns between taking a connection and knowing it; only then can it be closed.
            for _ in range(_TURNS_TO_ACCEPT):
                await asyncio.sleep(0)
            await self._runner.cleanup()
        self._socket.close()

    def _first_client(self) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        self._starting = loop.create_task(self._serve())

    async def _serve(self) -> None:
        """A process without a descriptor to import with tries again: its clients are still in the queue."""
        while not self._stopped.is_set():
            try:
                await self._open()
                return
            except OSError as error:
                _log.warning("http cannot be served now (%s); tried again in %g s", error.strerror, _RETRY_SECONDS)
            except Exception as error:
                self._failed(error)
            try:
                async with asyncio.timeout(_RETRY_SECONDS):
                    await self._stopped.wait()
            except TimeoutError:
                pass  # it is time

    async def _open(self) -> None:
        from aiohttp import web

        app = self._make_app()
        app.middlewares.insert(0, self._boundary())
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket, backlog=_BACKLOG).start()

    def _boundary(self) -> "Middleware":
        from aiohttp import web

        @web.middleware
        async def contained(request: web.Request, handler: "Handler") -> web.StreamResponse:
            try:
                return await handler(request)
            except web.HTTPException:
                raise
            except Exception as error:
                self._failed(error)
                return web.Response(status=500, text="an error inside the host; its log has the traceback\n")

        return contained
