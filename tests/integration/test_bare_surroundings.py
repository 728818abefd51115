"""Where agenthost runs and little is there: no folder to write to, a user without name and home, a huge environment."""

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.agent_host import start_agent
from tests.support.host import write_agent
from tests.support.protocols import RunHost

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root can take /tmp away, or be somebody unknown")

YAML = "version: 1\nentrypoint: my_agent:entrypoint\nhttp: { listen: none }\n"
CODE = "async def entrypoint(ctx): ...\n"

WITHOUT_FOLDERS = ("env", "-u", "TMPDIR", "-u", "XDG_RUNTIME_DIR")

# Only this namespace's view: a remount without `bind` would be everybody's.
READ_ONLY = ("unshare", "-m", "sh", "-c", 'mount --make-rprivate / && mount -o remount,bind,ro / && exec "$@"', "sh")
NOTHING_TO_WRITE = tuple(word.replace("ro / &&", "ro / && mount -o remount,bind,ro /dev/shm &&") for word in READ_ONLY)

CAPABILITIES = "+dac_override,+dac_read_search"  # the Python of the tests lies in root's home
NOBODY_KNOWN = ("setpriv", "--reuid=54321", "--regid=54321", "--clear-groups", f"--inh-caps={CAPABILITIES}")
NOBODY_KNOWN += (f"--ambient-caps={CAPABILITIES}", *WITHOUT_FOLDERS, "-u", "HOME", "-u", "XDG_CACHE_HOME")


async def command(
    *words: str, under: Sequence[str], cwd: Path, env: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Exit code and stderr of one command."""
    process = await asyncio.create_subprocess_exec(
        *under,
        *(sys.executable, "-m", "agenthost", *words),
        cwd=cwd,
        env={name: value for name, value in os.environ.items() if not name.startswith("LIVEKIT_")} | dict(env or {}),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, said = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_read_only_root_without_tmp_has_shared_memory_left(run_host: RunHost, tmp_path: Path) -> None:
    """`dev` with its LiveKit server, and the other commands find it."""
    write_agent(tmp_path, CODE, YAML)
    under = (*READ_ONLY, *WITHOUT_FOLDERS)
    host = await run_host("--set", "log_format=json", command="dev", under=under)
    await host.wait_event("host started", timeout=60)
    code, said = await command("status", under=under, cwd=tmp_path)
    assert (code, said) == (0, "")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("status", "no host runs agenthost.yaml"),
        ("stop", "no host runs agenthost.yaml"),
        ("dev", "set XDG_RUNTIME_DIR or TMPDIR"),
    ],
)
async def test_nothing_to_write_to_is_one_clear_error(tmp_path: Path, words: str, expected: str) -> None:
    """No traceback."""
    write_agent(tmp_path, CODE, YAML)
    code, said = await command(*words.split(), under=(*NOTHING_TO_WRITE, *WITHOUT_FOLDERS), cwd=tmp_path)
    assert code != 0
    assert said.startswith("agenthost: ")
    assert expected in said
    assert said.count("\n") == 1


async def test_nothing_to_write_to_runs_jobs_all_the_same(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """A host needs no folder to serve calls; that nobody can control it is said."""
    under = (*NOTHING_TO_WRITE, *WITHOUT_FOLDERS)
    code = "async def entrypoint(ctx: JobContext): print('served')"
    agent = await start_agent(run_host, fake_server, tmp_path, code, under=under)
    job = await agent.offer()
    await agent.host.wait_event("served", job_id=job)
    assert agent.host.events("no control socket")


@pytest.mark.parametrize("is_there", [True, False])
async def test_cache_that_cannot_be_written_is_one_clear_error(tmp_path: Path, is_there: bool) -> None:
    """Where the LiveKit server would be built."""
    if is_there:
        (tmp_path / "agenthost").mkdir()
    env = {"XDG_CACHE_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    code, said = await command("server", "install", under=READ_ONLY, cwd=tmp_path, env=env)
    assert code != 0
    assert said.startswith("agenthost: cannot ")
    assert said.endswith("; set XDG_CACHE_HOME\n")
    assert said.count("\n") == 1


@pytest.mark.parametrize("words", ["server path", "server install", "dev"])
async def test_user_without_a_home_is_one_clear_error(tmp_path: Path, words: str) -> None:
    """A container may run under any number, for which there is no entry in the user database."""
    write_agent(tmp_path, CODE, YAML)
    code, said = await command(*words.split(), under=NOBODY_KNOWN, cwd=tmp_path, env={"PATH": "/usr/bin:/bin"})
    assert code != 0
    assert said == "agenthost: this user has no home folder to keep a LiveKit server in: set XDG_CACHE_HOME\n"


async def test_user_without_a_home_runs_jobs(run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path) -> None:
    """`~` in a path stays what it is."""
    yaml = 'env: { KEY: "${file:~/key}" }'
    tmp_path.chmod(0o777)
    (tmp_path / "~").mkdir()
    (tmp_path / "~" / "key").write_text("value")
    code = "async def entrypoint(ctx: JobContext): print(os.environ['KEY'])"
    agent = await start_agent(run_host, fake_server, tmp_path, code, yaml, under=NOBODY_KNOWN)
    job = await agent.offer()
    await agent.host.wait_event("value", job_id=job)
