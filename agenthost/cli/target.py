"""Which LiveKit server a command is meant for: the one named, or the one that runs here."""

import os
from collections.abc import Mapping
from pathlib import Path

from agenthost.cli.running_host import only_code_here
from agenthost.config.collector import Collector
from agenthost.config.environment import read_env_file
from agenthost.config.findings import ConfigError
from agenthost.config.loading import Options, examine, examine_code, find_file, loaded
from agenthost.config.model import LiveKitConfig
from agenthost.config.named_code import code_identity, names_code
from agenthost.config.proxies import proxy_for
from agenthost.errors import ConnectionLost, UsageError
from agenthost.livekit_server import session_file
from agenthost.livekit_server.connection import Connection
from agenthost.texts import encodable


def find_connection(
    file: str | None, url: str | None, environ: Mapping[str, str], *, env_file: Path | None = None
) -> Connection:
    """The server named by `url` or LIVEKIT_URL, else the local one of the host that runs `file`, else the file's own,
    else, without `file`, the local one that was started last. Variables of `env_file` stand below `environ`. `file` may
    be code, and without it or a file here it is the code of the only host here.

    Raises ConfigError for a file that cannot be used, UsageError when the keys are missing, ConnectionLost when no
    server is known.
    """
    if env_file is not None:
        environ = {**_variables(env_file, environ), **environ}
    if named := url or environ.get("LIVEKIT_URL"):
        return _with_keys(named, environ)
    meant = _meant(file, environ)
    if meant is not None:
        identity = code_identity(meant) if names_code(meant) else Path(meant)
        if running := session_file.read(identity, environ):
            return running
        if configured := _configured(meant, environ):
            return configured
    latest = session_file.read(None, environ) if file is None else None
    if latest is None:
        command = f"agenthost dev {file}" if file is not None and names_code(file) else "agenthost dev"
        raise ConnectionLost(f"no LiveKit server is known: start `{command}`, or set LIVEKIT_URL or --url")
    return latest


def _with_keys(url: str, environ: Mapping[str, str]) -> Connection:
    missing = [name for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET") if not environ.get(name)]
    if missing:
        raise UsageError(f"{url} needs a key and a secret: set {' and '.join(missing)}")
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        if encodable(environ[name]) != environ[name]:
            raise UsageError(f"{name} is not UTF-8 text; was it set in a terminal of another encoding?")
    pair = {"api_key": environ["LIVEKIT_API_KEY"], "api_secret": environ["LIVEKIT_API_SECRET"]}
    return Connection(url=url, **pair, proxy=proxy_for(url, environ))


def _meant(file: str | None, environ: Mapping[str, str]) -> str | None:
    """The file the host would use, or its code; None when none was named and there is none.

    Raises NobodyListens where none is named or here, but several hosts run code.
    """
    if file is not None and names_code(file):
        return file
    try:
        return os.fspath(find_file(file, environ))
    except ConfigError:
        return only_code_here(environ)


def _configured(meant: str, environ: Mapping[str, str]) -> Connection | None:
    """The server that the file, or its env file, names; or the env file of code."""

    def read(options: Options) -> LiveKitConfig:
        return loaded(
            examine_code(meant, options) if names_code(meant) else examine(Path(meant), options)
        ).config.livekit

    # as `dev` reads it, but a variable that only the agents need may be unset in this shell
    livekit = read(Options(environ=environ, command="dev", secrets=False))
    if not livekit.url:
        return None
    if not (livekit.api_key and livekit.api_secret):  # then this says which, where and why
        livekit = read(Options(environ=environ, command="start"))
    pair = {"api_key": livekit.api_key, "api_secret": livekit.api_secret}
    return Connection(url=livekit.url, **pair, proxy=livekit.proxy)


def _variables(env_file: Path, environ: Mapping[str, str]) -> Mapping[str, str]:
    findings = Collector(str(env_file))
    variables = read_env_file(env_file, environ, findings)
    if findings.has_errors():
        raise ConfigError(findings.findings())
    return variables
