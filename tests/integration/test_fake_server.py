"""What only the fake server can do: faults, waits, and people in rooms without media."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest
from livekit import api
from livekit.protocol import agent, models

from agenthost.jobs import JobStatus, JobType
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults, OfferOutcome
from tests.support.worker import Answer, Worker, accept, ignore, reject

PUBLISHER = agent.JobType.JT_PUBLISHER
PARTICIPANT = agent.JobType.JT_PARTICIPANT


def worker(server: FakeLiveKitServer, answer: Answer, **options: object) -> Worker:
    options = {"agent_name": "support"} | options
    return Worker(server.url, server.api_key, server.api_secret, answer=answer, **options)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def connected(server: FakeLiveKitServer) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A websocket that has said nothing yet."""
    token = api.AccessToken(server.api_key, server.api_secret).with_grants(api.VideoGrants(agent=True)).to_jwt()
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{server.url}/agent", headers=headers) as ws:
        yield ws


async def register(ws: aiohttp.ClientWebSocketResponse) -> None:
    await ws.send_bytes(agent.WorkerMessage(register=agent.RegisterWorkerRequest(version="1")).SerializeToString())


# ── offers ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_offer_tells_the_answer_and_the_assignment(fake_server: FakeLiveKitServer) -> None:
    """One call: who was asked, what it answered, and the token it got."""
    async with worker(fake_server, accept(name="Support", attributes={"tier": "gold"})) as support:
        result = await fake_server.offer("room", agent_name="support", metadata="m", attributes={"k": "v"})
        assert result.outcome is OfferOutcome.ASSIGNED
        assert result.assigned
        assert (result.answer.identity, result.answer.name) == (f"agent-{result.job_id}", "Support")
        assert result.answer.attributes == {"tier": "gold"}
        assert result.worker_id == support.worker_id
        assert result.offered_at <= result.answer.answered_at <= (result.assigned_at or 0) <= time.monotonic()
        assert result.token not in repr(result)
        assert (support.offers[0].metadata, dict(support.offers[0].attributes)) == ("m", {"k": "v"})
        assert fake_server.offers == (result,)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (reject(), OfferOutcome.REJECTED),
        (reject(terminate=True), OfferOutcome.TERMINATED),
        (ignore(), OfferOutcome.UNANSWERED),
    ],
)
async def test_offer_that_nobody_takes_says_why(answer: Answer, outcome: OfferOutcome) -> None:
    """Rejected, terminated and unanswered are told apart, and none has a token."""
    async with FakeLiveKitServer(budget=0.2) as server, worker(server, answer):
        result = await server.offer("room", agent_name="support")
        assert (result.outcome, result.token, result.worker_id) == (outcome, "", "")


async def test_offer_without_a_worker(fake_server: FakeLiveKitServer) -> None:
    """Nobody of that name is there: the answer is a LookupError that says so."""
    async with worker(fake_server, accept()):
        result = await fake_server.offer("room", agent_name="billing")
        assert result.outcome is OfferOutcome.NO_WORKER
        with pytest.raises(LookupError, match="no worker"):
            _ = result.answer


async def test_publisher_job_carries_its_participant(fake_server: FakeLiveKitServer) -> None:
    """A publisher worker is asked for publisher jobs only."""
    async with worker(fake_server, accept(), type=PUBLISHER) as publisher:
        nobody = await fake_server.offer("room", agent_name="support")
        person = models.ParticipantInfo(identity="ann")
        result = await fake_server.offer("room", agent_name="support", type=JobType.PUBLISHER, participant=person)
        assert (nobody.outcome, result.outcome) == (OfferOutcome.NO_WORKER, OfferOutcome.ASSIGNED)
        assert publisher.offers[0].participant.identity == "ann"


async def test_slots_bound_the_offers_under_way() -> None:
    """A further offer waits until one under way has ended, and its budget starts only then."""
    async with FakeLiveKitServer(slots=1, budget=0.3) as server, worker(server, ignore()) as silent:
        first, second = await asyncio.gather(*(server.offer(f"r{i}", agent_name="support") for i in range(2)))
        assert second.offered_at - first.offered_at >= 0.3
        assert len(silent.offers) == 2


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_statuses_are_kept_and_waited_for(fake_server: FakeLiveKitServer) -> None:
    """Every status is kept in order; one for a job that already ended is marked as not heeded."""
    async with worker(fake_server, accept()) as support:
        job_id = (await fake_server.offer("room", agent_name="support")).job_id
        await support.report_job(job_id, agent.JobStatus.JS_RUNNING)
        await support.report_job(job_id, agent.JobStatus.JS_FAILED, "boom")
        await support.report_job(job_id, agent.JobStatus.JS_SUCCESS)
        failed = await fake_server.wait_status(job_id, JobStatus.FAILED)
        assert (failed.error, failed.heeded) == ("boom", True)
        assert [(s.status, s.heeded) for s in fake_server.statuses(job_id)] == [
            (JobStatus.RUNNING, True),
            (JobStatus.FAILED, True),
            (JobStatus.SUCCESS, False),
        ]


