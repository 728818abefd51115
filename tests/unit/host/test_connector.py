import asyncio
from pathlib import Path

import aiohttp
import pytest

from agenthost.dispatch.connection import ServerAddress, connect
from agenthost.dispatch.token import Credentials
from agenthost.errors import ConnectionLost
from agenthost.host.connector import HostConnector
from tests.support.tls import PrivateCA


async def test_server_whose_name_cannot_be_looked_up_for_want_of_a_thread_is_out_of_reach() -> None:
    """Which is tried again, as every lost connection is; another error would end the host."""
    await asyncio.get_running_loop().shutdown_default_executor()  # from now on it gives no thread
    address = ServerAddress(url="ws://localhost:1", credentials=Credentials(api_key="key", api_secret="secret" * 8))
    async with aiohttp.ClientSession(connector=HostConnector()) as session:
        with pytest.raises(ConnectionLost, match="no thread to look localhost up"):
            await connect(session, address)


@pytest.mark.parametrize(("url", "read"), [("ws://127.0.0.1:1", 0), ("wss://127.0.0.1:1", 1)])
async def test_only_a_connection_with_tls_reads_whom_to_trust(
    url: str, read: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PrivateCA(tmp_path).file))
    address = ServerAddress(url=url, credentials=Credentials(api_key="key", api_secret="secret" * 8))
    async with aiohttp.ClientSession(connector=(connector := HostConnector())) as session:
        with pytest.raises(ConnectionLost):
            await connect(session, address)
    assert connector.tls.cert_store_stats()["x509_ca"] == read
