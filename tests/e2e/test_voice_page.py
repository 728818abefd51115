"""docs/voice.md: its agent is run, and talked to with its script."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.user_pytest import write_files_of_page

pytest.importorskip("livekit.agents")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

PAGE = Path(__file__).parents[2] / "docs" / "voice.md"
CONVERSATION = PAGE.read_text().partition("```text\n")[2].partition("```")[0]


async def test_the_conversation_is_as_shown(run_host: RunHost, livekit_binary: Path, tmp_path: Path) -> None:
    """On a server of its own: the agent joins every room."""
    write_files_of_page(PAGE, tmp_path)
    with RealLiveKitServer(livekit_binary, tmp_path) as server:
        keys = tmp_path / "server.env"
        keys.write_text("".join(f"{name}={value}\n" for name, value in server.environment.items()))
        changes = ["--env-file", keys, "--set", "http.listen=none", "--set", "limits.init=60s"]
        host = await run_host("my_agent.py", *changes, "--set", "log_format=json", command="dev")
        await host.wait_event("registered", timeout=90)
        talk = await asyncio.create_subprocess_exec(
            sys.executable, tmp_path / "talk.py", keys, "How is the weather?", stdout=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(30):
            written, _ = await talk.communicate()
    assert written.decode() == CONVERSATION
    said = [line for line in host.lines if line.level in ("WARNING", "ERROR")]
    # livekit-agents warns of a loop that had to wait, which it does on a busy machine
    assert [line.message for line in said if not line.message.startswith("event loop blocked")] == []
