"""This process's memory by what it is mapped from. Runs in the base and in templates.

Linux tells it; elsewhere there is nothing to see.
"""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)")
_UNWRITTEN = re.compile(r"Anonymous:\s+0 kB")


class Mapping(Struct, frozen=True, kw_only=True):
    """`rights` as in `/proc/PID/maps`: `rw-p`. `file` is "" for memory that belongs to none."""

    start: int
    size: int
    rights: str
    file: str


def mappings() -> Iterator[Mapping]:
    """All of them, as they are now."""
    for line in _lines("maps"):
        if found := _MAPPING.match(line):
            yield _of(found)


def unwritten_mappings() -> Iterator[Mapping]:
    """Those of which nothing is this process's own, or its parents': what is forgotten can be read from the file again.

    To know it the kernel looks at each page: for a process that is small yet.
    """
    mapping: Mapping | None = None
    for line in _lines("smaps"):
        if found := _MAPPING.match(line):
            mapping = _of(found)
        elif mapping is not None and _UNWRITTEN.match(line):
            yield mapping


def _lines(name: str) -> list[str]:
    if not sys.platform.startswith("linux"):
        return []
    return os.fsdecode(Path("/proc/self", name).read_bytes()).split("\n")  # paths need not be UTF-8, nor free of \x85


def _of(found: re.Match[str]) -> Mapping:
    start, end, rights, name = int(found[1], 16), int(found[2], 16), found[3], found[4]
    return Mapping(start=start, size=end - start, rights=rights, file="" if name == "[heap]" else name)
