"""Where control sockets are."""

import os
from pathlib import Path

from agenthost.control.location import (
    configured_path,
    default_path,
    hosts_of_code,
    lock_path,
    lock_text,
    sendable_length,
)
from agenthost.runtime_folder import HeldFile


def test_each_file_has_a_socket_of_its_own(tmp_path: Path) -> None:
    """In the runtime folder, which looking for it does not make."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    one, other = (default_path(tmp_path / name, environ) for name in ("a.yaml", "b.yaml"))
    assert one != other
    assert one.parent == tmp_path / "agenthost"
    assert not one.parent.exists()


def test_configured_path_is_relative_to_the_file(tmp_path: Path) -> None:
    """As every path in the file."""
    file = tmp_path / "a.yaml"
    assert configured_path(file, "run/a.sock") == tmp_path / "run" / "a.sock"
    assert configured_path(file, "/run/a.sock") == Path("/run/a.sock")


def test_hosts_of_code_are_those_of_the_folder(tmp_path: Path) -> None:
    """Not those of files, nor of other folders, nor dead ones; a path need not be text."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    folder = tmp_path / os.fsdecode(b"f\xff")
    assert hosts_of_code(folder, environ) == set()
    (tmp_path / "agenthost").mkdir(mode=0o700)
    for name, text in (
        ("one", lock_text(folder, "/x/agent.py")),
        ("two", lock_text(folder, "my_agent:server")),
        ("file", lock_text(folder)),
        ("elsewhere", lock_text(tmp_path, "/x/other.py")),
    ):
        assert HeldFile.claim(tmp_path / "agenthost" / f"{name}.sock.lock", text)
    (tmp_path / "agenthost" / "dead.sock.lock").write_text(lock_text(folder, "/x/dead.py"))
    assert hosts_of_code(folder, environ) == {"/x/agent.py", "my_agent:server"}
    (tmp_path / "agenthost").chmod(0o777)
    assert hosts_of_code(folder, environ) == set()


def test_lock_stands_beside_its_socket() -> None:
    """Where whoever finds the one finds the other."""
    assert lock_path(Path("/run/a.sock")) == Path("/run/a.sock.lock")


def test_addresses_of_sockets_are_short() -> None:
    """In bytes, not characters."""
    assert sendable_length(Path("/" + "x" * 102))
    assert not sendable_length(Path("/" + "x" * 103))
    assert not sendable_length(Path("/" + "ü" * 52))
