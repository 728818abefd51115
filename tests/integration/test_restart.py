"""Jobs that fail are brought back by dispatching them anew: on a real host, in front of the fake server."""

import json
import os
import signal
from pathlib import Path

import pytest
from livekit.protocol import agent_dispatch

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults, OfferResult
from tests.support.agent_host import AGENT, AgentHost, start_agent
from tests.support.host import signal_again
from tests.support.polling import poll
from tests.support.protocols import RunHost

CODE = """
async def entrypoint(ctx):
    tell(ctx, attempt=ctx.attempt, metadata=ctx.job.metadata, mine=ctx.job.attributes["mine"], pid=os.getpid())
    what, _, times = ctx.job.metadata.partition(" ")
    if what == "goodbye":
        ctx.add_shutdown_callback(lambda: os.kill(os.getpid(), signal.SIGKILL))
        ctx.shutdown("done")
    elif ctx.attempt <= int(times or 99):
        match what:
            case "raise":
                raise ValueError(f"failure {ctx.attempt}")
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "hang":
                time.sleep(60)
            case "eat":
                ctx.proc.userdata["eaten"] = os.urandom(1) * (256 * 2**20)
                await asyncio.sleep(60)
            case "wait":
                await until("enough")
"""
RESTART = "restart: { policy: on-failure, attempts: 2, backoff: 50ms }"


@pytest.fixture
async def agent(tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost) -> AgentHost:
    """A host whose agent fails as its metadata says, and is restarted."""
    limits = "limits: { unresponsive: 3s, memory: 200MiB, init: 5s }"
    return await start_agent(run_host, fake_server, tmp_path, CODE, f"{RESTART}\n{limits}\n")


async def dispatch(server: FakeLiveKitServer, room: str, metadata: str) -> str:
    """The id of a dispatch of the agent in a room where a person is."""
    await server.join(room, "caller")
    request = agent_dispatch.CreateAgentDispatchRequest(
        agent_name=AGENT, room=room, metadata=metadata, attributes={"mine": "kept"}
    )
    return server.rooms.dispatch(server.rooms.room(room), request).info.id


def jobs_in(server: FakeLiveKitServer, room: str) -> list[OfferResult]:
    """Every offer to the agent in this room, oldest first."""
    return [offer for offer in server.offers if (offer.room, offer.agent_name) == (room, AGENT)]


async def wait_jobs(agent: AgentHost, room: str, count: int, *, timeout: float = 15.0) -> list[OfferResult]:
    """Until there were so many offers in the room."""
    try:
        return await poll(
            lambda: found if len(found := jobs_in(agent.server, room)) >= count else [],
            timeout=timeout,
            what=f"{len(jobs_in(agent.server, room))} offers in {room}, not {count}",
        )
    except AssertionError as error:
        raise AssertionError(f"{error}\n{agent.host.output()}") from None


@pytest.mark.parametrize("failure", ["raise", "die", "hang", "eat"])
async def test_failed_job_comes_back_with_everything_it_had(agent: AgentHost, failure: str) -> None:
    """A new dispatch with the same metadata and attributes; the attempt is counted; the old dispatch is gone."""
    first = await dispatch(agent.server, "room", f"{failure} 1")
    # A job over its memory limit is asked to end, and its entrypoint has 15 s for it.
    offers = await wait_jobs(agent, "room", 2, timeout=30.0)
    await agent.ended(offers[1].job_id, JobStatus.SUCCESS)
    facts = [agent.facts(offer.job_id) for offer in offers]
    assert [fact["attempt"] for fact in facts] == [1, 2]
    assert {(fact["metadata"], fact["mine"]) for fact in facts} == {(f"{failure} 1", "kept")}
    dispatches = [info.id for info in agent.server.rooms.list_dispatches("room") if info.agent_name == AGENT]
    assert len(dispatches) == 1
    assert first not in dispatches
    again = await agent.host.wait_event("dispatched again", cause="restart")
    assert again.fields["new_dispatch_id"] == dispatches[0]


async def test_job_that_fails_every_time_is_given_up_with_its_whole_story(agent: AgentHost) -> None:
    """`attempts` restarts and no more; each failure is told to the server, and one line has all of them."""
    await dispatch(agent.server, "room", "raise 99")
    offers = await wait_jobs(agent, "room", 3)
    line = await agent.host.wait_event("job given up")
    assert [error.removeprefix("ValueError: ") for error in line.fields["story"]] == [
        "failure 1",
        "failure 2",
        "failure 3",
    ]
    assert (line.level, line.fields["attempts"]) == ("ERROR", 2)
    for offer in offers:
        await agent.ended(offer.job_id, JobStatus.FAILED)  # each on a way of its own, beside the log's
    assert len(jobs_in(agent.server, "room")) == 3


