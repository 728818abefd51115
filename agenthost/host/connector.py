"""How the host makes its connections: aiohttp's way, fit for a start that waits for nothing. Runs in the host."""

import errno
import socket
from typing import TYPE_CHECKING

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver

from agenthost.tls import client_context, trust_authorities

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ClientRequest, ClientTimeout  # type: ignore[attr-defined]
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace


class HostConnector(aiohttp.TCPConnector):
    """Of the whole host. Whom to trust is read with the first connection that needs it.

    Each connection asks for the server's address anew: a server that is lost may have moved. There is no limit to them,
    which aiohttp has at 100 by default: each agent's socket is one, for as long as the host runs.
    """

    def __init__(self) -> None:
        self.tls = client_context()
        super().__init__(resolver=NameLookup(), use_dns_cache=False, ssl=self.tls, limit=0)

    async def connect(self, req: "ClientRequest", traces: "list[Trace]", timeout: "ClientTimeout") -> "Connection":
        if req.is_ssl() or (req.proxy is not None and req.proxy.scheme == "https"):
            trust_authorities(self.tls)
        return await super().connect(req, traces, timeout)


class NameLookup(ThreadedResolver):
    """Looks host names up in a thread, as aiohttp does, for a process that may have no thread to give.

    A thread that the system refuses is an error of the connection, which is tried again, and not of the program.
    """

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError."""
        try:
            return await super().resolve(host, port, family)
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, f"no thread to look {host} up: {error}") from error
