"""A Registration by itself, against the fake server: what it does that no command asks for yet."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest

from agenthost.config.model import LiveKitConfig
from agenthost.dispatch.connection import Connection, ServerAddress, connect
from agenthost.dispatch.registration import Registration
from agenthost.dispatch.token import Credentials
from agenthost.jobs import Accept, Assignment, JobType, Offer, Reject
from agenthost.logs.events import get_logger
from agenthost.plan import RegistrationKey
from agenthost.testing.livekit_server import FakeLiveKitServer


class Desk:
    """Accepts everything and remembers what was assigned."""

    def __init__(self) -> None:
        self.assigned_jobs: asyncio.Queue[Assignment] = asyncio.Queue()

    async def answer(self, offer: Offer) -> Accept | Reject:
        return Accept(identity=f"agent-{offer.job_id}")

    def give_back(self, job_id: str, reason: str) -> None:
        raise AssertionError(f"{job_id} was given back: {reason}")

    def assigned(self, assignment: Assignment, registration: Registration) -> None:
        self.assigned_jobs.put_nowait(assignment)

    def terminated(self, job_id: str) -> None:
        raise AssertionError(f"{job_id} was terminated")


@pytest.fixture
async def registered(fake_server: FakeLiveKitServer) -> AsyncIterator[tuple[Registration, Desk]]:
    """A registration that the server has confirmed."""
    server = LiveKitConfig(
        url=fake_server.url,
        api_key=fake_server.api_key,
        api_secret=fake_server.api_secret,
        proxy=None,
        secret_in_jobs=False,
    )
    keys = Credentials(api_key=server.api_key, api_secret=server.api_secret)
    changed, desk = asyncio.Event(), Desk()
    async with aiohttp.ClientSession() as session:

        async def open_connection() -> Connection:
            return await connect(session, ServerAddress(url=server.url, credentials=keys))

        registration = Registration(
            RegistrationKey(agent_name="a", type=JobType.ROOM, deployment="", server=server),
            connect=open_connection,
            desk=desk,
            log=get_logger("test"),
            on_change=changed.set,
        )
        running = asyncio.create_task(registration.run())
        await changed.wait()
        yield registration, desk
        await registration.close()
        await running


async def test_simulated_job_comes_to_this_worker_without_a_dispatch(
    registered: tuple[Registration, Desk], fake_server: FakeLiveKitServer
) -> None:
    """simulate_job: offered to whoever asked, accepted and assigned like any other."""
    registration, desk = registered
    registration.simulate_job("rehearsal")
    assignment = await asyncio.wait_for(desk.assigned_jobs.get(), 5)
    assert assignment.offer.room.name == "rehearsal"
    assert assignment.accept.identity == f"agent-{assignment.offer.job_id}"
    assert assignment.token


async def test_closed_registration_is_gone_from_the_server(
    registered: tuple[Registration, Desk], fake_server: FakeLiveKitServer
) -> None:
    """close ends the socket and `run` with it."""
    registration, _ = registered
    worker = await fake_server.wait_registered("a")
    await registration.close()
    await fake_server.wait_gone(worker)
    assert registration.is_closed()
