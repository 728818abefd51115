"""agenthost.testing as users of it see it: a pytest of its own, in strict mode, with the plugin and an agent."""

import textwrap
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.agent_run import run_agent
from tests.support.host import write_agent
from tests.support.user_pytest import run_pytest

CODE = """
import asyncio
import logging
import os

from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    logging.getLogger("my.agent").info("greeting %s", ctx.settings["name"])
    match ctx.job.metadata:
        case "fail":
            raise ValueError("no such order")
        case "join":
            await ctx.connect()
        case "never joins":
            await asyncio.sleep(600)
        case "environment":
            print(os.environ["TOKEN"])
"""

YAML = """
version: 1
load: { max_jobs: 10 }
agents:
  front:
    entrypoint: my_agent:entrypoint
    permissions: { can_publish: false }
    settings: { name: Ann }
    requests:
      accept: { identity: "front-{room.name}" }
      rules:
        - { name: recordings, when: { room.name: "rec-*" }, action: terminate }
        - { name: gold, when: { job.metadata.tier: gold }, action: accept, accept: { name: Gold } }
  back:
    entrypoint: my_agent:entrypoint
    settings: { name: Bob }
"""


@pytest.fixture
def agent_file(tmp_path: Path) -> Path:
    return write_agent(tmp_path, CODE, YAML)


async def test_accept_status_and_log_of_a_job_without_a_server(agent_file: Path) -> None:
    """Acceptance, the rule, identity, terminal status and the job's own log lines."""
    async with run_agent(agent_file) as agent:
        job = await agent.offer("vip-7", agent="front", metadata={"tier": "gold"})
        assert job.accepted
        assert (job.answer.identity, job.answer.name) == ("front-vip-7", "Gold")
        assert (await job.decision())["rule"] == "gold"
        end = await job.wait_ended()
        assert (end.status, end.error) == (JobStatus.SUCCESS, "")
        assert "greeting Ann" in [line.message for line in job.log]


async def test_refusal_names_its_rule(agent_file: Path) -> None:
    """A job that nobody shall serve: not accepted, and the host says which rule decided."""
    async with run_agent(agent_file) as agent:
        job = await agent.offer("rec-1", agent="front")
        assert not job.accepted
        assert job.answer.terminate
        assert (await job.decision())["rule"] == "recordings"


async def test_failure_of_the_code_is_seen_with_its_text(agent_file: Path) -> None:
    """What the server is told."""
    async with run_agent(agent_file) as agent:
        end = await (await agent.offer(agent="back", metadata="fail")).wait_ended()
        assert (end.status, end.error) == (JobStatus.FAILED, "ValueError: no such order")


async def test_joining_job_shows_its_permissions_and_learns_why_it_cannot(agent_file: Path) -> None:
    """The token that the host signed for the job; the fake server's refusal says what to do instead."""
    async with run_agent(agent_file) as agent:
        job = await agent.offer("room", agent="front", metadata="join")
        video = (await job.wait_join()).video
        assert video is not None
        assert (video.room, video.can_publish, video.can_subscribe) == ("room", False, True)
        end = await job.wait_ended(timeout=20)
        assert end.status is JobStatus.FAILED
        assert "403" in end.error


@pytest.mark.slow(20)
async def test_job_that_never_joined_is_ended(agent_file: Path) -> None:
    """As the server ends it; an entrypoint that does not return has its grace."""
    async with run_agent(agent_file) as agent:
        job = await agent.offer(agent="back", metadata="never joins")
        assert (await job.end()).status is JobStatus.SUCCESS


async def test_environment_of_the_test_reaches_the_job(agent_file: Path) -> None:
    """`env` is how a test gives keys to its agent."""
    async with run_agent(agent_file, env={"TOKEN": "abc"}) as agent:
        job = await agent.offer(agent="back", metadata="environment")
        await job.wait_ended()
        assert "abc" in [line.message for line in job.log]


async def test_unclear_agent_is_a_clear_error(agent_file: Path) -> None:
    """Several agents: the test must say which."""
    async with run_agent(agent_file) as agent:
        with pytest.raises(ValueError, match=r"this file registers (front, back|back, front)"):
            await agent.offer()


async def test_file_that_cannot_start_fails_with_what_the_host_said(agent_file: Path) -> None:
    """No time-out: the host's own message at once."""
    agent_file.write_text(YAML.replace("my_agent:entrypoint", "my_agent:missing"))
    with pytest.raises(AssertionError, match="missing"):
        async with run_agent(agent_file):
            pass


USERS_TESTS = """
    from pathlib import Path

    import pytest

    FILE = Path(__file__).parent / "agenthost.yaml"


    @pytest.mark.asyncio
    async def test_back_office(run_agent):
        agent = await run_agent(FILE)
        job = await agent.offer("room", agent="back")
        assert job.accepted
        assert (await job.wait_ended()).error == ""


    @pytest.mark.asyncio
    async def test_in_a_room(run_agent_on_server):
        agent = await run_agent_on_server(FILE)
        await agent.dispatch("back", "room", metadata="join")
        room = await agent.join("room")
        connected = await agent.host.wait_event("job connected", room="room")
        assert connected.fields["agent"] == "back"
        assert room.name == "room"
"""


@pytest.mark.e2e
def test_fixtures_work_in_the_pytest_of_a_user(agent_file: Path, livekit_binary: Path) -> None:
    """Strict markers, strict asyncio mode, no configuration but one line; the marker selects what needs a server."""
    folder = agent_file.parent
    (folder / "conftest.py").write_text('pytest_plugins = ["agenthost.testing.plugin"]\n')
    (folder / "test_mine.py").write_text(textwrap.dedent(USERS_TESTS))
    (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\nasyncio_mode = strict\n")
    env = {"AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}
    assert "2 passed" in run_pytest(folder, env=env)
    assert "1 passed, 1 deselected" in run_pytest(folder, "-m", "not livekit_server", env=env)


def test_below_a_failed_test_stands_what_the_host_has_said(agent_file: Path) -> None:
    """Why the agent did not do what was expected; a test that passes shows nothing."""
    folder = agent_file.parent
    (folder / "conftest.py").write_text('pytest_plugins = ["agenthost.testing.plugin"]\n')
    code = """
    import pytest

    @pytest.mark.asyncio
    @pytest.mark.parametrize("expected", ["failed", "success"])
    async def test_mine(run_agent, expected):
        job = await (await run_agent("agenthost.yaml")).offer("room", agent="front", metadata="fail")
        assert (await job.wait_ended()).status.value == expected
    """
    (folder / "test_mine.py").write_text(textwrap.dedent(code))
    written = run_pytest(folder)
    assert "1 failed, 1 passed" in written
    assert written.count("host started") == 1
    assert "no such order" in written.partition("Captured stdout teardown")[2]