async def test_ghost_of_a_dead_job_is_removed_before_the_next(agent: AgentHost) -> None:
    """Two agents of one call would talk at once; the participant of a killed process stays for 20 s by itself."""
    await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    identity = offer.answer.identity
    await agent.server.join("room", identity, attributes={"lk.agent_name": AGENT})
    os.kill((await agent.wait_facts(offer.job_id))["pid"], signal.SIGKILL)
    await wait_jobs(agent, "room", 2)
    assert identity not in agent.server.rooms.room("room").participants


async def test_job_of_a_room_that_was_closed_is_not_brought_back(agent: AgentHost) -> None:
    """The same name is not the same room: a new call begins with agents of its own."""
    await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    pid = (await agent.wait_facts(offer.job_id))["pid"]
    await agent.server.rooms.delete("room")
    await agent.server.join("room", "another caller")
    os.kill(pid, signal.SIGKILL)
    line = await agent.host.wait_event("job not restarted")
    assert line.fields["reason"] == "the room is gone"
    assert len(jobs_in(agent.server, "room")) == 1


async def test_dispatch_that_somebody_else_deleted_is_left_to_them(agent: AgentHost) -> None:
    """Deleting is the lock: whoever comes second does nothing."""
    dispatch_id = await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    pid = (await agent.wait_facts(offer.job_id))["pid"]
    agent.server.rooms.room("room").dispatches.pop(dispatch_id)
    os.kill(pid, signal.SIGKILL)
    line = await agent.host.wait_event("job not restarted")
    assert line.fields["reason"] == "somebody else has it"


@pytest.mark.parametrize("metadata", ["return 0", "goodbye"])
async def test_job_that_had_done_its_work_is_not_brought_back(agent: AgentHost, metadata: str) -> None:
    """Neither one that ended well, nor one that died after it had said goodbye."""
    await dispatch(agent.server, "room", metadata)
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.host.wait_event("job ended", job_id=offer.job_id)
    await dispatch(agent.server, "next", "raise 1")  # when this one is back, the first would have been
    await wait_jobs(agent, "next", 2)
    assert len(jobs_in(agent.server, "room")) == 1


async def test_draining_host_gives_its_failed_jobs_to_others(agent: AgentHost, tmp_path: Path) -> None:
    """At once, without the back-off: the host waits for nothing else before it ends."""
    await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    pid = (await agent.wait_facts(offer.job_id))["pid"]
    agent.host.signal(signal.SIGTERM)
    await agent.host.wait_event("draining")
    os.kill(pid, signal.SIGKILL)
    await agent.host.wait_event("dispatched again", attempt=1)
    assert await agent.host.exit_code() == 0
    assert [info.attributes["agenthost.attempt"] for info in agent.server.rooms.list_dispatches("room")][-1] == "1"


async def test_restart_waits_for_a_server_that_is_away(agent: AgentHost) -> None:
    """The room is a new one after a restart of the server, so all there is to do is to notice that and stop."""
    await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    pid = (await agent.wait_facts(offer.job_id))["pid"]
    await agent.server.stop()
    os.kill(pid, signal.SIGKILL)
    await agent.host.wait_event("restart planned")
    await agent.server.start()
    line = await agent.host.wait_event("job not restarted")
    assert line.fields["reason"] == "the room is gone"


async def test_termination_of_a_job_that_is_still_joining_is_looked_into(agent: AgentHost) -> None:
    """livekit.rtc has joined twice, and the server took the end of the first try for the job's: its dispatch stands."""
    await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.started(offer.job_id)
    assert await agent.server.terminate(offer.job_id)
    await agent.host.wait_event("termination ignored", job_id=offer.job_id)
    agent.let_go("enough")
    await agent.ended(offer.job_id, JobStatus.SUCCESS)
    ended = await agent.host.wait_event("job ended", job_id=offer.job_id)
    assert ended.fields["reason"] == "entrypoint returned"


@pytest.mark.slow(32)
@pytest.mark.timeout(120)
@pytest.mark.parametrize("after", ["its dispatch", "its room"])
async def test_job_that_went_on_after_a_termination_ends_with_its_dispatch_or_room(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, after: str
) -> None:
    """The server tells an end once only; the host looks after the job from then on, every 30 seconds."""
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, RESTART)
    dispatch_id = await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.started(offer.job_id)
    assert await agent.server.terminate(offer.job_id)
    await agent.host.wait_event("termination ignored", job_id=offer.job_id)
    if after == "its dispatch":
        await agent.server.rooms.delete_dispatch("room", dispatch_id)
    else:
        await agent.server.rooms.delete("room")
    reason = "terminated by the server" if after == "its dispatch" else "room closed"
    await agent.host.wait_event("job stopping", job_id=offer.job_id, reason=reason, timeout=60)
    agent.let_go("enough")