async def test_terminate_reaches_the_worker_once(fake_server: FakeLiveKitServer) -> None:
    """The second time the server does not know the job any more."""
    async with worker(fake_server, accept()) as support:
        job_id = (await fake_server.offer("room", agent_name="support")).job_id
        assert await fake_server.terminate(job_id)
        await support.wait(lambda: support.terminations == [job_id], "the termination")
        assert not await fake_server.terminate(job_id)


async def test_listed_jobs_come_late_and_stay_running() -> None:
    """ListDispatch shows a job after `list_lag`, and does not notice that it ended."""
    async with FakeLiveKitServer(list_lag=0.3) as server, worker(server, accept()) as support:
        result = await server.offer("room", agent_name="support")
        assert [list(d.state.jobs) for d in server.rooms.list_dispatches("room")] == [[]]
        await support.report_job(result.job_id, agent.JobStatus.JS_FAILED, "boom")
        await asyncio.sleep(0.31)
        (listed,) = server.rooms.list_dispatches("room")
        assert [(j.id, j.state.status) for j in listed.state.jobs] == [(result.job_id, agent.JobStatus.JS_RUNNING)]


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_people_who_join_and_publish_make_jobs(fake_server: FakeLiveKitServer) -> None:
    """Participant jobs at the join, publisher jobs at the first track, none for agents."""
    async with (
        worker(fake_server, accept(), agent_name="", type=PARTICIPANT) as greeter,
        worker(fake_server, accept(), agent_name="", type=PUBLISHER) as listener,
    ):
        await fake_server.join("room", "bot", kind=models.ParticipantInfo.Kind.AGENT)
        await fake_server.join("room", "ann", attributes={"lang": "de"})
        await greeter.wait(lambda: greeter.assignments, "the participant job")
        assert listener.offers == []
        fake_server.rooms.publish("room", "ann")
        await listener.wait(lambda: listener.assignments, "the publisher job")
        assert [j.participant.identity for j in greeter.offers + listener.offers] == ["ann", "ann"]
        assert dict(greeter.offers[0].participant.attributes) == {"lang": "de"}


async def test_job_is_terminated_when_its_agent_leaves_or_is_replaced(fake_server: FakeLiveKitServer) -> None:
    """A second participant of the agent's identity puts the first out, which terminates its job."""
    async with worker(fake_server, accept()) as support:
        result = await fake_server.offer("room", agent_name="support")
        for _ in range(2):
            await fake_server.join("room", result.answer.identity, kind=models.ParticipantInfo.Kind.AGENT)
        await support.wait(lambda: support.terminations == [result.job_id], "the termination")


async def test_deleted_room_terminates_the_jobs_that_joined(fake_server: FakeLiveKitServer) -> None:
    """Unlike jobs that never joined."""
    async with worker(fake_server, accept()) as support:
        joined = await fake_server.offer("room", agent_name="support")
        await fake_server.offer("room", agent_name="support")
        await fake_server.join("room", joined.answer.identity, kind=models.ParticipantInfo.Kind.AGENT)
        await fake_server.rooms.delete("room")
        await support.wait(lambda: support.terminations, "the termination")
        await support.ping()
        assert support.terminations == [joined.job_id]


# ── waits ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_waits_say_what_was_there_instead(fake_server: FakeLiveKitServer) -> None:
    """A wait that fails names what did come."""
    async with worker(fake_server, accept()):
        with pytest.raises(TimeoutError, match=r"'billing' \(room\) did not register; registered: 'support' \(room\)"):
            await fake_server.wait_registered("billing", timeout=0.05)
        job_id = (await fake_server.offer("room", agent_name="support")).job_id
        with pytest.raises(TimeoutError, match="not reported as running; reported: nothing"):
            await fake_server.wait_status(job_id, JobStatus.RUNNING, timeout=0.05)


async def test_registered_worker_and_its_reports_can_be_read(fake_server: FakeLiveKitServer) -> None:
    """wait_registered gives the worker, with every load report that arrived."""
    async with worker(fake_server, accept()) as support:
        seen = await fake_server.wait_registered("support")
        await support.report(load=0.5, available=False)
        assert (seen.id, seen.available, seen.load) == (support.worker_id, False, 0.5)
        assert [(r.available, r.load) for r in seen.reports] == [(False, 0.5)]
    await fake_server.wait_gone(seen)
    assert fake_server.workers == ()


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_refused_connections_are_counted(fake_server: FakeLiveKitServer) -> None:
    """refuse_with: that HTTP status instead of a websocket."""
    fake_server.faults = Faults(refuse_with=503)
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with worker(fake_server, accept()):
            pass
    assert refused.value.status == 503
    assert await fake_server.wait_refusals(1) == 1


