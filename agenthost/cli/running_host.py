"""Which running host a command is meant for: the one that runs the file, found by its control socket."""

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agenthost.config.named_code import code_identity, names_code

if TYPE_CHECKING:
    from agenthost.control.client import ControlClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `running_host` reads: FILE and --socket."""
    add_file(parser)
    parser.add_argument("--socket", type=Path, metavar="PATH", help="the host's control socket, if not that of FILE")


def add_file(parser: argparse.ArgumentParser) -> None:
    """FILE, for commands that look for what runs it."""
    parser.add_argument(
        "file",
        nargs="?",
        metavar="FILE",
        help="the file, or the code that `dev` was given; default: $AGENTHOST_CONFIG, else ./agenthost.yaml",
    )


def running_host(file: str | None, socket: Path | None, environ: Mapping[str, str] = os.environ) -> "ControlClient":
    """The host that listens on `socket`, else the one that runs `file`. Raises NobodyListens when there is none.

    The file is read only if no host is found where that of a file without `control.socket` would be: the command
    shall work, too, while the file has errors. Where no file is named and none is here, it is the one host that `dev`
    has started here on code alone.
    """
    from agenthost.control.client import ControlClient, NobodyListens

    if socket is not None:
        client = ControlClient(socket)
        if not client.is_answered():
            raise NobodyListens(f"no host listens on {socket}")
        return client
    if file is not None and names_code(file):
        return _host_of_code(file, environ)
    config_file, is_there = _config_file(file, environ)
    for path in _sockets(config_file, environ):
        client = ControlClient(path)
        if client.is_answered():
            return client
    if is_there:
        raise NobodyListens(f"no host runs {config_file}; start one with `agenthost start`, or name its --socket")
    code = only_code_here(environ)
    if code is None:
        raise NobodyListens("no host runs in this folder, which has no agenthost.yaml either: name what it runs")
    return _host_of_code(code, environ)


def _host_of_code(code: str, environ: Mapping[str, str]) -> "ControlClient":
    """The host that `dev CODE` has started."""
    from agenthost.control.client import ControlClient, NobodyListens
    from agenthost.control.location import default_path

    client = ControlClient(default_path(code_identity(code), environ))
    if not client.is_answered():
        raise NobodyListens(f"no host runs {code}; start one with `agenthost dev {code}`, or name its --socket")
    return client


def only_code_here(environ: Mapping[str, str]) -> str | None:
    """What the only host runs that `dev` has started in this folder without a file.

    None where there is no such host. Raises NobodyListens when there are several.
    """
    from agenthost.control.client import NobodyListens
    from agenthost.control.location import hosts_of_code

    found = hosts_of_code(Path.cwd(), environ)
    if len(found) > 1:
        names = (os.path.relpath(code) if code.endswith(".py") else code for code in found)
        raise NobodyListens(
            f"no host runs an agenthost.yaml here, but several run code: name {' or '.join(sorted(names))}"
        )
    return next(iter(found), None)


def _config_file(file: str | None, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """The file the host would use, and whether it was named or is here: it may be gone meanwhile."""
    from agenthost.config.findings import ConfigError
    from agenthost.config.loading import FILE_NAMES, find_file

    try:
        return find_file(file, environ), True
    except ConfigError:
        return Path(FILE_NAMES[0]), False


def _sockets(file: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """Where the host of `file` may listen: at the default path, then where the file says, which is read only then."""
    from agenthost.config.loading import Options, examine
    from agenthost.control.location import configured_path, default_path

    yield default_path(file, environ)
    config = examine(file, Options(environ=environ, command="status", secrets=False)).config
    if config is not None and config.control_socket is not None:  # else it has none, or too many errors to tell
        yield configured_path(file, config.control_socket)