async def test_job_whose_dispatch_is_deleted_while_it_is_joining_ends(agent: AgentHost) -> None:
    """Somebody wants it to end, or another host has brought the call back."""
    dispatch_id = await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.started(offer.job_id)
    await agent.server.rooms.delete_dispatch("room", dispatch_id)
    await agent.host.wait_event("job stopping", job_id=offer.job_id, reason="terminated by the server")
    agent.let_go("enough")
    assert agent.host.events("termination ignored") == []


async def test_termination_ends_a_joining_job_when_nobody_can_be_asked(agent: AgentHost) -> None:
    """The server's word holds."""
    await dispatch(agent.server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.started(offer.job_id)
    agent.server.faults = Faults(fail_calls=500)
    assert await agent.server.terminate(offer.job_id)
    await agent.host.wait_event("job stopping", job_id=offer.job_id, reason="terminated by the server")
    agent.let_go("enough")


async def test_jobs_without_a_policy_are_left_alone(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """`never` is the default: a failed job's dispatch stays as it is."""
    agent = await start_agent(run_host, fake_server, tmp_path, CODE)
    dispatch_id = await dispatch(fake_server, "room", "raise 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.host.wait_event("job ended", job_id=offer.job_id)
    assert not agent.host.events("restart planned")
    assert dispatch_id in fake_server.rooms.room("room").dispatches
    assert json.loads((tmp_path / f"{offer.job_id}.json").read_text())["attempt"] == 1


async def test_job_rejoins_on_new_code_where_the_file_says_so(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """`reload.running_jobs: rejoin`: after a reload the call goes on with the edited code, as the same attempt."""
    code = """
    EDITION = 1
    async def entrypoint(ctx):
        tell(ctx, edition=EDITION, attempt=ctx.attempt, metadata=ctx.job.metadata)
        await asyncio.sleep(600)
    """
    agent = await start_agent(run_host, fake_server, tmp_path, code, "reload: { running_jobs: rejoin }\n")
    await dispatch(fake_server, "room", "hello")
    (first,) = await wait_jobs(agent, "room", 1)
    await agent.wait_facts(first.job_id)
    module = tmp_path / "my_agent.py"
    module.write_text(module.read_text().replace("EDITION = 1", "EDITION = 22"))
    agent.host.signal(signal.SIGHUP)
    _, second = await wait_jobs(agent, "room", 2)
    assert await agent.wait_facts(second.job_id) == {"edition": 22, "attempt": 1, "metadata": "hello"}
    await agent.host.wait_event("job ended", job_id=first.job_id, outcome="stopped")
    agent.host.signal(signal.SIGTERM)
    await signal_again(agent.host, signal.SIGTERM)


@pytest.mark.parametrize("metadata", ["return 0", "raise 99"])
async def test_recovery_has_ended_jobs_take_their_dispatch_along(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, metadata: str
) -> None:
    """An end on purpose, and a failure that the file leaves alone: no other host shall take either for a loss."""
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, "recovery: true\n")
    dispatch_id = await dispatch(fake_server, "room", metadata)
    dispatches = fake_server.rooms.room("room").dispatches
    await poll(lambda: dispatch_id not in dispatches, timeout=15, what="the dispatch is still there")
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.host.wait_event("job ended", job_id=offer.job_id)


async def test_dispatch_of_a_job_that_ended_while_the_server_was_away_is_deleted_later(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Else the next look at the room would take an end on purpose for a loss, and send another agent."""
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, "recovery: { sweep: false }\n")
    dispatch_id = await dispatch(fake_server, "room", "wait 1")
    (offer,) = await wait_jobs(agent, "room", 1)
    await agent.wait_facts(offer.job_id)
    fake_server.faults = Faults(fail_calls=503)
    agent.let_go("enough")
    await agent.ended(offer.job_id, JobStatus.SUCCESS)
    dispatches = fake_server.rooms.room("room").dispatches
    assert dispatch_id in dispatches
    fake_server.faults = Faults()
    await poll(lambda: dispatch_id not in dispatches, timeout=15, what="the dispatch is still there")


async def test_counts_of_restarts_are_metrics(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """One alert watches jobs that come back, another those that were given up."""
    keys = f'{RESTART}\nhttp: {{ listen: "127.0.0.1:0" }}\n'
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, keys)
    await dispatch(fake_server, "room", "raise 99")
    await agent.host.wait_event("job given up")
    _, text = await agent.host.http("/metrics")
    assert f'agenthost_dispatched_again_total{{agent="{AGENT}",cause="restart"}} 2.0' in text
    assert f'agenthost_jobs_given_up_total{{agent="{AGENT}"}} 1.0' in text
