"""A Registration by itself, against the fake server: what it does that no command asks for yet."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from agenthost.config.model import LiveKitConfig
from agenthost.dispatch.connection import Connection, ServerAddress, connect
from agenthost.dispatch.registration import Registration
from agenthost.dispatch.token import Credentials
from agenthost.dispatch.wire import Assigned
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Accept, JobType, Offer
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.plan import RegistrationKey
from agenthost.testing.livekit_server import FakeLiveKitServer


class AcceptAll:
    """Accepts everything and remembers what was assigned."""

    def __init__(self) -> None:
        self.assigned_jobs: asyncio.Queue[Assigned] = asyncio.Queue()

    async def answer(self, offer: Offer, registration: Registration) -> Accept:
        return Accept(identity=f"agent-{offer.job_id}")

    def unanswerable(self, job_id: str) -> None:
        raise AssertionError(f"the answer for {job_id} could not be sent")

    def assigned(self, event: Assigned, registration: Registration) -> None:
        self.assigned_jobs.put_nowait(event)

    def terminated(self, job_id: str, registration: Registration) -> None:
        raise AssertionError(f"{job_id} was terminated")

    def lost(self, registration: Registration) -> None:
        assert registration.is_closed()


@pytest.fixture
async def registered(fake_server: FakeLiveKitServer) -> AsyncIterator[tuple[Registration, AcceptAll]]:
    """A registration that the server has confirmed."""
    server = LiveKitConfig(
        url=fake_server.url,
        api_key=fake_server.api_key,
        api_secret=fake_server.api_secret,
        proxy=None,
        secret_in_jobs=False,
        job_grants=(),
    )
    keys = Credentials(api_key=server.api_key, api_secret=server.api_secret)
    changed, offers = asyncio.Event(), AcceptAll()
    async with aiohttp.ClientSession() as session:

        async def open_connection() -> Connection:
            return await connect(session, ServerAddress(url=server.url, credentials=keys))

        registration = Registration(
            RegistrationKey(agent_name="a", type=JobType.ROOM, deployment="", server=server),
            connect=open_connection,
            offers=offers,
            errors=InternalErrors(Metrics(), get_logger("test")),
            log=get_logger("test"),
            on_change=changed.set,
        )
        running = asyncio.create_task(registration.run())
        await changed.wait()
        yield registration, offers
        await registration.close()
        await running


async def test_simulated_job_comes_to_this_worker_without_a_dispatch(
    registered: tuple[Registration, AcceptAll], fake_server: FakeLiveKitServer
) -> None:
    """simulate_job: offered to whoever asked, accepted and assigned like any other."""
    registration, offers = registered
    registration.simulate_job("rehearsal")
    assignment = await asyncio.wait_for(offers.assigned_jobs.get(), 5)
    assert assignment.offer.room.name == "rehearsal"
    assert assignment.token


async def test_closed_registration_is_gone_from_the_server(
    registered: tuple[Registration, AcceptAll], fake_server: FakeLiveKitServer
) -> None:
    """close ends the socket and `run` with it."""
    registration, _ = registered
    worker = await fake_server.wait_registered("a")
    await registration.close()
    await fake_server.wait_gone(worker)
    assert registration.is_closed()
