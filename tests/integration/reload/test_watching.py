"""A host that watches its files takes over what changes, once, and nothing else (scenarios 15, 16 and 32).

That something causes no reload is shown by an edit after it: the reload of that one is the next in the log. Both start
methods where code is edited, but for broken code, which spawned jobs cannot do without.
"""

from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.saving import save

CODE = """
import asyncio
from pathlib import Path

import sibling
from pkg.voice import NAME
from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    Path("agent-own.log").write_text("written by the agent itself")
    part = Path(f"{ctx.room.name}.part")
    part.write_text(f"{NAME} {sibling.NAME} {ctx.settings['text']} {Path('prompts/a.md').read_text()}")
    part.rename(f"{ctx.room.name}.ran")
    await asyncio.sleep(3600)
"""
YAML = """
version: 1
agent_name: a
entrypoint: my_agent:entrypoint
env_file: vars.env
settings: { text: "${TEXT}-${file:text.md}" }
reload: { watch: [config, code], paths: [prompts] }
load: { max_jobs: 50 }
http: { listen: "127.0.0.1:0" }
limits: { shutdown: 1s }
"""


class Watched:
    """A host that watches; `folder` holds what it watches, apart from the sibling package."""

    def __init__(self, host: HostProcess, folder: Path, sibling: Path, server: FakeLiveKitServer) -> None:
        self.host = host
        self.folder = folder
        self.sibling = sibling
        self.server = server

    async def run_job(self, room: str) -> str:
        """What a new job says: the name in pkg, in sibling, the settings, the prompt."""
        result = await self.server.offer(room, agent_name="a")
        assert result.outcome is OfferOutcome.ASSIGNED, result
        await self.server.wait_status(result.job_id, JobStatus.RUNNING)
        ran = self.folder / f"{room}.ran"
        await poll(ran.exists, timeout=5, what=f"job in {room}")
        return ran.read_text()

    def reloads(self) -> list[object]:
        """The number of changes of each reload so far."""
        return [line.fields["changes"] for line in self.host.events("reloaded")]

    async def wait_reload(self, count: int) -> None:
        await self.host.wait_event("reloaded", count=count)


@pytest.fixture
async def watched(
    run_host: RunHost, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, fake_server: FakeLiveKitServer
) -> Watched:
    return await start(run_host, tmp_path, tmp_path_factory.mktemp("elsewhere"), fake_server)


@pytest.fixture
async def watched_any(
    run_any_host: RunHost, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, fake_server: FakeLiveKitServer
) -> Watched:
    """The same, once with each start method."""
    return await start(run_any_host, tmp_path, tmp_path_factory.mktemp("elsewhere"), fake_server)


async def start(run_host: RunHost, folder: Path, elsewhere: Path, server: FakeLiveKitServer) -> Watched:
    """A registered host, whose agent also imports a package that stands elsewhere."""
    files = {"vars.env": "TEXT=env1", "text.md": "text1", "prompts/a.md": "prompt1", "pkg/voice.py": "NAME = 'pkg1'"}
    for name, text in files.items():
        save(folder / name, text)
    save(elsewhere / "sibling" / "__init__.py", "NAME = 'sibling1'")
    file = write_agent(folder, CODE, YAML)
    host = await run_host(file, "--log-level=DEBUG", server=server, env={"PYTHONPATH": str(elsewhere)})
    await host.wait_event("host started")
    watched = Watched(host, folder, elsewhere / "sibling" / "__init__.py", server)
    assert await watched.run_job("first") == "pkg1 sibling1 env1-text1 prompt1"
    return watched


async def test_each_kind_of_file_is_one_reload(watched_any: Watched) -> None:
    """Scenario 15: the YAML, `.env`, a `${file:…}`, a module in a package, one elsewhere; none ends a job."""
    folder = watched_any.folder
    edits = [
        (folder / "agenthost.yaml", YAML.replace("50", "40"), "pkg1 sibling1 env1-text1 prompt1"),
        (folder / "vars.env", "TEXT=env2", "pkg1 sibling1 env2-text1 prompt1"),
        (folder / "text.md", "text2", "pkg1 sibling1 env2-text2 prompt1"),
        (folder / "pkg" / "voice.py", "NAME = 'pkg2'", "pkg2 sibling1 env2-text2 prompt1"),
        (watched_any.sibling, "NAME = 'sibling2'", "pkg2 sibling2 env2-text2 prompt1"),
    ]
    for number, (file, text, said) in enumerate(edits, 1):
        save(file, text)
        await watched_any.wait_reload(number)
        assert await watched_any.run_job(f"room-{number}") == said
    reloads = watched_any.reloads()
    assert len(reloads) == len(edits)
    assert 0 not in reloads
    assert not watched_any.host.events("job ended")


