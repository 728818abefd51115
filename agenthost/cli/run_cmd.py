"""`agenthost dev` and `agenthost start`: run the file's agents until told to end.

Both are the same host; `dev` logs for people, starts a LiveKit server of its own where none is configured, and has
the defaults of somebody at a keyboard.
"""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenthost.config.named_code import names_code
from agenthost.errors import ExitCode

if TYPE_CHECKING:
    from agenthost.config.examination import Loaded, Options
    from agenthost.config.model import Config
    from agenthost.host.host import Host
    from agenthost.livekit_server.run import LocalServer
    from agenthost.logs.banner import Banner
    from agenthost.logs.events import EventLogger
    from agenthost.logs.setup import LogSystem
    from agenthost.processes.base_exec import BaseProcess

LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_FILE_HELP = "default: $AGENTHOST_CONFIG, else ./agenthost.yaml"


def add_parser(subparsers: Any) -> None:
    dev = subparsers.add_parser("dev", help="run the agents here, with a local LiveKit server if none is set")
    named = f"the file, or without one module:attribute or script.py; {_FILE_HELP}"
    dev.add_argument("file", nargs="?", metavar="FILE", help=named)
    start = subparsers.add_parser("start", help="run the agents in production")
    start.add_argument("file", nargs="?", metavar="FILE", help=_FILE_HELP)
    for parser, command in ((dev, "dev"), (start, "start")):
        _add_options(parser)
        parser.set_defaults(func=run, command=command)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--log-level", type=str.upper, choices=LEVELS, metavar="LEVEL", help=" | ".join(LEVELS))
    parser.add_argument("--profile", metavar="NAME", help="merge this profile of the file into it")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE", help="set a key")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="read environment variables from FILE")


def run(args: argparse.Namespace) -> int:
    from agenthost.processes.base_exec import HostIdentity, exec_base

    # Before all else: it imports livekit.rtc while the file is read and the host's libraries are imported here.
    base = exec_base(HostIdentity.take(), os.environ)
    import asyncio

    from agenthost.cli.first_read import read_apart
    from agenthost.config.examination import Options
    from agenthost.dispatch.light_protocol import load_protocol_by_module
    from agenthost.tls import without_authorities

    options = Options(
        environ=os.environ,
        command=args.command,
        profile=args.profile,
        overrides=args.overrides,
        env_file=args.env_file,
        log_level=args.log_level,
    )

    def read() -> "Loaded":
        return _load(args, options)

    first = read_apart(read)
    load_protocol_by_module()
    with without_authorities():
        import agenthost.host.host  # noqa: F401 - while the file is read

    return asyncio.run(_serve(first(), read, args, base))


def _load(args: argparse.Namespace, options: "Options") -> "Loaded":
    from agenthost.config.loading import examine, find_file, load_entrypoint, loaded

    reference = _named_code(args)
    if reference is not None:
        return load_entrypoint(reference, options)
    return loaded(examine(find_file(args.file, os.environ), options))


def _named_code(args: argparse.Namespace) -> str | None:
    """The entrypoint that `dev` was given: `module:attribute`, or the script of a livekit-agents agent."""
    text = args.file if args.command == "dev" else None
    return text if text is not None and names_code(text) else None


async def _serve(loaded: "Loaded", read: "Callable[[], Loaded]", args: argparse.Namespace, base: "BaseProcess") -> int:
    from agenthost.logs.setup import start_logging

    logs = start_logging(loaded.config.log, command=args.command, stream=sys.stdout)
    try:
        _log_warnings(loaded)
        async with _local_server(loaded.config, args.command) as server:
            first = _on_server(loaded, server).config
            return await _host(first, lambda: _on_server(read(), server), args, base, logs, server)
    finally:
        logs.stop()


