"""What is in a file, as a short text that differs when the content does. Runs anywhere."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

ABSENT = ""
"""The digest of a file that is not there."""


def digest(file: Path) -> str:
    """A hash of the content; ABSENT when there is no such file, `unreadable` when it cannot be read."""
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except (FileNotFoundError, NotADirectoryError):
        return ABSENT
    except OSError as error:
        return f"unreadable: {error.errno}"  # no content can be told from another, but it was readable before


def fingerprint(files: Iterable[Path]) -> str:
    """One hash of the paths and contents of all `files`, in whatever order they come; missing ones count, too."""
    total = hashlib.sha256()
    for file in sorted(set(files)):
        total.update(f"{file}\0{digest(file)}\n".encode(errors="surrogateescape"))
    return total.hexdigest()
