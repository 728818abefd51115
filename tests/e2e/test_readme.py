"""The README's tour, walked from its own text."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest
from livekit import api, rtc

from agenthost.errors import ExitCode
from agenthost.livekit_server import session_file
from tests.support.protocols import RunHost

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text()
TOUR = README.split("## 60 seconds")[1].split("\n## ")[0]


def _block(language: str, containing: str) -> str:
    """The tour's block of that language with that text in it."""
    blocks: list[str] = re.findall(rf"^```{language}\n(.*?)^```$", TOUR, re.MULTILINE | re.DOTALL)
    (found,) = [block for block in blocks if containing in block]
    return found


async def test_tour_leads_where_it_says(run_host: RunHost, tmp_path: Path, livekit_binary: Path) -> None:
    """Write two files, run `dev`, dispatch from another terminal, join: the agent says hello."""
    (tmp_path / "my_agent.py").write_text(_block("python", "def entrypoint"))
    (tmp_path / "agenthost.yaml").write_text(_block("yaml", "entrypoint:"))
    (tmp_path / "run").mkdir(mode=0o700)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}

    host = await run_host("--set", "log_format=json", command="dev", env=environ)
    await host.wait_event("registered")
    program, command, *arguments = shlex.split(_block("bash", "dispatch"))
    assert program == "agenthost"
    dispatch = await run_host(*arguments, command=command, env=environ)
    assert await dispatch.exit_code() == ExitCode.OK, dispatch.output()

    connection = session_file.read(tmp_path / "agenthost.yaml", environ)
    assert connection is not None
    token = api.AccessToken(connection.api_key, connection.api_secret).with_identity("ann")
    token.with_grants(api.VideoGrants(room_join=True, room="playground"))
    room, said = rtc.Room(), asyncio.Queue[str]()
    hearing: list[asyncio.Task[None]] = []

    async def hear(reader: rtc.TextStreamReader) -> None:
        said.put_nowait(await reader.read_all())

    def on_text(reader: rtc.TextStreamReader, sender: str) -> None:
        hearing.append(asyncio.create_task(hear(reader)))

    room.register_text_stream_handler("lk.chat", on_text)
    await room.connect(connection.url, token.to_jwt())
    try:
        assert await asyncio.wait_for(said.get(), 10) == "Hello ann!"
    finally:
        await room.disconnect()
