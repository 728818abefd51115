import asyncio

import aiohttp
import pytest

from agenthost.dispatch.connection import ServerAddress, connect
from agenthost.dispatch.token import Credentials
from agenthost.errors import ConnectionLost
from agenthost.host.name_lookup import NameLookup


async def test_server_whose_name_cannot_be_looked_up_for_want_of_a_thread_is_out_of_reach() -> None:
    """Which is tried again, as every lost connection is; another error would end the host."""
    await asyncio.get_running_loop().shutdown_default_executor()  # from now on it gives no thread
    address = ServerAddress(url="ws://localhost:1", credentials=Credentials(api_key="key", api_secret="secret" * 8))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=NameLookup())) as session:
        with pytest.raises(ConnectionLost, match="no thread to look localhost up"):
            await connect(session, address)
