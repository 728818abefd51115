"""What files contain, as short texts: equal exactly when the contents are. Runs in the host."""

import hashlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

ABSENT = ""
"""The digest of a file that is not there."""


def digest(file: Path) -> str:
    """A hash of the content; ABSENT when there is no such file, and never raises: an unreadable one counts as such."""
    try:
        return hashlib.blake2b(file.read_bytes(), digest_size=16).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError as error:
        return f"unreadable {error.errno}"


def digests(files: Iterable[Path]) -> dict[Path, str]:
    """What each of them contains now; missing and unreadable ones are there, too."""
    return {file: digest(file) for file in files}


def fingerprint(contents: Mapping[Path, str]) -> str:
    """A hash over names and digests, in whatever order they come."""
    total = hashlib.blake2b(digest_size=16)
    for file, content in sorted(contents.items()):
        total.update(os.fsencode(file) + b"\0" + content.encode() + b"\0")
    return total.hexdigest()


def changed_since(files: Iterable[Path], nanoseconds: int) -> bool:
    """Whether one of them was written at or after this time (of time.time_ns)."""
    for file in files:
        try:
            if file.stat().st_mtime_ns >= nanoseconds:
                return True
        except OSError:
            return True
    return False
