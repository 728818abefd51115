"""A host behind an HTTP proxy: it registers through it, and says so when the proxy refuses."""

from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import write_agent
from tests.support.http_proxy import Proxy
from tests.support.name_service import NAME, NameService
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
        env = {"NO_PROXY": "*"} if in_file else {"HTTP_PROXY": proxy.url}
        host = await run_host(
            write_agent(tmp_path, CODE, YAML + in_file), server=fake_server, env=env | named(fake_server)
        )
        await host.wait_event("registered")
        assert [f"{NAME}:{fake_server.port}" in target for target in proxy.targets] == [True]
        assert (await fake_server.offer("room", agent_name="behind")).assigned
        await host.close()


@pytest.mark.parametrize("no_proxy", ["localhost", "localhost, .internal:{port}"])
async def test_servers_that_need_no_proxy_are_reached_without(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, no_proxy: str
) -> None:
    """This machine's whatever is said, and those of NO_PROXY."""
    async with Proxy(refuses=True).open() as proxy:
        env = {"HTTPS_PROXY": proxy.url, "http_proxy": proxy.url, "NO_PROXY": no_proxy.format(port=fake_server.port)}
        if "," in no_proxy:
            env |= NameService(tmp_path).environment | named(fake_server)
        host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server, env=env)
        await host.wait_event("registered")
        assert (await fake_server.offer("room", agent_name="behind")).assigned
        await host.close()
        assert proxy.targets == []


async def test_refusing_proxy_is_no_refusal_of_the_credentials(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """407 comes from the proxy: the host goes on trying, and the log has the status."""
    async with Proxy(refuses=True).open() as proxy:
        env = {"HTTP_PROXY": proxy.url} | named(fake_server)
        host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server, env=env)
        lost = await host.wait_event("registration failed", count=2)
        assert "407" in lost.fields["reason"]


API = """
async def entrypoint(ctx):
    from livekit import api
    people = await ctx.api.room.list_participants(api.ListParticipantsRequest(room="room"))
    print("people:", len(people.participants))
"""
VOICE = f"from livekit.agents import JobContext\n{API.replace('(ctx)', '(ctx: JobContext)')}"

WAYS = {  # the file, the environment, whether the requests go by the proxy
    "the file": ("{proxy}", {"NO_PROXY": "*"}, True),
    "the file alone": ("{proxy}", {"HTTPS_PROXY": "http://127.0.0.1:1"}, True),
    "the environment": ("", {"HTTP_PROXY": "{proxy}"}, True),
    "not for this server": ("", {"HTTP_PROXY": "{proxy}", "HTTPS_PROXY": "{proxy}", "NO_PROXY": NAME}, False),
}


@pytest.mark.parametrize("code", [API, VOICE], ids=["own", "livekit-agents"])
@pytest.mark.parametrize("way", WAYS)
async def test_requests_of_a_job_go_the_way_that_the_host_goes(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, way: str, code: str
) -> None:
    """`ctx.api` is LiveKit's server, too."""
    in_file, variables, by_proxy = WAYS[way]
    async with Proxy().open() as proxy:
        env = {name: value.format(proxy=proxy.url) for name, value in variables.items()} | named(fake_server)
        if not by_proxy:  # else only the proxy knows where the server is
            env |= NameService(tmp_path).environment
        livekit = f"livekit: {{ proxy: '{in_file.format(proxy=proxy.url)}' }}\n" if in_file else ""
        host = await run_host(write_agent(tmp_path, code, YAML + livekit), server=fake_server, env=env)
        await host.wait_event("registered", timeout=60)
        assert (await fake_server.offer("room", agent_name="behind")).assigned
        await host.wait_event("people: 0")
        await host.close()
        assert bool(proxy.targets) is by_proxy


@pytest.mark.parametrize("no_proxy", ["", NAME])
async def test_dispatch_goes_the_way_that_the_host_goes(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, no_proxy: str
) -> None:
    """By the proxy, and without it where NO_PROXY says so."""
    async with Proxy().open() as proxy:
        env = NameService(tmp_path).environment | named(fake_server) | {"HTTP_PROXY": proxy.url, "NO_PROXY": no_proxy}
        command = await run_host(
            "nobody", "--room", "r", "--timeout", "1", command="dispatch", server=fake_server, env=env
        )
        await command.exit_code()
        assert fake_server.rooms.list_dispatches("r")
        assert bool(proxy.targets) is not bool(no_proxy)


def named(server: FakeLiveKitServer) -> dict[str, str]:
    """The server under a name that is not this machine's."""
    return {"LIVEKIT_URL": f"ws://{NAME}:{server.port}"}
