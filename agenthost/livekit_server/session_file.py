"""How other commands find the local server of a running `agenthost dev` or `agenthost server run`.

Its connection stands in the runtime folder, in a file of mode 0600 that only its writer's life keeps valid. The
format is that of an env file, so that `agenthost start --env-file` and a shell can read it too.
"""

from collections.abc import Mapping
from pathlib import Path

from agenthost.livekit_server.connection import Connection
from agenthost.runtime_folder import HeldFile, held_files, name_for, remove_abandoned, runtime_folder

_PATTERN = "*.env"
_VARIABLES = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


def write(config_file: Path, connection: Connection, environ: Mapping[str, str]) -> HeldFile:
    """Publish `connection` as that of the host that runs `config_file`; call `remove()` of the result at the end."""
    folder = runtime_folder(environ)
    remove_abandoned(folder, _PATTERN)
    values = (connection.url, connection.api_key, connection.api_secret)
    text = "".join(f"{name}={value}\n" for name, value in zip(_VARIABLES, values, strict=True))
    return HeldFile.create(folder / f"{name_for(config_file)}.env", text)


def read(config_file: Path | None, environ: Mapping[str, str]) -> Connection | None:
    """The connection of the running host of `config_file`, or with None of the one started last.

    None when there is no such host.
    """
    held = held_files(runtime_folder(environ), _PATTERN)
    if config_file is not None:
        held = tuple(path for path in held if path.stem == name_for(config_file))
    return _parse(held[0].read_text(encoding="utf-8")) if held else None


def _parse(text: str) -> Connection:
    values = dict(line.split("=", 1) for line in text.splitlines())
    url, api_key, api_secret = (values[name] for name in _VARIABLES)
    return Connection(url=url, api_key=api_key, api_secret=api_secret)
