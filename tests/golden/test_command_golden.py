"""Golden files of whole commands: a folder each, with all that the command finds there, and what it says.

`command.txt` holds the command line, a line of `=`, what the command writes and its exit code. It is run as a person
would, in a copy of the folder. `UPDATE_GOLDEN=1 pytest tests/golden` writes what is said now; read the difference
before committing it. Lines that start with `#:` set the scene: `#: server NAME` (see `SERVERS`) is what LIVEKIT_URL
names, else nobody is there who could be asked; `#: env NAME=VALUE` sets a variable more.
"""

import asyncio
import os
import re
import shutil
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults

FOLDERS = sorted(file.parent for file in (Path(__file__).parent / "commands").glob("*/command.txt"))
SEPARATOR = "\n========\n"
CANARY = "canary secret that is long enough for a signature"
PROGRAM = Path(sys.executable).with_name("agenthost")

Environment = Mapping[str, str]


@asynccontextmanager
async def fake(faults: Faults | None = None, **changed: str) -> AsyncIterator[Environment]:
    """The fake server, and variables that name it, some of them changed."""
    async with FakeLiveKitServer(api_key="APIgolden", api_secret=CANARY, faults=faults) as server:
        yield server.environment | changed


@asynccontextmanager
async def nobody() -> AsyncIterator[Environment]:
    """A port that is taken, by somebody who does not listen."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield variables(f"ws://127.0.0.1:{taken.getsockname()[1]}")


@asynccontextmanager
async def unset() -> AsyncIterator[Environment]:
    """No LiveKit server is named at all."""
    yield {}


def variables(url: str) -> Environment:
    return {"LIVEKIT_URL": url, "LIVEKIT_API_KEY": "APIgolden", "LIVEKIT_API_SECRET": CANARY}


SERVERS: Mapping[str, Callable[[], AbstractAsyncContextManager[Environment]]] = {
    "good": fake,
    "other-secret": lambda: fake(LIVEKIT_API_SECRET=CANARY[::-1]),
    "late-clock": lambda: fake(Faults(clock_offset=-3600)),
    "no-livekit": lambda: fake(Faults(fail_calls=404)),
    "nobody": nobody,
    "unset": unset,
}


@pytest.mark.parametrize("recorded", FOLDERS, ids=lambda folder: folder.name)
async def test_command_says_what_is_recorded(recorded: Path, tmp_path: Path) -> None:
    """Every recorded command line writes exactly what was recorded, and never a secret."""
    file = recorded / "command.txt"
    scene, expected = file.read_text(encoding="utf-8").split(SEPARATOR)
    folder = tmp_path / "project"
    shutil.copytree(recorded, folder, ignore=shutil.ignore_patterns("command.txt"))
    actual = await run(scene, folder)
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(scene + SEPARATOR + actual, encoding="utf-8")
        return
    assert actual == expected
    assert CANARY not in actual


async def run(scene: str, folder: Path) -> str:
    """What the command of a scene writes when it is run in `folder`, and how it ends."""
    words = [line[2:].split(maxsplit=1) for line in scene.splitlines() if line.startswith("#:")]
    (command,) = [line.removeprefix("$ agenthost ") for line in scene.splitlines() if line.startswith("$ ")]
    more = dict(value.split("=", 1) for kind, value in words if kind == "env")
    server = next((value for kind, value in words if kind == "server"), "nobody")
    async with SERVERS[server]() as environment:
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            *command.split(),
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder)} | environment | more,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    text = (out or err).decode()  # tracebacks of user code beside a result are Python's business, and change with it
    return f"{steady(text, folder)}exit {process.returncode}\n"


def steady(text: str, folder: Path) -> str:
    """The text without what differs from run to run: the folder's place, and ports."""
    return re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text.replace(f"{folder}/", ""))
