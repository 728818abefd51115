"""`agenthost completion SHELL`: a script that lets a shell complete commands, options and their values.

It is made from the parsers of the command line itself, so that it knows what they know.
"""

import argparse
import shlex
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from agenthost.cli import output
from agenthost.errors import ExitCode

SHELLS = ("bash", "zsh", "fish")

_EPILOG = """\
bash   source <(agenthost completion bash)      in ~/.bashrc
zsh    source <(agenthost completion zsh)       in ~/.zshrc, after compinit
fish   agenthost completion fish | source       in ~/.config/fish/config.fish"""


class Option(Struct, frozen=True, kw_only=True):
    """One option of a command. `values` are the words it takes, where those are known."""

    flag: str
    help: str
    takes_value: bool
    values: tuple[str, ...] = ()


class Command(Struct, frozen=True, kw_only=True):
    """`words` are what may come first after the command: its sub-commands, or the values of its argument."""

    name: str
    help: str
    words: tuple[str, ...]
    options: tuple[Option, ...]


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "completion",
        help="print a script that lets a shell complete all this",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash | zsh | fish")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from agenthost.cli.main import command_line

    commands = tuple(_commands(command_line()))
    output.line("\n".join(_fish(commands) if args.shell == "fish" else _bash(commands, args.shell)))
    return ExitCode.OK


def _commands(parser: argparse.ArgumentParser) -> Iterator[Command]:
    subparsers = _subparsers(parser)
    assert subparsers is not None
    helps = {action.dest: action.help or "" for action in subparsers._choices_actions}
    for name, command in subparsers.choices.items():
        nested = _subparsers(command)
        parsers = [command, *(nested.choices.values() if nested else ())]
        options = {option.flag: option for one in parsers for option in _options(one)}
        words = tuple(nested.choices) if nested else _topics() if name == "explain" else _positional_choices(command)
        yield Command(name=name, help=helps[name], words=words, options=tuple(options.values()))


def _subparsers(parser: argparse.ArgumentParser) -> "argparse._SubParsersAction[Any] | None":
    return next((action for action in parser._actions if isinstance(action, argparse._SubParsersAction)), None)


def _options(parser: argparse.ArgumentParser) -> Iterator[Option]:
    for action in parser._actions:
        for flag in action.option_strings:
            if flag.startswith("--"):
                values = tuple(map(str, action.choices or ()))
                yield Option(flag=flag, help=action.help or "", takes_value=action.nargs != 0, values=values)


def _positional_choices(parser: argparse.ArgumentParser) -> tuple[str, ...]:
    return tuple(str(choice) for action in parser._get_positional_actions() for choice in action.choices or ())


def _topics() -> tuple[str, ...]:
    from agenthost.config.codes import CODES
    from agenthost.config.explain import topics

    return (*topics(), *CODES)


def _bash(commands: tuple[Command, ...], shell: str) -> Iterator[str]:
    """For zsh, too: its bashcompinit understands what is used here."""
    if shell == "zsh":
        yield "autoload -U +X bashcompinit && bashcompinit"
    yield "_agenthost() {"
    yield '    local command=${COMP_WORDS[1]} current=${COMP_WORDS[COMP_CWORD]} words=""'
    yield "    local before=${COMP_WORDS[COMP_CWORD-1]}"
    yield f"    if ((COMP_CWORD == 1)); then words={_quoted(command.name for command in commands)}"
    yield '    else case "$command $before" in'
    for command in commands:
        for option in command.options:
            if option.values:
                yield f"        {shlex.quote(f'{command.name} {option.flag}')}) words={_quoted(option.values)} ;;"
    yield '        *) case "$command $current" in'
    for command in commands:
        flags = _quoted(option.flag for option in command.options)
        yield f"            {shlex.quote(f'{command.name} -')}*) words={flags} ;;"
        if command.words:
            first = f"((COMP_CWORD == 2)) && words={_quoted(command.words)}"
            yield f"            {shlex.quote(f'{command.name} ')}*) {first} ;;"
    yield "        esac ;;"
    yield "    esac; fi"
    yield '    COMPREPLY=($(compgen -W "$words" -- "$current"))'
    yield "}"
    yield "complete -o default -F _agenthost agenthost"


def _quoted(words: Any) -> str:
    return shlex.quote(" ".join(words))


def _fish(commands: tuple[Command, ...]) -> Iterator[str]:
    for command in commands:
        about = shlex.quote(command.help)
        yield f"complete -c agenthost -f -n __fish_use_subcommand -a {command.name} -d {about}"
    for command in commands:
        seen = f"__fish_seen_subcommand_from {command.name}"
        if command.words:
            condition = shlex.quote(f"{seen}; and not __fish_seen_subcommand_from {' '.join(command.words)}")
            yield f"complete -c agenthost -f -n {condition} -a {_quoted(command.words)}"
        for option in command.options:
            takes = f" -x -a {_quoted(option.values)}" if option.values else " -r" if option.takes_value else ""
            line = f"complete -c agenthost -n {shlex.quote(seen)} -l {option.flag.removeprefix('--')}{takes}"
            yield f"{line} -d {shlex.quote(option.help)}"
