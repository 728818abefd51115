"""The endpoints over real sockets."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from msgspec.structs import replace

from agenthost.config.model import HttpConfig
from agenthost.endpoints import Endpoints
from agenthost.errors import EnvironmentRefused
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import JobType
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.status import AgentStatus, HostState, HostStatus

AGENT = AgentStatus(id="support", agent_name="support-name", type=JobType.ROOM, registered=True, worker_id="AW_1")
RUNNING = HostStatus(state=HostState.RUNNING, version="1.2.3", agents=(AGENT,))
ERRORS = InternalErrors(Metrics(), get_logger("test"))


class Server:
    """Endpoints on a free port, with a status that the test sets."""

    def __init__(self, session: aiohttp.ClientSession, host: str = "127.0.0.1") -> None:
        self.status = RUNNING
        self.session = session
        self.endpoints = Endpoints(HttpConfig(host=host, port=0), lambda: self.status, Metrics(), ERRORS)
        self.url = ""

    async def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        async with self.session.request(method, self.url + path, headers=headers) as response:
            return response.status, await response.text()


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """A running one on 127.0.0.1."""
    async with aiohttp.ClientSession() as session:
        server = Server(session)
        address = await server.endpoints.start()
        assert address is not None
        server.url = f"http://{address[0]}:{address[1]}"
        yield server
        await server.endpoints.stop()


async def test_healthz_is_200_also_while_draining(server: Server) -> None:
    """Liveness: restarting a host that drains would end its calls."""
    server.status = replace(RUNNING, state=HostState.DRAINING)
    for path in ("/healthz", "/"):
        assert await server.get(path) == (200, "healthy\n")
    server.status = replace(RUNNING, state=HostState.STOPPED)
    for path in ("/healthz", "/"):
        assert await server.get(path) == (503, "stopped\n")


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (RUNNING, (200, "ready\n")),
        (replace(RUNNING, state=HostState.STARTING), (503, "not ready: starting\n")),
        (replace(RUNNING, state=HostState.DRAINING), (503, "not ready: draining\n")),
        (
            replace(RUNNING, agents=(replace(AGENT, registered=False),)),
            (503, "not ready: not registered with the LiveKit server\n"),
        ),
        (replace(RUNNING, agents=(replace(AGENT, failures=3),)), (503, "not ready: job processes do not start\n")),
        (replace(RUNNING, agents=(replace(AGENT, failures=3, idle=1),)), (200, "ready\n")),
        (replace(RUNNING, agents=(replace(AGENT, failures=3), AGENT)), (200, "ready\n")),
    ],
)
async def test_readyz_says_why_not_without_names(server: Server, status: HostStatus, answer: tuple[int, str]) -> None:
    """Anybody may ask; nobody learns the name of an agent."""
    server.status = status
    assert await server.get("/readyz") == answer


async def test_worker_tells_the_whole_status(server: Server) -> None:
    """For scripts on this machine: what the LiveKit server is told, as JSON."""
    status, text = await server.get("/worker")
    body = json.loads(text)
    assert (status, body["state"], body["ready"], body["reason"]) == (200, "running", True, "")
    assert body["agents"][0]["worker_id"] == "AW_1"
    assert body["agents"][0]["type"] == "room"


async def test_worker_is_json_for_any_parser(server: Server) -> None:
    """A path that is no UTF-8 is told without an escape that strict parsers refuse."""
    server.status = replace(RUNNING, file="/srv/\udcff")
    _, text = await server.get("/worker")
    assert json.loads(text)["file"] == "/srv/\ufffd"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8081", "10.0.0.1", "", "[2001:db8::1]:80"])
async def test_worker_refuses_a_page_that_made_its_name_point_here(server: Server, host: str) -> None:
    """A browser sends the name of the page: DNS rebinding is seen by it."""
    assert (await server.get("/worker", Host=host))[0] == 403


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8081", "127.0.0.1:1", "127.9.9.9", "[::1]:8081"])
async def test_worker_answers_to_any_loopback_name(server: Server, host: str) -> None:
    """Tools on this machine use different names for it."""
    assert (await server.get("/worker", Host=host))[0] == 200


class Peer(asyncio.Transport):
    """A connection from some address; tests listen on loopback only, so a foreign one has to be said."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 40000)})


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.7", 403), ("::ffff:10.0.0.7", 403)],
)
async def test_worker_is_for_this_machine_only(address: str, status: int) -> None:
    """Whatever name a client on another machine uses."""
    endpoints = Endpoints(HttpConfig(host=None, port=0), lambda: RUNNING, Metrics(), ERRORS)
    request = make_mocked_request("GET", "/worker", headers={"Host": "localhost"}, transport=Peer(address))
    assert (await endpoints._worker(request)).status == status


async def test_metrics_are_served(server: Server) -> None:
    """In the text format, with agent ids."""
    async with server.session.get(server.url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=")
        assert 'agenthost_registered{agent="support"} 1.0' in await response.text()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/worker", "/metrics"])
async def test_only_reading_is_allowed(server: Server, path: str) -> None:
    """GET and HEAD; nothing can be changed over HTTP."""
    assert (await server.get(path, "HEAD")) == (200, "")
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert (await server.get(path, method))[0] == 405


async def test_other_paths_are_not_there_and_say_which_are(server: Server) -> None:
    """404; a method that a path does not take is something else."""
    answer = "nothing here; there are /, /healthz, /readyz, /worker, /metrics\n"
    for path in ("/health", "/healthz/", "/metrics/x"):
        assert await server.get(path) == (404, answer)
    assert (await server.get("/health", "POST"))[0] == 404
    assert (await server.get("/", "POST"))[0] == 405


async def test_listen_none_is_no_server() -> None:
    """`http.listen: none` opens nothing, and stopping it is fine."""
    endpoints = Endpoints(HttpConfig(host=None, port=0), lambda: RUNNING, Metrics(), ERRORS)
    assert await endpoints.start() is None
    await endpoints.stop()


async def test_port_that_is_taken_is_refused_with_its_owner_and_a_hint() -> None:
    """The message says who has it, where to change it, and a second start is possible."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        endpoints = Endpoints(HttpConfig(host="127.0.0.1", port=port), lambda: RUNNING, Metrics(), ERRORS)
        with pytest.raises(EnvironmentRefused) as refused:
            await endpoints.start()
    assert endpoints._site is None, "half a start is taken back"
    assert f"port {port} of 127.0.0.1 is taken by " in str(refused.value)
    assert "(pid " in str(refused.value)
    assert "`http.listen`" in str(refused.value)
    assert await endpoints.start() == ("127.0.0.1", port)
    await endpoints.stop()


@pytest.mark.quiet
async def test_stop_does_not_wait_for_clients_that_keep_their_connection(server: Server) -> None:
    """Prometheus holds its connection open for ever; the host ends all the same."""
    await server.get("/healthz")
    before = time.monotonic()
    await server.endpoints.stop()
    assert time.monotonic() - before < 0.5
    with pytest.raises(aiohttp.ClientConnectorError):
        await server.get("/healthz")
