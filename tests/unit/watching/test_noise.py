"""What is taken for noise in a watched folder."""

import pytest

from agenthost.watching.noise import is_noise_file, is_noise_folder

NOISE = (
    ".agent.py.swp .agent.py.swo .#agent.py #agent.py# agent.py~ 4913 agent.py___jb_tmp___ agent.py___jb_old___ "
    "agent.pyc agent.tmp agent.py.bak agent.py.orig .goutputstream-AB12 .DS_Store"
)
CONTENT = "agent.py prompt.md v4.py 49.md notes.temp.md swp a~b tmp.py #1.md agent_jb_.py"


@pytest.mark.parametrize("name", NOISE.split())
def test_what_editors_leave_is_noise(name: str) -> None:
    """Swap files, backups, probes: none of them is worth a reload."""
    assert is_noise_file(name)


@pytest.mark.parametrize("name", CONTENT.split())
def test_what_people_write_is_not(name: str) -> None:
    """Names that only resemble noise."""
    assert not is_noise_file(name)


@pytest.mark.parametrize("name", [".git", ".venv", ".mypy_cache", "__pycache__", "node_modules", "site-packages"])
def test_folders_of_tools_are_noise(name: str) -> None:
    """None of them holds the user's own code."""
    assert is_noise_folder(name, frozenset())


def test_virtual_environment_is_noise_whatever_it_is_called() -> None:
    """Python itself marks it."""
    assert is_noise_folder("my-env", frozenset({"pyvenv.cfg", "bin"}))
    assert not is_noise_folder("my-env", frozenset({"bin"}))
