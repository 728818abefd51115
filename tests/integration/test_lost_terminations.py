"""Jobs whose end the server does not tell are ended all the same."""

import signal
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.agent_host import start_agent
from tests.support.host import signal_again
from tests.support.protocols import RunHost

CODE = """
async def entrypoint(ctx):
    tell(ctx, pid=os.getpid())
    await asyncio.sleep(600)
"""


@pytest.mark.slow(45)
@pytest.mark.timeout(120)
async def test_job_that_never_joined_ends_when_its_room_is_gone(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """The server sends no termination for it; the host asks for the rooms every 30 s. A neighbour whose room is there
    goes on."""
    agent = await start_agent(run_host, fake_server, tmp_path, CODE)
    lost, _ = await agent.start_job()
    kept, _ = await agent.start_job()
    await fake_server.rooms.delete("room-1")
    await agent.ended(lost, JobStatus.SUCCESS, timeout=80)
    ended = await agent.host.wait_event("job ended", job_id=lost)
    assert ended.fields["reason"] == "room closed"
    assert [update.status for update in fake_server.statuses(kept)] == [JobStatus.RUNNING]
    agent.host.signal(signal.SIGTERM)
    await signal_again(agent.host, signal.SIGTERM)
