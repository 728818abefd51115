"""Reads the file for the first time in a process of its own, while this one imports what a host needs.

What reading takes (jsonschema, the YAML reader, the checks: some 8 MB) is thus never part of a host that is not
reloaded, and costs no time of its own where there is a second core. Forked before there is a thread or a loop. Beside a
thread that is there all the same, of a `sitecustomize` say, it is read here.
"""

import copyreg
import os
import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, NoReturn

from agenthost import kernel
from agenthost.errors import AgentHostError

if TYPE_CHECKING:
    from agenthost.config.examination import Loaded


def read_apart(read: "Callable[[], Loaded]") -> "Callable[[], Loaded]":
    """Begin to read; the returned function waits for the result, and raises what `read` raised."""
    if not kernel.LINUX or kernel.thread_count() != 1:
        return read  # elsewhere, and beside threads, a fork without an exec is not safe
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(ours)
        _read_and_leave(read, theirs)
    os.close(theirs)

    def result() -> "Loaded":
        with os.fdopen(ours, "rb") as pipe:
            told = pipe.read()
        os.waitpid(pid, 0)
        if not told:
            return read()  # it was killed: do it here
        answer: Loaded | AgentHostError = pickle.loads(told)
        if isinstance(answer, AgentHostError):
            raise answer
        return answer

    return result


def _read_and_leave(read: "Callable[[], Loaded]", pipe: int) -> NoReturn:
    """In the child: tell the result, or nothing when something went wrong that the parent shall meet itself."""
    code = 1
    try:
        try:
            answer: object = read()
        except AgentHostError as error:
            answer = error
        with os.fdopen(pipe, "wb") as out:
            out.write(pickle.dumps(answer))
        code = 0
    finally:
        os._exit(code)


def _read_only(mapping: dict[object, object]) -> "MappingProxyType[object, object]":
    return MappingProxyType(mapping)


# Read-only mappings are all over a configuration, and their class has no name that pickle could find it by.
copyreg.pickle(MappingProxyType, lambda mapping: (_read_only, (dict(mapping),)))
