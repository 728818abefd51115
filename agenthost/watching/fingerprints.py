"""What files contain, as short texts: equal exactly when the contents are. Runs in the host."""

import hashlib
import os
from collections.abc import Iterable
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


def fingerprint(files: Iterable[Path]) -> str:
    """A hash over names and contents, in whatever order the files come; missing and unreadable ones count, too."""
    total = hashlib.blake2b(digest_size=16)
    for file in sorted(set(files)):
        total.update(os.fsencode(file) + b"\0" + digest(file).encode() + b"\0")
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
