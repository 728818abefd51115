"""`agenthost dev` while its files are edited: what new jobs run, what is said about broken edits, and once mended."""

import signal
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from livekit import api

from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CODE = """
from pathlib import Path

import shared
import voice


async def entrypoint(ctx):
    Path(f"{ctx.room.name}.part").write_text(f"{voice.NAME} {shared.NAME}")
    Path(f"{ctx.room.name}.part").rename(f"{ctx.room.name}.ran")
"""
YAML = """
agent_name: {name}
entrypoint: my_agent:entrypoint
preload: [shared]
log_format: json
control: {{ socket: none }}
"""


class Developing:
    """A host under `dev` and its folder."""

    def __init__(self, host: HostProcess, folder: Path, name: str, server: api.LiveKitAPI) -> None:
        self.host = host
        self.yaml = YAML.format(name=name)
        self._folder = folder
        self._name = name
        self._server = server

    async def save(self, name: str, text: str, *, event: str = "reloaded") -> dict[str, object]:
        """Save a file; what the host says about it."""
        before = len(self.host.events(event))
        (self._folder / name).write_text(text)
        return dict((await self.host.wait_event(event, count=before + 1)).fields)

    async def job(self) -> str:
        """What a new job runs."""
        room = f"dev-{uuid.uuid4().hex[:8]}"
        request = api.CreateAgentDispatchRequest(agent_name=self._name, room=room)
        await self._server.agent_dispatch.create_dispatch(request)
        ran = self._folder / f"{room}.ran"
        await poll(ran.exists, timeout=10, what="the job did not run")
        return ran.read_text()


Develop = Callable[..., Awaitable[Developing]]  # develop(event="host started", **files): see the fixture


@pytest.fixture
def develop(
    run_host: RunHost, livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, tmp_path: Path
) -> Develop:
    """A host under `dev` that has said `event`; `voice` and `shared` are what its two modules contain."""

    async def develop(
        event: str = "host started", *, voice: str = "NAME = 'one'\n", shared: str = "NAME = 'first'\n"
    ) -> Developing:
        name = f"dev-{uuid.uuid4().hex[:8]}"
        (tmp_path / "voice.py").write_text(voice)
        (tmp_path / "shared.py").write_text(shared)
        file = write_agent(tmp_path, CODE, YAML.format(name=name))
        host = await run_host(file, "--log-level=DEBUG", command="dev", server=livekit_server)
        await host.wait_event(event, timeout=30)
        return Developing(host, tmp_path, name, livekit_api)

    return develop


@pytest.fixture
async def developing(develop: Develop) -> Developing:
    return await develop()


async def test_saved_code_runs_in_new_jobs_and_broken_code_is_shown_until_mended(developing: Developing) -> None:
    """A module that the entrypoint's imports counts as much as its own; the traceback is the user's alone."""
    assert await developing.job() == "one first"
    await developing.save("voice.py", "NAME = 'two'\n")
    assert await developing.job() == "two first"
    failed = await developing.save("voice.py", "NAME = 'x'\n1 / 0\n", event="reload failed")
    assert 'voice.py", line 2' in str(failed["traceback"])
    assert "agenthost/" not in str(failed["traceback"])
    assert await developing.job() == "two first"
    assert (await developing.save("voice.py", "NAME = 'three'\n"))["mended"] is True
    assert await developing.job() == "three first"


async def test_broken_file_is_shown_as_validate_shows_it(developing: Developing) -> None:
    """The finding with its line and the hint; the next good one says that all is well again."""
    failed = await developing.save("agenthost.yaml", developing.yaml + "drain_timeout: 3600\n", event="reload failed")
    assert "error[AH120] a duration needs a unit" in str(failed["findings"])
    assert "│ drain_timeout: 3600" in str(failed["findings"])
    assert (await developing.save("agenthost.yaml", developing.yaml))["mended"] is True


async def test_edited_preload_starts_the_base_anew_and_says_so(developing: Developing) -> None:
    """What all agents share was imported by the base: it is replaced, and every template with it."""
    await developing.save("shared.py", "NAME = 'second'\n")
    assert developing.host.events("change applied", kind="base")
    assert len(developing.host.events("base ready")) == 2
    assert await developing.job() == "one second"


@pytest.mark.parametrize("broken", ["voice.py", "shared.py"])
async def test_code_that_fails_at_the_start_is_waited_for(develop: Develop, broken: str) -> None:
    """Scenario 34: the error is shown, another broken edit changes nothing, and the mended one is the start.

    `shared` is imported by the base, for all agents.
    """
    module = broken.removesuffix(".py")
    developing = await develop("start failed", **{module: "NAME = 'x'\n1 / 0\n"})
    (failed,) = developing.host.events("start failed")
    assert f'{broken}", line 2' in failed.fields["traceback"]
    assert "waiting for an edit" in failed.fields["effect"]
    await developing.save(broken, "NAME = \n", event="reload failed")
    assert not developing.host.events("registered")
    await developing.save(broken, "NAME = 'mended'\n", event="host started")
    assert await developing.job() == ("mended first" if broken == "voice.py" else "one mended")


async def test_host_that_waits_for_its_first_code_ends_when_it_is_told_to(develop: Develop) -> None:
    """There is nothing to drain, and that it never started is no error of the one who ends it."""
    developing = await develop("start failed", voice="1 / 0\n")
    developing.host.signal(signal.SIGINT)
    assert await developing.host.exit_code() == 0