async def test_file_of_reload_paths_counts_as_code(watched: Watched) -> None:
    """Scenario 15: a prompt that the module may have read when it was imported."""
    save(watched.folder / "prompts" / "a.md", "prompt2")
    await watched.wait_reload(1)
    assert watched.reloads() == [1]
    assert watched.host.events("change applied", kind="new generation")


async def test_module_in_a_new_folder_comes_with_the_edit_that_imports_it(watched_any: Watched) -> None:
    """Scenario 15: and is watched from then on."""
    save(watched_any.folder / "fresh" / "voice.py", "NAME = 'fresh1'")
    save(watched_any.folder / "my_agent.py", CODE.replace("pkg.voice", "fresh.voice"))
    await watched_any.wait_reload(1)
    assert (await watched_any.run_job("second")).startswith("fresh1")
    save(watched_any.folder / "fresh" / "voice.py", "NAME = 'fresh2'")
    await watched_any.wait_reload(2)
    assert (await watched_any.run_job("third")).startswith("fresh2")


async def test_side_files_and_unchanged_content_are_no_reload(watched: Watched) -> None:
    """Scenarios 15 and 32: under .venv, by the agent itself, touched, saved without an edit."""
    save(watched.folder / ".venv" / "lib" / "thing.py", "x = 1")
    save(watched.folder / "notes.txt", "x")
    (watched.folder / "my_agent.py").touch()
    save(watched.folder / "agenthost.yaml", YAML)
    await watched.run_job("second")
    save(watched.folder / "vars.env", "TEXT=env2")
    await watched.wait_reload(1)
    assert await watched.run_job("third") == "pkg1 sibling1 env2-text1 prompt1"
    assert len(watched.reloads()) == 1


async def test_broken_save_keeps_all_and_the_mended_one_serves(watched: Watched) -> None:
    """Scenario 16: one error; the running job and the registration stay; mending is enough, nobody asks for it."""
    save(watched.folder / "pkg" / "voice.py", "NAME = (")
    await watched.host.wait_event("reload failed")
    assert (await watched.run_job("second")).startswith("pkg1")
    save(watched.folder / "pkg" / "voice.py", "NAME = 'pkg2'")
    await watched.wait_reload(1)
    assert (await watched.run_job("third")).startswith("pkg2")
    assert len(watched.host.events("reload failed")) == 1
    assert len(watched.host.events("registered")) == 1
    assert not watched.host.events("job ended")


async def test_config_map_is_reloaded_by_its_content(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """Scenario 32: projected again unchanged, changed, broken: no reload, one, and one error with its line."""
    yaml = (
        'agent_name: a\nentrypoint: my_agent:entrypoint\nhttp: { listen: "127.0.0.1:0" }\nreload: { watch: [config] }\n'
    )
    mount = tmp_path / "mount"
    mount.mkdir()
    save(mount / "my_agent.py", "async def entrypoint(ctx): ...\n")

    def project(number: int, text: str) -> None:
        save(mount / f"..{number}" / "agenthost.yaml", text)
        (mount / "..data_tmp").symlink_to(f"..{number}")
        (mount / "..data_tmp").rename(mount / "..data")

    project(1, yaml)
    (mount / "agenthost.yaml").symlink_to("..data/agenthost.yaml")
    host = await run_host(mount / "agenthost.yaml", "--log-level=DEBUG", server=fake_server)
    await host.wait_event("host started")
    project(2, yaml)
    project(3, yaml + "load: { max_jobs: 7 }\n")
    await host.wait_event("reloaded")
    project(4, yaml + "nonsense: 1\n")
    failed = await host.wait_event("reload failed")
    assert "agenthost.yaml:5:1" in str(failed.fields)
    _, metrics = await host.http("/metrics")
    assert "agenthost_config_last_reload_successful 0.0" in metrics
    assert "agenthost_slots_total{agent=" in metrics
    assert [line.fields["changes"] for line in host.events("reloaded")] == [1]