async def _host(
    config: "Config",
    read: "Callable[[], Loaded]",
    args: argparse.Namespace,
    base: "BaseProcess",
    logs: "LogSystem",
    server: "LocalServer | None",
) -> ExitCode:
    from agenthost.host.host import Host
    from agenthost.plan import plan

    def started(host: "Host") -> None:
        logs.show(_banner(host, args, local_server=server is not None))

    host = Host(
        plan(config),
        base=base,
        read=read,
        logs=logs,
        on_started=started,
        hang_up_reloads=args.command == "start",
        waits_for_edit=args.command == "dev",
        spare_pids=() if server is None else (server.pid,),
    )
    return await host.run()


def _on_server(loaded: "Loaded", server: "LocalServer | None") -> "Loaded":
    """The configuration as read, on the LiveKit server of our own if it names none."""
    from msgspec.structs import replace

    config = loaded.config
    if server is None or config.livekit.url:
        return loaded
    own = {"url": server.url, "api_key": server.api_key, "api_secret": server.api_secret, "proxy": None}
    livekit = replace(config.livekit, **own)
    return replace(loaded, config=replace(config, livekit=livekit))


@asynccontextmanager
async def _local_server(config: "Config", command: str) -> "AsyncIterator[LocalServer | None]":
    """Under `dev`, where no LiveKit server is configured, one of our own for as long."""
    if config.livekit.url or command != "dev":
        yield None
        return
    import asyncio

    from agenthost.livekit_server import session_file
    from agenthost.livekit_server.build import ensure_installed
    from agenthost.livekit_server.progress import build_progress
    from agenthost.livekit_server.run import LocalServer
    from agenthost.logs.events import get_logger

    log = get_logger("livekit_server")
    with build_progress() as report:
        binary = await ensure_installed(report)
    async with LocalServer(binary, log=lambda line: log.debug("livekit-server", line=line)) as server:
        held = session_file.write(config.identity, server.connection, os.environ)
        watching = asyncio.create_task(_tell_end(server, log))
        try:
            yield server
        finally:
            watching.cancel()
            held.remove()


async def _tell_end(server: "LocalServer", log: "EventLogger") -> None:
    """The host itself would only see a connection that is lost, and try again for ever."""
    code = await server.wait_exited()
    log.error("the local LiveKit server ended by itself", exit_code=code, hint="run `agenthost dev` again")


def _banner(host: "Host", args: argparse.Namespace, *, local_server: bool) -> "Banner":
    from agenthost.logs.banner import Banner, BannerAgent
    from agenthost.version import __version__

    config = host.fleet.plan.config
    arguments = _for_commands(config, args)
    planned = [agent.config for agent in host.fleet.plan.agents.values()]
    agents = tuple(
        BannerAgent(
            id=agent.id, agent_name=agent.agent_name, type=agent.type, registers=agent.register, arguments=arguments
        )
        for agent in planned
    )
    return Banner(
        version=__version__,
        command=args.command,
        file=_shown(config, args),
        agents=agents,
        livekit_url=config.livekit.url,
        local_server=local_server,
        http=":".join(map(str, host.surfaces.http)) if host.surfaces.http else None,
        idle_processes=sum(agent.num_idle_processes for agent in planned),
    )


def _for_commands(config: "Config", args: argparse.Namespace) -> tuple[str, ...]:
    """What `agenthost dispatch` in this folder must be told, to find the server of this host and no other."""
    from agenthost.config.findings import ConfigError
    from agenthost.config.loading import find_file

    try:
        is_default = find_file(None, {}).absolute() == config.identity
    except ConfigError:
        is_default = False
    file = () if is_default else (_shown(config, args),)
    env_file = () if args.env_file is None else ("--env-file", os.fspath(args.env_file))
    return (*file, *env_file)


def _shown(config: "Config", args: argparse.Namespace) -> str:
    return _named_code(args) or _short(config.file)


def _short(file: Path) -> str:
    try:
        return os.fspath(file.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(file)


def _log_warnings(loaded: "Loaded") -> None:
    from agenthost.logs.events import get_logger

    log = get_logger("config")
    for warning in loaded.warnings:
        log.warning(warning.message, code=warning.code, file=warning.file, line=warning.line, hint=warning.hint)
