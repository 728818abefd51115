"""Which running host a command is meant for: the one that runs the file, found by its control socket."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agenthost.control.client import ControlClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `running_host` reads: FILE and --socket."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: $AGENTHOST_CONFIG, else ./agenthost.yaml")
    parser.add_argument("--socket", type=Path, metavar="PATH", help="the host's control socket, if not that of FILE")


def running_host(file: str | None, socket: Path | None, environ: Mapping[str, str] = os.environ) -> "ControlClient":
    """The host that listens on `socket`, else the one that runs `file`. Raises NobodyListens when there is none.

    The file is read only if no host is found where that of a file without `control.socket` would be: the command
    shall work, too, while the file has errors. Without any file it is the host that `dev` started here on code alone.
    """
    from agenthost.control.client import ControlClient, NobodyListens
    from agenthost.control.location import default_path, socket_path

    if socket is not None:
        client = ControlClient(socket)
        if not client.is_answered():
            raise NobodyListens(f"no host listens on {socket}")
        return client
    config_file = _config_file(file, environ)
    client = ControlClient(default_path(config_file, environ))
    if client.is_answered():
        return client
    configured = _configured_socket(config_file, environ)
    if configured is not None:
        client = ControlClient(socket_path(config_file, configured, environ))
        if client.is_answered():
            return client
    if file is None and not environ.get("AGENTHOST_CONFIG"):
        given = _hosts_of_code(Path.cwd(), environ)
        if len(given) == 1:
            return next(iter(given.values()))
        if given:
            raise NobodyListens(f"several hosts run here; name one: {', '.join(sorted(given))}")
    raise NobodyListens(f"no host runs {config_file}; start one with `agenthost start`, or name its --socket")


def _config_file(file: str | None, environ: Mapping[str, str]) -> Path:
    """The file the host would use; it may be gone meanwhile."""
    from agenthost.config.findings import ConfigError
    from agenthost.config.loading import FILE_NAMES, find_file

    try:
        return find_file(file, environ)
    except ConfigError:
        return Path(FILE_NAMES[0])


def _hosts_of_code(folder: Path, environ: Mapping[str, str]) -> dict[str, "ControlClient"]:
    """Those that `dev` has started in this folder without a file, by the code that they were given."""
    from agenthost.config.loading import FILE_SUFFIXES
    from agenthost.control.client import ControlClient, HostUnreachable
    from agenthost.control.location import held_sockets

    found = {}
    for path in held_sockets(environ):
        client = ControlClient(path)
        try:
            runs = Path(client.status().file)
        except HostUnreachable:
            continue  # it ends just now
        if runs.parent == folder and runs.suffix not in FILE_SUFFIXES:
            found[runs.name] = client
    return found


def _configured_socket(file: Path, environ: Mapping[str, str]) -> str | None:
    """`control.socket` of the file; None where it has none, or too many errors to tell."""
    from agenthost.config.loading import Options, examine

    config = examine(file, Options(environ=environ, command="status", secrets=False)).config
    return None if config is None else config.control_socket
