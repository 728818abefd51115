"""What faulthandler writes about a process that hangs, as people read a traceback. Pure, but for source lines.

faulthandler tells the innermost frame first, all threads, and our own frames below the user's. Here it is as in any
traceback: the innermost last, with its source line, and without what called the user's code.
"""

import linecache
import os
import re

from agenthost.logs.tracebacks import is_foreign, is_ours

_THREAD = re.compile(rb"^(?:Current thread|Thread) 0x[0-9a-f]+[^\n]*\(most recent call first\):$", re.MULTILINE)
_FRAME = re.compile(r'  File "(?P<file>[^"]*)", line (?P<line>\d+) in (?P<name>.*)')

Frame = tuple[str, int, str]


def start_of_dump(text: bytes) -> int | None:
    """Where in `text` the stacks begin; None where there are none."""
    found = _THREAD.search(text)
    return found.start() if found else None


def format_dump(text: str) -> str:
    """The stacks of `text`, one below the other; those in which no user code takes part only if none has any."""
    stacks = [_stack(part) for part in re.split(r"(?m)^(?=Current thread|Thread )", text) if _FRAME.search(part)]
    own = [cut for stack in stacks if (cut := _users_part(stack))]
    return "\n".join(_told(stack) for stack in own or stacks)


def innermost(told: str) -> tuple[str, int] | None:
    """File and line at which the last stack of a formatted dump stands; what has no file is passed over."""
    frames = re.findall(r'  File "([^"<][^"]*)", line (\d+), in ', told)
    return (frames[-1][0], int(frames[-1][1])) if frames else None


def innermost_in(folder: str, told: str) -> tuple[str, int] | None:
    """The same, of the frames in `folder`; of all where none is: a dump has a hundred frames at most."""
    frames = re.findall(rf'  File "({re.escape(folder)}{re.escape(os.sep)}[^"]*)", line (\d+), in ', told)
    return (frames[-1][0], int(frames[-1][1])) if frames else innermost(told)


def _stack(part: str) -> list[Frame]:
    frames = [(match["file"], int(match["line"]), match["name"]) for match in _FRAME.finditer(part)]
    return frames[::-1]


def _users_part(stack: list[Frame]) -> list[Frame]:
    first = next((index for index, (file, _, _) in enumerate(stack) if is_foreign(file)), None)
    return [] if first is None else [frame for frame in stack[first:] if not _is_machinery(frame[0])]


def _is_machinery(file: str) -> bool:
    """Five frames of the import system stand between an import and what it imports."""
    return is_ours(file) or file.startswith("<frozen importlib")


def _told(stack: list[Frame]) -> str:
    lines = ["Traceback (most recent call last):"]
    for file, number, name in stack:
        lines.append(f'  File "{file}", line {number}, in {name}')
        linecache.checkcache(file)
        source = linecache.getline(file, number).strip()
        lines += [f"    {source}"] if source else []
    return "\n".join(lines)
