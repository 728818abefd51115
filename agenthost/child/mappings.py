"""This process's memory by what it is mapped from. Runs in the base and in templates.

Linux tells it; elsewhere there is nothing to see.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

_FIRST_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)")
_ANONYMOUS = "Anonymous:"


class Mapping(Struct, frozen=True, kw_only=True):
    """`rights` as in `/proc/PID/smaps`: `rw-p`. `file` is "" for memory that belongs to none.

    `unwritten`: none of it is this process's own, or its parents': what is forgotten can be read from the file again.
    """

    start: int
    size: int
    rights: str
    file: str
    unwritten: bool


def mappings() -> Iterator[Mapping]:
    """All of them, as they are now."""
    if not sys.platform.startswith("linux"):
        return
    first: re.Match[str] | None = None
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if found := _FIRST_LINE.match(line):
            first = found
        elif line.startswith(_ANONYMOUS) and first is not None:
            start, end, rights, name = int(first[1], 16), int(first[2], 16), first[3], first[4]
            yield Mapping(
                start=start,
                size=end - start,
                rights=rights,
                file="" if name == "[heap]" else name,
                unwritten=int(line.split()[1]) == 0,
            )
