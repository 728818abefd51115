"""The control socket of a running host: what its own user may ask it and tell it. Runs on the host's loop.

    GET  /status      HostStatus
    POST /plan        PlanReport: what a reload would do now
    POST /reload      ReloadReport, when it is done
    POST /invite?room=NAME   Guest, which every job in the room knows of
    POST /stop        as the first SIGTERM; ?now=1 as the second. Answered with HostStatus

HTTP inside a unix socket of mode 0600; the peer's uid is checked besides, in case the folder of the socket lets
others rename or re-mode it. The host's own jobs have that uid, so this is no border between them and the host: they
could signal it as well. A neighbouring file is locked as long as the host lives: a second host of the same file is
warned and runs without a socket, and what a killed host left behind is removed by the next.
"""

import os
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from agenthost.control.codec import encode
from agenthost.control.location import LOCK_SUFFIX, SUFFIX, lock_path, lock_text, sendable_length
from agenthost.control.peer import is_own_user
from agenthost.errors import EnvironmentRefused
from agenthost.internal_errors import InternalErrors
from agenthost.lazy_site import LazySite
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart
from agenthost.runtime_folder import HeldFile, is_private, remove_abandoned, runtime_folder, runtime_folder_path
from agenthost.status import Guest, HostStatus, PlanReport, ReloadReport

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Middleware

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_log = get_logger("control")

_NO_SOCKET = "agenthost status, plan, reload and stop do not reach this host; signals do"


class ControlHandler(Protocol):
    """What the host does with what it is asked. Called on the host's loop; `errors` is for what goes wrong in it."""

    errors: InternalErrors

    def status(self) -> HostStatus:
        """The host at this moment."""

    async def plan(self) -> PlanReport:
        """What a reload would do; changes nothing."""

    async def reload(self) -> ReloadReport:
        """Take over the file and the code as they are now; returns when that is done or has failed."""

    def invite(self, room: str) -> Guest:
        """Somebody who may join `room`, and be at the session topic of the agents there whose file says `own`."""

    def stop(self, *, now: bool) -> None:
        """End the host as the first SIGTERM does; asked again, it goes on draining.

        `now`: end the running jobs too, as the second signal does, whether or not there was a first.
        """


class ControlSocket:
    """Listens on `path` for this user's commands; None: not at all. A host without its socket still runs.

    `text` is what stands in its lock, see `location.lock_text`.
    """

    def __init__(self, path: Path | None, handler: ControlHandler, *, text: str = "") -> None:
        self.path = path
        self._handler = handler
        self._text = text or lock_text()
        self._lock: HeldFile | None = None
        self._site: LazySite | None = None

    async def start(self) -> Path | None:
        """Listen; the path, or None when there is none to listen on: then a warning in the log says why."""
        if self.path is None:
            return None
        try:
            self._lock = _claim(self.path, self._text)
            self._site = LazySite(
                _bind(self.path), self._app, failed=partial(self._handler.errors.note, InternalPart.CONTROL)
            )
            self._site.start()
        except (OSError, EnvironmentRefused) as error:
            await self.stop()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            _log.warning("no control socket", path=os.fspath(self.path), reason=reason, effect=_NO_SOCKET)
            return None
        return self.path

    async def stop(self) -> None:
        """Stop listening and remove the socket; also fine when it never started."""
        if self._site is not None:
            await self._site.stop()
            self._site = None
        if self._lock is not None and self.path is not None:
            self.path.unlink(missing_ok=True)
            self._lock.remove()
            self._lock = None

    def _app(self) -> "web.Application":
        from aiohttp import web

        app = web.Application(client_max_size=1024, middlewares=[self._gate()])
        app.router.add_get("/status", self._status)
        app.router.add_post("/plan", self._plan)
        app.router.add_post("/reload", self._reload)
        app.router.add_post("/invite", self._invite)
        app.router.add_post("/stop", self._stop)
        return app

    def _gate(self) -> "Middleware":
        from aiohttp import web

        @web.middleware
        async def only_who_may(request: web.Request, handler: "Handler") -> web.StreamResponse:
            connection = request.transport.get_extra_info("socket") if request.transport else None
            if connection is None or not is_own_user(connection):
                return web.Response(status=403, text="only for the user that runs this host\n")
            return await handler(request)

        return only_who_may

    async def _status(self, request: "web.Request") -> "web.Response":
        return self._answer_status()

    async def _plan(self, request: "web.Request") -> "web.Response":
        return _answer(await self._handler.plan())

    async def _reload(self, request: "web.Request") -> "web.Response":
        return _answer(await self._handler.reload())

    async def _invite(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        room = request.query.get("room")
        if not room:
            return web.Response(status=400, text="name the room: /invite?room=NAME\n")
        return _answer(self._handler.invite(room))

    async def _stop(self, request: "web.Request") -> "web.Response":
        self._handler.stop(now=request.query.get("now") == "1")
        return self._answer_status()

    def _answer_status(self) -> "web.Response":
        return _answer(self._handler.status())


def _claim(path: Path, text: str) -> HeldFile:
    """The lock of `path`, after everything that dead hosts left beside it was removed."""
    if not sendable_length(path):
        raise EnvironmentRefused("the path is too long for a socket; set `control.socket` to a shorter one")
    if path.parent == runtime_folder_path(os.environ):
        runtime_folder(os.environ)
    if path.exists() and not path.is_socket():
        raise EnvironmentRefused("there is a file of that name; set `control.socket` to another path")
    if is_private(path.parent):
        remove_abandoned(path.parent, f"*{SUFFIX}{LOCK_SUFFIX}", with_stem=True)
    lock = HeldFile.claim(lock_path(path), text)
    if lock is None:
        raise EnvironmentRefused("another host holds it, for the same file")
    path.unlink(missing_ok=True)
    return lock


def _bind(path: Path) -> socket.socket:
    """A socket that was never open to others, not even for a moment."""
    bound = socket.socket(socket.AF_UNIX)
    try:
        os.fchmod(bound.fileno(), 0o600)  # Linux gives the file this mode; the umask of the process is everybody's
        bound.bind(os.fspath(path))
        path.chmod(0o600)  # for systems that do not
    except OSError:
        bound.close()
        raise
    return bound


def _answer(value: HostStatus | PlanReport | Guest) -> "web.Response":
    from aiohttp import web

    return web.Response(text=encode(value), content_type="application/json")
