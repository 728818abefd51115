"""A host behind an HTTP proxy: it registers through it, and says so when the proxy refuses."""

from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import write_agent
from tests.support.http_proxy import Proxy
from tests.support.protocols import RunHost

CODE = """
async def entrypoint(ctx):
    pass
"""

YAML = """
version: 1
agent_name: behind
entrypoint: my_agent:entrypoint
load: { max_jobs: 10 }
http: { listen: none }
"""


@pytest.mark.parametrize("how", ["the file", "the environment"])
async def test_host_registers_through_its_proxy(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, how: str
) -> None:
    """`livekit.proxy`, or HTTP_PROXY where the file says nothing: the websocket goes through it, and jobs run."""
    async with Proxy().open() as proxy:
        in_file = f"livekit: {{ proxy: '{proxy.url}' }}\n" if how == "the file" else ""
        env = {} if in_file else {"HTTP_PROXY": proxy.url}
        host = await run_host(write_agent(tmp_path, CODE, YAML + in_file), server=fake_server, env=env)
        await host.wait_event("registered")
        assert [f"127.0.0.1:{fake_server.port}" in target for target in proxy.targets] == [True]
        assert (await fake_server.offer("room", agent_name="behind")).assigned
        await host.close()


async def test_refusing_proxy_is_no_refusal_of_the_credentials(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """407 comes from the proxy: the host goes on trying, and the log has the status."""
    async with Proxy(refuses=True).open() as proxy:
        host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server, env={"HTTP_PROXY": proxy.url})
        lost = await host.wait_event("registration failed", count=2)
        assert "407" in lost.fields["reason"]
