"""The HTTP server of the host: it only reads, and it says nothing about rooms or people.

Runs on the host's event loop.

    GET /healthz   200 while the host works, also when it drains or the LiveKit server is away; GET / is the same
    GET /readyz    200 when new jobs can come, else 503 and the reason, without names
    GET /worker    the whole status as JSON, for clients on this machine only
    GET /metrics   Prometheus
"""

import ipaddress
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from agenthost.config.model import HttpConfig
from agenthost.endpoints.ports import refusal
from agenthost.errors import EnvironmentRefused
from agenthost.internal_errors import InternalErrors
from agenthost.lazy_site import LazySite
from agenthost.metrics import InternalPart, Metrics
from agenthost.status import HostStatus
from agenthost.texts import to_json

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

_PATHS = ("/", "/healthz", "/readyz", "/worker", "/metrics")  # "/" is where load balancers look unless told otherwise


class Endpoints:
    """`status` is asked once per request. `listen` with host None: no server, and `start` returns None."""

    def __init__(
        self, listen: HttpConfig, status: Callable[[], HostStatus], metrics: Metrics, errors: InternalErrors
    ) -> None:
        self._listen = listen
        self._status = status
        self._metrics = metrics
        self._errors = errors
        self._site: LazySite | None = None

    async def start(self) -> tuple[str, int] | None:
        """Listen; the bound host and port (port 0 is a real one by then). Raises EnvironmentRefused."""
        if self._listen.host is None:
            return None
        try:
            bound = _bind(self._listen.host, self._listen.port)
            self._site = LazySite(bound, self._app, failed=partial(self._errors.note, InternalPart.HTTP))
            self._site.start()
        except OSError as error:
            await self.stop()
            raise EnvironmentRefused(refusal(self._listen, error)) from error
        host, port = bound.getsockname()[:2]
        return host, port

    async def stop(self) -> None:
        """Stop listening and close every connection; also fine when it never started."""
        if self._site is not None:
            await self._site.stop()
            self._site = None

    def _app(self) -> "web.Application":
        from aiohttp import web

        app = web.Application(client_max_size=1024, middlewares=[web.middleware(_name_the_paths)])
        answers = (self._healthz, self._healthz, self._readyz, self._worker, self._expose)
        for path, answer in zip(_PATHS, answers, strict=True):
            app.router.add_get(path, answer)
        return app

    async def _healthz(self, request: "web.Request") -> "web.Response":
        healthy = self._status().healthy
        return _text(200 if healthy else 503, "healthy" if healthy else "stopped")

    async def _readyz(self, request: "web.Request") -> "web.Response":
        reason = self._status().reason
        return _text(503, f"not ready: {reason}") if reason else _text(200, "ready")

    async def _worker(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        if not (_is_loopback(_peer(request)) and _is_loopback(_host_name(request))):
            return _text(403, "only for clients on this machine, by a loopback address")
        return web.json_response(_body(self._status()), dumps=to_json)

    async def _expose(self, request: "web.Request") -> "web.Response":
        from aiohttp import web

        from agenthost.endpoints.exposition import expose

        exposition = expose(self._status(), self._metrics, accept=request.headers.get("Accept", ""))
        return web.Response(body=exposition.body, headers={"Content-Type": exposition.content_type})


async def _name_the_paths(request: "web.Request", handler: "Handler") -> "web.StreamResponse":
    """An address without an answer says which ones have one."""
    from aiohttp import web

    try:
        return await handler(request)
    except web.HTTPNotFound:
        return _text(404, f"nothing here; there are {', '.join(_PATHS)}")


def _bind(host: str, port: int) -> socket.socket:
    """A socket on the first address of `host`; `::` also serves IPv4. Raises OSError."""
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    dual = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server(address[:2], family=family, dualstack_ipv6=dual)


def _text(status: int, text: str) -> "web.Response":
    from aiohttp import web

    return web.Response(status=status, text=text + "\n", headers={"Cache-Control": "no-store"})


def _peer(request: "web.Request") -> str:
    name = request.transport.get_extra_info("peername") if request.transport else None
    return str(name[0]) if name else ""


def _host_name(request: "web.Request") -> str:
    """The name the client asked for. A web page that resolves its own name to 127.0.0.1 gives itself away by it."""
    host = request.host
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name.lower() == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _body(status: HostStatus) -> dict[str, Any]:
    """The status with what is derived from it. Its loads and counts are what the LiveKit server is told."""
    own = to_builtins(status)
    return {"ready": status.ready, "reason": status.reason, "jobs": status.jobs, "idle": status.idle, **own}
