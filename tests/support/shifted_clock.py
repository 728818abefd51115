"""A wall clock of its own for a host and all its Python processes, which a test may set while they run.

It takes the place of `time.time` and `time.time_ns` when the interpreter starts. The clock of the machine is
everybody's, and time namespaces leave it out.
"""

import struct
from collections.abc import Mapping
from pathlib import Path

_SITE = """
import mmap, struct, time

with open({file!r}, "r+b") as file:
    _offset = mmap.mmap(file.fileno(), 8)
_time, _time_ns = time.time, time.time_ns
time.time = lambda: _time() + struct.unpack("=d", _offset[:8])[0]
time.time_ns = lambda: _time_ns() + int(1e9 * struct.unpack("=d", _offset[:8])[0])
"""


class ShiftedClock:
    """`environment` goes to the program; `shift` is how many seconds its wall clock is ahead of the machine's."""

    def __init__(self, folder: Path) -> None:
        site = folder / "site"
        site.mkdir()
        self._file = folder / "offset"
        self._file.write_bytes(struct.pack("=d", 0.0))
        (site / "sitecustomize.py").write_text(_SITE.format(file=str(self._file)))
        self.environment: Mapping[str, str] = {"PYTHONPATH": str(site)}

    def shift(self, seconds: float) -> None:
        """Set it; it jumps for every process at once."""
        with self._file.open("r+b") as file:
            file.write(struct.pack("=d", seconds))
