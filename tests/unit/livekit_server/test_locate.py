"""Which binary is used, in which order."""

from pathlib import Path

import pytest

from agenthost.errors import LocalServerError
from agenthost.livekit_server.locate import built_binary, cache_folder, find


def _program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path / "bin")}


def test_nothing_installed_is_none(environ: dict[str, str]) -> None:
    """Then it is built."""
    assert find(environ) is None


def test_the_built_one_is_used_last(tmp_path: Path, environ: dict[str, str]) -> None:
    """The variable beats PATH, PATH beats what agenthost built."""
    built = _program(built_binary(environ))
    assert find(environ) == built
    on_path = _program(tmp_path / "bin" / "livekit-server")
    assert find(environ) == on_path
    named = _program(tmp_path / "mine")
    assert find({**environ, "AGENTHOST_LIVEKIT_SERVER": str(named)}) == named


def test_variable_that_names_nothing_is_an_error(environ: dict[str, str]) -> None:
    """Falling back silently would run another server than the one asked for."""
    with pytest.raises(LocalServerError, match=r"\$AGENTHOST_LIVEKIT_SERVER names /nowhere"):
        find({**environ, "AGENTHOST_LIVEKIT_SERVER": "/nowhere"})


def test_a_folder_or_a_plain_file_is_no_binary(tmp_path: Path, environ: dict[str, str]) -> None:
    """Only a file that may be executed counts."""
    built_binary(environ).mkdir(parents=True)
    assert find(environ) is None
    (tmp_path / "plain").write_text("")
    with pytest.raises(LocalServerError):
        find({**environ, "AGENTHOST_LIVEKIT_SERVER": str(tmp_path / "plain")})


def test_cache_is_below_home_unless_xdg_names_another() -> None:
    """The XDG rule, as everybody's tools have it."""
    assert cache_folder({"HOME": "/home/a"}) == Path("/home/a/.cache/agenthost")
    assert cache_folder({"HOME": "/home/a", "XDG_CACHE_HOME": "/c"}) == Path("/c/agenthost")


def test_another_release_is_another_file(environ: dict[str, str]) -> None:
    """A newer agenthost builds the server it is tested with instead of taking an older one."""
    assert built_binary(environ).name == "livekit-server-1.13.5"