async def test_closing_server_closes_at_once(fake_server: FakeLiveKitServer) -> None:
    """close: the websocket opens and ends."""
    fake_server.faults = Faults(close=True)
    async with connected(fake_server) as ws:
        assert (await ws.receive(timeout=2)).type is aiohttp.WSMsgType.CLOSE
    assert await fake_server.wait_connections(1) == 1


async def test_silent_server_never_answers_register(fake_server: FakeLiveKitServer) -> None:
    """silent: nothing comes, and the socket stays open."""
    fake_server.faults = Faults(silent=True)
    async with connected(fake_server) as ws:
        await register(ws)
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.2)
        assert not ws.closed
    assert fake_server.workers == ()


async def test_garbage_server_answers_with_no_message(fake_server: FakeLiveKitServer) -> None:
    """garbage: what comes cannot be decoded."""
    fake_server.faults = Faults(garbage=True)
    async with connected(fake_server) as ws:
        await register(ws)
        with pytest.raises(Exception, match="Error parsing message"):
            agent.ServerMessage.FromString(await ws.receive_bytes(timeout=2))


async def test_slow_server_answers_register_late(fake_server: FakeLiveKitServer) -> None:
    """register_delay: the answer comes after it."""
    fake_server.faults = Faults(register_delay=0.2)
    started = time.monotonic()
    async with worker(fake_server, accept()):
        assert time.monotonic() - started >= 0.2


async def test_lost_assignment_reaches_nobody(fake_server: FakeLiveKitServer) -> None:
    """lose_assignments: the worker accepted and hears nothing more."""
    fake_server.faults = Faults(lose_assignments=True)
    async with worker(fake_server, accept()) as support:
        result = await fake_server.offer("room", agent_name="support")
        await support.ping()
        assert (result.outcome, result.answer.available, support.assignments) == (OfferOutcome.LOST, True, [])


async def test_garbage_can_be_sent_to_registered_workers(fake_server: FakeLiveKitServer) -> None:
    """send_garbage reaches a worker in the middle of its life."""
    async with connected(fake_server) as ws:
        await register(ws)
        await ws.receive(timeout=2)
        await fake_server.send_garbage()
        with pytest.raises(Exception, match="Error parsing message"):
            agent.ServerMessage.FromString(await ws.receive_bytes(timeout=2))


async def test_cut_breaks_the_sockets_without_a_goodbye(fake_server: FakeLiveKitServer) -> None:
    """cut: the worker sees the connection break, the server forgets its jobs, and a new connection is welcome."""
    async with worker(fake_server, accept()) as support:
        result = await fake_server.offer("room", agent_name="support")
        seen = await fake_server.wait_registered("support")
        fake_server.cut()
        await support.wait_closed()
        await fake_server.wait_gone(seen)
        assert not await fake_server.terminate(result.job_id)
    async with worker(fake_server, accept()):
        assert (await fake_server.offer("room", agent_name="support")).assigned


async def test_frozen_socket_is_open_and_dead() -> None:
    """freeze: no offer arrives, no ping is answered, nothing closes."""
    async with FakeLiveKitServer(budget=0.2) as server, connected(server) as ws:
        await register(ws)
        await ws.receive(timeout=2)
        server.freeze()
        await ws.ping()
        result = await server.offer("room")
        with pytest.raises(TimeoutError):
            await ws.receive(timeout=0.2)
        assert (result.outcome, ws.closed) == (OfferOutcome.UNANSWERED, False)


async def test_restarted_server_knows_nothing_and_keeps_its_port(fake_server: FakeLiveKitServer) -> None:
    """restart: same port, no workers, no rooms."""
    port = fake_server.port
    async with worker(fake_server, accept()) as support:
        await fake_server.offer("room", agent_name="support")
        await fake_server.restart()
        await support.wait_closed()
    assert (fake_server.port, fake_server.workers, fake_server.rooms.by_name) == (port, (), {})
    async with worker(fake_server, accept()):
        assert (await fake_server.offer("room", agent_name="support")).assigned


async def test_stopped_server_refuses_connections(fake_server: FakeLiveKitServer) -> None:
    """stop: nobody listens; start: the same port again."""
    await fake_server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fake_server.port), timeout=1)
    await fake_server.start()
    socket.create_connection(("127.0.0.1", fake_server.port), timeout=1).close()


async def test_silent_caller_is_dropped_after_the_time_for_register(
    fake_server: FakeLiveKitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that never registers is closed; the real server gives it 10 s."""
    monkeypatch.setattr("agenthost.testing.agent_service.REGISTER_SECONDS", 0.1)
    async with connected(fake_server) as ws:
        assert (await ws.receive(timeout=2)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
