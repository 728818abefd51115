"""`validate` says beforehand what `start` does with a file (scenario 31): the same files are accepted by both."""

import asyncio
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from agenthost.cli.main import main
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import HostProcess, write_agent
from tests.support.protocols import RunHost

TESTS = Path(__file__).parents[1]
ROOT = TESTS.parent
GOLDEN = TESTS / "golden"
SEPARATOR = "\n========\n"
OTHER_SCENES = ("#: command", "#: no-secrets", "#: set", "#: unset")  # of another command line than this one
VARIABLES = {"OPENAI_API_KEY": "canary-secret-value", "WORD": "canary", "EMPTY": ""}
APART = ("--set", "http.listen=none", "--set", "control.socket=none")  # they run beside each other
AT_A_TIME = 3
INVALID = 78
GOOD = "async def entrypoint(ctx): ...\n"


def fixtures() -> dict[str, tuple[Path, str]]:
    """Name → the folder that the file lies in, and its text: every recorded configuration and every sample."""
    found: dict[str, tuple[Path, str]] = {}
    for file in sorted((GOLDEN / "config").glob("*.yaml")):
        text = file.read_text(encoding="utf-8").split(SEPARATOR)[0] + "\n"
        if not any(line.startswith(OTHER_SCENES) for line in text.splitlines()):
            found[file.stem] = GOLDEN / "files", text
    for file in (ROOT / "samples").glob("*/agenthost.yaml"):
        found[f"sample {file.parent.name}"] = file.parent, file.read_text(encoding="utf-8")
    return found


@pytest.mark.slow(60)
@pytest.mark.timeout(600)
async def test_validate_and_start_agree(
    tmp_path: Path, fake_server: FakeLiveKitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same `--env-file`: what validate finds nothing in comes up, what it refuses ends with 78."""
    env_file = tmp_path / "variables.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in VARIABLES.items()))
    for name, value in fake_server.environment.items():
        monkeypatch.setenv(name, value)
    cases = fixtures()
    assert len(cases) >= 100
    verdicts: dict[str, int] = {}
    for number, (name, (files, text)) in enumerate(cases.items()):
        folder = tmp_path / str(number)
        shutil.copytree(files, folder)
        (folder / "broken.py").write_text("async def entrypoint(ctx)\n    pass\n")
        (folder / "agenthost.yaml").write_text(text, encoding="utf-8")
        profile = [word for line in text.splitlines() if line.startswith("#: profile") for word in line.split()[2:]]
        options = ["--env-file", str(env_file), *APART, *(["--profile", *profile] if profile else [])]
        monkeypatch.chdir(folder)
        verdicts[name] = main(["validate", "agenthost.yaml", *options])
        cases[name] = folder, " ".join(options)
    turns = asyncio.Semaphore(AT_A_TIME)

    async def start(name: str) -> tuple[str, int]:
        folder, options = cases[name]
        async with turns:
            return name, await outcome(folder, options.split(), fake_server.environment)

    outcomes = dict(await asyncio.gather(*map(start, cases)))
    assert {0, INVALID} == set(verdicts.values())
    assert outcomes == verdicts


async def outcome(folder: Path, options: list[str], environment: Mapping[str, str]) -> int:
    """0 for a host that comes up (or waits for a server that is away), else the exit code of `start`."""
    host = HostProcess("start", "agenthost.yaml", *options, cwd=folder, env=environment)
    await host.start()
    try:
        async with asyncio.timeout(60):
            while not (host.events("host started") or host.events("registration failed")):
                if not host.running:
                    return await host.exit_code()
                await asyncio.sleep(0.05)
        return 0
    finally:
        await host.close()


async def test_validate_beside_a_running_host_touches_nothing(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """It takes neither its port nor its socket, and the server does not hear of it."""
    file = write_agent(
        tmp_path, GOOD, 'agent_name: a\nentrypoint: my_agent:entrypoint\nhttp: { listen: "127.0.0.1:0" }\n'
    )
    host = await run_host(file, server=fake_server)
    await host.wait_event("host started")
    port = await host.http_port()
    file.write_text(file.read_text().replace("127.0.0.1:0", f"127.0.0.1:{port}"))
    validate = await run_host(file, command="validate", server=fake_server)
    assert await validate.exit_code() == 0
    assert (fake_server.connections, await host.http_port()) == (1, port)
    status = await run_host(file, "--format", "json", command="status")
    assert await status.exit_code() == 0
    assert json.loads("".join(status.stray) or "{}").get("pid", host.pid) == host.pid
    assert (await host.http("/readyz"))[0] == 200


async def test_host_of_a_folder_whose_name_is_no_text_is_reached(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """A file name is bytes; what says it is text."""
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    file = write_agent(folder, GOOD, "agent_name: a\nentrypoint: my_agent:entrypoint\nhttp: { listen: none }\n")
    host = await run_host(file, server=fake_server)
    await host.wait_event("host started")
    status = await run_host(file, command="status")
    assert await status.exit_code() == 0
    assert "caf\\xe9" in "".join(status.stray)


async def test_without_secrets_a_file_can_be_checked_anywhere(run_host: RunHost, tmp_path: Path) -> None:
    """As in CI: neither the variables nor the files with secrets are there; everything else is checked."""
    text = (
        "agent_name: a\nentrypoint: my_agent:entrypoint\n"
        "livekit: { url: '${LIVEKIT_URL}', api_secret: '${file:/run/secrets/nowhere}' }\n"
        "env: { OPENAI_API_KEY: '${OPENAI_API_KEY:?set it}' }\n"
    )
    file = write_agent(tmp_path, GOOD, text)
    without = await run_host(file, "--no-secrets", command="validate")
    assert await without.exit_code() == 0
    assert await (await run_host(file, command="validate")).exit_code() == INVALID
    file.write_text(text + "drain_timeout: 3600\n")
    broken = await run_host(file, "--no-secrets", command="validate")
    assert await broken.exit_code() == INVALID
