"""Looks host names up in a thread, as aiohttp does, for a process that may have no thread to give. Runs in the host."""

import errno
import socket

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver


class NameLookup(ThreadedResolver):
    """A thread that the system refuses is an error of the connection, which is tried again, and not of the program."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host`. Raises OSError."""
        try:
            return await super().resolve(host, port, family)
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, f"no thread to look {host} up: {error}") from error
