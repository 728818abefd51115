"""The command line: parses it, calls one command, and turns every error into one message and an exit code.

Commands live one a module; each has `add_parser(subparsers)` and `run(args) -> int` and imports what it needs only
when it runs, so that `agenthost --help` and the host's start do not pay for each other's libraries.
"""

import argparse
import difflib
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from agenthost.cli import (
    completion_cmd,
    config_cmd,
    dispatch_cmd,
    explain,
    init,
    output,
    plan_cmd,
    reload_cmd,
    run_cmd,
    schema,
    server,
    status_cmd,
    stop_cmd,
    test_cmd,
    validate,
    version_cmd,
)
from agenthost.config.findings import ConfigError
from agenthost.errors import AgentHostError, EntrypointError, EnvironmentRefused, ExitCode, UsageError
from agenthost.texts import printable
from agenthost.version import __version__

_GROUPS: tuple[tuple[str, tuple[ModuleType, ...]], ...] = (
    ("Run", (run_cmd,)),
    ("Configuration", (init, validate, test_cmd, explain, schema, config_cmd)),
    ("Running host", (status_cmd, plan_cmd, reload_cmd, stop_cmd)),
    ("LiveKit", (dispatch_cmd, server)),
    ("About", (completion_cmd, version_cmd)),
)

_HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)

_INTERRUPTED = 130  # what shells expect of a command that Ctrl-C ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (`errors.ExitCode`). `argv` defaults to the process's own."""
    try:
        return _run(sys.argv[1:] if argv is None else argv)
    except AgentHostError as error:
        _report(error)
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        _abandon_stdout()
        return ExitCode.FAILURE


def _run(argv: Sequence[str]) -> int:
    if sys.platform == "win32":
        raise EnvironmentRefused("agenthost does not run on Windows; use it inside WSL")
    _hear_signals()
    # PyJWT's, for each token: `livekit-server --dev` has the secret `secret`, and nobody can change that here.
    warnings.filterwarnings("ignore", message="The HMAC key is")
    parser = command_line()
    if not argv:
        output.note(parser.format_help().rstrip("\n"))
        return ExitCode.USAGE
    _check_command(argv[0], parser.commands)
    try:
        args, unknown = parser.parse_known_args(argv)
    except SystemExit as stop:  # argparse ends this way after --help and after a usage error
        return int(stop.code or 0)
    if unknown:
        raise UsageError(
            f"unrecognized arguments: {' '.join(unknown)}; `agenthost {argv[0]} --help` says what there is"
        )
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        raise EnvironmentRefused("the current folder is gone; change to another one") from None
    code = int(args.func(args))
    sys.stdout.flush()  # here, where a closed pipe can still be answered quietly
    return code


def _hear_signals() -> None:
    """What we were started by may have ignored or blocked signals, which an exec hands on: the kernel then reaps our
    children, whose ends somebody waits for, or nobody hears of them."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)


class _CommandParser(argparse.ArgumentParser):
    """A usage error is one sentence and the way to help, not a dump of the whole synopsis."""

    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"{self.prog}: {message}\nTry `{self.prog} --help`.\n")


class _MainParser(_CommandParser):
    """The top level, whose help lists the commands in groups."""

    groups: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()

    @property
    def commands(self) -> tuple[str, ...]:
        return tuple(name for _, rows in self.groups for name, _ in rows)

    def format_help(self) -> str:
        parts = [
            "usage: agenthost COMMAND [options]",
            "One YAML file runs LiveKit agents.",
            *(_section(title, rows) for title, rows in self.groups),
            "`agenthost COMMAND --help` says more.",
        ]
        return "\n\n".join(parts) + "\n"


def command_line() -> _MainParser:
    """The parser of the whole command line, with every command in it."""
    parser = _MainParser(prog="agenthost", usage="agenthost COMMAND [options]")
    parser.add_argument("--version", action="version", version=f"agenthost {__version__}")
    subparsers = parser.add_subparsers(prog="agenthost", metavar="COMMAND", required=True, parser_class=_CommandParser)
    groups = []
    for title, commands in _GROUPS:
        known = len(subparsers._choices_actions)
        for command in commands:
            command.add_parser(subparsers)
        rows = tuple((action.dest, action.help or "") for action in subparsers._choices_actions[known:])
        groups.append((title, rows))
    parser.groups = tuple(groups)
    return parser


def _check_command(word: str, commands: Sequence[str]) -> None:
    """argparse would answer a typing error with the list of all commands; one suggestion says more."""
    if word.startswith("-") or word in commands:
        return
    close = difflib.get_close_matches(word, commands, n=1)
    hint = f"did you mean `agenthost {close[0]}`?" if close else "`agenthost --help` lists the commands"
    raise UsageError(f"there is no command `{word}`; {hint}")


def _section(title: str, rows: Sequence[tuple[str, str]]) -> str:
    return "\n".join([f"{title}:", *(f"  {name:<12} {text}" for name, text in rows)])


def _report(error: AgentHostError) -> None:
    if isinstance(error, EntrypointError) and error.traceback_text:
        output.note(printable(error.traceback_text.rstrip("\n")))
    if isinstance(error, ConfigError):
        from agenthost.cli.findings_output import show_config_error

        show_config_error(error)
        return
    output.note(f"agenthost: {printable(str(error))}")


def _abandon_stdout() -> None:
    """The reader of our output is gone (`| head`); what is still buffered must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
