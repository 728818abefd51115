"""What reads the log of a host, and can be stopped, so that the host writes into a pipe that nobody empties."""

import os
import signal
from pathlib import Path

_SCRIPT = 'mkfifo "$0"; (cat < "$0" & echo $! > "$0.pid"); exec "$@" > "$0"'
"""The reader is nobody's child of the host: it is left to init before there is one."""


class LogTap:
    """`path`: of the pipe, which a host may have had before. What comes through goes on to whoever started the host."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def program(self, *command: str) -> tuple[str, ...]:
        """`command`, writing its standard output into the pipe."""
        self._path.unlink(missing_ok=True)
        return ("/bin/sh", "-c", _SCRIPT, str(self._path), *command)

    def stop(self) -> None:
        """From now on nobody reads."""
        os.kill(self._reader, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self._reader, signal.SIGCONT)

    @property
    def _reader(self) -> int:
        return int(self._path.with_name(self._path.name + ".pid").read_text())
