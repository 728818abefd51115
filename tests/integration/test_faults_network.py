"""What lies between a host and its server goes wrong: TLS, names, and a server that hangs up on everybody."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest

from agenthost.config.model import LiveKitConfig
from agenthost.dispatch.connection import Connection, ServerAddress, connect
from agenthost.dispatch.registration import Registration
from agenthost.dispatch.token import Credentials
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import JobType
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.plan import RegistrationKey
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults
from tests.support.agent_host import AgentHost, start_agent
from tests.support.fast_loop import run_fast
from tests.support.link import Link
from tests.support.name_service import NAME, NameService
from tests.support.protocols import RunHost
from tests.support.tls import PrivateCA, TlsFront, deaf_port

CODE = """
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, file=os.environ.get("SSL_CERT_FILE", ""))
    await until("enough")
"""


@pytest.fixture
def ca(tmp_path: Path) -> PrivateCA:
    return PrivateCA(tmp_path)


@pytest.fixture
async def front(ca: PrivateCA, fake_server: FakeLiveKitServer) -> AsyncIterator[TlsFront]:
    """The fake server behind TLS, with a certificate of the private CA."""
    async with TlsFront(ca.context()).to(fake_server.port) as front:
        yield front


HTTP = 'http: { listen: "127.0.0.1:0" }'


async def readiness(agent: AgentHost) -> int:
    return (await agent.host.http("/readyz"))[0]


# ── TLS ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_private_ca_in_the_environment_is_trusted_by_host_and_jobs(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, ca: PrivateCA, front: TlsFront
) -> None:
    """SSL_CERT_FILE is all there is to it, and jobs have it too."""
    env = {"LIVEKIT_URL": front.url, "SSL_CERT_FILE": str(ca.file)}
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, env=env)
    job, _ = await agent.start_job()
    assert (await agent.wait_facts(job))["file"] == str(ca.file)
    assert front.connections > 0
    agent.let_go("enough")


async def test_certificate_of_an_unknown_ca_is_refused_with_what_to_set(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, front: TlsFront
) -> None:
    """It is no refusal of the credentials: the host goes on trying, and is not ready."""
    env = {"LIVEKIT_URL": front.url}
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, env=env, ready=False)
    lost = await agent.host.wait_event("registration failed", count=2)
    assert "certificate is not trusted" in lost.fields["reason"]
    assert "SSL_CERT_FILE" in lost.fields["reason"]
    assert fake_server.connections == 0


async def test_certificate_of_another_name_is_refused(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, ca: PrivateCA
) -> None:
    """A trusted CA does not make every certificate good."""
    async with TlsFront(ca.context("livekit.example.com")).to(fake_server.port) as front:
        env = {"LIVEKIT_URL": front.url, "SSL_CERT_FILE": str(ca.file)}
        agent = await start_agent(run_host, fake_server, tmp_path, CODE, env=env, ready=False)
        lost = await agent.host.wait_event("registration failed", count=2)
        assert "127.0.0.1" in lost.fields["reason"]
        assert fake_server.connections == 0


async def test_plain_server_behind_a_wss_url_is_told_apart(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """What answers is no TLS."""
    env = {"LIVEKIT_URL": f"wss://127.0.0.1:{fake_server.port}"}
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, env=env, ready=False)
    lost = await agent.host.wait_event("registration failed", count=2)
    assert "should the URL begin with ws://?" in lost.fields["reason"]


@pytest.mark.slow(11)
async def test_tls_handshake_that_does_not_end_is_given_up(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """After 10 s, with a line that says so; not ready meanwhile."""
    async with deaf_port() as port:
        env = {"LIVEKIT_URL": f"wss://127.0.0.1:{port}"}
        agent = await start_agent(run_host, fake_server, tmp_path, CODE, HTTP, env=env, ready=False)
        lost = await agent.host.wait_event("registration failed", timeout=30)
        assert await readiness(agent) == 503
        assert "did not finish the TLS handshake or answer in 10 s" in lost.fields["reason"]


async def test_slow_tls_handshake_is_waited_for(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, ca: PrivateCA, front: TlsFront
) -> None:
    """A second for every piece of it: one connection, no loss."""
    async with Link().to(int(front.url.rpartition(":")[2])) as link:
        link.delay = 1.0
        env = {"LIVEKIT_URL": f"wss://127.0.0.1:{link.port}", "SSL_CERT_FILE": str(ca.file)}
        agent = await start_agent(run_host, fake_server, tmp_path, CODE, env=env, ready=False)
        await agent.host.wait_event("registered", timeout=30)
        assert (fake_server.connections, agent.host.events("registration failed")) == (1, [])


# ── names ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_name_that_stops_resolving_ends_no_job_and_is_asked_again(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """The server hangs up while DNS is down: the job goes on, and the host is back as soon as the name is."""
    names = NameService(tmp_path)
    env = {"LIVEKIT_URL": f"ws://{NAME}:{fake_server.port}", **names.environment}
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, HTTP, env=env)
    job, _ = await agent.start_job()
    names.fail()
    fake_server.cut()
    lost = await agent.host.wait_event("registration failed")
    assert f"host name {NAME} cannot be resolved" in lost.fields["reason"]
    assert await readiness(agent) == 503
    names.heal()
    await agent.host.wait_event("registered", count=2, timeout=40)
    assert agent.host.events("job ended") == []
    agent.let_go("enough")
    ended = await agent.host.wait_event("job ended", job_id=job)
    assert ended.fields["outcome"] == "succeeded"


# ── a server that hangs up ───────────────────────────────────────────────────────────────────────────────────


class _NoOffers:
    """Nobody is ever offered anything here."""

    def lost(self, registration: Registration) -> None:
        """There is nothing to lose."""


async def _tries(faults: Faults, tries: int) -> Sequence[float]:
    """When a registration tries to connect, in seconds of the loop."""
    loop = asyncio.get_running_loop()
    moments: list[float] = []
    enough = asyncio.Event()
    async with FakeLiveKitServer(faults=faults) as server, aiohttp.ClientSession() as session:
        keys = Credentials(api_key=server.api_key, api_secret=server.api_secret)
        address = ServerAddress(url=server.url, credentials=keys)

        async def connecting() -> Connection:
            moments.append(loop.time())
            if len(moments) == tries:
                enough.set()
            return await connect(session, address)

        livekit = LiveKitConfig(
            url=server.url,
            api_key=server.api_key,
            api_secret=server.api_secret,
            proxy=None,
            secret_in_jobs=None,
            job_grants=(),
        )
        registration = Registration(
            RegistrationKey(agent_name="steady", type=JobType.ROOM, deployment="", server=livekit),
            connect=connecting,
            offers=_NoOffers(),  # type: ignore[arg-type]
            errors=InternalErrors(Metrics(), get_logger("registration")),
            log=get_logger("registration"),
            on_change=lambda: None,
        )
        life = asyncio.create_task(registration.run())
        await enough.wait()
        life.cancel()
    return moments


@pytest.mark.parametrize("faults", [Faults(close=True), Faults(silent=True)], ids=["closes", "says nothing"])
def test_pauses_grow_over_a_hundred_tries(faults: Faults, caplog: pytest.LogCaptureFixture) -> None:
    """To a quarter of a minute and more, and stay there: an accepted socket is no success, however long it was open."""
    caplog.set_level(logging.CRITICAL, "agenthost")
    moments = run_fast(_tries(faults, 100), speed=400.0)
    pauses = [after - before for before, after in itertools.pairwise(moments)]
    assert min(pauses) >= 0.25
    assert min(pauses[8:]) >= 15.0
