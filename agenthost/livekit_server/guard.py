"""Runs a program so that it never outlives agenthost: the LiveKit server, or its build. A program between the two.

    python -m agenthost.livekit_server.guard PARENT_PID COMMAND [ARGUMENT ...]

On Linux it becomes the command, with the kernel's promise to kill it when the parent ends. Elsewhere it stays and
looks at its parent twice a second. (A `preexec_fn` would do the former, but is unsafe in a process with threads.)
"""

import os
import signal
import subprocess
import sys
from collections.abc import Sequence

from agenthost import kernel

_NOT_STARTED = 127  # what shells answer for a command that cannot be run
_ORPHANED = 1


def guarded(command: Sequence[str | os.PathLike[str]]) -> tuple[str, ...]:
    """The command line that runs `command` for as long as this process lives. Start it from the main thread."""
    return (sys.executable, "-P", "-m", __name__, str(os.getpid()), *(os.fspath(word) for word in command))


def main(arguments: list[str]) -> int:
    parent, command = int(arguments[0]), arguments[1:]
    try:
        if not kernel.die_with_parent():
            return watch_over(parent, command)
        if os.getppid() == parent:
            os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return _NOT_STARTED
    return _ORPHANED  # the parent ended before the promise held


def watch_over(parent: int, command: list[str]) -> int:
    """Run `command` as a child until it or `parent` ends; returns its exit code (negative: a signal's number)."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the whole process group gets it; the command decides
    with subprocess.Popen(command, restore_signals=True, preexec_fn=_default_sigterm) as child:
        while True:
            try:
                return child.wait(timeout=0.5)
            except subprocess.TimeoutExpired:
                if os.getppid() != parent:
                    child.kill()


def _default_sigterm() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # an ignored signal would stay ignored in the command


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
