"""The part of docs/testing.md that needs a real server is run."""

from pathlib import Path

import pytest

from tests.support.user_pytest import run_pytest, write_files_of_page

PAGE = Path(__file__).parents[2] / "docs" / "testing.md"


@pytest.mark.e2e
def test_test_with_a_server_passes(tmp_path: Path, livekit_binary: Path) -> None:
    """One test joins a room; the marker leaves it out."""
    write_files_of_page(PAGE, tmp_path)
    env = {"AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}
    assert "1 passed" in run_pytest(tmp_path, "test_support_in_a_room.py", env=env)
    assert "1 deselected" in run_pytest(tmp_path, "-m", "not livekit_server", "test_support_in_a_room.py", env=env)


@pytest.mark.e2e
def test_test_of_code_for_livekit_agents_passes(tmp_path: Path, livekit_binary: Path) -> None:
    """A conversation, with a tool."""
    pytest.importorskip("livekit.agents")
    write_files_of_page(PAGE, tmp_path)
    env = {"AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}
    assert "1 passed" in run_pytest(tmp_path, "test_voice_agent.py", env=env)
