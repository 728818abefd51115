"""Where control sockets are."""

from pathlib import Path

from agenthost.control.location import default_path, lock_path, sendable_length, socket_path


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
    assert socket_path(file, "run/a.sock", {}) == tmp_path / "run" / "a.sock"
    assert socket_path(file, "/run/a.sock", {}) == Path("/run/a.sock")
    assert socket_path(file, None, {"TMPDIR": str(tmp_path)}) == default_path(file, {"TMPDIR": str(tmp_path)})


def test_lock_stands_beside_its_socket() -> None:
    """Where whoever finds the one finds the other."""
    assert lock_path(Path("/run/a.sock")) == Path("/run/a.sock.lock")


def test_addresses_of_sockets_are_short() -> None:
    """In bytes, not characters."""
    assert sendable_length(Path("/" + "x" * 102))
    assert not sendable_length(Path("/" + "x" * 103))
    assert not sendable_length(Path("/" + "ü" * 52))
