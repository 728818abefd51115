"""Clients of the fake server."""

from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest

from agenthost.dispatch.token import Credentials, call_token
from agenthost.recovery.server_api import ServerApi
from agenthost.testing.livekit_server import FakeLiveKitServer

Connect = Callable[..., ServerApi]  # connect(server, secret=None): see the fixture


@pytest.fixture
async def connect() -> AsyncIterator[Connect]:
    """`connect(server)`: a client as a host has it; `secret` signs with another one."""
    async with aiohttp.ClientSession() as session:

        def new(server: FakeLiveKitServer, secret: str | None = None) -> ServerApi:
            keys = Credentials(api_key=server.api_key, api_secret=secret or server.api_secret)
            return ServerApi(session, url=server.url, sign=lambda room: call_token(keys, room))

        yield new
