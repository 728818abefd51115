"""`agenthost dev` while its files are edited: what new jobs run, what is said about broken edits, and once mended."""

import uuid
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


@pytest.fixture
async def developing(
    run_host: RunHost, livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, tmp_path: Path
) -> Developing:
    name = f"dev-{uuid.uuid4().hex[:8]}"
    (tmp_path / "voice.py").write_text("NAME = 'one'\n")
    (tmp_path / "shared.py").write_text("NAME = 'first'\n")
    file = write_agent(tmp_path, CODE, YAML.format(name=name))
    host = await run_host(file, "--log-level=DEBUG", command="dev", server=livekit_server)
    await host.wait_event("host started", timeout=30)
    return Developing(host, tmp_path, name, livekit_api)


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
