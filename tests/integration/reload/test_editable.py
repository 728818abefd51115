"""A package that is installed editably is code of the user, what is installed otherwise is not (scenario 15)."""

import subprocess
import sys
import sysconfig
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess, write_agent
from tests.support.saving import save

CODE = """
from pathlib import Path

import installed
import sibling


async def entrypoint(ctx):
    Path(f"{ctx.room.name}.ran").write_text(f"{sibling.NAME} {installed.NAME}")
"""
YAML = """
agent_name: a
entrypoint: my_agent:entrypoint
http: { listen: none }
reload: { watch: [code] }
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "sibling"
version = "1"

[tool.hatch.build]
dev-mode-dirs = ["src"]
"""


def run(*command: str | Path) -> None:
    subprocess.run(command, check=True, capture_output=True, timeout=60)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of an environment of its own, which has everything that ours has."""
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    ours = sysconfig.get_paths()["purelib"]
    (packages / "ours.pth").write_text(f"import site; site.addsitedir({ours!r})\n")
    (packages / "installed.py").write_text("NAME = 'installed1'\n")
    return tmp_path / "venv" / "bin" / "python"


@pytest.fixture
def sibling(tmp_path: Path, python: Path) -> Path:
    """The module of a package that pip has installed with `-e`."""
    module = tmp_path / "elsewhere" / "src" / "sibling.py"
    module.parent.mkdir(parents=True)
    module.write_text("NAME = 'sibling1'\n")
    (tmp_path / "elsewhere" / "pyproject.toml").write_text(PROJECT)
    options = ("--quiet", "--no-index", "--no-deps", "--no-build-isolation")
    run(sys.executable, "-m", "pip", "--python", python, "install", *options, "-e", tmp_path / "elsewhere")
    return module


@pytest.fixture
async def host(
    tmp_path: Path, python: Path, sibling: Path, fake_server: FakeLiveKitServer
) -> AsyncIterator[HostProcess]:
    folder = tmp_path / "project"
    folder.mkdir()
    file = write_agent(folder, CODE, YAML)
    program = (str(python), "-m", "agenthost")
    host = HostProcess("start", file, "--log-level=DEBUG", cwd=folder, env=fake_server.environment, program=program)
    await host.start()
    yield host
    await host.close()


@pytest.mark.timeout(90)
async def test_editable_package_is_watched_and_an_installed_one_is_not(
    host: HostProcess, sibling: Path, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """Its file is where its author edits it; a package in site-packages changes with the environment, not by itself."""

    async def job() -> str:
        room = uuid.uuid4().hex
        result = await fake_server.offer(room, agent_name="a")
        assert result.outcome is OfferOutcome.ASSIGNED
        await host.wait_event("job ended", job_id=result.job_id)
        return (host.cwd / f"{room}.ran").read_text()

    await host.wait_event("host started", timeout=30)
    assert await job() == "sibling1 installed1"
    (installed,) = (tmp_path / "venv" / "lib").glob("python*/site-packages/installed.py")
    installed.write_text("NAME = 'installed2'\n")
    save(sibling, "NAME = 'sibling2'\n")
    await host.wait_event("reloaded")
    assert [line.fields["files"] for line in host.events("reload wanted")] == [[str(sibling)]]
    assert (await job()).startswith("sibling2")
